/* SPDX-License-Identifier: MIT */
/*
 * app_tcp: the TCP of an application's host, as RFC 9293 has it.
 *
 * Theory of operation
 *   Bytes to be sent are a pattern, so nothing is kept for sending again; bytes
 *   received are compared with a pattern at once and only counted.  What comes
 *   beyond a gap is remembered as a range of offsets.  After a timeout it goes
 *   back to the first unacknowledged byte with a congestion window of one
 *   segment; three duplicate ACKs have the first segment sent again.
 *
 *   Choices that hosts make differently (how much to put in a segment, which
 *   kind of window probe) are left to the random source.
 */
#include "app_tcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "pattern.h"

enum {
	RTO_US = 250000,
	RTO_MAX_US = 20000000,
	SYN_RTO_US = 1000000,
	SYN_RETRIES_MAX = 6,
	RETRIES_MAX = 14,
	BACKOFF_MAX = 10,
	DELACK_US = 40000,
	TICK_US = 5000,
	TIME_WAIT_US = 2000000,
	SUPER_MAX = 65535 - 60,
	VIOLATION_MAX = 200,
};

static void complain(struct app_tcp *a, const char *what, uint64_t n)
{
	if (!a->env->violation[0])
		(void)snprintf(a->env->violation, VIOLATION_MAX,
			       "application on port %u: %s (%llu)",
			       a->config.near.port, what,
			       (unsigned long long)n);
}

static void arm(struct app_tcp *a, struct timer *t, uint64_t us)
{
	timer_arm(a->env->loop, t, us);
}

static void decide(struct app_tcp *a, enum app_outcome outcome)
{
	a->outcome = outcome;
	a->decided_us = loop_now_us(a->env->loop);
}

static void stop_timers(struct app_tcp *a)
{
	timer_disarm(a->env->loop, &a->rto);
	timer_disarm(a->env->loop, &a->delack);
	timer_disarm(a->env->loop, &a->tick);
}

static void end_with(struct app_tcp *a, enum app_outcome outcome)
{
	stop_timers(a);
	a->state = APP_OVER;
	decide(a, outcome);
}

/* ---- segments out ---- */

void app_tcp_send_raw(struct app_tcp *a, struct seg s)
{
	uint8_t *out = malloc(SEG_PACKET_MAX);

	assert_always(out != NULL);
	s.src = a->config.near;
	s.dst = a->config.far;
	a->n_sent++;
	size_t len = seg_build(out, &s);
	a->env->send(a->env->ctx, out, len);
	free(out);
}

static uint32_t first_seq(const struct app_tcp *a)
{
	return a->config.iss + 1;
}

static uint8_t rcv_scale(const struct app_tcp *a)
{
	return a->config.window_scale > 0 ? (uint8_t)a->config.window_scale : 0;
}

static bool has_scale(const struct app_tcp *a)
{
	return a->config.window_scale >= 0;
}

/* The receive window's right edge moves, never back. */
static uint16_t window_field(struct app_tcp *a)
{
	uint8_t scale = has_scale(a) ? rcv_scale(a) : 0;
	uint64_t unread = a->unread;
	uint32_t room = unread < a->config.rcv_buf_bytes
				? a->config.rcv_buf_bytes - (uint32_t)unread
				: 0;
	uint32_t promised = a->rcv_edge - a->rcv_nxt;

	if (a->config.has_odd_windows && room > promised)
		room = promised +
		       (uint32_t)rng_below(a->env->rng, room - promised + 1);
	else if (room < promised + a->snd_mss && room - promised < room / 2)
		room = promised; /* receiver's silly window avoidance */
	uint32_t field = (room > promised ? room : promised) >> scale;
	if (field > 65535)
		field = 65535;
	uint32_t edge = a->rcv_nxt + (field << scale);
	if (seg_diff(edge, a->rcv_edge) > 0)
		a->rcv_edge = edge;
	return (uint16_t)field;
}

