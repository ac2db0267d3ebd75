/* SPDX-License-Identifier: MIT */
/* test_flowplane: src/flow/flowplane and assoc: datagrams, pings, ICMP errors,
 * and what is carried by nothing. */
#include <stdlib.h>

#include "pattern.h"
#include "scenario.h"

enum {
	MS = 1000,
	NEAR_PORT = 5353,
	FAR_PORT = 7777,
	PAYLOAD_KEY = 42,
};

static int setup_version(void **state, enum ip_version version,
			 uint32_t capabilities)
{
	struct sim_config config = {
		.version = version,
		.link = {.delay_us = 1000},
		.capabilities = capabilities,
	};
	struct sim *s = sim_new(&config, 1);

	s->has_raw_tun = true;
	*state = s;
	return 0;
}

static int setup4(void **state)
{
	return setup_version(state, IPV4, 0);
}

static int setup6(void **state)
{
	return setup_version(state, IPV6, 0);
}

static int teardown(void **state)
{
	*state = sim_free(*state);
	return 0;
}

/* ---- packets ---- */

/* A packet of the application's host, 0: the usual. */
struct up {
	uint8_t proto;		      /* REF_... */
	uint16_t near_port, far_port; /* echo: identifier, sequence number */
	const struct ip_addr *dst;
	size_t payload_len;
	uint8_t ttl, tos;
	bool df;
	uint16_t gso_bytes;
	uint8_t icmp_type;
};

static size_t put_addresses(const struct sim *s, const struct up *u,
			    uint8_t *ip, size_t l4_len)
{
	const struct ip_addr *dst = u->dst ? u->dst : &s->far_addr;
	size_t len = ref_put_ip(ip, dst->version, u->proto, l4_len);
	uint8_t ttl = u->ttl ? u->ttl : 64;

	if (dst->version == IPV4) {
		ip[1] = u->tos;
		ip[6] = u->df ? 0x40 : 0;
		ip[8] = ttl;
		memcpy(ip + 12, s->near_addr.bytes, 4);
		memcpy(ip + 16, dst->bytes, 4);
		ref_fix_ip4(ip);
	} else {
		ip[0] = (uint8_t)(0x60 | u->tos >> 4);
		ip[1] = (uint8_t)(u->tos << 4);
		ip[7] = ttl;
		memcpy(ip + 8, s->near_addr.bytes, 16);
		memcpy(ip + 24, dst->bytes, 16);
	}
	return len;
}

/* Write virtio header and packet; returns the length. */
static size_t build_up(const struct sim *s, const struct up *u, uint8_t *out)
{
	uint8_t *ip = out + SEG_VNET_LEN;
	size_t l4_len = 8 + u->payload_len;
	uint8_t *l4 = ip + put_addresses(s, u, ip, l4_len);
	uint16_t gso_bytes = u->gso_bytes;

	memset(out, 0, SEG_VNET_LEN);
	memset(l4, 0, 8);
	if (u->proto == REF_ICMP || u->proto == REF_ICMP6) {
		l4[0] = u->icmp_type	       ? u->icmp_type
			: u->proto == REF_ICMP ? 8
					       : 128;
		ref_put16(l4 + 4, u->near_port);
		ref_put16(l4 + 6, u->far_port);
	} else {
		ref_put16(l4, u->near_port);
		ref_put16(l4 + 2, u->far_port);
		ref_put16(l4 + 4, l4_len);
	}
	pattern_fill(PAYLOAD_KEY, 0, l4 + 8, u->payload_len);
	if (u->proto == REF_UDP || u->proto == REF_ICMP ||
	    u->proto == REF_ICMP6)
		ref_fix_l4(ip, u->proto, l4, l4_len);
	if (gso_bytes) {
		uint16_t start = (uint16_t)(l4 - ip), offset = 6;
		uint16_t headers = (uint16_t)(start + 8);

		out[0] = 1; /* NEEDS_CSUM */
		out[1] = 5; /* UDP_L4 */
		memcpy(out + 2, &headers, 2);
		memcpy(out + 4, &gso_bytes, 2);
		memcpy(out + 6, &start, 2);
		memcpy(out + 8, &offset, 2);
		ref_put16(l4 + 6, ref_pseudo_sum(ip, REF_UDP, l4_len));
	}
	return (size_t)(l4 - out) + l4_len;
}

static enum drop_reason send_up(struct sim *s, const struct up *u)
{
	static uint8_t out[SEG_PACKET_MAX];
	enum drop_reason reason = sim_tun_up(s, out, build_up(s, u, out));

	run_for(s, 5 * MS);
	return reason;
}

static struct up udp(size_t payload_len)
{
	return (struct up){.proto = REF_UDP,
			   .near_port = NEAR_PORT,
			   .far_port = FAR_PORT,
			   .payload_len = payload_len};
}

static struct up echo(const struct sim *s, size_t payload_len)
{
	return (struct up){.proto = s->near_addr.version == IPV4 ? REF_ICMP
								 : REF_ICMP6,
			   .near_port = 321,
			   .far_port = 5,
			   .payload_len = payload_len};
}

