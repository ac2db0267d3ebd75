/* SPDX-License-Identifier: MIT */
/*
 * mux_dir: see mux_dir.h.
 *
 * Once there is a connection we hold the socket itself, and name and directory
 * go at once: nothing is left of them whatever becomes of us.  ssh's temporary
 * name may still be there; then the directory goes when ssh has removed it.
 *
 * Until then, while ssh asks for a password say, there is a directory, and who
 * is killed leaves it.  It is locked as long as somebody lives who wants it, so
 * the next one removes those that are not.
 */
#include "mux_dir.h"

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

static int make_dir(struct mux_dir *d, const char *parent)
{
	sweep(parent);
	int n = snprintf(d->dir, sizeof(d->dir), "%s/%sXXXXXX", parent,
			 dir_prefix);

	if (n < 0 || (size_t)n + sizeof(socket_name) > sizeof(d->dir))
		return -ENAMETOOLONG;
	if (!mkdtemp(d->dir)) {
		n = -errno;
		d->dir[0] = '\0';
		return n;
	}
	/* Who sweeps in between makes ssh fail, and is hardly ever there. */
	d->lock = open(d->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->lock >= 0)
		(void)flock(d->lock, LOCK_EX | LOCK_NB);
	memcpy(d->path, d->dir, (size_t)n);
	memcpy(d->path + n, socket_name, sizeof(socket_name));
	return 0;
}

/* The user's own directory vanishes with the login; it may not be ours after
 * sudo. */
static int make_some_dir(struct mux_dir *d)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (runtime && is_plain(runtime) && make_dir(d, runtime) == 0)
		return 0;
	return make_dir(d, "/tmp");
}

/* Returns an inotify descriptor, or -errno. */
static int watch(const struct mux_dir *d)
{
	CLEANUP_FD int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0 ||
	    inotify_add_watch(fd, d->dir, IN_CREATE | IN_MOVED_TO | IN_DELETE) <
		    0)
		return -errno;
	return fd_take(&fd);
}

int mux_dir_open(struct mux_dir *d)
{
	*d = (struct mux_dir){.held = -1, .lock = -1};
	int r = make_some_dir(d);

	if (r == 0)
		r = watch(d);
	if (r < 0)
		mux_dir_close(d);
	return r;
}

/* ---- connections ---- */

static int dial(const struct mux_dir *d)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	CLEANUP_FD int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (d->held < 0)
		memcpy(sun.sun_path, d->path, strlen(d->path) + 1);
	else
		(void)snprintf(sun.sun_path, sizeof(sun.sun_path), HELD_NAME,
			       d->held);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return fd_take(&fd);
}

/* Without /proc the names stay until the end. */
static bool hold(struct mux_dir *d)
{
	char name[32];

	d->held = open(d->path, O_PATH | O_CLOEXEC);
	(void)snprintf(name, sizeof(name), HELD_NAME, d->held);
	if (d->held >= 0 && access(name, F_OK) < 0)
		fd_close(&d->held);
	return d->held >= 0;
}

int mux_dir_connect(struct mux_dir *d)
{
	int fd = dial(d);

	if (fd >= 0 && d->held < 0 && hold(d))
		(void)mux_dir_tidy(d);
	return fd;
}

int mux_dir_tidy(struct mux_dir *d)
{
	if (d->dir[0] == '\0')
		return 0;
	if (d->held < 0)
		return -EBUSY;
	(void)unlink(d->path);
	if (rmdir(d->dir) < 0 && errno == ENOTEMPTY)
		return -ENOTEMPTY;
	d->dir[0] = '\0';
	return 0;
}

void mux_dir_close(struct mux_dir *d)
{
	fd_close(&d->held);
	fd_close(&d->lock);
	if (d->dir[0] == '\0')
		return;
	/* ssh removes the socket itself when it can. */
	(void)unlink(d->path);
	(void)rmdir(d->dir);
	d->dir[0] = '\0';
}
