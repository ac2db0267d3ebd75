/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "dns_build.h"

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

#define QUESTION		"\4host\0\0\1\0\1"
#define HEAD(flags, an, ns, ar) "\0\7" flags "\0\1\0" an "\0" ns "\0" ar
#define A_RECORD		"\300\14\0\1\0\1\0\0\0\74\0\4\12\1\2\3"
#define CNAME			"\300\14\0\5\0\1\0\0\0\36\0\6\3www\300\14"
#define OPT			"\0\0\51\4\320\0\0\0\0\0\0"
#define OPT_DO			"\0\0\51\20\0\0\0\200\0\0\0"
#define OPT_BADVERS		"\0\0\51\4\320\1\0\0\0\0\0"
/* Minimum 5 s, and a TTL of 9 s. */
#define SOA                                           \
	"\300\14\0\6\0\1\0\0\0\11\0\30\300\14\300\14" \
	"\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5"

struct row {
	const char *what, *in;
	size_t len;
	int r;
};

#define ROW(what, in, r)                    \
	{                                   \
		what, in, sizeof(in) - 1, r \
	}

static const struct row rows[] = {
	ROW("a query", HEAD("\1\0", "\0", "\0", "\0") QUESTION, 0),
	ROW("the root", HEAD("\1\0", "\0", "\0", "\0") "\0\0\2\0\1", 0),
	ROW("with OPT", HEAD("\1\0", "\0", "\0", "\1") QUESTION OPT, 0),
	ROW("two of it", HEAD("\1\0", "\0", "\0", "\2") QUESTION OPT OPT,
	    -EBADMSG),
	ROW("OPT as an answer", HEAD("\1\0", "\1", "\0", "\0") QUESTION OPT,
	    -EBADMSG),
	ROW("OPT of a name",
	    HEAD("\1\0", "\0", "\0", "\1") QUESTION
	    "\300\14\0\51\4\320\0\0\0\0\0\0",
	    -EBADMSG),
	ROW("no question", "\0\7\1\0\0\0\0\0\0\0\0\0", -EBADMSG),
	ROW("two questions", "\0\7\1\0\0\2\0\0\0\0\0\0" QUESTION QUESTION,
	    -EBADMSG),
	ROW("a compressed question",
	    HEAD("\1\0", "\0", "\0", "\0") "\300\14\0\1\0\1", -EBADMSG),
	ROW("an answer",
	    HEAD("\201\200", "\2", "\0", "\0") QUESTION CNAME A_RECORD, 0),
	ROW("nothing, with why",
	    HEAD("\201\203", "\0", "\1", "\0") QUESTION SOA, 0),
	ROW("fewer than it says",
	    HEAD("\201\200", "\1", "\1", "\0") QUESTION A_RECORD, -EBADMSG),
	ROW("bytes behind it", HEAD("\1\0", "\0", "\0", "\0") QUESTION "xyz",
	    0),
	ROW("a pointer forwards",
	    HEAD("\201\200", "\1", "\0", "\0") QUESTION
	    "\300\30\0\1\0\1\0\0\0\74\0\4\12\1\2\3",
	    -EBADMSG),
	ROW("a pointer to itself",
	    HEAD("\201\200", "\1", "\0", "\0") QUESTION
	    "\300\26\0\1\0\1\0\0\0\74\0\4\12\1\2\3",
	    -EBADMSG),
	ROW("a name that points into itself",
	    HEAD("\201\200", "\1", "\0", "\0") QUESTION
	    "\1a\300\26\0\1\0\1\0\0\0\74\0\4\12\1\2\3",
	    -EBADMSG),
	ROW("a pointer into the header",
	    HEAD("\201\200", "\1", "\0", "\0") QUESTION
	    "\300\4\0\1\0\1\0\0\0\74\0\4\12\1\2\3",
	    -EBADMSG),
	ROW("half a pointer",
	    HEAD("\201\200", "\1", "\0", "\0") QUESTION "\300", -EBADMSG),
	ROW("an unknown label",
	    HEAD("\201\200", "\1", "\0", "\0") QUESTION "\100x\0", -EBADMSG),
	ROW("data beyond the end",
	    HEAD("\201\200", "\1", "\0", "\0") QUESTION
	    "\300\14\0\1\0\1\0\0\0\74\0\5abcd",
	    -EBADMSG),
	ROW("half a header", "\0\7\1\0\0\1", -EBADMSG),
};