static uint64_t drops(const struct sim *s, enum drop_reason reason)
{
	return flowplane_stats(s->plane)->drops[reason];
}

static uint64_t session_drops(struct sim *s, enum drop_reason reason)
{
	return session_stats(flowplane_session(s->plane))->drops[reason];
}

/* What came down: the newest packet, checked, which must be the nth ever. */
struct down {
	const uint8_t *ip, *l4;
	size_t l4_len;
	uint8_t proto, ttl, tos;
	struct ip_addr src, dst;
};

static struct down expect_down(struct sim *s, unsigned n)
{
	assert_int_equal(s->n_captured, n);
	const struct sim_captured *c = sim_captured(s, 0);
	const uint8_t *ip = c->bytes + SEG_VNET_LEN;
	bool is4 = ip[0] >> 4 == 4;
	size_t ip_len = is4 ? 20 : 40;
	struct down d = {
		.ip = ip,
		.l4 = ip + ip_len,
		.l4_len = c->len - SEG_VNET_LEN - ip_len,
		.proto = (uint8_t)seg_proto(c->bytes, c->len),
		.ttl = is4 ? ip[8] : ip[7],
		.tos = (uint8_t)(is4 ? ip[1] : ip[0] << 4 | ip[1] >> 4),
		.src = addr_make(is4 ? IPV4 : IPV6, ip + (is4 ? 12 : 8)),
		.dst = addr_make(is4 ? IPV4 : IPV6, ip + (is4 ? 16 : 24)),
	};
	unsigned pseudo =
		d.proto == REF_ICMP ? 0 : ref_pseudo_sum(ip, d.proto, d.l4_len);

	if (is4)
		assert_int_equal(ref_sum(0, ip, 20), 0xffff);
	assert_int_equal(is4 ? ref_get16(ip + 2) - 20U : ref_get16(ip + 4),
			 d.l4_len);
	if (c->bytes[0] & 1) /* NEEDS_CSUM: the pseudo-header's sum only */
		assert_int_equal(ref_get16(d.l4 + ref_csum_offset(d.proto)) %
					 0xffff,
				 pseudo % 0xffff);
	else
		assert_int_equal(ref_sum(pseudo, d.l4, d.l4_len), 0xffff);
	assert_true(addr_equal(&d.dst, &s->near_addr));
	return d;
}

static void assert_payload(const uint8_t *bytes, size_t len)
{
	assert_int_equal(pattern_match(PAYLOAD_KEY, 0, bytes, len), len);
}

/* The far end sends down a datagram on its own account. */
static void send_down(struct sim *s, uint32_t id, const struct frame_dgram *d)
{
	s->far.dgrams.id = id;
	assert_int_equal(session_send_dgram(s->far.session, &s->far.dgrams, d),
			 DROP_NONE);
	run_for(s, 5 * MS);
}

/* ---- datagrams ---- */

static void datagram_goes_up_as_it_is_with_a_hop_taken_off(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	struct up u = udp(1000);

	u.ttl = 9;
	u.tos = 0xb8 | 1;
	u.df = true;
	assert_int_equal(send_up(s, &u), DROP_NONE);
	const struct frame_dgram *d = &s->far.last_dgram;
	assert_int_equal(s->far.n_dgrams, 1);
	assert_int_equal(d->proto, REF_UDP);
	assert_int_equal(d->ttl, 8);
	assert_int_equal(d->tos, 0xb9);
	assert_true(d->df);
	assert_true(addr_equal(&d->remote.addr, &s->far_addr));
	assert_int_equal(d->remote.port, FAR_PORT);
	assert_int_equal(d->payload_len, 1000);
	assert_payload(d->payload, 1000);
	u.df = false;
	assert_int_equal(send_up(s, &u), DROP_NONE);
	assert_int_equal(s->far.last_dgram.df, !is4);
	assert_int_equal(flowplane_stats(s->plane)->udp_flows, 1);
}

static void datagrams_of_all_sizes_go_there_and_back(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	const size_t sizes[] = {0, 1, 1472, 1473, 9000, is4 ? 65507 : 65527};
	unsigned n = 0;

	s->far.echo_dgrams = true;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct up u = udp(sizes[i]);

		assert_int_equal(send_up(s, &u), DROP_NONE);
		struct down d = expect_down(s, ++n);
		assert_int_equal(d.proto, REF_UDP);
		assert_true(addr_equal(&d.src, &s->far_addr));
		assert_int_equal(ref_get16(d.l4), FAR_PORT);
		assert_int_equal(ref_get16(d.l4 + 2), NEAR_PORT);
		assert_int_equal(d.l4_len, 8 + sizes[i]);
		assert_int_equal(ref_get16(d.l4 + 4), 8 + sizes[i]);
		assert_payload(d.l4 + 8, sizes[i]);
	}
}

