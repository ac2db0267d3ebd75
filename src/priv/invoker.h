/* SPDX-License-Identifier: MIT */
/* invoker: the person behind sudo or pkexec, and becoming that person again. */
#ifndef ECSSH_INVOKER_H
#define ECSSH_INVOKER_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

struct invoker {
	uid_t uid;
	gid_t gid;
	char name[64];
	char home[256];
	char shell[256];
	/* True if that is somebody else than who we run as: root by sudo or
	 * pkexec.  False: nothing to become. */
	bool is_behind;
};

/*
 * Find out who started us: by SUDO_UID or PKEXEC_UID if we are root, else it is
 * just us.  Returns 0, or -errno with err: -EINVAL: SUDO_UID is not a number;
 * -ENOENT: no such user.
 */
int invoker_find(struct invoker *ret_invoker, struct err *err);

/*
 * Become that person for good: groups, user, HOME, USER, LOGNAME, SHELL,
 * XDG_RUNTIME_DIR, and the ssh-agent that sudo made us forget (SSH_AUTH_SOCK of
 * a process above us).  Does nothing unless is_behind.  The process must
 * have one thread.  Returns 0, or -errno with err; privileges may be partly
 * gone then: exit.
 */
int invoker_become(const struct invoker *invoker, struct err *err);

#endif
