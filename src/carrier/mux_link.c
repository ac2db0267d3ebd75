/* SPDX-License-Identifier: MIT */
/*
 * mux_link: the connection to ssh's control socket.
 *
 * Theory of operation
 *   Down: one large read a turn, whole messages handled in place, the rest
 *   moved to the front.  ssh is never kept waiting, for it would drop data.
 *   Up: messages are gathered in `out` and written at the end of the turn, or
 *   with the next data, which goes to ssh at once.  What it does not take waits
 *   in `out`, too.  A channel may add data while mux_link_room is not 0; see
 *   mux_pace.c.
 *
 * Ownership
 *   The link owns the channels.  They are freed at the end of the turn only,
 *   and told of the link's end only there: no handler finds one gone.
 *
 * Spec: doc/PROTOCOL.mux
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "escape.h"
#include "fd.h"
#include "iov.h"
#include "mux_internal.h"

enum {
	IN_CAP = 512 << 10,
	PROXY_REQUEST = 1,
};

void mux_link_fail(struct mux_link *l, const char *fmt, ...)
{
	va_list ap;

	if (l->state >= MUX_LINK_FAILED)
		return;
	l->state = MUX_LINK_FAILED;
	va_start(ap, fmt);
	(void)vsnprintf(l->why.text, sizeof(l->why.text), fmt, ap);
	va_end(ap);
	loop_io_del(l->loop, &l->io);
	loop_post(l->loop, &l->turn_end);
}

void mux_link_post(struct mux_link *l)
{
	loop_post(l->loop, &l->turn_end);
}

/* Returns how much of it ssh's socket took. */
static size_t write_parts(struct mux_link *l, struct iovec *parts, int n)
{
	struct msghdr msg = {.msg_iov = parts, .msg_iovlen = (size_t)n};
	ssize_t sent = sendmsg(l->io.fd, &msg, MSG_NOSIGNAL);

	/* What ssh wrote before it closed may still be read: its end is told by
	 * on_readable. */
	if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != EPIPE &&
	    errno != ECONNRESET)
		mux_link_fail(l, "writing to ssh failed: %s", strerror(errno));
	return sent > 0 ? (size_t)sent : 0;
}

static void flush(struct mux_link *l)
{
	struct iovec parts[2];
	int n = ring_peek(&l->out, l->out.start, ring_len(&l->out), parts);

	if (n > 0)
		ring_drop(&l->out, l->out.start + write_parts(l, parts, n));
}

/* Put aside what is behind the first `skip` bytes. */
static void keep(struct mux_link *l, const struct iovec *parts, int n,
		 size_t skip)
{
	size_t len = iov_total(parts, n) - skip;

	if (l->state >= MUX_LINK_FAILED)
		return;
	if (ring_len(&l->out) + len > MUX_OUT_MAX_BYTES)
		mux_link_fail(l, "ssh does not read its control socket");
	else if (ring_push_rest(&l->out, parts, n, skip) < 0)
		mux_link_fail(l, "not enough memory for a connection to ssh");
	loop_post(l->loop, &l->turn_end);
}

void mux_link_put(struct mux_link *l, const void *bytes, size_t len)
{
	struct iovec part = {(void *)(uintptr_t)bytes, len};

	keep(l, &part, 1, 0);
}

void mux_link_put_data(struct mux_link *l, const void *head, size_t head_len,
		       const void *data, size_t len)
{
	size_t waiting = ring_len(&l->out), taken = 0;
	struct iovec parts[4];

	if (l->state >= MUX_LINK_FAILED)
		return;
	int n = ring_peek(&l->out, l->out.start, waiting, parts);
	struct iovec *message = &parts[n];

	message[0] = (struct iovec){(void *)(uintptr_t)head, head_len};
	message[1] = (struct iovec){(void *)(uintptr_t)data, len};
	if (len >= MUX_GATHER_BYTES || waiting + len >= MUX_OUT_BUSY_BYTES)
		taken = write_parts(l, parts, n + 2);
	if (waiting > taken)
		waiting = taken;
	ring_drop(&l->out, l->out.start + waiting);
	keep(l, message, 2, taken - waiting);
}