static void ttl_and_tos_of_an_answer_are_carried(void **state)
{
	struct sim *s = *state;
	struct up u = udp(10);

	(void)send_up(s, &u);
	struct frame_dgram d = s->far.last_dgram;
	d.ttl = 33;
	d.tos = 0x12;
	send_down(s, s->far.last_dgram_id, &d);
	struct down got = expect_down(s, 1);
	assert_int_equal(got.ttl, 33);
	assert_int_equal(got.tos, 0x12);
	d.ttl = 0;
	send_down(s, s->far.last_dgram_id, &d);
	assert_int_equal(expect_down(s, 2).ttl, 1);
}

static void who_is_talked_to_is_in_use(void **state)
{
	struct sim *s = *state;
	struct up u = udp(10);

	assert_false(flowplane_is_in_use(s->plane, &s->far_addr));
	(void)send_up(s, &u);
	assert_true(flowplane_is_in_use(s->plane, &s->far_addr));
	assert_false(flowplane_is_in_use(s->plane, &s->near_addr));
	run_for(s, 400 * SECOND);
	assert_false(flowplane_is_in_use(s->plane, &s->far_addr));

	struct app_config config = sim_app_config(s, 80);

	s->has_raw_tun = false;
	(void)sim_app(s, &config);
	sim_settle(s);
	assert_true(flowplane_is_in_use(s->plane, &s->far_addr));
}

static void super_packet_is_many_datagrams(void **state)
{
	static const struct {
		size_t len;
		uint16_t step;
		unsigned n;
		size_t last;
	} cases[] = {
		{3000, 1000, 3, 1000},
		{3001, 1000, 4, 1},
		{999, 500, 2, 499},
	};
	struct sim *s = *state;
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct up u = udp(cases[i].len);

		u.gso_bytes = cases[i].step;
		assert_int_equal(send_up(s, &u), DROP_NONE);
		n += cases[i].n;
		assert_int_equal(s->far.n_dgrams, n);
		assert_int_equal(s->far.last_dgram.payload_len, cases[i].last);
		assert_int_equal(
			pattern_match(PAYLOAD_KEY, cases[i].len - cases[i].last,
				      s->far.last_payload, cases[i].last),
			cases[i].last);
	}
}

static void mapping_is_by_source_alone(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	struct up u = udp(10);
	struct ip_addr other;

	assert_int_equal(
		addr_parse(is4 ? "198.51.100.99" : "2001:db8:b::99", &other),
		0);
	(void)send_up(s, &u);
	uint32_t id = s->far.last_dgram_id;
	u.far_port++;
	u.dst = &other;
	(void)send_up(s, &u);
	assert_int_equal(s->far.last_dgram_id, id);
	u.near_port++;
	(void)send_up(s, &u);
	assert_int_not_equal(s->far.last_dgram_id, id);
	assert_int_equal(flowplane_stats(s->plane)->udp_flows, 2);
}

static void only_who_was_sent_to_may_answer(void **state)
{
	struct sim *s = *state;
	struct up u = udp(10);

	(void)send_up(s, &u);
	struct frame_dgram d = s->far.last_dgram;
	uint32_t id = s->far.last_dgram_id;

	d.remote.port++;
	send_down(s, id, &d);
	d.remote.port--;
	d.remote.addr.bytes[3] ^= 1;
	send_down(s, id, &d);
	d.remote.addr.bytes[3] ^= 1;
	d.proto = s->near_addr.version == IPV4 ? REF_ICMP : REF_ICMP6;
	send_down(s, id, &d);
	d.proto = REF_UDP;
	assert_int_equal(s->n_captured, 0);
	assert_int_equal(session_drops(s, DROP_STALE_FRAME), 3);
	send_down(s, id, &d);
	(void)expect_down(s, 1);
}

static void datagram_for_an_association_that_is_gone_is_counted(void **state)
{
	struct sim *s = *state;
	struct up u = udp(10);

	(void)send_up(s, &u);
	struct frame_dgram d = s->far.last_dgram;
	send_down(s, s->far.last_dgram_id + 1, &d);
	assert_int_equal(session_drops(s, DROP_STALE_FRAME), 1);
	run_for(s, 400 * SECOND);
	send_down(s, s->far.last_dgram_id, &d);
	assert_int_equal(session_drops(s, DROP_STALE_FRAME), 2);
	assert_int_equal(s->n_captured, 0);
}

static void too_long_a_datagram_is_dropped(void **state)
{
	struct sim *s = *state;
	struct up u = udp(10);
	static const uint8_t bytes[FRAME_DGRAM_MAX];

	(void)send_up(s, &u);
	struct frame_dgram d = s->far.last_dgram;
	d.payload = bytes;
	d.payload_len = 65508;
	send_down(s, s->far.last_dgram_id, &d);
	assert_int_equal(s->n_captured, 0);
	assert_int_equal(drops(s, DROP_BAD_LENGTH), 1);
}

struct idle {
	bool is_echo;
	uint16_t port;
	unsigned alive_s, gone_s;
};

