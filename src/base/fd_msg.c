/* SPDX-License-Identifier: MIT */
/* fd_msg: see fd_msg.h. */
#include "fd_msg.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "fd.h"

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(FD_MSG_MAX * sizeof(int))];
};

int fd_msg_send_all(int sock, const void *buf, size_t len, const int *fds,
		    size_t n)
{
	union control control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	assert_always(n <= FD_MSG_MAX);
	if (n > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	}
	for (;;) {
		if (sendmsg(sock, &msg, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int fd_msg_send(int sock, const void *buf, size_t len, int along)
{
	return fd_msg_send_all(sock, buf, len, &along, along >= 0 ? 1 : 0);
}

/* At most max. */
static ssize_t receive(int sock, void *buf, size_t cap, int flags, int *fds,
		       size_t max, int *ret_n)
{
	union control control;
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	/* Of more than there is room for, the kernel closes what is beyond, and
	 * says that it did. */
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = CMSG_LEN(max * sizeof(int))};
	size_t n_fds = 0;
	ssize_t n;

	*ret_n = 0;
	do {
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET &&
	    cmsg->cmsg_type == SCM_RIGHTS) {
		n_fds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(cmsg), n_fds * sizeof(int));
	}
	*ret_n = (int)n_fds;
	if ((cmsg && n_fds == 0) || (msg.msg_flags & MSG_CTRUNC)) {
		while (n_fds > 0)
			fd_close(&fds[--n_fds]);
		*ret_n = FD_MSG_OTHER;
	}
	return n;
}

ssize_t fd_msg_receive_all(int sock, void *buf, size_t cap, int flags,
			   int fds[FD_MSG_MAX], int *ret_n)
{
	return receive(sock, buf, cap, flags, fds, FD_MSG_MAX, ret_n);
}

ssize_t fd_msg_receive(int sock, void *buf, size_t cap, int *ret_along)
{
	int fd = FD_MSG_NOTHING, n_fds;
	ssize_t n = receive(sock, buf, cap, 0, &fd, 1, &n_fds);

	*ret_along = n_fds == FD_MSG_OTHER ? FD_MSG_OTHER : fd;
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
