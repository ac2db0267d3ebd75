/* SPDX-License-Identifier: MIT */
/* ssh_words: what ssh and the helper write to stderr, for people to read. */
#include "ssh_words.h"

#include <stdio.h>
#include <string.h>

#include "escape.h"

static const char jump_failed[] = "stdio forwarding failed";
/* What ssh dies of when we let go while it opens a channel for us: our doing,
 * and no news to anybody. */
static const char let_go[] = "chan_send_close2: ";

/* Parts of messages; the first that fits counts. */
static const struct {
	const char *part;
	enum ssh_words_rank rank;
	bool is_at_start;
} known[] = {
	{"debug1: ", SSH_WORDS_CHATTER, true},
	{"debug2: ", SSH_WORDS_CHATTER, true},
	{"debug3: ", SSH_WORDS_CHATTER, true},
	{"OpenSSH_", SSH_WORDS_CHATTER, true},
	{"Authenticated to ", SSH_WORDS_CHATTER, true},
	{"Transferred: ", SSH_WORDS_CHATTER, true},
	{"Bytes per second: ", SSH_WORDS_CHATTER, true},
	{"Warning: ", SSH_WORDS_CHATTER, true},
	{"exec request failed on channel", SSH_WORDS_NO_EXEC, true},
	/* MaxSessions 0; but see jump_failed. */
	{"open failed: connect failed: open failed", SSH_WORDS_NO_EXEC, false},
	{"Bad configuration option: ", SSH_WORDS_KNOWN, false},
	{"Host key verification failed", SSH_WORDS_KNOWN, false},
	{"Permission denied (", SSH_WORDS_KNOWN, false},
	{"Too many authentication failures", SSH_WORDS_KNOWN, false},
	{"Could not resolve hostname", SSH_WORDS_KNOWN, false},
	{"Connection refused", SSH_WORDS_KNOWN, false},
	{"Connection timed out", SSH_WORDS_KNOWN, false},
	{"Operation timed out", SSH_WORDS_KNOWN, false},
	{"No route to host", SSH_WORDS_KNOWN, false},
	{"Network is unreachable", SSH_WORDS_KNOWN, false},
	{"Connection reset by ", SSH_WORDS_KNOWN, false},
	{"Timeout, server ", SSH_WORDS_KNOWN, true},
	{"Bad owner or permissions", SSH_WORDS_KNOWN, true},
	{"Unable to negotiate with", SSH_WORDS_KNOWN, true},
	{"Not allowed at this time", SSH_WORDS_KNOWN, false},
	{"Received disconnect from", SSH_WORDS_KNOWN, true},
	{"channel 0: open failed: ", SSH_WORDS_KNOWN, true},
	{"ssh: ", SSH_WORDS_LAST, true},
	{"kex_exchange_identification: ", SSH_WORDS_LAST, true},
	{"ssh_exchange_identification: ", SSH_WORDS_LAST, true},
	{"banner exchange: ", SSH_WORDS_LAST, true},
	{"ssh_dispatch_run_fatal: ", SSH_WORDS_LAST, true},
	{"client_loop: ", SSH_WORDS_LAST, true},
	{"packet_write_wait: ", SSH_WORDS_LAST, true},
	{jump_failed, SSH_WORDS_LAST, true},
	{"Connection closed by ", SSH_WORDS_LAST, true},
	{"Connection to ", SSH_WORDS_LAST, true},
	{"Disconnected from ", SSH_WORDS_LAST, true},
};

static enum ssh_words_rank rank_of(const char *line)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const char *at = strstr(line, known[i].part);

		if (at && (at == line || !known[i].is_at_start))
			return known[i].rank;
	}
	return SSH_WORDS_LINE;
}

void ssh_words_init(struct ssh_words *w,
		    void (*on_line)(void *ctx, const char *line), void *ctx)
{
	*w = (struct ssh_words){
		.on_line = on_line, .ctx = ctx, .is_prompting = true};
}

static void show_held(struct ssh_words *w)
{
	for (size_t i = 0; i < w->n_held; i++)
		w->on_line(w->ctx, w->held[i]);
	w->n_held = 0;
}

static void take_line(struct ssh_words *w, const char *text, size_t len)
{
	char *line = w->held[w->n_held];

	if (len >= strlen(let_go) && memcmp(text, let_go, strlen(let_go)) == 0)
		return;
	(void)escape_text(text, len, line, SSH_WORDS_LINE_MAX);
	enum ssh_words_rank rank = rank_of(line);
	/* It was a jump host that opened no channel, not the gateway. */
	if (strncmp(line, jump_failed, strlen(jump_failed)) == 0 &&
	    w->cause_rank == SSH_WORDS_NO_EXEC)
		w->cause_rank = SSH_WORDS_KNOWN;
	/* A later line beats an earlier one that tells no more. */
	if (rank > SSH_WORDS_CHATTER && rank >= w->cause_rank) {
		memcpy(w->cause, line, SSH_WORDS_LINE_MAX);
		w->cause_rank = rank;
	}
	w->n_held++;
	if (w->n_held == SSH_WORDS_HELD_MAX ||
	    (w->n_held == 1 && w->is_prompting && rank < SSH_WORDS_LAST))
		show_held(w);
}

/* The partial line is complete, or as good as. */
static void end_line(struct ssh_words *w)
{
	const char *text = w->partial;
	size_t len = w->partial_len;

	w->partial_len = 0;
	while (len > 0 && (*text == '\r' || *text == ' ')) {
		text++;
		len--;
	}
	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	if (len > 0)
		take_line(w, text, len);
}

void ssh_words_feed(struct ssh_words *w, const void *bytes, size_t len)
{
	const char *p = bytes;

	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\n') {
			end_line(w);
			continue;
		}
		/* What is longer than a line is shown in pieces. */
		if (w->partial_len == sizeof(w->partial))
			end_line(w);
		w->partial[w->partial_len++] = p[i];
	}
}

void ssh_words_end_prompts(struct ssh_words *w)
{
	w->is_prompting = false;
}

bool ssh_words_has_held(const struct ssh_words *w)
{
	return w->n_held > 0 || w->partial_len > 0;
}

void ssh_words_show(struct ssh_words *w)
{
	if (w->partial_len > 0)
		end_line(w);
	show_held(w);
}

/* The place of the cause among the held lines, newest first; or -1. */
static int held_cause(const struct ssh_words *w)
{
	for (size_t i = w->n_held; i-- > 0;)
		if (strcmp(w->held[i], w->cause) == 0)
			return (int)i;
	return -1;
}

static void unhold_cause(struct ssh_words *w)
{
	int i = held_cause(w);

	if (i < 0)
		return;
	w->n_held--;
	memmove(w->held + i, w->held + i + 1,
		(w->n_held - (size_t)i) * sizeof(w->held[0]));
}

enum ssh_words_rank ssh_words_take_cause(struct ssh_words *w, char *out,
					 size_t cap)
{
	const char *text = w->cause;

	ssh_words_end_prompts(w);
	if (w->partial_len > 0)
		end_line(w);
	unhold_cause(w);
	if (strncmp(text, "ssh: ", 5) == 0)
		text += 5;
	size_t len = strlen(text);
	if (len > 0 && text[len - 1] == '.')
		len--;
	(void)snprintf(out, cap, "%.*s", (int)len, text);
	return w->cause_rank;
}

void ssh_words_forget(struct ssh_words *w)
{
	if (held_cause(w) >= 0)
		return;
	w->cause[0] = '\0';
	w->cause_rank = SSH_WORDS_NONE;
}