static void associations_end_when_idle(void **state)
{
	static const struct idle cases[] = {
		{false, FAR_PORT, 120, 200},
		{false, 53, 10, 60},
		{true, 0, 60, 70},
	};
	struct sim *s = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct up u = cases[i].is_echo ? echo(s, 10) : udp(10);
		const struct flowplane_stats *stats = flowplane_stats(s->plane);

		u.far_port = cases[i].port;
		s->far.n_assoc_closed = 0;
		(void)send_up(s, &u);
		run_for(s, (cases[i].alive_s - 1) * SECOND);
		assert_int_equal(stats->udp_flows + stats->echo_flows, 1);
		(void)send_up(s, &u); /* prolongs it */
		run_for(s, (cases[i].alive_s - 1) * SECOND);
		assert_int_equal(stats->udp_flows + stats->echo_flows, 1);
		assert_int_equal(s->far.n_assoc_closed, 0);
		run_for(s, (cases[i].gone_s - cases[i].alive_s + 1) * SECOND);
		assert_int_equal(stats->udp_flows + stats->echo_flows, 0);
		assert_int_equal(s->far.n_assoc_closed, 1);
	}
}

static void association_closed_by_the_far_end_is_made_anew(void **state)
{
	struct sim *s = *state;
	struct up u = udp(10);

	(void)send_up(s, &u);
	uint32_t id = s->far.last_dgram_id;
	session_send_assoc_close(s->far.session, id, FRAME_REASON_NO_RESOURCES);
	run_for(s, 5 * MS);
	assert_int_equal(flowplane_stats(s->plane)->udp_flows, 0);
	(void)send_up(s, &u);
	assert_int_not_equal(s->far.last_dgram_id, id);
	session_send_assoc_close(s->far.session, id, FRAME_REASON_NONE);
	run_for(s, 5 * MS);
	assert_int_equal(flowplane_stats(s->plane)->udp_flows, 1);
}

static void datagrams_wait_within_bounds(void **state)
{
	struct sim *s = *state;
	struct up u = udp(1000);
	static uint8_t out[SEG_PACKET_MAX];
	size_t len = build_up(s, &u, out);
	unsigned refused = 0;

	sim_pipe_stall(s->pipe, 500 * MS);
	for (int i = 0; i < 3000; i++)
		refused += sim_tun_up(s, out, len) == DROP_QUEUE_FULL;
	assert_in_range(refused, 2000, 2999);
	assert_int_equal(drops(s, DROP_QUEUE_FULL), refused);
	run_for(s, SECOND);
	assert_int_equal(s->far.n_dgrams, 3000 - refused);
}

/* ---- pings ---- */

static void ping_goes_there_and_back(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	const size_t sizes[] = {0, 56, 1, 60000};
	unsigned n = 0;

	s->far.echo_dgrams = true;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct up u = echo(s, sizes[i]);

		u.far_port = (uint16_t)(i * 1000);
		assert_int_equal(send_up(s, &u), DROP_NONE);
		struct down d = expect_down(s, ++n);
		assert_int_equal(d.l4[0], is4 ? 0 : 129);
		assert_int_equal(d.l4[1], 0);
		assert_int_equal(ref_get16(d.l4 + 4), 321);
		assert_int_equal(ref_get16(d.l4 + 6), i * 1000);
		assert_int_equal(d.l4_len, 8 + sizes[i]);
		assert_payload(d.l4 + 8, sizes[i]);
	}
	assert_int_equal(flowplane_stats(s->plane)->echo_flows, 1);
}

static void other_icmp_is_dropped_in_silence(void **state)
{
	static const uint8_t types4[] = {0, 3, 5, 11, 13, 17};
	static const uint8_t types6[] = {1, 2, 3, 129, 133, 134, 135, 136, 137};
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	size_t n = is4 ? sizeof(types4) : sizeof(types6);

	for (size_t i = 0; i < n; i++) {
		struct up u = echo(s, 40);

		u.icmp_type = is4 ? types4[i] : types6[i];
		if (u.icmp_type == 0)
			continue; /* stands for the usual here */
		assert_int_equal(send_up(s, &u), DROP_ICMP_OTHER);
	}
	assert_int_equal(s->n_captured, 0);
	assert_int_equal(s->far.n_dgrams, 0);
}

/* ---- ICMP errors from the gateway ---- */

/* The quote must be the beginning of the packet that was sent. */
static void expect_error(struct sim *s, unsigned n, const struct up *u,
			 uint8_t type, uint8_t code, uint32_t info)
{
	static uint8_t sent[SEG_PACKET_MAX];
	size_t sent_len = build_up(s, u, sent) - SEG_VNET_LEN;
	struct down d = expect_down(s, n);
	bool is4 = s->near_addr.version == IPV4;
	size_t quote_len = d.l4_len - 8;

	assert_int_equal(d.proto, is4 ? REF_ICMP : REF_ICMP6);
	assert_int_equal(d.l4[0], type);
	assert_int_equal(d.l4[1], code);
	assert_int_equal((uint32_t)ref_get16(d.l4 + 4) << 16 |
				 ref_get16(d.l4 + 6),
			 info);
	assert_true(addr_equal(&d.src, &s->gateway));
	size_t most = is4 ? 576 - 28 : 1280 - 48;
	assert_int_equal(quote_len, sent_len < most ? sent_len : most);
	assert_memory_equal(d.l4 + 8, sent + SEG_VNET_LEN, quote_len);
}

