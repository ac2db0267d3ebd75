/* SPDX-License-Identifier: MIT */
/* test_admin: src/client/admin.c: what SSH_CONNECTION may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void admin_parse_takes_what_sshd_writes(void **state)
{
	struct endpoint local, remote;
	char text[ENDPOINT_TEXT_MAX];

	(void)state;
	assert_true(admin_parse("10.9.0.1 50000 10.9.0.2 22", &local, &remote));
	assert_string_equal(endpoint_format(&remote, text), "10.9.0.1:50000");
	assert_string_equal(endpoint_format(&local, text), "10.9.0.2:22");
	assert_true(admin_parse("fd09::1 50000 fd09::2 22", &local, &remote));
	assert_string_equal(endpoint_format(&remote, text), "[fd09::1]:50000");
}

static void admin_parse_refuses_all_else(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"UNKNOWN 65535 UNKNOWN 65535",
		"10.9.0.1 50000 10.9.0.2",
		"10.9.0.1 50000 10.9.0.2 22 ",
		"10.9.0.1 50000 10.9.0.2 22 x",
		"10.9.0.1 50000 fd09::2 22",
		"10.9.0.1 0 10.9.0.2 22",
		"10.9.0.1 50000 10.9.0.2 0",
		"10.9.0.1 x 10.9.0.2 22",
		"fe80::1%up0 50000 fe80::2%up0 22",
		"gw 50000 10.9.0.2 22",
		"10.9.0.1;id 50000 10.9.0.2 22",
		("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1 "
		 "10.9.0.2 22"),
	};
	struct endpoint local, remote;

	(void)state;
	for (size_t i = 0; i < N(texts); i++)
		if (admin_parse(texts[i], &local, &remote))
			fail_msg("taken: %s", texts[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(admin_parse_takes_what_sshd_writes),
		cmocka_unit_test(admin_parse_refuses_all_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
