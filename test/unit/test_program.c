/* SPDX-License-Identifier: MIT */
/* test_program: src/base/program_linux.c, with programs of any host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "program.h"

enum { PATIENCE_MS = 10000 };

/* What a line of shell does with the input. */
static int run_shell(const char *line, const char *input, char *out, size_t cap,
		     struct err *err)
{
	const char *const argv[] = {"/bin/sh", "-c", line, NULL};

	return program_run(argv, input, out, cap, PATIENCE_MS, err);
}

static void input_and_output_go_through(void **state)
{
	static char input[200000], out[200001];

	(void)state;
	memset(input, 'x', sizeof(input) - 1);
	assert_int_equal(run_shell("cat", input, out, sizeof(out), NULL), 0);
	assert_string_equal(out, input);
	assert_int_equal(run_shell("cat", "abc", NULL, 0, NULL), 0);
	assert_int_equal(run_shell("exit 0", input, out, sizeof(out), NULL), 0);
	assert_string_equal(out, "");
}

/* What opens its input once more, as nft does, begins at the beginning. */
static void input_can_be_opened(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(
		run_shell("cat /dev/stdin", "abc", out, sizeof(out), NULL), 0);
	assert_string_equal(out, "abc");
}

static void output_is_cut_off(void **state)
{
	char out[4];

	(void)state;
	assert_int_equal(run_shell("cat", "abcdef", out, sizeof(out), NULL), 0);
	assert_string_equal(out, "abc");
}

static void a_complaint_is_one_line_without_surprises(void **state)
{
	struct err err = {{0}};

	(void)state;
	assert_int_equal(run_shell("printf 'a\\033b\\nc\\n' >&2; exit 3", "",
				   NULL, 0, &err),
			 -EPROTO);
	assert_string_equal(err.text, "/bin/sh failed: a\\x1bb");
	assert_int_equal(run_shell("exit 3", "", NULL, 0, &err), -EPROTO);
	assert_string_equal(err.text, "/bin/sh failed: it says nothing");
}

static void the_environment_is_fixed(void **state)
{
	char out[256];

	(void)state;
	assert_int_equal(
		run_shell("echo $LC_ALL-$HOME", "", out, sizeof(out), NULL), 0);
	assert_string_equal(out, "C-\n");
}

static void what_does_not_end_is_killed(void **state)
{
	const char *const argv[] = {"/bin/sleep", "1000", NULL};
	struct err err;

	(void)state;
	assert_int_equal(program_run(argv, "", NULL, 0, 50, &err), -ETIMEDOUT);
	assert_string_equal(err.text, "/bin/sleep does not come to an end");
}

static void what_is_not_there_fails(void **state)
{
	const char *const argv[] = {"/nonexistent", NULL};

	(void)state;
	assert_int_equal(program_run(argv, "", NULL, 0, PATIENCE_MS, NULL),
			 -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_and_output_go_through),
		cmocka_unit_test(input_can_be_opened),
		cmocka_unit_test(output_is_cut_off),
		cmocka_unit_test(a_complaint_is_one_line_without_surprises),
		cmocka_unit_test(the_environment_is_fixed),
		cmocka_unit_test(what_does_not_end_is_killed),
		cmocka_unit_test(what_is_not_there_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
