/* SPDX-License-Identifier: MIT */
/* test_boot: the lines of the bootstrap, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "boot_far.h"
#include "boot_script.h"
#include "reference.h"

#define M "0123456789abcdef0123456789abcdef"

/* The events of a stream as text: "need Linux x86_64;run;ready 1.0;" and, after
 * an event that ends the dialogue, "+N" for N bytes left. */
static const struct {
	const char *bytes, *events;
} cases[] = {
	{"", ""},
	{"hello\n\n\n", ""},
	{"\n" M " ready 0.1\n", "ready 0.1;+0"},
	{"\n" M " ready 0.1\nrest", "ready 0.1;+4"},
	{"\n" M " ready 0.1\n\n" M " fail nodir\n", "ready 0.1;+45"},
	{"\n" M " need Linux x86_64\n\n" M " run uploaded\n\n" M " ready 1\n",
	 "need Linux x86_64;run uploaded;ready 1;+0"},
	{"\n" M " run kept\n\n" M " ready 1\n", "run already there;ready 1;+0"},
	{"\n" M " run installed\n", "run installed;"},
	/* noise before, between, without a newline of its own */
	{"Last login: today\nno newline\n" M " ready 1\n", "ready 1;+0"},
	{M " run kept\nnoise\n" M " ready 1\nx",
	 "run already there;ready 1;+1"},
	/* an echo of the command is not an answer */
	{"exec /bin/sh -c 'ecssh_marker=" M "; m=\n " M " ready 1\nx" M
	 " ready 1\n",
	 ""},
	{M "\n" M "x ready 1\n" M "\tready 1\n", ""},
	{"0123456789abcdef0123456789abcdee ready 1\n", ""},
	/* failures */
	{"\n" M " fail noexec\n", "fail 1 ;+0"},
	{"\n" M " fail notool head -c\nx", "fail 3 head -c;+1"},
	{"\n" M " fail cannotrun \x1b[2J\xff\n", "fail 5 \\x1b[2J\\xff;+0"},
	{"\n" M " fail brandnew  text\n", "fail 6 text;+0"},
	/* ours, but not the protocol */
	{M " \n", "bad;+0"},
	{M "  ready 1\n", "bad;+0"},
	{M " ready\n", "bad;+0"},
	{M " ready \n", "bad;+0"},
	{M " ready 1 2\n", "bad;+0"},
	{M " ready 1\r\n", "bad;+0"},
	{M " ready 1\x1b\n", "bad;+0"},
	{M " READY 1\n", "bad;+0"},
	{M " need Linux\n", "bad;+0"},
	{M " need Linux x y\n", "bad;+0"},
	{M " need Linux  x\n", "bad;+0"},
	{M " run\n", "bad;+0"},
	{M " run away\n", "bad;+0"},
	{M " fail\n", "bad;+0"},
	{M " need L m\n" M " need L m\n", "need L m;bad;+0"},
	{M " run kept\n" M " need L m\n", "run already there;bad;+0"},
	{M " run kept\n" M " run kept\n", "run already there;bad;+0"},
	{M " ready 12345678901234567890123456789012345678901234567890"
	   "1234567890123\n",
	 "ready 12345678901234567890123456789012345678901234567890"
	 "1234567890123;+0"},
	{M " ready 12345678901234567890123456789012345678901234567890"
	   "12345678901234\n",
	 "bad;+0"},
};

static void note(char *out, size_t cap, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void note(char *out, size_t cap, const char *fmt, ...)
{
	size_t len = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(out + len, cap - len, fmt, ap);
	va_end(ap);
}

static void note_event(const struct boot *b, enum boot_event event, char *out,
		       size_t cap)
{
	switch (event) {
	case BOOT_NOTHING:
		break;
	case BOOT_NEED:
		note(out, cap, "need %s %s;", b->os, b->machine);
		break;
	case BOOT_RUN:
		note(out, cap, "run %s;", boot_origin_name(b->origin));
		break;
	case BOOT_READY:
		note(out, cap, "ready %s;", b->version);
		break;
	case BOOT_FAILED:
		note(out, cap, "fail %d %s;", (int)b->fail, b->text);
		break;
	case BOOT_NOISE_LIMIT:
		note(out, cap, "noise;");
		break;
	case BOOT_BAD:
		note(out, cap, "bad;");
		break;
	}
}

/* Feed in pieces of random size up to max_piece. */
static void feed(struct boot *b, const char *bytes, size_t len, struct rng *rng,
		 size_t max_piece, char *out, size_t cap)
{
	size_t at = 0;

	out[0] = '\0';
	while (at < len && !b->is_done) {
		size_t n = 1 + rng_below(rng, max_piece), end = at + n;
		if (end > len)
			end = len;
		while (at < end && !b->is_done) {
			enum boot_event event;
			size_t taken = boot_feed(b, (const uint8_t *)bytes + at,
						 end - at, &event);
			at += taken;
			note_event(b, event, out, cap);
			assert_true(event != BOOT_NOTHING || at == end);
		}
	}
	if (b->is_done)
		note(out, cap, "+%zu", len - at);
}

static void boot_tells_what_the_table_says_however_it_is_split(void **state)
{
	struct rng rng = rng_init("boot");
	char events[512];
	struct boot b;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].bytes);

		for (int n = 0; n < 50; n++) {
			boot_init(&b, M);
			feed(&b, cases[i].bytes, len, &rng,
			     n == 0   ? len + 1
			     : n == 1 ? 1
				      : 40,
			     events, sizeof(events));
			assert_string_equal(events, cases[i].events);
		}
	}
}

