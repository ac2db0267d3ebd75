/* SPDX-License-Identifier: MIT */
/* test_tcp_endpoint: src/flow/tcp_endpoint, segment by segment. */
#include <stdlib.h>
#include <string.h>

#include "pattern.h"
#include "raw_peer.h"

enum {
	PORT_OPEN = 80,	  /* reads, sends when told, never closes by itself */
	PORT_POLITE = 81, /* closes when the application does */
	PORT_SILENT = 82,
	PORT_SLOW = 83,	   /* accepts after a second */
	PORT_TRICKLE = 84, /* reads 2000 bytes a second */
	MS = 1000,
};

static const struct sim_rule rules[] = {
	{.port = PORT_OPEN, .never_fins = true},
	{.port = PORT_POLITE, .fin_after_eof = true},
	{.port = PORT_SILENT, .verdict = SIM_SILENT},
	{.port = PORT_SLOW, .delay_us = SECOND, .never_fins = true},
	{.port = PORT_TRICKLE, .read_bytes_per_s = 2000, .never_fins = true},
	{0},
};

/* ---- every test has a sim of its own ---- */

static int setup4(void **state)
{
	*state = raw_sim(IPV4, rules);
	return 0;
}

static int setup6(void **state)
{
	*state = raw_sim(IPV6, rules);
	return 0;
}

static int teardown(void **state)
{
	*state = sim_free(*state);
	return 0;
}

static struct raw_peer connected(void **state, uint16_t port)
{
	struct raw_peer p = raw_peer(*state, port);

	raw_connect(&p);
	return p;
}

static void ack_last(struct raw_peer *p)
{
	p->ack = p->last.seq + seg_len(&p->last);
	raw_send(p, SEG_ACK, NULL, 0);
}

/* The peer's pattern bytes from its nth on; static storage. */
static const uint8_t *up_bytes(const struct raw_peer *p, uint64_t from,
			       size_t n)
{
	static uint8_t bytes[70000];

	assert_true(n <= sizeof(bytes));
	pattern_fill(pattern_key_up(p->near.port, p->far.port), from, bytes, n);
	return bytes;
}

/* Send n bytes of the pattern that continue at the peer's seq. */
static void send_text(struct raw_peer *p, size_t n)
{
	uint64_t from = p->seq - (p->iss + 1);

	raw_send(p, SEG_ACK, up_bytes(p, from, n), n);
}

static uint64_t drops(struct raw_peer *p, enum drop_reason reason)
{
	return flowplane_stats(p->sim->plane)->drops[reason];
}

/* ---- opening ---- */

static void syn_is_held_until_the_far_end_has_connected(void **state)
{
	struct raw_peer p = raw_peer(*state, PORT_SLOW);

	raw_syn(&p);
	run_for(p.sim, 990 * MS);
	raw_expect_silence(&p);
	assert_string_equal(raw_probe(&p).state, "OPENING");
	run_for(p.sim, 20 * MS);
	assert_int_equal(raw_expect_flags(&p, SEG_SYN | SEG_ACK)->ack, p.seq);
}

static void syn_again_while_held_is_no_second_connection(void **state)
{
	struct raw_peer p = raw_peer(*state, PORT_SLOW);

	raw_syn(&p);
	run_for(p.sim, 100 * MS);
	p.seq = p.iss;
	raw_syn(&p);
	run_for(p.sim, 100 * MS);
	raw_expect_silence(&p);
	assert_int_equal(p.sim->far.n_opened, 1);
	run_for(p.sim, SECOND);
	(void)raw_expect_flags(&p, SEG_SYN | SEG_ACK);
	raw_expect_silence(&p);
}

static void other_syn_while_held_starts_over(void **state)
{
	struct raw_peer p = raw_peer(*state, PORT_SLOW);

	raw_syn(&p);
	run_for(p.sim, 500 * MS);
	struct sim_far_stream *first = raw_far(&p);
	p.seq = p.iss + 12345;
	raw_syn(&p);
	run_for(p.sim, 600 * MS);
	raw_expect_silence(&p); /* the first second is over, but not its */
	assert_true(first->is_reset);
	assert_int_equal(p.sim->far.n_opened, 2);
	run_for(p.sim, 500 * MS);
	assert_int_equal(raw_expect_flags(&p, SEG_SYN | SEG_ACK)->ack, p.seq);
}

static void rst_while_held_gives_the_attempt_up(void **state)
{
	struct raw_peer p = raw_peer(*state, PORT_SLOW);

	raw_syn(&p);
	struct seg rst = {.flags = SEG_RST, .seq = p.seq + 5};
	raw_send_seg(&p, &rst);
	assert_false(raw_is_gone(&p)); /* blind */
	raw_send(&p, SEG_RST, NULL, 0);
	assert_true(raw_is_gone(&p));
	run_for(p.sim, 2 * SECOND);
	raw_expect_silence(&p);
	assert_true(raw_far(&p)->is_reset);
}

static void held_syn_is_forgotten_in_the_end(void **state)
{
	struct raw_peer p = raw_peer(*state, PORT_SILENT);

	raw_syn(&p);
	run_for(p.sim, 179 * SECOND);
	assert_false(raw_is_gone(&p));
	run_for(p.sim, 2 * SECOND);
	assert_true(raw_is_gone(&p));
	assert_true(raw_far(&p)->is_reset);
	raw_expect_silence(&p);
}

