// SPDX-License-Identifier: MIT
/* Tests of loss.c: figures as measured on emulated lines with cubic. */
#include "loss.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A connection that is looked at every so often. */
struct line {
	struct loss loss;
	struct loss_counts counts;
	mono_us_t now_us;
	uint32_t every_us;
};

static struct line line_begin(uint32_t rtt_min_us)
{
	struct line l = {
		.counts = {.rtt_us = rtt_min_us, .rtt_min_us = rtt_min_us},
		.every_us = 1000000};

	assert_false(loss_look(&l.loss, l.now_us, &l.counts));
	return l;
}

static bool line_go_on(struct line *l, uint32_t segments, uint32_t lost)
{
	l->now_us += l->every_us;
	l->counts.segments += segments;
	l->counts.lost += lost;
	return loss_look(&l->loss, l->now_us, &l->counts);
}

/* How many looks it takes with these losses, over and over, or 0: more than
 * 1000. */
static int line_looks(struct line *l, uint32_t segments, const char *losses)
{
	const char *p = losses;

	for (int i = 1; i <= 1000; i++) {
		if (line_go_on(l, segments, (uint32_t)(*p - '0')))
			return i;
		if (*++p == '\0')
			p = losses;
	}
	return 0;
}

static void one_in_a_hundred_is_found_at_once(void **state)
{
	struct line l = line_begin(40000);

	(void)state;
	assert_int_equal(line_looks(&l, 200, "2"), LOSS_LOOKS);
	assert_int_equal(loss_per_million(&l.loss), 10000);
	/* For good. */
	assert_true(line_go_on(&l, 0, 0));
	assert_true(line_go_on(&l, 5000, 0));
	assert_int_equal(loss_per_million(&l.loss), 10000);
}

/* Looked at often: a look with loss need not last. */
static void much_loss_is_found_sooner(void **state)
{
	struct line l = line_begin(40000);

	(void)state;
	l.every_us = 250000;
	assert_int_equal(line_looks(&l, 50, "1"), LOSS_LOOKS * 2);
	assert_int_equal(l.now_us, 2000000);
}

static void one_in_a_thousand_is_found_soon(void **state)
{
	struct line l = line_begin(30000);

	(void)state;
	assert_in_range(line_looks(&l, 1000, "102110201"), LOSS_LOOKS, 20);
	assert_in_range(loss_per_million(&l.loss), 500, 1500);
}

static void no_loss_is_none(void **state)
{
	struct line l = line_begin(40000);

	(void)state;
	assert_int_equal(line_looks(&l, 5000, "0"), 0);
	assert_int_equal(loss_per_million(&l.loss), 0);
}

/* The start, or a queue that overflows every few seconds: many at once, and
 * perhaps over the end of a look. */
static void an_overflow_now_and_then_is_none(void **state)
{
	struct line l = line_begin(40000);

	(void)state;
	assert_int_equal(line_looks(&l, 2500, "97000097000"), 0);
	l.every_us = 250000;
	assert_int_equal(
		line_looks(&l, 1000, "9900000000000000000000009000000000000"),
		0);
}

/* 10 Mbit/s, 20 ms and as much queue: loss at every look, in a line that is
 * full. */
static void loss_of_a_queue_is_none(void **state)
{
	struct line l = line_begin(20000);

	(void)state;
	l.counts.rtt_us = 34000;
	assert_int_equal(line_looks(&l, 860, "2"), 0);
	/* Once the queue is gone it is another matter. */
	l.counts.rtt_us = 21000;
	assert_int_equal(line_looks(&l, 860, "2"), LOSS_LOOKS);
}

/* One drop of several round trips, looked at in between. */
static void a_long_round_trip_makes_looks_long(void **state)
{
	struct line l = line_begin(600000);

	(void)state;
	for (int i = 0; i < 9; i++)
		assert_false(line_go_on(&l, 500, 5));
	assert_true(line_looks(&l, 500, "5") > 0);
}

/* Few segments tell nothing: they are added up. */
static void a_little_traffic_takes_longer(void **state)
{
	struct line l = line_begin(40000);

	(void)state;
	assert_int_equal(line_looks(&l, LOSS_LOOK_SEGMENTS / 10, "1"),
			 LOSS_LOOKS * 10);
}

/* Sent again because something came late. */
static void what_had_arrived_is_not_lost(void **state)
{
	struct line l = line_begin(40000);

	(void)state;
	l.counts.lost = 5;
	assert_int_equal(line_looks(&l, 500, "0"), 0);
	for (int i = 0; i < 100; i++)
		assert_false(line_go_on(&l, 500, i % 2 ? 1 : UINT32_MAX));
}

static void counters_may_wrap(void **state)
{
	struct line l = {
		.counts = {.segments = UINT32_MAX - 100, .lost = UINT32_MAX},
		.every_us = 1000000};

	(void)state;
	assert_false(loss_look(&l.loss, 0, &l.counts));
	assert_int_equal(line_looks(&l, 300, "3"), LOSS_LOOKS);
	assert_int_equal(loss_per_million(&l.loss), 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_in_a_hundred_is_found_at_once),
		cmocka_unit_test(much_loss_is_found_sooner),
		cmocka_unit_test(one_in_a_thousand_is_found_soon),
		cmocka_unit_test(no_loss_is_none),
		cmocka_unit_test(an_overflow_now_and_then_is_none),
		cmocka_unit_test(loss_of_a_queue_is_none),
		cmocka_unit_test(a_long_round_trip_makes_looks_long),
		cmocka_unit_test(a_little_traffic_takes_longer),
		cmocka_unit_test(what_had_arrived_is_not_lost),
		cmocka_unit_test(counters_may_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
