/* SPDX-License-Identifier: MIT */
/* nft_run: the host's program nft, run with rules that we made. */
#include "nft_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"
#include "fd.h"

static const char *find_nft(void)
{
	static const char *const paths[] = {"/usr/sbin/nft", "/sbin/nft",
					    "/usr/bin/nft"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], X_OK) == 0)
			return paths[i];
	return NULL;
}

static void become_nft(const char *path, pid_t parent, int in, int out,
		       int error)
{
	static const char *const environment[] = {"LC_ALL=C", NULL};
	const char *const argv[] = {path, "-f", "-", NULL};

	/* Or what it makes could come after it was taken back. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
	    dup2(error, STDERR_FILENO) >= 0)
		(void)execve(path, (char *const *)(uintptr_t)argv,
			     (char *const *)(uintptr_t)environment);
	_exit(127);
}

/* A pipe with both ends close-on-exec, and beyond the standard ones. */
static int open_pipe(int ret_ends[2])
{
	return pipe2(ret_ends, O_CLOEXEC) < 0 ? -errno : 0;
}

/* Read what has come into buf, or let it go if there is no room.  Returns false
 * at the end. */
static bool drain(int fd, char *buf, size_t cap, size_t *len)
{
	char scrap[4096];
	bool has_room = *len + 1 < cap;
	ssize_t n = has_room ? read(fd, buf + *len, cap - 1 - *len)
			     : read(fd, scrap, sizeof(scrap));

	if (n > 0 && has_room)
		*len += (size_t)n;
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Write the input and collect both outputs until they end.  Returns 0 or
 * -ETIMEDOUT. */
static int converse(int *in, int out, int error, const char *text, char *said,
		    size_t said_cap, char *complaint, size_t complaint_cap)
{
	mono_us_t until_us = clock_mono_us() + NFT_RUN_TIMEOUT_MS * US_PER_MS;
	size_t left = strlen(text), said_len = 0, complaint_len = 0;

	while (out >= 0 || error >= 0) {
		mono_us_t now_us = clock_mono_us();
		struct pollfd p[] = {
			{.fd = out, .events = POLLIN},
			{.fd = error, .events = POLLIN},
			{.fd = *in, .events = POLLOUT},
		};

		if (now_us >= until_us)
			return -ETIMEDOUT;
		(void)poll(p, 3, (int)((until_us - now_us) / US_PER_MS) + 1);
		if (p[0].revents && !drain(out, said, said_cap, &said_len))
			out = -1;
		if (p[1].revents &&
		    !drain(error, complaint, complaint_cap, &complaint_len))
			error = -1;
		if (p[2].revents) {
			ssize_t n = write(*in, text, left);

			if (n > 0) {
				text += n;
				left -= (size_t)n;
			}
			if (left == 0 || (n < 0 && errno != EAGAIN))
				fd_close(in);
		}
	}
	said[said_len] = complaint[complaint_len] = '\0';
	return 0;
}

static int refused(const char *path, char *complaint, struct err *err)
{
	char shown[256];

	complaint[strcspn(complaint, "\n")] = '\0';
	escape_text(complaint, strlen(complaint), shown, sizeof(shown));
	return err_set(err, -EPROTO, "%s refuses our rules: %s", path,
		       shown[0] ? shown : "it says nothing");
}

int nft_run(const char *text, char *out, size_t cap, struct err *err)
{
	const char *path = find_nft();
	char complaint[1024] = "", nothing[1];
	int ends[6] = {-1, -1, -1, -1, -1, -1}, status = -1, r = 0;

	if (!path)
		return err_set(err, -ENOENT,
			       "there is no nft here, which makes the rules: "
			       "install the package nftables");
	if (open_pipe(ends) < 0 || open_pipe(ends + 2) < 0 ||
	    open_pipe(ends + 4) < 0 || fd_set_nonblock(ends[1]) < 0) {
		r = err_set(err, -errno, "cannot make pipes to nft: %s",
			    strerror(errno));
		goto out;
	}
	pid_t self = getpid();
	pid_t pid = fork();
	if (pid < 0) {
		r = err_set(err, -errno, "cannot run %s: %s", path,
			    strerror(errno));
		goto out;
	}
	if (pid == 0)
		become_nft(path, self, ends[0], ends[3], ends[5]);
	fd_close(&ends[0]);
	fd_close(&ends[3]);
	fd_close(&ends[5]);
	r = converse(&ends[1], ends[2], ends[4], text, out ? out : nothing,
		     out ? cap : 1, complaint, sizeof(complaint));
	if (r < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		r = err_set(err, r, "%s does not come to an end", path);
	else if (status != 0)
		r = refused(path, complaint, err);
out:
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		fd_close(&ends[i]);
	return r;
}
