/* SPDX-License-Identifier: MIT */
/* test_governor: src/session/governor on a simulated line. */
#include <errno.h>
#include <stdlib.h>

#include "governor_rig.h"

enum { HOUR_S = 3600 };

/* ---- lines that stay as they are ---- */

static void steady(const char *what, uint64_t mbit, mono_us_t rtt_us,
		   mono_us_t most_queue_us)
{
	struct governor_rig *s = governor_rig_new(mbit, rtt_us);

	governor_rig_run(s, 15 * rtt_us + SECOND);
	governor_rig_measure(s);
	governor_rig_run(s, 30 * SECOND);
	governor_rig_require(s, what, 980, most_queue_us);
	assert_true(governor_rig_queue_p95_us(s) <= most_queue_us + 4 * MS);
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
	struct governor_rig *s = governor_rig_new(200, 100 * MS);

	(void)state;
	governor_rig_run(s, 700 * MS);
	governor_rig_measure(s);
	governor_rig_run(s, 200 * MS);
	governor_rig_require(s, "200/100, round trips 8 and 9", 980, 100 * MS);
	governor_rig_run(s, 300 * MS);
	governor_rig_measure(s);
	governor_rig_run(s, 300 * MS);
	governor_rig_require(s, "200/100, round trips 13 to 15", 980, 16 * MS);
	assert_int_equal(governor_view(&s->g).phase, GOVERNOR_CRUISE);
	free(s);
}

static void slow_start_below_is_waited_for(void **state)
{
	static const uint64_t mbits[] = {10, 50, 200};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct governor_rig *s = governor_rig_new(mbits[i], 100 * MS);

		s->cwnd = 14000;
		governor_rig_run(s, 1500 * MS);
		governor_rig_measure(s);
		governor_rig_run(s, SECOND);
		governor_rig_require(s, "TCP below starts slowly", 980,
				     16 * MS);
		free(s);
	}
}

static void fast_short_line_is_not_throttled(void **state)
{
	static const mono_us_t rtts[] = {100, 200, 300, 1000};

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct governor_rig *s = governor_rig_new(6000, rtts[i / 2]);

		s->line.ack_bytes = i % 2 ? 64 << 10 : 16 << 20;
		s->line.ack_us = i % 2 ? MS : 2 * MS;
		s->line.stall_us = 3 * MS;
		s->line.stall_every_us = 20 * MS;
		governor_rig_run(s, SECOND / 2);
		governor_rig_measure(s);
		governor_rig_run(s, 2 * SECOND);
		governor_rig_require(s, "6 Gbit/s, stalls up to 3 ms", 970,
				     8 * MS);
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
		struct governor_rig *s = governor_rig_new(50, 40 * MS);

		s->line.ack_bytes = acks[i].bytes;
		s->line.ack_us = acks[i].us;
		governor_rig_run(s, SECOND);
		governor_rig_measure(s);
		governor_rig_run(s, 20 * SECOND);
		governor_rig_require(s, "50/40, acks from 1 byte to 40 ms", 980,
				     60 * MS);
		free(s);
	}
}

static void holes_do_not_throttle(void **state)
{
	static const unsigned ppm[] = {100, 1000, 10000};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct governor_rig *s = governor_rig_new(20, 40 * MS);

		s->line.loss_ppm = ppm[i];
		governor_rig_run(s, SECOND);
		governor_rig_measure(s);
		governor_rig_run(s, 60 * SECOND);
		governor_rig_require(s, "20/40, loss 0.01, 0.1, 1 %", 950,
				     50 * MS);
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
			struct governor_rig *s =
				governor_rig_new(lines[i].mbit, 40 * MS);

			s->rng = (struct rng){seed};
			s->line.loss_ppm = lines[i].ppm;
			s->line.repair_us = 56 * MS;
			governor_rig_run(s, 3 * SECOND);
			governor_rig_measure(s);
			governor_rig_run(s, 20 * SECOND);
			governor_rig_require(s, "50/40, 1 and 2 %, 100/40, 1 %",
					     600, 60 * MS);
			permille += governor_rig_goodput_permille(s);
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
		struct governor_rig *s = governor_rig_new(20, 30 * MS);

		s->line.jitter_us = jitters[i];
		governor_rig_run(s, SECOND);
		governor_rig_measure(s);
		governor_rig_run(s, 60 * SECOND);
		governor_rig_require(s, "20/30, jitter 5, 20, 60 ms", 900,
				     100 * MS);
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
		struct governor_rig *s =
			governor_rig_new(lines[i].mbit, lines[i].rtt_us);

		s->line.back_us = lines[i].back_us;
		governor_rig_run(s, 5 * SECOND);
		governor_rig_measure(s);
		governor_rig_run(s, 20 * SECOND);
		governor_rig_require(s, "acks wait for 15, 20, 15, 40 ms", 970,
				     14 * MS);
		free(s);
	}
}

