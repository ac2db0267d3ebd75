/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "dns_domain.h"
#include "dns_msg.h"

static void what_is_meant_is_told_from_subnets(void **state)
{
	static const char *const meant[] = {
		"corp.example",
		"*.corp.example",
		".corp",
		"corp",
		"*",
		"a.b.",
		"1.2.3.x",
		"xn--bcher-kva.example",
		"b\303\274cher.example",
	};
	static const char *const not_meant[] = {
		"10.0.0.0/8", "10.0.0.1",  "10", "fd00::1", "fd00::/8",
		"::",	      "1.2.3.400", "",	 "a/8",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(meant) / sizeof(*meant); i++)
		if (!dns_domain_is_meant(meant[i]))
			fail_msg("%s", meant[i]);
	for (size_t i = 0; i < sizeof(not_meant) / sizeof(*not_meant); i++)
		if (dns_domain_is_meant(not_meant[i]))
			fail_msg("%s", not_meant[i]);
}

static void domains_are_parsed(void **state)
{
	static const struct {
		const char *text, *shown;
		bool is_below_only;
	} rows[] = {
		{"corp.example", "corp.example", false},
		{"Corp.EXAMPLE.", "corp.example", false},
		{".corp.example", "corp.example", false},
		{"*.corp.example", "corp.example", true},
		{".corp", "corp", false},
		{"*.corp", "corp", true},
		{"a-b.1c", "a-b.1c", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct dns_domain d;
		struct err err = {0};

		if (dns_domain_parse(rows[i].text, &d, &err) < 0)
			fail_msg("%s: %s", rows[i].text, err.text);
		assert_string_equal(d.text, rows[i].shown);
		assert_int_equal(d.is_below_only, rows[i].is_below_only);
	}
}

static void what_is_none_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"corp", "dot before it"},
		{"", "missing"},
		{".", "missing"},
		{"*", "only letters"},
		{"*.", "missing"},
		{"a..b", "missing"},
		{"..a", "missing"},
		{"a.*.b", "only letters"},
		{"-a.b", "'-' cannot"},
		{"a-.b", "'-' cannot"},
		{"a b.c", "only letters"},
		{"a;b.c", "only letters"},
		{"a\n.c", "only letters"},
		{"$(id).c", "only letters"},
		{"b\303\274cher.example", "punycode"},
		{"a234567890123456789012345678901234567890123456789012345678901"
		 "234.c",
		 "63"},
	};
	char longest[300];
	struct dns_domain d;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(dns_domain_parse(rows[i].text, &d, &err),
				 -EINVAL);
		if (!strstr(err.text, rows[i].why))
			fail_msg("%s: %s", rows[i].text, err.text);
		for (const char *c = err.text; *c; c++)
			assert_true((unsigned char)*c >= ' ' &&
				    (unsigned char)*c != 0x7f);
	}
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 ? '.' : 'x';
	longest[253] = '\0';
	assert_int_equal(dns_domain_parse(longest, &d, &err), 0);
	assert_int_equal(d.name_len, DNS_NAME_MAX);
	longest[253] = '.';
	longest[254] = 'x';
	longest[255] = '\0';
	assert_int_equal(dns_domain_parse(longest, &d, &err), -EINVAL);
}

static bool has(const char *domain, const char *name)
{
	uint8_t query[DNS_QUERY_MAX];
	struct dns_domain d;
	struct err err;
	int n = dns_build_query(query, 0, name, DNS_A);

	assert_int_equal(dns_domain_parse(domain, &d, &err), 0);
	return dns_domain_has(&d, query + DNS_HEADER_LEN,
			      (size_t)n - DNS_HEADER_LEN - 4);
}

static void names_are_in_domains(void **state)
{
	(void)state;
	assert_true(has("corp.example", "corp.example"));
	assert_true(has("corp.example", "a.corp.example"));
	assert_true(has("corp.example", "a.b.corp.example"));
	assert_false(has("corp.example", "xcorp.example"));
	assert_false(has("corp.example", "example"));
	assert_false(has("corp.example", "corp.example.org"));
	assert_false(has("*.corp.example", "corp.example"));
	assert_true(has("*.corp.example", "a.corp.example"));
	assert_true(has(".corp", "corp"));
	assert_true(has(".corp", "a.corp"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_meant_is_told_from_subnets),
		cmocka_unit_test(domains_are_parsed),
		cmocka_unit_test(what_is_none_is_refused_with_a_reason),
		cmocka_unit_test(names_are_in_domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
