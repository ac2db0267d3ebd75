/* SPDX-License-Identifier: MIT */
/* test_domain: src/wire/domain.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "domain.h"

static int parse(const char *text, char ret_name[DOMAIN_TEXT_MAX],
		 struct err *err)
{
	return domain_parse(text, strlen(text), ret_name, err);
}

static void takes_names_and_makes_them_comparable(void **state)
{
	static const struct {
		const char *text, *name;
	} cases[] = {
		{"corp.example", "corp.example"},
		{"Corp.EXAMPLE.", "corp.example"},
		{"a", "a"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"3com.4.a1", "3com.4.a1"},
		{"a--b.c", "a--b.c"},
	};
	char name[DOMAIN_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].text, name, NULL), 0);
		assert_string_equal(name, cases[i].name);
	}
}

static void refuses_what_is_no_name(void **state)
{
	static const struct {
		const char *text, *mentions;
	} cases[] = {
		{"", "missing"},
		{".", "missing"},
		{"..", "missing"},
		{"a..b", "missing"},
		{".a", "missing"},
		{"-a.example", "'-'"},
		{"a-.example", "'-'"},
		{"a.example-", "'-'"},
		{"-", "'-'"},
		{"10.0.0.1", "number"},
		{"a.1", "number"},
		{"1", "number"},
		{"a b", "letters"},
		{"a\tb", "\\x09"},
		{"a\nnameserver 6.6.6.6", "\\x0a"},
		{"a\033[31m", "\\x1b"},
		{"$(reboot)", "letters"},
		{"`id`", "letters"},
		{"a;b", "letters"},
		{"*.corp.example", "letters"},
		{"~corp.example", "letters"},
		{"a_b.example", "letters"},
		{"../etc", "missing"},
		{"a/b", "letters"},
		{"fe80::1", "letters"},
		{"b\303\274cher.example", "punycode"},
		{"a\377", "punycode"},
	};
	char name[DOMAIN_TEXT_MAX] = "untouched";
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].text, name, &err), -EINVAL);
		assert_non_null(strstr(err.text, cases[i].mentions));
		assert_null(strpbrk(err.text, "\n\033\377"));
		assert_string_equal(name, "untouched");
	}
}

static void a_nul_byte_is_no_letter(void **state)
{
	char name[DOMAIN_TEXT_MAX];

	(void)state;
	assert_int_equal(domain_parse("a\0b", 3, name, NULL), -EINVAL);
}

static void has_limits(void **state)
{
	char label[DOMAIN_LABEL_MAX + 2], text[300], name[DOMAIN_TEXT_MAX];

	(void)state;
	memset(label, 'a', sizeof(label));
	assert_int_equal(domain_parse(label, DOMAIN_LABEL_MAX, name, NULL), 0);
	assert_int_equal(domain_parse(label, DOMAIN_LABEL_MAX + 1, name, NULL),
			 -EINVAL);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? '.' : 'a';
	assert_int_equal(domain_parse(text, 253, name, NULL), 0);
	assert_int_equal(strlen(name), 253);
	assert_int_equal(domain_parse(text, 254, name, NULL), 0);
	assert_int_equal(domain_parse(text, 255, name, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_names_and_makes_them_comparable),
		cmocka_unit_test(refuses_what_is_no_name),
		cmocka_unit_test(a_nul_byte_is_no_letter),
		cmocka_unit_test(has_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
