/* SPDX-License-Identifier: MIT */
/*
 * door_conn: one connection that came in by a door.
 *
 * Theory of operation
 *   READING until the request is whole.  A destination by name is left to the
 *   far end if that can (OPEN by name), else it is looked up first (LOOKING_UP)
 *   and the addresses are tried one after the other.  OPENING waits for the far
 *   connection; the client is answered when its outcome is known, and then
 *   stream_sock moves the bytes (RELAYING).  What the client sent early goes
 *   first.  After a refusal the connection is CLOSING: what the client still
 *   sends is thrown away until it closes too, because a socket closed with
 *   bytes unread is reset, and the answer could be lost with it.
 *
 * Spec: doc/PROTOCOL.door
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "door_udp.h"
#include "escape.h"
#include "http_msg.h"
#include "proxy_internal.h"

enum {
	HANDSHAKE_US = 30 * 1000000,
	CLOSING_US = 5 * 1000000,
	CLOSING_BYTES_MAX = 1 << 20,
	IN_FIRST_BYTES = 1 << 10,
	IN_MAX_BYTES = HTTP_HEAD_MAX,
	DISCARD_BYTES = 4 << 10,
	KEEPALIVE_IDLE_S = 300,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP6_TIME_EXCEEDED = 3,
};

enum door_conn_state {
	DOOR_CONN_READING,    /* timer armed */
	DOOR_CONN_LOOKING_UP, /* waiter is waiting */
	DOOR_CONN_OPENING,    /* stream is ours */
	DOOR_CONN_RELAYING,   /* stream_sock's */
	DOOR_CONN_ASSOCIATED, /* udp is there */
	DOOR_CONN_CLOSING,    /* answered; timer armed */
	DOOR_CONN_DEAD,	      /* in proxy->dead */
};

enum protocol {
	PROTOCOL_UNKNOWN, /* nothing was read yet */
	PROTOCOL_SOCKS4,
	PROTOCOL_SOCKS5,
	PROTOCOL_HTTP,
};

struct door_conn {
	struct door *door;	 /* borrowed */
	struct list link;	 /* proxy->conns or proxy->dead */
	struct stream_sock sock; /* the client */
	enum door_conn_state state;
	enum protocol protocol;
	bool has_greeted; /* SOCKS 5: the method is settled */
	struct timer timer;
	uint8_t *in; /* owned; what was read of the handshake */
	size_t in_len, in_cap;
	size_t n_discarded;
	struct socks_addr dst;
	bool is_connect;       /* HTTP: the client waits for an answer */
	struct stream *stream; /* borrowed, while OPENING */
	struct name_waiter waiter;
	struct name_addrs known; /* what is to be tried, and the next of it */
	size_t next_addr;
	struct door_udp *udp; /* owned */
};

struct door_conn *door_conn_of(struct list *link)
{
	return container_of(link, struct door_conn, link);
}

static struct door_conn *conn_of(struct stream_sock *ss)
{
	return container_of(ss, struct door_conn, sock);
}

static struct proxy *proxy_of(const struct door_conn *c)
{
	return c->door->proxy;
}

/* ---- the end ---- */

static void bury(struct door_conn *c)
{
	struct proxy *p = proxy_of(c);

	if (c->state == DOOR_CONN_DEAD)
		return;
	if (c->state == DOOR_CONN_OPENING && c->stream)
		stream_reset(c->stream, FRAME_REASON_RESET);
	c->stream = NULL;
	c->state = DOOR_CONN_DEAD;
	timer_disarm(p->loop, &c->timer);
	list_del(&c->waiter.link);
	c->udp = door_udp_free(c->udp);
	stream_sock_close(&c->sock);
	list_del(&c->link);
	list_push(&p->dead, &c->link);
	loop_post(p->loop, &p->bury);
	p->n_conns--;
	c->door->conns--;
	list_for_each (link, &p->doors)
		door_on_room(container_of(link, struct door, link));
}

void door_conn_free(struct door_conn *c)
{
	free(c->in);
	free(c);
}

