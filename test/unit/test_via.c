/* SPDX-License-Identifier: MIT */
/* via: URLs of proxies, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "via.h"

static void good_ones(void **state)
{
	static const struct {
		const char *text, *host, *user, *password, *shown;
		uint16_t port;
	} cases[] = {
		{"socks5://h", "h", NULL, NULL, "socks5://h:1080", 1080},
		{"SOCKS5H://h.example:9/", "h.example", NULL, NULL,
		 "socks5://h.example:9", 9},
		{"socks5://[2001:db8::1]:65535", "2001:db8::1", NULL, NULL,
		 "socks5://[2001:db8::1]:65535", 65535},
		{"socks5://[::1]", "::1", NULL, NULL, "socks5://[::1]:1080",
		 1080},
		{"socks5://u@192.0.2.1", "192.0.2.1", "u", NULL,
		 "socks5://u@192.0.2.1:1080", 1080},
		{"socks5://u:p@h:1", "h", "u", "p", "socks5://u:(hidden)@h:1",
		 1},
		{"socks5://a%40b%3A:p%25%3aq:r@h:1", "h", "a@b:", "p%:q:r",
		 "socks5://a@b::(hidden)@h:1", 1},
		{"socks5://u:p@q@h:1", "h", "u", "p@q",
		 "socks5://u:(hidden)@h:1", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char shown[VIA_TEXT_MAX];
		struct via v;
		struct err err;

		if (via_parse(cases[i].text, &v, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_string_equal(v.host, cases[i].host);
		assert_int_equal(v.port, cases[i].port);
		assert_int_equal(v.has_user, cases[i].user != NULL);
		assert_int_equal(v.has_password, cases[i].password != NULL);
		assert_string_equal(v.user, cases[i].user ? cases[i].user : "");
		assert_string_equal(v.password,
				    cases[i].password ? cases[i].password : "");
		assert_string_equal(via_format(&v, shown), cases[i].shown);
		via_wipe(&v);
		assert_false(v.has_password);
		assert_string_equal(v.password, "");
	}
}

static void bad_ones(void **state)
{
	static const char *const cases[] = {
		"",
		"socks5:",
		"socks5://",
		"socks5:///",
		"http://h:1",
		"socks4://h",
		"h:1080",
		"socks5://h:0",
		"socks5://h:65536",
		"socks5://h:123456",
		"socks5://h:",
		"socks5://h:1x",
		"socks5://h:+1",
		"socks5://h:1:2",
		"socks5://:1080",
		"socks5://h/path",
		"socks5://h?q",
		"socks5://h h",
		"socks5://h\n",
		"socks5://[::1",
		"socks5://[::1]x",
		"socks5://[h]:1",
		"socks5://[192.0.2.1]",
		"socks5://2001:db8::1",
		"socks5://@h",
		"socks5://:SECRET@h",
		"socks5://u:@h",
		"socks5://u:SECRET%@h",
		"socks5://u:SECRET%0@h",
		"socks5://u:SECRET%0g@h",
		"socks5://u:SECRET%00@h",
		"socks5://u:SECRET@h:x",
		"socks5://u:SECRET@",
		"socks4://u:SECRET@h",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct via v = {.port = 4711};
		struct err err = {.text = ""};

		if (via_parse(cases[i], &v, &err) != -EINVAL)
			fail_msg("accepted: %s", cases[i]);
		assert_int_equal(v.port, 4711);
		assert_non_null(strstr(err.text, "--via"));
		assert_null(strstr(err.text, "SECRET"));
		assert_null(strchr(err.text, '\n'));
	}
}

static void lengths(void **state)
{
	char text[1200] = "socks5://";
	struct via v;
	struct err err;

	(void)state;
	memset(text + 9, 'u', 255);
	text[9 + 255] = ':';
	memset(text + 9 + 256, 'p', 255);
	text[9 + 511] = '@';
	memset(text + 9 + 512, 'h', 255);
	assert_int_equal(via_parse(text, &v, &err), 0);
	assert_int_equal(strlen(v.user), 255);
	assert_int_equal(strlen(v.password), 255);
	assert_int_equal(strlen(v.host), 255);
	text[9 + 512 + 255] = 'h';
	assert_int_equal(via_parse(text, &v, &err), -EINVAL);
	text[9 + 512 + 255] = '\0';
	text[9 + 511] = 'p';
	text[9 + 512] = '@';
	assert_int_equal(via_parse(text, &v, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones),
		cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