static void syn_ack_has_the_options_of_the_syn(void **state)
{
	static const struct {
		uint16_t mss_bytes;
		int8_t scale;
	} cases[] = {{1460, 7}, {1460, 0}, {1460, -1}, {0, 14}, {0, -1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct raw_peer p = raw_peer(*state, PORT_OPEN);
		bool is4 = p.near.addr.version == IPV4;
		struct seg syn = {.flags = SEG_SYN,
				  .seq = p.iss,
				  .window = 1000,
				  .mss_bytes = cases[i].mss_bytes,
				  .window_scale = cases[i].scale};

		raw_send_seg(&p, &syn);
		run_for(p.sim, 10 * MS);
		const struct seg *s = raw_expect_flags(&p, SEG_SYN | SEG_ACK);
		assert_int_equal(s->mss_bytes, is4 ? 1460 : 1440);
		assert_int_equal(s->window_scale >= 0, cases[i].scale >= 0);
		assert_int_equal(s->window, 65535);
	}
}

static void segments_are_no_larger_than_the_mss_option_says(void **state)
{
	static const struct {
		uint16_t option, gso4, gso6;
	} cases[] = {
		{0, 536, 1220},
		{1460, 1460, 1440},
		{536, 536, 536},
		{9000, 1460, 1440},
		{1, FLOWPLANE_MSS_MIN_BYTES, FLOWPLANE_MSS_MIN_BYTES},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct raw_peer p = raw_peer(*state, PORT_OPEN);
		bool is4 = p.near.addr.version == IPV4;
		struct seg syn = {.flags = SEG_SYN,
				  .seq = p.seq++,
				  .window = 65535,
				  .mss_bytes = cases[i].option,
				  .window_scale = -1};

		raw_send_seg(&p, &syn);
		run_for(p.sim, 10 * MS);
		p.ack = raw_expect_flags(&p, SEG_SYN | SEG_ACK)->seq + 1;
		raw_send(&p, SEG_ACK, NULL, 0);
		raw_far_sends(&p, 5000);
		assert_int_equal(raw_expect(&p)->gso_bytes,
				 is4 ? cases[i].gso4 : cases[i].gso6);
		raw_send(&p, SEG_RST, NULL, 0);
	}
}

static void syn_ack_is_sent_again_until_it_is_hopeless(void **state)
{
	struct raw_peer p = raw_peer(*state, PORT_OPEN);
	uint64_t gap_us = 300 * MS;
	mono_us_t before_us = 0;

	raw_syn(&p);
	run_for(p.sim, 300 * SECOND);
	for (int i = 0; i < 11; i++) {
		const struct sim_captured *c = raw_next(&p);

		assert_non_null(c);
		if (i > 0)
			assert_in_range(c->at_us - before_us, gap_us - 10,
					gap_us + 10);
		if (i > 0)
			gap_us = gap_us * 2 < 60 * SECOND ? gap_us * 2
							  : 60 * SECOND;
		before_us = c->at_us;
		p.n_seen--;
		(void)raw_expect_flags(&p, SEG_SYN | SEG_ACK);
	}
	(void)raw_expect_flags(&p, SEG_RST | SEG_ACK);
	raw_expect_silence(&p);
	assert_true(raw_is_gone(&p));
	assert_true(raw_far(&p)->is_reset);
	assert_int_equal(raw_far(&p)->reset_reason, FRAME_REASON_TIMED_OUT);
}

static void syn_again_brings_the_syn_ack_again(void **state)
{
	struct raw_peer p = raw_peer(*state, PORT_OPEN);

	raw_syn(&p);
	run_for(p.sim, 10 * MS);
	uint32_t irs = raw_expect_flags(&p, SEG_SYN | SEG_ACK)->seq;
	p.seq = p.iss;
	raw_syn(&p);
	assert_int_equal(raw_expect_flags(&p, SEG_SYN | SEG_ACK)->seq, irs);
}

static void wrong_ack_in_the_handshake_brings_rst(void **state)
{
	struct raw_peer p = raw_peer(*state, PORT_OPEN);

	raw_syn(&p);
	run_for(p.sim, 10 * MS);
	p.ack = raw_expect_flags(&p, SEG_SYN | SEG_ACK)->seq + 2;
	raw_send(&p, SEG_ACK, NULL, 0);
	assert_int_equal(raw_expect_flags(&p, SEG_RST)->seq, p.ack);
	assert_string_equal(raw_probe(&p).state, "SYN-RECEIVED");
	p.ack--;
	raw_send(&p, SEG_ACK, NULL, 0);
	assert_string_equal(raw_probe(&p).state, "ESTABLISHED");
}

static void data_may_come_with_the_last_ack_of_the_handshake(void **state)
{
	struct raw_peer p = raw_peer(*state, PORT_OPEN);

	raw_syn(&p);
	run_for(p.sim, 10 * MS);
	p.ack = raw_expect_flags(&p, SEG_SYN | SEG_ACK)->seq + 1;
	send_text(&p, 100);
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
	run_for(p.sim, 10 * MS);
	assert_int_equal(raw_far(&p)->received, 100);
}

static void data_in_the_syn_is_left_to_be_sent_again(void **state)
{
	struct raw_peer p = raw_peer(*state, PORT_OPEN);
	struct seg syn = {.flags = SEG_SYN,
			  .seq = p.seq++,
			  .window = 65535,
			  .window_scale = -1,
			  .payload = up_bytes(&p, 0, 10),
			  .payload_len = 10};

	raw_send_seg(&p, &syn);
	run_for(p.sim, 10 * MS);
	const struct seg *s = raw_expect_flags(&p, SEG_SYN | SEG_ACK);
	assert_int_equal(s->ack, p.seq);
	p.ack = s->seq + 1;
	send_text(&p, 10);
	run_for(p.sim, 10 * MS);
	assert_int_equal(raw_far(&p)->received, 10);
}

/* ---- refusing ---- */

struct refusal {
	struct frame_refused refused;
	int type4, code4, type6, code6; /* -1: RST; -2: silence; -3: skip */
	bool from_offender;
};

static const struct refusal refusals[] = {
	{{.reason = FRAME_REASON_REFUSED}, -1, 0, -1, 0, false},
	{{.reason = FRAME_REASON_RESET}, -1, 0, -1, 0, false},
	{{.reason = FRAME_REASON_TIMED_OUT}, -2, 0, -2, 0, false},
	{{.reason = FRAME_REASON_NET_UNREACH}, 3, 0, 1, 0, false},
	{{.reason = FRAME_REASON_HOST_UNREACH}, 3, 1, 1, 3, false},
	{{.reason = FRAME_REASON_PROHIBITED}, 3, 13, 1, 1, false},
	{{.reason = FRAME_REASON_NO_FAMILY}, 3, 0, 1, 0, false},
	{{.reason = FRAME_REASON_NO_RESOURCES}, 3, 1, 1, 3, false},
	{{.reason = FRAME_REASON_OTHER}, 3, 1, 1, 3, false},
	/* What the far host was told, in the name of who said so. */
	{{.reason = FRAME_REASON_HOST_UNREACH, .icmp_type = 3, .icmp_code = 10},
	 3,
	 10,
	 -3,
	 0,
	 true},
	{{.reason = FRAME_REASON_HOST_UNREACH, .icmp_type = 1, .icmp_code = 3},
	 -3,
	 0,
	 1,
	 3,
	 true},
	/* Nonsense is replaced. */
	{{.reason = FRAME_REASON_HOST_UNREACH, .icmp_type = 77},
	 3,
	 1,
	 1,
	 3,
	 false},
};

/* The quote in an ICMP error must be the peer's own SYN. */
static void assert_quotes_syn(const struct raw_peer *p, const uint8_t *quote)
{
	bool is4 = p->near.addr.version == IPV4;
	size_t ip_len = is4 ? 20 : 40;

	assert_int_equal(quote[0] >> 4, p->near.addr.version);
	assert_int_equal(quote[is4 ? 9 : 6], REF_TCP);
	assert_memory_equal(quote + (is4 ? 12 : 8), p->near.addr.bytes,
			    is4 ? 4 : 16);
	assert_memory_equal(quote + (is4 ? 16 : 24), p->far.addr.bytes,
			    is4 ? 4 : 16);
	assert_int_equal(ref_get16(quote + ip_len), p->near.port);
	assert_int_equal(ref_get16(quote + ip_len + 2), p->far.port);
	assert_int_equal(ref_get16(quote + ip_len + 4) << 16 |
				 ref_get16(quote + ip_len + 6),
			 p->iss);
	assert_int_equal(quote[ip_len + 13], SEG_SYN);
	if (is4)
		assert_int_equal(ref_sum(0, quote, 20), 0xffff);
}

static void assert_icmp_error(struct raw_peer *p, int type, int code,
			      const struct ip_addr *from)
{
	const struct sim_captured *c = raw_next(p);
	bool is4 = p->near.addr.version == IPV4;
	size_t ip_len = is4 ? 20 : 40;

	assert_non_null(c);
	const uint8_t *ip = c->bytes + SEG_VNET_LEN;
	assert_int_equal(seg_proto(c->bytes, c->len),
			 is4 ? REF_ICMP : REF_ICMP6);
	assert_int_equal(ip[ip_len], type);
	assert_int_equal(ip[ip_len + 1], code);
	assert_memory_equal(ip + (is4 ? 12 : 8), from->bytes, is4 ? 4 : 16);
	assert_memory_equal(ip + (is4 ? 16 : 24), p->near.addr.bytes,
			    is4 ? 4 : 16);
	size_t l4_len = c->len - SEG_VNET_LEN - ip_len;
	unsigned pseudo = is4 ? 0 : ref_pseudo_sum(ip, REF_ICMP6, l4_len);
	assert_int_equal(ref_sum(pseudo, ip + ip_len, l4_len), 0xffff);
	assert_true(l4_len >= 8 + ip_len + 20);
	assert_quotes_syn(p, ip + ip_len + 8);
}

static void refuse_one(struct sim *s, const struct refusal *r, uint16_t port)
{
	struct raw_peer p = raw_peer(s, port);
	bool is4 = p.near.addr.version == IPV4;
	int type = is4 ? r->type4 : r->type6;
	int code = is4 ? r->code4 : r->code6;
	mono_us_t before_us = sim_now_us(s);

	if (type == -3)
		return;
	raw_syn(&p);
	run_for(s, 10 * MS);
	assert_true(raw_is_gone(&p));
	if (type == -1) {
		const struct seg *rst = raw_expect_flags(&p, SEG_RST | SEG_ACK);

		assert_int_equal(rst->seq, 0);
		assert_int_equal(rst->ack, p.iss + 1);
	} else if (type >= 0) {
		assert_icmp_error(&p, type, code,
				  r->from_offender ? &r->refused.offender
						   : &s->gateway);
	}
	if (type != -2) /* within a round trip of the carrier */
		assert_in_range(sim_captured(s, 0)->at_us - before_us, 2 * MS,
				2100);
	raw_expect_silence(&p);
}

static void each_refusal_is_told_as_what_it_is(void **state)
{
	enum { N = sizeof(refusals) / sizeof(*refusals) };
	struct sim_rule refusing[N + 1] = {{0}};
	struct sim *s = *state;
	bool is4 = s->near_addr.version == IPV4;

	for (size_t i = 0; i < N; i++) {
		struct refusal r = refusals[i];

		if (r.from_offender)
			assert_int_equal(
				addr_parse(is4 ? "10.9.8.7" : "2001:db8:c::7",
					   &r.refused.offender),
				0);
		refusing[i] = (struct sim_rule){.port = (uint16_t)(1000 + i),
						.verdict = SIM_REFUSE,
						.refused = r.refused};
	}
	s->far.rules = refusing;
	for (size_t i = 0; i < N; i++) {
		struct refusal r = refusals[i];

		r.refused = refusing[i].refused;
		refuse_one(s, &r, refusing[i].port);
	}
	assert_int_equal(flowplane_stats(s->plane)->tcp_refused, N - 1);
	s->far.rules = rules;
}

/* ---- bytes up ---- */

static void bytes_are_acknowledged_at_once_across_the_wrap(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);
	size_t sent = 0;

	for (size_t n = 1; n < 60000; n = n * 3 + 1) {
		send_text(&p, n);
		sent += n;
		assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
		run_for(p.sim, 50 * MS);
		while (p.n_seen < p.sim->n_captured)
			(void)raw_expect_flags(&p, SEG_ACK); /* window */
	}
	assert_true(p.seq < p.iss);
	assert_int_equal(raw_far(&p)->received, sent);
}