static void messages_are_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dns_msg m = {.id = 99};
		int r = dns_parse((const uint8_t *)rows[i].in, rows[i].len, &m);

		if (r != rows[i].r)
			fail_msg("%s: %d", rows[i].what, r);
		assert_int_equal(m.id, r == 0 ? 7 : 99);
	}
}

static void every_cut_is_noticed(void **state)
{
	static const char whole[] = HEAD("\201\200", "\2", "\1", "\1")
		QUESTION CNAME A_RECORD SOA OPT;
	struct dns_msg m;

	(void)state;
	assert_int_equal(dns_parse(BYTES(whole), &m), 0);
	assert_int_equal(m.end, sizeof(whole) - 1);
	assert_int_equal(m.n_before_opt, 0);
	assert_int_equal(m.edns_udp_bytes, 1232);
	for (size_t cut = 0; cut < sizeof(whole) - 1; cut++)
		assert_int_equal(dns_parse((const uint8_t *)whole, cut, &m),
				 -EBADMSG);
}

static void names_are_put_together(void **state)
{
	static const char in[] =
		HEAD("\201\200", "\1", "\0", "\0") "\4HoSt\0\0\1\0\1" CNAME;
	uint8_t name[DNS_NAME_MAX];
	size_t end;

	(void)state;
	/* The data of the CNAME: "www", then a pointer to the question. */
	assert_int_equal(dns_parse_name(BYTES(in), 12 + 10 + 12, name, &end),
			 10);
	assert_memory_equal(name, "\3www\4host\0", 10);
	assert_int_equal(end, sizeof(in) - 1);
}

/* 127 labels and the end are 255 bytes; more is no name, and a pointer must
 * not get round that. */
static void names_have_a_longest(void **state)
{
	uint8_t in[12 + 300] = {0}, name[DNS_NAME_MAX];
	size_t end;

	(void)state;
	for (size_t i = 0; i < 127; i++) {
		in[12 + 2 * i] = 1;
		in[13 + 2 * i] = 'x';
	}
	assert_int_equal(dns_parse_name(in, sizeof(in), 12, name, &end), 255);
	assert_int_equal(end, 12 + 255);
	in[12 + 255] = 1;
	in[12 + 256] = 'y';
	in[12 + 257] = 0xc0;
	in[12 + 258] = 12;
	assert_int_equal(dns_parse_name(in, sizeof(in), 12 + 255, name, &end),
			 0);
	in[12 + 258] = 14;
	assert_int_equal(dns_parse_name(in, sizeof(in), 12 + 255, name, &end),
			 255);
}

struct ttl_row {
	const char *what, *in;
	size_t len;
	uint32_t ttl_s;
};

