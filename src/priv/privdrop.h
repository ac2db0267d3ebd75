/* SPDX-License-Identifier: MIT */
/* privdrop: giving up every privilege but one. */
#ifndef ECSSH_PRIVDROP_H
#define ECSSH_PRIVDROP_H

#include "err.h"

enum privdrop_scope {
	PRIVDROP_ALONE,	   /* programs that we run get nothing */
	PRIVDROP_CHILDREN, /* they get CAP_NET_ADMIN too */
};

/*
 * Keep CAP_NET_ADMIN and lose all else for good: other capabilities of every
 * set, the way to get them back by execve(2), and, when we are root, root's
 * user and groups.  Where nobody's id does not exist (a user namespace of one
 * user) or may not be taken on, the ids stay as they are.  Also: no core
 * dumps, no ptrace by others of the same user, working directory "/"; and the
 * system calls of sandbox_broker are given up, where the kernel has seccomp.
 *
 * Returns 0, or -errno with err; -EPERM: we do not have CAP_NET_ADMIN.
 */
int privdrop_keep_net_admin(enum privdrop_scope scope, struct err *err);

/*
 * Lose the capabilities that our own file gave us, for the part of a program
 * that speaks to strangers; a program that we execute gets them anew.  Root
 * stays root.
 */
void privdrop_file_capabilities(void);

/* Lose all there are.  Root keeps what files give to its id. */
void privdrop_capabilities(void);

#endif
