/* SPDX-License-Identifier: MIT */
/* test_packet_plane: src/flow/packet_plane and packet_track: what is carried as
 * whole packets, and what is let in. */
#include <stdlib.h>

#include "pkt.h"
#include "scenario.h"
#include "vnet.h"

enum {
	MS = 1000,
	GRE = 47,
	NOBODY = 253,
	NEAR_PORT = 5353,
	FAR_PORT = 7777,
	FAR_MTU = 1400,
	V = SEG_VNET_LEN,
	ALL = FRAME_CAP_ECHO | FRAME_CAP_ECHO6 | FRAME_CAP_IPV4 |
	      FRAME_CAP_IPV6 | FRAME_CAP_TCP | FRAME_CAP_UDP |
	      FRAME_CAP_NETWORK,
};

/* ---- the plane ---- */

static struct ip_addr address(const struct sim *s, const char *v4,
			      const char *v6)
{
	struct ip_addr a;

	assert_int_equal(addr_parse(s->near_addr.version == IPV4 ? v4 : v6, &a),
			 0);
	return a;
}

static void set_network(struct sim *s, bool allow_inbound)
{
	struct subnet asked[2], announced;
	struct flowplane_network n = {
		.announced = &announced,
		.n_announced = 1,
		.asked = asked,
		.n_asked = 2,
		.allow_inbound = allow_inbound,
	};

	assert_int_equal(subnet_parse("198.51.100.0/24", &asked[0], NULL, NULL),
			 0);
	assert_int_equal(subnet_parse("2001:db8:b::/64", &asked[1], NULL, NULL),
			 0);
	assert_int_equal(subnet_parse(s->near_addr.version == IPV4
					      ? "10.7.0.0/16"
					      : "2001:db8:7::/64",
				      &announced, NULL, NULL),
			 0);
	*(s->near_addr.version == IPV4 ? &n.near4 : &n.near6) = s->near_addr;
	assert_int_equal(flowplane_set_network(s->plane, &n), 0);
}

static void tell_state(struct sim *s, enum frame_network_status status)
{
	struct frame_network_state state = {.status = status,
					    .text = "as root"};

	state.mtu_bytes = status == FRAME_NETWORK_UP ? FAR_MTU : 0;
	session_send_network_state(s->far.session, &state);
	run_for(s, 5 * MS);
}

static void bring_up(struct sim *s)
{
	struct frame_network n = {.mtu_bytes = 1500};

	flowplane_request_network(s->plane, &n);
	run_for(s, 5 * MS);
	assert_int_equal(s->far.n_networks, 1);
	tell_state(s, FRAME_NETWORK_UP);
}

static int setup_version(void **state, enum ip_version version, uint32_t caps)
{
	static const struct sim_rule rules[] = {
		{.port = FAR_PORT, .verdict = SIM_SILENT}, {0}};
	struct sim_config config = {
		.version = version,
		.rules = rules,
		.link = {.delay_us = 1000},
		.capabilities = caps,
	};
	struct sim *s = sim_new(&config, 1);

	s->has_raw_tun = true;
	set_network(s, false);
	*state = s;
	return 0;
}

static int setup_up(void **state, enum ip_version version, uint32_t caps)
{
	(void)setup_version(state, version, caps);
	bring_up(*state);
	return 0;
}

static int setup4(void **state)
{
	return setup_up(state, IPV4, ALL);
}

static int setup6(void **state)
{
	return setup_up(state, IPV6, ALL);
}

/* The far end carries nothing but packets. */
static int setup4_bare(void **state)
{
	return setup_up(state, IPV4, FRAME_CAP_NETWORK);
}

static int setup6_bare(void **state)
{
	return setup_up(state, IPV6, FRAME_CAP_NETWORK);
}

static int setup4_down(void **state)
{
	return setup_version(state, IPV4, ALL);
}

static int setup4_bare_down(void **state)
{
	return setup_version(state, IPV4, FRAME_CAP_IPV4);
}

static int teardown(void **state)
{
	*state = sim_free(*state);
	return 0;
}

/* ---- packets ---- */

/* 0: the usual. */
struct spec {
	uint8_t proto;
	const struct ip_addr *src, *dst;
	uint16_t src_port, dst_port; /* echo: dst_port is the identifier */
	uint8_t tcp_flags, icmp_type, ttl;
	uint16_t frag, gso_size;
	bool df;
	size_t payload_len;
	const uint8_t *payload;
};

static size_t l4_header_len(const struct spec *spec)
{
	return spec->proto == REF_TCP ? 24 : 8;
}

