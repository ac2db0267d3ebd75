/* SPDX-License-Identifier: MIT */
/*
 * fuzz_tcp_endpoint: an application's host that sends what the input says, over
 * a simulated session to a scripted far end.
 *
 * Input: a byte of settings, then operations, each a byte and its arguments
 * (see operations[]).  Whatever segments come in which order, with whatever
 * sequence numbers: a payload byte is always the one that belongs at its
 * sequence number, so the far end must read the pattern from its beginning
 * without a gap, and what comes down must be the other pattern.
 */
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fuzz.h"
#include "pattern.h"
#include "sim.h"

enum {
	FAR_PORT = 80,
	ISS = 0xfffffe00,
	OPERATIONS_MAX = 600,
	STREAM_RINGS_MAX = 4 << 20, /* both rings of both ends */
};

struct reader {
	const uint8_t *at, *end;
};

/* Missing input reads as zeros. */
static uint32_t take(struct reader *r, size_t n)
{
	uint32_t v = 0;

	for (; n > 0; n--)
		v = v << 8 | (r->at < r->end ? *r->at++ : 0);
	return v;
}

/* The application's host, as far as it must be consistent. */
struct host {
	struct sim *sim;
	struct endpoint near, far;
	uint32_t iss; /* of the SYN sent last */
	uint8_t scale;
	/* Of the connection: highest seq sent, right edge of the window. */
	uint32_t irs;
	bool has_connection;
	uint32_t seq_max, edge_max;
};

/* ---- down ---- */

/* The endpoint may not go further than any window that was told. */
static void check_segment(struct host *h, const struct seg *s)
{
	uint32_t offset = s->seq - (h->irs + 1);
	uint32_t end = s->seq + seg_len(s);

	assert_always(seg_diff(s->ack, h->seq_max) <= 0);
	if (seg_len(s) == 0)
		return;
	assert_always(seg_diff(end, h->edge_max) <= 0);
	assert_always(offset < 1 << 30);
	assert_always(pattern_match(pattern_key_down(h->near.port, h->far.port),
				    offset, s->payload,
				    s->payload_len) == s->payload_len);
}

static void on_down_packet(void *ctx, const uint8_t *packet, size_t len)
{
	struct host *h = ctx;
	struct seg s;

	if (seg_proto(packet, len) != REF_TCP)
		return;
	assert_always(seg_parse(packet, len, &s) == NULL);
	assert_always(endpoint_equal(&s.dst, &h->near) &&
		      endpoint_equal(&s.src, &h->far));
	if (s.flags & SEG_RST)
		return;
	assert_always(s.flags & SEG_ACK);
	if (s.flags & SEG_SYN) {
		if (s.ack != h->iss + 1)
			return; /* of an attempt given up meanwhile */
		h->irs = s.seq;
		h->has_connection = true;
	} else if (h->has_connection) {
		check_segment(h, &s);
	}
}

/* ---- up ---- */

static struct flow *find_flow(const struct host *h)
{
	struct flow_key key;

	memset(&key, 0, sizeof(key));
	key.proto = PKT_PROTO_TCP;
	key.near.addr = h->near.addr;
	key.near.port = h->near.port;
	key.far.addr = h->far.addr;
	key.far.port = h->far.port;
	return flow_find(h->sim->plane, &key);
}

static struct sim_far_stream *far_of(const struct host *h)
{
	return sim_far_find(&h->sim->far, h->near.port);
}

/* Send a segment whose bytes belong where its sequence number says. */
static void send_segment(struct host *h, struct seg *s, size_t len)
{
	static uint8_t packet[SEG_PACKET_MAX], bytes[65536];
	uint32_t offset = s->seq - (h->iss + 1);
	uint32_t edge = s->ack + ((uint32_t)s->window << h->scale);

	if (s->flags & SEG_SYN)
		len = 0;
	for (size_t i = 0; i < len; i++)
		bytes[i] =
			pattern_byte(pattern_key_up(h->near.port, h->far.port),
				     (uint32_t)(offset + i));
	s->src = h->near;
	s->dst = h->far;
	s->payload = bytes;
	s->payload_len = len;
	s->gso_bytes = len > 1460 ? 1460 : 0;
	if (seg_diff(s->seq + seg_len(s), h->seq_max) > 0)
		h->seq_max = s->seq + seg_len(s);
	if ((s->flags & SEG_ACK) && seg_diff(edge, h->edge_max) > 0)
		h->edge_max = edge;
	(void)sim_tun_up(h->sim, packet, seg_build(packet, s));
}

/* The segment that a well-behaved host would send now. */
static struct seg next_segment(const struct host *h)
{
	const struct flow *f = find_flow(h);
	struct seg s = {.flags = SEG_ACK,
			.seq = h->iss + 1,
			.window = 65535,
			.window_scale = -1};

	if (f) {
		struct tcp_probe p = tcp_probe(f);

		s.seq = p.rcv_nxt;
		s.ack = p.snd_max;
	}
	return s;
}

/* ---- operations ---- */