static void what_was_had_before_is_not_taken_twice(void **state)
{
	static const struct {
		uint32_t back;
		size_t len;
		size_t fresh;
	} cases[] = {
		{10, 5, 0},    {10, 10, 0},	{10, 11, 1},
		{100, 100, 0}, {100, 250, 150}, {1, 2, 1},
	};
	struct raw_peer p = connected(state, PORT_OPEN);
	uint64_t had = 1000;

	send_text(&p, had);
	(void)raw_expect_flags(&p, SEG_ACK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint32_t from = p.seq - cases[i].back;
		struct seg s = {
			.seq = from,
			.ack = p.ack,
			.flags = SEG_ACK,
			.window = 65535,
			.payload =
				up_bytes(&p, had - cases[i].back, cases[i].len),
			.payload_len = cases[i].len,
		};

		raw_send_seg(&p, &s);
		had += cases[i].fresh;
		p.seq += (uint32_t)cases[i].fresh;
		assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
		run_for(p.sim, 50 * MS);
		assert_int_equal(raw_far(&p)->received, had);
	}
}

static void a_gap_is_answered_with_what_is_expected(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	for (int i = 0; i < 3; i++) {
		uint32_t seq = p.seq;

		p.seq += 100;
		raw_send(&p, SEG_ACK, up_bytes(&p, 100, 50), 50);
		p.seq = seq;
		const struct seg *s = raw_expect_flags(&p, SEG_ACK);
		assert_int_equal(s->ack, p.seq);
		assert_int_equal(s->payload_len, 0);
	}
	assert_int_equal(drops(&p, DROP_TCP_OUT_OF_ORDER), 3);
	send_text(&p, 150);
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
	run_for(p.sim, 10 * MS);
	assert_int_equal(raw_far(&p)->received, 150);
}

