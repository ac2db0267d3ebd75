/* SPDX-License-Identifier: MIT */
/* ssh_child: an ssh that the starter has started for us, and the three
 * descriptors that lead to it. */
#ifndef ECSSH_SSH_CHILD_H
#define ECSSH_SSH_CHILD_H

#include <sys/types.h>

#include "err.h"
#include "loop.h"
#include "ssh_start.h"
#include "starter.h"

/*
 * Pipes to stdin and from stdout, as large as the kernel lets us; stderr comes
 * through a terminal of ours if our own stderr is one, because ssh speaks of
 * touching a security key only to a terminal.
 *
 * ssh stays in our session and process group, so that it can prompt on the
 * terminal.  It ignores SIGINT from the start: Ctrl-C reaches the whole group,
 * and it is for us to say goodbye to the helper first and to end ssh then.  At
 * a prompt ssh catches SIGINT nevertheless, and SIGTERM from us restores the
 * terminal.
 */
struct ssh_child {
	struct starter *starter;	    /* borrowed */
	pid_t pid;			    /* 0 once it has ended */
	int stdin_fd, stdout_fd, stderr_fd; /* owned, ours, non-blocking */
	/* Called once, with the status of waitpid(2).  Not called if it is the
	 * starter that has ended, which says so itself. */
	void (*on_exit)(void *ctx, int wait_status);
	void *ctx;	    /* borrowed */
	struct loop *loop;  /* borrowed; NULL while not watched */
	struct loop_io end; /* private; its descriptor is owned */
};

/* Nothing, for ssh_child_close. */
#define SSH_CHILD_NONE                                            \
	{                                                         \
		.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, \
		.end = {.fd = -1 }                                \
	}

/* Start one.  Returns 0 or -errno with err. */
int ssh_child_open(struct ssh_child *c, struct starter *starter,
		   const struct ssh_start *start, struct err *err);

/* Have on_exit called from the loop.  Returns 0 or -errno. */
int ssh_child_watch(struct loop *loop, struct ssh_child *c);

/* Ask it to end, if it has not. */
void ssh_child_terminate(struct ssh_child *c);

/*
 * Close what is still open; if ssh is still there send SIGTERM, wait for half
 * a second, then send SIGKILL.  on_exit is not called.
 */
void ssh_child_close(struct ssh_child *c);

#endif
