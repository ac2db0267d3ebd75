/* SPDX-License-Identifier: MIT */
/* proc: other processes: who descends from whom, with what environment one was
 * started, and what TCP connection one holds. */
#ifndef ECSSH_PROC_H
#define ECSSH_PROC_H

#include <stddef.h>
#include <sys/types.h>

#include "err.h"

enum { PROC_NAME_MAX = 64 };

/* The parent of a process, or 0 if that is not known. */
pid_t proc_parent(pid_t pid);

/* The name that the kernel has for a process; "" if it is gone.  Anything may
 * be in it.  Returns out. */
const char *proc_name(pid_t pid, char out[PROC_NAME_MAX]);

/*
 * Look a variable up in the environment that a process was started with, whose
 * bytes go to buf.  Returns its value, within buf, or NULL if there is none or
 * we may not look.
 */
const char *proc_env(pid_t pid, const char *name, char *buf, size_t cap);

/*
 * Write pid and its descendants, at most max of them, each behind its parent.
 * Returns how many, or -errno of /proc itself.
 */
int proc_tree(pid_t pid, pid_t *ret_pids, size_t max);

/*
 * Duplicate the descriptor of a process.  Returns a close-on-exec descriptor
 * for the caller, or -errno: -EPERM: we may not look into it; -ESRCH: it is
 * gone; -EBADF: it has no such descriptor; -ENOSYS: a kernel before 5.6.
 */
int proc_dup_fd(pid_t pid, int number);

/*
 * Duplicate the connected TCP socket that is the lowest descriptor of its kind
 * of a process, and say which that is.  Returns as proc_dup_fd, or -ENOENT:
 * there is none.
 */
int proc_dup_tcp(pid_t pid, int *ret_number);

#endif