/* ---- the end of the turn ---- */

static void watch_writable(struct mux_link *l)
{
	bool wants = ring_len(&l->out) > 0 || mux_link_wants_socket(l);
	uint32_t events = EPOLLIN | (wants ? EPOLLOUT : 0);

	if (events != l->io.events && loop_io_mod(l->loop, &l->io, events) < 0)
		mux_link_fail(l, "watching the connection to ssh failed");
}

static void free_gone(struct mux_link *l)
{
	struct list *at;

	while ((at = list_pop(&l->gone)))
		mux_channel_free(container_of(at, struct mux_channel, gone));
}

static void tell_end(struct mux_link *l)
{
	struct htab_node *node;

	l->state = MUX_LINK_TOLD;
	timer_disarm(l->loop, &l->probe_timer);
	timer_disarm(l->loop, &l->bulk_timer);
	while ((node = htab_any(&l->channels))) {
		struct mux_channel *ch = mux_channel_of_node(node);

		mux_channel_bury(ch);
		if (!ch->is_detached && ch->ops->on_closed)
			ch->ops->on_closed(ch);
	}
	free_gone(l);
	if (l->ops->on_closed)
		l->ops->on_closed(l->ctx, &l->why); /* may free l */
}

static void on_turn_end(void *ctx)
{
	struct mux_link *l = ctx;

	if (l->state < MUX_LINK_FAILED) {
		mux_window_serve(l);
		mux_link_serve(l);
		flush(l);
	}
	if (l->state < MUX_LINK_FAILED)
		watch_writable(l);
	free_gone(l);
	if (l->state == MUX_LINK_FAILED) {
		loop_unpost(&l->turn_end);
		tell_end(l);
	}
}

/* ---- reading ---- */

static void fail_refused(struct mux_link *l, const struct mux_msg_control *c)
{
	char text[160];

	(void)escape_text((const char *)c->text, c->text_len, text,
			  sizeof(text));
	mux_link_fail(l, "ssh refused proxy mode on its control socket: %s",
		      text);
}

static void receive_control(struct mux_link *l, const uint8_t *body, size_t len)
{
	struct mux_msg_control c;

	if (mux_msg_parse_control(body, len, &c) < 0) {
		mux_link_fail(l, "a malformed message came from ssh's control "
				 "socket");
	} else if (l->state == MUX_LINK_GREETING) {
		if (c.type == MUX_MSG_HELLO && c.version == MUX_MSG_VERSION)
			l->state = MUX_LINK_ENTERING;
		else
			mux_link_fail(l, "what listens on the control socket "
					 "is not an ssh that we know");
	} else if (c.type == MUX_MSG_S_PROXY && c.request == PROXY_REQUEST) {
		l->state = MUX_LINK_READY;
		if (l->ops->on_ready)
			l->ops->on_ready(l->ctx);
	} else if (c.type == MUX_MSG_S_FAILURE ||
		   c.type == MUX_MSG_S_PERMISSION_DENIED) {
		fail_refused(l, &c);
	} else if (c.type < MUX_MSG_S_EXTENSIONS) {
		mux_link_fail(l,
			      "ssh's control socket answered with message "
			      "0x%x, which means nothing here",
			      c.type);
	}
}

static void receive_packet(struct mux_link *l, const uint8_t *body, size_t len)
{
	struct mux_msg m;
	int r = mux_msg_parse(body, len, &m);

	if (r == -ENOMSG)
		return;
	if (r < 0) {
		mux_link_fail(l, "a malformed message came from the server");
		return;
	}
	struct htab_node *node =
		htab_find(&l->channels, htab_hash_u32(m.channel));
	l->heard_us = loop_now_us(l->loop);
	if (node)
		mux_channel_receive(mux_channel_of_node(node), &m);
}

