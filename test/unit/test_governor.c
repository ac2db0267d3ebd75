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
#include <errno.h>
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
	REQUEST = 100, /* bytes */
	REQUEST_EVERY_US = 23000,
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
	mono_us_t wait_us; /* part of that */
};

struct line {
	uint64_t rate;
	mono_us_t rtt_us;
	size_t ack_bytes;
	mono_us_t ack_us;
	unsigned loss_ppm;   /* of packets of TCP */
	mono_us_t repair_us; /* what is lost comes so much later */
	mono_us_t jitter_us; /* trips are up to this longer */
	mono_us_t stall_us;  /* the sender sleeps for up to this ... */
	mono_us_t stall_every_us;
	/* Acknowledgements wait for up to so long on the way back: a little
	 * longer each time, until they do not. */
	mono_us_t back_us;
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
	mono_us_t request_us; /* of the next small frame; NEVER: none */

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

static mono_us_t latest(mono_us_t a, mono_us_t b)
{
	return a > b ? a : b;
}

/* How much later a packet comes: it may be lost more than once. */
static mono_us_t repaired_us(struct sim *s)
{
	mono_us_t us = 0;

	while (rng_below(&s->rng, 1000000) < s->line.loss_ppm)
		us += s->line.repair_us;
	return us;
}

static mono_us_t extra_trip_us(struct sim *s, const struct frame *f)
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
	mono_us_t at_us = s->now_us + s->line.rtt_us / 2 +
			  s->now_us / 7 % (s->line.back_us + 1);
	if (s->ack_in > s->ack_out &&
	    at_us < s->acks[(s->ack_in - 1) % ACKS].at_us)
		at_us = s->acks[(s->ack_in - 1) % ACKS].at_us;
	assert_true(s->ack_in - s->ack_out < ACKS);
	mono_us_t wait_us = at_us - s->now_us - s->line.rtt_us / 2;
	s->acks[s->ack_in++ % ACKS] = (struct ack){
		at_us, s->received,
		(uint32_t)(s->now_us - s->received_us + wait_us), wait_us};
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
	governor_sent(&s->g, s->now_us, bytes, bytes);
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
		assert_true(governor_room(&s->g, 0) >= GOVERNOR_LEAST_BYTES);
	assert_true(v.in_flight_bytes <= s->sent);
	if (v.allowed_bytes > s->allowed_most)
		s->allowed_most = v.allowed_bytes;
}