static void last_hop_is_the_gateway(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	const size_t sizes[] = {0, 32, 1400};

	for (unsigned i = 0; i < 3; i++) {
		struct up u = udp(sizes[i]);

		u.ttl = 1;
		assert_int_equal(send_up(s, &u), DROP_TTL_EXCEEDED);
		expect_error(s, i + 1, &u, is4 ? 11 : 3, 0, 0);
	}
	struct up ping = echo(s, 56);
	ping.ttl = 1;
	assert_int_equal(send_up(s, &ping), DROP_TTL_EXCEEDED);
	expect_error(s, 4, &ping, is4 ? 11 : 3, 0, 0);
	assert_int_equal(s->far.n_dgrams, 0);
	struct up beyond = udp(32);
	beyond.ttl = 2;
	assert_int_equal(send_up(s, &beyond), DROP_NONE);
	assert_int_equal(s->far.last_dgram.ttl, 1);
	assert_int_equal(drops(s, DROP_TTL_EXCEEDED), 4);
}

static void unknown_protocol_is_unreachable(void **state)
{
	static const uint8_t protos[] = {47, 50, 132, 2, 89, 253};
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;

	for (unsigned i = 0; i < sizeof(protos); i++) {
		struct up u = {.proto = protos[i], .payload_len = 100};

		if (protos[i] == 50 && !is4)
			u.proto = 254;
		assert_int_equal(send_up(s, &u), DROP_PROTOCOL);
		/* IPv6: the pointer to the byte that names it. */
		expect_error(s, i + 1, &u, is4 ? 3 : 4, is4 ? 2 : 1,
			     is4 ? 0 : 6);
	}
}

static void protocol_of_the_other_family_is_unknown_too(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	struct up u = {.proto = is4 ? REF_ICMP6 : REF_ICMP, .payload_len = 8};

	assert_int_equal(send_up(s, &u), DROP_PROTOCOL);
	expect_error(s, 1, &u, is4 ? 3 : 4, is4 ? 2 : 1, is4 ? 0 : 6);
}

static void destinations_that_are_no_host_are_dropped_in_silence(void **state)
{
	static const char *const texts4[] = {"224.0.0.251", "239.1.2.3",
					     "255.255.255.255", "127.0.0.1",
					     "0.0.0.0"};
	static const char *const texts6[] = {"ff02::fb", "ff0e::1", "::1",
					     "::", "fe80::1"};
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;

	for (size_t i = 0; i < 5; i++) {
		struct ip_addr dst;
		struct up u = udp(10);

		assert_int_equal(addr_parse(is4 ? texts4[i] : texts6[i], &dst),
				 0);
		u.dst = &dst;
		assert_int_equal(send_up(s, &u), DROP_BAD_DESTINATION);
		u.ttl = 1;
		assert_int_equal(send_up(s, &u), DROP_BAD_DESTINATION);
	}
	assert_int_equal(s->n_captured, 0);
	assert_int_equal(s->far.n_dgrams, 0);
}

static void without_a_session_the_network_is_unreachable(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	struct up u = udp(10), ping = echo(s, 10);

	(void)send_up(s, &u);
	(void)send_up(s, &ping);
	assert_int_equal(flowplane_stats(s->plane)->udp_flows, 1);
	sim_pipe_break(s->pipe, "cut");
	run_for(s, 5 * MS);
	assert_true(s->is_down);
	assert_int_equal(flowplane_stats(s->plane)->udp_flows, 0);
	assert_int_equal(flowplane_stats(s->plane)->echo_flows, 0);
	assert_int_equal(send_up(s, &u), DROP_NO_SESSION);
	expect_error(s, 1, &u, is4 ? 3 : 1, 0, 0);
	assert_int_equal(send_up(s, &ping), DROP_NO_SESSION);
	expect_error(s, 2, &ping, is4 ? 3 : 1, 0, 0);
}

static void family_the_far_host_lacks_is_unreachable(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	struct up u = udp(10);

	s->plane->capabilities &=
		~(uint32_t)(is4 ? FRAME_CAP_IPV4 : FRAME_CAP_IPV6);
	assert_int_equal(send_up(s, &u), DROP_POLICY);
	expect_error(s, 1, &u, is4 ? 3 : 1, 0, 0);
	assert_int_equal(s->far.n_dgrams, 0);
}