static void bytes_beyond_the_window_are_left_out(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);
	uint64_t sent = 0;

	sim_far_pause(raw_far(&p), true);
	for (;;) { /* until both ends' buffers are full */
		struct tcp_probe probe = raw_probe(&p);
		uint32_t room = probe.rcv_adv - probe.rcv_nxt;

		if (room < 60000)
			break;
		send_text(&p, 60000);
		sent += 60000;
		run_for(p.sim, 50 * MS);
		p.n_seen = p.sim->n_captured;
	}
	struct tcp_probe probe = raw_probe(&p);
	uint32_t room = probe.rcv_adv - probe.rcv_nxt;
	uint32_t seq = p.seq;
	send_text(&p, room + 500);
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, seq + room);
	assert_int_equal(p.last.window, 0);
	p.seq = seq + room;
	/* A byte too many is answered, not taken. */
	send_text(&p, 1);
	p.seq--;
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
	sim_far_pause(raw_far(&p), false);
	run_for(p.sim, 100 * MS);
	assert_int_equal(raw_far(&p)->received, sent + room);
	assert_true(raw_expect_flags(&p, SEG_ACK)->window > 1000);
}

static void urgent_data_is_data(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);
	struct seg s = {.seq = p.seq,
			.ack = p.ack,
			.flags = SEG_ACK | SEG_URG,
			.urgent = 5,
			.window = 65535,
			.payload = up_bytes(&p, 0, 10),
			.payload_len = 10};

	raw_send_seg(&p, &s);
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq + 10);
	run_for(p.sim, 10 * MS);
	assert_int_equal(raw_far(&p)->received, 10);
}

static void window_updates_do_not_dribble(void **state)
{
	struct raw_peer p = connected(state, PORT_TRICKLE);
	unsigned updates = 0;
	uint32_t edge;

	for (;;) {
		struct tcp_probe probe = raw_probe(&p);

		edge = probe.rcv_adv;
		if (edge == probe.rcv_nxt)
			break;
		uint32_t room = edge - probe.rcv_nxt;
		send_text(&p, room < 60000 ? room : 60000);
		run_for(p.sim, 5 * MS);
	}
	p.n_seen = p.sim->n_captured;
	run_for(p.sim, 20 * SECOND);
	while (p.n_seen < p.sim->n_captured) {
		const struct seg *s = raw_expect_flags(&p, SEG_ACK);
		uint32_t now = s->ack + ((uint32_t)s->window << 6);

		assert_true(now == edge || now - edge >= 1000);
		edge = now;
		updates++;
	}
	/* 40,000 bytes were read: an update for each segment's worth at most */
	assert_in_range(updates, 1, 40);
}

/* ---- bytes down ---- */

static void lost_bytes_are_sent_again_with_growing_patience(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);
	uint64_t gap_us = 300 * MS;

	raw_far_sends(&p, 100);
	mono_us_t before_us = sim_captured(p.sim, 0)->at_us;
	assert_int_equal(raw_expect(&p)->payload_len, 100);
	for (int i = 0; i < 5; i++) {
		run_for(p.sim, gap_us);
		assert_in_range(sim_captured(p.sim, 0)->at_us - before_us,
				gap_us, gap_us + 100);
		before_us = sim_captured(p.sim, 0)->at_us;
		assert_int_equal(raw_expect(&p)->seq, p.ack);
		assert_int_equal(p.last.payload_len, 100);
		raw_expect_silence(&p);
		gap_us *= 2;
	}
	ack_last(&p);
	run_for(p.sim, 60 * SECOND);
	raw_expect_silence(&p);
}

static void third_duplicate_ack_has_it_sent_again(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	raw_far_sends(&p, 1000);
	raw_far_sends(&p, 1000);
	(void)raw_expect(&p);
	(void)raw_expect(&p);
	for (int i = 0; i < 3; i++) {
		raw_expect_silence(&p);
		raw_send(&p, SEG_ACK, NULL, 0);
	}
	assert_int_equal(raw_expect(&p)->seq, p.ack);
	assert_int_equal(p.last.payload_len, 2000);
	raw_send(&p, SEG_ACK, NULL, 0); /* the fourth changes nothing */
	raw_expect_silence(&p);
}

static void silence_in_the_end_breaks_the_connection(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	raw_far_sends(&p, 100);
	run_for(p.sim, 300 * SECOND);
	while (raw_expect(&p)->payload_len == 100)
		continue;
	assert_int_equal(p.last.flags, SEG_RST | SEG_ACK);
	assert_true(raw_is_gone(&p));
	assert_int_equal(raw_far(&p)->reset_reason, FRAME_REASON_TIMED_OUT);
}