void door_conn_abort(struct door_conn *c)
{
	if (c->state == DOOR_CONN_RELAYING && c->sock.stream)
		stream_reset(c->sock.stream, FRAME_REASON_RESET);
	stream_sock_abort(&c->sock);
	bury(c);
}

static void on_over(struct stream_sock *ss)
{
	bury(conn_of(ss));
}

/* ---- answers ---- */

/* A few bytes: the socket's buffer has room unless the client plays tricks.
 * False: it is over. */
static bool say(struct door_conn *c, const uint8_t *bytes, size_t len)
{
	ssize_t n = send(c->sock.io.fd, bytes, len, MSG_NOSIGNAL);

	if (n == (ssize_t)len)
		return true;
	door_conn_abort(c);
	return false;
}

static void on_client_while_closing(void *ctx, uint32_t events);

/* No more is said; wait for the client to close. */
static void close_gently(struct door_conn *c)
{
	struct loop *loop = proxy_of(c)->loop;

	c->state = DOOR_CONN_CLOSING;
	(void)shutdown(c->sock.io.fd, SHUT_WR);
	c->sock.io.on_event = on_client_while_closing;
	c->sock.io.ctx = c;
	timer_arm(loop, &c->timer, CLOSING_US);
	if (stream_sock_watch(&c->sock, EPOLLIN) < 0)
		door_conn_abort(c);
}

/* Tell that it did not work, in the client's words. */
static void fail(struct door_conn *c, enum socks_outcome outcome,
		 enum http_status status, const char *text)
{
	uint8_t out[HTTP_ERROR_MAX];
	size_t len = 0;

	if (c->stream)
		stream_reset(c->stream, FRAME_REASON_RESET);
	c->stream = NULL;
	c->door->refused++;
	switch (c->protocol) {
	case PROTOCOL_UNKNOWN:
		break;
	case PROTOCOL_SOCKS4:
		len = socks_build_reply4(out, outcome);
		break;
	case PROTOCOL_SOCKS5:
		if (c->has_greeted)
			len = socks_build_reply(out, outcome, NULL);
		break;
	case PROTOCOL_HTTP:
		len = http_build_error(out, status, text);
		break;
	}
	if (len == 0 || say(c, out, len))
		close_gently(c);
}

/* How a failed connection is told. */
struct verdict {
	enum socks_outcome outcome;
	enum http_status status;
};

static const struct verdict verdicts[] = {
	[FRAME_REASON_NONE] = {SOCKS_FAILED, HTTP_BAD_GATEWAY},
	[FRAME_REASON_REFUSED] = {SOCKS_REFUSED, HTTP_BAD_GATEWAY},
	[FRAME_REASON_NET_UNREACH] = {SOCKS_NET_UNREACH, HTTP_BAD_GATEWAY},
	[FRAME_REASON_HOST_UNREACH] = {SOCKS_HOST_UNREACH, HTTP_BAD_GATEWAY},
	[FRAME_REASON_TIMED_OUT] = {SOCKS_TTL_EXPIRED, HTTP_GATEWAY_TIMEOUT},
	[FRAME_REASON_PROHIBITED] = {SOCKS_PROHIBITED, HTTP_FORBIDDEN},
	[FRAME_REASON_NO_FAMILY] = {SOCKS_BAD_ADDRESS, HTTP_BAD_GATEWAY},
	[FRAME_REASON_NO_RESOURCES] = {SOCKS_FAILED, HTTP_UNAVAILABLE},
	[FRAME_REASON_RESET] = {SOCKS_REFUSED, HTTP_BAD_GATEWAY},
	[FRAME_REASON_OTHER] = {SOCKS_FAILED, HTTP_BAD_GATEWAY},
	[FRAME_REASON_NO_NAME] = {SOCKS_HOST_UNREACH, HTTP_BAD_GATEWAY},
};

static_assert(sizeof(verdicts) / sizeof(verdicts[0]) == FRAME_REASON__N,
	      "one verdict for each reason");

static bool is_time_exceeded(const struct frame_refused *why)
{
	return why->icmp_type == (why->offender.version == IPV6
					  ? ICMP6_TIME_EXCEEDED
					  : ICMP4_TIME_EXCEEDED);
}

