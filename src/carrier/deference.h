/* SPDX-License-Identifier: MIT */
/*
 * deference: while the pipe to ssh is full, ssh is not pushed off its
 * processor.
 *
 * A full pipe becomes writable when ssh has read 32 KiB of it.  A process that
 * wakes for that pushes ssh aside, as all that have waited long do, fills in
 * 32 KiB, and waits again.  If it waits for its turn instead (SCHED_BATCH), ssh
 * reads several portions, and they are written at once.  When the pipe has not
 * been full for a while, what wakes us is a packet that somebody waits for, and
 * we run at once again.
 *
 * Theory: doc/GOVERNOR.md
 */
#ifndef ECSSH_DEFERENCE_H
#define ECSSH_DEFERENCE_H

#include "loop.h"

enum { DEFERENCE_US = 100000 };

/* The policy is this thread's: one of these should be in use at a time. */
struct deference {
	struct loop *loop; /* borrowed */
	mono_us_t full_us; /* when the pipe was found full last */
	struct timer look; /* armed while we wait our turn: is it full still? */
};

/* In place until deference_end. */
void deference_init(struct deference *d, struct loop *loop);

/* The pipe did not take all.  Nothing happens if this thread has a policy that
 * somebody chose for it, or if the kernel refuses. */
void deference_note_full(struct deference *d);

void deference_end(struct deference *d);

#endif
