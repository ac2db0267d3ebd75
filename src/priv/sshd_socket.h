/* SPDX-License-Identifier: MIT */
/* sshd_socket: the TCP socket of the sshd that we descend from. */
#ifndef ECSSH_SSHD_SOCKET_H
#define ECSSH_SSHD_SOCKET_H

#include "err.h"

/*
 * Duplicate it.  Returns a descriptor for the caller, or -errno with err:
 * -ENOENT: no sshd is above us, or it has none; -EPERM: it takes
 * CAP_SYS_PTRACE, which only root has.  Close it soon: the connection stays
 * open as long as anybody has a copy.
 */
int sshd_socket_dup(struct err *err);

#endif
