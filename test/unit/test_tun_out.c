/* SPDX-License-Identifier: MIT */
/*
 * test_tun_out: the packet plane of the far engine behind a real session, with
 * a socket pair in place of the device.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "far.h"
#include "fd.h"
#include "bond_carrier.h"
#include "reference.h"
#include "session.h"
#include "vnet.h"

enum {
	V = PKT_VNET_LEN,
	PATIENCE_US = 20000000,
	GRE = 47,
	PACKET_MAX = 2048,
	BUSY = 1000, /* port of a flow that sends a lot */
};

struct net {
	struct loop *loop;
	struct far *far;
	struct session *near;
	struct dgram_queue queue;
	struct frame_hello hello;
	bool is_up;
	int n_starts, n_stops;
	int n_states;
	struct frame_network_state state; /* the last */
	int n_packets;
	struct frame_packet packet; /* the last; ip is below */
	uint8_t ip[PKT_IP6_MAX];
	int n_quiet, n_ahead; /* UDP packets not of BUSY; before its last */
	int device;	      /* our end of it */
};

/* ---- the near end ---- */

static void on_up(void *ctx, const struct frame_hello *peer)
{
	struct net *n = ctx;

	n->is_up = true;
	n->hello = *peer;
}

static void on_network_state(void *ctx, const struct frame_network_state *s)
{
	struct net *n = ctx;

	n->n_states++;
	n->state = *s;
}

static void on_packet(void *ctx, const struct frame_packet *p)
{
	struct net *n = ctx;

	n->n_packets++;
	n->packet = *p;
	memcpy(n->ip, p->ip, p->ip_len);
	n->packet.ip = n->ip;
	if (n->ip[9] == REF_UDP) {
		if (ref_get16(n->ip + REF_IP4_LEN) == BUSY)
			n->n_ahead = n->n_quiet;
		else
			n->n_quiet++;
	}
}

static void on_down(void *ctx, const struct err *why)
{
	(void)ctx;
	(void)why;
}

static const struct session_ops near_ops = {
	.on_up = on_up,
	.on_packet = on_packet,
	.on_network_state = on_network_state,
	.on_down = on_down,
};

/* ---- who makes the device ---- */

static void on_start(void *ctx, const struct frame_network *network)
{
	struct net *n = ctx;

	n->n_starts++;
	assert_int_equal(network->mtu_bytes, 1400);
}

static void on_stop(void *ctx)
{
	((struct net *)ctx)->n_stops++;
}

static const struct far_network_ops network_ops = {on_start, on_stop};

/* ---- both ends in one process ---- */

