/* SPDX-License-Identifier: MIT */
/* unix_path: sockets that have a path. */
#include "unix_path.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"

int unix_path_remove_stale(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	struct stat st;

	if (len >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (st.st_uid != geteuid())
		return -EPERM;
	memcpy(un.sun_path, path, len + 1);
	CLEANUP_FD int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0 ||
	    errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(path) < 0 ? -errno : 0;
}

struct unix_path_id unix_path_identify(const char *path)
{
	struct unix_path_id id = {.ino = 0};
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		id.dev = st.st_dev;
		id.ino = st.st_ino;
		id.changed = st.st_ctim;
	}
	return id;
}

void unix_path_remove(const char *path, struct unix_path_id id)
{
	struct unix_path_id now = unix_path_identify(path);

	if (id.ino && now.dev == id.dev && now.ino == id.ino &&
	    now.changed.tv_sec == id.changed.tv_sec &&
	    now.changed.tv_nsec == id.changed.tv_nsec)
		(void)unlink(path);
}
