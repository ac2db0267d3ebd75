/* SPDX-License-Identifier: MIT */
/* test_port_range: ports that are nobody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "port_range.h"

enum { ROUNDS = 2000 };

/* Many are chosen: all between first and last, and both ends are reached
 * nearly. */
static void expect_between(uint16_t local_first, uint16_t local_last,
			   uint16_t first, uint16_t last)
{
	uint16_t least = UINT16_MAX, most = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct port_range r;

		assert_int_equal(
			port_range_choose_beside(local_first, local_last, &r),
			0);
		assert_int_equal(r.last - r.first, 511);
		assert_in_range(r.first, first, last);
		assert_in_range(r.last, first, last);
		least = r.first < least ? r.first : least;
		most = r.last > most ? r.last : most;
	}
	assert_in_range(least - first, 0, (last - first) / 16);
	assert_in_range(last - most, 0, (last - first) / 16);
}

static void they_are_below_the_kernels(void **state)
{
	(void)state;
	expect_between(32768, 60999, 24576, 32767);
	expect_between(5000, 65535, 1024, 4999);
}

static void or_above(void **state)
{
	(void)state;
	expect_between(1024, 60999, 61000, 65535);
}

static void or_among_them(void **state)
{
	(void)state;
	expect_between(1024, 65535, 1024, 65535);
}

static void this_host_has_some(void **state)
{
	struct port_range r;

	(void)state;
	assert_int_equal(port_range_choose(&r), 0);
	assert_true(r.first > 0 && port_range_is_sound(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_below_the_kernels),
		cmocka_unit_test(or_above),
		cmocka_unit_test(or_among_them),
		cmocka_unit_test(this_host_has_some),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
