/* SPDX-License-Identifier: MIT */
/* background: a process that leaves the terminal once it is ready. */
#ifndef ECSSH_BACKGROUND_H
#define ECSSH_BACKGROUND_H

/*
 * Fork.  In the child returns -1, with a descriptor in *ret_ready_fd to which
 * it writes one byte, its exit code, when it is ready or has failed.  In the
 * parent returns the exit code: what the child wrote or, if it failed, ended
 * with.  Until then the parent passes on what the child, and whatever the child
 * starts, prints on stderr; none of them holds our own stderr, so whoever waits
 * for its end is not kept waiting.
 */
int background_fork(int *ret_ready_fd);

#endif
