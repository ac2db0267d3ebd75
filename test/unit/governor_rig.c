/* SPDX-License-Identifier: MIT */
/* governor_rig: see governor_rig.h. */
#include "governor_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUCKET_US = 250,
	PACKET = 1400, /* of TCP */
	REQUEST = 100, /* bytes */
	REQUEST_EVERY_US = 23000,
};

/* ---- the line ---- */

static mono_us_t earliest(mono_us_t a, mono_us_t b)
{
	return a < b ? a : b;
}

static void begin_departure(struct governor_rig *s)
{
	s->depart_us = NEVER;
	if (s->mid == s->in || s->line.is_dead)
		return;
	struct governor_rig_frame *f = &s->frames[s->mid % GOVERNOR_RIG_FRAMES];
	if (s->cwnd > 0 && s->tcp < s->mid &&
	    f->end - s->frames[s->tcp % GOVERNOR_RIG_FRAMES].end > s->cwnd)
		return;
	s->begun_us = s->now_us;
	uint64_t n = f->bytes * SECOND + s->depart_rest;
	s->depart_us = s->now_us + n / s->line.rate;
	s->depart_rest = n % s->line.rate;
}

static mono_us_t latest(mono_us_t a, mono_us_t b)
{
	return a > b ? a : b;
}

/* How much later a packet comes: it may be lost more than once. */
static mono_us_t repaired_us(struct governor_rig *s)
{
	mono_us_t us = 0;

	while (rng_below(&s->rng, 1000000) < s->line.loss_ppm)
		us += s->line.repair_us;
	return us;
}

static mono_us_t extra_trip_us(struct governor_rig *s,
			       const struct governor_rig_frame *f)
{
	mono_us_t extra_us = 0;

	for (uint32_t n = 0; n < f->bytes; n += PACKET)
		extra_us = latest(extra_us, repaired_us(s));
	if (s->line.jitter_us > 0) {
		/* Wanders, as on the air. */
		s->late_us += rng_below(&s->rng, s->line.jitter_us / 4 + 1);
		s->late_us -=
			earliest(s->late_us,
				 rng_below(&s->rng, s->line.jitter_us / 4 + 1));
		s->late_us = earliest(s->late_us, s->line.jitter_us);
	}
	return extra_us + s->late_us;
}

static void depart(struct governor_rig *s)
{
	struct governor_rig_frame *f = &s->frames[s->mid % GOVERNOR_RIG_FRAMES];
	mono_us_t queued_us = s->begun_us - f->at_us;
	mono_us_t arrival_us =
		s->now_us + s->line.rtt_us / 2 + extra_trip_us(s, f);

	s->n_frames++;
	s->queue_us_sum += queued_us;
	s->queue_us[earliest(queued_us / BUCKET_US,
			     GOVERNOR_RIG_BUCKETS - 1)]++;
	if (arrival_us < s->last_arrival_us)
		arrival_us = s->last_arrival_us;
	f->at_us = s->last_arrival_us = arrival_us;
	s->mid++;
	begin_departure(s);
}

static void acknowledge(struct governor_rig *s)
{
	s->ack_timer_us = NEVER;
	s->acked = s->received;
	if (s->line.is_mute)
		return;
	mono_us_t at_us = s->now_us + s->line.rtt_us / 2 +
			  s->now_us / 7 % (s->line.back_us + 1);
	if (s->ack_in > s->ack_out &&
	    at_us < s->acks[(s->ack_in - 1) % GOVERNOR_RIG_ACKS].at_us)
		at_us = s->acks[(s->ack_in - 1) % GOVERNOR_RIG_ACKS].at_us;
	assert_true(s->ack_in - s->ack_out < GOVERNOR_RIG_ACKS);
	mono_us_t wait_us = at_us - s->now_us - s->line.rtt_us / 2;
	s->acks[s->ack_in++ % GOVERNOR_RIG_ACKS] = (struct governor_rig_ack){
		at_us, s->received,
		(uint32_t)(s->now_us - s->received_us + wait_us), wait_us};
}

static void arrive(struct governor_rig *s)
{
	s->received = s->frames[s->out++ % GOVERNOR_RIG_FRAMES].end;
	s->received_us = s->now_us;
	if (s->received - s->acked >= s->line.ack_bytes)
		acknowledge(s);
	else if (s->ack_timer_us == NEVER)
		s->ack_timer_us = s->now_us + s->line.ack_us;
}

