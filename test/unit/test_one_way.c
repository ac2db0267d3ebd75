/* SPDX-License-Identifier: MIT */
/* test_one_way: what waiting on the way can be told by two unrelated clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "one_way.h"

enum { MS = 1000, SECOND = 1000000 };

/* The other clock shows other_us when ours shows none. */
static uint64_t excess(struct one_way *w, uint64_t other_us, uint64_t sent_us,
		       uint64_t took_us)
{
	return one_way_excess_us(w, sent_us + took_us, other_us + sent_us);
}

static void clocks_need_not_agree(void **state)
{
	static const uint64_t others[] = {0, 1, UINT64_C(1) << 40, UINT64_MAX,
					  UINT64_MAX / 2 - 5 * MS};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		struct one_way w = {0};

		assert_int_equal(excess(&w, others[i], 1 * SECOND, 30 * MS), 0);
		assert_int_equal(excess(&w, others[i], 2 * SECOND, 37 * MS),
				 7 * MS);
		assert_int_equal(excess(&w, others[i], 3 * SECOND, 20 * MS), 0);
		assert_int_equal(excess(&w, others[i], 4 * SECOND, 30 * MS),
				 10 * MS);
	}
}

static void longer_way_is_the_way_after_a_while(void **state)
{
	struct one_way w = {0};
	uint64_t at = SECOND;

	(void)state;
	assert_int_equal(excess(&w, 7, at, 20 * MS), 0);
	for (; at < 14 * SECOND; at += SECOND)
		assert_int_equal(excess(&w, 7, at, 50 * MS), 30 * MS);
	for (; at < 33 * SECOND; at += SECOND)
		(void)excess(&w, 7, at, 50 * MS);
	assert_int_equal(excess(&w, 7, at, 50 * MS), 0);
	assert_int_equal(excess(&w, 7, at, 51 * MS), 1 * MS);
}

static void fastest_is_remembered_for_a_window_at_least(void **state)
{
	struct one_way w = {0};
	uint64_t at = SECOND;

	(void)state;
	(void)excess(&w, 0, at, 50 * MS);
	at += ONE_WAY_WINDOW_US - SECOND;
	assert_int_equal(excess(&w, 0, at, 20 * MS), 0);
	for (int i = 0; i < 14; i++)
		assert_int_equal(excess(&w, 0, at += SECOND, 50 * MS), 30 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_need_not_agree),
		cmocka_unit_test(longer_way_is_the_way_after_a_while),
		cmocka_unit_test(fastest_is_remembered_for_a_window_at_least),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
