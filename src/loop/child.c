/* SPDX-License-Identifier: MIT */
/*
 * child: a process of ours, started and watched.
 *
 * Theory of operation
 *   The child is ours and not reaped until we do it, so its pid cannot be
 *   taken over by somebody else, and the pidfd is needed only to wait for its
 *   end together with everything else.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"

/* Between fork and exec: async-signal-safe calls only. */

static void reset_signals(const struct child_spec *spec)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &sa, NULL); /* some cannot be set */
	sa.sa_handler = SIG_IGN;
	for (int i = 0; i < spec->n_ignored_signals; i++)
		(void)sigaction(spec->ignored_signals[i], &sa, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int place_fds(const int fds[3])
{
	int high[3];

	/* First out of the way: any of them may be one of 0, 1, 2. */
	for (int i = 0; i < 3; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (high[i] < 0)
			return -errno;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(high[i], i) < 0)
			return -errno;
	return 0;
}

static int become(const struct child_spec *spec, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return -errno;
	if (getppid() != parent)
		return -ESRCH; /* too late for the death signal */
	int r = place_fds(spec->fds);
	if (r < 0)
		return r;
	if (spec->leads_group && setpgid(0, 0) < 0)
		return -errno;
	reset_signals(spec);
	/* Neither writes to the strings. */
	char *const *argv = (char *const *)(uintptr_t)spec->argv;
	if (spec->env)
		(void)execve(argv[0], argv, spec->env);
	else
		(void)execvp(argv[0], argv);
	return -errno;
}

int child_spawn(const struct child_spec *spec, pid_t *ret_pid)
{
	CLEANUP_FD int status_rfd = -1;
	CLEANUP_FD int status_wfd = -1;
	int status_fds[2], r = 0;
	pid_t parent = getpid();

	if (pipe2(status_fds, O_CLOEXEC) < 0)
		return -errno;
	status_rfd = status_fds[0];
	status_wfd = status_fds[1];
	if (status_wfd < 3) { /* place_fds would overwrite it */
		int high_fd = fcntl(status_wfd, F_DUPFD_CLOEXEC, 3);
		if (high_fd < 0)
			return -errno;
		fd_close(&status_wfd);
		status_wfd = high_fd;
	}
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		r = become(spec, parent);
		(void)!write(status_wfd, &r, sizeof(r));
		_exit(127);
	}
	fd_close(&status_wfd);
	/* The end of file means that exec has closed the pipe. */
	ssize_t n;
	do {
		n = read(status_rfd, &r, sizeof(r));
	} while (n < 0 && errno == EINTR);
	if (n == 0) {
		*ret_pid = pid;
		return 0;
	}
	(void)waitpid(pid, NULL, 0);
	return n == sizeof(r) ? r : -EIO;
}

static void unwatch(struct child *c)
{
	if (!c->loop)
		return;
	loop_io_del(c->loop, &c->io);
	fd_close(&c->io.fd);
	c->loop = NULL;
}

static void on_pidfd(void *ctx, uint32_t events)
{
	struct child *c = ctx;
	int wait_status = 0;

	(void)events;
	if (waitpid(c->pid, &wait_status, WNOHANG) != c->pid)
		return;
	unwatch(c);
	c->pid = 0;
	c->on_exit(c->ctx, wait_status);
}

int child_watch(struct loop *loop, struct child *c)
{
	c->io.fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->io.fd < 0)
		return -errno;
	c->io.on_event = on_pidfd;
	c->io.ctx = c;
	int r = loop_io_add(loop, &c->io, EPOLLIN);
	if (r < 0) {
		fd_close(&c->io.fd);
		return r;
	}
	c->loop = loop;
	return 0;
}

void child_signal(const struct child *c, int sig)
{
	if (c->pid > 0)
		(void)kill(c->pid, sig); /* a zombie does not mind */
}

/* Wait for the end of the process.  Returns true if it has been reaped.  A
 * pidfd may tell of the end a moment before waitpid does. */
static bool reap(struct child *c, uint32_t at_most_ms)
{
	mono_us_t end_us = clock_mono_us() + at_most_ms * US_PER_MS;
	CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);

	while (waitpid(c->pid, NULL, WNOHANG) == 0) {
		struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
		mono_us_t now_us = clock_mono_us();

		if (now_us >= end_us)
			return false;
		(void)poll(&pfd, 1, (int)((end_us - now_us) / US_PER_MS) + 1);
	}
	return true;
}

void child_await(struct child *c, uint32_t at_most_ms)
{
	unwatch(c);
	if (c->pid > 0)
		(void)reap(c, at_most_ms);
	c->pid = 0;
}

void child_end(struct child *c, uint32_t grace_ms)
{
	enum {
		KILL_MS = 1000 /* only a process in a system call that cannot
				  be interrupted takes longer than this */
	};

	unwatch(c);
	if (c->pid <= 0)
		return;
	child_signal(c, SIGTERM);
	child_signal(c, SIGCONT); /* a stopped one must see it */
	if (!reap(c, grace_ms)) {
		child_signal(c, SIGKILL);
		(void)reap(c, KILL_MS);
	}
	c->pid = 0;
}
