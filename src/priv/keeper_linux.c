/* SPDX-License-Identifier: MIT */
/*
 * keeper: a process that knows how to undo what the broker does.
 *
 * Theory of operation
 *   Each change of the broker's record is in the keeper's socket before the
 *   broker acts, so it is read even if the broker is killed right after.  The
 *   end of the socket is the broker's end: what the record still has is undone
 *   then, which is nothing if the broker has done it.  What is told to be
 * undone although it was never done is not there, and that is no failure.
 */
#include "keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fd_msg.h"
#include "log.h"
#include "record.h"

enum { SOCKET_BYTES = 1 << 20 };

/* Take in each change until the broker has ended. */
static void follow(int fd, struct record *mirror, void *more, size_t more_bytes)
{
	struct broker_note note;
	const struct iovec iov[] = {{&note, sizeof(note)}, {more, more_bytes}};
	ssize_t n;

	do {
		n = readv(fd, iov, 2);
		if (n >= (ssize_t)sizeof(note))
			record_mirror(mirror, &note);
	} while (n >= (ssize_t)sizeof(note) || (n < 0 && errno == EINTR));
}

static void keep(int fd, const struct keeper_charge *charge)
{
	struct record *mirror = calloc(1, sizeof(*mirror));
	struct err err;

	if (!mirror)
		return;
	mirror->ops = charge->ops;
	mirror->ctx = charge->ctx;
	/* If this fails the broker sees us gone. */
	if (mirror->ops->reopen && mirror->ops->reopen(mirror->ctx, &err) < 0) {
		log_warn("%s", err.text);
	} else {
		follow(fd, mirror, charge->more, charge->more_bytes);
		if (record_undo(mirror, &err) < 0)
			log_warn("%s, ignoring", err.text);
	}
	free(mirror);
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

int keeper_start(const struct keeper_charge *charge, int *ret_fd,
		 struct err *err)
{
	int sock, bytes = SOCKET_BYTES;
	pid_t pid = fd_msg_fork(&sock);

	if (pid < 0)
		return err_set(err, pid, "cannot start the keeper: %s",
			       strerror(-pid));
	if (pid == 0) {
		if (!tidy(sock, charge->fd))
			_exit(EXIT_FAILURE);
		(void)prctl(PR_SET_NAME, "ecssh-keeper", 0, 0, 0);
		keep(STDIN_FILENO, charge);
		_exit(EXIT_SUCCESS);
	}
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	*ret_fd = sock;
	return 0;
}

void keeper_note(int fd, const struct broker_note *note, const void *more,
		 size_t more_bytes)
{
	const struct iovec iov[] = {
		{(void *)(uintptr_t)note, sizeof(*note)},
		{(void *)(uintptr_t)more, more_bytes},
	};

	(void)!writev(fd, iov, 2); /* brokers ignore SIGPIPE */
}