static mono_us_t next_tcp_us(const struct governor_rig *s)
{
	return s->cwnd > 0 && s->tcp < s->out
		       ? s->frames[s->tcp % GOVERNOR_RIG_FRAMES].at_us +
				 s->line.rtt_us / 2
		       : NEVER;
}

static void tcp_acknowledge(struct governor_rig *s)
{
	s->cwnd += s->frames[s->tcp++ % GOVERNOR_RIG_FRAMES].bytes;
	if (s->depart_us == NEVER)
		begin_departure(s);
}

/* ---- the sender ---- */

static void put_frame(struct governor_rig *s, size_t bytes)
{
	s->sent += bytes;
	assert_true(s->in - s->out < GOVERNOR_RIG_FRAMES);
	s->frames[s->in++ % GOVERNOR_RIG_FRAMES] = (struct governor_rig_frame){
		s->sent, s->now_us, (uint32_t)bytes};
	governor_sent(&s->g, s->now_us, bytes, bytes);
	if (s->depart_us == NEVER)
		begin_departure(s);
}

static void produce(struct governor_rig *s)
{
	if (s->is_greedy)
		return;
	s->app_bytes += (s->now_us - s->app_us) * s->app_rate / SECOND;
	s->app_us = s->now_us;
}

static void check_invariants(struct governor_rig *s)
{
	struct governor_view v = governor_view(&s->g);

	assert_int_equal(v.in_flight_bytes, s->sent - s->g.delivered);
	if (v.in_flight_bytes == 0)
		assert_true(governor_room(&s->g, 0) >= GOVERNOR_LEAST_BYTES);
	assert_true(v.in_flight_bytes <= s->sent);
	if (v.allowed_bytes > s->allowed_most)
		s->allowed_most = v.allowed_bytes;
}

static void send_all(struct governor_rig *s)
{
	produce(s);
	while (governor_room(&s->g, 0) > 0) {
		size_t bytes = governor_frame_bytes(&s->g, GOVERNOR_RIG_FRAME);

		if (!s->is_greedy && s->app_bytes < bytes)
			bytes = s->app_bytes;
		if (bytes == 0) {
			governor_idle(&s->g);
			break;
		}
		if (!s->is_greedy)
			s->app_bytes -= bytes;
		put_frame(s, bytes);
	}
	check_invariants(s);
}

static void take_acks(struct governor_rig *s)
{
	while (s->ack_out < s->ack_in &&
	       s->acks[s->ack_out % GOVERNOR_RIG_ACKS].at_us <= s->now_us) {
		struct governor_rig_ack a =
			s->acks[s->ack_out++ % GOVERNOR_RIG_ACKS];

		if (s->line.back_us > 0)
			governor_note_way_back(&s->g, true, a.wait_us);
		assert_int_equal(governor_received(&s->g, s->now_us, a.total,
						   a.delay_us),
				 0);
	}
}

/* ---- time ---- */

static mono_us_t next_sender_us(const struct governor_rig *s)
{
	mono_us_t next_us = NEVER;

	if (s->ack_out < s->ack_in)
		next_us = s->acks[s->ack_out % GOVERNOR_RIG_ACKS].at_us;
	if (!s->is_greedy && s->app_rate > 0)
		next_us = earliest(next_us, s->app_us + MS);
	if (next_us < s->asleep_until_us)
		next_us = s->asleep_until_us;
	return next_us;
}