/* ---- lines that change ---- */

static void rate_change_is_followed(void **state)
{
	struct governor_rig *s = governor_rig_new(100, 20 * MS);

	(void)state;
	governor_rig_run(s, 3 * SECOND);
	governor_rig_set_rate(s, 1 * MBIT); /* what is on its way takes 2.4 s */
	governor_rig_measure(s);
	governor_rig_run(s, 4 * SECOND);
	governor_rig_require(s, "100 -> 1 Mbit/s, first 4 s", 900, 2500 * MS);
	governor_rig_measure(s);
	governor_rig_run(s, 4 * SECOND);
	governor_rig_require(s, "100 -> 1 Mbit/s, next 4 s", 970, 15 * MS);
	governor_rig_set_rate(s, 100 * MBIT);
	governor_rig_run(s, 200 * MS);
	governor_rig_measure(s);
	governor_rig_run(s, 200 * MS);
	governor_rig_require(s, "1 -> 100 Mbit/s, after 0.2 s", 950, 15 * MS);
	free(s);
}

static void halved_rate_is_followed(void **state)
{
	struct governor_rig *s = governor_rig_new(100, 40 * MS);

	(void)state;
	governor_rig_run(s, 3 * SECOND);
	governor_rig_set_rate(s, 60 * MBIT);
	governor_rig_measure(s);
	governor_rig_run(s, SECOND);
	governor_rig_require(s, "100 -> 60 Mbit/s, first second", 950, 40 * MS);
	governor_rig_measure(s);
	governor_rig_run(s, SECOND);
	governor_rig_require(s, "100 -> 60 Mbit/s, next second", 950, 10 * MS);
	free(s);
}

static void trip_change_is_followed(void **state)
{
	struct governor_rig *s = governor_rig_new(100, 20 * MS);

	(void)state;
	governor_rig_run(s, 3 * SECOND);
	s->line.rtt_us = 300 * MS;
	governor_rig_run(s, 3 * SECOND); /* ten round trips */
	governor_rig_measure(s);
	governor_rig_run(s, 2 * SECOND);
	governor_rig_require(s, "20 -> 300 ms, after 3 s", 970, 80 * MS);
	s->line.rtt_us = 20 * MS;
	governor_rig_run(s, GOVERNOR_RTT_WINDOW_US + SECOND);
	governor_rig_measure(s);
	governor_rig_run(s, 2 * SECOND);
	governor_rig_require(s, "300 -> 20 ms, after 11 s", 980, 8 * MS);
	s->line.rtt_us = 50 * MS;
	governor_rig_run(s, 6 * SECOND);
	governor_rig_measure(s);
	governor_rig_run(s, 2 * SECOND);
	governor_rig_require(s, "20 -> 50 ms, after 6 s", 980, 10 * MS);
	free(s);
}

static void blackout_ends(void **state)
{
	struct governor_rig *s = governor_rig_new(50, 40 * MS);

	(void)state;
	governor_rig_run(s, 3 * SECOND);
	mono_us_t before_us = s->now_us;
	uint64_t sent = s->sent;
	governor_rig_set_dead(s, true);
	governor_rig_run(s, 10 * SECOND);
	assert_true(s->sent - sent <= 2 * 50 * MBIT / 25);
	assert_int_equal(governor_room(&s->g, 0), 0);
	assert_in_range(governor_waiting_since_us(&s->g), before_us - 50 * MS,
			before_us + 50 * MS);
	governor_rig_set_dead(s, false);
	governor_rig_measure(s);
	governor_rig_run(s, 200 * MS);
	governor_rig_require(s, "blackout of 10 s, next 0.2 s", 700, NEVER);
	governor_rig_measure(s);
	governor_rig_run(s, SECOND);
	governor_rig_require(s, "blackout of 10 s, next second", 980, 8 * MS);
	free(s);
}

static void stall_is_forgiven(void **state)
{
	struct governor_rig *s = governor_rig_new(50, 40 * MS);

	(void)state;
	for (int i = 0; i < 10; i++) {
		governor_rig_run(s, 2 * SECOND);
		governor_rig_set_dead(s, true);
		governor_rig_run(s, 100 * MS + rng_below(&s->rng, 300 * MS));
		governor_rig_set_dead(s, false);
		governor_rig_run(s, 200 * MS);
		governor_rig_measure(s);
		governor_rig_run(s, 500 * MS);
		governor_rig_require(s, "0.2 s after a stall of 0.4 s", 940,
				     12 * MS);
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
		struct governor_rig *s =
			governor_rig_new(lines[i].mbit, 60 * MS);

		s->line.ack_us = lines[i].ack_us;
		s->line.ack_bytes = SIZE_MAX;
		s->is_greedy = false;
		s->app_us = s->request_us = s->now_us;
		governor_rig_run(s, 3 * SECOND);
		s->is_greedy = true;
		governor_rig_run(s, SECOND);
		governor_rig_measure(s);
		governor_rig_run(s, 4 * SECOND);
		governor_rig_require(s, "5, 10, 15/60, with requests", 995,
				     7 * MS);
		free(s);
	}
}

