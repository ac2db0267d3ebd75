/* SPDX-License-Identifier: MIT */
/* program: a program of this host's, run with a fixed environment. */
#include "program.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"
#include "fd.h"

/* A file without a name, so that nobody waits for a pipe's other end. */
static int make_file(const char *text)
{
	int fd CLEANUP_FD = memfd_create("ecssh", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, text, strlen(text));
	if (r < 0)
		return r;
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_take(&fd);
}

static void become(const char *const argv[], pid_t parent, int in, int out,
		   int error)
{
	static const char *const environment[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};

	/* Or what it does could come after it was undone. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	(void)setpgid(0, 0);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
	    dup2(error, STDERR_FILENO) >= 0 && close_range(3, ~0U, 0) == 0)
		(void)execve(argv[0], (char *const *)(uintptr_t)argv,
			     (char *const *)(uintptr_t)environment);
	_exit(127);
}

/* Wait for the end.  Returns 0 or -ETIMEDOUT. */
static int await(int pidfd, uint32_t timeout_ms)
{
	mono_us_t until_us = clock_mono_us() + timeout_ms * US_PER_MS;
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	for (;;) {
		mono_us_t now_us = clock_mono_us();

		if (now_us >= until_us)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((until_us - now_us) / US_PER_MS) + 1) > 0)
			return 0;
	}
}

/* What a file begins with, as a string. */
static void read_file(int fd, char *out, size_t cap)
{
	ssize_t n = pread(fd, out, cap - 1, 0);

	out[n > 0 ? n : 0] = '\0';
}

static int complain(const char *path, int error_fd, struct err *err)
{
	char said[512], shown[256];

	read_file(error_fd, said, sizeof(said));
	said[strcspn(said, "\n")] = '\0';
	escape_text(said, strlen(said), shown, sizeof(shown));
	return err_set(err, -EPROTO, "%s failed: %s", path,
		       shown[0] ? shown : "it says nothing");
}

int program_run(const char *const argv[], const char *input, char *out,
		size_t cap, uint32_t timeout_ms, struct err *err)
{
	int in CLEANUP_FD = make_file(input);
	int printed CLEANUP_FD = make_file("");
	int error CLEANUP_FD = make_file("");
	int status = -1, r = in < 0 ? in : printed < 0 ? printed : error;

	if (r < 0)
		return err_set(err, r, "cannot make a file in memory: %s",
			       strerror(-r));
	r = 0;
	pid_t self = getpid(), pid = fork();
	if (pid < 0)
		return err_set(err, -errno, "cannot run %s: %s", argv[0],
			       strerror(errno));
	if (pid == 0)
		become(argv, self, in, printed, error);
	int pidfd CLEANUP_FD = (int)syscall(SYS_pidfd_open, pid, 0);
	/* Without one (before Linux 5.3) it is waited for as long as it takes.
	 */
	if (pidfd >= 0)
		r = await(pidfd, timeout_ms);
	if (r < 0) {
		(void)kill(-pid, SIGKILL);
		(void)kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return err_set(err, r, "%s does not come to an end", argv[0]);
	if (out)
		read_file(printed, out, cap);
	return status == 0 ? 0 : complain(argv[0], error, err);
}