static void boot_takes_nothing_after_the_end(void **state)
{
	static const char text[] = M " ready 1\n";
	enum boot_event event;
	struct boot b;

	(void)state;
	boot_init(&b, M);
	assert_int_equal(
		boot_feed(&b, (const uint8_t *)text, strlen(text), &event),
		strlen(text));
	assert_int_equal(event, BOOT_READY);
	assert_int_equal(
		boot_feed(&b, (const uint8_t *)text, strlen(text), &event), 0);
	assert_int_equal(event, BOOT_NOTHING);
}

static void boot_without_a_word_on_it_is_installed(void **state)
{
	static const char text[] = M " ready 1\n";
	enum boot_event event;
	struct boot b;

	(void)state;
	boot_init(&b, M);
	(void)boot_feed(&b, (const uint8_t *)text, strlen(text), &event);
	assert_int_equal(b.origin, BOOT_INSTALLED);
}

/* A line of ours with len bytes in all, before the newline. */
static size_t make_long_line(char *out, size_t len)
{
	int at = snprintf(out, len, "%s fail nodir ", M);

	memset(out + at, 'x', len - (size_t)at);
	out[len] = '\n';
	return len + 1;
}

static void boot_takes_lines_of_512_bytes_and_no_more(void **state)
{
	char line[BOOT_LINE_MAX + 2];
	enum boot_event event;
	struct boot b;

	(void)state;
	boot_init(&b, M);
	(void)boot_feed(&b, (uint8_t *)line,
			make_long_line(line, BOOT_LINE_MAX + 1), &event);
	assert_int_equal(event, BOOT_NOTHING);
	assert_int_equal(b.n_noise_bytes, BOOT_LINE_MAX + 2);
	(void)boot_feed(&b, (uint8_t *)line,
			make_long_line(line, BOOT_LINE_MAX), &event);
	assert_int_equal(event, BOOT_FAILED);
	assert_int_equal(strlen(b.text), BOOT_TEXT_MAX - 1);
}

/* Noise of exactly n bytes in lines of line_len, then a ready line. */
static enum boot_event after_noise(size_t n, size_t line_len, size_t piece)
{
	static const char ready[] = M " ready 1\n";
	size_t len = n + strlen(ready), at = 0;
	char *bytes = malloc(len);
	enum boot_event event = BOOT_NOTHING;
	struct boot b;

	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (i + 1) % line_len == 0 || i + 1 == n ? '\n' : 'x';
	for (size_t i = 0; ready[i]; i++)
		bytes[n + i] = ready[i];
	boot_init(&b, M);
	while (at < len && event == BOOT_NOTHING) {
		size_t m = len - at < piece ? len - at : piece;
		at += boot_feed(&b, (uint8_t *)bytes + at, m, &event);
	}
	free(bytes);
	return event;
}

static void boot_bears_16_mib_of_noise_and_no_more(void **state)
{
	static const struct {
		size_t line_len, piece;
	} shapes[] = {{1, 1 << 30},   {80, 65536}, {512, 1000},
		      {513, 1 << 30}, {514, 4096}, {1 << 30, 1 << 30},
		      {1 << 30, 1000}};

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		assert_int_equal(after_noise(BOOT_NOISE_MAX_BYTES,
					     shapes[i].line_len,
					     shapes[i].piece),
				 BOOT_READY);
		assert_int_equal(after_noise(BOOT_NOISE_MAX_BYTES + 1,
					     shapes[i].line_len,
					     shapes[i].piece),
				 BOOT_NOISE_LIMIT);
	}
}

static void boot_remembers_the_last_line_of_noise_escaped(void **state)
{
	static const char text[] = "first\nThis service \x1b]0;x\x07 only.\r\n"
				   "\n  \n";
	enum boot_event event;
	struct boot b;

	(void)state;
	boot_init(&b, M);
	(void)boot_feed(&b, (const uint8_t *)text, strlen(text), &event);
	assert_string_equal(b.noise, "This service \\x1b]0;x\\x07 only.");
	(void)boot_feed(&b, (const uint8_t *)"cut", 3, &event);
	boot_feed_end(&b);
	assert_string_equal(b.noise, "cut");
	assert_int_equal(b.n_noise_bytes, strlen(text) + 3);
}

