/* SPDX-License-Identifier: MIT */
/* test_packet_queues: src/session/packet_queues gives each flow its queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "packet_queues.h"
#include "reference.h"
#include "session_rig.h"

enum {
	ESP = 50,
	GRE = 47,
	IP_MAX = 2000,
};

struct fixture {
	struct session_rig *rig;
	struct packet_queues queues;
	uint8_t ip[IP_MAX];
	struct pkt pkt;
};

static int set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	x->rig = session_rig_new(SESSION_NEAR);
	session_rig_greet(x->rig);
	packet_queues_init(&x->queues, x->rig->loop, 7);
	*state = x;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *x = *state;

	packet_queues_fini(&x->queues);
	assert_int_equal(x->queues.budget.bytes, 0);
	session_rig_free(x->rig);
	free(x);
	return 0;
}

/* The queue of a packet of that protocol whose transport header begins with
 * these four bytes. */
static struct dgram_queue *of(struct fixture *x, int version, uint8_t proto,
			      uint32_t word)
{
	size_t l4_len = 24;
	size_t at = ref_put_ip(x->ip, version, proto, l4_len);

	memset(x->ip + at, 0, l4_len);
	ref_put16(x->ip + at, word >> 16);
	ref_put16(x->ip + at + 2, word & 0xffff);
	if (proto == REF_TCP)
		x->ip[at + 12] = 0x50;
	if (proto == REF_UDP)
		ref_put16(x->ip + at + 4, l4_len);
	if (proto == REF_TCP || proto == REF_UDP || proto == REF_ICMP)
		ref_fix_l4(x->ip, proto, x->ip + at, l4_len);
	assert_int_equal(pkt_parse_ip(x->ip, at + l4_len, &x->pkt), DROP_NONE);
	return packet_queues_of(&x->queues, &x->pkt);
}

static void flow_has_one_queue_and_no_other_flow_has_it(void **state)
{
	static const uint8_t protos[] = {REF_TCP, REF_UDP, ESP, 33, 132, 136};
	struct fixture *x = *state;
	struct dgram_queue *seen[12 * 6];
	size_t n = 0;

	for (int version = 4; version <= 6; version += 2)
		for (size_t i = 0; i < sizeof(protos); i++)
			for (uint32_t w = 0; w < 6; w++)
				seen[n++] = of(x, version, protos[i],
					       w % 2 << 16 | w / 2);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			assert_ptr_not_equal(seen[i], seen[k]);
	assert_int_equal(x->queues.by_key.n, n);
	assert_ptr_equal(of(x, 6, REF_UDP, 0x10002), seen[n - 4 * 6 - 1]);
	assert_int_equal(x->queues.by_key.n, n);
}

static void what_has_no_ports_goes_by_its_addresses(void **state)
{
	struct fixture *x = *state;
	struct dgram_queue *gre = of(x, 4, GRE, 1);

	assert_ptr_equal(of(x, 4, GRE, 2), gre);
	/* ICMP errors together, echoes by identifier. */
	struct dgram_queue *error = of(x, 4, REF_ICMP, 3 << 24);
	assert_ptr_equal(of(x, 4, REF_ICMP, 11 << 24), error);
	struct dgram_queue *echo = of(x, 4, REF_ICMP, 8 << 24);
	assert_ptr_not_equal(echo, error);
	x->pkt.icmp.id++;
	assert_ptr_not_equal(packet_queues_of(&x->queues, &x->pkt), echo);
	/* Both directions have their own. */
	x->pkt.icmp.id--;
	struct ip_addr src = x->pkt.src;
	x->pkt.src = x->pkt.dst;
	x->pkt.dst = src;
	assert_ptr_not_equal(packet_queues_of(&x->queues, &x->pkt), echo);
	/* A fragment's payload says nothing. */
	(void)of(x, 4, REF_UDP, 1);
	x->pkt.is_fragment = true;
	struct dgram_queue *fragments = packet_queues_of(&x->queues, &x->pkt);
	struct dgram_queue *whole = of(x, 4, REF_UDP, 2);
	assert_ptr_not_equal(whole, fragments);
	x->pkt.is_fragment = true;
	assert_ptr_equal(packet_queues_of(&x->queues, &x->pkt), fragments);
}

static enum drop_reason queue(struct fixture *x, struct dgram_queue *q)
{
	struct frame_packet p = {.ip = x->pkt.ip, .ip_len = x->pkt.ip_len};

