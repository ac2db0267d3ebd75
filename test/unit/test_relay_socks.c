/* SPDX-License-Identifier: MIT */
/*
 * relay_socks: a near session, the relay, and a SOCKS server that the test
 * plays, good or bad, all on loopback and on one loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "mem_carrier.h"
#include "pkt.h"
#include "relay.h"
#include "session.h"
#include "socks_msg.h"

enum {
	MIB = 1 << 20,
	PATIENCE_US = 20000000,
	IN_MAX = 64 << 10,
	ASSOC = 3,
};

/* ---- the server ---- */

struct server {
	struct loop *loop;
	struct loop_io listener;
	struct endpoint at;
	struct list conns;
	int n_conns, n_requests;
	struct socks_request last;
	/* How it behaves. */
	bool wants_password;
	bool swallows; /* forgets what came early */
	bool has_no_udp;
	bool hangs_up_on_udp;	/* as ssh -D does */
	uint8_t outcome;	/* of CONNECT */
	const uint8_t *garbage; /* instead of any reply; garbage_len of it */
	size_t garbage_len;
	int close_after;  /* bytes that it says in a conn; -1: never */
	bool is_silent;	  /* says nothing to a request */
	bool is_slow;	  /* a byte a turn */
	bool only_stream; /* bytes after the request: not echoed, counted */
	uint64_t n_sunk;
	int n_udp;
};

enum conn_stage { GREETING, AUTH, REQUEST, PIPE, UDP_CONTROL };

struct conn {
	struct server *server;
	struct list link;
	struct loop_io io, udp;
	enum conn_stage stage;
	uint8_t in[IN_MAX], out[IN_MAX];
	size_t in_len, out_len;
	int n_said;
	bool has_eof, is_dns;
	struct loop_task slow;
};

static void conn_free(struct conn *c)
{
	loop_unpost(&c->slow);
	loop_io_del(c->server->loop, &c->io);
	fd_close(&c->io.fd);
	if (c->udp.fd >= 0)
		loop_io_del(c->server->loop, &c->udp);
	fd_close(&c->udp.fd);
	list_del(&c->link);
	free(c);
}

/* Send what waits.  False: the conn is gone. */
static bool conn_flush(struct conn *c)
{
	struct server *s = c->server;
	size_t len = c->out_len;

	if (s->is_slow && len > 1)
		len = 1;
	if (s->close_after >= 0 && c->n_said + (int)len > s->close_after)
		len = (size_t)(s->close_after - c->n_said);
	ssize_t n = len ? send(c->io.fd, c->out, len, MSG_NOSIGNAL) : 0;
	if (n < 0 && errno != EAGAIN) {
		conn_free(c);
		return false;
	}
	if (n > 0) {
		memmove(c->out, c->out + n, c->out_len - (size_t)n);
		c->out_len -= (size_t)n;
		c->n_said += (int)n;
	}
	if (s->close_after >= 0 && c->n_said >= s->close_after) {
		conn_free(c);
		return false;
	}
	if (c->out_len == 0 && c->has_eof) {
		conn_free(c);
		return false;
	}
	uint32_t events = c->out_len ? EPOLLOUT : 0;
	if (!c->has_eof && c->out_len < IN_MAX / 2)
		events |= EPOLLIN;
	assert_int_equal(loop_io_mod(s->loop, &c->io, events), 0);
	return true;
}

static void say(struct conn *c, const uint8_t *bytes, size_t len)
{
	assert_true(c->out_len + len <= IN_MAX);
	memcpy(c->out + c->out_len, bytes, len);
	c->out_len += len;
}