static void put_l4(const struct spec *spec, uint8_t *l4, size_t l4_len)
{
	memset(l4, 0x33, l4_len);
	if (spec->payload)
		memcpy(l4 + l4_header_len(spec), spec->payload,
		       spec->payload_len);
	if (spec->proto == REF_ICMP || spec->proto == REF_ICMP6) {
		memset(l4, 0, 8);
		l4[0] = spec->icmp_type;
		ref_put16(l4 + 4, spec->dst_port);
		return;
	}
	ref_put16(l4, spec->src_port);
	ref_put16(l4 + 2, spec->dst_port);
	if (spec->proto == REF_UDP) {
		ref_put16(l4 + 4, l4_len);
	} else if (spec->proto == REF_TCP) {
		l4[12] = 0x60;
		l4[13] = spec->tcp_flags;
		memcpy(l4 + 20, "\2\4\5\xb4", 4); /* MSS 1460 */
	}
}

/* Write an IP packet; returns its length. */
static size_t build_ip(const struct spec *spec, const struct ip_addr *src,
		       const struct ip_addr *dst, uint8_t *ip)
{
	bool is4 = src->version == IPV4;
	size_t l4_len = l4_header_len(spec) + spec->payload_len;
	size_t at = ref_put_ip(ip, src->version, spec->proto, l4_len);

	memcpy(ip + (is4 ? 12 : 8), src->bytes, is4 ? 4 : 16);
	memcpy(ip + (is4 ? 16 : 24), dst->bytes, is4 ? 4 : 16);
	ip[is4 ? 8 : 7] = spec->ttl ? spec->ttl : 64;
	put_l4(spec, ip + at, l4_len);
	if (is4) {
		bool df = spec->df || (spec->proto == REF_TCP && !spec->frag);
		ref_put16(ip + 6, spec->frag | (df ? 0x4000U : 0U));
		ref_fix_ip4(ip);
	}
	if (spec->proto == REF_TCP || spec->proto == REF_UDP ||
	    spec->proto == REF_ICMP || spec->proto == REF_ICMP6)
		ref_fix_l4(ip, spec->proto, ip + at, l4_len);
	return at + l4_len;
}

static struct frame_packet offload_of(const struct spec *spec,
				      const uint8_t *ip, size_t len)
{
	bool is4 = ip[0] >> 4 == 4;
	uint16_t at = is4 ? 20 : 40;
	struct frame_packet p = {.ip = ip, .ip_len = len};

	if (!spec->gso_size)
		return p;
	p.flags = 1;
	p.gso_type = spec->proto == REF_UDP ? 5 : is4 ? 1 : 4;
	p.gso_size = spec->gso_size;
	p.hdr_len = (uint16_t)(at + l4_header_len(spec));
	p.csum_start = at;
	p.csum_offset = (uint16_t)ref_csum_offset(spec->proto);
	return p;
}

static uint8_t sent[V + 65575];
static size_t sent_len; /* of the IP packet at sent + V */

static enum drop_reason send_up(struct sim *s, const struct spec *spec)
{
	uint8_t vnet[V];

	sent_len = build_ip(spec, spec->src ? spec->src : &s->near_addr,
			    spec->dst ? spec->dst : &s->far_addr, sent + V);
	struct frame_packet p = offload_of(spec, sent + V, sent_len);
	vnet_build(vnet, &p);
	memcpy(sent, vnet, V);
	enum drop_reason reason = sim_tun_up(s, sent, V + sent_len);
	run_for(s, 5 * MS);
	return reason;
}

static void send_down(struct sim *s, const struct spec *spec)
{
	sent_len = build_ip(spec, spec->src ? spec->src : &s->far_addr,
			    spec->dst ? spec->dst : &s->near_addr, sent + V);
	struct frame_packet p = offload_of(spec, sent + V, sent_len);
	assert_int_equal(
		session_send_packet(s->far.session, &s->far.packets, &p),
		DROP_NONE);
	run_for(s, 5 * MS);
}

static uint64_t drops(const struct sim *s, enum drop_reason reason)
{
	return flowplane_stats(s->plane)->drops[reason];
}

/* It arrived whole: the nth at the far end. */
static void expect_up(struct sim *s, const struct spec *spec, unsigned n)
{
	bool is4 = s->near_addr.version == IPV4;
	size_t ttl_at = is4 ? 8 : 7;

	assert_int_equal(send_up(s, spec), DROP_NONE);
	assert_int_equal(s->far.n_packets, n);
	assert_int_equal(s->far.last_packet.ip_len, sent_len);
	const uint8_t *got = s->far.last_packet_ip;
	assert_int_equal(got[ttl_at], sent[V + ttl_at] - 1);
	if (is4)
		assert_int_equal(ref_sum(0, got, 20), 0xffff);
	assert_memory_equal(got + 12, sent + V + 12, 8);
	assert_int_equal(vnet_check(&s->far.last_packet), DROP_NONE);
}

