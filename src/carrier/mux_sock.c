/* SPDX-License-Identifier: MIT */
/*
 * mux_sock: the place of an ssh's control socket, and connections to it.
 *
 * ssh binds and listens under another name and then links the socket to the
 * one it was told, so that a connection succeeds as soon as the name is there;
 * inotify tells when.  That has to be quick: see doc/PROTOCOL.mux section 1.
 */
#include "mux_sock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"

static const char socket_name[] = "/m";

struct mux_sock {
	struct loop *loop; /* borrowed */
	void (*on_connected)(void *ctx, int fd);
	void *ctx;	       /* borrowed */
	struct loop_io notify; /* inotify; fd -1 when no more is needed */
	char dir[MUX_SOCK_PATH_MAX];
	char path[MUX_SOCK_PATH_MAX];
};

/* ---- the directory ---- */

/* ssh gives other characters a meaning. */
static bool is_plain(const char *dir)
{
	return dir[0] == '/' &&
	       strspn(dir, "abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") ==
		       strlen(dir);
}

static int make_dir(struct mux_sock *s, const char *parent)
{
	int n = snprintf(s->dir, sizeof(s->dir), "%s/ecssh-XXXXXX", parent);

	if (n < 0 || (size_t)n + sizeof(socket_name) > sizeof(s->dir))
		return -ENAMETOOLONG;
	if (!mkdtemp(s->dir)) {
		n = -errno;
		s->dir[0] = '\0';
		return n;
	}
	memcpy(s->path, s->dir, (size_t)n);
	memcpy(s->path + n, socket_name, sizeof(socket_name));
	return 0;
}

/* The user's own directory vanishes with the login; it may not be ours after
 * sudo. */
static int make_some_dir(struct mux_sock *s)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (runtime && is_plain(runtime) && make_dir(s, runtime) == 0)
		return 0;
	return make_dir(s, "/tmp");
}

/* ---- connections ---- */

int mux_sock_connect(const struct mux_sock *s)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	CLEANUP_FD int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memcpy(sun.sun_path, s->path, strlen(s->path) + 1);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return fd_take(&fd);
}

static void stop_watching(struct mux_sock *s)
{
	loop_io_del(s->loop, &s->notify);
	fd_close(&s->notify.fd);
}

/* Whatever has happened in the directory: look whether it is there. */
static void on_event(void *ctx, uint32_t events)
{
	struct mux_sock *s = ctx;
	char ignored[4096];

	(void)events;
	while (read(s->notify.fd, ignored, sizeof(ignored)) > 0)
		continue;
	int fd = mux_sock_connect(s);
	if (fd == -ENOENT)
		return;
	stop_watching(s);
	s->on_connected(s->ctx, fd); /* may free s */
}

/* ---- life ---- */

const char *mux_sock_path(const struct mux_sock *s)
{
	return s->path;
}

static int watch(struct mux_sock *s)
{
	s->notify.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->notify.fd < 0)
		return -errno;
	if (inotify_add_watch(s->notify.fd, s->dir, IN_CREATE | IN_MOVED_TO) <
	    0)
		return -errno;
	return loop_io_add(s->loop, &s->notify, EPOLLIN);
}

struct mux_sock *mux_sock_new(struct loop *loop,
			      void (*on_connected)(void *ctx, int fd),
			      void *ctx, struct err *err)
{
	struct mux_sock *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		(void)err_set(err, 0, "not enough memory for a control socket");
		errno = ENOMEM;
		return NULL;
	}
	s->loop = loop;
	s->on_connected = on_connected;
	s->ctx = ctx;
	s->notify = (struct loop_io){.fd = -1, .on_event = on_event, .ctx = s};
	r = make_some_dir(s);
	if (r < 0) {
		(void)err_set(err, 0,
			      "cannot make a directory for ssh's control "
			      "socket in /tmp: %s",
			      strerror(-r));
	} else {
		r = watch(s);
		if (r < 0)
			(void)err_set(err, 0, "cannot watch %s: %s", s->dir,
				      strerror(-r));
	}
	if (r == 0)
		return s;
	(void)mux_sock_free(s);
	errno = -r;
	return NULL;
}

void mux_sock_remove(struct mux_sock *s)
{
	if (s->dir[0] == '\0')
		return;
	/* ssh removes the socket itself when it can. */
	(void)unlink(s->path);
	(void)rmdir(s->dir);
	s->dir[0] = '\0';
}

struct mux_sock *mux_sock_free(struct mux_sock *s)
{
	if (!s)
		return NULL;
	stop_watching(s);
	mux_sock_remove(s);
	free(s);
	return NULL;
}
