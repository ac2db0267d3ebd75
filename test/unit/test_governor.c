/* SPDX-License-Identifier: MIT */
/*
 * test_governor: src/session/governor on a simulated line.
 *
 *   sender -> queue -> bottleneck -> half a round trip -> receiver
 *      ^                                                     |
 *      +------ half a round trip <- every 16 KiB or 5 ms ----+
 *
 * Time is virtual.  Nothing is lost, as on a carrier; what TCP would lose and
 * send again comes a round trip late, and all that follows it comes no sooner.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "governor.h"
#include "reference.h"

enum {
	FRAME = 16374,
	FRAMES = 1 << 17, /* on their way at one time */
	ACKS = 1 << 15,
	BUCKETS = 8192,
	BUCKET_US = 250,
	PACKET = 1400, /* of TCP */
	HOUR_S = 3600,
};

#define MBIT	 UINT64_C(125000) /* bytes/s */
#define MS	 US_PER_MS
#define SECOND	 US_PER_SEC
#define NEVER	 UINT64_MAX
#define START_US (7 * SECOND)

struct frame {
	uint64_t end;
	mono_us_t at_us; /* in the queue since; then: arrives */
	uint32_t bytes;
};

struct ack {
	mono_us_t at_us;
	uint64_t total;
	uint32_t delay_us;
};

struct line {
	uint64_t rate;
	mono_us_t rtt_us;
	size_t ack_bytes;
	mono_us_t ack_us;
	unsigned loss_ppm;   /* of packets of TCP */
	mono_us_t jitter_us; /* trips are up to this longer */
	mono_us_t stall_us;  /* the sender sleeps for up to this ... */
	mono_us_t stall_every_us;
	bool is_mute; /* no acknowledgements */
	bool is_dead; /* nothing leaves the bottleneck */
};

struct sim {
	struct governor g;
	struct line line;
	struct rng rng;
	mono_us_t now_us;

	/* Sender. */
	bool is_greedy;
	uint64_t app_rate; /* if not greedy */
	mono_us_t app_us;  /* has produced until then */
	uint64_t app_bytes;
	uint64_t sent;
	mono_us_t asleep_until_us;
	mono_us_t stall_us;

	/* The line: frames[out..mid) travel, [mid..in) are queued. */
	struct frame frames[FRAMES];
	uint64_t out, mid, in;
	mono_us_t depart_us; /* of frames[mid]; NEVER: none begun */
	mono_us_t begun_us;
	uint64_t depart_rest; /* of a microsecond */
	mono_us_t last_arrival_us;
	mono_us_t late_us; /* jitter now */

	/* TCP, if cwnd > 0: slow start and no end of it. */
	size_t cwnd;
	uint64_t tcp; /* frames[tcp] is the next it hears of */

	/* Receiver. */
	uint64_t received, acked;
	mono_us_t ack_timer_us;
	mono_us_t received_us;
	struct ack acks[ACKS];
	uint64_t ack_out, ack_in;

	/* What is measured since measure(). */
	mono_us_t since_us;
	uint64_t since_received;
	uint64_t n_frames, queue_us_sum;
	uint32_t queue_us[BUCKETS];
	size_t allowed_most;
};

/* ---- the line ---- */

static mono_us_t earliest(mono_us_t a, mono_us_t b)
{
	return a < b ? a : b;
}

static void begin_departure(struct sim *s)
{
	s->depart_us = NEVER;
	if (s->mid == s->in || s->line.is_dead)
		return;
	struct frame *f = &s->frames[s->mid % FRAMES];
	if (s->cwnd > 0 && s->tcp < s->mid &&
	    f->end - s->frames[s->tcp % FRAMES].end > s->cwnd)
		return;
	s->begun_us = s->now_us;
	uint64_t n = f->bytes * SECOND + s->depart_rest;
	s->depart_us = s->now_us + n / s->line.rate;
	s->depart_rest = n % s->line.rate;
}