static void fail_for(struct door_conn *c, const struct frame_refused *why)
{
	struct verdict v = verdicts[why->reason];
	char host[4 * SOCKS_NAME_MAX + 1], addr[ADDR_TEXT_MAX];
	struct err text;

	if (is_time_exceeded(why))
		v.outcome = SOCKS_TTL_EXPIRED;
	if (c->dst.name[0])
		escape_text(c->dst.name, strlen(c->dst.name), host,
			    sizeof(host));
	else
		(void)snprintf(host, sizeof(host), "%s",
			       addr_format(&c->dst.at.addr, addr));
	(void)err_set(&text, 0, "cannot connect to %s port %u: %s", host,
		      c->dst.at.port, frame_reason_text(why->reason));
	fail(c, v.outcome, v.status, text.text);
}

static void fail_because(struct door_conn *c, enum frame_reason reason)
{
	struct frame_refused why = {.reason = reason};

	fail_for(c, &why);
}

/* ---- opening ---- */

static bool open_next(struct door_conn *c);

/* What the client sent behind its request, and the request itself if that goes
 * on to the server. */
static void pass_early(struct door_conn *c)
{
	if (c->in_len > 0)
		stream_sock_set_early(&c->sock, c->in, c->in_len);
	else
		free(c->in);
	c->in = NULL;
	c->in_len = c->in_cap = 0;
}

static bool say_success(struct door_conn *c)
{
	uint8_t out[SOCKS_MSG_MAX];

	switch (c->protocol) {
	case PROTOCOL_UNKNOWN:
		return true;
	case PROTOCOL_SOCKS4:
		return say(c, out, socks_build_reply4(out, SOCKS_GRANTED));
	case PROTOCOL_SOCKS5:
		return say(c, out, socks_build_reply(out, SOCKS_GRANTED, NULL));
	case PROTOCOL_HTTP:
		return !c->is_connect || say(c, out, http_build_connected(out));
	}
	return true;
}

static void on_opened(struct stream *s)
{
	struct door_conn *c = s->owner;

	if (!say_success(c))
		return;
	c->door->opened++;
	c->stream = NULL;
	c->state = DOOR_CONN_RELAYING;
	pass_early(c);
	stream_sock_start(&c->sock, s);
}

static void on_refused(struct stream *s, const struct frame_refused *why)
{
	struct door_conn *c = s->owner;

	c->stream = NULL;
	if (!open_next(c))
		fail_for(c, why);
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	struct door_conn *c = s->owner;

	c->stream = NULL;
	fail_because(c, reason);
}

/* Nothing else can happen to a stream that is not open. */
static const struct stream_ops opening_ops = {
	.on_opened = on_opened,
	.on_refused = on_refused,
	.on_reset = on_reset,
};

/* Where the client is, for the far end's logs. */
static void fill_source(const struct door_conn *c, struct frame_open *open)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint e;

	if (getpeername(c->sock.io.fd, (struct sockaddr *)&ss, &len) == 0 &&
	    endpoint_from_sockaddr((const struct sockaddr *)&ss, &e) == 0 &&
	    e.addr.version == open->dst.addr.version)
		open->src = e;
}

/* addr: NULL to leave the name to the far end. */
static void open_stream(struct door_conn *c, const struct ip_addr *addr)
{
	struct frame_open open = {.proto = IPPROTO_TCP,
				  .ttl = PROXY_DEFAULT_TTL,
				  .dst.port = c->dst.at.port};

	if (addr) {
		open.dst.addr = open.src.addr = *addr;
		memset(open.src.addr.bytes, 0, sizeof(open.src.addr.bytes));
		fill_source(c, &open);
	} else {
		memcpy(open.name, c->dst.name, strlen(c->dst.name) + 1);
	}
	c->state = DOOR_CONN_OPENING;
	c->stream = session_open(proxy_of(c)->session, c, &open);
	if (c->stream)
		c->stream->ops = &opening_ops;
	else
		fail_because(c, FRAME_REASON_NO_RESOURCES);
}