static void on_server_udp(void *ctx, uint32_t events)
{
	struct conn *c = ctx;
	uint8_t buf[2000];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	struct socks_addr a;
	ssize_t n = recvfrom(c->udp.fd, buf, sizeof(buf), 0,
			     (struct sockaddr *)&from, &from_len);

	(void)events;
	assert_true(n > 0);
	c->server->n_udp++;
	int at = socks_parse_udp(buf, (size_t)n, &a);
	assert_true(at > 0);
	/* From elsewhere, a fragment, and cut off: all to be ignored. */
	struct socks_addr other = a;
	other.at.port++;
	uint8_t bad[SOCKS_UDP_HEADER_MAX];
	size_t len = socks_build_udp(bad, &other);
	(void)sendto(c->udp.fd, bad, len, 0, (struct sockaddr *)&from,
		     from_len);
	len = socks_build_udp(bad, &a);
	bad[2] = 1;
	(void)sendto(c->udp.fd, bad, len, 0, (struct sockaddr *)&from,
		     from_len);
	(void)sendto(c->udp.fd, bad, 5, 0, (struct sockaddr *)&from, from_len);
	(void)sendto(c->udp.fd, buf, (size_t)n, 0, (struct sockaddr *)&from,
		     from_len);
}

static void open_server_udp(struct conn *c)
{
	struct endpoint e = c->server->at, bound;
	struct sockaddr_storage ss;
	uint8_t out[SOCKS_MSG_MAX] = {0};
	socklen_t len;

	e.port = 0;
	len = endpoint_to_sockaddr(&e, &ss);
	c->udp = (struct loop_io){
		.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0),
		.on_event = on_server_udp,
		.ctx = c};
	assert_int_equal(bind(c->udp.fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(getsockname(c->udp.fd, (struct sockaddr *)&ss, &len),
			 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&ss, &bound),
			 0);
	assert_int_equal(loop_io_add(c->server->loop, &c->udp, EPOLLIN), 0);
	/* A liar's address: nothing may be sent there. */
	assert_int_equal(addr_parse("203.0.113.77", &bound.addr), 0);
	say(c, out, socks_build_reply(out, SOCKS_GRANTED, &bound));
	c->stage = UDP_CONTROL;
}

static void on_request(struct conn *c, const struct socks_request *q)
{
	struct server *s = c->server;
	uint8_t out[SOCKS_MSG_MAX];

	s->n_requests++;
	s->last = *q;
	if (s->is_silent)
		return;
	if (q->command == SOCKS_UDP_ASSOCIATE && s->hangs_up_on_udp) {
		c->has_eof = true; /* without a word */
		return;
	}
	if (s->garbage) {
		say(c, s->garbage, s->garbage_len);
		return;
	}
	if (q->command == SOCKS_UDP_ASSOCIATE && !s->has_no_udp) {
		open_server_udp(c);
		return;
	}
	uint8_t outcome =
		q->command == SOCKS_CONNECT ? s->outcome : SOCKS_BAD_COMMAND;
	say(c, out, socks_build_reply(out, outcome, NULL));
	c->stage = PIPE;
	c->has_eof = outcome != SOCKS_GRANTED;
	c->is_dns = q->dst.at.port == 53;
}

/* Act on one message.  Returns its length, 0 if it is not whole. */
static int conn_step(struct conn *c)
{
	struct server *s = c->server;
	struct socks_greeting greeting;
	struct socks_auth auth;
	struct socks_request request;
	uint8_t out[SOCKS_MSG_MAX] = {0};
	int n = 0;

	if (c->stage == GREETING) {
		n = socks_parse_greeting(c->in, c->in_len, &greeting);
		if (n <= 0)
			return n;
		enum socks_method method = SOCKS_METHOD_REFUSED;
		if (s->wants_password && greeting.has_password)
			method = SOCKS_METHOD_PASSWORD;
		else if (!s->wants_password && greeting.has_none)
			method = SOCKS_METHOD_NONE;
		c->stage = s->wants_password ? AUTH : REQUEST;
		say(c, out, socks_build_method(out, method));
	} else if (c->stage == AUTH) {
		n = socks_parse_auth(c->in, c->in_len, &auth);
		if (n <= 0)
			return n;
		bool is_right = auth.user_len == 5 && auth.password_len == 6 &&
				memcmp(auth.user, "alice", 5) == 0 &&
				memcmp(auth.password, "s3cr:t", 6) == 0;
		c->stage = REQUEST;
		say(c, out, socks_build_auth_status(out, is_right));
	} else if (c->stage == REQUEST) {
		n = socks_parse_request(c->in, c->in_len, &request);
		if (n > 0)
			on_request(c, &request);
	} else {
		n = (int)c->in_len;
		if (c->is_dns && n > 4)
			c->in[4] |= 0x80;
		if (s->only_stream)
			s->n_sunk += c->in_len;
		else
			say(c, c->in, c->in_len);
	}
	return n;
}

