/* SPDX-License-Identifier: MIT */
/* outside: see outside.h; here, its start and what the helper says to it. */
#include "outside.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "fd.h"
#include "fd_msg.h"

enum { PATIENCE_S = 5 };

/* In the fork: the session's descriptors are not ours. */
static void be_outside(int sock, bool may_make_device)
{
	if (dup2(sock, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
	    close_range(3, ~0U, 0) < 0)
		_exit(1);
	(void)prctl(PR_SET_NAME, "ecssh-outside", 0, 0, 0);
	outside_run(STDIN_FILENO, may_make_device);
	_exit(0);
}

int outside_start(struct outside *o, bool may_make_device)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int r = 0;

	o->sock = -1;
	pid_t pid = fd_msg_fork(&o->sock);
	if (pid < 0)
		return pid;
	if (pid == 0)
		be_outside(o->sock, may_make_device);
	if (setsockopt(o->sock, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) < 0)
		r = -errno;
	if (r < 0)
		fd_close(&o->sock);
	return r;
}

void outside_fini(struct outside *o)
{
	fd_close(&o->sock);
}

/* Returns a descriptor, or 0 if none came, or -errno. */
static int receive(int sock, struct outside_reply *ret)
{
	int fd;
	ssize_t n = fd_msg_receive(sock, ret, sizeof(*ret), &fd);

	if (n != sizeof(*ret)) {
		fd_close(&fd);
		return n < 0 ? (int)n : -EPIPE;
	}
	if (ret->result < 0) {
		fd_close(&fd);
		return ret->result;
	}
	return fd < 0 ? 0 : fd;
}

int outside_ask(struct outside *o, enum outside_request_type type,
		const struct frame_network *network,
		struct bond_offer *ret_offer)
{
	struct outside_request request = {.type = type};
	struct outside_reply reply = {.result = -EPIPE};

	if (network)
		request.network = *network;
	int fd = send(o->sock, &request, sizeof(request), MSG_NOSIGNAL) < 0
			 ? -errno
			 : receive(o->sock, &reply);
	/* An answer that comes late would be taken for the next one's. */
	if (fd < 0 && reply.result != fd)
		fd_close(&o->sock);
	if (fd >= 0 && ret_offer)
		*ret_offer = reply.offer;
	return fd;
}

FILE *outside_open_file(void *ctx, const char *path)
{
	bool is_hosts = strcmp(path, "/etc/hosts") == 0;
	CLEANUP_FD int fd = outside_ask(
		ctx, is_hosts ? OUTSIDE_OPEN_HOSTS : OUTSIDE_OPEN_RESOLV_CONF,
		NULL, NULL);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	if (f)
		(void)fd_take(&fd);
	return f;
}