static void send_all(struct sim *s)
{
	produce(s);
	while (governor_room(&s->g, 0) > 0) {
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

		if (s->line.back_us > 0)
			governor_note_way_back(&s->g, true, a.wait_us);
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

static void print_figures(const struct sim *s, const char *what)
{
	struct governor_view v = governor_view(&s->g);

	printf("# %-32s goodput %4u/1000 queue mean %6.1f p95 %6.1f ms"
	       " allowed %zu KiB rate %.1f Mbit/s min %.1f ms phase %d\n",
	       what, goodput_permille(s), (double)queue_mean_us(s) / 1e3,
	       (double)queue_p95_us(s) / 1e3, v.allowed_bytes >> 10,
	       (double)v.rate * 8 / 1e6, v.round_trip_min_us / 1e3, v.phase);
	(void)fflush(stdout);
}

/* Goodput and mean queue since measure(); what they were if it is worse, or if
 * $ECSSH_TEST_FIGURES is set. */
static void require(const struct sim *s, const char *what,
		    unsigned least_permille, mono_us_t most_queue_us)
{
	bool is_good = goodput_permille(s) >= least_permille &&
		       queue_mean_us(s) <= most_queue_us;

	if (!is_good || getenv("ECSSH_TEST_FIGURES"))
		print_figures(s, what);
	assert_true(is_good);
}

static struct sim *sim_new(uint64_t mbit, mono_us_t rtt_us)
{
	struct sim *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->line = (struct line){.rate = mbit * MBIT,
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

/* ---- lines that stay as they are ---- */

static void steady(const char *what, uint64_t mbit, mono_us_t rtt_us,
		   mono_us_t most_queue_us)
{
	struct sim *s = sim_new(mbit, rtt_us);

	run(s, 15 * rtt_us + SECOND);
	measure(s);
	run(s, 30 * SECOND);
	require(s, what, 980, most_queue_us);
	assert_true(queue_p95_us(s) <= most_queue_us + 4 * MS);
	free(s);
}

static void steady_lines_are_full(void **state)
{
	(void)state;
	steady("50 Mbit/s 40 ms", 50, 40 * MS, 8 * MS);
	steady("10 Mbit/s 60 ms", 10, 60 * MS, 9 * MS);
	steady("200 Mbit/s 100 ms", 200, 100 * MS, 9 * MS);
	steady("1 Mbit/s 20 ms", 1, 20 * MS, 25 * MS);
	steady("1 Mbit/s 300 ms", 1, 300 * MS, 25 * MS);
	steady("1 Gbit/s 10 ms", 1000, 10 * MS, 4 * MS);
	steady("1 Gbit/s 300 ms", 1000, 300 * MS, 24 * MS);
}

static void startup_is_quick(void **state)
{
	struct sim *s = sim_new(200, 100 * MS);

	(void)state;
	run(s, 700 * MS);
	measure(s);
	run(s, 200 * MS);
	require(s, "200/100, round trips 8 and 9", 980, 100 * MS);
	run(s, 300 * MS);
	measure(s);
	run(s, 300 * MS);
	require(s, "200/100, round trips 13 to 15", 980, 16 * MS);
	assert_int_equal(governor_view(&s->g).phase, GOVERNOR_CRUISE);
	free(s);
}

static void slow_start_below_is_waited_for(void **state)
{
	static const uint64_t mbits[] = {10, 50, 200};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct sim *s = sim_new(mbits[i], 100 * MS);

		s->cwnd = 14000;
		run(s, 1500 * MS);
		measure(s);
		run(s, SECOND);
		require(s, "TCP below starts slowly", 980, 40 * MS);
		free(s);
	}
}

static void fast_short_line_is_not_throttled(void **state)
{
	static const mono_us_t rtts[] = {100, 200, 300, 1000};

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct sim *s = sim_new(6000, rtts[i / 2]);

		s->line.ack_bytes = i % 2 ? 64 << 10 : 16 << 20;
		s->line.ack_us = i % 2 ? MS : 2 * MS;
		s->line.stall_us = 3 * MS;
		s->line.stall_every_us = 20 * MS;
		run(s, SECOND / 2);
		measure(s);
		run(s, 2 * SECOND);
		require(s, "6 Gbit/s, stalls up to 3 ms", 970, 8 * MS);
		free(s);
	}
}

static void rare_acknowledgements_do_not_throttle(void **state)
{
	static const struct {
		size_t bytes;
		mono_us_t us;
	} acks[] = {
		{1, 1},
		{256 << 10, 5 * MS},
		{1 << 20, 20 * MS},
		{1 << 20, 40 * MS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(acks) / sizeof(*acks); i++) {
		struct sim *s = sim_new(50, 40 * MS);

		s->line.ack_bytes = acks[i].bytes;
		s->line.ack_us = acks[i].us;
		run(s, SECOND);
		measure(s);
		run(s, 20 * SECOND);
		require(s, "50/40, acks from 1 byte to 40 ms", 980, 60 * MS);
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
		require(s, "20/40, loss 0.01, 0.1, 1 %", 950, 50 * MS);
		free(s);
	}
}

/* TCP sees a hole a trip late, and fills it a trip later, through a queue:
 * where there are so many holes that one is always open, all trips are long. */
static void overlapping_holes_do_not_throttle(void **state)
{
	static const struct {
		uint64_t mbit;
		unsigned ppm, permille;
	} lines[] = {{50, 10000, 955}, {50, 20000, 880}, {100, 10000, 880}};
	enum { SEEDS = 8 };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		unsigned permille = 0;

		for (unsigned seed = 0; seed < SEEDS; seed++) {
			struct sim *s = sim_new(lines[i].mbit, 40 * MS);

			s->rng = (struct rng){seed};
			s->line.loss_ppm = lines[i].ppm;
			s->line.repair_us = 56 * MS;
			run(s, 3 * SECOND);
			measure(s);
			run(s, 20 * SECOND);
			require(s, "50/40, 1 and 2 %, 100/40, 1 %", 600,
				60 * MS);
			permille += goodput_permille(s);
			free(s);
		}
		assert_in_range(permille / SEEDS, lines[i].permille, 1000);
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
		require(s, "20/30, jitter 5, 20, 60 ms", 900, 100 * MS);
		free(s);
	}
}

/* What is sent the other way holds acknowledgements up, and that is told. */
static void busy_way_back_does_not_throttle(void **state)
{
	static const struct {
		uint64_t mbit;
		mono_us_t rtt_us, back_us;
	} lines[] = {
		{50, 40 * MS, 15 * MS},
		{10, 60 * MS, 20 * MS},
		{20, 10 * MS, 15 * MS},
		{200, 100 * MS, 40 * MS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct sim *s = sim_new(lines[i].mbit, lines[i].rtt_us);

		s->line.back_us = lines[i].back_us;
		run(s, 5 * SECOND);
		measure(s);
		run(s, 20 * SECOND);
		require(s, "acks wait for 15, 20, 15, 40 ms", 970, 14 * MS);
		free(s);
	}
}

/* ---- lines that change ---- */

static void rate_change_is_followed(void **state)
{
	struct sim *s = sim_new(100, 20 * MS);

	(void)state;
	run(s, 3 * SECOND);
	set_rate(s, 1 * MBIT); /* what is on its way takes 2.4 s */
	measure(s);
	run(s, 4 * SECOND);
	require(s, "100 -> 1 Mbit/s, first 4 s", 900, 2500 * MS);
	measure(s);
	run(s, 4 * SECOND);
	require(s, "100 -> 1 Mbit/s, next 4 s", 970, 15 * MS);
	set_rate(s, 100 * MBIT);
	run(s, 200 * MS);
	measure(s);
	run(s, 200 * MS);
	require(s, "1 -> 100 Mbit/s, after 0.2 s", 950, 15 * MS);
	free(s);
}

static void halved_rate_is_followed(void **state)
{
	struct sim *s = sim_new(100, 40 * MS);

	(void)state;
	run(s, 3 * SECOND);
	set_rate(s, 60 * MBIT);
	measure(s);
	run(s, SECOND);
	require(s, "100 -> 60 Mbit/s, first second", 950, 40 * MS);
	measure(s);
	run(s, SECOND);
	require(s, "100 -> 60 Mbit/s, next second", 950, 10 * MS);
	free(s);
}

static void trip_change_is_followed(void **state)
{
	struct sim *s = sim_new(100, 20 * MS);

	(void)state;
	run(s, 3 * SECOND);
	s->line.rtt_us = 300 * MS;
	run(s, 3 * SECOND); /* ten round trips */
	measure(s);
	run(s, 2 * SECOND);
	require(s, "20 -> 300 ms, after 3 s", 970, 80 * MS);
	s->line.rtt_us = 20 * MS;
	run(s, GOVERNOR_RTT_WINDOW_US + SECOND);
	measure(s);
	run(s, 2 * SECOND);
	require(s, "300 -> 20 ms, after 11 s", 980, 8 * MS);
	s->line.rtt_us = 50 * MS;
	run(s, 6 * SECOND);
	measure(s);
	run(s, 2 * SECOND);
	require(s, "20 -> 50 ms, after 6 s", 980, 10 * MS);
	free(s);
}

static void blackout_ends(void **state)
{
	struct sim *s = sim_new(50, 40 * MS);

	(void)state;
	run(s, 3 * SECOND);
	mono_us_t before_us = s->now_us;
	uint64_t sent = s->sent;
	set_dead(s, true);
	run(s, 10 * SECOND);
	assert_true(s->sent - sent <= 2 * 50 * MBIT / 25);
	assert_int_equal(governor_room(&s->g, 0), 0);
	assert_in_range(governor_waiting_since_us(&s->g), before_us - 50 * MS,
			before_us + 50 * MS);
	set_dead(s, false);
	measure(s);
	run(s, 200 * MS);
	require(s, "blackout of 10 s, next 0.2 s", 700, NEVER);
	measure(s);
	run(s, SECOND);
	require(s, "blackout of 10 s, next second", 980, 8 * MS);
	free(s);
}

static void stall_is_forgiven(void **state)
{
	struct sim *s = sim_new(50, 40 * MS);

	(void)state;
	for (int i = 0; i < 10; i++) {
		run(s, 2 * SECOND);
		set_dead(s, true);
		run(s, 100 * MS + rng_below(&s->rng, 300 * MS));
		set_dead(s, false);
		run(s, 200 * MS);
		measure(s);
		run(s, 500 * MS);
		require(s, "0.2 s after a stall of 0.4 s", 940, 12 * MS);
	}
	free(s);
}

/* ---- applications ---- */

/* The shortest trip is that of a small frame; those that fill the line take 5
 * ms longer, and come two at a time. */
static void requests_do_not_hide_what_frames_take(void **state)
{
	static const struct {
		uint64_t mbit;
		mono_us_t ack_us;
	} lines[] = {{5, 8 * MS}, {10, 9 * MS}, {15, 8 * MS}};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct sim *s = sim_new(lines[i].mbit, 60 * MS);

		s->line.ack_us = lines[i].ack_us;
		s->line.ack_bytes = SIZE_MAX;
		s->is_greedy = false;
		s->app_us = s->request_us = s->now_us;
		run(s, 3 * SECOND);
		s->is_greedy = true;
		run(s, SECOND);
		measure(s);
		run(s, 4 * SECOND);
		require(s, "5, 10, 15/60, with requests", 995, 7 * MS);
		free(s);
	}
}

/* Frames of a slow line take longer than those of the same size later: that
 * must not be taken off their trips. */
static void line_that_was_slow_is_filled(void **state)
{
	struct sim *s = sim_new(5, 10 * MS);

	(void)state;
	run(s, 3 * SECOND);
	set_rate(s, 200 * MBIT);
	run(s, SECOND);
	measure(s);
	run(s, 5 * SECOND);
	require(s, "5 -> 200 Mbit/s, after 1 s", 990, 8 * MS);
	free(s);
}

static void little_to_send_says_nothing_of_the_line(void **state)
{
	struct sim *s = sim_new(100, 40 * MS);

	(void)state;
	s->is_greedy = false;
	s->app_us = s->now_us;
	s->app_rate = 2 * MBIT;
	run(s, 20 * SECOND);
	s->is_greedy = true;
	run(s, 600 * MS);
	measure(s);
	run(s, 200 * MS);
	require(s, "2 Mbit/s, then greedy for 0.6 s", 900, 50 * MS);
	run(s, 2 * SECOND);
	s->is_greedy = false;
	s->app_bytes = 0;
	s->app_us = s->now_us;
	run(s, 30 * SECOND);
	assert_true(governor_view(&s->g).rate >= 90 * MBIT);
	s->is_greedy = true;
	run(s, 100 * MS);
	measure(s);
	run(s, 300 * MS);
	require(s, "the same again, after 0.1 s", 970, 20 * MS);
	free(s);
}

static void nothing_happens_without_bytes(void **state)
{
	struct governor g;

	(void)state;
	governor_init(&g, START_US);
	governor_idle(&g);
	governor_sent(&g, START_US, 0, 0);
	assert_int_equal(governor_received(&g, START_US + 1, 0, 9), 0);
	assert_int_equal(governor_waiting_since_us(&g), 0);
	assert_int_equal(governor_room(&g, 0), GOVERNOR_FIRST_BYTES);
	assert_int_equal(governor_frame_bytes(&g, FRAME), FRAME);
	assert_int_equal(governor_view(&g).rate, 0);
	assert_int_equal(governor_view(&g).round_trip_min_us, 0);
}

/* ---- the other end ---- */

static void silent_peer_gets_what_is_allowed_at_first(void **state)
{
	struct sim *s = sim_new(50, 40 * MS);

	(void)state;
	s->line.is_mute = true;
	run(s, HOUR_S * SECOND);
	assert_true(s->sent < GOVERNOR_FIRST_BYTES + FRAME);
	assert_int_equal(governor_room(&s->g, 0), 0);
	assert_int_equal(governor_waiting_since_us(&s->g), START_US);
	free(s);
}

static void lying_peer_is_refused(void **state)
{
	struct governor g;

	(void)state;
	governor_init(&g, START_US);
	governor_sent(&g, START_US, 5000, 5000);
	assert_int_equal(governor_received(&g, START_US + 9, 5001, 0),
			 -EBADMSG);
	assert_int_equal(governor_received(&g, START_US + 9, UINT64_MAX, 0),
			 -EBADMSG);
	assert_int_equal(governor_view(&g).in_flight_bytes, 5000);
	/* It cannot have kept it for longer than it was away. */
	assert_int_equal(governor_received(&g, START_US + 9, 3000, UINT32_MAX),
			 0);
	assert_int_equal(governor_received(&g, START_US + 9, 2999, 0),
			 -EBADMSG);
	assert_int_equal(governor_received(&g, START_US + 9, 5000, 9), 0);
	assert_int_equal(governor_view(&g).round_trip_us, 9);
	assert_int_equal(governor_received(&g, START_US + 10, 5000, 0), 0);
	assert_int_equal(governor_view(&g).round_trip_us, 9);
	assert_int_equal(governor_waiting_since_us(&g), 0);
}

static void everything_at_once_stays_bounded(void **state)
{
	struct governor g;
	struct rng rng = rng_init("governor");
	mono_us_t now_us = START_US;
	uint64_t sent = 0, received = 0;

	(void)state;
	governor_init(&g, now_us);
	for (int i = 0; i < 300000; i++) {
		now_us += rng_below(&rng, 50)
				  ? rng_below(&rng, 3000)
				  : rng_below(&rng, HOUR_S * SECOND);
		size_t room = governor_room(&g, 0);
		for (size_t n = 0; n < room && rng_below(&rng, 2000) > 0;) {
			size_t bytes = 1 + rng_below(&rng, 1 << 20);

			governor_sent(&g, now_us, bytes, bytes);
			sent += bytes;
			n += bytes;
		}
		if (rng_below(&rng, 9) == 0)
			governor_idle(&g);
		received += rng_below(&rng, sent - received + 1);
		assert_int_equal(governor_received(&g, now_us, received,
						   (uint32_t)rng_next(&rng)),
				 0);
		struct governor_view v = governor_view(&g);
		assert_int_equal(v.in_flight_bytes, sent - received);
		assert_in_range(v.allowed_bytes, GOVERNOR_LEAST_BYTES,
				GOVERNOR_MOST_BYTES);
		assert_true(received < sent || governor_room(&g, 0) > 0);
	}
}

/* ---- the clock ---- */

static void clock_may_leap(void **state)
{
	struct sim *s = sim_new(50, 40 * MS);

	(void)state;
	run(s, 3 * SECOND);
	s->now_us += HOUR_S * SECOND; /* all that is on its way is due */
	run(s, 300 * MS);
	measure(s);
	run(s, SECOND);
	require(s, "an hour later", 970, 12 * MS);
	free(s);
}

/* ---- anything ---- */

static void random_line(struct sim *s)
{
	static const uint64_t mbits[] = {1, 3, 10, 40, 150, 600};

	s->line.rtt_us = 500 + rng_below(&s->rng, 250 * MS);
	if (rng_below(&s->rng, 2))
		s->line.rtt_us = 500 + rng_below(&s->rng, 20 * MS);
	set_rate(s, mbits[rng_below(&s->rng, 6)] * MBIT);
}

static void random_changes_are_survived(void **state)
{
	struct rng rng = rng_init("governor");

	(void)state;
	for (int i = 0; i < 12; i++) {
		struct sim *s = sim_new(20, 40 * MS);

		s->rng = (struct rng){rng_next(&rng)};
		s->line.ack_bytes = 1 + rng_below(&s->rng, 128 << 10);
		s->line.ack_us = 1 + rng_below(&s->rng, 10 * MS);
		for (int k = 0; k < 6; k++) {
			random_line(s);
			/* What was sent before it noticed may take long, and
			 * the look for a shorter trip comes late. */
			run(s, 3 * SECOND);
			uint64_t end = s->sent;
			while (s->received < end)
				run(s, SECOND);
			run(s, GOVERNOR_RTT_WINDOW_US + 5 * SECOND);
			measure(s);
			run(s, 3 * SECOND);
			require(s, "random", 600, 150 * MS);
			assert_true(
				s->allowed_most <=
				3 * (s->line.rate * s->line.rtt_us / SECOND) +
					(512 << 10));
		}
		free(s);
	}
}

/* What will not come is not waited for, and what does is still counted. */
static void withdrawn_bytes_are_not_in_flight(void **state)
{
	struct governor g;

	(void)state;
	governor_init(&g, 1000);
	for (unsigned i = 0; i < 4; i++)
		governor_sent(&g, 1000 + i, 10000, 10000);
	governor_withdraw(&g, 15000);
	assert_int_equal(governor_view(&g).in_flight_bytes, 25000);
	assert_int_equal(governor_received(&g, 50000, 25001, 0), -EBADMSG);
	assert_int_equal(governor_received(&g, 50000, 25000, 0), 0);
	assert_int_equal(governor_view(&g).in_flight_bytes, 0);
	assert_int_equal(governor_waiting_since_us(&g), 0);
	governor_sent(&g, 60000, 5000, 5000);
	governor_withdraw(&g, 1000000);
	assert_int_equal(governor_view(&g).in_flight_bytes, 0);
	assert_int_equal(governor_waiting_since_us(&g), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steady_lines_are_full),
		cmocka_unit_test(startup_is_quick),
		cmocka_unit_test(withdrawn_bytes_are_not_in_flight),
		cmocka_unit_test(slow_start_below_is_waited_for),
		cmocka_unit_test(fast_short_line_is_not_throttled),
		cmocka_unit_test(rare_acknowledgements_do_not_throttle),
		cmocka_unit_test(holes_do_not_throttle),
		cmocka_unit_test(overlapping_holes_do_not_throttle),
		cmocka_unit_test(jitter_does_not_throttle),
		cmocka_unit_test(busy_way_back_does_not_throttle),
		cmocka_unit_test(rate_change_is_followed),
		cmocka_unit_test(halved_rate_is_followed),
		cmocka_unit_test(trip_change_is_followed),
		cmocka_unit_test(blackout_ends),
		cmocka_unit_test(stall_is_forgiven),
		cmocka_unit_test(requests_do_not_hide_what_frames_take),
		cmocka_unit_test(line_that_was_slow_is_filled),
		cmocka_unit_test(little_to_send_says_nothing_of_the_line),
		cmocka_unit_test(nothing_happens_without_bytes),
		cmocka_unit_test(silent_peer_gets_what_is_allowed_at_first),
		cmocka_unit_test(lying_peer_is_refused),
		cmocka_unit_test(everything_at_once_stays_bounded),
		cmocka_unit_test(clock_may_leap),
		cmocka_unit_test(random_changes_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
