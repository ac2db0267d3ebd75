/* SPDX-License-Identifier: MIT */
/*
 * ctl_server: the control socket of a running tunnel.
 *
 * Connections are few and short: a fixed number of slots, one line in, one
 * answer out.  Spec: doc/PROTOCOL.ctl
 */
#include "ctl_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl_request.h"
#include "fd.h"
#include "fd_msg.h"

enum {
	CONNECTIONS_MAX = 16,
};

struct connection {
	struct ctl_server *server;
	struct loop_io io; /* fd -1: free slot */
	char request[CTL_REQUEST_MAX];
	size_t len;
};

struct ctl_server {
	struct loop *loop; /* borrowed */
	const struct ctl_server_ops *ops;
	void *ctx;
	struct loop_io io;
	struct timer pause; /* armed: no connection is accepted */
	char path[CTL_PATH_MAX];
	struct unix_path_id id; /* of the socket there */
	struct connection connections[CONNECTIONS_MAX];
};

static void connection_close(struct connection *c)
{
	if (c->io.fd < 0)
		return;
	loop_io_del(c->server->loop, &c->io);
	fd_close(&c->io.fd);
}

static void answer_status(struct connection *c, enum ctl_status kind)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out) {
		c->server->ops->on_status(c->server->ctx, kind, out);
		/* A status is a few KiB: it fits the socket's buffer. */
		if (fclose(out) == 0)
			(void)send(c->io.fd, text, len,
				   MSG_NOSIGNAL | MSG_DONTWAIT);
		free(text);
	}
	connection_close(c);
}

static void answer_confirm(struct connection *c)
{
	const struct ctl_server *s = c->server;
	const char *text =
		s->ops->on_confirm(s->ctx) ? "confirmed" : "not asked for";

	(void)send(c->io.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	connection_close(c);
}

static void answer(struct connection *c, enum ctl_request request)
{
	switch (request) {
	case CTL_REQUEST_STATUS_JSON:
		answer_status(c, CTL_STATUS_JSON);
		return;
	case CTL_REQUEST_STATUS_TEXT:
		answer_status(c, CTL_STATUS_TEXT);
		return;
	case CTL_REQUEST_STATUS_VERBOSE:
		answer_status(c, CTL_STATUS_VERBOSE);
		return;
	case CTL_REQUEST_STATUS_DROPS:
		answer_status(c, CTL_STATUS_DROPS);
		return;
	case CTL_REQUEST_DOWN:
		c->server->ops->on_down(c->server->ctx);
		return;
	case CTL_REQUEST_CONFIRM:
		answer_confirm(c);
		return;
	case CTL_REQUEST__N:
		return;
	}
}

static void on_request(void *ctx, uint32_t events)
{
	struct connection *c = ctx;
	ssize_t n =
		read(c->io.fd, c->request + c->len, CTL_REQUEST_MAX - c->len);
	enum ctl_request request;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		connection_close(c);
		return;
	}
	c->len += (size_t)n;
	int r = ctl_request_parse(c->request, c->len, &request);
	if (r == 0)
		answer(c, request);
	else if (r != -EAGAIN)
		connection_close(c);
}

static bool is_peer_allowed(int fd)
{
	uid_t peer = fd_msg_maker(fd);

	return peer == geteuid() || peer == 0;
}

static void on_connection(void *ctx, uint32_t events)
{
	struct ctl_server *s = ctx;
	CLEANUP_FD int fd =
		accept4(s->io.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0) {
		/* Out of descriptors: look again in a while, not at once. */
		if (errno == EMFILE || errno == ENFILE) {
			(void)loop_io_mod(s->loop, &s->io, 0);
			timer_arm(s->loop, &s->pause, US_PER_SEC);
		}
		return;
	}
	if (!is_peer_allowed(fd))
		return;
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &s->connections[i];

		if (c->io.fd >= 0)
			continue;
		c->len = 0;
		c->io = (struct loop_io){
			.fd = fd, .on_event = on_request, .ctx = c};
		if (loop_io_add(s->loop, &c->io, EPOLLIN) == 0)
			(void)fd_take(&fd);
		else
			c->io.fd = -1;
		return;
	}
}

static void on_pause_over(void *ctx)
{
	struct ctl_server *s = ctx;

	(void)loop_io_mod(s->loop, &s->io, EPOLLIN);
}

/* True if somebody listens at this address. */
static bool is_in_use(const struct sockaddr_un *un)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 &&
	       connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0;
}

static int bind_socket(int fd, const struct sockaddr_un *un, const char *name,
		       struct err *err)
{
	const struct sockaddr *sa = (const struct sockaddr *)un;
	mode_t old = umask(0177);
	int r = bind(fd, sa, sizeof(*un)) < 0 ? -errno : 0;

	if (r == -EADDRINUSE && is_in_use(un)) {
		r = err_set(err, -EEXIST,
			    "a tunnel named \"%s\" is up already; give this "
			    "one another --name, or end the other with: "
			    "ecssh down %s",
			    name, name);
	} else if (r == -EADDRINUSE) {
		(void)unlink(un->sun_path);
		r = bind(fd, sa, sizeof(*un)) < 0 ? -errno : 0;
	}
	(void)umask(old);
	if (r < 0 && r != -EEXIST)
		return err_set(err, r, "cannot bind %s: %s", un->sun_path,
			       strerror(-r));
	return r;
}

int ctl_server_new(struct loop *loop, const char *name,
		   const struct ctl_server_ops *ops, void *ctx,
		   struct ctl_server **ret_server, struct err *err)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char dir[CTL_DIR_MAX];
	int r = ctl_dir_make(dir, err);

	if (r < 0)
		return r;
	CLEANUP_FD int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ctl_server *s = calloc(1, sizeof(*s));
	if (fd < 0 || !s) {
		free(s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	(void)snprintf(s->path, sizeof(s->path), "%s/%s.sock", dir, name);
	memcpy(un.sun_path, s->path, strlen(s->path) + 1);
	r = bind_socket(fd, &un, name, err);
	if (r < 0) {
		free(s);
		return r;
	}
	s->id = unix_path_identify(s->path);
	s->loop = loop;
	s->ops = ops;
	s->ctx = ctx;
	s->pause = (struct timer){.on_fire = on_pause_over, .ctx = s};
	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		s->connections[i].server = s;
		s->connections[i].io.fd = -1;
	}
	s->io = (struct loop_io){
		.fd = fd_take(&fd), .on_event = on_connection, .ctx = s};
	if (listen(s->io.fd, CONNECTIONS_MAX) < 0 ||
	    loop_io_add(loop, &s->io, EPOLLIN) < 0) {
		(void)ctl_server_free(s);
		return err_set(err, -EIO, "cannot listen on %s", un.sun_path);
	}
	*ret_server = s;
	return 0;
}

const char *ctl_server_path(const struct ctl_server *s)
{
	return s->path;
}

struct unix_path_id ctl_server_id(const struct ctl_server *s)
{
	return s->id;
}

struct ctl_server *ctl_server_free(struct ctl_server *s)
{
	if (!s)
		return NULL;
	loop_io_del(s->loop, &s->io);
	timer_disarm(s->loop, &s->pause);
	/* First the name, so that who waits for the end may use it again. */
	unix_path_remove(s->path, s->id);
	fd_close(&s->io.fd);
	for (int i = 0; i < CONNECTIONS_MAX; i++)
		connection_close(&s->connections[i]);
	free(s);
	return NULL;
}
