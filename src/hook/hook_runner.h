/* SPDX-License-Identifier: MIT */
/* hook_runner: the process that runs the user's script. */
#ifndef ECSSH_HOOK_RUNNER_H
#define ECSSH_HOOK_RUNNER_H

#include "hook_env.h"

/*
 * Between an engine and the fork of it that is its runner there is one
 * AF_UNIX SOCK_SEQPACKET socket, and each message is one of these structs.  The
 * runner does not believe the engine: it runs nothing but the script it was
 * told of before it was forked, and what it is told later has no room for text.
 */
enum hook_word {
	HOOK_WORD_RUN = 1, /* for this reason, after what runs now; what was to
			      be next is not run */
	HOOK_WORD_HURRY,   /* end what runs now */
	HOOK_WORD_LEAVE,   /* nobody reads what is printed any more */
};

struct hook_order {
	uint32_t word;	 /* enum hook_word */
	uint32_t reason; /* RUN: enum hook_reason */
	struct hook_facts facts;
};

enum hook_end {
	HOOK_END_EXIT = 1,    /* value: exit status */
	HOOK_END_SIGNAL,      /* value: the signal, not from us */
	HOOK_END_TIMEOUT,     /* we ended it; value: seconds it had */
	HOOK_END_HURRY,	      /* we ended it when asked to */
	HOOK_END_NOT_STARTED, /* value: errno */
};

/* One for each RUN that another did not replace, in order. */
struct hook_report {
	uint32_t reason;
	uint32_t end; /* enum hook_end */
	int32_t value;
};

enum {
	HOOK_TIME_S = 20, /* that a script may take */
	HOOK_GRACE_S = 2, /* from SIGTERM to SIGKILL */
};

/*
 * Be the runner until the engine's end of the socket closes and nothing runs.
 * If that is not announced by a RUN for HOOK_DISCONNECT, although there was one
 * for HOOK_CONNECT, the engine was killed, and the script is run for
 * HOOK_DISCONNECT nevertheless.  All descriptors but 0 to 2 and sock_fd are
 * closed.  engine: its pid.  Never returns.
 */
void hook_runner(int sock_fd, const struct hook_plan *plan, pid_t engine)
	__attribute__((noreturn));

#endif
