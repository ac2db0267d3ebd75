/* SPDX-License-Identifier: MIT */
/*
 * stream_sock: a stream whose local side is a connected stream socket.
 *
 * Theory of operation
 *   rx, from the session to the socket: what came in a turn of the loop goes
 *   to the socket at the end of it, together: TCP makes large segments of it,
 *   where each frame by itself would be one, sent and acknowledged.  What the
 *   socket does not take stays in the stream's rx ring, and EPOLLOUT says when
 *   to go on.  Bytes count as consumed when the socket has taken them.
 *   tx, from the socket to the session: bytes are read into the stream's tx
 *   ring.  While that has no room the socket is not watched for input: TCP's
 *   own window then stops the other end.
 *
 *   The two directions end independently: rx with shutdown(SHUT_WR) after FIN,
 *   tx with end of file.  When both have ended the socket is closed and the
 *   stream left to itself.
 *
 *   EPOLLERR and EPOLLHUP cannot be masked.  A socket that reports them while
 *   nothing can be read for lack of room is taken out of the loop, and read
 *   again when there is room.
 *
 *   A connection that breaks (reset, timed out) may have delivered bytes
 *   before.  The application at the other end is to see these and then the
 *   reset, as it would have seen them without us.  So a broken connection is
 *   read to its end, and the stream is reset once the peer has acknowledged
 *   all of it.
 */
#include "stream_sock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fd.h"

enum {
	/* What one connection may read before others have their turn. */
	READ_TURN_BYTES = 256 << 10,
	/* How much to ask for: little at first, because storage is taken for
	 * it; more when that was not enough. */
	READ_MIN_BYTES = 16 << 10,
	READ_MAX_BYTES = 256 << 10,
	DISCARD_BYTES = 4 << 10,
};

void stream_sock_unwatch(struct stream_sock *ss)
{
	if (ss->is_watched)
		loop_io_del(ss->loop, &ss->io);
	ss->is_watched = false;
}

int stream_sock_watch(struct stream_sock *ss, uint32_t events)
{
	if (ss->is_watched)
		return loop_io_mod(ss->loop, &ss->io, events);
	int r = loop_io_add(ss->loop, &ss->io, events);

	ss->is_watched = r == 0;
	return r;
}

static void close_socket(struct stream_sock *ss)
{
	if (ss->io.fd < 0)
		return;
	stream_sock_unwatch(ss);
	fd_close(&ss->io.fd);
}

/* Close so that the peer sees a reset. */
static void abort_socket(struct stream_sock *ss)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	if (ss->io.fd >= 0)
		(void)setsockopt(ss->io.fd, SOL_SOCKET, SO_LINGER, &reset,
				 sizeof(reset));
	close_socket(ss);
}

static void let_go(struct stream_sock *ss)
{
	if (ss->stream)
		ss->stream->owner = NULL;
	ss->stream = NULL;
	loop_unpost(&ss->pushing);
	free(ss->early);
	ss->early = NULL;
	ss->state = STREAM_SOCK_OVER;
}

void stream_sock_close(struct stream_sock *ss)
{
	close_socket(ss);
	let_go(ss);
}

void stream_sock_abort(struct stream_sock *ss)
{
	abort_socket(ss);
	let_go(ss);
}

/* Nothing more happens here.  The stream is dead or goes on without us. */
static void end(struct stream_sock *ss)
{
	stream_sock_close(ss);
	ss->on_over(ss);
}

/* ---- bytes ---- */

/* True if nothing is left of what goes first. */
static bool give_early(struct stream_sock *ss)
{
	size_t n = ss->early_len - ss->early_at;
	size_t room = stream_tx_room(ss->stream);

	if (!ss->early)
		return true;
	if (n > room)
		n = room;
	if (n > 0 &&
	    stream_write(ss->stream, ss->early + ss->early_at, n) < 0) {
		ss->errnum = ENOMEM;
		ss->is_tx_done = true;
		return false;
	}
	ss->early_at += n;
	if (ss->early_at < ss->early_len)
		return false;
	free(ss->early);
	ss->early = NULL;
	return true;
}

