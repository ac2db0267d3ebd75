/* SPDX-License-Identifier: MIT */
/*
 * mux_sock: the place of an ssh's control socket, and connections to it.
 *
 * ssh binds and listens under another name and then links the socket to the
 * one it was told, so that a connection succeeds as soon as the name is there;
 * inotify tells when.  That has to be quick: see doc/PROTOCOL.mux section 1.
 *
 * From then on we hold the socket itself, and name and directory go at once:
 * nothing is left of them whatever becomes of us.  ssh's temporary name may
 * still be there; then the directory goes when ssh has removed it.
 *
 * Until then, while ssh asks for a password say, there is a directory, and who
 * is killed leaves it.  It is locked as long as somebody lives who wants it, so
 * the next one removes those that are not.
 */
#include "mux_sock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"

#define HELD_NAME "/proc/self/fd/%d"

static const char dir_prefix[] = "ecssh-";
static const char socket_name[] = "/m";

struct mux_sock {
	struct loop *loop; /* borrowed */
	void (*on_connected)(void *ctx, int fd);
	void *ctx;	       /* borrowed */
	struct loop_io notify; /* inotify; fd -1 when no more is needed */
	int held;	       /* the socket, O_PATH; -1 until it is there */
	int lock;	       /* the directory, locked */
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

static bool is_abandoned(int dir_fd)
{
	struct stat st;

	return fstat(dir_fd, &st) == 0 && st.st_uid == geteuid() &&
	       flock(dir_fd, LOCK_EX | LOCK_NB) == 0;
}

/* As mkdtemp(3) makes them; "ecssh-ctl-1000" is another's. */
static bool is_ours(const char *name)
{
	static const size_t len = sizeof(dir_prefix) - 1;

	if (strncmp(name, dir_prefix, len) != 0 || strlen(name) != len + 6)
		return false;
	for (name += len; *name; name++)
		if (!isalnum((unsigned char)*name))
			return false;
	return true;
}

static void remove_abandoned(int parent_fd, const char *name)
{
	CLEANUP_FD int fd = openat(parent_fd, name,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
					   O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || !is_abandoned(fd))
		return;
	(void)unlinkat(fd, socket_name + 1, 0);
	(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
}

/* Remove what those who were killed have left. */
static void sweep(const char *parent)
{
	DIR *dir = opendir(parent);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (is_ours(entry->d_name))
			remove_abandoned(dirfd(dir), entry->d_name);
	if (dir)
		(void)closedir(dir);
}

static int make_dir(struct mux_sock *s, const char *parent)
{
	sweep(parent);
	int n = snprintf(s->dir, sizeof(s->dir), "%s/%sXXXXXX", parent,
			 dir_prefix);

	if (n < 0 || (size_t)n + sizeof(socket_name) > sizeof(s->dir))
		return -ENAMETOOLONG;
	if (!mkdtemp(s->dir)) {
		n = -errno;
		s->dir[0] = '\0';
		return n;
	}
	/* Who sweeps in between makes ssh fail, and is hardly ever there. */
	s->lock = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock >= 0)
		(void)flock(s->lock, LOCK_EX | LOCK_NB);
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
	if (s->held < 0)
		memcpy(sun.sun_path, s->path, strlen(s->path) + 1);
	else
		(void)snprintf(sun.sun_path, sizeof(sun.sun_path), HELD_NAME,
			       s->held);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return fd_take(&fd);
}

static void stop_watching(struct mux_sock *s)
{
	loop_io_del(s->loop, &s->notify);
	fd_close(&s->notify.fd);
}

/* Returns true if nothing more is to be removed. */
static bool remove_names(struct mux_sock *s)
{
	(void)unlink(s->path);
	if (rmdir(s->dir) < 0 && errno == ENOTEMPTY)
		return false;
	s->dir[0] = '\0';
	return true;
}

/* Without /proc the names stay until the end. */
static bool hold(struct mux_sock *s)
{
	char name[32];

	s->held = open(s->path, O_PATH | O_CLOEXEC);
	(void)snprintf(name, sizeof(name), HELD_NAME, s->held);
	if (s->held >= 0 && access(name, F_OK) < 0)
		fd_close(&s->held);
	return s->held >= 0;
}

/* Whatever has happened in the directory: look whether it is there. */
static void on_event(void *ctx, uint32_t events)
{
	struct mux_sock *s = ctx;
	char ignored[4096];

	(void)events;
	while (read(s->notify.fd, ignored, sizeof(ignored)) > 0)
		continue;
	if (s->held >= 0) {
		if (remove_names(s))
			stop_watching(s);
		return;
	}
	int fd = mux_sock_connect(s);
	if (fd == -ENOENT)
		return;
	if (fd < 0 || !hold(s) || remove_names(s))
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
	if (inotify_add_watch(s->notify.fd, s->dir,
			      IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0)
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
	s->held = s->lock = -1;
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

struct mux_sock *mux_sock_free(struct mux_sock *s)
{
	if (!s)
		return NULL;
	stop_watching(s);
	fd_close(&s->held);
	fd_close(&s->lock);
	if (s->dir[0] != '\0') {
		/* ssh removes the socket itself when it can. */
		(void)unlink(s->path);
		(void)rmdir(s->dir);
	}
	free(s);
	return NULL;
}
