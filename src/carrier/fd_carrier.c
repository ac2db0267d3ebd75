/* SPDX-License-Identifier: MIT */
/*
 * fd_carrier: frames over a pair of byte streams, such as ssh's stdio.
 *
 * Theory of operation
 *   Down: one large read a turn into a linear buffer, whole frames handed up in
 *   place, the incomplete rest moved to the front.  The buffer exceeds the
 * largest frame, so a frame always completes. Up: writev straight from the
 * caller's parts.  What the kernel does not take is copied to `spill` and the
 * carrier is full until that is gone, so at most one send's worth waits here
 * and the rest stays where it can still be scheduled.
 */
#include "fd_carrier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "ring.h"

enum {
	IN_CAP = 512 << 10,
	PIPE_BYTES = 1 << 20,
	LAST_WORDS_US = 2000000,
};

struct fd_carrier {
	struct carrier base;
	struct loop *loop; /* borrowed */
	struct loop_io in, out;
	uint8_t *in_buf; /* owned, IN_CAP bytes */
	size_t in_len;
	struct ring spill;	 /* written, but not taken by the kernel yet */
	bool is_closed;		 /* on_closed was called */
	bool is_deaf;		 /* nobody reads what we write */
	struct timer last_words; /* armed while deaf: what may still come */
	struct loop_task start;	 /* hands up frames among the leftover bytes */
};

static struct fd_carrier *from_base(struct carrier *c)
{
	return container_of(c, struct fd_carrier, base);
}

static void close_with(struct fd_carrier *f, int error, const char *what)
{
	struct err why;

	if (f->is_closed)
		return;
	f->is_closed = true;
	loop_io_del(f->loop, &f->in);
	loop_io_del(f->loop, &f->out);
	(void)err_set(&why, 0, error ? "%s: %s" : "%s", what, strerror(error));
	if (f->base.user)
		f->base.user->on_closed(f->base.user_ctx, &why);
}

/* Hand up whole frames.  Returns false if the carrier is of no more use. */
static bool deliver(struct fd_carrier *f)
{
	size_t at = 0;

	while (f->base.user && f->in_len - at >= FRAME_HEADER_LEN) {
		struct frame_header h;

		if (frame_parse_header(f->in_buf + at, &h) < 0) {
			close_with(f, 0,
				   "an oversized frame came from the other "
				   "end");
			return false;
		}
		if (f->in_len - at - FRAME_HEADER_LEN < h.len)
			break;
		f->base.user->on_frame(f->base.user_ctx, &h,
				       f->in_buf + at + FRAME_HEADER_LEN);
		at += FRAME_HEADER_LEN + h.len;
	}
	f->in_len -= at;
	memmove(f->in_buf, f->in_buf + at, f->in_len);
	return true;
}

/* hop up 9/11, down 5/9: frames arrive */
static void on_readable(void *ctx, uint32_t events)
{
	struct fd_carrier *f = ctx;
	ssize_t n = read(f->in.fd, f->in_buf + f->in_len, IN_CAP - f->in_len);

	(void)events;
	if (n > 0) {
		f->in_len += (size_t)n;
		(void)deliver(f);
	} else if (n == 0) {
		close_with(f, 0, "the other end closed the connection");
	} else if (errno != EAGAIN && errno != EINTR) {
		close_with(f, errno, "reading from the connection failed");
	}
}

static void on_writable(void *ctx, uint32_t events)
{
	struct fd_carrier *f = ctx;
	struct iovec parts[2];
	int n = ring_peek(&f->spill, f->spill.start, ring_len(&f->spill),
			  parts);

	/* Last words may still be readable: the end is told by on_readable. */
	if (events & (EPOLLERR | EPOLLHUP)) {
		f->is_deaf = true;
		loop_io_del(f->loop, &f->out);
		timer_arm(f->loop, &f->last_words, LAST_WORDS_US);
		return;
	}
	ssize_t sent = n > 0 ? writev(f->out.fd, parts, n) : 0;
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			close_with(f, errno,
				   "writing to the connection failed");
		return;
	}
	ring_drop(&f->spill, f->spill.start + (uint64_t)sent);
	if (ring_len(&f->spill) > 0)
		return;
	(void)loop_io_mod(f->loop, &f->out, 0);
	if (f->base.user)
		f->base.user->on_writable(f->base.user_ctx);
}

/* Keep what the kernel did not take. */
static int keep_rest(struct fd_carrier *f, const struct iovec *iov, int n,
		     size_t taken)
{
	for (int i = 0; i < n; i++) {
		size_t skip = taken < iov[i].iov_len ? taken : iov[i].iov_len;

		taken -= skip;
		int r = ring_push(&f->spill, (char *)iov[i].iov_base + skip,
				  iov[i].iov_len - skip);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_full(const struct carrier *c)
{
	const struct fd_carrier *f = container_of(
		(struct carrier *)(uintptr_t)c, struct fd_carrier, base);

	return f->is_closed || f->is_deaf || ring_len(&f->spill) > 0;
}

/* hop up 8/11, down 4/9: into the pipe to ssh, or to sshd */
static void send_frames(struct carrier *c, const struct iovec *iov, int n)
{
	struct fd_carrier *f = from_base(c);

	if (is_full(c))
		return;
	ssize_t sent = writev(f->out.fd, iov, n);
	/* A broken pipe shows as EPOLLERR in a later turn. */
	if (keep_rest(f, iov, n, sent > 0 ? (size_t)sent : 0) < 0 ||
	    (ring_len(&f->spill) > 0 &&
	     loop_io_mod(f->loop, &f->out, EPOLLOUT) < 0))
		close_with(f, ENOMEM, "writing to the connection failed");
}

static struct carrier *fd_carrier_free(struct carrier *c)
{
	struct fd_carrier *f = from_base(c);

	loop_io_del(f->loop, &f->in);
	loop_io_del(f->loop, &f->out);
	loop_unpost(&f->start);
	timer_disarm(f->loop, &f->last_words);
	fd_close(&f->in.fd);
	fd_close(&f->out.fd);
	ring_fini(&f->spill);
	free(f->in_buf);
	free(f);
	return NULL;
}

static const struct carrier_ops ops = {
	.send = send_frames,
	.is_full = is_full,
	.free = fd_carrier_free,
};

static void on_start(void *ctx)
{
	(void)deliver(ctx);
}

static void on_last_words_over(void *ctx)
{
	close_with(ctx, EPIPE, "writing to the connection failed");
}

static int watch(struct fd_carrier *f)
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

struct carrier *fd_carrier_new(struct loop *loop, int rfd, int wfd,
			       const void *leftover, size_t leftover_len)
{
	struct fd_carrier *f = calloc(1, sizeof(*f));
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
	f->last_words = (struct timer){.on_fire = on_last_words_over, .ctx = f};
	f->in_buf = malloc(IN_CAP);
	if (!f->in_buf)
		goto fail;
	if (leftover_len > 0)
		memcpy(f->in_buf, leftover, leftover_len);
	f->in_len = leftover_len;
	/* Larger pipes mean fewer turns; not having them costs only that. */
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
		free(f->in_buf);
	free(f);
	fd_close(&rfd);
	fd_close(&wfd);
	errno = -r;
	return NULL;
}
