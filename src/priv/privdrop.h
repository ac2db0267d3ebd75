/* SPDX-License-Identifier: MIT */
/* privdrop: giving up every privilege but one. */
#ifndef ECSSH_PRIVDROP_H
#define ECSSH_PRIVDROP_H

#include "err.h"

enum { PRIVDROP_NOBODY = 65534 }; /* user and group */

/*
 * Keep CAP_NET_ADMIN, also for programs that we run (nft), and lose all else
 * for good: other capabilities of every
 * set, the way to get them back by execve(2), and, when we are root, root's
 * user and groups.  Where nobody's id does not exist (a user namespace of one
 * user) or may not be taken on, the ids stay as they are.  Also: no core
 * dumps, no ptrace by others of the same user, working directory "/"; and the
 * system calls of sandbox_broker are given up, where the kernel has seccomp.
 *
 * Returns 0, or -errno with err; -EPERM: we do not have CAP_NET_ADMIN.
 */
int privdrop_keep_net_admin(struct err *err);

#endif