static void send_seg(struct app_tcp *a, uint32_t seq, uint8_t flags,
		     const uint8_t *payload, size_t len)
{
	struct seg s = {
		.seq = seq,
		.ack = a->rcv_nxt,
		.flags = flags | SEG_ACK,
		.window = window_field(a),
		.window_scale = -1,
		.payload = payload,
		.payload_len = len,
		.gso_bytes = len > a->snd_mss ? a->snd_mss : 0,
		.has_partial_csum = rng_below(a->env->rng, 2),
	};

	if (a->config.has_urgent && len > 0 && rng_below(a->env->rng, 4) == 0) {
		s.flags |= SEG_URG;
		s.urgent = (uint16_t)(1 + rng_below(a->env->rng, len));
	}
	a->unacked_segments = 0;
	timer_disarm(a->env->loop, &a->delack);
	app_tcp_send_raw(a, s);
}

static bool is_persisting(const struct app_tcp *a)
{
	return a->snd_nxt == a->snd_una && a->snd_wnd == 0;
}

static void send_ack(struct app_tcp *a)
{
	send_seg(a, is_persisting(a) ? a->snd_nxt : a->snd_max, 0, NULL, 0);
}

static void send_syn(struct app_tcp *a)
{
	uint32_t window = a->config.rcv_buf_bytes;
	struct seg s = {
		.seq = a->config.iss,
		.flags = SEG_SYN,
		.window = (uint16_t)(window < 65535 ? window : 65535),
		.mss_bytes = a->config.mss_bytes,
		.window_scale = a->config.window_scale,
		.has_partial_csum = true,
	};

	app_tcp_send_raw(a, s);
}

/* ---- output ---- */

static bool can_send(const struct app_tcp *a)
{
	return a->state == APP_ESTABLISHED || a->state == APP_CLOSE_WAIT ||
	       a->state == APP_FIN_WAIT_1 || a->state == APP_CLOSING ||
	       a->state == APP_LAST_ACK;
}

static uint64_t nxt_offset(const struct app_tcp *a)
{
	return a->una_offset + (a->snd_nxt - a->snd_una);
}

static uint32_t usable_window(const struct app_tcp *a)
{
	uint32_t wnd = a->snd_wnd < a->cwnd ? a->snd_wnd : a->cwnd;
	int32_t usable = seg_diff(a->snd_una + wnd, a->snd_nxt);

	return usable > 0 ? (uint32_t)usable : 0;
}

static bool wants_close(const struct app_tcp *a)
{
	return a->config.closes == APP_CLOSES_WHEN_SENT ||
	       (a->config.closes == APP_CLOSES_AFTER_EOF && a->got_eof);
}

/* How much of what may be sent goes into one segment. */
static size_t choose_len(struct app_tcp *a, size_t may)
{
	size_t whole = SUPER_MAX / a->snd_mss * a->snd_mss;
	size_t most = a->config.has_no_gso ? a->snd_mss : whole;
	size_t n;

	switch (rng_below(a->env->rng, 4)) {
	case 0:
		n = 1 + rng_below(a->env->rng, 3U * a->snd_mss);
		break;
	case 1:
		n = a->snd_mss;
		break;
	default:
		n = whole;
		break;
	}
	if (n > most)
		n = most;
	return n < may ? n : may;
}

static void note_sent(struct app_tcp *a, uint32_t len)
{
	if (seg_diff(a->snd_nxt, a->snd_max) < 0)
		a->n_retransmits++;
	a->snd_nxt += len;
	if (seg_diff(a->snd_nxt, a->snd_max) > 0)
		a->snd_max = a->snd_nxt;
}

static void enter_closing(struct app_tcp *a)
{
	if (a->state == APP_ESTABLISHED)
		a->state = APP_FIN_WAIT_1;
	else if (a->state == APP_CLOSE_WAIT)
		a->state = APP_LAST_ACK;
}

/* Bytes from snd_nxt on, the last of them often with the FIN. */
static void send_data(struct app_tcp *a, size_t len)
{
	uint8_t *bytes = malloc(len);
	uint8_t flags = rng_below(a->env->rng, 2) ? SEG_PSH : 0;
	bool is_last = nxt_offset(a) + len == a->config.send_total;

	assert_always(bytes != NULL);
	if (is_last && wants_close(a) && usable_window(a) > len &&
	    rng_below(a->env->rng, 2))
		flags |= SEG_FIN;
	pattern_fill(a->config.key_up, nxt_offset(a), bytes, len);
	send_seg(a, a->snd_nxt, flags, bytes, len);
	note_sent(a, (uint32_t)len + (flags & SEG_FIN ? 1 : 0));
	if (flags & SEG_FIN)
		enter_closing(a);
	free(bytes);
}

