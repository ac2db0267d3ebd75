/* SPDX-License-Identifier: MIT */
/* fd_msg: see fd_msg.h. */
#include "fd_msg.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

int fd_msg_send(int sock, const void *buf, size_t len, int along)
{
	union control control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (along >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(along));
		memcpy(CMSG_DATA(cmsg), &along, sizeof(along));
	}
	for (;;) {
		if (sendmsg(sock, &msg, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

ssize_t fd_msg_receive(int sock, void *buf, size_t cap, int *ret_along)
{
	union control control;
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	/* There is room for one descriptor: the kernel closes more of them, and
	 * says that it did. */
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = CMSG_LEN(sizeof(int))};
	ssize_t n;

	*ret_along = FD_MSG_NOTHING;
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int fd CLEANUP_FD = -1;
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET &&
	    cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	if (fd >= 0 && !(msg.msg_flags & MSG_CTRUNC))
		*ret_along = fd_take(&fd);
	else if (cmsg || (msg.msg_flags & MSG_CTRUNC))
		*ret_along = FD_MSG_OTHER;
	return n;
}

pid_t fd_msg_fork(int *ret_sock)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid_t pid = fork();
	int r = pid < 0 ? -errno : pid;
	int ours = pid == 0 ? 1 : 0;

	fd_close(&pair[1 - ours]);
	if (r < 0)
		fd_close(&pair[ours]);
	else
		*ret_sock = pair[ours];
	return r;
}

uint32_t fd_msg_maker(int sock)
{
	struct ucred maker;
	socklen_t len = sizeof(maker);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &maker, &len) == 0
		       ? maker.uid
		       : UINT32_MAX;
}