/* Bytes up must not put off the timer of bytes down. */
static void lost_bytes_are_sent_again_under_traffic_up(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	raw_far_sends(&p, 100);
	(void)raw_expect(&p);
	bool is_sent_again = false;
	for (int i = 0; i < 20 && !is_sent_again; i++) {
		send_text(&p, 10);
		run_for(p.sim, 50 * MS);
		while (p.n_seen < p.sim->n_captured)
			is_sent_again |= raw_expect(&p)->payload_len > 0;
	}
	assert_true(is_sent_again);
}

/* Nor may more bytes from the far end. */
static void lost_bytes_are_sent_again_while_more_come(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);
	uint32_t first = p.ack;

	raw_far_sends(&p, 100);
	assert_int_equal(raw_expect(&p)->seq, first);
	bool is_sent_again = false;
	for (int i = 0; i < 20 && !is_sent_again; i++) {
		raw_far_sends(&p, 10);
		run_for(p.sim, 50 * MS);
		while (p.n_seen < p.sim->n_captured)
			is_sent_again |= raw_expect(&p)->seq == first;
	}
	assert_true(is_sent_again);
}

static void window_of_the_application_is_kept(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	p.window = 5000;
	raw_send(&p, SEG_ACK, NULL, 0);
	raw_far_sends(&p, 20000);
	assert_int_equal(raw_expect(&p)->payload_len, 5000);
	raw_expect_silence(&p);
	ack_last(&p);
	assert_int_equal(raw_expect(&p)->payload_len, 5000);
	raw_expect_silence(&p);
}

/* RFC 9293 3.10.7.4: only segments that acknowledge snd_una or more. */
static void overtaken_ack_does_not_move_the_window(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);
	uint32_t old_ack = p.ack;

	p.window = 2000;
	raw_send(&p, SEG_ACK, NULL, 0);
	raw_far_sends(&p, 20000);
	assert_int_equal(raw_expect(&p)->payload_len, 2000);
	/* All is acknowledged, the window is shut ... */
	p.window = 0;
	ack_last(&p);
	/* ... and an ACK of before comes late, with a higher sequence number,
	 * as after the retransmission of a byte. */
	struct seg late = {.seq = p.seq + 1,
			   .ack = old_ack,
			   .flags = SEG_ACK,
			   .window = 2000};
	raw_send_seg(&p, &late);
	raw_expect_silence(&p);
}

static void lost_bytes_are_sent_again_into_a_small_window(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	p.window = 100; /* less than a segment */
	raw_send(&p, SEG_ACK, NULL, 0);
	raw_far_sends(&p, 5000);
	assert_int_equal(raw_expect(&p)->payload_len, 100);
	run_for(p.sim, SECOND);
	assert_int_equal(raw_expect(&p)->seq, p.ack);
	assert_int_equal(p.last.payload_len, 100);
}

static void silly_windows_are_avoided(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	p.window = 2000;
	raw_send(&p, SEG_ACK, NULL, 0);
	raw_far_sends(&p, 20000);
	assert_int_equal(raw_expect(&p)->payload_len, 2000);
	/* The first half acknowledged, the window opened by a little: less
	 * than a segment may go and something is under way. */
	p.ack += 1000;
	p.window = 1200;
	raw_send(&p, SEG_ACK, NULL, 0);
	raw_expect_silence(&p);
	p.ack += 1000;
	p.window = 2000;
	raw_send(&p, SEG_ACK, NULL, 0);
	assert_int_equal(raw_expect(&p)->payload_len, 2000);
}

/* ---- the shut window ---- */

static void shut_window(struct raw_peer *p)
{
	p->window = 0;
	raw_send(p, SEG_ACK, NULL, 0);
	raw_far_sends(p, 5000);
	raw_expect_silence(p);
}

static void shut_window_is_probed_ever_more_slowly(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);
	uint64_t gap_us = 300 * MS;
	mono_us_t before_us;

	p.window = 0;
	raw_send(&p, SEG_ACK, NULL, 0);
	raw_far_sends(&p, 5000);
	raw_expect_silence(&p);
	before_us = sim_now_us(p.sim) - 10 * MS;
	for (int n_probes = 0; n_probes < 25;) {
		run_for(p.sim, 10 * MS);
		if (p.n_seen == p.sim->n_captured)
			continue;
		const struct seg *s = raw_expect_flags(&p, SEG_ACK);
		mono_us_t at_us = sim_captured(p.sim, 0)->at_us;

		assert_int_equal(s->payload_len, 0);
		assert_int_equal(s->seq, p.ack - 1);
		assert_in_range(at_us - before_us, gap_us - 10 * MS,
				gap_us + 10 * MS);
		before_us = at_us;
		gap_us = 2 * gap_us < 60 * SECOND ? 2 * gap_us : 60 * SECOND;
		/* Still shut; now and then the answer is lost. */
		if (++n_probes % 3)
			raw_send(&p, SEG_ACK, NULL, 0);
		raw_expect_silence(&p);
	}
	p.window = 65535;
	raw_send(&p, SEG_ACK, NULL, 0);
	assert_int_equal(raw_expect(&p)->payload_len, 5000);
}

static void shut_window_without_answers_is_given_up(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	shut_window(&p);
	run_for(p.sim, 400 * SECOND);
	assert_true(raw_is_gone(&p));
	assert_true(raw_far(&p)->is_reset);
}

static void opened_window_is_used_at_once(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	shut_window(&p);
	run_for(p.sim, 5 * SECOND);
	p.n_seen = p.sim->n_captured;
	p.window = 1460;
	raw_send(&p, SEG_ACK, NULL, 0);
	assert_int_equal(raw_expect(&p)->payload_len, 1460);
	/* And what is lost then is sent again soon, not after the probes'
	 * patience. */
	run_for(p.sim, 400 * MS);
	assert_int_equal(raw_expect(&p)->payload_len, 1460);
}