static void on_conn(void *ctx, uint32_t events)
{
	struct conn *c = ctx;
	struct server *s = c->server;
	size_t room = IN_MAX - c->in_len;

	if (room > IN_MAX - c->out_len)
		room = IN_MAX - c->out_len;
	if ((events & EPOLLIN) && room > 0) {
		ssize_t n = recv(c->io.fd, c->in + c->in_len, room, 0);

		if (n > 0)
			c->in_len += (size_t)n;
		else if (n == 0 && c->stage == PIPE)
			c->has_eof = true;
		else if (n == 0 || errno != EAGAIN) {
			conn_free(c);
			return;
		}
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		conn_free(c);
		return;
	}
	while (c->in_len > 0) {
		int n = conn_step(c);

		if (n < 0) {
			conn_free(c);
			return;
		}
		if (n == 0)
			break;
		c->in_len -= (size_t)n;
		if (s->swallows)
			c->in_len = 0;
		memmove(c->in, c->in + n, c->in_len);
	}
	(void)conn_flush(c);
}

static void on_accept(void *ctx, uint32_t events)
{
	struct server *s = ctx;
	struct conn *c = calloc(1, sizeof(*c));

	(void)events;
	c->server = s;
	c->io = (struct loop_io){
		.fd = accept4(s->listener.fd, NULL, NULL, SOCK_NONBLOCK),
		.on_event = on_conn,
		.ctx = c};
	c->udp.fd = -1;
	list_init(&c->slow.link);
	list_push(&s->conns, &c->link);
	s->n_conns++;
	assert_int_equal(loop_io_add(s->loop, &c->io, EPOLLIN), 0);
	if (s->close_after == 0)
		conn_free(c);
}

static void server_init(struct server *s, struct loop *loop)
{
	struct endpoint e = {.port = 0};
	struct sockaddr_storage ss;

	*s = (struct server){.loop = loop, .close_after = -1};
	list_init(&s->conns);
	assert_int_equal(addr_parse("127.0.0.1", &e.addr), 0);
	socklen_t len = endpoint_to_sockaddr(&e, &ss);
	s->listener = (struct loop_io){
		.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
		.on_event = on_accept,
		.ctx = s};
	assert_int_equal(bind(s->listener.fd, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(listen(s->listener.fd, 64), 0);
	assert_int_equal(
		getsockname(s->listener.fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&ss, &s->at),
			 0);
	assert_int_equal(loop_io_add(loop, &s->listener, EPOLLIN), 0);
}

static void server_fini(struct server *s)
{
	while (!list_is_empty(&s->conns))
		conn_free(container_of(s->conns.next, struct conn, link));
	loop_io_del(s->loop, &s->listener);
	fd_close(&s->listener.fd);
}

/* ---- the near end ---- */

struct net {
	struct loop *loop;
	struct server server;
	struct relay *relay;
	struct session *near;
	struct frame_hello hello;
	bool is_up;
	int n_down;
	struct err why;
	int n_dgrams, n_errors, n_closes;
	struct frame_dgram dgram;
	uint8_t payload[4096];
	struct frame_icmp_error error;
};

struct flow {
	struct stream *s;
	bool is_opened, is_refused, is_reset, is_closed, has_fin, is_damaged;
	bool is_paused;
	enum frame_reason reason;
	uint64_t n_received;
};

static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset * 131 >> 3 ^ offset >> 13);
}

static void on_up(void *ctx, const struct frame_hello *peer)
{
	struct net *n = ctx;

	n->is_up = true;
	n->hello = *peer;
}

static void on_near_down(void *ctx, const struct err *why)
{
	(void)ctx;
	(void)why;
}

static void on_relay_down(void *ctx, const struct err *why)
{
	struct net *n = ctx;

	n->n_down++;
	n->why = *why;
}

static void on_opened(struct stream *s)
{
	((struct flow *)s->owner)->is_opened = true;
}

static void on_refused(struct stream *s, const struct frame_refused *why)
{
	struct flow *f = s->owner;

	f->is_refused = true;
	f->reason = why->reason;
	f->s = NULL;
}

