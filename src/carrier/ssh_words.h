/* SPDX-License-Identifier: MIT */
/*
 * ssh_words: what ssh and the helper write to stderr, for people to read.
 *
 * Pure: bytes in, lines out, constant memory.
 */
#ifndef ECSSH_SSH_WORDS_H
#define ECSSH_SSH_WORDS_H

#include <stdbool.h>
#include <stddef.h>

enum {
	SSH_WORDS_LINE_MAX = 400, /* of an escaped line, with its NUL */
	SSH_WORDS_HELD_MAX = 8,
};

/* What a line says about the reason of a failure, least telling first. */
enum ssh_words_rank {
	SSH_WORDS_NONE,	   /* there was no line */
	SSH_WORDS_CHATTER, /* what ssh -v tells */
	SSH_WORDS_LINE,	   /* may be the reason */
	SSH_WORDS_LAST,	   /* what ssh says when it gives up */
	SSH_WORDS_KNOWN,   /* the same, and it tells why */
	SSH_WORDS_NO_EXEC  /* the server refuses to run a command */
};

/*
 * Lines that may be the reason of a failure are held for a moment before they
 * are shown: if ssh does end, its words are told in the failure's own sentence,
 * and not twice.  While ssh may prompt, only what looks like its last words is
 * held, and what follows that: a notice has to precede the prompt that it
 * belongs to.
 */
struct ssh_words {
	void (*on_line)(void *ctx, const char *line); /* show it */
	void *ctx;				      /* borrowed */
	/* raw, no newline as yet */
	char partial[SSH_WORDS_LINE_MAX - 1];
	size_t partial_len;
	char held[SSH_WORDS_HELD_MAX][SSH_WORDS_LINE_MAX]; /* escaped, oldest
							      first */
	size_t n_held;
	bool is_prompting;		/* true until ssh_words_end_prompts */
	char cause[SSH_WORDS_LINE_MAX]; /* the most telling so far */
	enum ssh_words_rank cause_rank;
};

void ssh_words_init(struct ssh_words *w,
		    void (*on_line)(void *ctx, const char *line), void *ctx);

/* Take bytes of stderr.  Escapes them, drops empty lines. */
void ssh_words_feed(struct ssh_words *w, const void *bytes, size_t len);

/* The login is over: no prompt will come. */
void ssh_words_end_prompts(struct ssh_words *w);

/* True if ssh_words_show has something to show. */
bool ssh_words_has_held(const struct ssh_words *w);

/* Show what is held, also a line that has no newline yet. */
void ssh_words_show(struct ssh_words *w);

/*
 * Write the most telling line of all so far into out, without the "ssh: " in
 * front or the full stop behind; "" if there was none.  It is not shown any
 * more if it has not been.
 */
enum ssh_words_rank ssh_words_take_cause(struct ssh_words *w, char *out,
					 size_t cap);

/* What has been shown up to now is not the reason of anything that comes. */
void ssh_words_forget(struct ssh_words *w);

#endif