#define WAIT(n, condition)                                               \
	do {                                                             \
		mono_us_t end_us = clock_mono_us() + PATIENCE_US;        \
		while (!(condition)) {                                   \
			if (clock_mono_us() > end_us)                    \
				fail_msg("waited in vain: " #condition); \
			if (!loop_poll((n)->loop))                       \
				(void)sched_yield();                     \
		}                                                        \
	} while (0)

static struct net *net_new(const struct far_network_ops *ops)
{
	struct net *n = calloc(1, sizeof(*n));
	struct far_options options = {.network = ops};
	struct frame_hello hello = {.software = "test"};
	int fds[2];

	assert_non_null(n);
	options.network_ctx = n;
	n->device = -1;
	n->loop = loop_new(LOOP_TIME_REAL);
	dgram_queue_init(&n->queue, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	n->far = far_new(n->loop,
			 bond_carrier_new(n->loop, fds[0], fds[0], NULL, 0),
			 &options);
	assert_non_null(n->far);
	n->near =
		session_new(n->loop, SESSION_NEAR,
			    bond_carrier_new(n->loop, fds[1], fds[1], NULL, 0),
			    &near_ops, n, &hello);
	WAIT(n, n->is_up && session_is_up(far_session(n->far)));
	return n;
}

static struct frame_network wish(void)
{
	struct frame_network w = {.mtu_bytes = 1400};

	assert_int_equal(addr_parse("192.0.2.1", &w.near4), 0);
	assert_int_equal(addr_parse("2001:db8::1", &w.near6), 0);
	assert_int_equal(subnet_parse("198.18.7.0/24",
				      &w.announced[w.n_announced++], NULL,
				      NULL),
			 0);
	return w;
}

/* As far as a device that is there. */
static int set_up(void **state)
{
	struct net *n = net_new(&network_ops);
	struct frame_network w = wish();
	int fds[2], bytes = 4 << 20;

	session_send_network(n->near, &w);
	WAIT(n, n->n_starts == 1);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	n->device = fds[1];
	far_network_up(n->far, fds[0], 1400, "as nobody");
	WAIT(n, n->n_states == 1);
	*state = n;
	return 0;
}

static int set_up_plain(void **state)
{
	*state = net_new(&network_ops);
	return 0;
}

static int set_up_forbidden(void **state)
{
	*state = net_new(NULL);
	return 0;
}

static int tear_down(void **state)
{
	struct net *n = *state;

	fd_close(&n->device);
	(void)far_free(n->far);
	dgram_queue_fini(&n->queue);
	(void)session_free(n->near);
	(void)loop_free(n->loop);
	free(n);
	return 0;
}

static uint64_t far_drops(const struct net *n, enum drop_reason reason)
{
	return session_stats(far_session(n->far))->drops[reason];
}

/* ---- packets ---- */

/* One from 192.0.2.1 to 198.51.100.2 (up) or back, behind a virtio header.
 * Returns its length with that. */
static size_t make(uint8_t *buf, bool is_up, uint8_t proto, size_t payload)
{
	uint8_t *ip = buf + V, *l4 = ip + REF_IP4_LEN;
	size_t l4_len = 8 + payload;

	memset(buf, 0, V);
	memset(l4, 0x55, l4_len);
	if (proto == REF_UDP)
		ref_put16(l4 + 4, l4_len);
	(void)ref_put_ip4(ip, proto, l4_len);
	if (!is_up) {
		uint8_t src[4];

		memcpy(src, ip + 12, 4);
		memcpy(ip + 12, ip + 16, 4);
		memcpy(ip + 16, src, 4);
		ref_fix_ip4(ip);
	}
	return V + REF_IP4_LEN + l4_len;
}

static void send_up(struct net *n, const uint8_t *buf, size_t len)
{
	struct frame_packet p = {.ip = buf + V, .ip_len = len - V};

	assert_int_equal(session_send_packet(n->near, &n->queue, &p),
			 DROP_NONE);
}

/* ---- tests ---- */

static void network_is_offered_and_answered(void **state)
{
	struct net *n = *state;

	assert_true(n->hello.capabilities & FRAME_CAP_NETWORK);
	assert_int_equal(n->state.status, FRAME_NETWORK_UP);
	assert_int_equal(n->state.mtu_bytes, 1400);
	assert_string_equal(n->state.text, "as nobody");
}

static void network_that_is_forbidden_is_lacking(void **state)
{
	struct net *n = *state;
	struct frame_network w = wish();
	uint8_t buf[PACKET_MAX];

	assert_false(n->hello.capabilities & FRAME_CAP_NETWORK);
	session_send_network(n->near, &w);
	WAIT(n, n->n_states == 1);
	assert_int_equal(n->state.status, FRAME_NETWORK_LACKING);
	assert_non_null(strstr(n->state.text, "does not allow"));
	/* And a packet nevertheless is dropped, not the end. */
	send_up(n, buf, make(buf, true, GRE, 10));
	WAIT(n, far_drops(n, DROP_POLICY) == 1);
}

static void network_that_cannot_be_had_is_lacking(void **state)
{
	struct net *n = *state;
	struct frame_network w = wish();

	session_send_network(n->near, &w);
	WAIT(n, n->n_starts == 1);
	far_network_down(n->far, "no privilege");
	WAIT(n, n->n_states == 1);
	assert_int_equal(n->state.status, FRAME_NETWORK_LACKING);
	assert_string_equal(n->state.text, "no privilege");
	assert_int_equal(n->n_stops, 1);
	/* Asking again changes nothing. */
	session_send_network(n->near, &w);
	far_network_down(n->far, "still none");
	session_ping(n->near);
	WAIT(n, session_stats(n->near)->round_trip_us > 0);
	assert_int_equal(n->n_starts, 1);
	assert_int_equal(n->n_states, 1);
}

static void packets_cross_whole_in_both_directions(void **state)
{
	static const uint8_t protos[] = {GRE, REF_UDP, REF_ICMP, 253};
	struct net *n = *state;
	uint8_t buf[PACKET_MAX], got[PACKET_MAX];

	for (size_t i = 0; i < sizeof(protos); i++) {
		size_t len = make(buf, true, protos[i], 100 + i);
		ssize_t got_len = -1;

		send_up(n, buf, len);
		WAIT(n, (got_len = read(n->device, got, sizeof(got))) > 0);
		assert_int_equal(got_len, len);
		assert_memory_equal(got, buf, len);

		len = make(buf, false, protos[i], 100 + i);
		assert_int_equal(write(n->device, buf, len), len);
		WAIT(n, n->n_packets == (int)i + 1);
		assert_int_equal(n->packet.ip_len, len - V);
		assert_memory_equal(n->ip, buf + V, len - V);
	}
}

static void packets_from_announced_subnets_pass(void **state)
{
	static const uint8_t source[] = {198, 18, 7, 200};
	struct net *n = *state;
	uint8_t buf[PACKET_MAX], got[PACKET_MAX];
	size_t len = make(buf, true, GRE, 10);

	memcpy(buf + V + 12, source, 4);
	ref_fix_ip4(buf + V);
	send_up(n, buf, len);
	WAIT(n, read(n->device, got, sizeof(got)) == (ssize_t)len);
}

/* What must not reach the device, and why. */
static void packets_to_the_device_are_checked(void **state)
{
	static const uint8_t foreign[] = {192, 0, 2, 2},
			     metadata[] = {169, 254, 169, 254},
			     loopback[] = {127, 0, 0, 1},
			     multicast[] = {224, 0, 0, 1};
	static const struct {
		size_t at;
		const uint8_t *bytes;
		enum drop_reason reason;
	} cases[] = {
		{12, foreign, DROP_BAD_SOURCE}, {12, loopback, DROP_BAD_SOURCE},
		{16, metadata, DROP_POLICY},	{16, loopback, DROP_POLICY},
		{16, multicast, DROP_POLICY},
	};
	struct net *n = *state;
	uint8_t buf[PACKET_MAX], got[PACKET_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = make(buf, true, GRE, 10);
		uint64_t before = far_drops(n, cases[i].reason);

		memcpy(buf + V + cases[i].at, cases[i].bytes, 4);
		ref_fix_ip4(buf + V);
		send_up(n, buf, len);
		WAIT(n, far_drops(n, cases[i].reason) == before + 1);
	}
	assert_int_equal(read(n->device, got, sizeof(got)), -1);
}

static void headers_that_lie_reach_nobody(void **state)
{
	struct net *n = *state;
	uint8_t buf[PACKET_MAX], got[PACKET_MAX];
	size_t len = make(buf, true, REF_UDP, 100);
	struct frame_packet p = {.flags = VNET_FLAG_PARTIAL,
				 .csum_start = 12, /* the source address */
				 .csum_offset = 6,
				 .ip = buf + V,
				 .ip_len = len - V};

	assert_int_equal(session_send_packet(n->near, &n->queue, &p),
			 DROP_NONE);
	WAIT(n, far_drops(n, DROP_BAD_VNET_HDR) == 1);
	p = (struct frame_packet){
		.gso_type = VNET_TYPE_UDP, .ip = buf + V, .ip_len = len - V};
	assert_int_equal(session_send_packet(n->near, &n->queue, &p),
			 DROP_NONE);
	WAIT(n, far_drops(n, DROP_BAD_VNET_HDR) == 2);
	/* One byte is missing. */
	send_up(n, buf, len - 1);
	WAIT(n,
	     far_drops(n, DROP_BAD_LENGTH) + far_drops(n, DROP_TRUNCATED) == 1);
	assert_int_equal(read(n->device, got, sizeof(got)), -1);
}

static void packets_for_others_are_not_sent_near(void **state)
{
	struct net *n = *state;
	uint8_t buf[PACKET_MAX];
	size_t len = make(buf, false, GRE, 10);

	buf[V + 19] ^= 1;
	ref_fix_ip4(buf + V);
	assert_int_equal(write(n->device, buf, len), len);
	WAIT(n, far_drops(n, DROP_BAD_DESTINATION) == 1);
	assert_int_equal(n->n_packets, 0);
}

/* A flow that has filled its queue does not keep another one's packet from
 * coming soon: it is neither dropped nor last. */
static void one_flow_does_not_starve_another(void **state)
{
	/* All of them are read in one turn. */
	enum { MANY = 40, QUIET_FIRST = 2000, QUIET = 20 };
	struct net *n = *state;
	uint8_t buf[PACKET_MAX];

	for (int i = 0; i < MANY; i++) {
		size_t len = make(buf, false, REF_UDP, 1000);

		ref_put16(buf + V + REF_IP4_LEN, BUSY);
		assert_int_equal(write(n->device, buf, len), len);
	}
	for (int i = 0; i < QUIET; i++) {
		size_t len = make(buf, false, REF_UDP, 10);

		ref_put16(buf + V + REF_IP4_LEN, (size_t)QUIET_FIRST + i);
		assert_int_equal(write(n->device, buf, len), len);
	}
	WAIT(n, n->n_packets == MANY + QUIET);
	assert_int_equal(n->n_ahead, QUIET);
	assert_int_equal(far_drops(n, DROP_QUEUE_FULL), 0);
}

static void device_that_breaks_is_lost(void **state)
{
	struct net *n = *state;
	uint8_t buf[PACKET_MAX];

	fd_close(&n->device);
	WAIT(n, n->n_states == 2);
	assert_int_equal(n->state.status, FRAME_NETWORK_LOST);
	assert_non_null(strstr(n->state.text, "deleted"));
	assert_int_equal(n->n_stops, 1);
	/* The session lives on. */
	send_up(n, buf, make(buf, true, GRE, 10));
	WAIT(n, far_drops(n, DROP_POLICY) == 1);
	assert_true(session_is_up(n->near));
}

static void session_may_end_with_packets_waiting(void **state)
{
	struct net *n = *state;
	uint8_t buf[PACKET_MAX];

	for (int i = 0; i < 50; i++) {
		size_t len = make(buf, false, GRE, 1000);

		assert_int_equal(write(n->device, buf, len), len);
	}
	(void)loop_poll(n->loop);
}

int main(void)
{
#define with_net(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		with_net(network_is_offered_and_answered),
		cmocka_unit_test_setup_teardown(
			network_that_is_forbidden_is_lacking, set_up_forbidden,
			tear_down),
		cmocka_unit_test_setup_teardown(
			network_that_cannot_be_had_is_lacking, set_up_plain,
			tear_down),
		with_net(packets_cross_whole_in_both_directions),
		with_net(packets_from_announced_subnets_pass),
		with_net(packets_to_the_device_are_checked),
		with_net(headers_that_lie_reach_nobody),
		with_net(packets_for_others_are_not_sent_near),
		with_net(one_flow_does_not_starve_another),
		with_net(device_that_breaks_is_lost),
		with_net(session_may_end_with_packets_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
