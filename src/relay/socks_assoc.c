/* SPDX-License-Identifier: MIT */
/*
 * socks_assoc: associations of the session as UDP associations of a SOCKS 5
 * server.
 *
 * Theory of operation
 *   The first datagram with an id asks the server for an association: a
 *   connection that lives as long as it does, and a port of the server's for
 *   one UDP socket of ours.  What comes before the server's reply waits.
 *
 *   Datagrams go to the server's own address at the port it names, whatever
 *   address it names: else a hostile one could have us send anywhere.  Only
 *   what comes from there is taken, and of that only what says that it comes
 *   from where was sent to.
 *
 *   A server without UDP still has connections: what goes to port 53 is asked
 *   by dns_tcp, anything else is prohibited.
 *
 * Ownership: the table owns associations and streams of dns_tcp.  They are
 * freed at once: no caller up the stack holds one.
 *
 * Spec: RFC 1928 sections 6 and 7; doc/PROTOCOL.session section 5
 */
#include "socks_assoc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "fd.h"
#include "peer_set.h"

enum {
	DNS_PORT = 53,
	DATAGRAM_MAX = SOCKS_UDP_HEADER_MAX + FRAME_DGRAM_MAX,
	DATAGRAMS_PER_TURN = 64,
	SOCKET_BUFFER_BYTES = 1 << 20,
	DNS_READ_BYTES = 16 << 10,
};

enum assoc_state {
	/* Nothing is needed of the server: it serves dns_tcp. */
	ASSOC_IDLE,
	ASSOC_DIALING, /* datagrams wait */
	ASSOC_OPEN,
};

struct socks_assoc {
	struct socks_assoc_table *table; /* borrowed */
	struct htab_node node;		 /* by id */
	struct list link;		 /* table->by_use */
	uint32_t id;
	enum assoc_state state;
	mono_us_t used_us;
	struct socks_dial dial;
	struct loop_io control; /* fd is owned, or -1 */
	struct loop_io io;	/* of the UDP socket; likewise */
	struct peer_set peers;
	struct dgram_queue queue; /* down */
	struct list waiting;	  /* struct waiting, up */
	unsigned n_waiting;
	size_t waiting_bytes;
};

/* A datagram that waits for the association. */
struct waiting {
	struct list link;
	struct frame_dgram d; /* payload is below */
	uint8_t payload[];
};

/* A byte stream to a DNS server. */
struct dns_stream {
	struct socks_assoc_table *table; /* borrowed */
	struct dns_tcp_conn *conn;	 /* borrowed */
	struct list link;
	struct socks_dial dial;
	struct loop_io io; /* fd is owned, or -1 */
};

/* ---- life ---- */

static struct socks_assoc *find(const struct socks_assoc_table *t, uint32_t id)
{
	struct htab_node *node = htab_find(&t->by_id, htab_hash_u32(id));

	return node ? container_of(node, struct socks_assoc, node) : NULL;
}

static void touch(struct socks_assoc *a)
{
	a->used_us = loop_now_us(a->table->relay->loop);
	list_del(&a->link);
	list_push(&a->table->by_use, &a->link);
}

static void close_io(struct loop *loop, struct loop_io *io)
{
	if (io->fd < 0)
		return;
	loop_io_del(loop, io);
	fd_close(&io->fd);
}

static struct waiting *pop_waiting(struct socks_assoc *a)
{
	struct list *link = list_pop(&a->waiting);

	if (!link)
		return NULL;
	struct waiting *w = container_of(link, struct waiting, link);

	a->n_waiting--;
	a->waiting_bytes -= w->d.payload_len;
	return w;
}

static void free_assoc(struct socks_assoc *a)
{
	struct socks_assoc_table *t = a->table;
	struct loop *loop = t->relay->loop;
	struct waiting *w;

	dns_tcp_forget(&t->dns, a->id);
	if (a->state == ASSOC_DIALING)
		socks_dial_stop(&a->dial);
	close_io(loop, &a->control);
	close_io(loop, &a->io);
	while ((w = pop_waiting(a)))
		free(w);
	dgram_queue_fini(&a->queue);
	peer_set_fini(&a->peers);
	htab_del(&t->by_id, &a->node);
	list_del(&a->link);
	free(a);
}