static void run_until(struct governor_rig *s, mono_us_t end_us)
{
	if (s->line.stall_us > 0 && s->stall_us < s->now_us)
		s->stall_us = s->now_us;
	send_all(s);
	for (;;) {
		mono_us_t arrival_us =
			s->out < s->mid
				? s->frames[s->out % GOVERNOR_RIG_FRAMES].at_us
				: NEVER;
		mono_us_t sender_us = next_sender_us(s);
		mono_us_t next_us =
			earliest(earliest(arrival_us, s->depart_us),
				 earliest(sender_us, s->ack_timer_us));

		next_us = earliest(next_us, next_tcp_us(s));
		next_us = earliest(next_us, s->request_us);
		if (s->line.stall_us > 0)
			next_us = earliest(next_us, s->stall_us);
		if (next_us > end_us)
			break;
		if (next_us > s->now_us)
			s->now_us = next_us;
		if (s->line.stall_us > 0 && next_us == s->stall_us) {
			s->asleep_until_us =
				s->now_us +
				rng_below(&s->rng, s->line.stall_us);
			s->stall_us +=
				1 +
				rng_below(&s->rng, 2 * s->line.stall_every_us);
		} else if (next_us == s->request_us) {
			put_frame(s, REQUEST);
			s->request_us += REQUEST_EVERY_US;
		} else if (next_us == s->depart_us) {
			depart(s);
		} else if (next_us == arrival_us) {
			arrive(s);
		} else if (next_us == next_tcp_us(s)) {
			tcp_acknowledge(s);
		} else if (next_us == s->ack_timer_us) {
			acknowledge(s);
		} else {
			take_acks(s);
			send_all(s);
		}
	}
	s->now_us = end_us;
}

void governor_rig_run(struct governor_rig *s, mono_us_t us)
{
	run_until(s, s->now_us + us);
}

void governor_rig_measure(struct governor_rig *s)
{
	s->since_us = s->now_us;
	s->since_received = s->received;
	s->n_frames = s->queue_us_sum = 0;
	memset(s->queue_us, 0, sizeof(s->queue_us));
	s->allowed_most = 0;
}

void governor_rig_set_rate(struct governor_rig *s, uint64_t rate)
{
	s->line.rate = rate;
	begin_departure(s);
}

void governor_rig_set_dead(struct governor_rig *s, bool is_dead)
{
	s->line.is_dead = is_dead;
	begin_departure(s);
}

/* ---- what came of it ---- */

unsigned governor_rig_goodput_permille(const struct governor_rig *s)
{
	return (unsigned)((s->received - s->since_received) * 1000 * SECOND /
			  (s->now_us - s->since_us) / s->line.rate);
}

static mono_us_t queue_mean_us(const struct governor_rig *s)
{
	return s->n_frames ? s->queue_us_sum / s->n_frames : 0;
}

mono_us_t governor_rig_queue_p95_us(const struct governor_rig *s)
{
	uint64_t n = 0;

	for (int i = 0; i < GOVERNOR_RIG_BUCKETS; i++) {
		n += s->queue_us[i];
		if (n * 100 >= s->n_frames * 95)
			return (mono_us_t)(i + 1) * BUCKET_US;
	}
	return 0;
}

static void print_figures(const struct governor_rig *s, const char *what)
{
	struct governor_view v = governor_view(&s->g);

	printf("# %-32s goodput %4u/1000 queue mean %6.1f p95 %6.1f ms"
	       " allowed %zu KiB rate %.1f Mbit/s min %.1f ms phase %d\n",
	       what, governor_rig_goodput_permille(s),
	       (double)queue_mean_us(s) / 1e3,
	       (double)governor_rig_queue_p95_us(s) / 1e3,
	       v.allowed_bytes >> 10, (double)v.rate * 8 / 1e6,
	       v.round_trip_min_us / 1e3, v.phase);
	(void)fflush(stdout);
}

void governor_rig_require(const struct governor_rig *s, const char *what,
			  unsigned least_permille, mono_us_t most_queue_us)
{
	bool is_good = governor_rig_goodput_permille(s) >= least_permille &&
		       queue_mean_us(s) <= most_queue_us;

	if (!is_good || getenv("ECSSH_TEST_FIGURES"))
		print_figures(s, what);
	assert_true(is_good);
}

struct governor_rig *governor_rig_new(uint64_t mbit, mono_us_t rtt_us)
{
	struct governor_rig *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->line = (struct governor_rig_line){.rate = mbit * MBIT,
					     .rtt_us = rtt_us,
					     .repair_us = rtt_us,
					     .ack_bytes = 16 << 10,
					     .ack_us = 5 * MS};
	s->is_greedy = true;
	s->now_us = START_US;
	s->depart_us = s->ack_timer_us = s->request_us = NEVER;
	s->rng = (struct rng){42};
	governor_init(&s->g, s->now_us);
	return s;
}