/* Read up to want bytes into the stream, or into nothing if it is to have no
 * more.  Returns as read(2) does, with -errno. */
static ssize_t read_some(struct stream_sock *ss, size_t want)
{
	uint8_t nothing[DISCARD_BYTES];
	struct iovec iov[2] = {{nothing, sizeof(nothing)}};
	int parts = 1;

	if (ss->tx_left > 0)
		parts = stream_tx_reserve(ss->stream, want, iov);
	if (parts < 0)
		return parts;
	ssize_t n = readv(ss->io.fd, iov, parts);

	if (n < 0)
		return -errno;
	if (ss->tx_left == 0 || n == 0)
		return n;
	stream_tx_commit(ss->stream, (size_t)n);
	if (ss->tx_left != UINT64_MAX)
		ss->tx_left -= (size_t)n;
	return n;
}

/*
 * Read what there is and what the stream has room for, at most budget_bytes.
 * Sets is_tx_done, and errnum if that was not a regular end.
 * hop down 1/9 (TCP): bytes of a far socket become the stream's
 */
static void pull(struct stream_sock *ss, size_t budget_bytes, bool is_end_near)
{
	if (!give_early(ss))
		return;
	while (!ss->is_tx_done) {
		size_t want = stream_tx_room(ss->stream);

		if (want > ss->read_bytes)
			want = ss->read_bytes;
		if (want > budget_bytes)
			want = budget_bytes;
		if (ss->tx_left > 0 && want > ss->tx_left)
			want = (size_t)ss->tx_left;
		if (want == 0)
			return;
		ssize_t n = read_some(ss, want);

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN && ss->state == STREAM_SOCK_OPEN)
			return;
		if (n <= 0) {
			ss->is_tx_done = true;
			if (n < 0 && !ss->errnum)
				ss->errnum = (int)-n;
			return;
		}
		budget_bytes -=
			(size_t)n < budget_bytes ? (size_t)n : budget_bytes;
		if ((size_t)n == want && ss->read_bytes < READ_MAX_BYTES)
			ss->read_bytes *= 4;
		else if ((size_t)n < ss->read_bytes / 8)
			ss->read_bytes /= 2;
		if (ss->read_bytes < READ_MIN_BYTES)
			ss->read_bytes = READ_MIN_BYTES;
		/* Empty now.  Asking again would tell EAGAIN, or the end. */
		if ((size_t)n < want && !is_end_near)
			return;
	}
}

/* Write what waits in the ring, and the end that followed it.
 * hop up 11/11 (TCP): what came together is handed to the kernel's socket */
static void push(struct stream_sock *ss)
{
	struct stream *s = ss->stream;

	while (ring_len(&s->rx) > 0) {
		struct iovec iov[2];
		size_t len = ring_len(&s->rx);
		struct msghdr m = {.msg_iov = iov};

		m.msg_iovlen = (size_t)stream_rx_peek(s, s->rx.start, len, iov);
		ssize_t n = sendmsg(ss->io.fd, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			ss->errnum = errno;
			return;
		}
		if (n > 0)
			stream_consume(s, s->rx.start + (uint64_t)n);
		ss->is_rx_blocked = n < 0 || (size_t)n < len;
		if (ss->is_rx_blocked)
			return;
	}
	if (s->rx_fin && !ss->is_rx_done) {
		(void)shutdown(ss->io.fd, SHUT_WR);
		ss->is_rx_done = true;
		stream_consume_fin(s); /* may call on_closed */
	}
}

static uint32_t interest(const struct stream_sock *ss)
{
	uint32_t events = ss->is_rx_blocked ? EPOLLOUT : 0;

	if (!ss->is_tx_done && !ss->early && stream_tx_room(ss->stream) > 0)
		events |= EPOLLIN | EPOLLRDHUP;
	return events;
}