/* Try the next address of the name.  False: there is none. */
static bool open_next(struct door_conn *c)
{
	if (c->next_addr >= c->known.n)
		return false;
	open_stream(c, &c->known.addrs[c->next_addr++]);
	return true;
}

static void try_addrs(struct door_conn *c, const struct name_addrs *known)
{
	c->known = *known;
	c->next_addr = 0;
	if (!open_next(c))
		fail_because(c, known->reason);
}

static void on_known(void *ctx, const struct name_addrs *known)
{
	struct door_conn *c = ctx;

	if (proxy_of(c)->session)
		try_addrs(c, known);
	else
		fail_because(c, FRAME_REASON_OTHER);
}

static void look_up(struct door_conn *c)
{
	const struct name_addrs *known;

	c->state = DOOR_CONN_LOOKING_UP;
	int r = names_find(&proxy_of(c)->names, c->dst.name, &c->waiter,
			   &known);
	if (r == -EAGAIN)
		return;
	if (r == 0)
		try_addrs(c, known);
	else if (r == -EINVAL)
		fail_because(c, FRAME_REASON_NO_NAME);
	else if (r == -EOPNOTSUPP)
		fail(c, SOCKS_HOST_UNREACH, HTTP_BAD_GATEWAY,
		     "the far end cannot look up names");
	else
		fail_because(c, FRAME_REASON_NO_RESOURCES);
}

static void on_client_while_opening(void *ctx, uint32_t events)
{
	(void)events; /* hung up, both ways */
	bury(ctx);
}

static void begin(struct door_conn *c)
{
	const struct proxy *p = proxy_of(c);
	const char *name = c->dst.name;

	timer_disarm(p->loop, &c->timer);
	c->sock.io.on_event = on_client_while_opening;
	c->sock.io.ctx = c;
	(void)stream_sock_watch(&c->sock, 0);
	if (!p->session || !session_is_up(p->session))
		fail(c, SOCKS_FAILED, HTTP_UNAVAILABLE, "the tunnel is not up");
	else if (!(p->capabilities & FRAME_CAP_TCP))
		fail(c, SOCKS_PROHIBITED, HTTP_FORBIDDEN,
		     "the far end opens no TCP connections");
	else if (c->dst.at.port == 0)
		fail(c, SOCKS_FAILED, HTTP_BAD_REQUEST, "there is no port 0");
	else if (name[0] == '\0')
		open_stream(c, &c->dst.at.addr);
	else if (!frame_name_is_valid(name, strlen(name)))
		fail_because(c, FRAME_REASON_NO_NAME);
	else if (p->capabilities & FRAME_CAP_NAMES)
		open_stream(c, NULL);
	else
		look_up(c);
}

/* ---- UDP ---- */

static void on_client_while_associated(void *ctx, uint32_t events)
{
	struct door_conn *c = ctx;
	uint8_t nothing[DISCARD_BYTES];
	ssize_t n = read(c->sock.io.fd, nothing, sizeof(nothing));

	(void)events;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		bury(c);
}

static void associate(struct door_conn *c)
{
	struct proxy *p = proxy_of(c);
	uint8_t out[SOCKS_MSG_MAX];
	struct endpoint bound;

	timer_disarm(p->loop, &c->timer);
	if (!p->session || !session_is_up(p->session)) {
		fail(c, SOCKS_FAILED, HTTP_UNAVAILABLE, "no tunnel");
		return;
	}
	int r = -EAFNOSUPPORT;
	if (p->capabilities & FRAME_CAP_UDP)
		r = door_udp_new(c->door, c->sock.io.fd, c->dst.at.port,
				 &c->udp, &bound);
	if (r < 0) {
		fail(c, r == -EAFNOSUPPORT ? SOCKS_BAD_COMMAND : SOCKS_FAILED,
		     HTTP_BAD_GATEWAY, "no datagrams");
		return;
	}
	c->state = DOOR_CONN_ASSOCIATED;
	c->door->opened++;
	c->sock.io.on_event = on_client_while_associated;
	(void)say(c, out, socks_build_reply(out, SOCKS_GRANTED, &bound));
}

/* ---- the handshake ---- */

