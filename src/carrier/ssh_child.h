/* SPDX-License-Identifier: MIT */
/* ssh_child: the process of ssh and the three descriptors that lead to it. */
#ifndef ECSSH_SSH_CHILD_H
#define ECSSH_SSH_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "child.h"
#include "err.h"

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
	struct child child;
	int stdin_fd, stdout_fd, stderr_fd; /* owned, ours, non-blocking */
};

/*
 * Start argv (argv[0] is looked up in PATH).  The caller sets child.on_exit and
 * watches the child.  Returns 0 or -errno with err.
 */
int ssh_child_open(struct ssh_child *c, const char *const *argv,
		   bool is_background, struct err *err);

/* Close what is still open and end the process as child_end does. */
void ssh_child_close(struct ssh_child *c);

#endif