/* Bring socket and stream to what the flags say, after anything happened. */
static void settle(struct stream_sock *ss)
{
	if (ss->state == STREAM_SOCK_OPEN && ss->errnum) {
		ss->state = STREAM_SOCK_BROKEN;
		stream_sock_unwatch(ss);
	}
	if (ss->state == STREAM_SOCK_BROKEN) {
		pull(ss, SIZE_MAX, true);
		if (ss->is_tx_done)
			close_socket(ss);
		if (ss->is_tx_done && stream_tx_unacked(ss->stream) == 0) {
			stream_reset(ss->stream,
				     frame_reason_from_errno(ss->errnum));
			end(ss);
		}
		return;
	}
	if (ss->state != STREAM_SOCK_OPEN)
		return;
	if (ss->is_tx_done)
		stream_write_fin(ss->stream);
	if (ss->is_tx_done && ss->is_rx_done) {
		end(ss);
		return;
	}
	int r = ss->is_watched || interest(ss)
			? stream_sock_watch(ss, interest(ss))
			: 0;
	if (r < 0) {
		ss->errnum = -r;
		settle(ss);
	}
}

/* ---- events of the socket ---- */

static int pending_error(int fd)
{
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
		return errno;
	return errnum;
}

static void on_event(void *ctx, uint32_t events)
{
	struct stream_sock *ss = ctx;

	if (events & EPOLLOUT) {
		ss->is_rx_blocked = false;
		push(ss);
	}
	if (ss->state == STREAM_SOCK_OPEN && !ss->errnum) {
		bool is_end_near = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

		pull(ss, READ_TURN_BYTES, is_end_near);
		if (ss->is_tx_done && !ss->errnum && (events & EPOLLERR))
			ss->errnum = pending_error(ss->io.fd);
		/* It would be reported for ever. */
		if (events & (EPOLLHUP | EPOLLERR))
			stream_sock_unwatch(ss);
	}
	settle(ss);
}

/* ---- events of the stream ---- */

static void on_readable(struct stream *s)
{
	struct stream_sock *ss = s->owner;

	if (ss && ss->state == STREAM_SOCK_OPEN && !ss->is_rx_blocked)
		loop_post(ss->loop, &ss->pushing);
}

static void on_pushing(void *ctx)
{
	struct stream_sock *ss = ctx;

	if (ss->state != STREAM_SOCK_OPEN || ss->is_rx_blocked)
		return;
	push(ss);
	settle(ss);
}

static void on_writable(struct stream *s)
{
	struct stream_sock *ss = s->owner;

	if (!ss)
		return;
	/* A socket that hung up is not watched: nothing else would read it. */
	if (ss->state == STREAM_SOCK_OPEN && (!ss->is_watched || ss->early))
		pull(ss, SIZE_MAX, true);
	settle(ss);
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	struct stream_sock *ss = s->owner;

	(void)reason; /* TCP has only one kind of reset */
	/* What was sent before it can be read by who is reset. */
	if (ss->state == STREAM_SOCK_OPEN && !ss->is_rx_blocked)
		push(ss);
	stream_sock_abort(ss);
	ss->on_over(ss);
}

static void on_closed(struct stream *s)
{
	end(s->owner);
}

static const struct stream_ops ops = {
	.on_readable = on_readable,
	.on_writable = on_writable,
	.on_reset = on_reset,
	.on_closed = on_closed,
};

/* ---- life ---- */

void stream_sock_init(struct stream_sock *ss, struct loop *loop, int fd,
		      void (*on_over)(struct stream_sock *ss))
{
	*ss = (struct stream_sock){
		.loop = loop,
		.io.fd = fd,
		.state = STREAM_SOCK_IDLE,
		.read_bytes = READ_MIN_BYTES,
		.tx_left = UINT64_MAX,
		.on_over = on_over,
	};
	ss->pushing = (struct loop_task){.on_run = on_pushing, .ctx = ss};
	list_init(&ss->pushing.link);
}

void stream_sock_set_early(struct stream_sock *ss, uint8_t *bytes, size_t len)
{
	ss->early = bytes;
	ss->early_at = 0;
	ss->early_len = len;
}

void stream_sock_start(struct stream_sock *ss, struct stream *stream)
{
	ss->stream = stream;
	ss->io.on_event = on_event;
	ss->io.ctx = ss;
	ss->state = STREAM_SOCK_OPEN;
	stream->owner = ss;
	stream->ops = &ops;
	if (ss->early)
		(void)give_early(ss);
	settle(ss);
}