static void boot_far_finds_the_marker(void **state)
{
	static const struct {
		const char *command;
		bool is_found;
	} commands[] = {
		{"exec /bin/sh -c 'ecssh_marker=" M "; h=1", true},
		{"ecssh_marker=" M ";", true},
		{"ecssh_marker=" M, false},
		{"ecssh_marker=" M "0;", false},
		{"ecssh_marker=0123456789abcdef0123456789abcde;", false},
		{"ecssh_marker=0123456789abcdef0123456789abcdeF;", false},
		{"ecssh_marker=" M "' ", false},
		{"ecssh-marker=" M ";", false},
		{"", false},
		{"ls -l", false},
		/* ends at byte 64, and one later */
		{"123456789012345678ecssh_marker=" M ";", true},
		{"1234567890123456789ecssh_marker=" M ";", false},
	};
	char marker[BOOT_MARKER_LEN + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int r = boot_far_marker_of_command(commands[i].command, marker);
		assert_int_equal(r, commands[i].is_found ? 0 : -EINVAL);
		if (r == 0)
			assert_string_equal(marker, M);
	}
	assert_true(boot_far_marker_is_valid(M));
	assert_false(boot_far_marker_is_valid(""));
	assert_false(boot_far_marker_is_valid(M "0"));
	assert_false(boot_far_marker_is_valid("x123456789abcdef"
					      "0123456789abcdef"));
}

static void boot_understands_what_boot_far_says(void **state)
{
	char line[BOOT_FAR_READY_MAX];
	enum boot_event event;
	struct boot b;

	(void)state;
	size_t len = boot_far_build_ready(M, "0.1-rc1", line);
	boot_init(&b, M);
	assert_int_equal(boot_feed(&b, (uint8_t *)line, len, &event), len);
	assert_int_equal(event, BOOT_READY);
	assert_string_equal(b.version, "0.1-rc1");
}

static const char hash[] = "00112233445566778899aabbccddeeff"
			   "00112233445566778899aabbccddeeff";

static int build_with(const char *const *args, char *out, size_t cap)
{
	struct boot_script_params params = {.marker = M,
					    .hash = hash,
					    .size_bytes = 1234567,
					    .protocol = 1,
					    .helper_args = args};

	return boot_script_build(&params, out, cap, NULL);
}

static void boot_script_shows_its_marker_to_the_far_side(void **state)
{
	char line[BOOT_SCRIPT_LINE_MAX], marker[BOOT_MARKER_LEN + 1];

	(void)state;
	assert_int_equal(build_with(NULL, line, sizeof(line)), 0);
	assert_int_equal(boot_far_marker_of_command(line, marker), 0);
	assert_string_equal(marker, M);
	assert_non_null(strstr(line, " n=1234567; "));
}

static void boot_script_refuses_arguments_that_a_shell_might_change(
	void **state)
{
	static const char *const bad[] = {
		"",	 "a b",	  "$x",	 "`x`",	  "'",	   "\"",   "a;b",
		"a|b",	 "a&b",	  "a<b", "a>b",	  "a*",	   "a?",   "[a]",
		"{a,b}", "a(b)",  "~",	 "a!b",	  "a\\b",  "a#b",  "a\nb",
		"=ls",	 "%self", "@x",	 "a\x80", "a\x1b", "a\tb", "^a"};
	static const char *const good[] = {"--allow=10.0.0.0/8,fd00::1", "-v",
					   "word", "/a/b_c.d+e@f%g"};
	char line[BOOT_SCRIPT_LINE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *const args[] = {bad[i], NULL};
		assert_int_equal(build_with(args, line, sizeof(line)), -EINVAL);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const char *const args[] = {good[i], NULL};
		assert_int_equal(build_with(args, line, sizeof(line)), 0);
		const char *end = strstr(line, "' ecssh-boot ");
		assert_non_null(end);
		assert_string_equal(end + 13, good[i]);
	}
}

static void boot_script_refuses_a_buffer_that_is_too_small(void **state)
{
	char line[BOOT_SCRIPT_LINE_MAX];

	(void)state;
	assert_int_equal(build_with(NULL, line, sizeof(line)), 0);
	size_t len = strlen(line);
	assert_int_equal(build_with(NULL, line, len + 1), 0);
	assert_int_equal(build_with(NULL, line, len), -E2BIG);
	assert_int_equal(build_with(NULL, line, 10), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			boot_tells_what_the_table_says_however_it_is_split),
		cmocka_unit_test(boot_takes_nothing_after_the_end),
		cmocka_unit_test(boot_without_a_word_on_it_is_installed),
		cmocka_unit_test(boot_takes_lines_of_512_bytes_and_no_more),
		cmocka_unit_test(boot_bears_16_mib_of_noise_and_no_more),
		cmocka_unit_test(boot_remembers_the_last_line_of_noise_escaped),
		cmocka_unit_test(boot_far_finds_the_marker),
		cmocka_unit_test(boot_understands_what_boot_far_says),
		cmocka_unit_test(boot_script_shows_its_marker_to_the_far_side),
		cmocka_unit_test(
			boot_script_refuses_arguments_that_a_shell_might_change),
		cmocka_unit_test(
			boot_script_refuses_a_buffer_that_is_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
