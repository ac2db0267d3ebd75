/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dns_msg.h"

static void queries_are_built(void **state)
{
	static const uint8_t expected[] =
		"\0\7\1\0\0\1\0\0\0\0\0\0\1a\7example\0\0\34\0\1";
	uint8_t out[DNS_QUERY_MAX];

	(void)state;
	assert_int_equal(dns_build_query(out, 7, "a.example", DNS_AAAA),
			 sizeof(expected) - 1);
	assert_memory_equal(out, expected, sizeof(expected) - 1);
	assert_int_equal(dns_build_query(out, 7, "a.example.", DNS_AAAA),
			 sizeof(expected) - 1);
	assert_memory_equal(out, expected, sizeof(expected) - 1);
}

static void names_have_limits(void **state)
{
	uint8_t out[DNS_QUERY_MAX];
	char name[300];

	(void)state;
	assert_int_equal(dns_build_query(out, 0, "", DNS_A), -EINVAL);
	assert_int_equal(dns_build_query(out, 0, ".", DNS_A), -EINVAL);
	assert_int_equal(dns_build_query(out, 0, "a..b", DNS_A), -EINVAL);
	memset(name, 'x', sizeof(name));
	name[64] = '\0';
	assert_int_equal(dns_build_query(out, 0, name, DNS_A), -EINVAL);
	name[63] = '\0';
	assert_true(dns_build_query(out, 0, name, DNS_A) > 0);
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '.' : 'x';
	name[253] = '\0'; /* 127 labels: 255 bytes on the wire */
	assert_int_equal(dns_build_query(out, 0, name, DNS_A), DNS_QUERY_MAX);
	name[253] = '.';
	name[255] = '\0';
	assert_int_equal(dns_build_query(out, 0, name, DNS_A), -EINVAL);
}

#define QUESTION       "\4host\0\0\1\0\1"
#define HEAD(flags, n) "\0\7" flags "\0\1\0" n "\0\0\0\0"
#define A_RECORD       "\300\14\0\1\0\1\0\0\0\74\0\4\12\1\2\3"
#define CNAME	       "\300\14\0\5\0\1\0\0\0\36\0\6\3www\300\14"

struct row {
	const char *what, *in;
	size_t len;
	int r;
	uint8_t rcode;
	size_t n_addrs;
	uint32_t ttl_s;
};

#define ROW(what, in, ...)                            \
	{                                             \
		what, in, sizeof(in) - 1, __VA_ARGS__ \
	}

static const struct row rows[] = {
	ROW("one", HEAD("\201\200", "\1") QUESTION A_RECORD, 0, 0, 1, 60),
	ROW("by another name", HEAD("\201\200", "\2") QUESTION CNAME A_RECORD,
	    0, 0, 1, 30),
	ROW("other letters", HEAD("\201\200", "\1") "\4HoSt\0\0\1\0\1" A_RECORD,
	    0, 0, 1, 60),
	ROW("no such name", HEAD("\201\203", "\0") QUESTION, 0, DNS_NO_NAME, 0,
	    0),
	ROW("bytes behind it", HEAD("\201\200", "\0") QUESTION "x", 0, 0, 0, 0),
	ROW("wrong id", "\0\10\201\200\0\1\0\0\0\0\0\0" QUESTION, -EBADMSG, 0,
	    0, 0),
	ROW("a query", HEAD("\1\0", "\0") QUESTION, -EBADMSG, 0, 0, 0),
	ROW("other question", HEAD("\201\200", "\0") "\4hose\0\0\1\0\1",
	    -EBADMSG, 0, 0, 0),
	ROW("other type", HEAD("\201\200", "\0") "\4host\0\0\34\0\1", -EBADMSG,
	    0, 0, 0),
	ROW("less than it says", HEAD("\201\200", "\2") QUESTION A_RECORD,
	    -EBADMSG, 0, 0, 0),
	ROW("address of 3 bytes",
	    HEAD("\201\200", "\1") QUESTION
	    "\300\14\0\1\0\1\0\0\0\74\0\3\12\1\2",
	    0, 0, 0, 60),
	ROW("data beyond the end",
	    HEAD("\201\200", "\1") QUESTION "\300\14\0\1\0\1\0\0\0\74\0\5\1234",
	    -EBADMSG, 0, 0, 0),
	ROW("name beyond the end", HEAD("\201\200", "\1") QUESTION "\7x",
	    -EBADMSG, 0, 0, 0),
	ROW("half a pointer", HEAD("\201\200", "\1") QUESTION "\300", -EBADMSG,
	    0, 0, 0),
	ROW("unknown label", HEAD("\201\200", "\1") QUESTION "\100x\0",
	    -EBADMSG, 0, 0, 0),
	ROW("pointer to itself",
	    HEAD("\201\200", "\1") QUESTION
	    "\300\26\0\1\0\1\0\0\0\74\0\4\12\1\2\3",
	    -EBADMSG, 0, 0, 0),
	ROW("TTL of 2^31",
	    HEAD("\201\200", "\1") QUESTION
	    "\300\14\0\1\0\1\200\0\0\0\0\4\12\1\2\3",
	    0, 0, 1, 0),
};

static void answers_are_understood(void **state)
{
	uint8_t query[DNS_QUERY_MAX];
	size_t len = (size_t)dns_build_query(query, 7, "host", DNS_A);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct dns_answer a = {.n_addrs = 99};
		int r = dns_parse_answer((const uint8_t *)row->in, row->len,
					 query, len, &a);

		if (r != row->r)
			fail_msg("%s: %d", row->what, r);
		if (r < 0) {
			assert_int_equal(a.n_addrs, 99);
			continue;
		}
		if (a.rcode != row->rcode || a.n_addrs != row->n_addrs ||
		    a.ttl_s != row->ttl_s)
			fail_msg("%s: rcode %u, %zu addresses, TTL %u",
				 row->what, a.rcode, a.n_addrs, a.ttl_s);
		if (a.n_addrs > 0)
			assert_memory_equal(a.addrs[0].bytes, "\12\1\2\3", 4);
	}
}

static void more_addresses_than_are_kept(void **state)
{
	uint8_t query[DNS_QUERY_MAX],
		in[1000] = HEAD("\201\200", "\24") QUESTION;
	size_t len = (size_t)dns_build_query(query, 7, "host", DNS_A),
	       at = sizeof(HEAD("\201\200", "\24") QUESTION) - 1;
	struct dns_answer a;

	(void)state;
	for (int i = 0; i < 20; i++, at += 16)
		memcpy(in + at, A_RECORD, 16);
	assert_int_equal(dns_parse_answer(in, at, query, len, &a), 0);
	assert_int_equal(a.n_addrs, DNS_ADDRS_MAX);
	for (size_t cut = 0; cut < at; cut++)
		assert_int_equal(dns_parse_answer(in, cut, query, len, &a),
				 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries_are_built),
		cmocka_unit_test(names_have_limits),
		cmocka_unit_test(answers_are_understood),
		cmocka_unit_test(more_addresses_than_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