static void receive_all(struct mux_link *l)
{
	size_t at = 0;

	while (l->state < MUX_LINK_FAILED) {
		const uint8_t *body;
		size_t len;
		int n = mux_msg_split(l->in_buf + at, l->in_len - at, &body,
				      &len);

		if (n < 0)
			mux_link_fail(l, "an oversized message came from ssh's "
					 "control socket");
		if (n <= 0)
			break;
		if (l->state == MUX_LINK_READY)
			receive_packet(l, body, len);
		else
			receive_control(l, body, len);
		at += (size_t)n;
	}
	l->in_len -= at;
	memmove(l->in_buf, l->in_buf + at, l->in_len);
}

static void on_event(void *ctx, uint32_t events)
{
	struct mux_link *l = ctx;

	/* What waits goes before the turn ends, which gives data its turn. */
	if (events & EPOLLOUT) {
		flush(l);
		mux_link_post(l);
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = read(l->io.fd, l->in_buf + l->in_len, IN_CAP - l->in_len);
	if (n > 0) {
		l->in_len += (size_t)n;
		receive_all(l);
	} else if (n == 0) {
		mux_link_fail(l, l->state < MUX_LINK_READY
					 ? "ssh closed its control socket "
					   "before channels could be opened"
					 : "ssh has ended");
	} else if (errno != EAGAIN && errno != EINTR) {
		mux_link_fail(l, "reading from ssh failed: %s",
			      strerror(errno));
	}
}

/* ---- life ---- */

bool mux_link_is_ready(const struct mux_link *l)
{
	return l->state == MUX_LINK_READY;
}

uint32_t mux_link_n_failures(const struct mux_link *l)
{
	return l->n_failures;
}

uint32_t mux_link_n_channels(const struct mux_link *l)
{
	return l->n_channels;
}

/* Hello and request in one write: see doc/PROTOCOL.mux section 1.  The socket
 * is new: they fit. */
int mux_link_greet(int fd)
{
	uint8_t msg[2 * MUX_MSG_FIXED_MAX];
	size_t len = mux_msg_build_hello(msg);

	len += mux_msg_build_proxy(msg + len, PROXY_REQUEST);
	if (send(fd, msg, len, MSG_NOSIGNAL) == (ssize_t)len)
		return 0;
	return errno ? -errno : -EIO;
}

struct mux_link *mux_link_new(struct loop *loop, int fd,
			      const struct mux_link_ops *ops, void *ctx)
{
	struct mux_link *l = calloc(1, sizeof(*l));
	int r = -ENOMEM;

	if (!l)
		goto fail;
	l->loop = loop;
	l->ops = ops;
	l->ctx = ctx;
	l->rtt_us = UINT64_MAX / 4; /* not known */
	l->io = (struct loop_io){.fd = fd, .on_event = on_event, .ctx = l};
	l->turn_end = (struct loop_task){.on_run = on_turn_end, .ctx = l};
	list_init(&l->turn_end.link);
	list_init(&l->gone);
	mux_pace_init(l);
	mux_window_init(l);
	l->in_buf = malloc(IN_CAP);
	if (!l->in_buf)
		goto fail;
	r = fd_set_nonblock(fd);
	if (r == 0)
		r = loop_io_add(loop, &l->io, EPOLLIN);
	if (r < 0)
		goto fail;
	return l;
fail:
	if (l)
		free(l->in_buf);
	free(l);
	fd_close(&fd);
	errno = -r;
	return NULL;
}

struct mux_link *mux_link_free(struct mux_link *l)
{
	struct htab_node *node;

	if (!l)
		return NULL;
	while ((node = htab_any(&l->channels)))
		mux_channel_bury(mux_channel_of_node(node));
	free_gone(l);
	mux_pace_fini(l);
	mux_window_fini(l);
	loop_io_del(l->loop, &l->io);
	loop_unpost(&l->turn_end);
	fd_close(&l->io.fd);
	htab_fini(&l->channels);
	ring_fini(&l->out);
	free(l->in_buf);
	free(l);
	return NULL;
}