static void on_readable(struct stream *s)
{
	struct flow *f = s->owner;
	struct iovec iov[2];

	if (f->is_paused)
		return;
	int n = stream_rx_peek(s, s->rx.start, ring_len(&s->rx), iov);
	for (int i = 0; i < n; i++)
		for (size_t at = 0; at < iov[i].iov_len; at++)
			f->is_damaged |=
				((const uint8_t *)iov[i].iov_base)[at] !=
				pattern(f->n_received++);
	stream_consume(s, s->rx.end);
	if (s->rx_fin && !f->has_fin) {
		f->has_fin = true;
		stream_consume_fin(s);
	}
}

static void on_writable(struct stream *s)
{
	(void)s;
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	struct flow *f = s->owner;

	f->is_reset = true;
	f->reason = reason;
	f->s = NULL;
}

static void on_closed(struct stream *s)
{
	struct flow *f = s->owner;

	f->is_closed = true;
	f->s = NULL;
}

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct net *n = ctx;

	assert_int_equal(id, ASSOC);
	n->n_dgrams++;
	n->dgram = *d;
	memcpy(n->payload, d->payload, d->payload_len);
}

static void on_icmp_error(void *ctx, uint32_t id,
			  const struct frame_icmp_error *e)
{
	struct net *n = ctx;

	assert_int_equal(id, ASSOC);
	n->n_errors++;
	n->error = *e;
}

static void on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	(void)id;
	(void)reason;
	((struct net *)ctx)->n_closes++;
}

static const struct stream_ops stream_ops = {
	.on_opened = on_opened,
	.on_refused = on_refused,
	.on_readable = on_readable,
	.on_writable = on_writable,
	.on_reset = on_reset,
	.on_closed = on_closed,
};

static const struct session_ops near_ops = {
	.on_up = on_up,
	.stream = &stream_ops,
	.on_dgram = on_dgram,
	.on_icmp_error = on_icmp_error,
	.on_assoc_close = on_assoc_close,
	.on_down = on_near_down,
};

static const struct relay_ops relay_ops = {.on_down = on_relay_down};

