/* SPDX-License-Identifier: MIT */
/*
 * tcp_out: streams of the session as TCP connections of this host.
 *
 * Theory of operation
 *   A socket is connected here, and the answer to OPEN says how that went. From
 *   then on stream_sock moves the bytes, and tells when it is over.
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

#include "errqueue.h"
#include "fd.h"
#include "policy.h"
#include "stream_sock.h"

enum {
	KEEPALIVE_IDLE_S = 300,
	TOS_DSCP_MASK = 0xfc,
};

struct tcp_out {
	struct tcp_out_table *table; /* borrowed */
	/* Borrowed; while connecting, then it is stream_sock's. */
	struct stream *stream;
	struct stream_sock sock; /* idle: connect(2) under way */
	struct list link;	 /* table->live or table->dead */
	enum ip_version version;
};

/* Nothing more happens here.  The stream is dead or goes on without us. */
static void bury(struct tcp_out *t)
{
	if (t->stream)
		t->stream->owner = NULL;
	t->stream = NULL;
	stream_sock_close(&t->sock);
	t->table->n--;
	list_del(&t->link);
	list_push(&t->table->dead, &t->link);
	loop_post(t->table->loop, &t->table->bury);
}

static void on_over(struct stream_sock *ss)
{
	bury(container_of(ss, struct tcp_out, sock));
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

	tcp_out_add_icmp_detail(t->sock.io.fd, &why);
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
static const struct stream_ops connecting_ops;

static struct tcp_out *tcp_out_new(struct tcp_out_table *table,
				   struct stream *s, enum ip_version version,
				   int fd)
{
	struct tcp_out *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->table = table;
	t->stream = s;
	stream_sock_init(&t->sock, table->loop, fd, on_over);
	t->sock.io.on_event = on_event;
	t->sock.io.ctx = t;
	t->version = version;
	list_push(&table->live, &t->link);
	table->n++;
	s->owner = t;
	s->ops = &connecting_ops;
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
	r = stream_sock_watch(&t->sock, EPOLLOUT);
	if (r < 0)
		refuse_failed(t, -r);
}

/* ---- the outcome ---- */

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
	struct stream *stream = t->stream;

	/* From here on an ICMP error must not end the connection. */
	(void)errqueue_disable(t->sock.io.fd, t->version);
	session_accept(stream);
	t->stream = NULL;
	stream_sock_start(&t->sock, stream);
}

static void on_event(void *ctx, uint32_t events)
{
	struct tcp_out *t = ctx;
	int errnum = pending_error(t->sock.io.fd);

	(void)events;
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
	start(t);
}

/* ---- events of a stream that is not open yet ---- */

static void on_reset(struct stream *s, enum frame_reason reason)
{
	(void)reason;
	bury(s->owner);
}

/* Nothing else can happen to it. */
static const struct stream_ops connecting_ops = {
	.on_reset = on_reset,
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
		if (t->sock.is_rx_done)
			stream_sock_close(&t->sock);
		else
			stream_sock_abort(&t->sock);
		bury(t);
	}
	loop_unpost(&table->bury);
	on_bury(table);
}