static void errors_are_limited_in_number(void **state)
{
	struct sim *s = *state;
	struct up u = udp(10);
	static uint8_t out[SEG_PACKET_MAX];

	u.ttl = 1;
	size_t len = build_up(s, &u, out);
	for (int i = 0; i < 5000; i++)
		(void)sim_tun_up(s, out, len);
	run_for(s, 10 * MS);
	assert_in_range(s->n_captured, 100, 300);
	assert_int_equal(drops(s, DROP_ICMP_RATE), 5000 - s->n_captured);
	assert_int_equal(drops(s, DROP_TTL_EXCEEDED), 5000);
	unsigned before = s->n_captured;
	for (int i = 0; i < 2000; i++) { /* over a second */
		(void)sim_tun_up(s, out, len);
		run_for(s, 500);
	}
	assert_in_range(s->n_captured - before, 500, 1500);
}

static void errors_without_a_gateway_address_come_from_the_destination(
	void **state)
{
	struct sim *s = *state;
	struct up u = udp(10);

	s->plane->gateway4 = s->plane->gateway6 = (struct ip_addr){0};
	u.ttl = 1;
	(void)send_up(s, &u);
	struct down d = expect_down(s, 1);
	assert_true(addr_equal(&d.src, &s->far_addr));
}

/* ---- ICMP errors from beyond ---- */

struct beyond {
	uint8_t type4, code4, type6, code6;
	uint32_t info;
	bool has_offender, is_valid;
};

static const struct beyond beyonds[] = {
	{3, 3, 1, 4, 0, false, true},	/* port unreachable, the host */
	{3, 1, 1, 3, 0, true, true},	/* host unreachable, a router */
	{11, 0, 3, 0, 0, true, true},	/* TTL exceeded on the way */
	{3, 4, 2, 0, 1400, true, true}, /* too big */
	{3, 13, 1, 1, 0, true, true},	/* prohibited */
	{8, 0, 128, 0, 0, true, false}, /* no errors at all */
	{0, 0, 129, 0, 0, true, false}, {5, 1, 137, 0, 0, true, false},
};

static void check_quote(const struct sim *s, const struct down *d,
			const struct up *u)
{
	bool is4 = s->near_addr.version == IPV4;
	const uint8_t *q = d->l4 + 8;
	const uint8_t *l4 = q + (is4 ? 20 : 40);

	assert_int_equal(q[0] >> 4, s->near_addr.version);
	assert_int_equal(q[is4 ? 9 : 6], u->proto);
	assert_memory_equal(q + (is4 ? 12 : 8), s->near_addr.bytes,
			    is4 ? 4 : 16);
	assert_memory_equal(q + (is4 ? 16 : 24), s->far_addr.bytes,
			    is4 ? 4 : 16);
	assert_int_equal(is4 ? ref_get16(q + 2) - 20U : ref_get16(q + 4),
			 8 + u->payload_len);
	if (is4)
		assert_int_equal(ref_sum(0, q, 20), 0xffff);
	if (u->proto == REF_UDP) {
		assert_int_equal(ref_get16(l4), u->near_port);
		assert_int_equal(ref_get16(l4 + 2), u->far_port);
		assert_int_equal(ref_get16(l4 + 4), 8 + u->payload_len);
	} else {
		assert_int_equal(l4[0], is4 ? 8 : 128);
		assert_int_equal(ref_get16(l4 + 4), u->near_port);
		assert_int_equal(ref_get16(l4 + 6), u->far_port);
	}
}

static void relay(struct sim *s, const struct up *u, const struct beyond *b,
		  unsigned *n)
{
	bool is4 = s->near_addr.version == IPV4;
	struct frame_icmp_error e = {
		.proto = u->proto,
		.type = is4 ? b->type4 : b->type6,
		.code = is4 ? b->code4 : b->code6,
		.info = b->info,
		.remote = {s->far_addr, u->far_port},
		.payload_len = (uint16_t)u->payload_len,
	};

	if (b->has_offender)
		assert_int_equal(
			addr_parse(is4 ? "10.11.12.13" : "2001:db8:7::1",
				   &e.offender),
			0);
	session_send_icmp_error(s->far.session, s->far.last_dgram_id, &e);
	run_for(s, 5 * MS);
	if (!b->is_valid) {
		assert_int_equal(s->n_captured, *n);
		return;
	}
	struct down d = expect_down(s, ++*n);
	assert_int_equal(d.proto, is4 ? REF_ICMP : REF_ICMP6);
	assert_int_equal(d.l4[0], e.type);
	assert_int_equal(d.l4[1], e.code);
	assert_int_equal(ref_get16(d.l4 + 6), b->info);
	assert_true(addr_equal(&d.src,
			       b->has_offender ? &e.offender : &s->gateway));
	check_quote(s, &d, u);
}

static void errors_from_beyond_quote_what_was_sent(void **state)
{
	struct sim *s = *state;
	unsigned n = 0;

	for (int is_echo = 0; is_echo < 2; is_echo++) {
		struct up u = is_echo ? echo(s, 56) : udp(700);

		(void)send_up(s, &u);
		for (size_t i = 0; i < sizeof(beyonds) / sizeof(*beyonds); i++)
			relay(s, &u, &beyonds[i], &n);
	}
}