static void fin_waits_for_the_window_and_is_probed_for(void **state)
{
	struct raw_peer p = connected(state, PORT_POLITE);

	p.window = 0;
	raw_send(&p, SEG_ACK, NULL, 0);
	raw_far(&p)->rule.fin_after_eof = false;
	sim_far_poke(raw_far(&p));
	run_for(p.sim, 200 * MS);
	raw_expect_silence(&p);
	run_for(p.sim, 200 * MS);
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->seq, p.ack - 1);
	p.window = 10;
	raw_send(&p, SEG_ACK, NULL, 0);
	assert_int_equal(raw_expect_flags(&p, SEG_FIN | SEG_ACK)->seq, p.ack);
}

/* ---- keepalive ---- */

static void idle_connection_is_probed_after_two_hours(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	for (int i = 0; i < 3; i++) {
		run_for(p.sim, 7199 * SECOND);
		raw_expect_silence(&p);
		run_for(p.sim, 2 * SECOND);
		assert_int_equal(raw_expect_flags(&p, SEG_ACK)->seq, p.ack - 1);
		raw_send(&p, SEG_ACK, NULL, 0);
		raw_expect_silence(&p);
	}
	run_for(p.sim, 7300 * SECOND);
	run_for(p.sim, 11 * 75 * SECOND);
	assert_true(raw_is_gone(&p));
	assert_true(raw_far(&p)->is_reset);
}

static void keepalive_probes_are_answered(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	send_text(&p, 100);
	(void)raw_expect(&p);
	for (size_t garbage = 0; garbage < 2; garbage++) {
		struct seg s = {.seq = p.seq - 1,
				.ack = p.ack,
				.flags = SEG_ACK,
				.window = 65535,
				.payload = (const uint8_t *)"!",
				.payload_len = garbage};

		raw_send_seg(&p, &s);
		const struct seg *answer = raw_expect_flags(&p, SEG_ACK);
		assert_int_equal(answer->seq, p.ack);
		assert_int_equal(answer->ack, p.seq);
	}
	run_for(p.sim, 50 * MS);
	assert_int_equal(raw_far(&p)->received, 100);
}

/* ---- closing ---- */

static void application_closes_first(void **state)
{
	struct raw_peer p = connected(state, PORT_POLITE);

	send_text(&p, 10);
	(void)raw_expect(&p);
	raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0);
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
	assert_string_equal(raw_probe(&p).state, "CLOSE-WAIT");
	run_for(p.sim, 10 * MS);
	(void)raw_expect_flags(&p, SEG_FIN | SEG_ACK);
	assert_string_equal(raw_probe(&p).state, "LAST-ACK");
	ack_last(&p);
	assert_true(raw_is_gone(&p));
	run_for(p.sim, 100 * MS);
	assert_true(raw_far(&p)->is_closed);
	raw_expect_silence(&p);
}

static void far_closes(struct raw_peer *p)
{
	raw_far(p)->rule.never_fins = false;
	sim_far_poke(raw_far(p));
	run_for(p->sim, 10 * MS);
	(void)raw_expect_flags(p, SEG_FIN | SEG_ACK);
	assert_string_equal(raw_probe(p).state, "FIN-WAIT-1");
}

static void far_end_closes_first(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	far_closes(&p);
	ack_last(&p);
	assert_string_equal(raw_probe(&p).state, "FIN-WAIT-2");
	send_text(&p, 5000); /* half-closed */
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
	run_for(p.sim, 100 * SECOND);
	raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0);
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
	assert_string_equal(raw_probe(&p).state, "TIME-WAIT");
	run_for(p.sim, 100 * MS);
	assert_true(raw_far(&p)->is_closed);
	assert_int_equal(raw_far(&p)->received, 5000);
	run_for(p.sim, 2 * SECOND);
	assert_true(raw_is_gone(&p));
}

static void both_close_at_once(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);
	uint32_t irs_fin;

	far_closes(&p);
	irs_fin = p.last.seq;
	raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0); /* without its ACK */
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
	assert_string_equal(raw_probe(&p).state, "CLOSING");
	p.ack = irs_fin + 1;
	raw_send(&p, SEG_ACK, NULL, 0);
	assert_string_equal(raw_probe(&p).state, "TIME-WAIT");
	run_for(p.sim, 2 * SECOND);
	assert_true(raw_is_gone(&p));
	assert_true(raw_far(&p)->is_closed);
}

static void lost_fin_is_sent_again_in_each_state(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	far_closes(&p); /* FIN-WAIT-1 */
	run_for(p.sim, 350 * MS);
	(void)raw_expect_flags(&p, SEG_FIN | SEG_ACK);
	raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0);
	(void)raw_expect_flags(&p, SEG_ACK); /* CLOSING */
	run_for(p.sim, 2 * SECOND);
	(void)raw_expect_flags(&p, SEG_FIN | SEG_ACK);

	p = connected(state, PORT_POLITE);
	raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0);
	(void)raw_expect_flags(&p, SEG_ACK);
	run_for(p.sim, 10 * MS);
	(void)raw_expect_flags(&p, SEG_FIN | SEG_ACK); /* LAST-ACK */
	run_for(p.sim, 350 * MS);
	(void)raw_expect_flags(&p, SEG_FIN | SEG_ACK);
}

static void fin_again_is_acknowledged_again(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0);
	(void)raw_expect_flags(&p, SEG_ACK);
	for (int i = 0; i < 3; i++) {
		p.seq--;
		raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0);
		assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
	}
}

static void last_bytes_may_come_with_the_fin(void **state)
{
	struct raw_peer p = connected(state, PORT_POLITE);

	raw_send(&p, SEG_FIN | SEG_ACK, up_bytes(&p, 0, 1000), 1000);
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
	run_for(p.sim, 10 * MS);
	(void)raw_expect_flags(&p, SEG_FIN | SEG_ACK);
	assert_int_equal(raw_far(&p)->received, 1000);
	assert_true(raw_far(&p)->has_eof);
}

static void fin_in_time_wait_is_answered_and_prolongs_it(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	far_closes(&p);
	ack_last(&p);
	raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0);
	(void)raw_expect_flags(&p, SEG_ACK);
	run_for(p.sim, 900 * MS);
	p.seq--;
	raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0);
	(void)raw_expect_flags(&p, SEG_ACK);
	run_for(p.sim, 900 * MS);
	assert_false(raw_is_gone(&p));
	run_for(p.sim, 200 * MS);
	assert_true(raw_is_gone(&p));
}

