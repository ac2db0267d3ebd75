/* SPDX-License-Identifier: MIT */
/* sig: signals as events of the loop. */
#ifndef ECSSH_SIG_H
#define ECSSH_SIG_H

#include "loop.h"

struct sig {
	struct loop *loop; /* borrowed */
	struct loop_io io; /* private; the signalfd is owned */
	void (*on_signal)(void *ctx, int signo);
	void *ctx; /* borrowed */
};

/*
 * Block SIGINT, SIGTERM, SIGHUP and SIGQUIT for this process, ignore SIGPIPE,
 * and have on_signal (set by the caller, with ctx) called for the first four.
 * Returns 0 or -errno.
 */
int sig_open(struct loop *loop, struct sig *s);

/* Stop watching; the signals stay blocked.  A zeroed sig is accepted. */
void sig_close(struct sig *s);

#endif