static void expect_let_in(struct sim *s, const struct spec *spec)
{
	unsigned n = s->n_captured;

	send_down(s, spec);
	assert_int_equal(s->n_captured, n + 1);
	const struct sim_captured *c = sim_captured(s, 0);
	assert_int_equal(c->len, V + sent_len);
	if (spec->proto != REF_TCP)
		assert_memory_equal(c->bytes + V, sent + V, sent_len);
}

static void expect_kept_out(struct sim *s, const struct spec *spec,
			    enum drop_reason reason)
{
	unsigned n = s->n_captured;
	uint64_t before = drops(s, reason);

	send_down(s, spec);
	assert_int_equal(s->n_captured, n);
	if (drops(s, reason) != before + 1)
		fail_msg("not counted as %s", drop_reason_name(reason));
}

static uint8_t icmp_of(const struct sim *s)
{
	return s->near_addr.version == IPV4 ? REF_ICMP : REF_ICMP6;
}

static struct spec echo(const struct sim *s, bool is_reply)
{
	bool is4 = s->near_addr.version == IPV4;
	uint8_t request = is4 ? 8 : 128, reply = is4 ? 0 : 129;

	return (struct spec){.proto = icmp_of(s),
			     .icmp_type = is_reply ? reply : request,
			     .dst_port = 99,
			     .payload_len = 56};
}

static struct spec up_of(uint8_t proto)
{
	return (struct spec){.proto = proto,
			     .src_port = NEAR_PORT,
			     .dst_port = FAR_PORT,
			     .tcp_flags = SEG_SYN,
			     .payload_len = proto == REF_TCP ? 0 : 100};
}

static struct spec down_of(uint8_t proto)
{
	return (struct spec){.proto = proto,
			     .src_port = FAR_PORT,
			     .dst_port = NEAR_PORT,
			     .tcp_flags = SEG_SYN | SEG_ACK,
			     .payload_len = proto == REF_TCP ? 0 : 100};
}

/* ---- which plane ---- */

static void protocols_without_flow_are_carried_whole(void **state)
{
	struct sim *s = *state;
	struct spec gre = up_of(GRE), other = up_of(NOBODY);

	expect_up(s, &gre, 1);
	expect_up(s, &other, 2);
	assert_int_equal(flowplane_stats(s->plane)->plane_up_packets, 2);
}

static void flows_stay_flows(void **state)
{
	struct sim *s = *state;
	struct spec tcp = up_of(REF_TCP), udp = up_of(REF_UDP),
		    ping = echo(s, false);

	assert_int_equal(send_up(s, &tcp), DROP_NONE);
	assert_int_equal(send_up(s, &udp), DROP_NONE);
	assert_int_equal(send_up(s, &ping), DROP_NONE);
	assert_int_equal(s->far.n_packets, 0);
	assert_int_equal(s->far.n_opened, 1);
	assert_int_equal(s->far.n_dgrams, 2);
}

static void what_the_far_end_cannot_is_carried_whole(void **state)
{
	struct sim *s = *state;
	struct spec tcp = up_of(REF_TCP), udp = up_of(REF_UDP),
		    ping = echo(s, false);

	expect_up(s, &tcp, 1);
	expect_up(s, &udp, 2);
	expect_up(s, &ping, 3);
	assert_int_equal(s->far.n_opened + s->far.n_dgrams, 0);
}

static void names_stay_with_the_relay(void **state)
{
	struct sim *s = *state;
	struct spec dns = up_of(REF_UDP);

	s->plane->capabilities |= FRAME_CAP_IPV4;
	dns.dst_port = 53;
	assert_int_equal(send_up(s, &dns), DROP_NONE);
	assert_int_equal(s->far.n_dgrams, 1);
	assert_int_equal(s->far.n_packets, 0);
}

static void everything_goes_whole_if_so_told(void **state)
{
	struct sim *s = *state;
	struct spec tcp = up_of(REF_TCP), udp = up_of(REF_UDP),
		    ping = echo(s, false), piece = up_of(REF_UDP);

	flowplane_set_plane(s->plane, FLOWPLANE_PLANE_PACKET);
	udp.dst_port = 53;
	expect_up(s, &tcp, 1);
	expect_up(s, &udp, 2);
	expect_up(s, &ping, 3);
	if (s->near_addr.version == IPV6)
		return;
	piece.frag = 0x2000; /* goes on as it is */
	piece.payload_len = 96;
	expect_up(s, &piece, 4);
}

static void nothing_goes_whole_if_so_told(void **state)
{
	struct sim *s = *state;
	struct spec gre = up_of(GRE);

	flowplane_set_plane(s->plane, FLOWPLANE_PLANE_FLOW);
	assert_int_equal(send_up(s, &gre), DROP_PROTOCOL);
	assert_int_equal(s->far.n_packets, 0);
	assert_int_equal(s->n_captured, 1);
}