static struct raw_peer in_time_wait(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	far_closes(&p);
	ack_last(&p);
	raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0);
	(void)raw_expect_flags(&p, SEG_ACK);
	assert_string_equal(raw_probe(&p).state, "TIME-WAIT");
	return p;
}

static void port_may_be_used_again_in_time_wait(void **state)
{
	struct raw_peer p = in_time_wait(state);

	p.seq += 1000;
	p.iss = p.seq;
	raw_connect(&p);
	send_text(&p, 10);
	(void)raw_expect_flags(&p, SEG_ACK);
	run_for(p.sim, 10 * MS);
	assert_int_equal(raw_far(&p)->received, 10);
	assert_int_equal(p.sim->far.n_opened, 2);
}

static void old_syn_in_time_wait_is_challenged(void **state)
{
	struct raw_peer p = in_time_wait(state);
	uint32_t seq = p.seq;

	p.seq -= 100;
	raw_syn(&p);
	const struct seg *s = raw_expect_flags(&p, SEG_ACK);
	assert_int_equal(s->ack, seq);
	assert_int_equal(s->seq, p.ack);
}

/* RFC 1337: a late RST must not take away what was acknowledged. */
static void rst_in_time_wait_loses_no_bytes(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	sim_far_pause(raw_far(&p), true);
	far_closes(&p);
	ack_last(&p);
	send_text(&p, 50000);
	(void)raw_expect_flags(&p, SEG_ACK);
	raw_send(&p, SEG_FIN | SEG_ACK, NULL, 0);
	(void)raw_expect_flags(&p, SEG_ACK);
	assert_string_equal(raw_probe(&p).state, "TIME-WAIT");
	raw_send(&p, SEG_RST, NULL, 0);
	run_for(p.sim, SECOND);
	sim_far_pause(raw_far(&p), false);
	run_for(p.sim, SECOND);
	assert_int_equal(raw_far(&p)->received, 50000);
	assert_true(raw_far(&p)->is_closed);
}

static void application_may_reset(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	raw_send(&p, SEG_RST | SEG_ACK, NULL, 0);
	assert_true(raw_is_gone(&p));
	raw_expect_silence(&p);
	run_for(p.sim, 10 * MS);
	assert_true(raw_far(&p)->is_reset);
}

static void far_end_may_reset(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	send_text(&p, 50);
	raw_far_sends(&p, 70);
	(void)raw_expect_flags(&p, SEG_ACK);
	(void)raw_expect(&p);
	ack_last(&p);
	raw_far(&p)->rule.reset_after = 1;
	sim_far_poke(raw_far(&p));
	run_for(p.sim, 10 * MS);
	const struct seg *s = raw_expect_flags(&p, SEG_RST | SEG_ACK);
	assert_int_equal(s->seq, p.ack); /* exact: RFC 5961 */
	assert_int_equal(s->ack, p.seq);
	assert_true(raw_is_gone(&p));
}

static void reset_with_bytes_under_way_is_found_out(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	send_text(&p, 50);
	raw_far_sends(&p, 3000);
	(void)raw_expect_flags(&p, SEG_ACK);
	assert_int_equal(raw_expect(&p)->payload_len, 3000);
	/* Nothing of it arrived; the RST behind it is out of order for the
	 * application, whose challenge finds no connection. */
	raw_far(&p)->rule.reset_after = 1;
	sim_far_poke(raw_far(&p));
	run_for(p.sim, 10 * MS);
	assert_int_equal(raw_expect_flags(&p, SEG_RST | SEG_ACK)->seq,
			 p.ack + 3000);
	raw_send(&p, SEG_ACK, NULL, 0);
	assert_int_equal(raw_expect_flags(&p, SEG_RST)->seq, p.ack);
}

/* ---- RFC 5961: blind attacks ---- */

struct blind {
	const char *what;
	uint8_t flags;
	int32_t seq_off, ack_off; /* from what would be right */
	bool is_challenged;
	enum drop_reason reason;
};

static const struct blind blinds[] = {
	{"RST in the window", SEG_RST, 1, 0, true, DROP_TCP_BLIND_RST},
	{"RST far in the window", SEG_RST, 60000, 0, true, DROP_TCP_BLIND_RST},
	{"RST,ACK in the window", SEG_RST | SEG_ACK, 100, 0, true,
	 DROP_TCP_BLIND_RST},
	{"RST before the window", SEG_RST, -1, 0, false,
	 DROP_TCP_OUT_OF_WINDOW},
	{"RST beyond the window", SEG_RST, 1 << 25, 0, false,
	 DROP_TCP_OUT_OF_WINDOW},
	{"SYN in the window", SEG_SYN, 1, 0, true, DROP_TCP_BLIND_SYN},
	{"SYN at its edge", SEG_SYN, 0, 0, true, DROP_TCP_BLIND_SYN},
	{"SYN outside", SEG_SYN, -70000, 0, true, DROP_TCP_BLIND_SYN},
	{"SYN,ACK", SEG_SYN | SEG_ACK, 0, 0, true, DROP_TCP_BLIND_SYN},
	{"ACK of the unsent", SEG_ACK, 0, 1, true, DROP_TCP_BAD_ACK},
	{"ACK of long ago", SEG_ACK, 0, -(1 << 20), true, DROP_TCP_BAD_ACK},
	{"no ACK", SEG_PSH, 0, 0, false, DROP_TCP_FLAGS},
	{"no flags", 0, 0, 0, false, DROP_TCP_FLAGS},
};

