/* SPDX-License-Identifier: MIT */
/* The plane's own address, with the DNS stub behind it: packets in, packets
 * out. */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dns_msg.h"
#include "dns_stub.h"
#include "mem_carrier.h"
#include "raw_peer.h"

struct fixture {
	struct sim *sim;
	struct dns_stub *stub;
	struct ip_addr local;
	uint32_t ask_id;
	unsigned n_asks;
	uint8_t query[DNS_QUERY_MAX];
	size_t query_len;
};

static int on_ask(void *ctx, uint32_t id, const uint8_t *query, size_t len)
{
	struct fixture *x = ctx;

	assert_true(len <= sizeof(x->query));
	memcpy(x->query, query, len);
	x->query_len = len;
	x->ask_id = id;
	x->n_asks++;
	return 0;
}

static void on_send(void *ctx, const struct ip_addr *local,
		    const struct endpoint *to, const uint8_t *message,
		    size_t len)
{
	struct fixture *x = ctx;

	flowplane_send_local(x->sim->plane, local, to, message, len);
}

static void on_datagram(void *ctx, const struct ip_addr *local,
			const struct endpoint *from, const uint8_t *payload,
			size_t len)
{
	struct fixture *x = ctx;

	dns_stub_on_datagram(x->stub, local, from, payload, len);
}

static int setup_version(void **state, enum ip_version version)
{
	static const struct dns_stub_ops ops = {
		.ask = on_ask,
		.send = on_send,
	};
	struct fixture *x = calloc(1, sizeof(*x));
	struct flowplane_local local = {
		.port = DNS_STUB_PORT,
		.on_datagram = on_datagram,
		.ctx = x,
	};
	struct carrier *pair[2];

	assert_non_null(x);
	x->sim = raw_sim(version, NULL);
	assert_int_equal(
		addr_parse(version == IPV4 ? "198.18.0.53" : "fd00::53",
			   &x->local),
		0);
	if (version == IPV4)
		local.addr4 = x->local;
	else
		local.addr6 = x->local;
	*(version == IPV4 ? &local.near4 : &local.near6) = x->sim->near_addr;
	x->stub = dns_stub_new(x->sim->loop, &ops, x);
	assert_non_null(x->stub);
	assert_int_equal(mem_carrier_pair(x->sim->loop, pair), 0);
	assert_int_equal(flowplane_set_local(x->sim->plane, &local, pair[0]),
			 0);
	assert_int_equal(dns_stub_attach(x->stub, pair[1]), 0);
	run_for(x->sim, 1000);
	*state = x;
	return 0;
}

static int setup4(void **state)
{
	return setup_version(state, IPV4);
}

static int setup6(void **state)
{
	return setup_version(state, IPV6);
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	/* Plane and stub in the client's order. */
	x->sim->plane = flowplane_free(x->sim->plane);
	x->stub = dns_stub_free(x->stub);
	x->sim = sim_free(x->sim);
	free(x);
	return 0;
}

static struct raw_peer peer(struct fixture *x, uint16_t port)
{
	struct raw_peer p = raw_peer(x->sim, port);

	p.far.addr = x->local;
	return p;
}

static size_t make_query(uint8_t *out, uint16_t id)
{
	return (size_t)dns_build_query(out, id, "host.example", DNS_A);
}

/* No address, as the far end would say it. */
static void answer(struct fixture *x)
{
	x->query[2] |= 0x80;
	assert_true(dns_stub_on_resolved(x->stub, x->ask_id, FRAME_REASON_NONE,
					 x->query, x->query_len));
	run_for(x->sim, 1000);
}

/* Everything but TCP: proto and what is behind the IP header. */
static enum drop_reason send_l4_from(struct fixture *x,
				     const struct ip_addr *src, uint8_t proto,
				     uint8_t *l4, size_t len)
{
	uint8_t out[SEG_VNET_LEN + 40 + 600] = {0};
	uint8_t *ip = out + SEG_VNET_LEN;
	bool is4 = x->local.version == IPV4;
	size_t n = ref_put_ip(ip, x->local.version, proto, len);
	size_t at = is4 ? 12 : 8, alen = is4 ? 4 : 16;

	assert_true(len <= 600);
	memcpy(ip + at, src->bytes, alen);
	memcpy(ip + at + alen, x->local.bytes, alen);
	if (is4)
		ref_fix_ip4(ip);
	memcpy(ip + n, l4, len);
	if (proto == REF_UDP || proto == REF_ICMP || proto == REF_ICMP6)
		ref_fix_l4(ip, proto, ip + n, len);
	enum drop_reason r = sim_tun_up(x->sim, out, SEG_VNET_LEN + n + len);

	run_for(x->sim, 1000);
	return r;
}