static void end_assoc(struct socks_assoc *a, enum frame_reason reason)
{
	session_send_assoc_close(a->table->relay->session, a->id, reason);
	free_assoc(a);
}

static void evict(struct socks_assoc_table *t)
{
	struct list *link = list_pop(&t->by_use);

	if (link)
		end_assoc(container_of(link, struct socks_assoc, link),
			  FRAME_REASON_NONE);
}

static void on_udp(void *ctx, uint32_t events);
static void on_control(void *ctx, uint32_t events);

static struct socks_assoc *assoc_new(struct socks_assoc_table *t, uint32_t id)
{
	if (t->by_id.n >= SOCKS_ASSOC_MAX)
		evict(t);
	struct socks_assoc *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->table = t;
	a->id = id;
	a->node.hash = htab_hash_u32(id);
	if (htab_add(&t->by_id, &a->node) < 0) {
		free(a);
		return NULL;
	}
	a->control =
		(struct loop_io){.fd = -1, .on_event = on_control, .ctx = a};
	a->io = (struct loop_io){.fd = -1, .on_event = on_udp, .ctx = a};
	list_init(&a->link);
	list_init(&a->waiting);
	peer_set_init(&a->peers, t->seed);
	dgram_queue_init(&a->queue, id);
	touch(a);
	if (!timer_is_armed(&t->idle))
		timer_arm(t->relay->loop, &t->idle, SOCKS_ASSOC_IDLE_US);
	return a;
}

static void on_idle(void *ctx)
{
	struct socks_assoc_table *t = ctx;
	mono_us_t now_us = loop_now_us(t->relay->loop);

	list_for_each_safe (link, &t->by_use) {
		struct socks_assoc *a =
			container_of(link, struct socks_assoc, link);
		uint64_t idle_us = now_us - a->used_us;

		if (idle_us < SOCKS_ASSOC_IDLE_US) {
			timer_arm(t->relay->loop, &t->idle,
				  SOCKS_ASSOC_IDLE_US - idle_us);
			return;
		}
		end_assoc(a, FRAME_REASON_NONE);
	}
}

/* ---- up ---- */

static void send_up(struct socks_assoc *a, const struct frame_dgram *d)
{
	struct session *s = a->table->relay->session;
	uint8_t header[SOCKS_UDP_HEADER_MAX];
	struct socks_addr to = {.at = d->remote};
	struct iovec iov[2] = {
		{header, socks_build_udp(header, &to)},
		{(void *)(uintptr_t)d->payload, d->payload_len},
	};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n = sendmsg(a->io.fd, &m, MSG_NOSIGNAL);

	/* An error of before is told first, and not sent then. */
	if (n < 0 && errno == ECONNREFUSED)
		n = sendmsg(a->io.fd, &m, MSG_NOSIGNAL);
	if (n >= 0)
		return;
	session_count_drop(s, errno == EMSGSIZE ? DROP_BAD_LENGTH
						: DROP_QUEUE_FULL);
}

static void wait_for_server(struct socks_assoc *a, const struct frame_dgram *d)
{
	struct session *s = a->table->relay->session;
	struct waiting *w = NULL;

	if (a->n_waiting >= SOCKS_ASSOC_WAITING_MAX ||
	    a->waiting_bytes + d->payload_len > SOCKS_ASSOC_WAITING_BYTES) {
		session_count_drop(s, DROP_QUEUE_FULL);
		return;
	}
	w = malloc(sizeof(*w) + d->payload_len);
	if (!w) {
		session_count_drop(s, DROP_NO_MEMORY);
		return;
	}
	w->d = *d;
	w->d.payload = w->payload;
	if (d->payload_len > 0)
		memcpy(w->payload, d->payload, d->payload_len);
	list_push(&a->waiting, &w->link);
	a->n_waiting++;
	a->waiting_bytes += d->payload_len;
}

