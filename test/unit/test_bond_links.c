/* SPDX-License-Identifier: MIT */
/* test_bond_links: how many links a line needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bond_links.h"

enum { MIB = 1 << 20, MS = 1000 };

static void one_link_does_where_windows_are_not_full(void **state)
{
	(void)state;
	assert_int_equal(bond_links_needed(0, 0, 0, 0), 0);
	assert_int_equal(bond_links_needed(0, 9 * MIB, 0, 100 * MS), 0);
	assert_int_equal(bond_links_needed(0, 0, 9 * MIB, 100 * MS), 0);
	/* No round trip is known, or a short one. */
	assert_int_equal(bond_links_needed(0, 900 * MIB, 900 * MIB, 0), 0);
	assert_int_equal(bond_links_needed(0, 900 * MIB, 0, 9 * MS), 0);
}

static void full_windows_double_the_links(void **state)
{
	(void)state;
	assert_int_equal(bond_links_needed(0, 17 * MIB, 0, 100 * MS), 2);
	assert_int_equal(bond_links_needed(0, 0, 17 * MIB, 100 * MS), 2);
	assert_int_equal(bond_links_needed(2, 38 * MIB, 0, 100 * MS), 4);
	assert_int_equal(bond_links_needed(4, 78 * MIB, 0, 100 * MS), 8);
	assert_int_equal(bond_links_needed(8, 900 * MIB, 0, 100 * MS), 8);
	assert_int_equal(bond_links_needed(3, 900 * MIB, 0, 100 * MS), 6);
	assert_int_equal(bond_links_needed(6, 900 * MIB, 0, 100 * MS), 8);
}

static void both_directions_count(void **state)
{
	(void)state;
	assert_int_equal(bond_links_needed(2, 0, 19 * MIB, 100 * MS), 2);
	assert_int_equal(bond_links_needed(2, 0, 38 * MIB, 100 * MS), 4);
	assert_int_equal(bond_links_needed(2, 19 * MIB, 0, 100 * MS), 2);
}

static void no_rate_is_too_large_to_reckon_with(void **state)
{
	(void)state;
	assert_int_equal(bond_links_needed(0, UINT64_MAX / MS, 0, 1), 0);
	assert_int_equal(bond_links_needed(0, (uint64_t)1 << 40, 0, 10000 * MS),
			 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_link_does_where_windows_are_not_full),
		cmocka_unit_test(full_windows_double_the_links),
		cmocka_unit_test(both_directions_count),
		cmocka_unit_test(no_rate_is_too_large_to_reckon_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