static const struct ttl_row ttl_rows[] = {
	ROW("an address", HEAD("\201\200", "\1", "\0", "\0") QUESTION A_RECORD,
	    60),
	ROW("an alias is in it",
	    HEAD("\201\200", "\2", "\0", "\0") QUESTION CNAME A_RECORD, 30),
	ROW("the zone's own record, too",
	    HEAD("\201\200", "\1", "\1", "\0") QUESTION A_RECORD SOA, 9),
	ROW("no such name", HEAD("\201\203", "\0", "\1", "\0") QUESTION SOA, 5),
	ROW("nothing of that type",
	    HEAD("\201\200", "\0", "\1", "\0") QUESTION SOA, 5),
	ROW("an alias of nothing",
	    HEAD("\201\200", "\1", "\1", "\0") QUESTION CNAME SOA, 5),
	ROW("nothing, and no zone says so",
	    HEAD("\201\203", "\0", "\0", "\0") QUESTION, 0),
	ROW("a failure", HEAD("\201\202", "\0", "\1", "\0") QUESTION SOA, 0),
	ROW("cut off", HEAD("\203\200", "\1", "\0", "\0") QUESTION A_RECORD, 0),
	ROW("OPT has no TTL",
	    HEAD("\201\200", "\1", "\0", "\1") QUESTION A_RECORD OPT, 60),
	ROW("a longer failure",
	    HEAD("\201\200", "\1", "\0", "\1") QUESTION A_RECORD OPT_BADVERS,
	    0),
	ROW("TTL of 2^31",
	    HEAD("\201\200", "\1", "\0", "\0") QUESTION
	    "\300\14\0\1\0\1\200\0\0\0\0\4\12\1\2\3",
	    0),
};

static void answers_may_be_kept_for_so_long(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ttl_rows) / sizeof(ttl_rows[0]); i++) {
		const struct ttl_row *row = &ttl_rows[i];
		struct dns_msg m;

		assert_int_equal(
			dns_parse((const uint8_t *)row->in, row->len, &m), 0);
		if (dns_parse_ttl_s(&m) != row->ttl_s)
			fail_msg("%s: %u s", row->what, dns_parse_ttl_s(&m));
	}
}

/* ---- building ---- */

static void parse(struct dns_msg *ret, const uint8_t *in, size_t len)
{
	assert_int_equal(dns_parse(in, len, ret), 0);
}

static void queries_are_passed_on(void **state)
{
	uint8_t out[DNS_BUILD_SHORT_MAX];
	struct dns_msg query, up;

	(void)state;
	parse(&query,
	      BYTES(HEAD("\1\20", "\0", "\0", "\1") "\4HoSt\0\0\1\0\1" OPT_DO));
	size_t n = dns_build_upstream(out, &query, 9, DNS_BUILD_EDNS);

	parse(&up, out, n);
	assert_int_equal(up.id, 9);
	assert_int_equal(up.flags, DNS_FLAG_RD | DNS_FLAG_CD);
	assert_true(up.edns_do);
	assert_int_equal(up.edns_udp_bytes, DNS_BUILD_UDP_BYTES);
	assert_memory_equal(out + 12, "\4HoSt\0\0\1\0\1", 10);
	n = dns_build_upstream(out, &query, 9, DNS_BUILD_PLAIN);
	parse(&up, out, n);
	assert_int_equal(up.opt_at, 0);
}

static void responses_fit_the_question(void **state)
{
	static const char answer_in[] = HEAD("\201\240", "\2", "\0", "\2")
		QUESTION CNAME A_RECORD OPT A_RECORD;
	uint8_t out[DNS_MESSAGE_MAX];
	struct dns_msg query, answer, m;
	struct dns_walk walk;
	struct dns_record r;

	(void)state;
	parse(&answer, BYTES(answer_in));
	parse(&query, BYTES("\1\2\1\0\0\1\0\0\0\0\0\0\4hOsT\0\0\1\0\1"));
	size_t n = dns_build_response(out, &query, &answer, 40, 512);

	parse(&m, out, n);
	assert_int_equal(m.id, 0x102);
	/* AD was not asked for, and what lay behind OPT is gone with it. */
	assert_int_equal(m.flags, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA);
	assert_memory_equal(out + 12, "\4hOsT", 5);
	assert_int_equal(m.n[DNS_ANSWER], 2);
	assert_int_equal(m.n[DNS_ADDITIONAL], 0);
	dns_walk_begin(&walk, &m);
	assert_true(dns_walk_next(&walk, &r));
	assert_int_equal(r.ttl_s, 0); /* 30 less 40 */
	assert_true(dns_walk_next(&walk, &r));
	assert_int_equal(r.ttl_s, 20);
	assert_memory_equal(out + r.data_at, "\12\1\2\3", 4);
}