static void ask_dns(struct socks_assoc *a, const struct frame_dgram *d)
{
	struct dns_tcp_query q = {
		.tag = a->id,
		.server = d->remote,
		.remote = d->remote,
		.message = d->payload,
		.len = d->payload_len,
	};
	enum drop_reason reason = dns_tcp_ask(&a->table->dns, &q);

	if (reason != DROP_NONE)
		session_count_drop(a->table->relay->session, reason);
}

/* Datagrams cannot go on: what is for a DNS server does by TCP. */
static void go_without_udp(struct socks_assoc *a, const struct frame_dgram *d)
{
	if (d->remote.port == DNS_PORT)
		ask_dns(a, d);
	else
		relay_prohibit(a->table->relay, a->id, d);
}

/* ---- making an association ---- */

/* A socket that knows nobody but the server, at that port. */
static int open_udp(struct socks_assoc *a, uint16_t port)
{
	struct endpoint to = {a->table->proxy->at.addr, port};
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&to, &ss);
	int size = SOCKET_BUFFER_BYTES;

	a->io.fd = socket(ss.ss_family,
			  SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->io.fd < 0)
		return -errno;
	(void)setsockopt(a->io.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	(void)setsockopt(a->io.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (connect(a->io.fd, (const struct sockaddr *)&ss, len) < 0)
		return -errno;
	return loop_io_add(a->table->relay->loop, &a->io, EPOLLIN);
}

static void open_up(struct socks_assoc *a, uint16_t port)
{
	struct waiting *w;
	int r = open_udp(a, port);

	if (r == 0)
		r = loop_io_add(a->table->relay->loop, &a->control, EPOLLIN);
	if (r < 0) {
		end_assoc(a, FRAME_REASON_NO_RESOURCES);
		return;
	}
	a->state = ASSOC_OPEN;
	while ((w = pop_waiting(a))) {
		send_up(a, &w->d);
		free(w);
	}
}

static void go_on_without_udp(struct socks_assoc *a)
{
	struct waiting *w;

	a->table->has_udp = false;
	a->state = ASSOC_IDLE;
	while ((w = pop_waiting(a))) {
		go_without_udp(a, &w->d);
		free(w);
	}
}

static void on_associated(struct socks_dial *d, const struct socks_result *why)
{
	struct socks_assoc *a = container_of(d, struct socks_assoc, dial);
	bool is_reply = why->end == SOCKS_DIAL_REPLIED;

	if (is_reply && why->reply.outcome == SOCKS_GRANTED) {
		a->control.fd = socks_dial_take(d);
		open_up(a, why->reply.bound.at.port);
	} else if (is_reply && why->reply.outcome == SOCKS_BAD_COMMAND) {
		go_on_without_udp(a);
	} else {
		/* Whoever sends again tries again. */
		session_count_drop(a->table->relay->session, DROP_FLOW_LIMIT);
		a->state = ASSOC_IDLE;
		end_assoc(a, socks_result_reason(why));
	}
}

static int dial(struct socks_assoc *a)
{
	static const struct socks_addr anywhere = {.at.port = 0};
	struct socks_assoc_table *t = a->table;

	a->dial.on_done = on_associated;
	int r = socks_dial_start(&a->dial, t->relay->loop, t->proxy,
				 SOCKS_UDP_ASSOCIATE, &anywhere);
	if (r == 0)
		a->state = ASSOC_DIALING;
	return r;
}

void socks_assoc_on_dgram(struct socks_assoc_table *t, uint32_t id,
			  const struct frame_dgram *d)
{
	struct session *s = t->relay->session;
	struct socks_assoc *a = find(t, id);

	if (d->ttl == 0) {
		session_count_drop(s, DROP_TTL_EXCEEDED);
		return;
	}
	if (d->proto != PKT_PROTO_UDP ||
	    (!t->has_udp && d->remote.port != DNS_PORT)) {
		relay_prohibit(t->relay, id, d);
		return;
	}
	if (!a)
		a = assoc_new(t, id);
	if (!a || peer_set_add(&a->peers, &d->remote) < 0) {
		session_count_drop(s, DROP_NO_MEMORY);
		return;
	}
	touch(a);
	if (!t->has_udp && a->state == ASSOC_IDLE) {
		go_without_udp(a, d);
		return;
	}
	if (a->state == ASSOC_IDLE && dial(a) < 0) {
		session_count_drop(s, DROP_FLOW_LIMIT);
		end_assoc(a, FRAME_REASON_NO_RESOURCES);
		return;
	}
	if (a->state == ASSOC_OPEN)
		send_up(a, d);
	else
		wait_for_server(a, d);
}

void socks_assoc_on_close(struct socks_assoc_table *t, uint32_t id)
{
	struct socks_assoc *a = find(t, id);

	if (a)
		free_assoc(a);
}

/* ---- down ---- */

static void pass_down(struct socks_assoc *a, const struct endpoint *from,
		      const uint8_t *payload, size_t len)
{
	struct session *s = a->table->relay->session;
	struct frame_dgram d = {
		.proto = PKT_PROTO_UDP,
		.ttl = 63, /* not known; we are a hop */
		.remote = *from,
		.payload = payload,
		.payload_len = len,
	};

	if (!from->addr.version || !peer_set_has(&a->peers, from)) {
		session_count_drop(s, DROP_UDP_FILTERED);
		return;
	}
	touch(a);
	enum drop_reason reason = session_send_dgram(s, &a->queue, &d);
	if (reason != DROP_NONE)
		session_count_drop(s, reason);
}

static void on_udp(void *ctx, uint32_t events)
{
	struct socks_assoc *a = ctx;
	uint8_t *buf = a->table->buf;

	(void)events;
	for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
		struct socks_addr from;
		ssize_t n = recv(a->io.fd, buf, DATAGRAM_MAX, MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* ECONNREFUSED: that port may come back */
			return;
		int at = n > DATAGRAM_MAX
				 ? -EBADMSG
				 : socks_parse_udp(buf, (size_t)n, &from);
		if (at < 0 || (size_t)n - (size_t)at > FRAME_DGRAM_MAX)
			session_count_drop(a->table->relay->session,
					   DROP_BAD_LENGTH);
		else
			pass_down(a, &from.at, buf + at,
				  (size_t)n - (size_t)at);
	}
}

/* Nothing is ever said there: it is the end of the association. */
static void on_control(void *ctx, uint32_t events)
{
	struct socks_assoc *a = ctx;
	uint8_t ignored[512];
	ssize_t n = recv(a->control.fd, ignored, sizeof(ignored), 0);

	(void)events;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	end_assoc(a, FRAME_REASON_NONE);
}

/* ---- streams to DNS servers ---- */

static void free_dns_stream(struct dns_stream *s)
{
	struct loop *loop = s->table->relay->loop;

	if (s->io.fd >= 0)
		close_io(loop, &s->io);
	else
		socks_dial_stop(&s->dial);
	list_del(&s->link);
	free(s);
}

static void on_dns_over(struct dns_stream *s, enum frame_reason reason)
{
	struct dns_tcp_conn *conn = s->conn;

	free_dns_stream(s);
	dns_tcp_on_closed(conn, reason);
}

static void on_dns_event(void *ctx, uint32_t events)
{
	struct dns_stream *s = ctx;
	uint8_t bytes[DNS_READ_BYTES];

	if (events & EPOLLOUT) {
		(void)loop_io_mod(s->table->relay->loop, &s->io, EPOLLIN);
		dns_tcp_on_writable(s->conn);
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	ssize_t n = recv(s->io.fd, bytes, sizeof(bytes), 0);
	if (n > 0)
		dns_tcp_on_data(s->conn, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		on_dns_over(s, FRAME_REASON_RESET);
}

static void on_dns_connected(struct socks_dial *d,
			     const struct socks_result *why)
{
	struct dns_stream *s = container_of(d, struct dns_stream, dial);
	enum frame_reason reason = socks_result_reason(why);

	if (reason == FRAME_REASON_NONE) {
		s->io.fd = socks_dial_take(d);
		if (loop_io_add(s->table->relay->loop, &s->io, EPOLLIN) < 0)
			reason = FRAME_REASON_NO_RESOURCES;
	}
	if (reason != FRAME_REASON_NONE)
		on_dns_over(s, reason);
	else
		dns_tcp_on_open(s->conn);
}

static int dns_open(void *ctx, struct dns_tcp_conn *conn,
		    const struct endpoint *server, void **ret_stream)
{
	struct socks_assoc_table *t = ctx;
	struct socks_addr dst = {.at = *server};
	struct dns_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->table = t;
	s->conn = conn;
	s->io = (struct loop_io){.fd = -1, .on_event = on_dns_event, .ctx = s};
	s->dial.on_done = on_dns_connected;
	int r = socks_dial_start(&s->dial, t->relay->loop, t->proxy,
				 SOCKS_CONNECT, &dst);
	if (r < 0) {
		free(s);
		return r;
	}
	list_push(&t->dns_streams, &s->link);
	*ret_stream = s;
	return 0;
}

static size_t dns_send(void *stream, const uint8_t *bytes, size_t len)
{
	struct dns_stream *s = stream;
	ssize_t n = send(s->io.fd, bytes, len, MSG_NOSIGNAL);

	/* Failures show when it is read. */
	if (n < 0 || (size_t)n < len)
		(void)loop_io_mod(s->table->relay->loop, &s->io,
				  EPOLLIN | EPOLLOUT);
	return n > 0 ? (size_t)n : 0;
}

static void dns_close(void *stream)
{
	free_dns_stream(stream);
}

static void dns_answer(void *ctx, uint64_t tag, const struct endpoint *remote,
		       const uint8_t *message, size_t len)
{
	struct socks_assoc *a = find(ctx, (uint32_t)tag);

	if (a && len <= FRAME_DGRAM_MAX)
		pass_down(a, remote, message, len);
}

static void dns_failed(void *ctx, uint64_t tag, const struct endpoint *remote,
		       size_t len, enum frame_reason reason)
{
	struct socks_assoc_table *t = ctx;
	struct frame_dgram d = {
		.proto = PKT_PROTO_UDP,
		.remote = *remote,
		.payload_len = len,
	};

	if (reason == FRAME_REASON_PROHIBITED)
		relay_prohibit(t->relay, (uint32_t)tag, &d);
	else if (reason == FRAME_REASON_REFUSED)
		relay_send_icmp(t->relay, (uint32_t)tag, &d,
				ICMP_MEANS_PORT_UNREACH, 0);
	else if (reason != FRAME_REASON_TIMED_OUT)
		relay_send_icmp(t->relay, (uint32_t)tag, &d,
				ICMP_MEANS_HOST_UNREACH, 0);
}

static const struct dns_tcp_ops dns_ops = {
	.open = dns_open,
	.send = dns_send,
	.close = dns_close,
	.on_answer = dns_answer,
	.on_failed = dns_failed,
};

/* ---- the table ---- */

int socks_assoc_table_init(struct socks_assoc_table *t, struct relay *relay,
			   struct socks_proxy *proxy)
{
	*t = (struct socks_assoc_table){.relay = relay, .proxy = proxy};
	if (getrandom(&t->seed, sizeof(t->seed), 0) < 0)
		return -errno;
	t->buf = malloc(DATAGRAM_MAX);
	if (!t->buf)
		return -ENOMEM;
	t->idle = (struct timer){.on_fire = on_idle, .ctx = t};
	list_init(&t->by_use);
	list_init(&t->dns_streams);
	dns_tcp_init(&t->dns, relay->loop, &dns_ops, t);
	return 0;
}

void socks_assoc_table_fini(struct socks_assoc_table *t)
{
	struct list *link;

	if (!t->buf)
		return;
	while ((link = list_pop(&t->by_use)))
		free_assoc(container_of(link, struct socks_assoc, link));
	dns_tcp_fini(&t->dns);
	timer_disarm(t->relay->loop, &t->idle);
	htab_fini(&t->by_id);
	free(t->buf);
	t->buf = NULL;
}