static void send_fin(struct app_tcp *a)
{
	send_seg(a, a->snd_nxt, SEG_FIN, NULL, 0);
	note_sent(a, 1);
	enter_closing(a);
}

static bool has_unfinished_output(const struct app_tcp *a)
{
	return a->una_offset < a->config.send_total ||
	       (wants_close(a) && !a->is_fin_acked);
}

static uint64_t rto_us(const struct app_tcp *a)
{
	uint64_t us = (uint64_t)RTO_US << a->retries;

	return us < RTO_MAX_US ? us : RTO_MAX_US;
}

static void output(struct app_tcp *a)
{
	bool was_idle = a->snd_nxt == a->snd_una;

	if (!can_send(a))
		return;
	for (;;) {
		uint64_t at = nxt_offset(a);
		uint64_t left = at < a->config.send_total
					? a->config.send_total - at
					: 0;
		size_t usable = usable_window(a);
		size_t may = left < usable ? (size_t)left : usable;

		/* Sender's silly window avoidance. */
		if (may == 0 || (may < left && may < a->snd_mss &&
				 a->snd_nxt != a->snd_una))
			break;
		send_data(a, choose_len(a, may));
	}
	if (wants_close(a) && nxt_offset(a) == a->config.send_total &&
	    usable_window(a) > 0)
		send_fin(a);
	/* A timer that runs for a window's probe is not that of these bytes. */
	if (was_idle && a->snd_nxt != a->snd_una)
		timer_disarm(a->env->loop, &a->rto);
	if (!timer_is_armed(&a->rto) && has_unfinished_output(a))
		arm(a, &a->rto, rto_us(a));
}

static void send_probe(struct app_tcp *a)
{
	uint8_t byte = pattern_byte(a->config.key_up, a->una_offset);

	if (a->una_offset < a->config.send_total && rng_below(a->env->rng, 2)) {
		send_seg(a, a->snd_una, 0, &byte, 1);
		if (a->snd_max == a->snd_una)
			a->snd_max++;
		return;
	}
	send_seg(a, a->snd_una - 1, 0, NULL, 0);
}

static void on_rto(void *ctx)
{
	struct app_tcp *a = ctx;
	unsigned most =
		a->state == APP_SYN_SENT ? SYN_RETRIES_MAX : RETRIES_MAX;

	if (a->state == APP_TIME_WAIT) {
		end_with(a, APP_FINISHED);
		return;
	}
	if (!has_unfinished_output(a) && a->state != APP_SYN_SENT)
		return;
	if (++a->unanswered > most) {
		end_with(a, APP_TIMED_OUT);
		return;
	}
	if (a->retries < BACKOFF_MAX)
		a->retries++;
	if (a->state == APP_SYN_SENT) {
		send_syn(a);
		arm(a, &a->rto, (uint64_t)SYN_RTO_US << a->retries);
		return;
	}
	if (a->snd_nxt == a->snd_una) {
		send_probe(a);
	} else {
		if (a->config.expects_no_loss)
			complain(a, "had to send again from", a->una_offset);
		a->snd_nxt = a->snd_una;
		a->cwnd = a->snd_mss;
		output(a);
	}
	arm(a, &a->rto, rto_us(a));
}

/* ---- reading ---- */

static uint32_t room_to_tell(const struct app_tcp *a)
{
	uint64_t most = a->config.rcv_buf_bytes - a->unread;

	if (a->unread > a->config.rcv_buf_bytes)
		most = 0;
	uint32_t promised = a->rcv_edge - a->rcv_nxt;
	return most > promised ? (uint32_t)most - promised : 0;
}