/* n bytes at the front of `in` are understood. */
static void consume(struct door_conn *c, int n)
{
	c->in_len -= (size_t)n;
	memmove(c->in, c->in + n, c->in_len);
}

/* What is not SOCKS gets no answer: it would not understand it. */
static void reject(struct door_conn *c)
{
	c->door->refused++;
	close_gently(c);
}

static void act_on_request(struct door_conn *c, const struct socks_request *r)
{
	c->dst = r->dst;
	if (r->command == SOCKS_CONNECT)
		begin(c);
	else if (r->command == SOCKS_UDP_ASSOCIATE &&
		 c->protocol == PROTOCOL_SOCKS5)
		associate(c);
	else
		fail(c, SOCKS_BAD_COMMAND, HTTP_NOT_IMPLEMENTED, "no");
}

/* These return true if there may be more to understand. */

static bool read_socks4(struct door_conn *c)
{
	struct socks_request r;
	int n = socks_parse_request4(c->in, c->in_len, &r);

	if (n < 0)
		fail(c, SOCKS_FAILED, HTTP_BAD_REQUEST, "not SOCKS 4");
	if (n <= 0)
		return false;
	consume(c, n);
	act_on_request(c, &r);
	return false;
}

static bool read_greeting(struct door_conn *c)
{
	uint8_t out[SOCKS_MSG_MAX];
	struct socks_greeting g;
	int n = socks_parse_greeting(c->in, c->in_len, &g);

	if (n < 0)
		reject(c);
	if (n <= 0)
		return false;
	consume(c, n);
	if (!say(c, out,
		 socks_build_method(out, g.has_none ? SOCKS_METHOD_NONE
						    : SOCKS_METHOD_REFUSED)))
		return false;
	if (!g.has_none)
		reject(c);
	c->has_greeted = g.has_none;
	return g.has_none;
}

static bool read_socks5(struct door_conn *c)
{
	struct socks_request r;

	if (!c->has_greeted)
		return read_greeting(c);
	int n = socks_parse_request(c->in, c->in_len, &r);

	if (n < 0)
		fail(c, n == -EAFNOSUPPORT ? SOCKS_BAD_ADDRESS : SOCKS_FAILED,
		     HTTP_BAD_REQUEST, "not SOCKS 5");
	if (n <= 0)
		return false;
	consume(c, n);
	act_on_request(c, &r);
	return false;
}

/* Put the head that the server is to see in the place of the client's, and cut
 * off what is not of this request. */
static int rewrite(struct door_conn *c, size_t head_len, uint64_t body_len)
{
	size_t body = c->in_len - head_len;
	uint8_t *out = malloc(c->in_len + HTTP_GROWTH_MAX);

	if (!out)
		return -ENOMEM;
	if (body > body_len)
		body = (size_t)body_len;
	size_t n = http_build_request(out, c->in, head_len);
	if (body > 0)
		memcpy(out + n, c->in + head_len, body);
	if (body_len != UINT64_MAX)
		c->sock.tx_left = body_len - body;
	free(c->in);
	c->in = out;
	c->in_len = n + body;
	return 0;
}

static bool read_http(struct door_conn *c)
{
	struct http_request r;
	struct err why;
	int n = http_parse(c->in, c->in_len, &r, &why);

	if (n < 0)
		fail(c, SOCKS_FAILED, http_status_of(n), why.text);
	if (n <= 0)
		return false;
	c->dst = r.dst;
	c->is_connect = r.is_connect;
	if (r.is_connect)
		consume(c, n);
	else if (rewrite(c, (size_t)n, r.body_len) < 0) {
		fail(c, SOCKS_FAILED, HTTP_UNAVAILABLE, "out of memory");
		return false;
	}
	begin(c);
	return false;
}

