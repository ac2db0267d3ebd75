/* SPDX-License-Identifier: MIT */
/* test_pacer: portions on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pacer.h"

enum { MS = 1000, RATE = 1250000 /* 10 Mbit/s */, PORTION = 5000 };

static void unknown_and_fast_lines_are_not_paced(void **state)
{
	struct pacer p = {0};

	(void)state;
	assert_int_equal(pacer_room(&p, 7 * MS, 0), SIZE_MAX);
	pacer_spend(&p, 1 << 20);
	assert_int_equal(pacer_room(&p, 7 * MS, PACER_RATE_MOST + 1), SIZE_MAX);
	assert_int_equal(pacer_wait_us(&p, 0), 0);
}

static void portions_follow_the_rate(void **state)
{
	struct pacer p = {0};
	uint64_t now_us = 1000 * MS, sent = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		size_t room = pacer_room(&p, now_us, RATE);

		if (room > 0) {
			assert_in_range(room, PORTION, PORTION + 1);
			pacer_spend(&p, room);
			sent += room;
			assert_int_equal(pacer_room(&p, now_us, RATE), 0);
		}
		uint64_t wait_us = pacer_wait_us(&p, RATE);
		assert_in_range(wait_us, 1, PACER_QUANTUM_US + 2);
		now_us += wait_us;
	}
	uint64_t rate = sent * US_PER_SEC / (now_us - 1000 * MS);
	assert_in_range(rate, RATE - RATE / 100, RATE + RATE / 100);
}

static void silence_is_not_made_good(void **state)
{
	struct pacer p = {0};

	(void)state;
	(void)pacer_room(&p, 1000 * MS, RATE);
	for (uint64_t now_us = 9000 * MS; now_us <= 9500 * MS;
	     now_us += 500 * MS) {
		size_t room = pacer_room(&p, now_us, RATE);

		assert_in_range(room, PORTION, PORTION + 1);
		pacer_spend(&p, room);
		assert_int_equal(pacer_room(&p, now_us, RATE), 0);
		assert_int_equal(pacer_room(&p, now_us + 1 * MS, RATE), 0);
	}
}

static void late_wakeup_is_made_good_by_half_a_portion(void **state)
{
	struct pacer p = {0};
	uint64_t now_us = 1000 * MS;

	(void)state;
	pacer_spend(&p, pacer_room(&p, now_us, RATE));
	now_us += 6 * MS;
	pacer_spend(&p, pacer_room(&p, now_us, RATE));
	assert_in_range(pacer_wait_us(&p, RATE), 1, 2 * MS + 2);
}

static void overshoot_is_paid_back(void **state)
{
	struct pacer p = {0};
	uint64_t now_us = 1000 * MS;

	(void)state;
	size_t room = pacer_room(&p, now_us, RATE);
	pacer_spend(&p, room + RATE / 10);
	assert_int_equal(pacer_room(&p, now_us + 99 * MS, RATE), 0);
	uint64_t wait_us = pacer_wait_us(&p, RATE);
	assert_in_range(wait_us, 1 * MS, 6 * MS);
	assert_true(pacer_room(&p, now_us + 99 * MS + wait_us, RATE) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_and_fast_lines_are_not_paced),
		cmocka_unit_test(portions_follow_the_rate),
		cmocka_unit_test(silence_is_not_made_good),
		cmocka_unit_test(late_wakeup_is_made_good_by_half_a_portion),
		cmocka_unit_test(overshoot_is_paid_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