static void read_some(struct app_tcp *a)
{
	uint64_t n = a->unread;

	if (a->is_read_paused)
		return;
	if (a->config.read_bytes_per_s && n > a->read_budget)
		n = a->read_budget;
	a->unread -= n;
	a->read_budget -= a->config.read_bytes_per_s ? n : 0;
	if (n > 0 && a->rcv_edge - a->rcv_nxt < a->snd_mss &&
	    room_to_tell(a) >= a->snd_mss && a->state != APP_OVER)
		send_ack(a); /* window update */
}

static void want_tick(struct app_tcp *a)
{
	if (!timer_is_armed(&a->tick))
		arm(a, &a->tick, TICK_US);
}

static void on_tick(void *ctx)
{
	struct app_tcp *a = ctx;

	a->read_budget = a->config.read_bytes_per_s * TICK_US / US_PER_SEC;
	read_some(a);
	if (a->config.has_odd_windows && room_to_tell(a) > 0)
		send_ack(a);
	if (a->unread > 0 || (a->config.has_odd_windows && room_to_tell(a) > 0))
		want_tick(a);
}

void app_tcp_pause_reading(struct app_tcp *a, bool is_paused)
{
	a->is_read_paused = is_paused;
	if (!is_paused) {
		read_some(a);
		want_tick(a);
	}
}

/* ---- segments in: SYN-SENT ---- */

static void take_options(struct app_tcp *a, const struct seg *s)
{
	uint16_t own = a->config.mss_bytes ? a->config.mss_bytes : 536;

	if (s->window_scale >= 0 && a->config.window_scale < 0)
		complain(a, "window scale was not offered", 0);
	if (s->window_scale < 0)
		a->config.window_scale = -1;
	a->snd_scale = s->window_scale > 0 ? (uint8_t)s->window_scale : 0;
	a->snd_mss = s->mss_bytes ? s->mss_bytes : 536;
	if (a->snd_mss > own)
		a->snd_mss = own; /* as hosts do: the path is symmetric */
}

static void on_segment_syn_sent(struct app_tcp *a, const struct seg *s)
{
	if ((s->flags & SEG_ACK) && s->ack != first_seq(a)) {
		complain(a, "SYN acknowledged wrongly", s->ack);
		return;
	}
	if (s->flags & SEG_RST) {
		if (s->flags & SEG_ACK)
			end_with(a, APP_REFUSED);
		return;
	}
	if ((s->flags & (SEG_SYN | SEG_ACK)) != (SEG_SYN | SEG_ACK))
		return;
	a->state = APP_ESTABLISHED;
	decide(a, APP_CONNECTED);
	take_options(a, s);
	a->irs = s->seq;
	a->rcv_nxt = s->seq + 1;
	uint32_t window = a->config.rcv_buf_bytes;
	a->rcv_edge = a->rcv_nxt + (window < 65535 ? window : 65535);
	a->snd_una = a->snd_nxt = a->snd_max = s->ack;
	a->snd_wnd = s->window;
	a->snd_wl1 = s->seq;
	a->snd_wl2 = s->ack;
	a->peer_edge = s->ack + s->window;
	a->cwnd = a->config.inflight_max ? a->config.inflight_max
					 : UINT32_MAX / 4;
	a->retries = 0;
	timer_disarm(a->env->loop, &a->rto);
	if (rng_below(a->env->rng, 2))
		send_ack(a); /* or the first data does */
	output(a);
	if (a->snd_max == a->snd_una)
		send_ack(a);
	if (a->config.has_odd_windows)
		want_tick(a);
}

/* ---- segments in: the ACK field ---- */

static void on_fin_acked(struct app_tcp *a)
{
	a->is_fin_acked = true;
	if (a->state == APP_FIN_WAIT_1) {
		a->state = APP_FIN_WAIT_2;
	} else if (a->state == APP_CLOSING) {
		a->state = APP_TIME_WAIT;
		arm(a, &a->rto, TIME_WAIT_US);
	} else if (a->state == APP_LAST_ACK) {
		end_with(a, APP_FINISHED);
	}
}

