/* SPDX-License-Identifier: MIT */
/*
 * fuzz_ssh_text: what ssh prints on stderr and for -G, and what a user writes
 * for a destination.
 *
 * Input: a byte that says how the rest is split, then the text.
 */
#include <string.h>

#include "err.h"
#include "fuzz.h"
#include "ssh_config.h"
#include "ssh_dest.h"
#include "ssh_words.h"

static void check_printable(const char *text)
{
	for (; *text; text++)
		assert_always((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void on_line(void *ctx, const char *line)
{
	size_t *n_lines = ctx;

	check_printable(line);
	assert_always(line[0] != '\0' && strlen(line) < SSH_WORDS_LINE_MAX);
	++*n_lines;
}

static void check_words(const char *text, size_t len, size_t step)
{
	char cause[SSH_WORDS_LINE_MAX];
	struct ssh_words w;
	size_t n_lines = 0;

	ssh_words_init(&w, on_line, &n_lines);
	for (size_t at = 0; at < len; at += step) {
		ssh_words_feed(&w, text + at,
			       len - at < step ? len - at : step);
		if (at % 7 == 0)
			ssh_words_end_prompts(&w);
		if (at % 11 == 0)
			ssh_words_show(&w);
	}
	enum ssh_words_rank rank =
		ssh_words_take_cause(&w, cause, sizeof(cause));
	check_printable(cause);
	assert_always(rank != SSH_WORDS_NONE || cause[0] == '\0');
	ssh_words_show(&w);
	assert_always(!ssh_words_has_held(&w));
	assert_always(n_lines <= len);
}

static void check_dest(const char *text, size_t len)
{
	char copy[1024];
	struct ssh_dest dest;
	struct err err = {.text = ""};

	if (len >= sizeof(copy))
		return;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (ssh_dest_parse(copy, &dest, &err) < 0) {
		assert_always(err.text[0] != '\0');
		check_printable(err.text);
		return;
	}
	assert_always(dest.host[0] != '\0' && dest.host[0] != '-');
	assert_always(dest.user[0] != '-');
	assert_always(!strpbrk(dest.user, " \t\n$`;&|<>()'\"*?![]{}#~%/:="));
	assert_always(!strpbrk(dest.host, " \t\n$`;&|<>()'\"*?![]{}#~/\\@="));
	check_printable(dest.user);
	check_printable(dest.host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ssh_config config;

	if (size == 0)
		return 0;
	const char *text = (const char *)data + 1;
	check_words(text, size - 1, 1U + data[0]);
	check_dest(text, size - 1);
	ssh_config_parse(text, size - 1, &config);
	assert_always(strnlen(config.user, sizeof(config.user)) <
		      sizeof(config.user));
	assert_always(strnlen(config.ciphers, sizeof(config.ciphers)) <
		      sizeof(config.ciphers));
	return 0;
}