#define WAIT(n, condition)                                               \
	do {                                                             \
		mono_us_t end_us = clock_mono_us() + PATIENCE_US;        \
		while (!(condition)) {                                   \
			if (clock_mono_us() > end_us)                    \
				fail_msg("waited in vain: " #condition); \
			(void)loop_poll((n)->loop);                      \
		}                                                        \
	} while (0)

static void spin(struct net *n, int turns)
{
	for (int i = 0; i < turns; i++)
		(void)loop_poll(n->loop);
}

static struct net *net_new(void)
{
	struct net *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	n->loop = loop_new(LOOP_TIME_REAL);
	server_init(&n->server, n->loop);
	return n;
}

static void connect_relay(struct net *n, const char *user, const char *password)
{
	struct relay_socks_config config = {
		.host = "127.0.0.1",
		.port = n->server.at.port,
		.addrs = &n->server.at,
		.n_addrs = 1,
		.user = user,
		.password = password,
	};
	struct frame_hello hello = {.software = "test"};
	struct carrier *pair[2];

	assert_int_equal(mem_carrier_pair(n->loop, pair), 0);
	n->relay = relay_socks_new(n->loop, pair[0], &config, &relay_ops, n);
	assert_non_null(n->relay);
	n->near = session_new(n->loop, SESSION_NEAR, pair[1], &near_ops, n,
			      &hello);
}

static int set_up(void **state)
{
	*state = net_new();
	return 0;
}

static int tear_down(void **state)
{
	struct net *n = *state;

	n->relay = relay_free(n->relay);
	session_free(n->near);
	server_fini(&n->server);
	loop_free(n->loop);
	free(n);
	return 0;
}

static void dial(struct net *n, struct flow *f, const char *name)
{
	struct frame_open open = {.proto = PKT_PROTO_TCP, .ttl = 64};

	*f = (struct flow){0};
	open.dst.port = 80;
	if (name) {
		(void)snprintf(open.name, sizeof(open.name), "%s", name);
	} else {
		assert_int_equal(addr_parse("198.51.100.7", &open.dst.addr), 0);
		assert_int_equal(addr_parse("192.0.2.1", &open.src.addr), 0);
	}
	f->s = session_open(n->near, f, &open);
	assert_non_null(f->s);
}

static void write_pattern(struct flow *f, uint64_t *at, uint64_t total)
{
	static uint8_t bytes[MIB];
	size_t len = stream_tx_room(f->s);

	if (len > total - *at)
		len = (size_t)(total - *at);
	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern(*at + i);
	assert_int_equal(stream_write(f->s, bytes, len), 0);
	*at += len;
}

static void echo_through(struct net *n, uint64_t total, const char *name)
{
	struct flow f;
	uint64_t at = 0;

	dial(n, &f, name);
	WAIT(n, f.is_opened);
	while (at < total) {
		write_pattern(&f, &at, total);
		(void)loop_poll(n->loop);
	}
	stream_write_fin(f.s);
	WAIT(n, f.is_closed);
	assert_int_equal(f.n_received, total);
	assert_false(f.is_damaged);
}

/* ---- good servers ---- */

static void stream_by_address_and_by_name(void **state)
{
	struct net *n = *state;
	struct ip_addr to;

	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	assert_true(n->hello.capabilities & FRAME_CAP_TCP);
	assert_true(n->hello.capabilities & FRAME_CAP_UDP);
	assert_true(n->hello.capabilities & FRAME_CAP_NAMES);
	assert_false(n->hello.capabilities & FRAME_CAP_ECHO);
	assert_true(
		addr_equal(relay_socks_server(n->relay), &n->server.at.addr));
	echo_through(n, 3 * MIB, NULL);
	assert_int_equal(addr_parse("198.51.100.7", &to), 0);
	assert_true(addr_equal(&n->server.last.dst.at.addr, &to));
	assert_int_equal(n->server.last.dst.at.port, 80);
	echo_through(n, 1, "host.example");
	assert_string_equal(n->server.last.dst.name, "host.example");
	assert_int_equal(n->server.last.dst.at.port, 80);
	assert_int_equal(n->n_down, 0);
}

static void password_is_given(void **state)
{
	struct net *n = *state;

	n->server.wants_password = true;
	connect_relay(n, "alice", "s3cr:t");
	WAIT(n, n->is_up);
	echo_through(n, 1000, NULL);
	echo_through(n, 1000, NULL); /* pipelined by now, or not */
}

static void password_is_not_needed(void **state)
{
	struct net *n = *state;

	connect_relay(n, "alice", "s3cr:t");
	WAIT(n, n->is_up);
	echo_through(n, 1000, NULL);
}

static void server_that_swallows_is_given_time(void **state)
{
	struct net *n = *state;

	n->server.swallows = n->server.wants_password = true;
	connect_relay(n, "alice", "s3cr:t");
	WAIT(n, n->is_up);
	echo_through(n, 1000, NULL);
}

static void slow_server_is_waited_for(void **state)
{
	struct net *n = *state;

	n->server.is_slow = true;
	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	echo_through(n, 100, NULL);
}

static void back_pressure(void **state)
{
	struct net *n = *state;
	struct flow f;
	uint64_t at = 0;

	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	dial(n, &f, NULL);
	WAIT(n, f.is_opened);
	f.is_paused = true;
	for (int i = 0; i < 20000; i++) {
		write_pattern(&f, &at, 1024 * MIB);
		(void)loop_poll(n->loop);
	}
	assert_true(at < 64 * MIB); /* it stopped somewhere */
	f.is_paused = false;
	on_readable(f.s);
	stream_write_fin(f.s);
	WAIT(n, f.is_closed);
	assert_int_equal(f.n_received, at);
	assert_false(f.is_damaged);
}

static void near_reset_reaches_the_server(void **state)
{
	struct net *n = *state;
	struct flow f;

	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	spin(n, 1000); /* until the second probe is over */
	dial(n, &f, NULL);
	WAIT(n, f.is_opened);
	assert_false(list_is_empty(&n->server.conns));
	stream_reset(f.s, FRAME_REASON_RESET);
	WAIT(n, list_is_empty(&n->server.conns));
	n->server.is_silent = true;
	int before = n->server.n_requests;
	dial(n, &f, NULL);
	WAIT(n, n->server.n_requests > before);
	stream_reset(f.s, FRAME_REASON_RESET); /* not opened yet */
	WAIT(n, list_is_empty(&n->server.conns));
}

static void outcomes_become_reasons(void **state)
{
	static const struct {
		uint8_t outcome;
		enum frame_reason reason;
	} cases[] = {
		{SOCKS_FAILED, FRAME_REASON_OTHER},
		{SOCKS_PROHIBITED, FRAME_REASON_PROHIBITED},
		{SOCKS_NET_UNREACH, FRAME_REASON_NET_UNREACH},
		{SOCKS_HOST_UNREACH, FRAME_REASON_HOST_UNREACH},
		{SOCKS_REFUSED, FRAME_REASON_REFUSED},
		{SOCKS_TTL_EXPIRED, FRAME_REASON_TIMED_OUT},
		{SOCKS_BAD_ADDRESS, FRAME_REASON_NO_FAMILY},
		{99, FRAME_REASON_OTHER},
	};
	struct net *n = *state;

	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct flow f;

		n->server.outcome = cases[i].outcome;
		dial(n, &f, NULL);
		WAIT(n, f.is_refused);
		assert_false(f.is_opened);
		assert_int_equal(f.reason, cases[i].reason);
	}
}