static void on_new_ack(struct app_tcp *a, const struct seg *s)
{
	uint32_t n = s->ack - a->snd_una;
	uint64_t left = a->config.send_total - a->una_offset;
	bool has_fin = n > left;

	a->una_offset += has_fin ? left : n;
	a->snd_una = s->ack;
	if (seg_diff(a->snd_nxt, s->ack) < 0)
		a->snd_nxt = s->ack;
	uint32_t most = a->config.inflight_max ? a->config.inflight_max
					       : UINT32_MAX / 4;
	a->cwnd = n < most - a->cwnd ? a->cwnd + n : most;
	a->retries = 0;
	a->dup_acks = 0;
	timer_disarm(a->env->loop, &a->rto);
	if (has_unfinished_output(a))
		arm(a, &a->rto, rto_us(a));
	if (has_fin)
		on_fin_acked(a);
}

static void on_dup_ack(struct app_tcp *a)
{
	uint32_t nxt = a->snd_nxt;

	if (++a->dup_acks != 3 || a->snd_nxt == a->snd_una)
		return;
	a->snd_nxt = a->snd_una;
	uint64_t left = a->config.send_total - a->una_offset;
	if (left > 0)
		send_data(a, left < a->snd_mss ? (size_t)left : a->snd_mss);
	else
		send_fin(a);
	if (seg_diff(a->snd_nxt, nxt) < 0)
		a->snd_nxt = nxt;
}

/* The peer's window may move its right edge back by rounding only. */
static void update_window(struct app_tcp *a, const struct seg *s)
{
	uint32_t wnd = (uint32_t)s->window << a->snd_scale;
	uint32_t edge = s->ack + wnd;

	if (seg_diff(s->seq, a->snd_wl1) < 0 ||
	    (s->seq == a->snd_wl1 && seg_diff(s->ack, a->snd_wl2) < 0))
		return;
	if (seg_diff(edge, a->peer_edge) > 0)
		a->peer_edge = edge;
	else if (a->config.expects_no_loss && !a->has_fin &&
		 a->peer_edge - edge >= 1U << a->snd_scale)
		complain(a, "window was taken back by", a->peer_edge - edge);
	a->snd_wnd = wnd;
	a->snd_wl1 = s->seq;
	a->snd_wl2 = s->ack;
}

/* Returns false if the segment is to be left at that. */
static bool on_ack(struct app_tcp *a, const struct seg *s)
{
	if (seg_diff(s->ack, a->snd_max) > 0) {
		complain(a, "acknowledges what was not sent, by",
			 s->ack - a->snd_max);
		return false;
	}
	a->unanswered = 0;
	bool is_dup = s->ack == a->snd_una && seg_len(s) == 0 &&
		      (uint32_t)s->window << a->snd_scale == a->snd_wnd;
	update_window(a, s);
	if (seg_diff(s->ack, a->snd_una) > 0)
		on_new_ack(a, s);
	else if (is_dup && a->snd_una != a->snd_max)
		on_dup_ack(a);
	return a->state != APP_OVER;
}

/* ---- segments in: text ---- */

static void add_range(struct app_tcp *a, uint64_t from, uint64_t to)
{
	for (int i = 0; i < a->n_ranges; i++) {
		struct app_range *r = &a->ranges[i];

		if (from > r->to || to < r->from)
			continue;
		from = from < r->from ? from : r->from;
		to = to > r->to ? to : r->to;
		*r = a->ranges[--a->n_ranges];
		i = -1; /* the grown one may touch others */
	}
	if (a->n_ranges < APP_RANGES_MAX)
		a->ranges[a->n_ranges++] = (struct app_range){from, to};
}

/* Move what has become contiguous out of the ranges. */
static uint64_t contiguous_end(struct app_tcp *a)
{
	uint64_t end = a->received;

	for (int i = 0; i < a->n_ranges; i++) {
		struct app_range *r = &a->ranges[i];

		if (r->from > end)
			continue;
		end = r->to > end ? r->to : end;
		*r = a->ranges[--a->n_ranges];
		i = -1;
	}
	return end;
}

