/* SPDX-License-Identifier: MIT */
/*
 * tcp_out: streams of the session as TCP connections of this host.
 *
 * Theory of operation
 *   Up: bytes go from the frame straight to the socket while it takes them.
 *   What it does not take stays in the stream's rx ring, and EPOLLOUT says when
 *   to go on.  Bytes count as consumed when the socket has taken them.
 *   Down: bytes are read into the stream's tx ring.  While that has no room the
 *   socket is not watched for input: TCP's own window then stops the peer.
 *
 *   The two directions end independently: up with shutdown(SHUT_WR) after FIN,
 *   down with end of file.  When both have ended the socket is closed and the
 *   stream left to itself.
 *
 *   EPOLLERR and EPOLLHUP cannot be masked.  A socket that reports them while
 *   nothing can be read for lack of room is taken out of the loop, and read
 *   again when there is room.
 *
 *   A connection that breaks (reset, timed out) may have delivered bytes
 * before. The near application is to see these and then the reset, as it would
 * have seen them without us.  So a broken connection is read to its end, and
 * the stream is reset once the near end has acknowledged all of it.
 *
 * Ownership: a struct tcp_out belongs to its table; it borrows the stream until
 * the stream is dead or disowned.  Freed at the end of the turn.
 */
#include "tcp_out.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "errqueue.h"
#include "fd.h"
#include "policy.h"

enum {
	KEEPALIVE_IDLE_S = 300,
	/* What one connection may read before others have their turn. */
	READ_TURN_BYTES = 256 << 10,
	/* How much to ask for: little at first, because storage is taken for
	 * it; more when that was not enough. */
	READ_MIN_BYTES = 16 << 10,
	READ_MAX_BYTES = 256 << 10,
	TOS_DSCP_MASK = 0xfc,
};

enum tcp_out_state {
	/* connect(2) under way; watched for EPOLLOUT.  No bytes move. */
	TCP_OUT_CONNECTING,
	/* Watched for what interest() says, or not at all if the socket has
	 * hung up and there is no room. */
	TCP_OUT_OPEN,
	/* errnum says why; not watched.  fd is open while there may be more to
	 * read, then -1 until the near end has everything. */
	TCP_OUT_BROKEN,
	/* In table->dead; no stream, no fd. */
	TCP_OUT_DEAD,
};

struct tcp_out {
	struct tcp_out_table *table; /* borrowed */
	struct stream *stream;	     /* borrowed; NULL when dead */
	struct loop_io io;	     /* fd is owned, or -1 */
	struct list link;	     /* table->live or table->dead */
	enum tcp_out_state state;
	enum ip_version version;
	int errnum;	     /* of what broke the connection */
	uint32_t read_bytes; /* to ask for next, READ_MIN..MAX_BYTES */
	bool is_watched;     /* io is in the loop */
	bool is_up_blocked;  /* the socket is full: wait for EPOLLOUT */
	bool is_up_done;     /* SHUT_WR was done, or makes no sense any more */
	bool is_down_done;   /* end of file was read, or an error */
};

static void unwatch(struct tcp_out *t)
{
	if (t->is_watched)
		loop_io_del(t->table->loop, &t->io);
	t->is_watched = false;
}

static int watch(struct tcp_out *t, uint32_t events)
{
	if (t->is_watched)
		return loop_io_mod(t->table->loop, &t->io, events);
	int r = loop_io_add(t->table->loop, &t->io, events);

	t->is_watched = r == 0;
	return r;
}

static void close_socket(struct tcp_out *t)
{
	if (t->io.fd < 0)
		return;
	unwatch(t);
	fd_close(&t->io.fd);
	t->table->n--;
}

/* Close so that the peer sees a reset. */
static void abort_socket(struct tcp_out *t)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	if (t->io.fd >= 0)
		(void)setsockopt(t->io.fd, SOL_SOCKET, SO_LINGER, &reset,
				 sizeof(reset));
	close_socket(t);
}

