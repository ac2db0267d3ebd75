/* SPDX-License-Identifier: MIT */
/* ssh_spawn: starts ssh, with three descriptors that lead to it. */
#ifndef ECSSH_SSH_SPAWN_H
#define ECSSH_SSH_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

/* Ours, for the caller, non-blocking. */
struct ssh_spawn {
	pid_t pid;
	int stdin_fd, stdout_fd, stderr_fd;
};

/*
 * Start argv (argv[0] is looked up in PATH).  For the descriptors and the
 * signals that it ignores see ssh_child.h.  Returns 0 or -errno with err.
 */
int ssh_spawn(const char *const *argv, bool is_background,
	      struct ssh_spawn *ret, struct err *err);

#endif