static void check_size(struct app_tcp *a, const struct seg *s)
{
	uint16_t mss = a->config.mss_bytes ? a->config.mss_bytes : 536;

	if (!a->config.mss_bytes && s->src.addr.version == IPV6)
		mss = 1220;
	if ((s->gso_bytes ? s->gso_bytes : s->payload_len) > mss)
		complain(a, "segment larger than the MSS", s->payload_len);
}

static void take_text(struct app_tcp *a, const struct seg *s)
{
	int32_t ahead = seg_diff(s->seq, a->rcv_nxt);
	uint64_t from = a->received + (uint64_t)(int64_t)ahead;
	const uint8_t *bytes = s->payload;
	size_t n = s->payload_len;

	if (n == 0)
		return;
	check_size(a, s);
	if (seg_diff(s->seq + (uint32_t)n, a->rcv_edge) > 0)
		complain(a, "bytes beyond the window, by",
			 s->seq + n - a->rcv_edge);
	if (ahead < 0 && (uint32_t)-ahead > a->received) {
		complain(a, "bytes before the first", s->seq);
		return;
	}
	size_t good = pattern_match(a->config.key_down, from, bytes, n);
	if (good < n)
		complain(a, "wrong byte received at", from + good);
	if (a->has_fin && from + n > a->fin_offset)
		complain(a, "bytes behind the FIN at", from + n);
	add_range(a, from, from + n);
}

static void take_fin(struct app_tcp *a, const struct seg *s)
{
	uint64_t at = a->received +
		      (uint64_t)(int64_t)seg_diff(
			      s->seq + (uint32_t)s->payload_len, a->rcv_nxt);

	if (!(s->flags & SEG_FIN) || a->got_eof)
		return;
	if (a->has_fin && at != a->fin_offset)
		complain(a, "FIN moved to", at);
	a->has_fin = true;
	a->fin_offset = at;
}

static void on_eof(struct app_tcp *a)
{
	a->got_eof = true;
	a->rcv_nxt++;
	if (seg_diff(a->rcv_edge, a->rcv_nxt) < 0)
		a->rcv_edge = a->rcv_nxt;
	if (a->state == APP_ESTABLISHED) {
		a->state = APP_CLOSE_WAIT;
	} else if (a->state == APP_FIN_WAIT_1) {
		a->state = APP_CLOSING;
	} else if (a->state == APP_FIN_WAIT_2) {
		a->state = APP_TIME_WAIT;
		arm(a, &a->rto, TIME_WAIT_US);
	}
}

static void schedule_ack(struct app_tcp *a, bool at_once)
{
	if (at_once || a->config.acks_at_once || ++a->unacked_segments >= 2)
		send_ack(a);
	else
		arm(a, &a->delack, DELACK_US);
}

static void on_text(struct app_tcp *a, const struct seg *s)
{
	uint64_t before = a->received;

	if (a->got_eof) {
		send_ack(a); /* its FIN once more */
		return;
	}
	take_text(a, s);
	take_fin(a, s);
	uint64_t end = contiguous_end(a);
	a->rcv_nxt += (uint32_t)(end - before);
	a->received = end;
	a->unread += end - before;
	read_some(a);
	bool is_gap = a->n_ranges > 0 || end == before;
	if (a->has_fin && a->received == a->fin_offset) {
		on_eof(a);
		is_gap = true; /* a FIN is acknowledged at once */
	}
	schedule_ack(a, is_gap || s->payload_len > 2U * a->snd_mss);
	if (a->unread > 0 || a->config.has_odd_windows)
		want_tick(a);
}

/* ---- segments in ---- */

static bool is_acceptable(const struct app_tcp *a, const struct seg *s)
{
	uint32_t window = a->rcv_edge - a->rcv_nxt;
	int32_t first = seg_diff(s->seq, a->rcv_nxt);
	int32_t last = first + (int32_t)seg_len(s) - 1;

	if (seg_len(s) == 0)
		return window == 0 ? first == 0
				   : first >= 0 && (uint32_t)first < window;
	return (first >= 0 && (uint32_t)first < window) ||
	       (last >= 0 && (uint32_t)last < window);
}