/* Nothing more happens here.  The stream is dead or goes on without us. */
static void bury(struct tcp_out *t)
{
	close_socket(t);
	t->stream->owner = NULL;
	t->stream = NULL;
	t->state = TCP_OUT_DEAD;
	list_del(&t->link);
	list_push(&t->table->dead, &t->link);
	loop_post(t->table->loop, &t->table->bury);
}

/* ---- connecting ---- */

static void refuse(struct stream *s, enum frame_reason reason)
{
	struct frame_refused why = {.reason = reason};

	session_refuse(s, &why);
}

void tcp_out_add_icmp_detail(int fd, struct frame_refused *why)
{
	struct errqueue_entry e;

	while (errqueue_read(fd, &e) == 0) {
		if (e.origin != ERRQUEUE_ICMP)
			continue;
		why->icmp_type = e.type;
		why->icmp_code = e.code;
		why->icmp_info = e.info;
		why->offender = e.offender;
	}
}

static void refuse_failed(struct tcp_out *t, int errnum)
{
	struct frame_refused why = {.reason = frame_reason_from_errno(errnum)};

	tcp_out_add_icmp_detail(t->io.fd, &why);
	session_refuse(t->stream, &why);
	bury(t);
}

static void set_int(int fd, int level, int name, int value)
{
	/* None of what is set here is worth failing for. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_options(int fd, const struct frame_open *open)
{
	int ttl = open->ttl > 0 ? open->ttl : 1;
	int tos = open->tos & TOS_DSCP_MASK;

	if (open->dst.addr.version == IPV4) {
		set_int(fd, IPPROTO_IP, IP_TTL, ttl);
		if (tos)
			set_int(fd, IPPROTO_IP, IP_TOS, tos);
	} else {
		/* Else a v4-mapped destination would get around policy. */
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl);
		if (tos)
			set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, tos);
	}
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	(void)errqueue_enable(fd, open->dst.addr.version);
}

static void on_event(void *ctx, uint32_t events);

static struct tcp_out *tcp_out_new(struct tcp_out_table *table,
				   struct stream *s, enum ip_version version,
				   int fd)
{
	struct tcp_out *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->table = table;
	t->stream = s;
	t->io = (struct loop_io){.fd = fd, .on_event = on_event, .ctx = t};
	t->version = version;
	t->read_bytes = READ_MIN_BYTES;
	t->state = TCP_OUT_CONNECTING;
	list_push(&table->live, &t->link);
	table->n++;
	s->owner = t;
	return t;
}

int tcp_out_dial(const struct frame_open *open, int *ret_fd)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = endpoint_to_sockaddr(&open->dst, &ss);
	int fd = socket(ss.ss_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	set_options(fd, open);
	if (connect(fd, (const struct sockaddr *)&ss, ss_len) < 0 &&
	    errno != EINPROGRESS) {
		int error = errno;

		fd_close(&fd);
		return -error;
	}
	*ret_fd = fd;
	return 0;
}

void tcp_out_on_open(struct tcp_out_table *table, struct stream *s,
		     const struct frame_open *open)
{
	int fd = -1;

	if (open->proto != IPPROTO_TCP) {
		refuse(s, FRAME_REASON_OTHER);
		return;
	}
	if (!policy_allows(table->policy, &open->dst.addr)) {
		session_count_drop(s->session, DROP_POLICY);
		refuse(s, FRAME_REASON_PROHIBITED);
		return;
	}
	int r = tcp_out_dial(open, &fd);
	if (r < 0) {
		refuse(s, frame_reason_from_errno(-r));
		return;
	}
	struct tcp_out *t = tcp_out_new(table, s, open->dst.addr.version, fd);
	if (!t) {
		fd_close(&fd);
		refuse(s, FRAME_REASON_NO_RESOURCES);
		return;
	}
	r = watch(t, EPOLLOUT);
	if (r < 0)
		refuse_failed(t, -r);
}

/* ---- bytes ---- */

/*
 * Read what there is and what the stream has room for, at most budget_bytes.
 * Sets is_down_done, and errnum if that was not a regular end.
 * hop down 1/9 (TCP): bytes of a far socket become the stream's
 */