/* ---- bad servers ---- */

static void expect_down(struct net *n, const char *user, const char *password,
			const char *text)
{
	connect_relay(n, user, password);
	WAIT(n, n->n_down == 1);
	assert_non_null(strstr(n->why.text, text));
	assert_null(strstr(n->why.text, "s3cr"));
	assert_null(strstr(n->why.text, "wrong"));
	assert_false(n->is_up);
	assert_null(relay_socks_server(n->relay));
}

static void wrong_password_is_told(void **state)
{
	struct net *n = *state;

	n->server.wants_password = true;
	expect_down(n, "alice", "wrong", "does not accept this user");
}

static void missing_password_is_told(void **state)
{
	struct net *n = *state;

	n->server.wants_password = true;
	expect_down(n, NULL, NULL, "wants a user and a password");
}

static void nobody_there_is_told(void **state)
{
	struct net *n = *state;

	loop_io_del(n->loop, &n->server.listener);
	fd_close(&n->server.listener.fd);
	expect_down(n, NULL, NULL, "cannot be reached");
}

static void garbage_is_told(void **state)
{
	struct net *n = *state;
	static const uint8_t http[] = "HTTP/1.0 400 Bad Request\r\n";

	n->server.garbage = http;
	n->server.garbage_len = sizeof(http);
	expect_down(n, NULL, NULL, "is no SOCKS 5 proxy");
}

static void unknown_address_type_is_told(void **state)
{
	struct net *n = *state;
	static const uint8_t reply[] = {5, 0, 0, 77, 1, 2, 3, 4, 5, 6, 7, 8};

	n->server.garbage = reply;
	n->server.garbage_len = sizeof(reply);
	expect_down(n, NULL, NULL, "is no SOCKS 5 proxy");
}

static void random_replies_are_survived(void **state)
{
	struct net *n = *state;
	uint8_t bytes[40];
	unsigned seed = 4711;

	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	spin(n, 100);
	n->server.garbage = bytes;
	n->server.garbage_len = sizeof(bytes);
	for (int i = 0; i < 300; i++) {
		struct flow f;

		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)(rand_r(&seed) >> 7);
		bytes[0] = 5;
		bytes[1] %= 3;
		bytes[3] = bytes[3] % 6;
		dial(n, &f, NULL);
		WAIT(n, f.is_refused || f.is_opened ||
				list_is_empty(&n->server.conns));
		if (f.s)
			stream_reset(f.s, FRAME_REASON_RESET);
		spin(n, 3);
	}
	WAIT(n, session_stats(n->near)->streams == 0);
	assert_int_equal(n->n_down, 0);
}

