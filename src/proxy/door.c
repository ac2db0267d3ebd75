/* SPDX-License-Identifier: MIT */
/*
 * door: a listening socket, or two: one place by which programs come in.
 *
 * While descriptors are lacking, or as many connections as may be are there,
 * nobody is accepted: who connects waits in the kernel's queue.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "proxy_internal.h"

enum {
	BACKLOG = 1024,
	ACCEPTS_A_TURN = 64,
	PAUSE_US = 200000,
};

/* ---- accepting ---- */

static bool is_paused(const struct door *d)
{
	return d->is_full || timer_is_armed(&d->pause);
}

static void update_interest(struct door *d)
{
	for (size_t i = 0; i < DOOR_LISTENERS_MAX; i++)
		if (d->listeners[i].io.fd >= 0)
			(void)loop_io_mod(d->proxy->loop, &d->listeners[i].io,
					  is_paused(d) ? 0 : EPOLLIN);
}

static void on_pause_over(void *ctx)
{
	update_interest(ctx);
}

void door_on_room(struct door *d)
{
	if (!d->is_full || d->proxy->n_conns >= PROXY_CONNS_MAX)
		return;
	d->is_full = false;
	update_interest(d);
}

static bool is_lack_of_resources(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM ||
	       errnum == ENOBUFS;
}

/* Returns 0 while there may be more to accept. */
static int accept_one(struct door_listener *l)
{
	struct door *d = l->door;

	if (d->proxy->n_conns >= PROXY_CONNS_MAX) {
		d->is_full = true;
		return -EBUSY;
	}
	int fd = accept4(l->io.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int r = fd < 0 ? -errno : door_conn_new(d, fd);

	if (r == 0)
		d->accepted++;
	/* Look again in a while, not at once. */
	if (r < 0 && is_lack_of_resources(-r))
		timer_arm(d->proxy->loop, &d->pause, PAUSE_US);
	/* Of one that was gone before it was accepted. */
	return r == -EINTR || r == -ECONNABORTED || r == -EPROTO ? 0 : r;
}

static void on_connection(void *ctx, uint32_t events)
{
	struct door_listener *l = ctx;

	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++)
		if (accept_one(l) < 0)
			break;
	if (is_paused(l->door))
		update_interest(l->door);
}

/* ---- TCP ---- */

static int explain_bind(int errnum, const struct endpoint *at, struct err *err)
{
	char text[ENDPOINT_TEXT_MAX], addr[ADDR_TEXT_MAX];

	(void)endpoint_format(at, text);
	(void)addr_format(&at->addr, addr);
	switch (errnum) {
	case EADDRINUSE:
		return err_set(err, -errnum,
			       "cannot listen on %s: the port is in use; name "
			       "another one, or 0 for one that is free",
			       text);
	case EACCES:
		return err_set(err, -errnum,
			       "cannot listen on %s: ports below 1024 need "
			       "privilege; name a higher one",
			       text);
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		return err_set(err, -errnum,
			       "cannot listen on %s: %s is no address of this "
			       "host",
			       text, addr);
	default:
		return err_set(err, -errnum, "cannot listen on %s: %s", text,
			       strerror(errnum));
	}
}

static int bind_tcp(int fd, const struct endpoint *at)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(at, &ss);
	int one = 1;

	/* Connections of a tunnel before this one may still be closing. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (at->addr.version == IPV6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one,
				 sizeof(one));
	if (bind(fd, (const struct sockaddr *)&ss, len) < 0)
		return -errno;
	return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

/* The port that a listener has got. */
static uint16_t port_of(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint e;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ||
	    endpoint_from_sockaddr((const struct sockaddr *)&ss, &e) < 0)
		return 0;
	return e.port;
}

static int listen_tcp(struct door *d, size_t i, struct err *err)
{
	struct endpoint *at = &d->options.at[i];

	if (i > 0 && at->port == 0)
		at->port = d->options.at[0].port;
	CLEANUP_FD int fd =
		socket(at->addr.version == IPV4 ? AF_INET : AF_INET6,
		       SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0 ? -errno : bind_tcp(fd, at);

	if (r < 0 && i > 0 && d->options.is_second_optional &&
	    (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)) {
		d->options.n_at = i;
		return 0;
	}
	if (r < 0)
		return explain_bind(-r, at, err);
	at->port = port_of(fd);
	d->listeners[i].io.fd = fd_take(&fd);
	return 0;
}

/* ---- Unix ---- */

/* Nobody else may be able to put his own socket there. */
static int check_directory(const char *path, struct err *err)
{
	char dir[DOOR_PATH_MAX];
	struct stat st;
	size_t len = (size_t)(strrchr(path, '/') - path);

	memcpy(dir, path, len);
	dir[len] = '\0';
	if (len == 0)
		(void)snprintf(dir, sizeof(dir), "/");
	if (stat(dir, &st) < 0)
		return err_set(err, -errno, "cannot listen on %s: %s: %s", path,
			       dir, strerror(errno));
	bool is_trusted = st.st_uid == geteuid() || st.st_uid == 0;
	if (!is_trusted ||
	    ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX)))
		return err_set(err, -EPERM,
			       "cannot listen on %s: others may write to %s; "
			       "choose a directory of your own",
			       path, dir);
	return 0;
}