static void pull(struct tcp_out *t, size_t budget_bytes, bool is_end_near)
{
	while (!t->is_down_done) {
		struct iovec iov[2];
		size_t want = stream_tx_room(t->stream);

		if (want > t->read_bytes)
			want = t->read_bytes;
		if (want > budget_bytes)
			want = budget_bytes;
		if (want == 0)
			return;
		int parts = stream_tx_reserve(t->stream, want, iov);
		ssize_t n = parts < 0 ? -1 : readv(t->io.fd, iov, parts);
		int errnum = parts < 0 ? -parts : errno;

		if (n < 0 && errnum == EINTR)
			continue;
		if (n < 0 && errnum == EAGAIN && t->state == TCP_OUT_OPEN)
			return;
		if (n <= 0) {
			t->is_down_done = true;
			if (n < 0 && !t->errnum)
				t->errnum = errnum;
			return;
		}
		stream_tx_commit(t->stream, (size_t)n);
		budget_bytes -= (size_t)n;
		if ((size_t)n == want && t->read_bytes < READ_MAX_BYTES)
			t->read_bytes *= 4;
		else if ((size_t)n < t->read_bytes / 8)
			t->read_bytes /= 2;
		if (t->read_bytes < READ_MIN_BYTES)
			t->read_bytes = READ_MIN_BYTES;
		/* Empty now.  Asking again would tell EAGAIN, or the end. */
		if ((size_t)n < want && !is_end_near)
			return;
	}
}

/* Write what waited in the ring, and the end that followed it. */
static void push(struct tcp_out *t)
{
	struct stream *s = t->stream;

	while (ring_len(&s->rx) > 0) {
		struct iovec iov[2];
		size_t len = ring_len(&s->rx);
		struct msghdr m = {.msg_iov = iov};

		m.msg_iovlen = (size_t)stream_rx_peek(s, s->rx.start, len, iov);
		ssize_t n = sendmsg(t->io.fd, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			t->errnum = errno;
			return;
		}
		if (n > 0)
			stream_consume(s, s->rx.start + (uint64_t)n);
		t->is_up_blocked = n < 0 || (size_t)n < len;
		if (t->is_up_blocked)
			return;
	}
	if (s->rx_fin && !t->is_up_done) {
		(void)shutdown(t->io.fd, SHUT_WR);
		t->is_up_done = true;
		stream_consume_fin(s); /* may call tcp_out_on_closed */
	}
}

static uint32_t interest(const struct tcp_out *t)
{
	uint32_t events = t->is_up_blocked ? EPOLLOUT : 0;

	if (!t->is_down_done && stream_tx_room(t->stream) > 0)
		events |= EPOLLIN | EPOLLRDHUP;
	return events;
}