static bool is_letter(uint8_t b)
{
	return (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z');
}

static bool read_first(struct door_conn *c)
{
	if (c->in[0] == SOCKS_V5)
		c->protocol = PROTOCOL_SOCKS5;
	else if (c->in[0] == SOCKS_V4)
		c->protocol = PROTOCOL_SOCKS4;
	else if (is_letter(c->in[0]))
		c->protocol = PROTOCOL_HTTP;
	else
		reject(c);
	return c->protocol != PROTOCOL_UNKNOWN;
}

/* Understand what is there. */
static void understand(struct door_conn *c)
{
	bool is_more = c->in_len > 0;

	while (is_more && c->state == DOOR_CONN_READING) {
		switch (c->protocol) {
		case PROTOCOL_UNKNOWN:
			is_more = read_first(c);
			break;
		case PROTOCOL_SOCKS4:
			is_more = read_socks4(c);
			break;
		case PROTOCOL_SOCKS5:
			is_more = read_socks5(c);
			break;
		case PROTOCOL_HTTP:
			is_more = read_http(c);
			break;
		}
	}
}

static int make_room(struct door_conn *c)
{
	size_t cap = c->in_cap ? c->in_cap * 2 : IN_FIRST_BYTES;

	if (c->in_len < c->in_cap)
		return 0;
	if (cap > IN_MAX_BYTES)
		return -ENOBUFS; /* parsers give up before that */
	uint8_t *in = realloc(c->in, cap);

	if (!in)
		return -ENOMEM;
	c->in = in;
	c->in_cap = cap;
	return 0;
}

static void on_client_while_reading(void *ctx, uint32_t events)
{
	struct door_conn *c = ctx;

	(void)events;
	if (make_room(c) < 0) {
		door_conn_abort(c);
		return;
	}
	ssize_t n =
		read(c->sock.io.fd, c->in + c->in_len, c->in_cap - c->in_len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		bury(c); /* it went away in the middle of a word */
		return;
	}
	c->in_len += (size_t)n;
	understand(c);
}

static void on_client_while_closing(void *ctx, uint32_t events)
{
	struct door_conn *c = ctx;
	uint8_t nothing[DISCARD_BYTES];
	ssize_t n = read(c->sock.io.fd, nothing, sizeof(nothing));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->n_discarded += (size_t)n;
	if (n <= 0 || c->n_discarded > CLOSING_BYTES_MAX)
		bury(c);
}

static void on_timer(void *ctx)
{
	struct door_conn *c = ctx;

	if (c->state == DOOR_CONN_READING && c->protocol == PROTOCOL_HTTP)
		fail(c, SOCKS_FAILED, HTTP_REQUEST_TIMEOUT,
		     "no whole request within 30 s");
	else
		bury(c);
}

/* ---- life ---- */

static void set_options(int fd)
{
	int one = 1, idle_s = KEEPALIVE_IDLE_S;

	/* On a Unix socket these fail, which is as good. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s,
			 sizeof(idle_s));
}

int door_conn_new(struct door *d, int fd)
{
	struct proxy *p = d->proxy;
	struct door_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		(void)close(fd);
		return -ENOMEM;
	}
	c->door = d;
	stream_sock_init(&c->sock, p->loop, fd, on_over);
	c->sock.io.on_event = on_client_while_reading;
	c->sock.io.ctx = c;
	c->timer = (struct timer){.on_fire = on_timer, .ctx = c};
	c->waiter = (struct name_waiter){.on_known = on_known, .ctx = c};
	list_init(&c->waiter.link);
	int r = stream_sock_watch(&c->sock, EPOLLIN);
	if (r < 0) {
		stream_sock_close(&c->sock);
		free(c);
		return r;
	}
	set_options(fd);
	list_push(&p->conns, &c->link);
	p->n_conns++;
	d->conns++;
	timer_arm(p->loop, &c->timer, HANDSHAKE_US);
	return 0;
}

void door_conn_on_down(struct door_conn *c)
{
	switch (c->state) {
	case DOOR_CONN_READING:
	case DOOR_CONN_CLOSING:
	case DOOR_CONN_DEAD:
		break;
	case DOOR_CONN_LOOKING_UP:
	case DOOR_CONN_OPENING:
		list_del(&c->waiter.link);
		fail(c, SOCKS_FAILED, HTTP_UNAVAILABLE, "the tunnel went down");
		break;
	case DOOR_CONN_RELAYING:
	case DOOR_CONN_ASSOCIATED:
		door_conn_abort(c);
		break;
	}
}