/* Take away what a tunnel that is gone has left. */
static int remove_stale(const char *path, struct err *err)
{
	int r = unix_path_remove_stale(path);

	if (r == -EEXIST)
		return err_set(err, r,
			       "cannot listen on %s: there is something else "
			       "than a socket; it was left alone",
			       path);
	if (r == -EPERM)
		return err_set(err, r,
			       "cannot listen on %s: there is a socket of "
			       "another user",
			       path);
	if (r == -EADDRINUSE)
		return err_set(err, r,
			       "cannot listen on %s: a program does so already",
			       path);
	return r < 0 ? err_set(err, r, "cannot listen on %s: %s", path,
			       strerror(-r))
		     : 0;
}

static int bind_unix(int fd, const struct sockaddr_un *un)
{
	mode_t old = umask(0177);
	int r = bind(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 ? -errno
								       : 0;

	(void)umask(old);
	if (r < 0)
		return r;
	return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

static int listen_unix(struct door *d, struct err *err)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	const char *path = d->options.path;
	int r = check_directory(path, err);

	if (r < 0)
		return r;
	memcpy(un.sun_path, path, strlen(path) + 1);
	r = remove_stale(path, err);
	if (r < 0)
		return r;
	CLEANUP_FD int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 ? -errno : bind_unix(fd, &un);
	if (r < 0)
		return err_set(err, r, "cannot listen on %s: %s", path,
			       strerror(-r));
	d->id = unix_path_identify(path);
	d->listeners[0].io.fd = fd_take(&fd);
	return 0;
}

/* ---- life ---- */

static int listen_all(struct door *d, struct err *err)
{
	int r = 0;

	if (d->options.path[0])
		r = listen_unix(d, err);
	for (size_t i = 0; r == 0 && i < d->options.n_at; i++)
		r = listen_tcp(d, i, err);
	for (size_t i = 0; r == 0 && i < DOOR_LISTENERS_MAX; i++) {
		if (d->listeners[i].io.fd < 0)
			continue;
		r = loop_io_add(d->proxy->loop, &d->listeners[i].io, EPOLLIN);
		if (r < 0)
			return err_set(err, r, "cannot watch a socket: %s",
				       strerror(-r));
	}
	return r;
}

int door_new(struct proxy *p, const struct door_options *options,
	     struct door **ret_door, struct err *err)
{
	struct door *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(err, -ENOMEM, "out of memory");
	d->proxy = p;
	d->options = *options;
	d->pause = (struct timer){.on_fire = on_pause_over, .ctx = d};
	list_init(&d->link);
	for (size_t i = 0; i < DOOR_LISTENERS_MAX; i++) {
		struct door_listener *l = &d->listeners[i];

		l->door = d;
		l->io = (struct loop_io){
			.fd = -1, .on_event = on_connection, .ctx = l};
	}
	int r = listen_all(d, err);

	if (r < 0) {
		(void)door_free(d);
		return r;
	}
	*ret_door = d;
	return 0;
}

struct door *door_free(struct door *d)
{
	if (!d)
		return NULL;
	unix_path_remove(d->options.path, d->id);
	timer_disarm(d->proxy->loop, &d->pause);
	for (size_t i = 0; i < DOOR_LISTENERS_MAX; i++) {
		if (d->listeners[i].io.fd < 0)
			continue;
		loop_io_del(d->proxy->loop, &d->listeners[i].io);
		fd_close(&d->listeners[i].io.fd);
	}
	list_del(&d->link);
	free(d);
	return NULL;
}

void door_format(const struct door *d, char *out, size_t cap)
{
	char a[ENDPOINT_TEXT_MAX], b[ENDPOINT_TEXT_MAX];
	const struct door_options *o = &d->options;

	if (o->path[0])
		(void)snprintf(out, cap, "%s", o->path);
	else if (o->n_at == 1)
		(void)snprintf(out, cap, "%s", endpoint_format(&o->at[0], a));
	else
		(void)snprintf(out, cap, "%s and %s",
			       endpoint_format(&o->at[0], a),
			       endpoint_format(&o->at[1], b));
}