/* Bring socket and stream to what the flags say, after anything happened. */
static void settle(struct tcp_out *t)
{
	if (t->state == TCP_OUT_OPEN && t->errnum) {
		t->state = TCP_OUT_BROKEN;
		unwatch(t);
	}
	if (t->state == TCP_OUT_BROKEN) {
		pull(t, SIZE_MAX, true);
		if (t->is_down_done)
			close_socket(t);
		if (t->is_down_done && ring_len(&t->stream->tx) == 0) {
			stream_reset(t->stream,
				     frame_reason_from_errno(t->errnum));
			bury(t);
		}
		return;
	}
	if (t->state != TCP_OUT_OPEN)
		return;
	if (t->is_down_done)
		stream_write_fin(t->stream);
	if (t->is_down_done && t->is_up_done) {
		bury(t);
		return;
	}
	int r = t->is_watched || interest(t) ? watch(t, interest(t)) : 0;
	if (r < 0) {
		t->errnum = -r;
		settle(t);
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

/* The socket is connected: bytes may move. */
static void start(struct tcp_out *t)
{
	/* From here on an ICMP error must not end the connection. */
	(void)errqueue_disable(t->io.fd, t->version);
	t->state = TCP_OUT_OPEN;
	session_accept(t->stream);
	settle(t);
}

static void on_connected(struct tcp_out *t)
{
	int errnum = pending_error(t->io.fd);

	if (errnum) {
		refuse_failed(t, errnum);
		return;
	}
	start(t);
}

void tcp_out_adopt(struct tcp_out_table *table, struct stream *s,
		   enum ip_version version, int fd)
{
	struct tcp_out *t = tcp_out_new(table, s, version, fd);

	if (!t) {
		fd_close(&fd);
		refuse(s, FRAME_REASON_NO_RESOURCES);
		return;
	}
	s->ops = &tcp_out_stream_ops;
	start(t);
}

static void on_event(void *ctx, uint32_t events)
{
	struct tcp_out *t = ctx;

	if (t->state == TCP_OUT_CONNECTING) {
		on_connected(t);
		return;
	}
	if (events & EPOLLOUT) {
		t->is_up_blocked = false;
		push(t);
	}
	if (t->state == TCP_OUT_OPEN && !t->errnum) {
		bool is_end_near = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

		pull(t, READ_TURN_BYTES, is_end_near);
		if (t->is_down_done && !t->errnum && (events & EPOLLERR))
			t->errnum = pending_error(t->io.fd);
		/* It would be reported for ever. */
		if (events & (EPOLLHUP | EPOLLERR))
			unwatch(t);
	}
	settle(t);
}

/* ---- events of the stream ---- */

/* hop up 11/11 (TCP): bytes of a frame are handed to the kernel's socket */
size_t tcp_out_on_data(struct stream *s, const uint8_t *bytes, size_t len)
{
	struct tcp_out *t = s->owner;

	if (!t || t->state != TCP_OUT_OPEN || t->is_up_blocked)
		return 0;
	ssize_t n = send(t->io.fd, bytes, len, MSG_NOSIGNAL);
	if (n >= 0 && (size_t)n == len)
		return len;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		t->errnum = errno;
	else
		t->is_up_blocked = n >= 0 || errno == EAGAIN;
	settle(t);
	return n > 0 ? (size_t)n : 0;
}

void tcp_out_on_readable(struct stream *s)
{
	struct tcp_out *t = s->owner;

	if (!t || t->state != TCP_OUT_OPEN || t->is_up_blocked)
		return;
	push(t);
	settle(t);
}

void tcp_out_on_writable(struct stream *s)
{
	struct tcp_out *t = s->owner;

	if (!t)
		return;
	/* A socket that hung up is not watched: nothing else would read it. */
	if (t->state == TCP_OUT_OPEN && !t->is_watched)
		pull(t, SIZE_MAX, true);
	settle(t);
}

void tcp_out_on_reset(struct stream *s, enum frame_reason reason)
{
	struct tcp_out *t = s->owner;

	(void)reason; /* TCP has only one kind of reset */
	if (!t)
		return;
	abort_socket(t);
	bury(t);
}

void tcp_out_on_closed(struct stream *s)
{
	if (s->owner)
		bury(s->owner);
}

const struct stream_ops tcp_out_stream_ops = {
	.on_data = tcp_out_on_data,
	.on_readable = tcp_out_on_readable,
	.on_writable = tcp_out_on_writable,
	.on_reset = tcp_out_on_reset,
	.on_closed = tcp_out_on_closed,
};

/* ---- the table ---- */

static void on_bury(void *ctx)
{
	struct tcp_out_table *table = ctx;
	struct list *link;

	while ((link = list_pop(&table->dead)))
		free(container_of(link, struct tcp_out, link));
}

void tcp_out_table_init(struct tcp_out_table *t, struct loop *loop,
			unsigned policy)
{
	*t = (struct tcp_out_table){.loop = loop, .policy = policy};
	list_init(&t->live);
	list_init(&t->dead);
	t->bury = (struct loop_task){.on_run = on_bury, .ctx = t};
	list_init(&t->bury.link);
}

void tcp_out_table_fini(struct tcp_out_table *table)
{
	while (!list_is_empty(&table->live)) {
		struct tcp_out *t =
			container_of(table->live.next, struct tcp_out, link);
		if (t->is_up_done)
			close_socket(t);
		else
			abort_socket(t);
		bury(t);
	}
	loop_unpost(&table->bury);
	on_bury(table);
}