static void blind_segments_do_no_harm(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);

	for (size_t i = 0; i < sizeof(blinds) / sizeof(*blinds); i++) {
		const struct blind *b = &blinds[i];
		uint64_t before = drops(&p, b->reason);
		struct seg s = {.seq = p.seq + (uint32_t)b->seq_off,
				.ack = p.ack + (uint32_t)b->ack_off,
				.flags = b->flags,
				.window = 65535,
				.window_scale = -1,
				.payload = (const uint8_t *)"evil",
				.payload_len = b->flags & SEG_ACK ? 4 : 0};

		if (b->flags & (SEG_RST | SEG_SYN))
			s.payload_len = 0;
		print_message("# %s\n", b->what);
		raw_send_seg(&p, &s);
		if (b->is_challenged) {
			const struct seg *c = raw_expect_flags(&p, SEG_ACK);

			assert_int_equal(c->seq, p.ack);
			assert_int_equal(c->ack, p.seq);
		}
		raw_expect_silence(&p);
		assert_int_equal(drops(&p, b->reason), before + 1);
		assert_string_equal(raw_probe(&p).state, "ESTABLISHED");
	}
	send_text(&p, 10);
	assert_int_equal(raw_expect_flags(&p, SEG_ACK)->ack, p.seq);
	run_for(p.sim, 10 * MS);
	assert_int_equal(raw_far(&p)->received, 10);
}

static void challenges_are_limited(void **state)
{
	struct raw_peer p = connected(state, PORT_OPEN);
	unsigned challenges = 0;

	for (int i = 0; i < 1000; i++) {
		struct seg s = {
			.seq = p.seq + 1, .flags = SEG_RST, .window_scale = -1};

		raw_send_seg(&p, &s);
		while (p.n_seen < p.sim->n_captured) {
			(void)raw_expect_flags(&p, SEG_ACK);
			challenges++;
		}
	}
	/* 1000 in 0.1 s: the burst and what was earned meanwhile */
	assert_in_range(challenges, 100, 115);
	assert_string_equal(raw_probe(&p).state, "ESTABLISHED");
}

/* ---- no connection ---- */

static void stray_segments_are_answered_with_rst(void **state)
{
	static const struct {
		uint8_t flags;
		size_t len;
		bool is_answered;
	} cases[] = {
		{SEG_ACK, 0, true},
		{SEG_ACK, 100, true},
		{SEG_FIN | SEG_ACK, 0, true},
		{SEG_SYN | SEG_ACK, 0, true},
		{SEG_FIN, 0, true},
		{SEG_SYN | SEG_FIN, 7, true},
		{0, 10, true},
		{SEG_RST, 0, false},
		{SEG_RST | SEG_ACK, 0, false},
	};
	struct raw_peer p = raw_peer(*state, PORT_OPEN);

	p.ack = 77;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct seg s = {.flags = cases[i].flags,
				.seq = p.seq,
				.ack = p.ack,
				.window_scale = -1,
				.payload = up_bytes(&p, 0, 100),
				.payload_len = cases[i].len};

		raw_send_seg(&p, &s);
		if (!cases[i].is_answered) {
			raw_expect_silence(&p);
			continue;
		}
		const struct seg *rst = raw_expect(&p);
		if (s.flags & SEG_ACK) {
			assert_int_equal(rst->flags, SEG_RST);
			assert_int_equal(rst->seq, s.ack);
		} else {
			assert_int_equal(rst->flags, SEG_RST | SEG_ACK);
			assert_int_equal(rst->seq, 0);
			assert_int_equal(rst->ack, s.seq + seg_len(&s));
		}
	}
	assert_int_equal(p.sim->far.n_opened, 0);
}

#define BOTH(name)                                       \
	{#name "_4", name, setup4, teardown, NULL},      \
	{                                                \
#name "_6", name, setup6, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(syn_is_held_until_the_far_end_has_connected),
		BOTH(syn_again_while_held_is_no_second_connection),
		BOTH(other_syn_while_held_starts_over),
		BOTH(rst_while_held_gives_the_attempt_up),
		BOTH(held_syn_is_forgotten_in_the_end),
		BOTH(syn_ack_has_the_options_of_the_syn),
		BOTH(segments_are_no_larger_than_the_mss_option_says),
		BOTH(syn_ack_is_sent_again_until_it_is_hopeless),
		BOTH(syn_again_brings_the_syn_ack_again),
		BOTH(wrong_ack_in_the_handshake_brings_rst),
		BOTH(data_may_come_with_the_last_ack_of_the_handshake),
		BOTH(data_in_the_syn_is_left_to_be_sent_again),
		BOTH(each_refusal_is_told_as_what_it_is),
		BOTH(bytes_are_acknowledged_at_once_across_the_wrap),
		BOTH(what_was_had_before_is_not_taken_twice),
		BOTH(a_gap_is_answered_with_what_is_expected),
		BOTH(bytes_beyond_the_window_are_left_out),
		BOTH(urgent_data_is_data),
		BOTH(window_updates_do_not_dribble),
		BOTH(lost_bytes_are_sent_again_with_growing_patience),
		BOTH(third_duplicate_ack_has_it_sent_again),
		BOTH(silence_in_the_end_breaks_the_connection),
		BOTH(lost_bytes_are_sent_again_under_traffic_up),
		BOTH(lost_bytes_are_sent_again_while_more_come),
		BOTH(window_of_the_application_is_kept),
		BOTH(overtaken_ack_does_not_move_the_window),
		BOTH(lost_bytes_are_sent_again_into_a_small_window),
		BOTH(silly_windows_are_avoided),
		BOTH(shut_window_is_probed_ever_more_slowly),
		BOTH(shut_window_without_answers_is_given_up),
		BOTH(opened_window_is_used_at_once),
		BOTH(fin_waits_for_the_window_and_is_probed_for),
		BOTH(idle_connection_is_probed_after_two_hours),
		BOTH(keepalive_probes_are_answered),
		BOTH(application_closes_first),
		BOTH(far_end_closes_first),
		BOTH(both_close_at_once),
		BOTH(lost_fin_is_sent_again_in_each_state),
		BOTH(fin_again_is_acknowledged_again),
		BOTH(last_bytes_may_come_with_the_fin),
		BOTH(fin_in_time_wait_is_answered_and_prolongs_it),
		BOTH(port_may_be_used_again_in_time_wait),
		BOTH(old_syn_in_time_wait_is_challenged),
		BOTH(rst_in_time_wait_loses_no_bytes),
		BOTH(application_may_reset),
		BOTH(far_end_may_reset),
		BOTH(reset_with_bytes_under_way_is_found_out),
		BOTH(blind_segments_do_no_harm),
		BOTH(challenges_are_limited),
		BOTH(stray_segments_are_answered_with_rst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
