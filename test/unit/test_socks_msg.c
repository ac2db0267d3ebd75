/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "socks_msg.h"

#define BYTES(s) (const uint8_t *)(s), sizeof(s) - 1

struct row {
	const char *what;
	const uint8_t *in;
	size_t len;
	int expect; /* INT: what the parser returns */
	const char *dst;
};

static const char *dst_text(const struct socks_addr *a, char out[400])
{
	char addr[ADDR_TEXT_MAX];

	if (a->name[0])
		(void)snprintf(out, 400, "%s %u", a->name, a->at.port);
	else if (a->at.addr.version)
		(void)snprintf(out, 400, "%s %u",
			       addr_format(&a->at.addr, addr), a->at.port);
	else
		(void)snprintf(out, 400, "- %u", a->at.port);
	return out;
}

/* The whole message parses, no shorter piece of it does, and bytes behind it
 * are left alone. */
static void check_row(const struct row *row,
		      int (*parse)(const uint8_t *, size_t,
				   struct socks_request *))
{
	struct socks_request r, untouched;
	char text[400];

	memset(&r, 0x55, sizeof(r));
	untouched = r;
	int n = parse(row->in, row->len, &r);
	if (n != row->expect)
		fail_msg("%s: %d instead of %d", row->what, n, row->expect);
	if (n <= 0) {
		assert_memory_equal(&r, &untouched, sizeof(r));
		return;
	}
	assert_string_equal(dst_text(&r.dst, text), row->dst);
	for (size_t i = 0; i < (size_t)n; i++)
		if (parse(row->in, i, &r) != 0)
			fail_msg("%s: %zu bytes are enough", row->what, i);
}

static void requests_of_version_5(void **state)
{
	static const struct row rows[] = {
		{"ipv4", BYTES("\5\1\0\1\12\1\2\3\0\120"), 10, "10.1.2.3 80"},
		{"more behind it", BYTES("\5\1\0\1\12\1\2\3\0\120GET"), 10,
		 "10.1.2.3 80"},
		{"name", BYTES("\5\1\0\3\4host\1\273"), 11, "host 443"},
		{"numeric name",
		 BYTES("\5\1\0\3\10"
		       "10.1.2.3\0\120"),
		 15, "10.1.2.3 80"},
		{"numeric name of ipv6", BYTES("\5\1\0\3\3::1\0\120"), 10,
		 "::1 80"},
		{"ipv6",
		 BYTES("\5\1\0\4 \1\r\270\0\0\0\0\0\0\0\0\0\0\0\1\377\377"), 22,
		 "2001:db8::1 65535"},
		{"mapped",
		 BYTES("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\377\377\12\0\0\1\0\1"), 22,
		 "10.0.0.1 1"},
		{"udp to anywhere", BYTES("\5\3\0\1\0\0\0\0\0\0"), 10,
		 "0.0.0.0 0"},
		{"unknown command", BYTES("\5\11\0\1\12\1\2\3\0\120"), 10,
		 "10.1.2.3 80"},
		{"cut", BYTES("\5\1\0\1\12\1\2\3\0"), 0, NULL},
		{"nothing", BYTES(""), 0, NULL},
		{"empty name", BYTES("\5\1\0\3\0\0\120"), -EBADMSG, NULL},
		{"nul in name", BYTES("\5\1\0\3\3a\0b\0\120"), -EBADMSG, NULL},
		{"type 2", BYTES("\5\1\0\2\12\1\2\3\0\120"), -EAFNOSUPPORT,
		 NULL},
		{"version 4", BYTES("\4\1\0\1\12\1\2\3\0\120"), -EBADMSG, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i], socks_parse_request);
}

static void requests_of_version_4(void **state)
{
	static const struct row rows[] = {
		{"4", BYTES("\4\1\0\120\12\1\2\3me\0"), 11, "10.1.2.3 80"},
		{"nobody", BYTES("\4\1\0\120\12\1\2\3\0"), 9, "10.1.2.3 80"},
		{"4a", BYTES("\4\1\0\120\0\0\0\1me\0host\0"), 16, "host 80"},
		{"4a numeric", BYTES("\4\1\0\120\0\0\0\377\0::1\0"), 13,
		 "::1 80"},
		{"0.0.0.0 is an address", BYTES("\4\1\0\120\0\0\0\0\0"), 9,
		 "0.0.0.0 80"},
		{"no name yet", BYTES("\4\1\0\120\0\0\0\1me\0"), 0, NULL},
		{"empty name", BYTES("\4\1\0\120\0\0\0\1me\0\0"), -EBADMSG,
		 NULL},
		{"version", BYTES("\5\1\0\120\12\1\2\3\0"), -EBADMSG, NULL},
	};
	uint8_t user[8 + SOCKS_SECRET_MAX + 2] = "\4\1\0\120\12\1\2\3";
	struct socks_request r;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i], socks_parse_request4);
	memset(user + 8, 'u', SOCKS_SECRET_MAX + 1);
	assert_int_equal(socks_parse_request4(user, 8 + SOCKS_SECRET_MAX, &r),
			 0);
	assert_int_equal(
		socks_parse_request4(user, 8 + SOCKS_SECRET_MAX + 1, &r),
		-EBADMSG);
	user[8 + SOCKS_SECRET_MAX] = '\0';
	assert_int_equal(
		socks_parse_request4(user, 8 + SOCKS_SECRET_MAX + 1, &r),
		8 + SOCKS_SECRET_MAX + 1);
}

