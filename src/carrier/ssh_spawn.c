/* SPDX-License-Identifier: MIT */
/* ssh_spawn: starts ssh, with three descriptors that lead to it. */
#include "ssh_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "child.h"
#include "fd.h"

/* Both ends of a channel to the child. */
struct ends {
	int ours, theirs;
};

static int open_pipe(bool is_ours_reading, struct ends *ret_ends)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
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

static int spawn(const char *const *argv, bool is_background,
		 const struct ends ends[3], pid_t *ret_pid)
{
	static const int ignored[] = {SIGINT, SIGHUP, SIGQUIT};
	struct child_spec spec = {
		.argv = argv,
		.fds = {ends[0].theirs, ends[1].theirs, ends[2].theirs},
		.ignored_signals = ignored,
		.n_ignored_signals = is_background ? 3 : 1,
	};

	return child_spawn(&spec, ret_pid);
}

int ssh_spawn(const char *const *argv, bool is_background,
	      struct ssh_spawn *ret, struct err *err)
{
	struct ends ends[3] = {{-1, -1}, {-1, -1}, {-1, -1}};
	pid_t pid = 0;
	int r;

	if ((r = open_pipe(false, &ends[0])) == 0 &&
	    (r = open_pipe(true, &ends[1])) == 0 &&
	    (r = open_stderr(&ends[2])) == 0)
		r = spawn(argv, is_background, ends, &pid);
	for (int i = 0; i < 3; i++) {
		fd_close(&ends[i].theirs);
		if (r < 0)
			fd_close(&ends[i].ours);
	}
	if (r < 0)
		return err_set(err, r, "cannot run %s: %s", argv[0],
			       strerror(-r));
	*ret = (struct ssh_spawn){
		.pid = pid,
		.stdin_fd = ends[0].ours,
		.stdout_fd = ends[1].ours,
		.stderr_fd = ends[2].ours,
	};
	return 0;
}