static void expect_unreachable(struct sim *s, const struct spec *spec,
			       uint8_t code, enum drop_reason reason)
{
	unsigned n = s->n_captured;

	assert_int_equal(send_up(s, spec), reason);
	assert_int_equal(s->n_captured, n + 1);
	const uint8_t *icmp = sim_captured(s, 0)->bytes + V + 20;
	assert_int_equal(icmp[0], 3);
	assert_int_equal(icmp[1], code);
}

static void without_the_plane_it_is_as_before(void **state)
{
	struct sim *s = *state;
	struct spec gre = up_of(GRE), tcp = up_of(REF_TCP),
		    pong = echo(s, true);

	expect_unreachable(s, &gre, 2, DROP_PROTOCOL);
	assert_int_equal(send_up(s, &pong), DROP_ICMP_OTHER);
	assert_int_equal(send_up(s, &tcp), DROP_NONE);
	assert_int_equal(s->far.n_opened, 1);
	assert_null(flowplane_network_state(s->plane));
	flowplane_set_plane(s->plane, FLOWPLANE_PLANE_PACKET);
	expect_unreachable(s, &tcp, 0, DROP_NO_PACKET_PLANE);
}

static void what_nothing_carries_is_prohibited(void **state)
{
	struct sim *s = *state;
	struct spec tcp = up_of(REF_TCP), udp = up_of(REF_UDP);

	expect_unreachable(s, &tcp, 13, DROP_POLICY);
	expect_unreachable(s, &udp, 13, DROP_POLICY);
	udp.dst_port = 53;
	assert_int_equal(send_up(s, &udp), DROP_NONE);
	assert_int_equal(s->far.n_dgrams, 1);
}

static void state_is_told_and_followed(void **state)
{
	struct sim *s = *state;
	struct spec gre = up_of(GRE), back = down_of(GRE);

	assert_int_equal(s->n_network_states, 1);
	assert_string_equal(s->network_state.text, "as root");
	assert_int_equal(flowplane_network_state(s->plane)->mtu_bytes, FAR_MTU);
	expect_up(s, &gre, 1);
	tell_state(s, FRAME_NETWORK_LOST);
	assert_int_equal(s->n_network_states, 2);
	assert_int_equal(send_up(s, &gre), DROP_PROTOCOL);
	expect_kept_out(s, &back, DROP_NO_PACKET_PLANE);
	assert_int_equal(flowplane_stats(s->plane)->tracks, 0);
	tell_state(s, FRAME_NETWORK_UP);
	expect_up(s, &gre, 2);
}

static void state_not_asked_for_is_ignored(void **state)
{
	struct sim *s = *state;
	struct spec gre = up_of(GRE);

	tell_state(s, FRAME_NETWORK_UP);
	assert_int_equal(s->n_network_states, 0);
	assert_int_equal(send_up(s, &gre), DROP_PROTOCOL);
}

/* ---- up: a router ---- */

static void it_is_one_hop(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	struct spec gre = up_of(GRE);

	gre.ttl = 1;
	assert_int_equal(send_up(s, &gre), DROP_TTL_EXCEEDED);
	assert_int_equal(s->n_captured, 1);
	const uint8_t *ip = sim_captured(s, 0)->bytes + V;
	assert_int_equal(ip[is4 ? 20 : 40], is4 ? 11 : 3);
	assert_memory_equal(ip + (is4 ? 12 : 8), s->gateway.bytes,
			    is4 ? 4 : 16);
	gre.ttl = 2;
	expect_up(s, &gre, 1);
}

static void too_long_a_packet_is_answered(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	size_t head = is4 ? 28 : 48;

	for (int df = 0; df < 2; df++) {
		struct spec gre = up_of(GRE);

		gre.df = df;
		gre.payload_len = FAR_MTU - head;
		expect_up(s, &gre, (unsigned)df + 1);
		gre.payload_len++;
		assert_int_equal(send_up(s, &gre), DROP_TOO_BIG);
		const uint8_t *l4 =
			sim_captured(s, 0)->bytes + V + (is4 ? 20 : 40);
		assert_int_equal(l4[0], is4 ? 3 : 2);
		assert_int_equal(l4[1], is4 ? 4 : 0);
		assert_int_equal(ref_get16(l4 + 6), FAR_MTU);
	}
}

static void super_packet_goes_whole_if_its_segments_fit(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	struct spec tcp = up_of(REF_TCP);

	tcp.tcp_flags = SEG_ACK;
	tcp.payload_len = 60000;
	tcp.gso_size = (uint16_t)(FAR_MTU - (is4 ? 44 : 64));
	expect_up(s, &tcp, 1);
	assert_int_equal(s->far.last_packet.gso_size, tcp.gso_size);
	tcp.gso_size++;
	assert_int_equal(send_up(s, &tcp), DROP_TOO_BIG);
}

