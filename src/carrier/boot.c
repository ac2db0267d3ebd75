/* SPDX-License-Identifier: MIT */
/*
 * boot: what the far side says until the helper runs.
 *
 * Theory of operation
 *   A line at a time is kept, up to BOOT_LINE_MAX bytes.  When its newline
 *   comes it is either one of ours, which is an event, or noise, which is
 *   counted and forgotten but for its text.  How the bytes are split over calls
 *   makes no difference to the events.
 *
 * Spec: doc/PROTOCOL.boot section 3.
 */
#include "boot.h"

#include <assert.h>
#include <string.h>

#include "err.h"
#include "escape.h"

static const char *const origin_names[] = {
	[BOOT_UPLOADED] = "uploaded",
	[BOOT_KEPT] = "already there",
	[BOOT_INSTALLED] = "installed",
};
static_assert(sizeof(origin_names) / sizeof(origin_names[0]) == BOOT_ORIGIN__N,
	      "a name for each origin");

/* On the wire. */
static const char *const origin_words[] = {
	[BOOT_UPLOADED] = "uploaded",
	[BOOT_KEPT] = "kept",
	[BOOT_INSTALLED] = "installed",
};
static_assert(sizeof(origin_words) / sizeof(origin_words[0]) == BOOT_ORIGIN__N,
	      "a word for each origin");

static const char *const fail_words[] = {
	[BOOT_FAIL_NODIR] = "nodir",	 [BOOT_FAIL_NOEXEC] = "noexec",
	[BOOT_FAIL_NOSPACE] = "nospace", [BOOT_FAIL_NOTOOL] = "notool",
	[BOOT_FAIL_CORRUPT] = "corrupt", [BOOT_FAIL_CANNOTRUN] = "cannotrun",
	[BOOT_FAIL_OTHER] = "",
};
static_assert(sizeof(fail_words) / sizeof(fail_words[0]) == BOOT_FAIL__N,
	      "a word for each failure");

const char *boot_origin_name(enum boot_origin origin)
{
	return origin_names[origin];
}

void boot_init(struct boot *b, const char *marker)
{
	assert_always(strlen(marker) == BOOT_MARKER_LEN);
	*b = (struct boot){.origin = BOOT_INSTALLED};
	memcpy(b->marker, marker, BOOT_MARKER_LEN);
}

/*
 * Take the next word of [*at, end), printable ASCII, with the one space before
 * it unless it is the first.  Returns false if there is none, or if it is too
 * long for ret_word.
 */
static bool take_word(const char **at, const char *end,
		      char ret_word[BOOT_WORD_MAX])
{
	const char *p = *at;
	size_t len = 0;

	if (p == end || *p++ != ' ')
		return false;
	while (p + len < end && p[len] > ' ' && p[len] < 0x7f)
		len++;
	if (len == 0 || len >= BOOT_WORD_MAX)
		return false;
	memcpy(ret_word, p, len);
	ret_word[len] = '\0';
	*at = p + len;
	return true;
}

static enum boot_event take_need(struct boot *b, const char *at,
				 const char *end)
{
	if (b->has_need || b->has_run)
		return BOOT_BAD;
	if (!take_word(&at, end, b->os) || !take_word(&at, end, b->machine) ||
	    at != end)
		return BOOT_BAD;
	b->has_need = true;
	return BOOT_NEED;
}

static enum boot_event take_run(struct boot *b, const char *at, const char *end)
{
	char word[BOOT_WORD_MAX];

	if (b->has_run || !take_word(&at, end, word) || at != end)
		return BOOT_BAD;
	for (int i = 0; i < BOOT_ORIGIN__N; i++) {
		if (strcmp(word, origin_words[i]) == 0) {
			b->origin = (enum boot_origin)i;
			b->has_run = true;
			return BOOT_RUN;
		}
	}
	return BOOT_BAD;
}

static enum boot_event take_fail(struct boot *b, const char *at,
				 const char *end)
{
	char word[BOOT_WORD_MAX];
	int i = 0;

	if (!take_word(&at, end, word))
		return BOOT_BAD;
	while (i < BOOT_FAIL_OTHER && strcmp(word, fail_words[i]) != 0)
		i++;
	b->has_failed = true;
	b->fail = (enum boot_fail)i;
	while (at < end && *at == ' ')
		at++;
	(void)escape_text(at, (size_t)(end - at), b->text, sizeof(b->text));
	return BOOT_FAILED;
}

static enum boot_event take_ready(struct boot *b, const char *at,
				  const char *end)
{
	if (!take_word(&at, end, b->version) || at != end)
		return BOOT_BAD;
	return BOOT_READY;
}

static void take_noise(struct boot *b, size_t with_newline)
{
	size_t len = b->line_len < BOOT_LINE_MAX ? b->line_len : BOOT_LINE_MAX;
	const char *text = b->line;

	b->n_noise_bytes += b->line_len + with_newline;
	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	if (len > 0)
		(void)escape_text(text, len, b->noise, sizeof(b->noise));
}

/* The line is complete. */
static enum boot_event take_line(struct boot *b)
{
	const char *at = b->line, *end = b->line + b->line_len;
	char verb[BOOT_WORD_MAX];

	if (b->line_len > BOOT_LINE_MAX || b->line_len <= BOOT_MARKER_LEN ||
	    memcmp(at, b->marker, BOOT_MARKER_LEN) != 0 ||
	    at[BOOT_MARKER_LEN] != ' ') {
		take_noise(b, 1);
		return BOOT_NOTHING;
	}
	at += BOOT_MARKER_LEN;
	if (!take_word(&at, end, verb))
		return BOOT_BAD;
	if (strcmp(verb, "need") == 0)
		return take_need(b, at, end);
	if (strcmp(verb, "run") == 0)
		return take_run(b, at, end);
	if (strcmp(verb, "fail") == 0)
		return take_fail(b, at, end);
	if (strcmp(verb, "ready") == 0)
		return take_ready(b, at, end);
	return BOOT_BAD;
}

static void keep(struct boot *b, const uint8_t *bytes, size_t len)
{
	if (b->line_len < BOOT_LINE_MAX) {
		size_t room = BOOT_LINE_MAX - b->line_len;
		memcpy(b->line + b->line_len, bytes, len < room ? len : room);
	}
	b->line_len += len;
}

/* Bytes that are noise for sure.  A line not yet complete counts when it is too
 * long to be one of ours. */
static bool is_too_noisy(const struct boot *b)
{
	uint64_t pending = b->line_len > BOOT_LINE_MAX ? b->line_len : 0;

	return b->n_noise_bytes + pending > BOOT_NOISE_MAX_BYTES;
}

size_t boot_feed(struct boot *b, const uint8_t *bytes, size_t len,
		 enum boot_event *ret_event)
{
	enum boot_event event = BOOT_NOTHING;
	size_t at = 0;

	while (!b->is_done && event == BOOT_NOTHING && at < len) {
		const uint8_t *newline = memchr(bytes + at, '\n', len - at);
		size_t n = newline ? (size_t)(newline - bytes) - at : len - at;

		keep(b, bytes + at, n);
		at += n;
		if (newline) {
			at++;
			event = take_line(b);
			b->line_len = 0;
		}
		if (event == BOOT_NOTHING && is_too_noisy(b))
			event = BOOT_NOISE_LIMIT;
	}
	if (event != BOOT_NOTHING && event != BOOT_NEED && event != BOOT_RUN)
		b->is_done = true;
	*ret_event = event;
	return at;
}

void boot_feed_end(struct boot *b)
{
	if (!b->is_done)
		take_noise(b, 0);
	b->line_len = 0;
}