	return session_send_packet(x->rig->s, q, &p);
}

static void beyond_the_limit_the_empty_one_unused_longest_goes(void **state)
{
	struct fixture *x = *state;

	x->rig->carrier_room = 0;
	for (uint32_t i = 0; i < PACKET_QUEUES_MAX; i++) {
		struct dgram_queue *q = of(x, 4, REF_UDP, i);

		assert_ptr_not_equal(q, &x->queues.shared);
		if (i != 3)
			assert_int_equal(queue(x, q), DROP_NONE);
	}
	/* Only 3 is empty; whoever takes its place fills it. */
	struct dgram_queue *q = of(x, 4, REF_UDP, PACKET_QUEUES_MAX);
	assert_ptr_not_equal(q, &x->queues.shared);
	assert_int_equal(queue(x, q), DROP_NONE);
	assert_int_equal(x->queues.by_key.n, PACKET_QUEUES_MAX);
	q = of(x, 4, REF_UDP, 3);
	assert_ptr_equal(q, &x->queues.shared);
	assert_int_equal(queue(x, q), DROP_NONE);
	q = of(x, 4, REF_UDP, 5000);
	assert_ptr_equal(q, &x->queues.shared);
	/* Who has one keeps it. */
	assert_ptr_not_equal(of(x, 4, REF_UDP, 4), &x->queues.shared);
	session_rig_drain(x->rig, SIZE_MAX);
	assert_ptr_not_equal(of(x, 4, REF_UDP, 3), &x->queues.shared);
	assert_int_equal(x->queues.by_key.n, PACKET_QUEUES_MAX);
}

static void empty_queues_are_given_back_soon(void **state)
{
	struct fixture *x = *state;

	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(queue(x, of(x, 4, REF_UDP, i)), DROP_NONE);
	session_rig_settle(x->rig);
	assert_int_equal(x->queues.by_key.n, 100);
	session_rig_advance(x->rig, PACKET_QUEUES_IDLE_US / 2);
	(void)of(x, 4, REF_UDP, 50);
	x->rig->carrier_room = 0;
	assert_int_equal(queue(x, of(x, 4, REF_UDP, 60)), DROP_NONE);
	session_rig_advance(x->rig, PACKET_QUEUES_IDLE_US / 2);
	assert_int_equal(x->queues.by_key.n, 2);
	/* What waits keeps its queue. */
	session_rig_advance(x->rig, (uint64_t)3 * PACKET_QUEUES_IDLE_US);
	assert_int_equal(x->queues.by_key.n, 1);
	session_rig_drain(x->rig, SIZE_MAX);
	session_rig_advance(x->rig, (uint64_t)2 * PACKET_QUEUES_IDLE_US);
	assert_int_equal(x->queues.by_key.n, 0);
	assert_false(timer_is_armed(&x->queues.idle));
}

static void all_queues_together_are_bounded(void **state)
{
	static uint8_t big[65000];
	struct fixture *x = *state;
	struct frame_packet p = {.ip = big, .ip_len = sizeof(big)};
	unsigned n = 0;

	x->rig->carrier_room = 0;
	for (uint32_t i = 0; i < 20; i++)
		while (session_send_packet(x->rig->s, of(x, 4, REF_UDP, i),
					   &p) == DROP_NONE)
			n++;
	/* A few hold the one that each may. */
	assert_in_range(x->queues.budget.bytes,
			PACKET_QUEUES_TOTAL_BYTES - 66000,
			PACKET_QUEUES_TOTAL_BYTES + 20 * 66000);
	assert_int_equal(x->queues.budget.bytes, x->rig->s->dgram_bytes);
	/* Who has nothing waiting is let in. */
	assert_int_equal(queue(x, of(x, 4, REF_UDP, 100)), DROP_NONE);
	assert_int_equal(queue(x, of(x, 4, REF_UDP, 100)), DROP_QUEUE_FULL);
	packet_queues_fini(&x->queues);
	assert_int_equal(x->rig->s->dgram_bytes, 0);
	packet_queues_init(&x->queues, x->rig->loop, 7);
}

int main(void)
{
#define with_rig(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		with_rig(flow_has_one_queue_and_no_other_flow_has_it),
		with_rig(what_has_no_ports_goes_by_its_addresses),
		with_rig(beyond_the_limit_the_empty_one_unused_longest_goes),
		with_rig(empty_queues_are_given_back_soon),
		with_rig(all_queues_together_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