static void syns_are_clamped_both_ways(void **state)
{
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	struct spec up = up_of(REF_TCP), down = down_of(REF_TCP);
	size_t at = (is4 ? 20 : 40);
	struct pkt p;

	expect_up(s, &up, 1);
	assert_int_equal(pkt_parse_ip(s->far.last_packet_ip, sent_len, &p),
			 DROP_NONE);
	assert_int_equal(p.tcp.mss_bytes, FAR_MTU - at - 20);
	expect_let_in(s, &down);
	const struct sim_captured *c = sim_captured(s, 0);
	assert_int_equal(pkt_parse(c->bytes, c->len, &p), DROP_NONE);
	assert_int_equal(p.tcp.mss_bytes, FAR_MTU - at - 20);
}

static void bursts_wait_within_bounds(void **state)
{
	struct sim *s = *state;
	struct spec tcp = up_of(REF_TCP);
	unsigned refused = 0;

	tcp.tcp_flags = SEG_ACK;
	tcp.payload_len = 60000;
	tcp.gso_size = 1000;
	(void)send_up(s, &tcp);
	sim_pipe_stall(s->pipe, 500 * MS);
	for (int i = 0; i < 100; i++)
		refused += sim_tun_up(s, sent, V + sent_len) == DROP_QUEUE_FULL;
	assert_in_range(refused, 50, 90);
	run_for(s, SECOND);
	assert_int_equal(s->far.n_packets, 101 - refused);
}

/* ---- down: a firewall ---- */

static void only_answers_are_let_in(void **state)
{
	static const uint8_t protos[] = {REF_TCP, REF_UDP, GRE, NOBODY};
	struct sim *s = *state;

	for (size_t i = 0; i < sizeof(protos); i++) {
		struct spec up = up_of(protos[i]), down = down_of(protos[i]);

		expect_kept_out(s, &down, DROP_UNSOLICITED);
		expect_up(s, &up, (unsigned)i + 1);
		expect_let_in(s, &down);
		if (protos[i] == GRE || protos[i] == NOBODY)
			continue;
		down.src_port++;
		expect_kept_out(s, &down, DROP_UNSOLICITED);
	}
	assert_int_equal(flowplane_stats(s->plane)->plane_down_packets, 4);
}

static void echo_is_answered_by_identifier(void **state)
{
	struct sim *s = *state;
	struct spec ping = echo(s, false), pong = echo(s, true);

	expect_kept_out(s, &pong, DROP_UNSOLICITED);
	expect_up(s, &ping, 1);
	expect_let_in(s, &pong);
	pong.dst_port++;
	expect_kept_out(s, &pong, DROP_UNSOLICITED);
}

static void foreign_addresses_are_kept_out(void **state)
{
	struct sim *s = *state;
	struct spec up = up_of(GRE), down = down_of(GRE);
	struct ip_addr lan = address(s, "192.168.1.1", "fd00::1");
	struct ip_addr behind = address(s, "10.7.1.1", "2001:db8:7::1");

	set_network(s, true);
	expect_up(s, &up, 1);
	expect_let_in(s, &down);
	down.src = &lan;
	expect_kept_out(s, &down, DROP_FOREIGN_SOURCE);
	down.src = &s->near_addr;
	expect_kept_out(s, &down, DROP_FOREIGN_SOURCE);
	down.src = &behind;
	expect_kept_out(s, &down, DROP_FOREIGN_SOURCE);
	down.src = NULL;
	down.dst = &lan;
	expect_kept_out(s, &down, DROP_FOREIGN_DESTINATION);
	down.dst = &behind;
	expect_let_in(s, &down);
}

static void nobody_there_may_pose_as_us(void **state)
{
	struct sim *s = *state;
	struct subnet all = {.addr = {.version = s->near_addr.version}};
	struct ip_addr behind = address(s, "10.7.1.1", "2001:db8:7::1");
	struct subnet announced = subnet_of_addr(&behind);
	struct flowplane_network n = {.near4 = s->near_addr,
				      .near6 = s->near_addr,
				      .asked = &all,
				      .n_asked = 1,
				      .announced = &announced,
				      .n_announced = 1,
				      .allow_inbound = true};
	struct spec down = down_of(GRE);

	assert_int_equal(flowplane_set_network(s->plane, &n), 0);
	expect_let_in(s, &down);
	down.src = &s->near_addr;
	expect_kept_out(s, &down, DROP_FOREIGN_SOURCE);
	down.src = &behind;
	expect_kept_out(s, &down, DROP_FOREIGN_SOURCE);
}