static void who_asks_by_edns_is_answered_by_it(void **state)
{
	uint8_t out[DNS_MESSAGE_MAX];
	struct dns_msg query, plain, answer, m;

	(void)state;
	parse(&query, BYTES(HEAD("\1\0", "\0", "\0", "\1") QUESTION OPT_DO));
	parse(&plain, BYTES(HEAD("\1\0", "\0", "\0", "\0") QUESTION));
	parse(&answer,
	      BYTES(HEAD("\201\240", "\1", "\0", "\0") QUESTION A_RECORD));
	parse(&m, out, dns_build_response(out, &query, &answer, 0, 512));
	assert_true(m.opt_at > 0 && m.edns_do);
	assert_true(m.flags & DNS_FLAG_AD);

	/* A failure that only EDNS has a number for. */
	parse(&answer,
	      BYTES(HEAD("\201\200", "\0", "\0", "\1") QUESTION OPT_BADVERS));
	parse(&m, out, dns_build_response(out, &query, &answer, 0, 512));
	assert_int_equal(m.rcode, DNS_BAD_VERSION);
	parse(&m, out, dns_build_response(out, &plain, &answer, 0, 512));
	assert_int_equal(m.rcode, DNS_SERVER_FAILURE);
}

static void what_is_too_long_says_so(void **state)
{
	static const char head[] =
		HEAD("\201\200", "\100", "\0", "\0") QUESTION;
	uint8_t in[2000], out[DNS_MESSAGE_MAX];
	size_t at = sizeof(head) - 1;
	struct dns_msg query, answer, m;

	(void)state;
	memcpy(in, head, at);
	for (int i = 0; i < 64; i++, at += 16)
		memcpy(in + at, A_RECORD, 16);
	parse(&answer, in, at);
	parse(&query, BYTES(HEAD("\1\0", "\0", "\0", "\1") QUESTION OPT));
	size_t n = dns_build_response(out, &query, &answer, 0, at + 10);

	parse(&m, out, n);
	assert_true(m.flags & DNS_FLAG_TC);
	assert_int_equal(m.n[DNS_ANSWER], 0);
	assert_true(m.opt_at > 0);
	n = dns_build_response(out, &query, &answer, 0, at + 11);
	assert_int_equal(n, at + 11);
	parse(&m, out, n);
	assert_false(m.flags & DNS_FLAG_TC);
}

static void errors_are_built(void **state)
{
	uint8_t out[DNS_BUILD_SHORT_MAX];
	struct dns_msg query, m;

	(void)state;
	parse(&query, BYTES(HEAD("\1\0", "\0", "\0", "\0") QUESTION));
	parse(&m, out, dns_build_error(out, &query, DNS_REFUSED));
	assert_int_equal(m.rcode, DNS_REFUSED);
	assert_true(dns_parse_is_same_question(&m, &query));
	assert_int_equal(dns_build_refusal(out,
					   (const uint8_t *)"\1\2\51\0\0\2\0\0"
							    "\0\0\0\0",
					   DNS_FORMAT_ERROR),
			 DNS_HEADER_LEN);
	assert_memory_equal(out, "\1\2\251\1\0\0\0\0\0\0\0\0", DNS_HEADER_LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_checked),
		cmocka_unit_test(every_cut_is_noticed),
		cmocka_unit_test(names_are_put_together),
		cmocka_unit_test(names_have_a_longest),
		cmocka_unit_test(answers_may_be_kept_for_so_long),
		cmocka_unit_test(queries_are_passed_on),
		cmocka_unit_test(responses_fit_the_question),
		cmocka_unit_test(who_asks_by_edns_is_answered_by_it),
		cmocka_unit_test(what_is_too_long_says_so),
		cmocka_unit_test(errors_are_built),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
