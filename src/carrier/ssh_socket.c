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
 *   Needs no privilege: ssh runs as the starter does, and descends from it.
 *   Nobody else need look into ssh.
 */
#include "ssh_socket.h"

#include <errno.h>
#include <string.h>

#include "fd.h"
#include "proc.h"

enum { TREE_MAX = 64 };

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

/* ---- who looks into ssh ---- */

/* Returns 0, or -errno: -ENOENT: this process has none. */
static int take_from(pid_t pid, struct ssh_held *ret)
{
	uint64_t cookie;
	int number;
	CLEANUP_FD int fd = proc_dup_tcp(pid, &number);
	int r = fd < 0 ? fd : tcp_conn_cookie(fd, &cookie);

	if (r < 0)
		return r;
	*ret = (struct ssh_held){
		.pid = pid, .number = number, .cookie = cookie};
	return 0;
}

static int locate(pid_t pid, struct ssh_held *ret)
{
	pid_t tree[TREE_MAX];
	int n = 0;
	int r = take_from(pid, ret);

	/* Only then: it means to look at all processes there are. */
	if (r == -ENOENT)
		n = proc_tree(pid, tree, TREE_MAX);
	for (int i = 1; i < n && r < 0; i++) {
		int r_here = take_from(tree[i], ret);

		/* What has gone meanwhile tells nothing. */
		if (r_here != -ESRCH && r_here != -ENOENT)
			r = r_here;
	}
	return r;
}

int ssh_held_lend(struct ssh_held *held, pid_t pid, bool is_first)
{
	uint64_t cookie;

	if (is_first) {
		*held = (struct ssh_held){.pid = 0};
		int r = locate(pid, held);
		if (r < 0)
			return r;
	}
	if (held->pid == 0)
		return -ESRCH;
	CLEANUP_FD int fd = proc_dup_fd(held->pid, held->number);
	if (fd == -EBADF)
		return -ESRCH;
	if (fd < 0)
		return fd;
	return tcp_conn_cookie(fd, &cookie) == 0 && cookie == held->cookie
		       ? fd_take(&fd)
		       : -ESRCH;
}

/* ---- who is lent it ---- */

bool ssh_socket_find(const struct ssh_lender *lender, pid_t pid,
		     struct ssh_socket *ret)
{
	memset(ret, 0, sizeof(*ret));
	CLEANUP_FD int fd = lender->lend(lender->ctx, pid, true);
	int r = fd < 0 ? fd : tcp_conn_cookie(fd, &ret->cookie);
	if (r < 0) {
		explain(r, &ret->why_not);
		return false;
	}
	ret->lender = *lender;
	ret->pid = pid;
	return true;
}

/* Returns a descriptor for the caller, or -errno: -ESRCH: gone. */
static int borrow(const struct ssh_socket *s)
{
	uint64_t cookie;
	CLEANUP_FD int fd = s->lender.lend(s->lender.ctx, s->pid, false);

	if (fd < 0)
		return fd;
	return tcp_conn_cookie(fd, &cookie) == 0 && cookie == s->cookie
		       ? fd_take(&fd)
		       : -ESRCH;
}

int ssh_socket_dup(const struct ssh_socket *s)
{
	return s->pid == 0 ? -ESRCH : borrow(s);
}

void ssh_socket_tune(struct ssh_socket *s, mono_us_t now_us)
{
	if (s->pid == 0 || s->tune.state != TCP_TUNE_WATCHES)
		return;
	CLEANUP_FD int fd = borrow(s);
	/* What keeps us from it ssh_socket_read tells who asks. */
	if (fd >= 0)
		(void)tcp_tune_look(&s->tune, fd, now_us);
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
