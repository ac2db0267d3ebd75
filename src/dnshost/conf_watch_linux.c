/* SPDX-License-Identifier: MIT */
/* conf_watch: notices that somebody has changed resolv.conf. */
#include "conf_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "fd.h"

static const char conf[] = "resolv.conf";

/* A file that was only created is not written yet, but a link is. */
static const uint32_t of_directory = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE |
				     IN_MOVED_TO | IN_MOVED_FROM | IN_ONLYDIR;

/* Where a symbolic link leads, the directory and the name apart. */
static void watch_target(struct conf_watch *w, const char *path)
{
	char real[PATH_MAX];

	w->target[0] = '\0';
	if (!realpath(path, real))
		return;
	char *slash = strrchr(real, '/');

	(void)snprintf(w->target, sizeof(w->target), "%s", slash + 1);
	(void)inotify_add_watch(w->fd, real, IN_CLOSE_WRITE);
	*slash = '\0';
	(void)inotify_add_watch(w->fd, slash == real ? "/" : real,
				of_directory);
}

int conf_watch_arm(struct conf_watch *w, const char *etc)
{
	char path[PATH_MAX];

	conf_watch_disarm(w);
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd < 0)
		return -errno;
	if (inotify_add_watch(w->fd, etc, of_directory) < 0) {
		int r = -errno;

		conf_watch_disarm(w);
		return r;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", etc, conf);
	watch_target(w, path);
	return 0;
}

static bool concerns_us(const struct conf_watch *w,
			const struct inotify_event *e)
{
	if (e->len == 0) /* the file itself, or too much has happened */
		return (e->mask & (IN_CLOSE_WRITE | IN_Q_OVERFLOW)) != 0;
	return strcmp(e->name, conf) == 0 || strcmp(e->name, w->target) == 0;
}

bool conf_watch_read(struct conf_watch *w)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool is_ours = false;
	ssize_t n;

	while ((n = read(w->fd, buf, sizeof(buf))) > 0) {
		for (size_t at = 0; at < (size_t)n;) {
			const struct inotify_event *e =
				(const void *)(buf + at);

			is_ours |= concerns_us(w, e);
			at += sizeof(*e) + e->len;
		}
	}
	return is_ours;
}

void conf_watch_disarm(struct conf_watch *w)
{
	fd_close(&w->fd);
}
