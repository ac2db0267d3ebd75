/* SPDX-License-Identifier: MIT */
/*
 * boot: what the far side says until the helper runs.
 *
 * Pure: bytes in, events out, constant memory.  Spec: doc/PROTOCOL.boot.
 */
#ifndef ECSSH_BOOT_H
#define ECSSH_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BOOT_MARKER_LEN = 32, /* lower-case hex digits, without the NUL */
	BOOT_LINE_MAX = 512,  /* longest line that can be one of ours */
	BOOT_WORD_MAX = 64,   /* longest word of it, with its NUL */
	BOOT_TEXT_MAX = 256,  /* what is kept of a sentence, with its NUL */
	BOOT_NOISE_MAX_BYTES = 16 << 20,
};

/* Where the helper that runs came from. */
enum boot_origin {
	BOOT_UPLOADED,	/* just now */
	BOOT_KEPT,	/* by an earlier connection */
	BOOT_INSTALLED, /* by the server's administrator */
	BOOT_ORIGIN__N
};

/* "uploaded", "already there", "installed". */
const char *boot_origin_name(enum boot_origin origin);

/* Why the far side gave up. */
enum boot_fail {
	BOOT_FAIL_NODIR,     /* no directory of our own can be made */
	BOOT_FAIL_NOEXEC,    /* nothing may be executed where we can write */
	BOOT_FAIL_NOSPACE,   /* not room enough for the helper */
	BOOT_FAIL_NOTOOL,    /* a standard program is missing */
	BOOT_FAIL_CORRUPT,   /* what arrived is not what was sent */
	BOOT_FAIL_CANNOTRUN, /* the helper does not start there */
	BOOT_FAIL_OTHER,     /* a code that this version does not know */
	BOOT_FAIL__N
};

enum boot_event {
	BOOT_NOTHING,	  /* all bytes taken */
	BOOT_NEED,	  /* send the helper: os, machine are set */
	BOOT_RUN,	  /* about to run the helper: origin is set */
	BOOT_READY,	  /* the helper runs: version is set; what follows is
			     the session's */
	BOOT_FAILED,	  /* fail, text are set */
	BOOT_NOISE_LIMIT, /* too much that is not ours */
	BOOT_BAD	  /* the marker, but not the protocol */
};

/* The last three and BOOT_READY end the dialogue: no more bytes are taken. */
struct boot {
	char marker[BOOT_MARKER_LEN + 1];
	bool has_need, has_run, has_failed, is_done;
	char os[BOOT_WORD_MAX], machine[BOOT_WORD_MAX]; /* from uname */
	enum boot_origin origin; /* BOOT_INSTALLED unless told otherwise */
	char version[BOOT_WORD_MAX];
	enum boot_fail fail;
	char text[BOOT_TEXT_MAX]; /* escaped */
	uint64_t n_noise_bytes;
	char noise[BOOT_TEXT_MAX]; /* the last line of it that was not empty,
				      escaped */
	char line[BOOT_LINE_MAX];  /* the line being read; private */
	size_t line_len;	   /* may exceed BOOT_LINE_MAX: cut off */
};

/* marker has BOOT_MARKER_LEN lower-case hex digits. */
void boot_init(struct boot *b, const char *marker);

/*
 * Take bytes up to the first event, or all of them.  Returns the number taken;
 * after BOOT_NEED and BOOT_RUN call again with the rest.
 */
size_t boot_feed(struct boot *b, const uint8_t *bytes, size_t len,
		 enum boot_event *ret_event);

/* The stream has ended: what has no newline yet becomes noise. */
void boot_feed_end(struct boot *b);

#endif