static enum drop_reason send_l4(struct fixture *x, uint8_t proto, uint8_t *l4,
				size_t len)
{
	return send_l4_from(x, &x->sim->near_addr, proto, l4, len);
}

static enum drop_reason send_udp(struct fixture *x, uint16_t port, uint8_t *l4,
				 size_t payload_len)
{
	ref_put16(l4, 5353);
	ref_put16(l4 + 2, port);
	ref_put16(l4 + 4, 8 + payload_len);
	ref_put16(l4 + 6, 0);
	return send_l4(x, REF_UDP, l4, 8 + payload_len);
}

/* The newest packet down, behind its IP header, whose source must be ours. */
static const uint8_t *down(const struct fixture *x, int proto)
{
	const struct sim_captured *c = sim_captured(x->sim, 0);
	bool is4 = x->local.version == IPV4;

	assert_non_null(c);
	assert_int_equal(seg_proto(c->bytes, c->len), proto);
	const uint8_t *ip = c->bytes + SEG_VNET_LEN;

	assert_memory_equal(ip + (is4 ? 12 : 8), x->local.bytes, is4 ? 4 : 16);
	return ip + (is4 ? 20 : 40);
}

static void queries_by_udp_are_answered(void **state)
{
	struct fixture *x = *state;
	uint8_t l4[600];
	size_t n = make_query(l4 + 8, 0x4321);

	assert_int_equal(send_udp(x, 53, l4, n), DROP_NONE);
	assert_int_equal(x->n_asks, 1);
	answer(x);
	const uint8_t *got = down(x, REF_UDP);

	assert_int_equal(ref_get16(got), 53);
	assert_int_equal(ref_get16(got + 2), 5353);
	assert_int_equal(ref_get16(got + 8), 0x4321);
	/* It made no flow, and the far end heard of no datagram. */
	assert_int_equal(flowplane_stats(x->sim->plane)->udp_flows, 0);
	assert_int_equal(x->sim->far.n_dgrams, 0);
}

static void queries_by_tcp_are_answered(void **state)
{
	struct fixture *x = *state;
	struct raw_peer p = peer(x, 53);
	uint8_t out[2 + DNS_QUERY_MAX];
	size_t n = make_query(out + 2, 0x4321);

	bytes_put_u16(out, (uint16_t)n);
	raw_connect(&p);
	raw_send(&p, SEG_ACK | SEG_PSH, out, n + 2);
	run_for(x->sim, 1000);
	assert_int_equal(x->n_asks, 1);
	(void)raw_expect_flags(&p, SEG_ACK);
	answer(x);
	const struct seg *s = raw_expect_flags(&p, SEG_ACK);

	assert_int_equal(s->payload_len, n + 2);
	assert_int_equal(bytes_get_u16(s->payload + 2), 0x4321);
	p.ack += (uint32_t)s->payload_len;
	raw_send(&p, SEG_ACK | SEG_FIN, NULL, 0);
	run_for(x->sim, 1000);
	while (p.n_seen < x->sim->n_captured)
		s = raw_expect(&p);
	assert_true(s->flags & SEG_FIN);
	p.ack++;
	raw_send(&p, SEG_ACK, NULL, 0);
	run_for(x->sim, 1000);
	assert_true(raw_is_gone(&p));
	assert_int_equal(dns_stub_stats(x->stub).conns, 0);
}

static void other_ports_are_refused(void **state)
{
	struct fixture *x = *state;
	bool is4 = x->local.version == IPV4;
	struct raw_peer p = peer(x, 54);
	uint8_t l4[600] = {0};

	raw_syn(&p);
	(void)raw_expect_flags(&p, SEG_RST | SEG_ACK);
	assert_int_equal(send_udp(x, 5353, l4, 10), DROP_PROTOCOL);
	const uint8_t *icmp = down(x, is4 ? REF_ICMP : REF_ICMP6);

	assert_int_equal(icmp[0], is4 ? 3 : 1); /* unreachable: */
	assert_int_equal(icmp[1], is4 ? 3 : 4); /* port */
	/* SCTP */
	assert_int_equal(send_l4(x, 132, l4, 20), DROP_PROTOCOL);
	icmp = down(x, is4 ? REF_ICMP : REF_ICMP6);
	assert_int_equal(icmp[0], is4 ? 3 : 4);
	assert_int_equal(icmp[1], is4 ? 2 : 1);
	assert_int_equal(x->n_asks, 0);
}

