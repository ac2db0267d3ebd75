/* SPDX-License-Identifier: MIT */
/* test_bond_rate: what is found out about a link of a known rate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <cmocka.h>

#include "bond_rate.h"

enum {
	TICK_US = 1000,
	RTT_US = 40000,
	QUEUE = RTT_US / TICK_US,
	SECOND = 1000000,
};

/* A link that passes so much each tick, RTT_US after it was sent. */
struct line {
	struct bond_rate rate;
	mono_us_t now_us;
	uint64_t bytes_tick, waiting, passed;
	uint64_t on_its_way[QUEUE]; /* passed, by the time it is acknowledged */
};

static void tick(struct line *l, uint64_t send)
{
	size_t slot = l->now_us / TICK_US % QUEUE;
	uint64_t part;

	assert_int_equal(
		bond_rate_got(&l->rate, l->now_us, l->on_its_way[slot]), 0);
	if (send > 0)
		bond_rate_sent(&l->rate, l->now_us, send);
	l->waiting += send;
	part = l->waiting < l->bytes_tick ? l->waiting : l->bytes_tick;
	l->waiting -= part;
	l->passed += part;
	l->on_its_way[slot] = l->passed;
	l->now_us += TICK_US;
}

static void run(struct line *l, uint64_t us, uint64_t at_most)
{
	for (uint64_t t = 0; t < us; t += TICK_US) {
		uint64_t budget = bond_rate_budget(&l->rate);
		uint64_t flying = bond_rate_in_flight(&l->rate);
		uint64_t send = flying < budget ? budget - flying : 0;

		tick(l, send < at_most ? send : at_most);
	}
}

static void rate_is_found_and_the_queue_stays_short(void **state)
{
	static const uint64_t bytes_s[] = {100000, 1000000, 25000000};

	(void)state;
	for (size_t i = 0; i < sizeof(bytes_s) / sizeof(*bytes_s); i++) {
		struct line l = {.now_us = 77 * (mono_us_t)SECOND,
				 .bytes_tick = bytes_s[i] * TICK_US / SECOND};

		/* A session begins with small frames: the way is seen empty. */
		run(&l, SECOND / 2, 20);
		run(&l, 8 * SECOND, UINT64_MAX);
		uint64_t before = l.passed;
		run(&l, SECOND, UINT64_MAX);
		assert_in_range(l.passed - before, bytes_s[i] / 20 * 19,
				bytes_s[i]);
		assert_in_range(bond_rate_bytes_in(&l.rate, SECOND),
				bytes_s[i] / 10 * 9, bytes_s[i] / 10 * 11);
		/* No more waits than 50 ms, and a few KiB. */
		assert_true(l.waiting < bytes_s[i] / 20 + 8192);
	}
}

static void idling_does_not_slow_a_link_down(void **state)
{
	struct line l = {.now_us = SECOND, .bytes_tick = 1000};
	uint64_t before;

	(void)state;
	run(&l, 8 * SECOND, UINT64_MAX);
	before = bond_rate_budget(&l.rate);
	run(&l, 5 * SECOND, 20);
	assert_in_range(bond_rate_budget(&l.rate), before / 10 * 8,
			before / 10 * 12);
}

static void a_link_that_stands_still_is_the_last_choice(void **state)
{
	struct line l = {.now_us = SECOND, .bytes_tick = 1000};

	(void)state;
	run(&l, 4 * SECOND, UINT64_MAX);
	uint64_t us = bond_rate_eta_us(&l.rate, l.now_us, 1000);
	assert_true(us < 200000);
	assert_true(bond_rate_eta_us(&l.rate, l.now_us + SECOND, 1000) >
		    us + 900000);
}

static void a_slower_line_is_noticed(void **state)
{
	struct line l = {.now_us = SECOND, .bytes_tick = 1000};

	(void)state;
	run(&l, 4 * SECOND, UINT64_MAX);
	l.bytes_tick = 100;
	run(&l, 8 * SECOND, UINT64_MAX);
	assert_in_range(bond_rate_bytes_in(&l.rate, SECOND), 80000, 130000);
	assert_true(bond_rate_in_flight(&l.rate) < 30000);
}

static void lies_are_refused(void **state)
{
	struct bond_rate r = {0};

	(void)state;
	bond_rate_sent(&r, 1000, 100);
	assert_int_equal(bond_rate_got(&r, 2000, 101), -EBADMSG);
	assert_int_equal(bond_rate_got(&r, 2000, 60), 0);
	assert_int_equal(bond_rate_got(&r, 3000, 59), -EBADMSG);
	assert_int_equal(bond_rate_got(&r, 3000, UINT64_MAX), -EBADMSG);
	assert_int_equal(bond_rate_got(&r, 3000, 100), 0);
	assert_int_equal(bond_rate_in_flight(&r), 0);
	assert_true(bond_rate_budget(&r) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate_is_found_and_the_queue_stays_short),
		cmocka_unit_test(idling_does_not_slow_a_link_down),
		cmocka_unit_test(a_link_that_stands_still_is_the_last_choice),
		cmocka_unit_test(a_slower_line_is_noticed),
		cmocka_unit_test(lies_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