static void greetings(void **state)
{
	struct socks_greeting g;
	enum socks_method method;
	uint8_t out[SOCKS_MSG_MAX];

	(void)state;
	assert_int_equal(socks_parse_greeting(BYTES("\5\1\0"), &g), 3);
	assert_true(g.has_none && !g.has_password);
	assert_int_equal(socks_parse_greeting(BYTES("\5\3\1\2\200x"), &g), 5);
	assert_true(!g.has_none && g.has_password);
	assert_int_equal(socks_parse_greeting(BYTES("\5\0"), &g), 2);
	assert_true(!g.has_none && !g.has_password);
	assert_int_equal(socks_parse_greeting(BYTES("\5\2\0"), &g), 0);
	assert_int_equal(socks_parse_greeting(BYTES("\6"), &g), -EBADMSG);
	g = (struct socks_greeting){true, true};
	assert_int_equal(socks_build_greeting(out, &g), 4);
	assert_memory_equal(out, "\5\2\0\2", 4);
	assert_int_equal(socks_build_method(out, SOCKS_METHOD_REFUSED), 2);
	assert_int_equal(socks_parse_method(out, 2, &method), 2);
	assert_int_equal(method, SOCKS_METHOD_REFUSED);
	assert_int_equal(socks_parse_method(out, 1, &method), 0);
	assert_int_equal(socks_parse_method(BYTES("\5\1"), &method), -EBADMSG);
	assert_int_equal(socks_parse_method(BYTES("H"), &method), -EBADMSG);
}

static void passwords_go_there_and_back(void **state)
{
	struct socks_auth a = {.user_len = 2,
			       .user = "me",
			       .password_len = 3,
			       .password = "p\0q"},
			  b;
	uint8_t out[SOCKS_MSG_MAX];
	bool is_accepted = false;

	(void)state;
	size_t len = socks_build_auth(out, &a);
	assert_int_equal(len, 8);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(socks_parse_auth(out, i, &b), 0);
	assert_int_equal(socks_parse_auth(out, len, &b), len);
	assert_memory_equal(&a, &b, sizeof(a));
	out[0] = 5;
	assert_int_equal(socks_parse_auth(out, len, &b), -EBADMSG);
	(void)socks_build_auth_status(out, true);
	assert_int_equal(socks_parse_auth_status(out, 2, &is_accepted), 2);
	assert_true(is_accepted);
	(void)socks_build_auth_status(out, false);
	assert_int_equal(socks_parse_auth_status(out, 2, &is_accepted), 2);
	assert_false(is_accepted);
}

static void assert_same(const struct socks_addr *a, const struct socks_addr *b)
{
	assert_true(endpoint_equal(&a->at, &b->at));
	assert_string_equal(a->name, b->name);
}

/* What a client builds the server reads, and the other way round. */
static void messages_go_there_and_back(void **state)
{
	struct socks_addr addrs[3] = {{.at.port = 7, .name = "host.example"}};
	uint8_t out[SOCKS_MSG_MAX];

	(void)state;
	memset(addrs[0].name, 'n', SOCKS_NAME_MAX);
	addrs[1].at.port = addrs[2].at.port = 65535;
	assert_int_equal(addr_parse("10.9.8.7", &addrs[1].at.addr), 0);
	assert_int_equal(addr_parse("2001:db8::7", &addrs[2].at.addr), 0);
	for (int i = 0; i < 3; i++) {
		struct socks_request q;
		struct socks_reply r;
		struct socks_addr a;
		size_t n = socks_build_request(out, SOCKS_CONNECT, &addrs[i]);

		assert_in_range(n, 1, sizeof(out));
		assert_int_equal(socks_parse_request(out, n, &q), n);
		assert_int_equal(q.command, SOCKS_CONNECT);
		assert_same(&q.dst, &addrs[i]);
		n = socks_build_udp(out, &addrs[i]);
		assert_in_range(n, 1, SOCKS_UDP_HEADER_MAX);
		assert_int_equal(socks_parse_udp(out, n, &a), n);
		assert_same(&a, &addrs[i]);
		assert_int_equal(socks_parse_udp(out, n - 1, &a), -EBADMSG);
		out[2] = 1;
		assert_int_equal(socks_parse_udp(out, n, &a), -EOPNOTSUPP);
		if (i == 0)
			continue;
		n = socks_build_reply(out, SOCKS_GRANTED, &addrs[i].at);
		assert_int_equal(socks_parse_reply(out, n - 1, &r), 0);
		assert_int_equal(socks_parse_reply(out, n, &r), n);
		assert_int_equal(r.outcome, SOCKS_GRANTED);
		assert_same(&r.bound, &addrs[i]);
	}
}

static void replies_of_failure(void **state)
{
	uint8_t out[SOCKS_MSG_MAX];
	struct socks_reply r;

	(void)state;
	assert_int_equal(socks_build_reply(out, SOCKS_REFUSED, NULL), 10);
	assert_memory_equal(out, "\5\5\0\1\0\0\0\0\0\0", 10);
	assert_true(socks_parse_reply(out, 10, &r) > 0);
	assert_int_equal(r.outcome, SOCKS_REFUSED);
	assert_int_equal(socks_parse_reply(BYTES("\4\0"), &r), -EBADMSG);
	assert_int_equal(socks_build_reply4(out, SOCKS_REFUSED), 8);
	assert_memory_equal(out, "\0\133\0\0\0\0\0\0", 8);
	assert_int_equal(socks_build_reply4(out, SOCKS_GRANTED), 8);
	assert_int_equal(out[1], 90);
	for (int i = 0; i <= SOCKS_OUTCOME__N; i++)
		assert_non_null(socks_outcome_text((enum socks_outcome)i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_of_version_5),
		cmocka_unit_test(requests_of_version_4),
		cmocka_unit_test(greetings),
		cmocka_unit_test(passwords_go_there_and_back),
		cmocka_unit_test(messages_go_there_and_back),
		cmocka_unit_test(replies_of_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
