/* SPDX-License-Identifier: MIT */
/* ssh_child: the process of ssh and the three descriptors that lead to it. */
#include "ssh_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "fd.h"

enum {
	PIPE_BYTES = 1 << 20, /* what an ordinary user may have */
	GRACE_MS = 500,
};

/* Both ends of a channel to the child. */
struct ends {
	int ours, theirs;
};

static int open_pipe(bool is_ours_reading, struct ends *ret_ends)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	/* Refused when the user has very many pipes; works without. */
	(void)fcntl(fds[0], F_SETPIPE_SZ, PIPE_BYTES);
	ret_ends->ours = fds[is_ours_reading ? 0 : 1];
	ret_ends->theirs = fds[is_ours_reading ? 1 : 0];
	return fd_set_nonblock(ret_ends->ours);
}

/* A terminal that changes no byte and is nobody's controlling terminal. */
static int open_pty(struct ends *ret_ends)
{
	CLEANUP_FD int ours =
		posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	struct termios raw;

	if (ours < 0 || unlockpt(ours) < 0)
		return -errno;
	CLEANUP_FD int theirs =
		ioctl(ours, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (theirs < 0 || tcgetattr(theirs, &raw) < 0)
		return -errno;
	cfmakeraw(&raw);
	if (tcsetattr(theirs, TCSANOW, &raw) < 0)
		return -errno;
	ret_ends->ours = fd_take(&ours);
	ret_ends->theirs = fd_take(&theirs);
	return 0;
}

static int open_stderr(struct ends *ret_ends)
{
	/* No /dev/pts here?  Then without the notice about the key. */
	if (isatty(STDERR_FILENO) && open_pty(ret_ends) == 0)
		return 0;
	return open_pipe(true, ret_ends);
}

static int spawn(struct ssh_child *c, const char *const *argv,
		 bool is_background, struct ends ends[3])
{
	static const int ignored[] = {SIGINT, SIGHUP, SIGQUIT};
	struct child_spec spec = {
		.argv = argv,
		.fds = {ends[0].theirs, ends[1].theirs, ends[2].theirs},
		.ignored_signals = ignored,
		.n_ignored_signals = is_background ? 3 : 1,
	};

	return child_spawn(&spec, &c->child.pid);
}

int ssh_child_open(struct ssh_child *c, const char *const *argv,
		   bool is_background, struct err *err)
{
	struct ends ends[3] = {{-1, -1}, {-1, -1}, {-1, -1}};
	int r;

	if ((r = open_pipe(false, &ends[0])) == 0 &&
	    (r = open_pipe(true, &ends[1])) == 0 &&
	    (r = open_stderr(&ends[2])) == 0)
		r = spawn(c, argv, is_background, ends);
	for (int i = 0; i < 3; i++) {
		fd_close(&ends[i].theirs);
		if (r < 0)
			fd_close(&ends[i].ours);
	}
	c->stdin_fd = ends[0].ours;
	c->stdout_fd = ends[1].ours;
	c->stderr_fd = ends[2].ours;
	if (r < 0)
		return err_set(err, r, "cannot run %s: %s", argv[0],
			       strerror(-r));
	return 0;
}

void ssh_child_close(struct ssh_child *c)
{
	fd_close(&c->stdin_fd);
	fd_close(&c->stdout_fd);
	child_end(&c->child, GRACE_MS);
	fd_close(&c->stderr_fd);
}
