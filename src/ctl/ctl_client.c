/* SPDX-License-Identifier: MIT */
/* ctl_client: asking a running tunnel, from another process. */
#include "ctl_client.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "unix_path.h"

enum {
	ANSWER_MAX = 4 << 20,
	TIMEOUT_S = 10,
	DOWN_TIMEOUT_S = 60, /* a script of the user's may take its time */
};

/* Returns a descriptor or -errno. */
static int connect_to(const char *path, int timeout_s)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct timeval timeout = {.tv_sec = timeout_s};
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path, path, strlen(path) + 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
			 sizeof(timeout));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout,
			 sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		return -errno;
	return fd_take(&fd);
}

struct listing {
	struct ctl_tunnel *tunnels;
	size_t n, max;
};

/* Returns false if the file cannot be NAME.sock. */
static bool name_tunnel(const char *dir, const char *file, struct ctl_tunnel *t)
{
	size_t len = strlen(file);

	if (len <= 5 || len - 5 > CTL_NAME_MAX ||
	    strcmp(file + len - 5, ".sock") != 0)
		return false;
	(void)snprintf(t->name, sizeof(t->name), "%.*s", (int)(len - 5), file);
	(void)snprintf(t->path, sizeof(t->path), "%s/%s.sock", dir, t->name);
	return true;
}

/* Take it if somebody listens there. */
static void consider(struct listing *l, const char *dir, const char *file)
{
	struct ctl_tunnel *t = &l->tunnels[l->n];

	if (l->n == l->max || !name_tunnel(dir, file, t))
		return;
	int fd = connect_to(t->path, TIMEOUT_S);
	if (fd < 0)
		return;
	fd_close(&fd);
	l->n++;
}

static void list_dir(const char *dir, void *ctx)
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d)))
		consider(ctx, dir, e->d_name);
	(void)closedir(d);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct ctl_tunnel *)a)->name,
		      ((const struct ctl_tunnel *)b)->name);
}

size_t ctl_client_list(struct ctl_tunnel *ret_tunnels, size_t max)
{
	struct listing l = {ret_tunnels, 0, max};

	ctl_dir_each(list_dir, &l);
	qsort(l.tunnels, l.n, sizeof(*l.tunnels), by_name);
	return l.n;
}

struct tidying {
	void (*on_removed)(const char *path);
	size_t n;
};

static void tidy_dir(const char *dir, void *ctx)
{
	struct tidying *tidying = ctx;
	DIR *d = opendir(dir);
	const struct dirent *e;
	struct ctl_tunnel t;

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (!name_tunnel(dir, e->d_name, &t) ||
		    unix_path_remove_stale(t.path) < 0)
			continue;
		tidying->on_removed(t.path);
		tidying->n++;
	}
	(void)closedir(d);
}

size_t ctl_client_tidy(void (*on_removed)(const char *path))
{
	struct tidying tidying = {.on_removed = on_removed};

	ctl_dir_each(tidy_dir, &tidying);
	return tidying.n;
}

static int read_all(int fd, char **ret)
{
	size_t len = 0, cap = 4096;
	char *answer = malloc(cap);

	while (answer) {
		ssize_t n = read(fd, answer + len, cap - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ECONNRESET) {
			int r = errno == EAGAIN ? -ETIMEDOUT : -errno;
			free(answer);
			return r;
		}
		if (n <= 0) {
			answer[len] = '\0';
			*ret = answer;
			return 0;
		}
		len += (size_t)n;
		if (cap - len > 1)
			continue;
		cap *= 2;
		char *bigger = cap <= ANSWER_MAX ? realloc(answer, cap) : NULL;
		if (!bigger)
			break;
		answer = bigger;
	}
	free(answer);
	return -ENOMEM;
}

int ctl_client_ask(const struct ctl_tunnel *tunnel, const char *request,
		   char **ret_answer, struct err *err)
{
	char line[64];
	bool is_down = strcmp(request, "down") == 0;
	CLEANUP_FD int fd =
		connect_to(tunnel->path, is_down ? DOWN_TIMEOUT_S : TIMEOUT_S);
	int r = fd;

	if (fd >= 0) {
		int n = snprintf(line, sizeof(line), "%s\n", request);

		r = fd_write_all(fd, line, (size_t)n);
		if (r == 0)
			r = read_all(fd, ret_answer);
	}
	if (r < 0)
		return err_set(err, r, "tunnel \"%s\" does not answer: %s",
			       tunnel->name, strerror(-r));
	return 0;
}
