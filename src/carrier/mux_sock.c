/* SPDX-License-Identifier: MIT */
/*
 * mux_sock: the place of an ssh's control socket, and connections to it.
 *
 * ssh binds and listens under another name and then links the socket to the
 * one it was told, so that a connection succeeds as soon as the name is there;
 * inotify tells when.  That has to be quick: see doc/PROTOCOL.mux section 1.
 *
 * The files are the starter's (mux_dir.h), and so is each connect(2): who hears
 * the far side has no Unix sockets of its own making.
 */
#include "mux_sock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"

struct mux_sock {
	struct loop *loop;	 /* borrowed */
	struct starter *starter; /* borrowed */
	void (*on_connected)(void *ctx, int fd);
	void *ctx;	       /* borrowed */
	struct loop_io notify; /* inotify; fd -1 when no more is needed */
	bool is_connected;
	struct starter_place place;
};

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
	int fd = s->is_connected ? 0 : mux_sock_connect(s);
	if (fd == -ENOENT)
		return;
	/* ssh's other name may be there still. */
	if (starter_place_tidy(s->starter, s->place.number) != -ENOTEMPTY)
		stop_watching(s);
	if (s->is_connected)
		return;
	s->is_connected = true;
	s->on_connected(s->ctx, fd); /* may free s */
}

/* ---- life ---- */

const char *mux_sock_path(const struct mux_sock *s)
{
	return s->place.path;
}

uint32_t mux_sock_place(const struct mux_sock *s)
{
	return s->place.number;
}

int mux_sock_connect(const struct mux_sock *s)
{
	return starter_place_connect(s->starter, s->place.number);
}

struct mux_sock *mux_sock_new(struct loop *loop, struct starter *starter,
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
	s->starter = starter;
	s->on_connected = on_connected;
	s->ctx = ctx;
	s->notify = (struct loop_io){.fd = -1, .on_event = on_event, .ctx = s};
	r = starter_place_new(starter, &s->place);
	if (r >= 0) {
		s->notify.fd = r;
		r = loop_io_add(loop, &s->notify, EPOLLIN);
	}
	if (r >= 0)
		return s;
	(void)err_set(err, 0,
		      "cannot make a directory for ssh's control socket in "
		      "/tmp: %s",
		      strerror(-r));
	(void)mux_sock_free(s);
	errno = -r;
	return NULL;
}

struct mux_sock *mux_sock_free(struct mux_sock *s)
{
	if (!s)
		return NULL;
	stop_watching(s);
	if (s->place.number != 0)
		starter_place_free(s->starter, s->place.number);
	free(s);
	return NULL;
}