static void answers_to_what_is_behind_are_let_in(void **state)
{
	struct sim *s = *state;
	struct spec up = up_of(REF_UDP), down = down_of(REF_UDP);
	struct ip_addr behind = address(s, "10.7.1.1", "2001:db8:7::1");

	up.src = down.dst = &behind;
	expect_kept_out(s, &down, DROP_UNSOLICITED);
	expect_up(s, &up, 1);
	expect_let_in(s, &down);
}

static void fragments_of_answers_are_let_in(void **state)
{
	struct sim *s = *state;
	struct spec up = up_of(REF_UDP), piece = down_of(REF_UDP);

	piece.frag = 0x2000;
	piece.payload_len = 96;
	expect_kept_out(s, &piece, DROP_UNSOLICITED);
	expect_up(s, &up, 1);
	expect_let_in(s, &piece);
	piece.frag = 0x0010;
	expect_let_in(s, &piece);
}

static void malformed_offload_is_kept_out(void **state)
{
	struct sim *s = *state;
	struct spec up = up_of(REF_UDP), down = down_of(REF_UDP);

	expect_up(s, &up, 1);
	down.gso_size = 1000; /* does not cut it */
	expect_kept_out(s, &down, DROP_BAD_VNET_HDR);
	down.payload_len = 3000;
	expect_let_in(s, &down);
}

/* An ICMP error of the far side about the packet that was sent last. */
static struct spec error_about_sent(const struct sim *s, uint8_t type4,
				    uint8_t type6, uint8_t *quote)
{
	size_t n = sent_len < 100 ? sent_len : 100;

	memcpy(quote, sent + V, n);
	return (struct spec){.proto = icmp_of(s),
			     .icmp_type = s->near_addr.version == IPV4 ? type4
								       : type6,
			     .payload = quote,
			     .payload_len = n};
}

static void errors_about_what_was_sent_are_let_in(void **state)
{
	struct sim *s = *state;
	struct ip_addr router = address(s, "100.64.9.9", "2001:db8:99::9");
	struct spec ups[] = {up_of(REF_TCP), up_of(REF_UDP), up_of(GRE),
			     echo(s, false)};
	uint8_t quote[100];

	for (size_t i = 0; i < sizeof(ups) / sizeof(ups[0]); i++) {
		expect_up(s, &ups[i], (unsigned)i + 1);
		struct spec e = error_about_sent(s, 11, 3, quote);
		e.src = &router; /* anybody's address */
		expect_let_in(s, &e);
	}
	struct spec other = up_of(REF_UDP);
	other.dst_port++;
	(void)build_ip(&other, &s->near_addr, &s->far_addr, sent + V);
	sent_len = 100;
	struct spec e = error_about_sent(s, 11, 3, quote);
	expect_kept_out(s, &e, DROP_UNSOLICITED);
}

/* Their ports are in the first fragment only, and in what it becomes. */
static void errors_about_fragments_are_let_in(void **state)
{
	struct sim *s = *state;
	struct spec piece = up_of(REF_UDP), whole = up_of(REF_UDP);
	uint8_t quote[100];

	piece.frag = 0x2000;
	piece.payload_len = 96;
	(void)build_ip(&piece, &s->near_addr, &s->far_addr, sent + V);
	sent_len = 100;
	struct spec e = error_about_sent(s, 11, 3, quote);
	expect_kept_out(s, &e, DROP_UNSOLICITED);
	expect_up(s, &piece, 1);
	e = error_about_sent(s, 11, 3, quote);
	expect_let_in(s, &e);
	(void)build_ip(&whole, &s->near_addr, &s->far_addr, sent + V);
	e = error_about_sent(s, 3, 1, quote);
	expect_let_in(s, &e);
}

static void icmp_that_changes_routes_is_kept_out(void **state)
{
	static const uint8_t types4[] = {4, 5, 9, 10, 17};
	static const uint8_t types6[] = {130, 133, 134, 135, 136, 137};
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;
	struct spec up = up_of(GRE);
	uint8_t quote[100];

	set_network(s, true);
	expect_up(s, &up, 1);
	for (size_t i = 0; i < (is4 ? sizeof(types4) : sizeof(types6)); i++) {
		struct spec e = error_about_sent(s, types4[i % sizeof(types4)],
						 types6[i], quote);
		expect_kept_out(s, &e, DROP_ICMP_OTHER);
		assert_int_equal(send_up(s, &e), DROP_ICMP_OTHER);
	}
}

