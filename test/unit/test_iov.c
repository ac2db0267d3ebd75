/* SPDX-License-Identifier: MIT */
/* test_iov: bytes that lie in several places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "iov.h"

static char a[] = "one", b[] = "", c[] = "twothree";
static const struct iovec parts[] = {
	{b, 0}, {a, 3}, {b, 0}, {c, 8}, {b, 0},
};

enum { N = sizeof(parts) / sizeof(*parts) };

static void total_counts_all(void **state)
{
	(void)state;
	assert_int_equal(iov_total(parts, N), 11);
	assert_int_equal(iov_total(parts, 0), 0);
}

static void cursor_gives_each_byte_once(void **state)
{
	(void)state;
	for (size_t max = 1; max <= 12; max++) {
		struct iov_cursor cursor = {.iov = parts, .n = N};
		struct iovec part;
		char all[12] = "";
		size_t len = 0;

		while (iov_cursor_next(&cursor, max, &part)) {
			assert_in_range(part.iov_len, 1, max);
			memcpy(all + len, part.iov_base, part.iov_len);
			len += part.iov_len;
			assert_int_equal(cursor.n == 0, len == 11);
		}
		assert_string_equal(all, "onetwothree");
	}
}

static void cursor_gives_nothing_of_nothing(void **state)
{
	struct iov_cursor cursor = {.iov = parts, .n = 1};
	struct iovec part;

	(void)state;
	assert_false(iov_cursor_next(&cursor, 5, &part));
	assert_int_equal(cursor.n, 0);
	cursor = (struct iov_cursor){.iov = parts, .n = N};
	assert_false(iov_cursor_next(&cursor, 0, &part));
	assert_true(iov_cursor_next(&cursor, 1, &part));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(total_counts_all),
		cmocka_unit_test(cursor_gives_each_byte_once),
		cmocka_unit_test(cursor_gives_nothing_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