static void note_probe(struct app_tcp *a, const struct seg *s)
{
	mono_us_t now_us = loop_now_us(a->env->loop);

	if (seg_len(s) > 0 || s->seq != a->rcv_nxt - 1)
		return;
	a->n_probes_received++;
	a->last_probe_gap_us = now_us - a->last_probe_us;
	a->last_probe_us = now_us;
}

static void on_segment_synchronized(struct app_tcp *a, const struct seg *s)
{
	if (s->flags & SEG_SYN) {
		send_ack(a);
		return;
	}
	note_probe(a, s);
	if (!is_acceptable(a, s)) {
		if (seg_len(s) > 0 &&
		    seg_diff(s->seq + (uint32_t)s->payload_len, a->rcv_edge) >
			    0)
			complain(a, "bytes beyond the window, by",
				 s->seq + s->payload_len - a->rcv_edge);
		if (!(s->flags & SEG_RST))
			send_ack(a);
		return;
	}
	if (s->flags & SEG_RST) {
		if (s->seq == a->rcv_nxt)
			end_with(a, a->state == APP_TIME_WAIT ? APP_FINISHED
							      : APP_RESET);
		else
			send_ack(a); /* RFC 5961 section 3.2 */
		return;
	}
	if (!(s->flags & SEG_ACK)) {
		complain(a, "segment without ACK", s->seq);
		return;
	}
	if (!on_ack(a, s))
		return;
	if (seg_len(s) > 0)
		on_text(a, s);
	output(a);
}

static void answer_with_rst(struct app_tcp *a, const struct seg *s)
{
	struct seg rst = {.flags = SEG_RST, .seq = s->ack, .window_scale = -1};

	if (s->flags & SEG_RST)
		return;
	if (!(s->flags & SEG_ACK)) {
		rst.flags |= SEG_ACK;
		rst.ack = s->seq + seg_len(s);
	}
	app_tcp_send_raw(a, rst);
}

void app_tcp_on_segment(struct app_tcp *a, const struct seg *s)
{
	a->n_received++;
	if (a->state == APP_CLOSED || a->state == APP_OVER)
		answer_with_rst(a, s);
	else if (a->state == APP_SYN_SENT)
		on_segment_syn_sent(a, s);
	else
		on_segment_synchronized(a, s);
}

void app_tcp_on_icmp(struct app_tcp *a, uint8_t type, uint8_t code)
{
	if (a->state != APP_SYN_SENT)
		return;
	a->icmp_type = type;
	a->icmp_code = code;
	end_with(a, APP_UNREACHABLE);
}

/* ---- life ---- */

static void on_delack(void *ctx)
{
	send_ack(ctx);
}

void app_tcp_init(struct app_tcp *a, const struct app_env *env,
		  const struct app_config *config)
{
	memset(a, 0, sizeof(*a));
	list_init(&a->link);
	a->config = *config;
	a->env = env;
	if (!a->config.key_up) {
		a->config.key_up =
			pattern_key_up(config->near.port, config->far.port);
		a->config.key_down =
			pattern_key_down(config->near.port, config->far.port);
	}
	a->rto = (struct timer){.on_fire = on_rto, .ctx = a};
	a->delack = (struct timer){.on_fire = on_delack, .ctx = a};
	a->tick = (struct timer){.on_fire = on_tick, .ctx = a};
}

void app_tcp_connect(struct app_tcp *a)
{
	a->state = APP_SYN_SENT;
	a->outcome = APP_PENDING;
	a->opened_us = loop_now_us(a->env->loop);
	a->snd_una = a->config.iss;
	a->snd_nxt = a->snd_max = a->config.iss + 1;
	a->snd_mss = 536;
	send_syn(a);
	arm(a, &a->rto, SYN_RTO_US);
}

void app_tcp_poke(struct app_tcp *a)
{
	output(a);
}

void app_tcp_abort(struct app_tcp *a)
{
	struct seg rst = {.flags = SEG_RST | SEG_ACK,
			  .seq = a->snd_max,
			  .ack = a->rcv_nxt,
			  .window_scale = -1};

	app_tcp_send_raw(a, rst);
	end_with(a, APP_RESET);
}

void app_tcp_vanish(struct app_tcp *a)
{
	stop_timers(a);
	a->state = APP_OVER;
}