static void op_syn(struct host *h, struct reader *r)
{
	uint8_t how = (uint8_t)take(r, 1);
	struct seg s = {.flags = SEG_SYN,
			.seq = h->iss,
			.window = (uint16_t)take(r, 2),
			.mss_bytes = how & 1 ? 1460 : 0,
			.window_scale = -1};

	if (how & 2)
		s.window_scale = (int8_t)(how >> 4);
	const struct flow *f = find_flow(h);
	if (how & 4) {
		/* Another connection: far ahead, and only where that is what
		 * it means. */
		if (f && strcmp(tcp_probe(f).state, "TIME-WAIT") != 0 &&
		    strcmp(tcp_probe(f).state, "OPENING") != 0)
			return;
		h->iss = s.seq = h->seq_max + 100000;
		h->has_connection = false;
	}
	if (!f || (how & 4)) {
		h->scale = how & 2 ? (uint8_t)(s.window_scale > 14
						       ? 14
						       : s.window_scale)
				   : 0;
		h->seq_max = s.seq + 1;
		h->edge_max = 0;
	}
	send_segment(h, &s, 0);
}

static void note_irs(struct host *h)
{
	const struct flow *f = find_flow(h);

	if (!f)
		return;
	struct tcp_probe p = tcp_probe(f);
	if (h->edge_max == 0 && p.irs == h->iss)
		h->edge_max = p.iss + 1 + 65535; /* by the SYN, unscaled */
}

static void op_good(struct host *h, struct reader *r)
{
	struct seg s = next_segment(h);
	uint8_t how = (uint8_t)take(r, 1);
	size_t len = take(r, 1) * (how & 1 ? 200U : 1U);

	if (how & 2)
		s.flags |= SEG_FIN;
	if (how & 4)
		s.flags |= SEG_PSH | SEG_URG;
	if (how & 8)
		s.window = (uint16_t)take(r, 2);
	send_segment(h, &s, len);
}

static void op_odd(struct host *h, struct reader *r)
{
	struct seg s = next_segment(h);

	s.flags = (uint8_t)(take(r, 1) & ~SEG_SYN);
	s.seq += (uint32_t)(int32_t)(int16_t)take(r, 2);
	s.ack += (uint32_t)(int32_t)(int16_t)take(r, 2);
	s.window = (uint16_t)take(r, 2);
	send_segment(h, &s, take(r, 1) * 17);
}

static void op_far_sends(struct host *h, struct reader *r)
{
	struct sim_far_stream *fs = far_of(h);
	size_t n = take(r, 2) * 7;

	if (!fs || !fs->stream)
		return;
	fs->rule.send_total += n;
	sim_far_poke(fs);
}

static void op_far_closes(struct host *h, struct reader *r)
{
	struct sim_far_stream *fs = far_of(h);

	(void)r;
	if (!fs || !fs->stream)
		return;
	fs->rule.never_fins = false;
	fs->rule.fin_after_eof = false;
	sim_far_poke(fs);
}

static void op_far_pauses(struct host *h, struct reader *r)
{
	struct sim_far_stream *fs = far_of(h);

	if (fs)
		sim_far_pause(fs, take(r, 1) & 1);
}

static void op_far_resets(struct host *h, struct reader *r)
{
	struct sim_far_stream *fs = far_of(h);

	(void)r;
	if (!fs)
		return;
	fs->rule.reset_after = 1;
	sim_far_poke(fs);
}

static void op_wait(struct host *h, struct reader *r)
{
	static const uint64_t us[] = {1,       500,	 2500,
				      30000,   310000,	 1100000,
				      5000000, 61000000, 200000000};

	(void)sim_run(h->sim, NULL,
		      us[take(r, 1) % (sizeof(us) / sizeof(*us))]);
}

static void op_stall(struct host *h, struct reader *r)
{
	sim_pipe_stall(h->sim->pipe, take(r, 1) * UINT64_C(50000));
}

static void op_tun_refuses(struct host *h, struct reader *r)
{
	h->sim->config.down.refuse_ppm = take(r, 1) * 4000;
}

static void (*const operations[])(struct host *h, struct reader *r) = {
	op_good,  op_odd,	  op_far_sends,	 op_wait,
	op_syn,	  op_far_pauses,  op_far_closes, op_far_resets,
	op_stall, op_tun_refuses, op_good,	 op_wait,
};

static void check(struct host *h)
{
	sim_settle(h->sim);
	note_irs(h);
	if (h->sim->violation[0])
		assert_failed(h->sim->violation, __FILE__, __LINE__);
	assert_always(h->sim->plane->flows.n <= 1);
	assert_always(sim_ring_bytes(h->sim) <= STREAM_RINGS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = {data, data + size};
	uint8_t settings = (uint8_t)take(&r, 1);
	const struct sim_rule rules[] = {
		{.port = FAR_PORT,
		 .verdict = (settings & 6) == 6 ? SIM_REFUSE : SIM_ACCEPT,
		 .delay_us = settings & 8 ? 200000 : 0,
		 .refused = {.reason = (settings & 1) ? FRAME_REASON_REFUSED
						      : FRAME_REASON_OTHER},
		 .fin_after_eof = true,
		 .never_fins = settings & 16},
		{0},
	};
	struct sim_config config = {
		.version = settings & 1 ? IPV6 : IPV4,
		.link = {.delay_us = 1000},
		.rules = rules,
	};
	struct sim *s = sim_new(&config, settings);
	struct host h = {.sim = s,
			 .near = {s->near_addr, 40000},
			 .far = {s->far_addr, FAR_PORT},
			 .iss = ISS};

	s->on_down_packet = on_down_packet;
	s->down_ctx = &h;
	for (int i = 0; i < OPERATIONS_MAX && r.at < r.end; i++) {
		size_t n = sizeof(operations) / sizeof(*operations);

		operations[take(&r, 1) % n](&h, &r);
		check(&h);
	}
	(void)sim_run(s, NULL, 400 * US_PER_SEC);
	check(&h);
	(void)sim_free(s);
	return 0;
}