static void tracks_age(void **state)
{
	static const struct {
		uint8_t proto;
		unsigned alive_s, gone_s;
	} cases[] = {{REF_TCP, 230, 250}, {REF_UDP, 170, 190}, {GRE, 590, 610}};
	struct sim *s = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct spec up = up_of(cases[i].proto),
			    down = down_of(cases[i].proto);

		expect_up(s, &up, (unsigned)(2 * i + 1));
		run_for(s, cases[i].gone_s * SECOND);
		expect_kept_out(s, &down, DROP_UNSOLICITED);
		expect_up(s, &up, (unsigned)(2 * i + 2));
		run_for(s, cases[i].alive_s * SECOND);
		expect_let_in(s, &down);
	}
}

static void connection_lives_for_two_hours_until_it_ends(void **state)
{
	struct sim *s = *state;
	struct spec up = up_of(REF_TCP), down = down_of(REF_TCP);

	expect_up(s, &up, 1);
	expect_let_in(s, &down);
	run_for(s, 7400 * SECOND);
	down.tcp_flags = SEG_ACK;
	expect_let_in(s, &down);
	down.tcp_flags = SEG_ACK | SEG_FIN;
	expect_let_in(s, &down);
	run_for(s, 250 * SECOND);
	expect_kept_out(s, &down, DROP_UNSOLICITED);
}

static void tracks_are_bounded(void **state)
{
	struct sim *s = *state;
	struct spec up = up_of(REF_UDP);
	const struct flowplane_stats *stats = flowplane_stats(s->plane);

	sent_len = build_ip(&up, &s->near_addr, &s->far_addr, sent + V);
	memset(sent, 0, V);
	for (unsigned i = 0; i < FLOWPLANE_TRACKS_MAX + 1000; i++) {
		size_t at = s->near_addr.version == IPV4 ? 20 : 40;

		ref_put16(sent + V + at, i);
		ref_fix_l4(sent + V, REF_UDP, sent + V + at, sent_len - at);
		(void)sim_tun_up(s, sent, V + sent_len);
		assert_true(stats->tracks <= FLOWPLANE_TRACKS_MAX);
	}
	assert_int_equal(stats->tracks, FLOWPLANE_TRACKS_MAX);
	run_for(s, SECOND);
	/* the first gave way, the last is there */
	struct spec down = down_of(REF_UDP);
	down.dst_port = 5;
	expect_kept_out(s, &down, DROP_UNSOLICITED);
	down.dst_port = (uint16_t)(FLOWPLANE_TRACKS_MAX + 999);
	expect_let_in(s, &down);
}

/* ---- inbound ---- */

static void far_side_may_begin_if_allowed(void **state)
{
	struct sim *s = *state;
	struct spec syn = down_of(REF_TCP), udp = down_of(REF_UDP),
		    ping = echo(s, false);

	syn.tcp_flags = SEG_SYN;
	expect_kept_out(s, &syn, DROP_UNSOLICITED);
	set_network(s, true);
	expect_let_in(s, &syn);
	expect_let_in(s, &udp);
	expect_let_in(s, &ping);
}

static void replies_to_it_are_carried_whole(void **state)
{
	struct sim *s = *state;
	struct spec syn = down_of(REF_TCP), in_udp = down_of(REF_UDP),
		    ping = echo(s, false), pong = echo(s, true);
	struct spec syn_ack = up_of(REF_TCP), udp = up_of(REF_UDP);

	set_network(s, true);
	syn_ack.tcp_flags = SEG_SYN | SEG_ACK;
	/* nobody has asked: the flow plane answers the stray with a RST */
	assert_int_equal(send_up(s, &syn_ack), DROP_TCP_NO_FLOW);
	syn.tcp_flags = SEG_SYN;
	expect_let_in(s, &syn);
	expect_up(s, &syn_ack, 1);
	expect_let_in(s, &in_udp);
	expect_up(s, &udp, 2);
	expect_let_in(s, &ping);
	expect_up(s, &pong, 3);
	/* but what begins here is a flow */
	udp.dst_port++;
	assert_int_equal(send_up(s, &udp), DROP_NONE);
	syn_ack.tcp_flags = SEG_SYN;
	assert_int_equal(send_up(s, &syn_ack), DROP_NONE);
	assert_int_equal(s->far.n_packets, 3);
	assert_int_equal(s->far.n_opened, 1);
	assert_int_equal(s->far.n_dgrams, 1);
}

static void connection_of_the_flow_plane_goes_before(void **state)
{
	struct sim *s = *state;
	struct spec syn = up_of(REF_TCP), in = down_of(REF_TCP);

	set_network(s, true);
	assert_int_equal(send_up(s, &syn), DROP_NONE);
	assert_int_equal(s->far.n_opened, 1);
	in.tcp_flags = SEG_ACK;
	expect_let_in(s, &in);
	syn.tcp_flags = SEG_ACK;
	(void)send_up(s, &syn);
	assert_int_equal(s->far.n_packets, 0);
}