/* The server hangs up behind each byte of what it has to say. */
static void hang_up_at_each_byte(void **state)
{
	struct net *n = *state;

	n->server.wants_password = true;
	connect_relay(n, "alice", "s3cr:t");
	WAIT(n, n->is_up);
	for (int i = 0; i < 2 + 2 + 10; i++) {
		struct flow f;

		n->server.close_after = i;
		dial(n, &f, NULL);
		WAIT(n, f.is_refused);
		assert_int_not_equal(f.reason, FRAME_REASON_REFUSED);
		assert_false(f.is_opened);
	}
	n->server.close_after = -1;
	echo_through(n, 100, NULL);
}

static void hang_up_before_the_session(void **state)
{
	struct net *n = *state;

	n->server.close_after = 5;
	expect_down(n, NULL, NULL, "is no SOCKS 5 proxy");
}

static void relay_can_be_freed_at_any_time(void **state)
{
	struct net *n = *state;

	for (int turns = 0; turns < 40; turns++) {
		struct flow f = {0};

		n->is_up = false;
		connect_relay(n, NULL, NULL);
		for (int i = 0; i < turns; i++) {
			(void)loop_poll(n->loop);
			if (n->is_up && !f.s && session_is_up(n->near))
				dial(n, &f, NULL);
		}
		n->relay = relay_free(n->relay);
		spin(n, 5);
		n->near = session_free(n->near);
	}
}

/* ---- datagrams ---- */

static void send_dgram(struct net *n, struct dgram_queue *q, uint8_t proto,
		       uint16_t port, const void *bytes, size_t len)
{
	struct frame_dgram d = {
		.proto = proto,
		.ttl = 60,
		.remote.port = port,
		.payload = bytes,
		.payload_len = len,
	};

	assert_int_equal(addr_parse("198.51.100.7", &d.remote.addr), 0);
	assert_int_equal(session_send_dgram(n->near, q, &d), DROP_NONE);
}

static void udp_goes_both_ways(void **state)
{
	struct net *n = *state;
	struct dgram_queue q;

	dgram_queue_init(&q, ASSOC);
	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	send_dgram(n, &q, PKT_PROTO_UDP, 9, "one", 3);
	send_dgram(n, &q, PKT_PROTO_UDP, 9, "", 0);
	send_dgram(n, &q, PKT_PROTO_UDP, 1009, "three", 5);
	WAIT(n, n->n_dgrams == 3);
	assert_int_equal(n->dgram.payload_len, 5);
	assert_memory_equal(n->payload, "three", 5);
	assert_int_equal(n->dgram.remote.port, 1009);
	assert_int_equal(n->server.n_udp, 3);
	spin(n, 100);
	assert_int_equal(n->n_dgrams, 3);
	assert_int_equal(n->n_errors, 0);
	/* The control connection's end is the association's. */
	while (!list_is_empty(&n->server.conns))
		conn_free(
			container_of(n->server.conns.next, struct conn, link));
	WAIT(n, n->n_closes == 1);
	send_dgram(n, &q, PKT_PROTO_UDP, 9, "again", 5);
	WAIT(n, n->n_dgrams == 4);
	dgram_queue_fini(&q);
}

static void without_udp_only_dns_goes_on(void **state)
{
	static const uint8_t query[] = {0x12, 0x34, 1, 0,   0, 1, 0, 0, 0, 0,
					0,    0,    1, 'a', 0, 0, 1, 0, 1};
	struct net *n = *state;
	struct dgram_queue q;

	dgram_queue_init(&q, ASSOC);
	n->server.has_no_udp = true;
	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	assert_false(n->hello.capabilities & FRAME_CAP_UDP);
	send_dgram(n, &q, PKT_PROTO_UDP, 9, "one", 3);
	WAIT(n, n->n_errors == 1);
	assert_int_equal(n->error.type, 3);
	assert_int_equal(n->error.code, 13);
	assert_int_equal(n->error.payload_len, 3);
	assert_int_equal(n->error.remote.port, 9);
	send_dgram(n, &q, PKT_PROTO_UDP, 53, query, sizeof(query));
	WAIT(n, n->n_dgrams == 1);
	assert_int_equal(n->dgram.payload_len, sizeof(query));
	assert_int_equal(n->payload[0], 0x12);
	assert_int_equal(n->payload[1], 0x34);
	assert_int_equal(n->payload[2], 0x81);
	assert_int_equal(n->dgram.remote.port, 53);
	n->server.outcome = SOCKS_REFUSED;
	while (!list_is_empty(&n->server.conns))
		conn_free(
			container_of(n->server.conns.next, struct conn, link));
	spin(n, 100);
	send_dgram(n, &q, PKT_PROTO_UDP, 53, query, sizeof(query));
	WAIT(n, n->n_errors == 2);
	assert_int_equal(n->error.code, 3);
	dgram_queue_fini(&q);
}

