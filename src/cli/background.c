/* SPDX-License-Identifier: MIT */
/* background: a process that leaves the terminal once it is ready. */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "client.h"
#include "fd.h"
#include "log.h"

/*
 * Where the child's stderr goes: a terminal if ours is one, because ssh asks
 * for the touch of a security key only there; else a pipe.  Returns 0 or
 * -errno.
 */
static int open_relay(int ret_fds[2])
{
	struct termios raw;

	if (!isatty(STDERR_FILENO))
		return pipe2(ret_fds, O_CLOEXEC) < 0 ? -errno : 0;
	if (openpty(&ret_fds[0], &ret_fds[1], NULL, NULL, NULL) < 0)
		return -errno;
	if (tcgetattr(ret_fds[1], &raw) == 0) {
		cfmakeraw(&raw);
		(void)tcsetattr(ret_fds[1], TCSANOW, &raw);
	}
	(void)fd_set_cloexec(ret_fds[0], 1);
	(void)fd_set_cloexec(ret_fds[1], 1);
	return 0;
}

/* Pass on what is there.  Returns false at the end of it. */
static bool relay_some(int from)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n > 0)
		(void)fd_write_all(STDERR_FILENO, buf, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

static void relay_rest(int from)
{
	if (fd_set_nonblock(from) == 0)
		while (relay_some(from))
			;
}

/* Wait for the byte; -1 if the child ended without it. */
static int wait_ready(int ready_fd, int relay_fd)
{
	struct pollfd p[2] = {{.fd = ready_fd, .events = POLLIN},
			      {.fd = relay_fd, .events = POLLIN}};
	uint8_t exit_code;

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -1;
		if (p[1].revents && !relay_some(relay_fd))
			p[1].fd = -1;
		if (p[0].revents)
			return read(ready_fd, &exit_code, 1) == 1 ? exit_code
								  : -1;
	}
}

static int parent(pid_t child, int ready_fd, int relay_fd)
{
	int exit_code = wait_ready(ready_fd, relay_fd);
	int status;

	/* If it failed: let it clean up first. */
	if (exit_code != CLIENT_EXIT_OK &&
	    waitpid(child, &status, 0) == child && WIFEXITED(status))
		exit_code = WEXITSTATUS(status);
	relay_rest(relay_fd);
	return exit_code >= 0 ? exit_code : CLIENT_EXIT_RUNTIME;
}

int background_fork(int *ret_ready_fd)
{
	int ready[2], relay[2];

	if (pipe2(ready, O_CLOEXEC) < 0 || open_relay(relay) < 0) {
		log_err("cannot make a pipe: %s", strerror(errno));
		return CLIENT_EXIT_RUNTIME;
	}
	pid_t child = fork();
	if (child < 0) {
		log_err("cannot fork: %s", strerror(errno));
		return CLIENT_EXIT_RUNTIME;
	}
	if (child > 0) {
		fd_close(&ready[1]);
		fd_close(&relay[1]);
		return parent(child, ready[0], relay[0]);
	}
	fd_close(&ready[0]);
	fd_close(&relay[0]);
	(void)dup2(relay[1], STDERR_FILENO);
	fd_close(&relay[1]);
	*ret_ready_fd = ready[1];
	return -1;
}