/* Frames of a slow line take longer than those of the same size later: that
 * must not be taken off their trips. */
static void line_that_was_slow_is_filled(void **state)
{
	struct governor_rig *s = governor_rig_new(5, 10 * MS);

	(void)state;
	governor_rig_run(s, 3 * SECOND);
	governor_rig_set_rate(s, 200 * MBIT);
	governor_rig_run(s, SECOND);
	governor_rig_measure(s);
	governor_rig_run(s, 5 * SECOND);
	governor_rig_require(s, "5 -> 200 Mbit/s, after 1 s", 990, 8 * MS);
	free(s);
}

static void little_to_send_says_nothing_of_the_line(void **state)
{
	struct governor_rig *s = governor_rig_new(100, 40 * MS);

	(void)state;
	s->is_greedy = false;
	s->app_us = s->now_us;
	s->app_rate = 2 * MBIT;
	governor_rig_run(s, 20 * SECOND);
	s->is_greedy = true;
	governor_rig_run(s, 600 * MS);
	governor_rig_measure(s);
	governor_rig_run(s, 200 * MS);
	governor_rig_require(s, "2 Mbit/s, then greedy for 0.6 s", 900,
			     50 * MS);
	governor_rig_run(s, 2 * SECOND);
	s->is_greedy = false;
	s->app_bytes = 0;
	s->app_us = s->now_us;
	governor_rig_run(s, 30 * SECOND);
	assert_true(governor_view(&s->g).rate >= 90 * MBIT);
	s->is_greedy = true;
	governor_rig_run(s, 100 * MS);
	governor_rig_measure(s);
	governor_rig_run(s, 300 * MS);
	governor_rig_require(s, "the same again, after 0.1 s", 970, 20 * MS);
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
	assert_int_equal(governor_frame_bytes(&g, GOVERNOR_RIG_FRAME),
			 GOVERNOR_RIG_FRAME);
	assert_int_equal(governor_view(&g).rate, 0);
	assert_int_equal(governor_view(&g).round_trip_min_us, 0);
}

/* ---- the other end ---- */

static void silent_peer_gets_what_is_allowed_at_first(void **state)
{
	struct governor_rig *s = governor_rig_new(50, 40 * MS);

	(void)state;
	s->line.is_mute = true;
	governor_rig_run(s, HOUR_S * SECOND);
	assert_true(s->sent < GOVERNOR_FIRST_BYTES + GOVERNOR_RIG_FRAME);
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
	struct governor_rig *s = governor_rig_new(50, 40 * MS);

	(void)state;
	governor_rig_run(s, 3 * SECOND);
	s->now_us += HOUR_S * SECOND; /* all that is on its way is due */
	governor_rig_run(s, 300 * MS);
	governor_rig_measure(s);
	governor_rig_run(s, SECOND);
	governor_rig_require(s, "an hour later", 970, 12 * MS);
	free(s);
}

/* ---- anything ---- */

static void random_line(struct governor_rig *s)
{
	static const uint64_t mbits[] = {1, 3, 10, 40, 150, 600};

	s->line.rtt_us = 500 + rng_below(&s->rng, 250 * MS);
	if (rng_below(&s->rng, 2))
		s->line.rtt_us = 500 + rng_below(&s->rng, 20 * MS);
	governor_rig_set_rate(s, mbits[rng_below(&s->rng, 6)] * MBIT);
}

static void random_changes_are_survived(void **state)
{
	struct rng rng = rng_init("governor");

	(void)state;
	for (int i = 0; i < 12; i++) {
		struct governor_rig *s = governor_rig_new(20, 40 * MS);

		s->rng = (struct rng){rng_next(&rng)};
		s->line.ack_bytes = 1 + rng_below(&s->rng, 128 << 10);
		s->line.ack_us = 1 + rng_below(&s->rng, 10 * MS);
		for (int k = 0; k < 6; k++) {
			random_line(s);
			/* What was sent before it noticed may take long, and
			 * the look for a shorter trip comes late. */
			governor_rig_run(s, 3 * SECOND);
			uint64_t end = s->sent;
			while (s->received < end)
				governor_rig_run(s, SECOND);
			governor_rig_run(s,
					 GOVERNOR_RTT_WINDOW_US + 5 * SECOND);
			governor_rig_measure(s);
			governor_rig_run(s, 3 * SECOND);
			governor_rig_require(s, "random", 600, 150 * MS);
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