static void error_about_somebody_never_sent_to_is_not_believed(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	struct up u = udp(10);

	(void)send_up(s, &u);
	struct frame_icmp_error e = {.proto = REF_UDP,
				     .type = is4 ? 3 : 1,
				     .code = is4 ? 3 : 4,
				     .remote = {s->far_addr, FAR_PORT + 1},
				     .payload_len = 10};
	session_send_icmp_error(s->far.session, s->far.last_dgram_id, &e);
	e.remote.port--;
	session_send_icmp_error(s->far.session, s->far.last_dgram_id + 1, &e);
	e.proto = REF_TCP;
	session_send_icmp_error(s->far.session, s->far.last_dgram_id, &e);
	run_for(s, 5 * MS);
	assert_int_equal(s->n_captured, 0);
	assert_int_equal(session_drops(s, DROP_STALE_FRAME), 3);
}

/* ---- fragments ---- */

/* Cut a packet (virtio header first) into pieces of at most step bytes of IP
 * payload and hand them to the plane in this order. */
static size_t cut(const uint8_t *whole, size_t len, size_t from, size_t step,
		  uint8_t *out)
{
	const uint8_t *ip = whole + SEG_VNET_LEN;
	bool is4 = ip[0] >> 4 == 4;
	size_t ip_len = is4 ? 20 : 40;
	size_t all = len - SEG_VNET_LEN - ip_len;
	size_t n = all - from < step ? all - from : step;
	bool has_more = from + n < all;
	size_t head = SEG_VNET_LEN + ip_len;

	memset(out, 0, SEG_VNET_LEN);
	memcpy(out + SEG_VNET_LEN, ip, ip_len);
	uint8_t *o = out + SEG_VNET_LEN;
	if (is4) {
		ref_put16(o + 2, ip_len + n);
		ref_put16(o + 4, 0x1234);
		ref_put16(o + 6, (has_more ? 0x2000 : 0) | from / 8);
		ref_fix_ip4(o);
	} else {
		ref_put16(o + 4, 8 + n);
		out[head] = o[6];
		out[head + 1] = 0;
		ref_put16(out + head + 2, from | (has_more ? 1 : 0));
		memcpy(out + head + 4, "\1\2\3\4", 4);
		o[6] = 44;
		head += 8;
	}
	memcpy(out + head, ip + ip_len + from, n);
	return head + n;
}

static void fragments_become_one_datagram(void **state)
{
	struct sim *s = *state;
	static uint8_t whole[SEG_PACKET_MAX], piece[SEG_PACKET_MAX];
	const size_t sizes[] = {2000, 9000, 65000};
	unsigned n = 0;

	for (size_t i = 0; i < 3; i++) {
		struct up u = udp(sizes[i]);

		for (int is_backward = 0; is_backward < 2; is_backward++) {
			size_t len = build_up(s, &u, whole);
			size_t all = 8 + sizes[i];
			size_t pieces = (all + 1399) / 1400;

			for (size_t k = 0; k < pieces; k++) {
				size_t at = is_backward ? pieces - 1 - k : k;
				size_t piece_len =
					cut(whole, len, at * 1400, 1400, piece);

				assert_int_equal(
					sim_tun_up(s, piece, piece_len),
					DROP_NONE);
			}
			run_for(s, 5 * MS);
			assert_int_equal(s->far.n_dgrams, ++n);
			assert_int_equal(s->far.last_dgram.payload_len,
					 sizes[i]);
			assert_payload(s->far.last_payload, sizes[i]);
			assert_false(s->far.last_dgram.df);
		}
	}
}

static void fragments_of_a_ping_are_answered_whole(void **state)
{
	struct sim *s = *state;
	static uint8_t whole[SEG_PACKET_MAX], piece[SEG_PACKET_MAX];
	struct up u = echo(s, 3000);
	size_t len = build_up(s, &u, whole);

	s->far.echo_dgrams = true;
	for (size_t at = 0; at < 3008; at += 1400)
		(void)sim_tun_up(s, piece, cut(whole, len, at, 1400, piece));
	run_for(s, 5 * MS);
	struct down d = expect_down(s, 1);
	assert_int_equal(d.l4_len, 3008);
	assert_payload(d.l4 + 8, 3000);
}

static void fragments_that_overlap_are_dropped(void **state)
{
	struct sim *s = *state;
	static uint8_t whole[SEG_PACKET_MAX], piece[SEG_PACKET_MAX];
	struct up u = udp(3000);
	size_t len = build_up(s, &u, whole);

	(void)sim_tun_up(s, piece, cut(whole, len, 0, 1400, piece));
	assert_int_equal(
		sim_tun_up(s, piece, cut(whole, len, 1392, 1400, piece)),
		DROP_FRAGMENT_OVERLAP);
	(void)sim_tun_up(s, piece, cut(whole, len, 1400, 1400, piece));
	(void)sim_tun_up(s, piece, cut(whole, len, 2800, 1400, piece));
	run_for(s, 5 * MS);
	assert_int_equal(s->far.n_dgrams, 0);
}