static void pings_are_answered(void **state)
{
	struct fixture *x = *state;
	bool is4 = x->local.version == IPV4;
	uint8_t proto = is4 ? REF_ICMP : REF_ICMP6;
	uint8_t l4[108] = {is4 ? 8 : 128};

	ref_put16(l4 + 4, 77);
	ref_put16(l4 + 6, 3);
	memset(l4 + 8, 'p', 100);
	assert_int_equal(send_l4(x, proto, l4, sizeof(l4)), DROP_NONE);
	const uint8_t *got = down(x, proto);

	assert_int_equal(got[0], is4 ? 0 : 129);
	assert_memory_equal(got + 4, l4 + 4, 104);
	l4[0] = is4 ? 13 : 139;
	assert_int_equal(send_l4(x, proto, l4, sizeof(l4)), DROP_ICMP_OTHER);
}

static void others_get_no_answer(void **state)
{
	struct fixture *x = *state;
	bool is4 = x->local.version == IPV4;
	uint8_t ping[16] = {is4 ? 8 : 128}, udp[600] = {0};
	size_t n = make_query(udp + 8, 0x4321);
	struct raw_peer p = peer(x, 53);
	struct ip_addr lan = x->sim->near_addr;

	ref_put16(udp, 5353);
	ref_put16(udp + 2, 53);
	ref_put16(udp + 4, 8 + n);
	lan.bytes[is4 ? 3 : 15] ^= 1;
	assert_int_equal(send_l4_from(x, &lan, REF_UDP, udp, 8 + n),
			 DROP_NOT_THIS_HOST);
	assert_int_equal(send_l4_from(x, &lan, is4 ? REF_ICMP : REF_ICMP6, ping,
				      sizeof(ping)),
			 DROP_NOT_THIS_HOST);
	p.near.addr = lan;
	raw_syn(&p);
	run_for(x->sim, 1000);
	assert_int_equal(flowplane_stats(x->sim->plane)->tcp_flows, 0);
	assert_int_equal(x->n_asks, 0);
	assert_int_equal(x->sim->n_captured, 0);
	assert_int_equal(
		flowplane_stats(x->sim->plane)->drops[DROP_NOT_THIS_HOST], 3);
	/* The control. */
	assert_int_equal(send_udp(x, 53, udp, n), DROP_NONE);
	assert_int_equal(x->n_asks, 1);
}

static void it_answers_without_a_session(void **state)
{
	struct fixture *x = *state;
	uint8_t l4[600];
	size_t n = make_query(l4 + 8, 0x4321);

	sim_pipe_break(x->sim->pipe, "cut");
	run_for(x->sim, 10000);
	assert_true(x->sim->is_down);
	assert_int_equal(send_udp(x, 53, l4, n), DROP_NONE);
	answer(x);
	assert_int_equal(ref_get16(down(x, REF_UDP) + 8), 0x4321);

	struct raw_peer p = peer(x, 53);

	raw_connect(&p);
}

static void it_is_the_planes_even_if_all_goes_as_packets(void **state)
{
	struct fixture *x = *state;
	uint8_t l4[600];
	size_t n = make_query(l4 + 8, 0x4321);

	flowplane_set_plane(x->sim->plane, FLOWPLANE_PLANE_PACKET);
	assert_int_equal(send_udp(x, 53, l4, n), DROP_NONE);
	assert_int_equal(x->n_asks, 1);
	assert_int_equal(x->sim->far.n_packets, 0);
}

#define BOTH(name)                                       \
	{#name " 4", name, setup4, teardown, NULL},      \
	{                                                \
#name " 6", name, setup6, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(queries_by_udp_are_answered),
		BOTH(queries_by_tcp_are_answered),
		BOTH(other_ports_are_refused),
		BOTH(pings_are_answered),
		BOTH(others_get_no_answer),
		BOTH(it_answers_without_a_session),
		BOTH(it_is_the_planes_even_if_all_goes_as_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