static mono_us_t extra_trip_us(struct sim *s, const struct frame *f)
{
	mono_us_t extra_us = 0;

	for (uint32_t n = 0; n < f->bytes; n += PACKET)
		if (rng_below(&s->rng, 1000000) < s->line.loss_ppm)
			extra_us = s->line.rtt_us;
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

static void depart(struct sim *s)
{
	struct frame *f = &s->frames[s->mid % FRAMES];
	mono_us_t queued_us = s->begun_us - f->at_us;
	mono_us_t arrival_us =
		s->now_us + s->line.rtt_us / 2 + extra_trip_us(s, f);

	s->n_frames++;
	s->queue_us_sum += queued_us;
	s->queue_us[earliest(queued_us / BUCKET_US, BUCKETS - 1)]++;
	if (arrival_us < s->last_arrival_us)
		arrival_us = s->last_arrival_us;
	f->at_us = s->last_arrival_us = arrival_us;
	s->mid++;
	begin_departure(s);
}

static void acknowledge(struct sim *s)
{
	s->ack_timer_us = NEVER;
	s->acked = s->received;
	if (s->line.is_mute)
		return;
	mono_us_t at_us = s->now_us + s->line.rtt_us / 2;
	if (s->ack_in > s->ack_out &&
	    at_us < s->acks[(s->ack_in - 1) % ACKS].at_us)
		at_us = s->acks[(s->ack_in - 1) % ACKS].at_us;
	assert_true(s->ack_in - s->ack_out < ACKS);
	s->acks[s->ack_in++ % ACKS] = (struct ack){
		at_us, s->received, (uint32_t)(s->now_us - s->received_us)};
}

static void arrive(struct sim *s)
{
	s->received = s->frames[s->out++ % FRAMES].end;
	s->received_us = s->now_us;
	if (s->received - s->acked >= s->line.ack_bytes)
		acknowledge(s);
	else if (s->ack_timer_us == NEVER)
		s->ack_timer_us = s->now_us + s->line.ack_us;
}

static mono_us_t next_tcp_us(const struct sim *s)
{
	return s->cwnd > 0 && s->tcp < s->out
		       ? s->frames[s->tcp % FRAMES].at_us + s->line.rtt_us / 2
		       : NEVER;
}

static void tcp_acknowledge(struct sim *s)
{
	s->cwnd += s->frames[s->tcp++ % FRAMES].bytes;
	if (s->depart_us == NEVER)
		begin_departure(s);
}

/* ---- the sender ---- */

static void put_frame(struct sim *s, size_t bytes)
{
	s->sent += bytes;
	assert_true(s->in - s->out < FRAMES);
	s->frames[s->in++ % FRAMES] =
		(struct frame){s->sent, s->now_us, (uint32_t)bytes};
	governor_sent(&s->g, s->now_us, bytes);
	if (s->depart_us == NEVER)
		begin_departure(s);
}

static void produce(struct sim *s)
{
	if (s->is_greedy)
		return;
	s->app_bytes += (s->now_us - s->app_us) * s->app_rate / SECOND;
	s->app_us = s->now_us;
}

static void check_invariants(struct sim *s)
{
	struct governor_view v = governor_view(&s->g);

	assert_int_equal(v.in_flight_bytes, s->sent - s->g.delivered);
	if (v.in_flight_bytes == 0)
		assert_true(governor_room(&s->g) >= GOVERNOR_LEAST_BYTES);
	assert_true(v.in_flight_bytes <= s->sent);
	if (v.allowed_bytes > s->allowed_most)
		s->allowed_most = v.allowed_bytes;
}

static void send_all(struct sim *s)
{
	produce(s);
	while (governor_room(&s->g) > 0) {
		size_t bytes = governor_frame_bytes(&s->g, FRAME);

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

static void take_acks(struct sim *s)
{
	while (s->ack_out < s->ack_in &&
	       s->acks[s->ack_out % ACKS].at_us <= s->now_us) {
		struct ack a = s->acks[s->ack_out++ % ACKS];

		a.delay_us = (uint32_t)earliest(a.delay_us, UINT32_MAX);
		assert_int_equal(governor_received(&s->g, s->now_us, a.total,
						   a.delay_us),
				 0);
	}
}

/* ---- time ---- */

static mono_us_t next_sender_us(const struct sim *s)
{
	mono_us_t next_us = NEVER;

	if (s->ack_out < s->ack_in)
		next_us = s->acks[s->ack_out % ACKS].at_us;
	if (!s->is_greedy && s->app_rate > 0)
		next_us = earliest(next_us, s->app_us + MS);
	if (next_us < s->asleep_until_us)
		next_us = s->asleep_until_us;
	return next_us;
}

static void run_until(struct sim *s, mono_us_t end_us)
{
	if (s->line.stall_us > 0 && s->stall_us < s->now_us)
		s->stall_us = s->now_us;
	send_all(s);
	for (;;) {
		mono_us_t arrival_us =
			s->out < s->mid ? s->frames[s->out % FRAMES].at_us
					: NEVER;
		mono_us_t sender_us = next_sender_us(s);
		mono_us_t next_us =
			earliest(earliest(arrival_us, s->depart_us),
				 earliest(sender_us, s->ack_timer_us));

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

static void run(struct sim *s, mono_us_t us)
{
	run_until(s, s->now_us + us);
}

static void measure(struct sim *s)
{
	s->since_us = s->now_us;
	s->since_received = s->received;
	s->n_frames = s->queue_us_sum = 0;
	memset(s->queue_us, 0, sizeof(s->queue_us));
	s->allowed_most = 0;
}

static void set_rate(struct sim *s, uint64_t rate)
{
	s->line.rate = rate;
	begin_departure(s);
}

static void set_dead(struct sim *s, bool is_dead)
{
	s->line.is_dead = is_dead;
	begin_departure(s);
}

/* ---- what came of it ---- */

static unsigned goodput_permille(const struct sim *s)
{
	return (unsigned)((s->received - s->since_received) * 1000 * SECOND /
			  (s->now_us - s->since_us) / s->line.rate);
}

static mono_us_t queue_mean_us(const struct sim *s)
{
	return s->n_frames ? s->queue_us_sum / s->n_frames : 0;
}

static mono_us_t queue_p95_us(const struct sim *s)
{
	uint64_t n = 0;

	for (int i = 0; i < BUCKETS; i++) {
		n += s->queue_us[i];
		if (n * 100 >= s->n_frames * 95)
			return (mono_us_t)(i + 1) * BUCKET_US;
	}
	return 0;
}

static void report(const struct sim *s, const char *what)
{
	struct governor_view v = governor_view(&s->g);

	printf("# %-34s goodput %4u/1000 queue mean %6.1f p95 %6.1f ms"
	       " allowed %zu K rate %.1f Mbit/s rtt %.1f min %.1f %d\n",
	       what, goodput_permille(s), (double)queue_mean_us(s) / 1e3,
	       (double)queue_p95_us(s) / 1e3, v.allowed_bytes >> 10,
	       (double)v.rate / 125000, v.round_trip_us / 1e3,
	       v.round_trip_min_us / 1e3, v.phase);
	(void)fflush(stdout);
}

static struct sim *sim_new(uint64_t mbit, mono_us_t rtt_us)
{
	struct sim *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->line = (struct line){.rate = mbit * MBIT,
				.rtt_us = rtt_us,
				.ack_bytes = 16 << 10,
				.ack_us = 5 * MS};
	s->is_greedy = true;
	s->now_us = START_US;
	s->depart_us = s->ack_timer_us = NEVER;
	s->rng = (struct rng){42};
	governor_init(&s->g, s->now_us);
	return s;
}

/* ---- steady lines ---- */

static void steady(uint64_t mbit, mono_us_t rtt_us, const char *what)
{
	struct sim *s = sim_new(mbit, rtt_us);

	run(s, 10 * rtt_us + SECOND);
	measure(s);
	run(s, 30 * SECOND);
	report(s, what);
	assert_true(goodput_permille(s) >= 980);
	assert_true(queue_mean_us(s) <= rtt_us / 10 + 25 * MS);
	free(s);
}

static void steady_lines_are_full(void **state)
{
	(void)state;
	steady(50, 40 * MS, "50 Mbit/s 40 ms");
	steady(200, 100 * MS, "200 Mbit/s 100 ms");
	steady(10, 60 * MS, "10 Mbit/s 60 ms");
	steady(1, 20 * MS, "1 Mbit/s 20 ms");
	steady(1, 300 * MS, "1 Mbit/s 300 ms");
	steady(1000, 10 * MS, "1 Gbit/s 10 ms");
	steady(1000, 300 * MS, "1 Gbit/s 300 ms");
}

static void startup_is_quick(void **state)
{
	struct sim *s = sim_new(200, 100 * MS);

	(void)state;
	for (int i = 0; i < 16; i++) {
		measure(s);
		run(s, 100 * MS);
		report(s, "startup");
	}
	free(s);
}

static void slow_start_below(void **state)
{
	static const uint64_t mbits[] = {10, 50, 200};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct sim *s = sim_new(mbits[i], 100 * MS);

		s->cwnd = 14000;
		for (int k = 0; k < 12; k++) {
			measure(s);
			run(s, 200 * MS);
			report(s, "slow start");
		}
		free(s);
	}
}

static void rate_change_is_followed(void **state)
{
	struct sim *s = sim_new(100, 20 * MS);

	(void)state;
	run(s, 3 * SECOND);
	set_rate(s, 1 * MBIT);
	for (int i = 0; i < 10; i++) {
		measure(s);
		run(s, SECOND);
		report(s, "100->1 second by second");
	}
	set_rate(s, 100 * MBIT);
	for (int i = 0; i < 10; i++) {
		measure(s);
		run(s, SECOND / 5);
		report(s, "1->100 each 0.2 s");
	}
	free(s);
}

static void trip_change_is_followed(void **state)
{
	struct sim *s = sim_new(100, 20 * MS);

	(void)state;
	run(s, 3 * SECOND);
	s->line.rtt_us = 300 * MS;
	for (int i = 0; i < 8; i++) {
		measure(s);
		run(s, SECOND);
		report(s, "20->300 ms second by second");
	}
	s->line.rtt_us = 20 * MS;
	for (int i = 0; i < 4; i++) {
		measure(s);
		run(s, SECOND);
		report(s, "300->20 ms second by second");
	}
	s->line.rtt_us = 50 * MS;
	for (int i = 0; i < 14; i++) {
		measure(s);
		run(s, SECOND);
		report(s, "20->50 ms second by second");
	}
	free(s);
}

static void blackout_ends(void **state)
{
	struct sim *s = sim_new(50, 40 * MS);

	(void)state;
	run(s, 3 * SECOND);
	set_dead(s, true);
	run(s, 10 * SECOND);
	set_dead(s, false);
	for (int i = 0; i < 10; i++) {
		measure(s);
		run(s, SECOND / 5);
		report(s, "blackout of 10 s, then each 0.2 s");
	}
	free(s);
}

static void fast_short_line_is_not_throttled(void **state)
{
	static const mono_us_t rtts[] = {100, 200, 300, 1000};

	(void)state;
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 2; k++) {
			struct sim *s = sim_new(6000, rtts[i]);

			s->line.ack_bytes = k ? 64 << 10 : 16 << 20;
			s->line.ack_us = k ? MS : 2 * MS;
			s->line.stall_us = 3 * MS;
			s->line.stall_every_us = 20 * MS;
			run(s, SECOND / 2);
			measure(s);
			run(s, 2 * SECOND);
			report(s, "6 Gbit/s, stalls up to 3 ms");
			free(s);
		}
}

static void holes_do_not_throttle(void **state)
{
	static const unsigned ppm[] = {100, 1000, 10000};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct sim *s = sim_new(20, 40 * MS);

		s->line.loss_ppm = ppm[i];
		run(s, SECOND);
		measure(s);
		run(s, 60 * SECOND);
		report(s, "20/40, holes 0.01, 0.1, 1 %");
		free(s);
	}
}

static void jitter_does_not_throttle(void **state)
{
	static const mono_us_t jitters[] = {5 * MS, 20 * MS, 60 * MS};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct sim *s = sim_new(20, 30 * MS);

		s->line.jitter_us = jitters[i];
		run(s, SECOND);
		measure(s);
		run(s, 60 * SECOND);
		report(s, "20/30, jitter 5, 20, 60 ms");
		free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steady_lines_are_full),
		cmocka_unit_test(startup_is_quick),
		cmocka_unit_test(slow_start_below),
		cmocka_unit_test(rate_change_is_followed),
		cmocka_unit_test(trip_change_is_followed),
		cmocka_unit_test(blackout_ends),
		cmocka_unit_test(fast_short_line_is_not_throttled),
		cmocka_unit_test(holes_do_not_throttle),
		cmocka_unit_test(jitter_does_not_throttle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
