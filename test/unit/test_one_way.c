/* SPDX-License-Identifier: MIT */
/* test_one_way: what waiting on the way can be told by two unrelated clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "one_way.h"

enum { MS = 1000, SECOND = 1000000, QUEUE = 25 * MS };

/* The other clock shows other_us when ours shows none. */
static uint64_t excess(struct one_way *w, uint64_t other_us, uint64_t sent_us,
		       uint64_t took_us)
{
	return one_way_excess_us(w, sent_us + took_us, other_us + sent_us,
				 QUEUE);
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

static void little_longer_way_is_the_way_after_a_while(void **state)
{
	struct one_way w = {0};
	uint64_t at = SECOND;

	(void)state;
	assert_int_equal(excess(&w, 7, at, 20 * MS), 0);
	for (; at < 14 * SECOND; at += SECOND)
		assert_int_equal(excess(&w, 7, at, 40 * MS), 20 * MS);
	for (; at < 33 * SECOND; at += SECOND)
		(void)excess(&w, 7, at, 40 * MS);
	assert_int_equal(excess(&w, 7, at, 40 * MS), 0);
	assert_int_equal(excess(&w, 7, at, 41 * MS), 1 * MS);
}

static void fastest_is_remembered_for_a_window_at_least(void **state)
{
	struct one_way w = {0};
	uint64_t at = SECOND;

	(void)state;
	(void)excess(&w, 0, at, 40 * MS);
	at += ONE_WAY_WINDOW_US - SECOND;
	assert_int_equal(excess(&w, 0, at, 20 * MS), 0);
	for (int i = 0; i < 14; i++)
		assert_int_equal(excess(&w, 0, at += SECOND, 40 * MS), 20 * MS);
}

/* Messages every 5 ms for so long, each taking so much more than the one before
 * it, and the first took_us.  Returns the excess of the last. */
static uint64_t flood(struct one_way *w, uint64_t *at_us, uint64_t us,
		      uint64_t took_us, int64_t more_us)
{
	uint64_t last = 0;

	for (uint64_t end = *at_us + us; *at_us < end; *at_us += 5 * MS) {
		last = excess(w, 1 << 20, *at_us, took_us);
		took_us += (uint64_t)more_us;
	}
	return last;
}

static void much_longer_way_is_the_way_soon(void **state)
{
	struct one_way w = {0};
	uint64_t at = SECOND;

	(void)state;
	(void)flood(&w, &at, SECOND, 10 * MS, 0);
	assert_int_equal(flood(&w, &at, 900 * MS, 150 * MS, 0), 140 * MS);
	assert_int_equal(flood(&w, &at, 200 * MS, 150 * MS, 0), 0);
	assert_int_equal(excess(&w, 1 << 20, at, 157 * MS), 7 * MS);
	/* And back at once. */
	assert_int_equal(excess(&w, 1 << 20, at, 10 * MS), 0);
	assert_int_equal(excess(&w, 1 << 20, at, 17 * MS), 7 * MS);
}

static void queue_is_not_a_longer_way(void **state)
{
	struct one_way w = {0};
	uint64_t at = SECOND;

	(void)state;
	(void)flood(&w, &at, SECOND, 10 * MS, 0);
	/* One that is kept short. */
	assert_int_equal(flood(&w, &at, 5 * SECOND, 10 * MS + QUEUE, 0), QUEUE);
	/* One that is long, and empty now and then. */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(flood(&w, &at, 900 * MS, 110 * MS, 0),
				 100 * MS);
		(void)excess(&w, 1 << 20, at, 20 * MS);
	}
	/* One of two seconds that is being emptied. */
	assert_int_equal(flood(&w, &at, 1800 * MS, 2010 * MS, -5 * MS),
			 2010 * MS - 359 * 5 * MS - 10 * MS);
}

static void few_messages_prove_no_longer_way(void **state)
{
	struct one_way w = {0};
	uint64_t at = SECOND;

	(void)state;
	(void)excess(&w, 0, at, 10 * MS);
	for (int i = 0; i < 7; i++)
		assert_int_equal(excess(&w, 0, at += SECOND, 150 * MS),
				 140 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_need_not_agree),
		cmocka_unit_test(little_longer_way_is_the_way_after_a_while),
		cmocka_unit_test(fastest_is_remembered_for_a_window_at_least),
		cmocka_unit_test(much_longer_way_is_the_way_soon),
		cmocka_unit_test(queue_is_not_a_longer_way),
		cmocka_unit_test(few_messages_prove_no_longer_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