static void server_that_knows_only_connect(void **state)
{
	struct net *n = *state;

	n->server.hangs_up_on_udp = true;
	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	assert_false(n->hello.capabilities & FRAME_CAP_UDP);
	echo_through(n, 1000, NULL);
}

static void server_that_says_nothing_of_udp(void **state)
{
	struct net *n = *state;

	n->server.is_silent = true;
	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up); /* takes 5 s */
	assert_false(n->hello.capabilities & FRAME_CAP_UDP);
	n->server.is_silent = false;
	echo_through(n, 1000, NULL);
}

static void udp_that_ends_later_is_told(void **state)
{
	struct net *n = *state;
	struct dgram_queue q;

	dgram_queue_init(&q, ASSOC);
	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	n->server.has_no_udp = true;
	send_dgram(n, &q, PKT_PROTO_UDP, 9, "one", 3);
	WAIT(n, n->n_errors == 1);
	assert_int_equal(n->error.code, 13);
	send_dgram(n, &q, PKT_PROTO_UDP, 9, "one", 3);
	WAIT(n, n->n_errors == 2);
	dgram_queue_fini(&q);
}

static void echo_is_prohibited(void **state)
{
	struct net *n = *state;
	struct dgram_queue q;

	dgram_queue_init(&q, ASSOC);
	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	send_dgram(n, &q, PKT_PROTO_ICMP, 7, "abc", 3);
	WAIT(n, n->n_errors == 1);
	assert_int_equal(n->error.code, 13);
	assert_int_equal(n->error.proto, PKT_PROTO_ICMP);
	dgram_queue_fini(&q);
}

/* ---- how fast: with an argument only ---- */

static int measure(void)
{
	static uint8_t bytes[MIB];
	struct net *n = net_new();
	struct flow f;
	mono_us_t begin_us;
	uint64_t total = (uint64_t)2048 * MIB, at = 0;

	connect_relay(n, NULL, NULL);
	WAIT(n, n->is_up);
	n->server.only_stream = true;
	dial(n, &f, NULL);
	WAIT(n, f.is_opened);
	begin_us = clock_mono_us();
	while (n->server.n_sunk < total) {
		size_t len = stream_tx_room(f.s);

		if (len > total - at)
			len = (size_t)(total - at);
		if (len > sizeof(bytes))
			len = sizeof(bytes);
		assert_int_equal(stream_write(f.s, bytes, len), 0);
		at += len;
		(void)loop_poll(n->loop);
	}
	uint64_t us = clock_mono_us() - begin_us;
	(void)printf("up: %.1f Gbit/s\n",
		     (double)total * 8 / 1000 / (double)us);
	void *state = n;
	return tear_down(&state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(stream_by_address_and_by_name),
		TEST(password_is_given),
		TEST(password_is_not_needed),
		TEST(server_that_swallows_is_given_time),
		TEST(slow_server_is_waited_for),
		TEST(back_pressure),
		TEST(near_reset_reaches_the_server),
		TEST(outcomes_become_reasons),
		TEST(wrong_password_is_told),
		TEST(missing_password_is_told),
		TEST(nobody_there_is_told),
		TEST(garbage_is_told),
		TEST(unknown_address_type_is_told),
		TEST(random_replies_are_survived),
		TEST(hang_up_at_each_byte),
		TEST(hang_up_before_the_session),
		TEST(relay_can_be_freed_at_any_time),
		TEST(udp_goes_both_ways),
		TEST(without_udp_only_dns_goes_on),
		TEST(server_that_knows_only_connect),
		TEST(server_that_says_nothing_of_udp),
		TEST(udp_that_ends_later_is_told),
		TEST(echo_is_prohibited),
	};

	if (argc > 1 && strcmp(argv[1], "measure") == 0)
		return measure();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
