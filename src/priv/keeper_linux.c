/* SPDX-License-Identifier: MIT */
/*
 * keeper: a process that knows how to undo what the broker does.
 *
 * Theory of operation
 *   Each change of the broker's journal is in the keeper's socket before the
 *   broker acts, so it is read even if the broker is killed right after.  The
 *   end of the socket is the broker's end: what the journal still has is undone
 *   then, which is nothing if the broker has done it.  What is told to be
 * undone although it was never done is not there, and that is no failure.
 */
#include "keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "log.h"

/* A journal's longest records are few, so the buffer holds many notes. */
enum { SOCKET_BYTES = 1 << 20 };

/* Take in each change until the broker has ended. */
static void follow(int fd, struct broker *mirror, struct broker_note *note)
{
	ssize_t n;

	do {
		memset(note, 0, sizeof(*note));
		n = recv(fd, note, sizeof(*note), 0);
		if (n >= (ssize_t)offsetof(struct broker_note, forward))
			broker_mirror(mirror, note);
	} while (n >= (ssize_t)offsetof(struct broker_note, forward) ||
		 (n < 0 && errno == EINTR));
}

static void keep(int fd, const struct broker_ops *ops, void *ctx)
{
	struct broker *mirror = broker_new(ops, ctx, 0, NULL);
	struct broker_note *note = calloc(1, sizeof(*note));
	struct err err;

	if (mirror && note) {
		/* If this fails the broker sees us gone. */
		if (ops->reopen && ops->reopen(ctx, &err) < 0) {
			log_warn("%s", err.text);
		} else {
			follow(fd, mirror, note);
			if (broker_undo(mirror, &err) < 0)
				log_warn("%s, ignoring", err.text);
		}
	}
	free(note);
	(void)broker_free(mirror);
}

/* Keep the socket, and the one descriptor that was asked for: not the broker's
 * socket, or its end would not be seen; nor what becomes the device, or that
 * would not disappear. */
static bool tidy(int sock, int its_fd)
{
	unsigned first = KEEPER_FD;

	if (dup2(sock, STDIN_FILENO) < 0)
		return false;
	if (its_fd >= 0) {
		if (dup2(its_fd, KEEPER_FD) < 0)
			return false;
		first++;
	}
	return close_range(first, ~0U, 0) == 0;
}

int keeper_start(const struct broker_ops *ops, void *ctx, int its_fd,
		 int *ret_fd, struct err *err)
{
	int pair[2], bytes = SOCKET_BYTES;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, -errno, "cannot make a socket pair: %s",
			       strerror(errno));
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	pid_t pid = fork();
	if (pid < 0) {
		int r = err_set(err, -errno, "cannot start the keeper: %s",
				strerror(errno));
		fd_close(&pair[0]);
		fd_close(&pair[1]);
		return r;
	}
	if (pid == 0) {
		if (!tidy(pair[1], its_fd))
			_exit(EXIT_FAILURE);
		(void)prctl(PR_SET_NAME, "ecssh-keeper", 0, 0, 0);
		keep(STDIN_FILENO, ops, ctx);
		_exit(EXIT_SUCCESS);
	}
	fd_close(&pair[1]);
	*ret_fd = pair[0];
	return 0;
}

void keeper_note(int fd, const struct broker_note *note)
{
	bool is_short = note->forward.name[0] == '\0';

	(void)send(fd, note,
		   is_short ? offsetof(struct broker_note, forward)
			    : sizeof(*note),
		   MSG_NOSIGNAL);
}
