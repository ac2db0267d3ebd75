/* SPDX-License-Identifier: MIT */
/*
 * test_mate: src/priv/mate_linux.c, with a program beside this one that knows
 * nothing of sockets.  A mate that answers is in the namespace tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "mate.h"

static int ask(struct mate *m, struct err *err)
{
	struct brokermsg_head request = {BROKERMSG_KILL_OFF};
	struct brokermsg_reply reply;

	return mate_ask(m, &request, sizeof(request), &reply, err);
}

static void one_that_is_missing_says_so_when_it_is_asked(void **state)
{
	bool is_root = getuid() == 0 && geteuid() == 0;
	struct mate m;
	struct err err;

	(void)state;
	mate_init(&m, "ecssh-nobody");
	mate_start(&m);
	assert_int_equal(m.sock, -1);
	assert_int_equal(ask(&m, &err), is_root ? -ENOENT : -EPERM);
	assert_non_null(strstr(err.text, "ecssh-nobody"));
	mate_fini(&m);
}

static void one_that_ends_says_nothing(void **state)
{
	struct mate m;
	struct err err;

	(void)state;
	if (getuid() != 0 || geteuid() != 0)
		skip();
	mate_init(&m, "boot_line");
	assert_true(m.program_fd >= 0);
	mate_start(&m);
	assert_true(m.sock >= 0);
	assert_int_equal(ask(&m, &err), -EPIPE);
	assert_string_equal(err.text, "boot_line has ended");
	mate_stop(&m);
	assert_int_equal(ask(&m, &err), -EPIPE);
	assert_string_equal(err.text, "boot_line has ended");
	/* Another one. */
	mate_start(&m);
	assert_true(m.sock >= 0);
	mate_fini(&m);
	assert_int_equal(m.sock, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_missing_says_so_when_it_is_asked),
		cmocka_unit_test(one_that_ends_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
