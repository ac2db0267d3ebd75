/* SPDX-License-Identifier: MIT */
/*
 * bond_fd: a link of a bond_carrier over descriptors.
 *
 * One large read a turn.  While its chunk is not next it reads on until the
 * buffer is full, and then not at all until it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bond_link.h"
#include "fd.h"
#include "iov.h"

enum {
	IN_CAP = 512 << 10,
	/* What ssh has not taken yet cannot be overtaken any more: 1 MiB has a
	 * request wait for 1.5 ms longer beside a stream on a fast line, and
	 * half of this costs goodput. */
	PIPE_BYTES = 256 << 10,
};

struct bond_fd {
	struct bond_link base;
	struct loop *loop; /* borrowed */
	struct loop_io in, out;
	uint8_t *buf;		/* owned, IN_CAP bytes */
	size_t at, len;		/* what of it is not taken */
	bool is_full;		/* and not read */
	bool is_stopped;	/* nothing is watched any more */
	struct loop_task start; /* takes the leftover bytes */
};

static struct bond_fd *from_link(const struct bond_link *l)
{
	return container_of((struct bond_link *)(uintptr_t)l, struct bond_fd,
			    base);
}

/* ---- down ---- */

static void set_reading(struct bond_fd *f, bool reads)
{
	if (f->is_full == !reads || f->is_stopped)
		return;
	f->is_full = !reads;
	if (reads)
		(void)loop_io_add(f->loop, &f->in, EPOLLIN);
	else
		loop_io_del(f->loop, &f->in);
}

static void take(struct bond_fd *f)
{
	f->at += bond_link_input(&f->base, f->buf + f->at, f->len - f->at);
	if (f->at == f->len) {
		f->at = f->len = 0;
	} else if (f->at > 0 && f->len == IN_CAP) {
		f->len -= f->at;
		memmove(f->buf, f->buf + f->at, f->len);
		f->at = 0;
	}
	set_reading(f, f->len < IN_CAP);
}

static void on_due(struct bond_link *l)
{
	take(from_link(l));
}

static void on_readable(void *ctx, uint32_t events)
{
	struct bond_fd *f = ctx;
	ssize_t n = read(f->in.fd, f->buf + f->len, IN_CAP - f->len);

	(void)events;
	if (n > 0) {
		f->len += (size_t)n;
		take(f);
		bond_link_serve(&f->base);
	} else if (n == 0) {
		bond_link_end(&f->base, 0,
			      "the other end closed the connection");
	} else if (errno != EAGAIN && errno != EINTR) {
		bond_link_end(&f->base, errno,
			      "reading from the connection failed");
	}
}

/* ---- up ---- */

static size_t room(const struct bond_link *l)
{
	(void)l;
	return SIZE_MAX;
}

static size_t send_parts(struct bond_link *l, const struct iovec *iov, int n)
{
	struct bond_fd *f = from_link(l);
	ssize_t sent = writev(f->out.fd, iov, n);
	size_t len = iov_total(iov, n);

	/* A broken pipe shows as EPOLLERR in a later turn. */
	size_t taken = sent > 0 ? (size_t)sent : 0;
	if (taken < len)
		bond_link_note_full(l);
	if (taken < len && f->out.events != EPOLLOUT && !f->is_stopped)
		(void)loop_io_mod(f->loop, &f->out, EPOLLOUT);
	return taken;
}

static void on_writable(void *ctx, uint32_t events)
{
	struct bond_fd *f = ctx;

	/* Last words may still be readable: the end is told by on_readable. */
	if (events & (EPOLLERR | EPOLLHUP)) {
		loop_io_del(f->loop, &f->out);
		bond_link_deafen(&f->base);
		return;
	}
	bond_link_flush(&f->base);
	if (ring_len(&f->base.spill) == 0 && !f->is_stopped)
		(void)loop_io_mod(f->loop, &f->out, 0);
}

/* ---- life ---- */

static void stop(struct bond_link *l)
{
	struct bond_fd *f = from_link(l);

	f->is_stopped = true;
	loop_io_del(f->loop, &f->in);
	loop_io_del(f->loop, &f->out);
	loop_unpost(&f->start);
}

static void free_link(struct bond_link *l)
{
	struct bond_fd *f = from_link(l);

	stop(l);
	fd_close(&f->in.fd);
	fd_close(&f->out.fd);
	free(f->buf);
	free(f);
}

static const struct bond_link_ops ops = {
	.send = send_parts,
	.room = room,
	.on_due = on_due,
	.stop = stop,
	.free = free_link,
};

static void on_start(void *ctx)
{
	struct bond_fd *f = ctx;

	take(f);
	bond_link_serve(&f->base);
}

static int watch(struct bond_fd *f)
{
	int r = fd_set_nonblock(f->in.fd);

	if (r == 0)
		r = fd_set_nonblock(f->out.fd);
	if (r == 0)
		r = loop_io_add(f->loop, &f->in, EPOLLIN);
	if (r == 0)
		r = loop_io_add(f->loop, &f->out, 0);
	return r;
}

struct bond_link *bond_fd_new(struct loop *loop, int rfd, int wfd,
			      const void *leftover, size_t leftover_len)
{
	struct bond_fd *f = calloc(1, sizeof(*f));
	int r = -ENOMEM;

	if (rfd == wfd)
		wfd = fcntl(rfd, F_DUPFD_CLOEXEC, 3);
	if (!f || wfd < 0 || leftover_len > IN_CAP)
		goto fail;
	f->base.ops = &ops;
	f->loop = loop;
	f->in = (struct loop_io){.fd = rfd, .on_event = on_readable, .ctx = f};
	f->out = (struct loop_io){.fd = wfd, .on_event = on_writable, .ctx = f};
	f->start = (struct loop_task){.on_run = on_start, .ctx = f};
	list_init(&f->start.link);
	list_init(&f->base.link);
	f->buf = malloc(IN_CAP);
	if (!f->buf)
		goto fail;
	if (leftover_len > 0)
		memcpy(f->buf, leftover, leftover_len);
	f->len = leftover_len;
	/* Refused when the user has very many pipes; works without. */
	(void)fcntl(rfd, F_SETPIPE_SZ, PIPE_BYTES);
	(void)fcntl(wfd, F_SETPIPE_SZ, PIPE_BYTES);
	r = watch(f);
	if (r < 0)
		goto fail;
	if (leftover_len > 0)
		loop_post(loop, &f->start);
	return &f->base;
fail:
	if (f)
		free(f->buf);
	free(f);
	fd_close(&rfd);
	fd_close(&wfd);
	errno = -r;
	return NULL;
}
