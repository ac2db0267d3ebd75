/* SPDX-License-Identifier: MIT */
/* child: a process of ours, started and watched. */
#ifndef ECSSH_CHILD_H
#define ECSSH_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop.h"

/* How to start a process. */
struct child_spec {
	const char *const *argv; /* argv[0] is looked up in PATH */
	int fds[3];		 /* become 0, 1, 2; borrowed, blocking */
	/* Signals the process ignores from the start; all others have their
	 * default action and none is blocked. */
	const int *ignored_signals;
	int n_ignored_signals;
	/* NULL: ours.  Else argv[0] is a path, and nothing but it is run: no
	 * PATH, and no shell for a file that does not say what runs it. */
	char *const *env;
	bool leads_group; /* a process group of its own, not ours */
};

/*
 * Start a process that gets SIGTERM when the calling thread ends.  It stays in
 * our session and, as a rule, process group and has no other descriptor of
 * ours, as long as all of them are close-on-exec.  Blocks until the program
 * runs.  Returns 0, or -errno, also of execvp(3) or execve(2).
 */
int child_spawn(const struct child_spec *spec, pid_t *ret_pid);

/* Zeroed, with pid 0: no process. */
struct child {
	pid_t pid; /* 0 once reaped */
	/* Called once, with the status of waitpid(2); the child is reaped and
	 * unwatched by then. */
	void (*on_exit)(void *ctx, int wait_status);
	void *ctx;	   /* borrowed */
	struct loop *loop; /* borrowed; NULL while not watched */
	struct loop_io io; /* private; the pidfd is owned */
};

/* Have on_exit called from the loop.  pid, on_exit and ctx are set by the
 * caller.  Returns 0 or -errno. */
int child_watch(struct loop *loop, struct child *c);

/* Send a signal, if the process is still there. */
void child_signal(const struct child *c, int sig);

/* Unwatch, wait up to at_most_ms for the end of the process, and reap it.
 * on_exit is not called.  One that stays is left to itself. */
void child_await(struct child *c, uint32_t at_most_ms);

/*
 * Unwatch; if the process is still there send SIGTERM, wait up to grace_ms for
 * its end, then send SIGKILL; reap it.  on_exit is not called.
 */
void child_end(struct child *c, uint32_t grace_ms);

#endif