/* ---- limits and statistics ---- */

static void table_is_bounded(void **state)
{
	struct sim *s = *state;
	static uint8_t out[SEG_PACKET_MAX];
	unsigned refused = 0;

	for (unsigned i = 0; i < FLOWPLANE_FLOWS_MAX + 100; i++) {
		struct up u = udp(0);

		u.near_port = (uint16_t)(i + 1);
		refused += sim_tun_up(s, out, build_up(s, &u, out)) ==
			   DROP_FLOW_LIMIT;
	}
	assert_int_equal(flowplane_stats(s->plane)->udp_flows,
			 FLOWPLANE_FLOWS_MAX);
	assert_int_equal(refused, 100);
	run_for(s, 400 * SECOND);
	assert_int_equal(flowplane_stats(s->plane)->udp_flows, 0);
}

static void packets_the_tun_refuses_are_counted(void **state)
{
	struct sim *s = *state;
	struct up u = udp(10);

	s->far.echo_dgrams = true;
	s->config.down.refuse_ppm = 1000000;
	(void)send_up(s, &u);
	assert_int_equal(drops(s, DROP_TUN_WRITE), 1);
	assert_int_equal(flowplane_stats(s->plane)->tun_tx_packets, 0);
}

static void packets_and_bytes_are_counted_without_the_virtio_header(
	void **state)
{
	struct sim *s = *state;
	size_t headers = s->near_addr.version == IPV4 ? 28 : 48;
	struct up u = udp(100);

	s->far.echo_dgrams = true;
	(void)send_up(s, &u);
	const struct flowplane_stats *stats = flowplane_stats(s->plane);
	assert_int_equal(stats->tun_rx_packets, 1);
	assert_int_equal(stats->tun_rx_bytes, headers + 100);
	assert_int_equal(stats->tun_tx_packets, 1);
	assert_int_equal(stats->tun_tx_bytes, headers + 100);
}

static void damaged_packets_are_counted_by_reason(void **state)
{
	struct sim *s = *state;
	static uint8_t out[SEG_PACKET_MAX];
	struct up u = udp(100);
	size_t len = build_up(s, &u, out);

	for (size_t i = 0; i < len; i++)
		assert_int_not_equal(sim_tun_up(s, out, i), DROP_NONE);
	out[len - 1] ^= 1;
	assert_int_equal(sim_tun_up(s, out, len), DROP_BAD_CHECKSUM);
	out[SEG_VNET_LEN] = 0x75;
	assert_int_equal(sim_tun_up(s, out, len), DROP_BAD_VERSION);
	run_for(s, 5 * MS);
	assert_int_equal(s->far.n_dgrams, 0);
	assert_int_equal(s->n_captured, 0);
}

#define BOTH(name)                                       \
	{#name "_4", name, setup4, teardown, NULL},      \
	{                                                \
#name "_6", name, setup6, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(datagram_goes_up_as_it_is_with_a_hop_taken_off),
		BOTH(datagrams_of_all_sizes_go_there_and_back),
		BOTH(ttl_and_tos_of_an_answer_are_carried),
		BOTH(who_is_talked_to_is_in_use),
		BOTH(super_packet_is_many_datagrams),
		BOTH(mapping_is_by_source_alone),
		BOTH(only_who_was_sent_to_may_answer),
		BOTH(datagram_for_an_association_that_is_gone_is_counted),
		cmocka_unit_test_setup_teardown(too_long_a_datagram_is_dropped,
						setup4, teardown),
		BOTH(associations_end_when_idle),
		BOTH(association_closed_by_the_far_end_is_made_anew),
		BOTH(datagrams_wait_within_bounds),
		BOTH(ping_goes_there_and_back),
		BOTH(other_icmp_is_dropped_in_silence),
		BOTH(last_hop_is_the_gateway),
		BOTH(unknown_protocol_is_unreachable),
		BOTH(protocol_of_the_other_family_is_unknown_too),
		BOTH(destinations_that_are_no_host_are_dropped_in_silence),
		BOTH(without_a_session_the_network_is_unreachable),
		BOTH(family_the_far_host_lacks_is_unreachable),
		BOTH(errors_are_limited_in_number),
		BOTH(errors_without_a_gateway_address_come_from_the_destination),
		BOTH(errors_from_beyond_quote_what_was_sent),
		BOTH(error_about_somebody_never_sent_to_is_not_believed),
		BOTH(fragments_become_one_datagram),
		BOTH(fragments_of_a_ping_are_answered_whole),
		BOTH(fragments_that_overlap_are_dropped),
		BOTH(table_is_bounded),
		BOTH(packets_the_tun_refuses_are_counted),
		BOTH(packets_and_bytes_are_counted_without_the_virtio_header),
		BOTH(damaged_packets_are_counted_by_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
