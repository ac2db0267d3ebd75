/* SPDX-License-Identifier: MIT */
/* ssh_child: an ssh that the starter has started for us, and the three
 * descriptors that lead to it. */
#include "ssh_child.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"

enum {
	GRACE_MS = 500,
	KILL_MS = 1000, /* only a process in a system call that cannot be
			   interrupted takes longer than this */
};

int ssh_child_open(struct ssh_child *c, struct starter *starter,
		   const struct ssh_start *start, struct err *err)
{
	struct starter_ssh ssh;
	int r = starter_start(starter, start, &ssh, err);

	if (r < 0)
		return r;
	c->starter = starter;
	c->pid = ssh.pid;
	c->stdin_fd = ssh.stdin_fd;
	c->stdout_fd = ssh.stdout_fd;
	c->stderr_fd = ssh.stderr_fd;
	c->end.fd = ssh.end_fd;
	return 0;
}

static void unwatch(struct ssh_child *c)
{
	if (c->loop)
		loop_io_del(c->loop, &c->end);
	c->loop = NULL;
}

static void on_end(void *ctx, uint32_t events)
{
	struct ssh_child *c = ctx;
	int wait_status = 0;
	ssize_t n = read(c->end.fd, &wait_status, sizeof(wait_status));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	unwatch(c);
	fd_close(&c->end.fd);
	c->pid = 0;
	if (n == sizeof(wait_status))
		c->on_exit(c->ctx, wait_status);
}

int ssh_child_watch(struct loop *loop, struct ssh_child *c)
{
	c->end.on_event = on_end;
	c->end.ctx = c;
	int r = loop_io_add(loop, &c->end, EPOLLIN);
	if (r == 0)
		c->loop = loop;
	return r;
}

void ssh_child_terminate(struct ssh_child *c)
{
	if (c->pid > 0)
		starter_end(c->starter, c->pid, false);
}

/* Returns true if it ends, or the starter, which takes it along. */
static bool ends_within(const struct ssh_child *c, uint32_t at_most_ms)
{
	mono_us_t end_us = clock_mono_us() + at_most_ms * US_PER_MS;

	for (;;) {
		struct pollfd pfd = {.fd = c->end.fd, .events = POLLIN};
		mono_us_t now_us = clock_mono_us();

		if (now_us >= end_us)
			return false;
		if (poll(&pfd, 1, (int)((end_us - now_us) / US_PER_MS) + 1) > 0)
			return true;
	}
}

void ssh_child_close(struct ssh_child *c)
{
	fd_close(&c->stdin_fd);
	fd_close(&c->stdout_fd);
	unwatch(c);
	ssh_child_terminate(c);
	if (c->pid > 0 && !ends_within(c, GRACE_MS)) {
		starter_end(c->starter, c->pid, true);
		(void)ends_within(c, KILL_MS);
	}
	c->pid = 0;
	fd_close(&c->end.fd);
	fd_close(&c->stderr_fd);
}