static void errors_about_it_are_carried(void **state)
{
	struct sim *s = *state;
	struct spec in = down_of(REF_UDP);
	uint8_t quote[100];

	set_network(s, true);
	expect_let_in(s, &in);
	struct spec e = error_about_sent(s, 3, 1, quote);
	expect_up(s, &e, 1);
	quote[(s->near_addr.version == IPV4 ? 20 : 40) + 1] ^= 1;
	assert_int_equal(send_up(s, &e), DROP_ICMP_OTHER);
}

static void fragmented_reply_goes_piece_by_piece(void **state)
{
	struct sim *s = *state;
	struct spec in = down_of(REF_UDP), piece = up_of(REF_UDP);

	set_network(s, true);
	piece.frag = 0x2000;
	piece.payload_len = 96;
	assert_int_equal(send_up(s, &piece), DROP_NONE); /* waits */
	assert_int_equal(s->far.n_packets, 0);
	expect_let_in(s, &in);
	expect_up(s, &piece, 1);
}

/* ---- others in the same session ---- */

static void foreign_ids_go_to_the_owner(void **state)
{
	struct sim *s = *state;
	uint32_t id = FLOWPLANE_FOREIGN_ID + 7;
	struct frame_dgram d = {.proto = REF_UDP,
				.ttl = 3,
				.remote = {s->far_addr, 53},
				.payload = sent,
				.payload_len = 9};
	struct frame_icmp_error e = {.proto = REF_UDP,
				     .type = 3,
				     .code = 3,
				     .remote = {s->far_addr, 53}};

	s->far.dgrams.id = id;
	assert_int_equal(session_send_dgram(s->far.session, &s->far.dgrams, &d),
			 0);
	session_send_icmp_error(s->far.session, id, &e);
	session_send_resolved(s->far.session, id, FRAME_REASON_NONE, sent, 9);
	session_send_assoc_close(s->far.session, id, FRAME_REASON_NONE);
	run_for(s, 5 * MS);
	assert_int_equal(s->n_foreign, 4);
	assert_int_equal(s->foreign_id, id);
	assert_int_equal(s->n_captured, 0);
	/* The plane itself asks for no names. */
	session_send_resolved(s->far.session, 7, FRAME_REASON_NONE, sent, 9);
	run_for(s, 5 * MS);
	assert_int_equal(s->n_foreign, 5);
	assert_int_equal(s->foreign_id, 7);
	assert_false(s->is_down);
}

#define ON(test, setup)                                       \
	{                                                     \
#test "_" #setup, test, setup, teardown, NULL \
	}
#define BOTH(test, setup) ON(test, setup##4), ON(test, setup##6)
#define BARE(test)	  ON(test, setup4_bare), ON(test, setup6_bare)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(protocols_without_flow_are_carried_whole, setup),
		BOTH(flows_stay_flows, setup),
		BARE(what_the_far_end_cannot_is_carried_whole),
		ON(names_stay_with_the_relay, setup4_bare),
		BOTH(everything_goes_whole_if_so_told, setup),
		BOTH(nothing_goes_whole_if_so_told, setup),
		ON(without_the_plane_it_is_as_before, setup4_down),
		ON(what_nothing_carries_is_prohibited, setup4_bare_down),
		BOTH(state_is_told_and_followed, setup),
		ON(state_not_asked_for_is_ignored, setup4_down),
		BOTH(it_is_one_hop, setup),
		BOTH(too_long_a_packet_is_answered, setup),
		BARE(super_packet_goes_whole_if_its_segments_fit),
		BARE(syns_are_clamped_both_ways),
		ON(bursts_wait_within_bounds, setup4_bare),
		BARE(only_answers_are_let_in),
		BARE(echo_is_answered_by_identifier),
		BOTH(foreign_addresses_are_kept_out, setup),
		BOTH(nobody_there_may_pose_as_us, setup),
		BARE(answers_to_what_is_behind_are_let_in),
		ON(fragments_of_answers_are_let_in, setup4_bare),
		ON(errors_about_fragments_are_let_in, setup4_bare),
		BARE(malformed_offload_is_kept_out),
		BARE(errors_about_what_was_sent_are_let_in),
		BOTH(icmp_that_changes_routes_is_kept_out, setup),
		ON(tracks_age, setup4_bare),
		ON(connection_lives_for_two_hours_until_it_ends, setup4_bare),
		ON(tracks_are_bounded, setup4_bare),
		BOTH(far_side_may_begin_if_allowed, setup),
		BOTH(replies_to_it_are_carried_whole, setup),
		BOTH(connection_of_the_flow_plane_goes_before, setup),
		BOTH(errors_about_it_are_carried, setup),
		ON(fragmented_reply_goes_piece_by_piece, setup4),
		ON(foreign_ids_go_to_the_owner, setup4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
