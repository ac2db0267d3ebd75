/* SPDX-License-Identifier: MIT */
/* fd_msg: messages of a socket of the family UNIX, with or without
 * descriptors. */
#ifndef ECSSH_FD_MSG_H
#define ECSSH_FD_MSG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FD_MSG_MAX = 4 }; /* descriptors of one message */

/* What came along with a message, if not a descriptor. */
enum fd_msg_along {
	FD_MSG_NOTHING = -1,
	FD_MSG_OTHER = -2, /* more descriptors, or something else */
};

/* Send a message, with a descriptor unless along is negative.  Returns 0 or
 * -errno; no SIGPIPE. */
int fd_msg_send(int sock, const void *buf, size_t len, int along);

/*
 * Receive one.  *ret_along: a descriptor for the caller to close, or an enum
 * fd_msg_along; more than one were closed.  Returns its length, also if that is
 * more than cap and the rest was lost; 0 at the end; or -errno.
 */
ssize_t fd_msg_receive(int sock, void *buf, size_t cap, int *ret_along);

/* The same with n descriptors, 0 to FD_MSG_MAX, or up to that many: *ret_n says
 * how many for the caller to close, or FD_MSG_OTHER: none.  flags: of
 * recvmsg(2), which says that it would block by -EAGAIN. */
int fd_msg_send_all(int sock, const void *buf, size_t len, const int *fds,
		    size_t n);
ssize_t fd_msg_receive_all(int sock, void *buf, size_t cap, int flags,
			   int fds[FD_MSG_MAX], int *ret_n);

/*
 * Fork, with a socket of messages between the two processes: *ret_sock is each
 * one's end, for it to close.  Returns 0 in the child, else its pid or -errno.
 */
pid_t fd_msg_fork(int *ret_sock);

/* The user who made the other end of a socket pair, whoever has it now;
 * UINT32_MAX if that cannot be told. */
uint32_t fd_msg_maker(int sock);

#endif
