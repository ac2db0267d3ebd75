/* SPDX-License-Identifier: MIT */
/* test_escape: what reaches a terminal or a JSON string. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "escape.h"
#include "reference.h"

struct escape_case {
	const char *in;
	size_t in_len; /* 0: strlen(in) */
	const char *text, *json;
};

static const struct escape_case cases[] = {
	{"", 0, "", ""},
	{"hello, world ~!", 0, "hello, world ~!", "hello, world ~!"},
	{"a\"b\\c", 0, "a\"b\\c", "a\\\"b\\\\c"},
	{"\x1b[31mred", 0, "\\x1b[31mred", "\\u001b[31mred"},
	{"tab\tnl\ncr\rdel\x7f", 0, "tab\\x09nl\\x0acr\\x0ddel\\x7f",
	 "tab\\u0009nl\\u000acr\\u000ddel\\u007f"},
	{"nul\0end", 7, "nul\\x00end", "nul\\u0000end"},
	/* UTF-8 that may be printed */
	{"gr\xc3\xbc\xc3\x9f", 0, "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	{"\xe2\x82\xac", 0, "\xe2\x82\xac", "\xe2\x82\xac"},
	{"\xf0\x9f\x94\x92", 0, "\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92"},
	{"\xf4\x8f\xbf\xbf", 0, "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
	{"\xc2\xa0", 0, "\xc2\xa0", "\xc2\xa0"},
	/* C1 controls: CSI as one character */
	{"\xc2\x9b", 0, "\\xc2\\x9b", "\\u00c2\\u009b"},
	{"\x9b", 0, "\\x9b", "\\u009b"},
	/* overlong, surrogate, beyond Unicode, cut off, stray */
	{"\xc0\x80", 0, "\\xc0\\x80", "\\u00c0\\u0080"},
	{"\xe0\x82\x80", 0, "\\xe0\\x82\\x80", "\\u00e0\\u0082\\u0080"},
	{"\xf0\x80\x80\x80", 0, "\\xf0\\x80\\x80\\x80",
	 "\\u00f0\\u0080\\u0080\\u0080"},
	{"\xed\xa0\x80", 0, "\\xed\\xa0\\x80", "\\u00ed\\u00a0\\u0080"},
	{"\xf4\x90\x80\x80", 0, "\\xf4\\x90\\x80\\x80",
	 "\\u00f4\\u0090\\u0080\\u0080"},
	{"\xe2\x82", 0, "\\xe2\\x82", "\\u00e2\\u0082"},
	{"\xe2(\xa1", 0, "\\xe2(\\xa1", "\\u00e2(\\u00a1"},
	{"\xff\xfe", 0, "\\xff\\xfe", "\\u00ff\\u00fe"},
	/* line separator, right-to-left override, isolate */
	{"\xe2\x80\xa8", 0, "\\xe2\\x80\\xa8", "\\u00e2\\u0080\\u00a8"},
	{"\xe2\x80\xae", 0, "\\xe2\\x80\\xae", "\\u00e2\\u0080\\u00ae"},
	{"\xe2\x81\xa6", 0, "\\xe2\\x81\\xa6", "\\u00e2\\u0081\\u00a6"},
};

static size_t len_of(const struct escape_case *c)
{
	return c->in_len ? c->in_len : strlen(c->in);
}

static void escape_writes_what_the_table_says(void **state)
{
	char out[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct escape_case *c = &cases[i];

		assert_int_equal(
			escape_text(c->in, len_of(c), out, sizeof(out)),
			strlen(c->text));
		assert_string_equal(out, c->text);
		assert_int_equal(
			escape_json(c->in, len_of(c), out, sizeof(out)),
			strlen(c->json));
		assert_string_equal(out, c->json);
	}
}

static void escape_cuts_at_a_whole_character(void **state)
{
	char out[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct escape_case *c = &cases[i];

		for (size_t cap = 1; cap <= strlen(c->text) + 1; cap++) {
			memset(out, 'Z', sizeof(out));
			size_t n = escape_text(c->in, len_of(c), out, cap);
			assert_true(n < cap);
			assert_int_equal(out[n], '\0');
			assert_memory_equal(out, c->text, n);
			assert_int_equal(out[cap], 'Z');
			/* Never half of a character, never half of \xNN. */
			char again[128];
			assert_int_equal(
				escape_text(out, n, again, sizeof(again)), n);
			const char *last = strrchr(out, '\\');
			if (last && last[1] == 'x')
				assert_true(strlen(last) >= 4);
		}
	}
}

static void escape_touches_nothing_without_room(void **state)
{
	char out = 'Z';

	(void)state;
	assert_int_equal(escape_text("abc", 3, &out, 0), 0);
	assert_int_equal(out, 'Z');
	assert_int_equal(escape_text("abc", 3, &out, 1), 0);
	assert_int_equal(out, '\0');
}

static void escape_of_random_bytes_has_no_control_character(void **state)
{
	struct rng rng = rng_init("escape");
	uint8_t in[64];
	char out[64 * 6 + 1];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t len = rng_below(&rng, sizeof(in) + 1);

		rng_fill(&rng, in, len);
		size_t n = escape_json((char *)in, len, out, sizeof(out));
		assert_int_equal(strlen(out), n);
		for (size_t k = 0; k < n; k++) {
			uint8_t c = (uint8_t)out[k];

			assert_true(c >= 0x20 && c != 0x7f);
			/* C1 in UTF-8 */
			if (c == 0xc2)
				assert_true((uint8_t)out[k + 1] >= 0xa0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(escape_writes_what_the_table_says),
		cmocka_unit_test(escape_cuts_at_a_whole_character),
		cmocka_unit_test(escape_touches_nothing_without_room),
		cmocka_unit_test(
			escape_of_random_bytes_has_no_control_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
