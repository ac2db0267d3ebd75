/* SPDX-License-Identifier: MIT */
/* fd: file descriptors that close themselves. */
#ifndef ECSSH_FD_H
#define ECSSH_FD_H

#include <stddef.h>
#include <sys/types.h>

/* Close *fd unless it is negative, and set it to -1. */
void fd_close(int *fd);

/* For a local variable: closed when the scope is left, unless taken. */
#define CLEANUP_FD __attribute__((cleanup(fd_close)))

/* Hand out the descriptor and leave -1 behind. */
int fd_take(int *fd);

/* Set O_NONBLOCK.  Returns 0 or -errno. */
int fd_set_nonblock(int fd);

/* Set or clear FD_CLOEXEC, for a descriptor that a child is to inherit.
 * Returns 0 or -errno. */
int fd_set_cloexec(int fd, int on);

/* Open /dev/null as 0, 1 and 2 where the parent left us without them, so that
 * no other descriptor of ours takes their place.  Returns 0 or -errno. */
int fd_open_stdio(void);

/* Have as many descriptors as this process may.  For one that waits with epoll:
 * select(2) knows the first 1,024 only. */
void fd_raise_limit(void);

/* Write all len bytes to a blocking descriptor.  Returns 0 or -errno. */
int fd_write_all(int fd, const void *buf, size_t len);

#endif
