/* SPDX-License-Identifier: MIT */
/* raw_peer: an application's host that does just what the test says. */
#include "raw_peer.h"

#include <stdlib.h>
#include <string.h>

#include "pattern.h"

struct sim *raw_sim(enum ip_version version, const struct sim_rule *rules)
{
	struct sim_config config = {
		.version = version,
		.link = {.delay_us = 1000},
		.rules = rules,
	};
	struct sim *s = sim_new(&config, 1);

	s->has_raw_tun = true;
	return s;
}

struct raw_peer raw_peer(struct sim *s, uint16_t far_port)
{
	struct app_config c = sim_app_config(s, far_port);

	return (struct raw_peer){
		.sim = s,
		.near = c.near,
		.far = c.far,
		.iss = RAW_ISN,
		.seq = RAW_ISN,
		.window = 65535,
		.n_seen = s->n_captured,
	};
}

/* The TUN takes a moment. */
static void settle(struct raw_peer *p)
{
	run_for(p->sim, 100);
}

void raw_send_seg(struct raw_peer *p, const struct seg *s)
{
	uint8_t *out = malloc(SEG_PACKET_MAX);
	struct seg seg = *s;

	assert_non_null(out);
	seg.src = p->near;
	seg.dst = p->far;
	if (seg.window_scale == 0 && !(seg.flags & SEG_SYN))
		seg.window_scale = -1;
	size_t len = seg_build(out, &seg);
	(void)sim_tun_up(p->sim, out, len);
	free(out);
	settle(p);
}

void raw_send(struct raw_peer *p, uint8_t flags, const void *payload,
	      size_t len)
{
	struct seg s = {
		.seq = p->seq,
		.ack = p->ack,
		.flags = flags,
		.window = p->window,
		.window_scale = -1,
		.payload = payload,
		.payload_len = len,
	};

	p->seq += seg_len(&s);
	raw_send_seg(p, &s);
}

const struct sim_captured *raw_next(struct raw_peer *p)
{
	if (p->n_seen == p->sim->n_captured)
		return NULL;
	return sim_captured(p->sim, p->sim->n_captured - 1 - p->n_seen++);
}

const struct seg *raw_expect(struct raw_peer *p)
{
	const struct sim_captured *c = raw_next(p);

	assert_non_null(c);
	const char *wrong = seg_parse(c->bytes, c->len, &p->last);
	if (wrong)
		fail_msg("%s", wrong);
	assert_true(endpoint_equal(&p->last.src, &p->far));
	assert_true(endpoint_equal(&p->last.dst, &p->near));
	return &p->last;
}

const struct seg *raw_expect_flags(struct raw_peer *p, uint8_t flags)
{
	const struct seg *s = raw_expect(p);

	assert_int_equal(s->flags & ~SEG_PSH, flags);
	return s;
}

void raw_expect_silence(struct raw_peer *p)
{
	if (p->n_seen != p->sim->n_captured)
		(void)raw_expect_flags(p, 0); /* says which flags came */
}

void raw_syn(struct raw_peer *p)
{
	struct seg syn = {
		.seq = p->seq,
		.flags = SEG_SYN,
		.window = p->window,
		.mss_bytes = 1460,
		.window_scale = 0,
	};

	p->seq++;
	raw_send_seg(p, &syn);
}

void raw_connect(struct raw_peer *p)
{
	raw_syn(p);
	run_for(p->sim, 10000);
	const struct seg *s = raw_expect_flags(p, SEG_SYN | SEG_ACK);
	assert_int_equal(s->ack, p->seq);
	p->irs = s->seq;
	p->ack = s->seq + 1;
	raw_send(p, SEG_ACK, NULL, 0);
	raw_expect_silence(p);
	assert_string_equal(raw_probe(p).state, "ESTABLISHED");
}

struct sim_far_stream *raw_far(struct raw_peer *p)
{
	struct sim_far_stream *fs = sim_far_find(&p->sim->far, p->near.port);

	assert_non_null(fs);
	return fs;
}

void raw_far_sends(struct raw_peer *p, size_t n)
{
	struct sim_far_stream *fs = raw_far(p);

	fs->rule.send_total += n;
	sim_far_poke(fs);
	run_for(p->sim, 10000);
}

static struct flow *find_flow(struct raw_peer *p)
{
	struct flow_key key;

	memset(&key, 0, sizeof(key));
	key.proto = PKT_PROTO_TCP;
	key.near.addr = p->near.addr;
	key.near.port = p->near.port;
	key.far.addr = p->far.addr;
	key.far.port = p->far.port;
	return flow_find(p->sim->plane, &key);
}

struct tcp_probe raw_probe(struct raw_peer *p)
{
	struct flow *f = find_flow(p);

	assert_non_null(f);
	return tcp_probe(f);
}

bool raw_is_gone(struct raw_peer *p)
{
	return find_flow(p) == NULL;
}
