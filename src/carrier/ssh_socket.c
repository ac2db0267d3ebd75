/* SPDX-License-Identifier: MIT */
/*
 * ssh_socket: see ssh_socket.h.
 *
 * Theory of operation
 *   ssh may hold the connection itself, or its child does (see ssh_peers.c).
 *   So ssh and its descendants are asked in turn, parents first, for a
 *   connected TCP socket.  An ssh that forwards connections has several.  The
 *   one to the server is the oldest and never moves, and a new descriptor is
 *   always the lowest that is free: so it is the lowest of them.  What it was
 *   at the login is kept (process, descriptor, the kernel's cookie), so that no
 *   later one is ever taken for it.
 *
 *   Needs no privilege: ssh runs as we do and descends from us.
 */
#include "ssh_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"
#include "proc.h"

enum { TREE_MAX = 64 };

static int read_cookie(int fd, uint64_t *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret, &len) < 0 ? -errno
								    : 0;
}

static void explain(int r, struct err *err)
{
	switch (r) {
	case -ENOENT:
		(void)err_set(err, r,
			      "neither ssh nor a descendant of it holds a TCP "
			      "connection");
		return;
	case -ENOSYS:
		(void)err_set(err, r,
			      "this kernel lends no descriptors of other "
			      "processes (Linux 5.6 does)");
		return;
	case -EPERM:
		(void)err_set(err, r,
			      "this system does not let us look into ssh "
			      "(kernel.yama.ptrace_scope, or a container)");
		return;
	default:
		(void)err_set(err, r, "cannot look into ssh: %s", strerror(-r));
		return;
	}
}

bool ssh_socket_find(pid_t pid, struct ssh_socket *ret)
{
	struct ssh_socket s = {0};
	pid_t tree[TREE_MAX];
	int n = proc_tree(pid, tree, TREE_MAX);
	int r = n < 0 ? n : -ENOENT;

	for (int i = 0; i < n; i++) {
		CLEANUP_FD int fd = proc_dup_tcp(tree[i], &s.number);

		if (fd >= 0 && read_cookie(fd, &s.cookie) == 0) {
			s.pid = tree[i];
			break;
		}
		/* Of ssh itself it counts more what is wrong. */
		if (r == -ENOENT && fd != -ESRCH)
			r = fd;
	}
	if (s.pid == 0)
		explain(r, &s.why_not);
	*ret = s;
	return s.pid != 0;
}

/* Returns a descriptor for the caller, or -errno: -ESRCH: gone. */
static int borrow(const struct ssh_socket *s)
{
	uint64_t cookie;
	CLEANUP_FD int fd = proc_dup_fd(s->pid, s->number);

	if (fd == -EBADF)
		return -ESRCH;
	if (fd < 0)
		return fd;
	return read_cookie(fd, &cookie) == 0 && cookie == s->cookie
		       ? fd_take(&fd)
		       : -ESRCH;
}

void ssh_socket_tune(struct ssh_socket *s)
{
	char name[TCP_CONN_NAME_MAX];
	CLEANUP_FD int fd = s->pid ? borrow(s) : -ESRCH;

	s->is_tuned = true;
	s->tune_why.text[0] = '\0';
	if (fd < 0)
		explain(fd, &s->tune_why);
	else
		(void)tcp_conn_use_bbr(fd, name, &s->tune_why);
}

int ssh_socket_read(const struct ssh_socket *s, struct tcp_conn *ret,
		    struct err *err)
{
	if (s->pid == 0)
		return err_set(err, -ENOENT, "%s", s->why_not.text);
	CLEANUP_FD int fd = borrow(s);
	int r = fd < 0 ? fd : tcp_conn_read(fd, ret);
	if (r == -ESRCH || r == -ENOTCONN)
		return err_set(err, r, "the connection is over");
	if (r < 0)
		explain(r, err);
	return r;
}
