/* SPDX-License-Identifier: MIT */
/*
 * far: the whole engine behind a real session, against sockets on loopback.
 *
 * The near end is a session without a TUN: each connection sends and expects
 * bytes that are a function of their offset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bytes.h"
#include "dns_msg.h"
#include "far.h"
#include "fd.h"
#include "bond_carrier.h"
#include "peer_set.h"
#include "pkt.h"
#include "resolver.h"
#include "session.h"

enum {
	MIB = 1 << 20,
	PATIENCE_US = 20000000,
	STEP_US = 1000,
	DGRAM_BUF = 1 << 16,
	ASSOC = 3, /* id of the association in most tests */
};

/* What has come down for any association. */
struct inbox {
	int n_dgrams, n_errors, n_closes, n_resolved;
	struct frame_dgram dgram; /* the last; payload is below */
	uint8_t payload[DGRAM_BUF];
	struct frame_icmp_error error;
	enum frame_reason close_reason;
	uint32_t id;
	enum frame_reason status;
	uint8_t answer[DGRAM_BUF];
	size_t answer_len;
};

struct net {
	struct loop *loop;
	enum loop_time time;
	struct far *far;
	struct session *near;
	bool is_up, is_far_down;
	struct frame_hello hello;
	struct inbox inbox;
};

/* One stream as the near end sees it. */
struct conn {
	struct stream *s;
	bool is_opened, is_refused, is_reset, is_closed, has_fin;
	bool is_paused; /* consumes nothing */
	struct frame_refused why;
	enum frame_reason reset_reason;
	uint64_t n_received;
	bool is_damaged;
};

static uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset * 131 >> 3 ^ offset >> 13);
}

static void fill_pattern(uint8_t *bytes, size_t len, uint64_t offset)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = pattern(offset + i);
}

static bool is_pattern(const uint8_t *bytes, size_t len, uint64_t offset)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != pattern(offset + i))
			return false;
	return true;
}

/* ---- the near end ---- */

static void on_up(void *ctx, const struct frame_hello *peer)
{
	struct net *n = ctx;

	n->is_up = true;
	n->hello = *peer;
}

static void on_opened(struct stream *s)
{
	((struct conn *)s->owner)->is_opened = true;
}

static void on_refused(struct stream *s, const struct frame_refused *why)
{
	struct conn *c = s->owner;

	c->is_refused = true;
	c->why = *why;
	c->s = NULL;
}

static void take(struct conn *c)
{
	struct iovec iov[2];
	struct stream *s = c->s;
	int n = stream_rx_peek(s, s->rx.start, ring_len(&s->rx), iov);

	for (int i = 0; i < n; i++) {
		c->is_damaged |= !is_pattern(iov[i].iov_base, iov[i].iov_len,
					     c->n_received);
		c->n_received += iov[i].iov_len;
	}
	stream_consume(s, s->rx.end);
	if (s->rx_fin && !c->has_fin) {
		c->has_fin = true;
		stream_consume_fin(s);
	}
}

static void on_readable(struct stream *s)
{
	struct conn *c = s->owner;

	if (!c->is_paused)
		take(c);
}

static void on_writable(struct stream *s)
{
	(void)s;
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	struct conn *c = s->owner;

	c->is_reset = true;
	c->reset_reason = reason;
	c->s = NULL;
}

static void on_closed(struct stream *s)
{
	struct conn *c = s->owner;

	c->is_closed = true;
	c->s = NULL;
}

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct inbox *in = &((struct net *)ctx)->inbox;

	in->n_dgrams++;
	in->id = id;
	in->dgram = *d;
	memcpy(in->payload, d->payload, d->payload_len);
}

static void on_icmp_error(void *ctx, uint32_t id,
			  const struct frame_icmp_error *e)
{
	struct inbox *in = &((struct net *)ctx)->inbox;

	in->n_errors++;
	in->id = id;
	in->error = *e;
}

static void on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	struct inbox *in = &((struct net *)ctx)->inbox;

	in->n_closes++;
	in->id = id;
	in->close_reason = reason;
}

static void on_resolved(void *ctx, uint32_t id, enum frame_reason status,
			const uint8_t *answer, size_t len)
{
	struct inbox *in = &((struct net *)ctx)->inbox;

	in->n_resolved++;
	in->id = id;
	in->status = status;
	in->answer_len = len;
	memcpy(in->answer, answer, len);
}

static void on_down(void *ctx, const struct err *why)
{
	(void)ctx;
	(void)why;
}

static void on_far_down(void *ctx, const struct err *why)
{
	struct net *n = ctx;

	(void)why;
	n->is_far_down = true;
}

static const struct stream_ops near_stream_ops = {
	.on_opened = on_opened,
	.on_refused = on_refused,
	.on_readable = on_readable,
	.on_writable = on_writable,
	.on_reset = on_reset,
	.on_closed = on_closed,
};

static const struct session_ops near_ops = {
	.on_up = on_up,
	.stream = &near_stream_ops,
	.on_dgram = on_dgram,
	.on_icmp_error = on_icmp_error,
	.on_assoc_close = on_assoc_close,
	.on_resolved = on_resolved,
	.on_down = on_down,
};

/* ---- both ends in one process ---- */

static void step(struct net *n)
{
	if (loop_poll(n->loop))
		return;
	/* Nobody is waited for there, and on a busy machine each of 300,000
	 * steps would wait for its turn again. */
	if (n->time == LOOP_TIME_VIRTUAL)
		loop_advance_us(n->loop, STEP_US);
	else
		(void)sched_yield();
}

#define WAIT(n, condition)                                               \
	do {                                                             \
		mono_us_t end_us = clock_mono_us() + PATIENCE_US;        \
		while (!(condition)) {                                   \
			if (clock_mono_us() > end_us)                    \
				fail_msg("waited in vain: " #condition); \
			step(n);                                         \
		}                                                        \
	} while (0)

/* resolver: that the near end wants to be asked; NULL: none. */
static struct net *net_new_with(enum loop_time time,
				const struct far_options *options,
				const char *resolver)
{
	struct net *n = calloc(1, sizeof(*n));
	struct far_options far_options = *options;
	struct frame_hello hello = {.software = "test"};
	int fds[2];

	assert_non_null(n);
	if (resolver)
		assert_int_equal(addr_parse(resolver, &hello.resolver), 0);
	n->time = time;
	n->loop = loop_new(time);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	far_options.on_down = on_far_down;
	far_options.ctx = n;
	n->far = far_new(n->loop,
			 bond_carrier_new(n->loop, fds[0], fds[0], NULL, 0),
			 &far_options);
	assert_non_null(n->far);
	n->near =
		session_new(n->loop, SESSION_NEAR,
			    bond_carrier_new(n->loop, fds[1], fds[1], NULL, 0),
			    &near_ops, n, &hello);
	WAIT(n, n->is_up && session_is_up(far_session(n->far)));
	return n;
}

static struct net *net_new(enum loop_time time,
			   const struct far_options *options)
{
	return net_new_with(time, options, NULL);
}

static int set_up(void **state)
{
	static const struct far_options options = {
		.policy = POLICY_ALLOW_LOOPBACK,
		.user = "alice",
	};

	*state = net_new(LOOP_TIME_REAL, &options);
	return 0;
}

static int set_up_virtual(void **state)
{
	static const struct far_options options = {
		.policy = POLICY_ALLOW_LOOPBACK,
	};

	*state = net_new(LOOP_TIME_VIRTUAL, &options);
	return 0;
}

static int set_up_strict(void **state)
{
	static const struct far_options options = {
		.resolv_conf = "/nonexistent/resolv.conf",
	};

	*state = net_new(LOOP_TIME_REAL, &options);
	return 0;
}

static int tear_down(void **state)
{
	struct net *n = *state;

	far_free(n->far);
	session_free(n->near);
	loop_free(n->loop);
	free(n);
	return 0;
}

/* Wait until nothing has happened for a while: no event may be reported again
 * and again. */
static void assert_quiet(struct net *n)
{
	int n_silent = 0;

	for (int i = 0; i < 100000 && n_silent < 2000; i++)
		n_silent = loop_poll(n->loop) ? 0 : n_silent + 1;
	assert_int_equal(n_silent, 2000);
}

/* ---- sockets of the far network ---- */

static struct endpoint local(enum ip_version version, uint16_t port)
{
	struct endpoint e = {.port = port};

	assert_int_equal(
		addr_parse(version == IPV4 ? "127.0.0.1" : "::1", &e.addr), 0);
	return e;
}

/* A bound socket, listening if it is a stream; fills in its endpoint. */
static int serve(int type, enum ip_version version, struct endpoint *ret_e)
{
	struct sockaddr_storage ss;
	struct endpoint e = local(version, 0);
	socklen_t len = endpoint_to_sockaddr(&e, &ss);
	int fd = socket(ss.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&ss, ret_e),
			 0);
	return fd;
}

static struct endpoint closed_port(int type, enum ip_version version)
{
	struct endpoint e;
	int fd = serve(type, version, &e);

	fd_close(&fd);
	return e;
}

/* For what cannot be tested on this host.  Not skip(): this version of cmocka
 * writes that as a failure in TAP. */
static bool is_missing(bool is_here, const char *what)
{
	if (!is_here)
		print_message("# not tested: %s\n", what);
	return !is_here;
}

static bool has_ipv6(void)
{
	struct sockaddr_in6 loopback = {.sin6_family = AF_INET6,
					.sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	bool is_here = fd >= 0 && bind(fd, (struct sockaddr *)&loopback,
				       sizeof(loopback)) == 0;

	fd_close(&fd);
	return is_here;
}

static bool is_ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) == 1;
}

static void dial(struct net *n, struct conn *c, const struct endpoint *to)
{
	struct frame_open open = {
		.proto = PKT_PROTO_TCP,
		.ttl = 63,
		.tos = 0x48,
		.dst = *to,
		.src = local(to->addr.version, 4711),
	};

	memset(c, 0, sizeof(*c));
	c->s = session_open(n->near, c, &open);
	assert_non_null(c->s);
}

/* Connect c to a socket of the far network and return that. */
static int connect_pair(struct net *n, struct conn *c, enum ip_version version)
{
	struct endpoint e;
	int listener = serve(SOCK_STREAM, version, &e);

	dial(n, c, &e);
	WAIT(n, c->is_opened && is_ready(listener, POLLIN));
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	fd_close(&listener);
	return fd;
}

/* Give the stream as much of [0, total) as it has room for. */
static void feed(struct conn *c, uint64_t total)
{
	uint8_t bytes[16384];
	size_t room;

	while (c->s && c->s->tx.end < total &&
	       (room = stream_tx_room(c->s)) > 0) {
		size_t len = total - c->s->tx.end < sizeof(bytes)
				     ? (size_t)(total - c->s->tx.end)
				     : sizeof(bytes);

		if (len > room)
			len = room;
		fill_pattern(bytes, len, c->s->tx.end);
		assert_int_equal(stream_write(c->s, bytes, len), 0);
	}
}

/* Read and check what there is.  Returns false at the end of file. */
static bool drain(int fd, uint64_t *n_read)
{
	static uint8_t bytes[65536];
	ssize_t len;

	while ((len = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
		assert_true(is_pattern(bytes, (size_t)len, *n_read));
		*n_read += (uint64_t)len;
	}
	if (len < 0)
		assert_int_equal(errno, EAGAIN);
	return len != 0;
}

/* Write what fits of [*n_written, total). */
static void pour(int fd, uint64_t *n_written, uint64_t total)
{
	static uint8_t bytes[65536];

	while (*n_written < total) {
		size_t len = total - *n_written < sizeof(bytes)
				     ? (size_t)(total - *n_written)
				     : sizeof(bytes);

		fill_pattern(bytes, len, *n_written);
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n < 0)
			return;
		*n_written += (uint64_t)n;
	}
}

static void close_with_reset(int fd)
{
	struct linger l = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)),
			 0);
	fd_close(&fd);
}

static int socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	return error;
}

/* ---- greeting ---- */

static void greeting_identifies_session_and_host(void **state)
{
	static const uint8_t zero[16];
	struct net *n = *state;

	assert_memory_not_equal(n->hello.session_id, zero, 16);
	assert_memory_not_equal(n->hello.resume_token, zero, 16);
	assert_memory_not_equal(n->hello.session_id, n->hello.resume_token, 16);
	assert_string_equal(n->hello.user, "alice");
	assert_non_null(strstr(n->hello.software, "ecssh-helper"));
	assert_false(n->hello.capabilities & FRAME_CAP_RESUME);
}

static void greeting_prefers_address_of_ssh_connection(void **state)
{
	static const struct far_options options = {
		.ssh_connection = "192.0.2.1 40000 192.0.2.77 22",
	};
	struct net *n = net_new(LOOP_TIME_REAL, &options);
	struct ip_addr expected;

	(void)state;
	assert_int_equal(addr_parse("192.0.2.77", &expected), 0);
	assert_true(addr_equal(&n->hello.gateway4, &expected));
	assert_true(n->hello.capabilities & FRAME_CAP_IPV4);
	void *net = n;
	tear_down(&net);
}

static void greeting_without_nameserver_lacks_resolve(void **state)
{
	struct net *n = *state;

	assert_false(n->hello.capabilities & FRAME_CAP_RESOLVE);
}

/* ---- TCP ---- */

static void tcp_carries(struct net *n, enum ip_version version)
{
	struct conn c;
	int fd = connect_pair(n, &c, version);
	uint64_t n_read = 0, n_written = 0;
	bool is_open = true;

	/* up, and its end, while down stays open */
	WAIT(n, (feed(&c, MIB), drain(fd, &n_read), n_read == MIB));
	stream_write_fin(c.s);
	WAIT(n, !(is_open = is_open && drain(fd, &n_read)));
	assert_false(c.has_fin);
	/* down, and its end */
	WAIT(n, (pour(fd, &n_written, MIB), c.n_received == MIB));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	WAIT(n, c.is_closed);
	assert_true(c.has_fin);
	assert_false(c.is_damaged);
	WAIT(n, far_count(n->far).tcp == 0);
	fd_close(&fd);
	assert_quiet(n);
}

static void tcp4_carries_both_ways_with_half_close(void **state)
{
	tcp_carries(*state, IPV4);
}

static void tcp6_carries_both_ways_with_half_close(void **state)
{
	if (!is_missing(has_ipv6(), "no IPv6 loopback address"))
		tcp_carries(*state, IPV6);
}

static void tcp_down_can_end_first(void **state)
{
	struct net *n = *state;
	struct conn c;
	int fd = connect_pair(n, &c, IPV4);
	uint64_t n_read = 0, n_written = 0;

	WAIT(n, (pour(fd, &n_written, MIB), c.n_received == MIB));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	WAIT(n, c.has_fin);
	WAIT(n, (feed(&c, MIB), drain(fd, &n_read), n_read == MIB));
	assert_quiet(n);
	stream_write_fin(c.s);
	WAIT(n, c.is_closed && !drain(fd, &n_read));
	assert_false(c.is_damaged);
	fd_close(&fd);
}

static void tcp_refused_is_told(void **state)
{
	struct net *n = *state;
	struct conn c;
	struct endpoint e = closed_port(SOCK_STREAM, IPV4);

	dial(n, &c, &e);
	WAIT(n, c.is_refused);
	assert_int_equal(c.why.reason, FRAME_REASON_REFUSED);
	assert_int_equal(c.why.icmp_type, 0);
	assert_int_equal(far_count(n->far).tcp, 0);
}

static void tcp_policy_refuses(void **state)
{
	struct net *n = *state;
	struct conn c;
	struct endpoint e = local(IPV4, 22);

	dial(n, &c, &e);
	WAIT(n, c.is_refused);
	assert_int_equal(c.why.reason, FRAME_REASON_PROHIBITED);
	assert_int_equal(session_stats(far_session(n->far))->drops[DROP_POLICY],
			 1);
}

static void tcp_mapped_address_gets_around_nothing(void **state)
{
	struct net *n = *state;
	struct conn c;
	struct endpoint e;
	int listener = serve(SOCK_STREAM, IPV4, &e);

	assert_int_equal(addr_parse("::ffff:127.0.0.1", &e.addr), 0);
	dial(n, &c, &e);
	WAIT(n, c.is_refused);
	fd_close(&listener);
}

static void tcp_near_reset_is_passed_on(void **state)
{
	struct net *n = *state;
	struct conn c;
	int fd = connect_pair(n, &c, IPV4);

	stream_reset(c.s, FRAME_REASON_RESET);
	WAIT(n, is_ready(fd, POLLIN | POLLERR));
	assert_int_equal(socket_error(fd), ECONNRESET);
	assert_int_equal(far_count(n->far).tcp, 0);
	fd_close(&fd);
}

/* Bytes and the reset that follows them come in one piece. */
static void tcp_bytes_before_near_reset_arrive(void **state)
{
	struct net *n = *state;
	struct conn c;
	char bytes[2000];
	int fd = connect_pair(n, &c, IPV4);

	assert_quiet(n);
	feed(&c, 1000);
	(void)loop_poll(n->loop); /* the near end sends, nobody reads */
	stream_reset(c.s, FRAME_REASON_RESET);
	session_bye(n->near, FRAME_BYE_DONE, "");
	WAIT(n, !session_is_up(far_session(n->far)) && is_ready(fd, POLLIN));
	assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 1000);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), -1);
	assert_int_equal(errno, ECONNRESET);
	fd_close(&fd);
}

static void tcp_near_reset_while_connecting(void **state)
{
	struct net *n = *state;
	struct conn c;
	struct endpoint e;
	int listener = serve(SOCK_STREAM, IPV4, &e);

	dial(n, &c, &e);
	stream_reset(c.s, FRAME_REASON_RESET);
	WAIT(n, session_stats(far_session(n->far))->rx_frames >= 3);
	assert_int_equal(far_count(n->far).tcp, 0);
	fd_close(&listener);
	assert_quiet(n);
}

static void tcp_far_reset_is_passed_on(void **state)
{
	struct net *n = *state;
	struct conn c;
	int fd = connect_pair(n, &c, IPV4);

	close_with_reset(fd);
	WAIT(n, c.is_reset);
	assert_int_equal(c.reset_reason, FRAME_REASON_RESET);
	assert_int_equal(far_count(n->far).tcp, 0);
	assert_quiet(n);
}

static void tcp_bytes_before_far_reset_arrive(void **state)
{
	struct net *n = *state;
	struct conn c;
	uint64_t n_written = 0;
	int fd = connect_pair(n, &c, IPV4);

	/* Unread bytes here make the close a reset. */
	feed(&c, 1000);
	WAIT(n, is_ready(fd, POLLIN));
	pour(fd, &n_written, 100000);
	assert_int_equal(n_written, 100000);
	fd_close(&fd);
	WAIT(n, c.is_reset);
	assert_int_equal(c.n_received, 100000);
	assert_false(c.is_damaged);
	assert_quiet(n);
}

/* The near end does not read; the far peer fills all there is, then resets. */
static void tcp_far_reset_while_there_is_no_room(void **state)
{
	struct net *n = *state;
	struct conn c;
	uint64_t n_written = 0, before;
	int fd = connect_pair(n, &c, IPV4);

	c.is_paused = true;
	do {
		before = n_written;
		pour(fd, &n_written, 64 * MIB);
		assert_quiet(n);
	} while (n_written > before);
	close_with_reset(fd);
	assert_quiet(n);
	assert_false(c.is_reset);
	c.is_paused = false;
	take(&c);
	WAIT(n, c.is_reset);
	assert_true(c.n_received > 0 && c.n_received <= n_written);
	assert_false(c.is_damaged);
	assert_quiet(n);
}

static void tcp_far_reset_after_its_end(void **state)
{
	struct net *n = *state;
	struct conn c;
	int fd = connect_pair(n, &c, IPV4);

	feed(&c, 1000);
	WAIT(n, is_ready(fd, POLLIN));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	WAIT(n, c.has_fin);
	close_with_reset(fd);
	WAIT(n, c.is_reset);
	assert_int_equal(far_count(n->far).tcp, 0);
	assert_quiet(n);
}

static void tcp_holds_back_a_near_writer(void **state)
{
	struct net *n = *state;
	struct conn c;
	uint64_t n_read = 0, before;
	int fd = connect_pair(n, &c, IPV4);

	do {
		before = c.s->tx.end;
		feed(&c, 64 * MIB);
		assert_quiet(n);
	} while (c.s->tx.end > before);
	uint64_t total = c.s->tx.end;
	assert_true(total < 32 * MIB);
	assert_true(stream_tx_unacked(c.s) <= SESSION_WINDOW_MAX_BYTES);
	WAIT(n, (drain(fd, &n_read), n_read == total));
	close_with_reset(fd);
	WAIT(n, c.is_reset);
}

static void tcp_holds_back_a_far_writer(void **state)
{
	struct net *n = *state;
	struct conn c;
	uint64_t n_written = 0, before;
	int fd = connect_pair(n, &c, IPV4);

	c.is_paused = true;
	do {
		before = n_written;
		pour(fd, &n_written, 64 * MIB);
		assert_quiet(n);
	} while (n_written > before);
	assert_true(n_written < 32 * MIB);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_quiet(n);
	c.is_paused = false;
	take(&c);
	WAIT(n, c.has_fin);
	assert_int_equal(c.n_received, n_written);
	assert_false(c.is_damaged);
	fd_close(&fd);
	stream_reset(c.s, FRAME_REASON_RESET);
}

static void tcp_end_of_session_resets(void **state)
{
	struct net *n = *state;
	struct conn c;
	int fd = connect_pair(n, &c, IPV4);

	n->near = session_free(n->near);
	WAIT(n, n->is_far_down);
	assert_int_equal(far_count(n->far).tcp, 0);
	WAIT(n, is_ready(fd, POLLIN));
	assert_int_equal(socket_error(fd), ECONNRESET);
	fd_close(&fd);
}

static void out_of_descriptors_refuses_one_flow(void **state)
{
	struct net *n = *state;
	struct rlimit normal, tight;
	struct conn old, c;
	struct frame_dgram d = {
		.proto = PKT_PROTO_UDP,
		.ttl = 64,
		.payload = (const uint8_t *)"x",
		.payload_len = 1,
	};
	struct dgram_queue q;
	uint64_t n_read = 0;
	int fd = connect_pair(n, &old, IPV4);
	struct endpoint e;
	int listener = serve(SOCK_STREAM, IPV4, &e);
	/* The next descriptor would be this one. */
	int next = dup(0);

	fd_close(&(int){next});
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
	tight = normal;
	tight.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	dial(n, &c, &e);
	WAIT(n, c.is_refused);
	assert_int_equal(c.why.reason, FRAME_REASON_NO_RESOURCES);
	dgram_queue_init(&q, ASSOC);
	d.remote = local(IPV4, 9);
	assert_int_equal(session_send_dgram(n->near, &q, &d), DROP_NONE);
	WAIT(n, n->inbox.n_closes == 1);
	assert_int_equal(n->inbox.close_reason, FRAME_REASON_NO_RESOURCES);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
	/* The others live, and new ones work again. */
	WAIT(n, (feed(&old, 1000), drain(fd, &n_read), n_read == 1000));
	dial(n, &c, &e);
	WAIT(n, c.is_opened);
	dgram_queue_fini(&q);
	fd_close(&listener);
	fd_close(&fd);
}

static void many_connections_one_after_another(void **state)
{
	struct net *n = *state;
	struct endpoint e;
	int listener = serve(SOCK_STREAM, IPV4, &e);
	mono_us_t begin_us = clock_mono_us();
	enum { N = 500 };

	for (int i = 0; i < N; i++) {
		struct conn c;
		int fd = -1;

		dial(n, &c, &e);
		WAIT(n, c.is_opened);
		WAIT(n,
		     (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0);
		stream_write_fin(c.s);
		fd_close(&fd);
		WAIT(n, c.is_closed);
	}
	uint64_t took_us = clock_mono_us() - begin_us;
	print_message("# %d connections in %u ms\n", N,
		      (unsigned)(took_us / US_PER_MS));
	assert_int_equal(far_count(n->far).tcp, 0);
	fd_close(&listener);
}

/* ---- datagrams ---- */

static void send_to(struct net *n, struct dgram_queue *q, uint8_t proto,
		    const struct endpoint *to, const void *payload, size_t len)
{
	struct frame_dgram d = {
		.proto = proto,
		.ttl = 33,
		.tos = 0xb8,
		.remote = *to,
		.payload = payload,
		.payload_len = len,
	};

	assert_int_equal(session_send_dgram(n->near, q, &d), DROP_NONE);
}

static void udp_echoes(struct net *n, enum ip_version version)
{
	static const size_t sizes[] = {0,    1,	   2,	  511,	 1472,
				       1473, 9000, 32768, 65000, 65507};
	static uint8_t bytes[DGRAM_BUF], echo[DGRAM_BUF];
	struct endpoint e;
	struct dgram_queue q;
	int fd = serve(SOCK_DGRAM, version, &e);

	dgram_queue_init(&q, ASSOC);
	fill_pattern(bytes, sizeof(bytes), 7);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct sockaddr_storage from;
		socklen_t from_len = sizeof(from);

		send_to(n, &q, PKT_PROTO_UDP, &e, bytes, sizes[i]);
		WAIT(n, is_ready(fd, POLLIN));
		ssize_t len = recvfrom(fd, echo, sizeof(echo), 0,
				       (struct sockaddr *)&from, &from_len);
		assert_int_equal(len, sizes[i]);
		assert_int_equal(sendto(fd, echo, (size_t)len, 0,
					(struct sockaddr *)&from, from_len),
				 len);
		WAIT(n, n->inbox.n_dgrams == (int)i + 1);
		assert_int_equal(n->inbox.id, ASSOC);
		assert_int_equal(n->inbox.dgram.payload_len, sizes[i]);
		assert_memory_equal(n->inbox.payload, bytes, sizes[i]);
		assert_true(endpoint_equal(&n->inbox.dgram.remote, &e));
		assert_int_equal(n->inbox.dgram.ttl, 63);
	}
	assert_int_equal(far_count(n->far).assocs, 1);
	session_send_assoc_close(n->near, ASSOC, FRAME_REASON_NONE);
	WAIT(n, far_count(n->far).assocs == 0);
	dgram_queue_fini(&q);
	fd_close(&fd);
	assert_quiet(n);
}

static void udp4_echoes_all_sizes(void **state)
{
	udp_echoes(*state, IPV4);
}

static void udp6_echoes_all_sizes(void **state)
{
	if (!is_missing(has_ipv6(), "no IPv6 loopback address"))
		udp_echoes(*state, IPV6);
}

static void udp_passes_ttl_and_traffic_class(void **state)
{
	struct net *n = *state;
	struct endpoint e;
	struct dgram_queue q;
	int fd = serve(SOCK_DGRAM, IPV4, &e), on = 1, ttl = 0, tos = 0;
	_Alignas(struct cmsghdr) char control[128];
	struct msghdr m = {.msg_control = control,
			   .msg_controllen = sizeof(control)};

	(void)setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
	dgram_queue_init(&q, ASSOC);
	send_to(n, &q, PKT_PROTO_UDP, &e, "x", 1);
	WAIT(n, is_ready(fd, POLLIN));
	assert_int_equal(recvmsg(fd, &m, MSG_TRUNC), 1);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == IP_TTL)
			ttl = *CMSG_DATA(c);
		if (c->cmsg_type == IP_TOS)
			tos = *CMSG_DATA(c);
	}
	assert_int_equal(ttl, 33);
	assert_int_equal(tos, 0xb8);
	dgram_queue_fini(&q);
	fd_close(&fd);
}

static void udp_unreachable(struct net *n, enum ip_version version,
			    uint8_t type, uint8_t code)
{
	struct endpoint closed = closed_port(SOCK_DGRAM, version), e;
	struct dgram_queue q;
	int fd = serve(SOCK_DGRAM, version, &e);

	dgram_queue_init(&q, ASSOC);
	send_to(n, &q, PKT_PROTO_UDP, &closed, "hello", 5);
	/* The pending error must not swallow this one. */
	send_to(n, &q, PKT_PROTO_UDP, &e, "again", 5);
	WAIT(n, n->inbox.n_errors == 1 && is_ready(fd, POLLIN));
	assert_int_equal(n->inbox.id, ASSOC);
	assert_int_equal(n->inbox.error.proto, PKT_PROTO_UDP);
	assert_int_equal(n->inbox.error.type, type);
	assert_int_equal(n->inbox.error.code, code);
	assert_int_equal(n->inbox.error.payload_len, 5);
	assert_true(endpoint_equal(&n->inbox.error.remote, &closed));
	assert_true(addr_equal(&n->inbox.error.offender, &closed.addr));
	dgram_queue_fini(&q);
	fd_close(&fd);
	assert_quiet(n);
}

static void udp4_port_unreachable_is_told(void **state)
{
	udp_unreachable(*state, IPV4, 3, 3);
}

static void udp6_port_unreachable_is_told(void **state)
{
	if (!is_missing(has_ipv6(), "no IPv6 loopback address"))
		udp_unreachable(*state, IPV6, 1, 4);
}

static void udp_stranger_is_filtered(void **state)
{
	struct net *n = *state;
	struct endpoint e, other;
	struct dgram_queue q;
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	char byte;
	int peer = serve(SOCK_DGRAM, IPV4, &e);
	int stranger = serve(SOCK_DGRAM, IPV4, &other);

	dgram_queue_init(&q, ASSOC);
	send_to(n, &q, PKT_PROTO_UDP, &e, "x", 1);
	WAIT(n, is_ready(peer, POLLIN));
	assert_int_equal(recvfrom(peer, &byte, 1, 0, (struct sockaddr *)&from,
				  &from_len),
			 1);
	assert_int_equal(
		sendto(stranger, "s", 1, 0, (struct sockaddr *)&from, from_len),
		1);
	assert_int_equal(
		sendto(peer, "p", 1, 0, (struct sockaddr *)&from, from_len), 1);
	WAIT(n, n->inbox.n_dgrams == 1);
	assert_int_equal(n->inbox.payload[0], 'p');
	assert_int_equal(
		session_stats(far_session(n->far))->drops[DROP_UDP_FILTERED],
		1);
	/* Once it was written to, it may. */
	send_to(n, &q, PKT_PROTO_UDP, &other, "x", 1);
	WAIT(n, is_ready(stranger, POLLIN));
	assert_int_equal(
		sendto(stranger, "s", 1, 0, (struct sockaddr *)&from, from_len),
		1);
	WAIT(n, n->inbox.n_dgrams == 2);
	assert_int_equal(n->inbox.payload[0], 's');
	dgram_queue_fini(&q);
	fd_close(&peer);
	fd_close(&stranger);
}

static void udp_policy_refuses_with_icmp(void **state)
{
	struct net *n = *state;
	struct endpoint e4 = local(IPV4, 53), e6 = local(IPV6, 53);
	struct dgram_queue q;

	dgram_queue_init(&q, ASSOC);
	send_to(n, &q, PKT_PROTO_UDP, &e4, "query", 5);
	WAIT(n, n->inbox.n_errors == 1);
	assert_int_equal(n->inbox.error.type, 3);
	assert_int_equal(n->inbox.error.code, 13);
	assert_int_equal(n->inbox.error.offender.version, 0);
	assert_int_equal(n->inbox.error.payload_len, 5);
	send_to(n, &q, PKT_PROTO_UDP, &e6, "query", 5);
	WAIT(n, n->inbox.n_errors == 2);
	assert_int_equal(n->inbox.error.type, 1);
	assert_int_equal(n->inbox.error.code, 1);
	assert_int_equal(far_count(n->far).assocs, 0);
	dgram_queue_fini(&q);
}

static void udp_odd_destinations_are_survived(void **state)
{
	struct net *n = *state;
	struct endpoint e = local(IPV4, 0);
	struct dgram_queue q;

	dgram_queue_init(&q, ASSOC);
	send_to(n, &q, PKT_PROTO_UDP, &e, "x", 1); /* port 0 */
	WAIT(n, n->inbox.n_errors == 1);
	assert_int_equal(n->inbox.error.type, 3);
	assert_int_equal(addr_parse("255.255.255.255", &e.addr), 0);
	e.port = 9;
	send_to(n, &q, PKT_PROTO_UDP, &e, "x", 1); /* everybody */
	WAIT(n, n->inbox.n_errors == 2);
	assert_int_equal(n->inbox.error.code, 13);
	e = local(IPV6, 9); /* not the family that it began with */
	send_to(n, &q, PKT_PROTO_UDP, &e, "x", 1);
	e = local(IPV4, 9);
	send_to(n, &q, 99, &e, "x", 1); /* no such protocol */
	const struct session_stats *stats = session_stats(far_session(n->far));
	WAIT(n, stats->drops[DROP_PROTOCOL] == 2);
	dgram_queue_fini(&q);
}

static void association_ends_when_idle(void **state)
{
	struct net *n = *state;
	struct endpoint e;
	struct dgram_queue q;
	int fd = serve(SOCK_DGRAM, IPV4, &e);

	dgram_queue_init(&q, ASSOC);
	send_to(n, &q, PKT_PROTO_UDP, &e, "x", 1);
	WAIT(n, far_count(n->far).assocs == 1);
	mono_us_t begin_us = loop_now_us(n->loop);
	WAIT(n, n->inbox.n_closes == 1);
	uint64_t took_us = loop_now_us(n->loop) - begin_us;
	assert_true(took_us >= 299 * US_PER_SEC && took_us < 302 * US_PER_SEC);
	assert_int_equal(n->inbox.close_reason, FRAME_REASON_NONE);
	assert_int_equal(far_count(n->far).assocs, 0);
	dgram_queue_fini(&q);
	fd_close(&fd);
}

static void peer_set_forgets_who_was_not_written_to(void **state)
{
	struct peer_set s;
	struct endpoint e = local(IPV4, 0);

	(void)state;
	peer_set_init(&s, 42);
	assert_false(peer_set_has(&s, &e));
	for (uint16_t port = 1; port <= PEER_SET_MAX; port++) {
		e.port = port;
		assert_int_equal(peer_set_add(&s, &e), 0);
	}
	e.port = 1; /* again: the second is the oldest now */
	assert_int_equal(peer_set_add(&s, &e), 0);
	e.port = PEER_SET_MAX + 1;
	assert_int_equal(peer_set_add(&s, &e), 0);
	for (uint16_t port = 1; port <= PEER_SET_MAX + 1; port++) {
		e.port = port;
		assert_int_equal(peer_set_has(&s, &e), port != 2);
	}
	e = local(IPV6, 1); /* same port, other address */
	assert_false(peer_set_has(&s, &e));
	peer_set_fini(&s);
}

/* ---- echo ---- */

static void echo_is_answered(struct net *n, enum ip_version version,
			     uint8_t proto)
{
	static uint8_t bytes[65000];
	static const size_t sizes[] = {0, 1, 56, 1473, 65000};
	struct endpoint e = local(version, 0);
	struct dgram_queue q;

	fill_pattern(bytes, sizeof(bytes), 0);
	dgram_queue_init(&q, ASSOC);
	for (uint16_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		e.port = (uint16_t)(0xfffd + i); /* sequence number: wraps */
		send_to(n, &q, proto, &e, bytes, sizes[i]);
		WAIT(n, n->inbox.n_dgrams == i + 1);
		assert_true(endpoint_equal(&n->inbox.dgram.remote, &e));
		assert_int_equal(n->inbox.dgram.proto, proto);
		assert_int_equal(n->inbox.dgram.payload_len, sizes[i]);
		assert_memory_equal(n->inbox.payload, bytes, sizes[i]);
	}
	dgram_queue_fini(&q);
}

static void echo_is_carried_where_allowed(void **state)
{
	struct net *n = *state;

	if (is_missing(n->hello.capabilities & FRAME_CAP_ECHO,
		       "ping is not allowed"))
		return;
	echo_is_answered(n, IPV4, PKT_PROTO_ICMP);
}

static void echo6_is_carried_where_allowed(void **state)
{
	struct net *n = *state;

	if (is_missing(has_ipv6() && n->hello.capabilities & FRAME_CAP_ECHO6,
		       "ping is not allowed"))
		return;
	echo_is_answered(n, IPV6, PKT_PROTO_ICMP6);
}

static void echo_is_prohibited_where_not_allowed(void **state)
{
	struct net *n = *state;
	struct endpoint e = local(IPV4, 77);
	struct dgram_queue q;

	if (is_missing(!(n->hello.capabilities & FRAME_CAP_ECHO),
		       "ping is allowed"))
		return;
	dgram_queue_init(&q, ASSOC);
	send_to(n, &q, PKT_PROTO_ICMP, &e, "abc", 3);
	WAIT(n, n->inbox.n_errors == 1);
	assert_int_equal(n->inbox.error.type, 3);
	assert_int_equal(n->inbox.error.code, 13);
	assert_int_equal(n->inbox.error.proto, PKT_PROTO_ICMP);
	assert_int_equal(n->inbox.error.remote.port, 77);
	assert_int_equal(n->inbox.error.payload_len, 3);
	assert_int_equal(n->inbox.n_dgrams, 0);
	dgram_queue_fini(&q);
}

/* ---- names ---- */

/* Query for "a." A IN, id 0x1234. */
static const uint8_t query[] = {0x12, 0x34, 1, 0,   0, 1, 0, 0, 0, 0,
				0,    0,    1, 'a', 0, 0, 1, 0, 1};

/* A resolver on loopback, and the far engine that asks it. */
struct dns {
	struct net *n;
	int udp, tcp;
	char conf[64];
};

/* A far end that is told to ask only, or NULL. */
static void dns_init_with(struct dns *d, enum loop_time time, const char *text,
			  unsigned policy, const char *only)
{
	struct endpoint e;
	struct sockaddr_storage ss;
	struct far_options options = {0};
	FILE *f;

	/* A port that is free by UDP need not be by TCP. */
	for (int left = 1000;; left--) {
		d->udp = serve(SOCK_DGRAM, IPV4, &e);
		d->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		socklen_t len = endpoint_to_sockaddr(&e, &ss);

		if (bind(d->tcp, (struct sockaddr *)&ss, len) == 0)
			break;
		assert_true(left > 0);
		fd_close(&d->udp);
		fd_close(&d->tcp);
	}
	assert_int_equal(listen(d->tcp, 4), 0);
	strcpy(d->conf, "/tmp/ecssh-test-resolv.XXXXXX");
	int fd = mkstemp(d->conf);
	f = fdopen(fd, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	options.resolv_conf = d->conf;
	options.dns_port = e.port;
	options.policy = policy;
	d->n = net_new_with(time, &options, only);
}

static void dns_init(struct dns *d, enum loop_time time, const char *text)
{
	dns_init_with(d, time, text, 0, NULL);
}

static void dns_fini(struct dns *d)
{
	void *net = d->n;

	tear_down(&net);
	(void)unlink(d->conf);
	fd_close(&d->udp);
	fd_close(&d->tcp);
}

/* Receive a query by UDP and answer it; flags go into byte 2. */
static void answer_by_udp(struct dns *d, uint8_t flags, const char *rest)
{
	uint8_t message[512];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);

	WAIT(d->n, is_ready(d->udp, POLLIN));
	ssize_t len = recvfrom(d->udp, message, sizeof(message), 0,
			       (struct sockaddr *)&from, &from_len);
	assert_int_equal(len, sizeof(query));
	assert_memory_equal(message + 2, query + 2, sizeof(query) - 2);
	message[2] |= flags;
	memcpy(message + len, rest, strlen(rest));
	len += (ssize_t)strlen(rest);
	/* not the id asked for: to be ignored */
	message[0] ^= 0xff;
	assert_int_equal(sendto(d->udp, message, (size_t)len, 0,
				(struct sockaddr *)&from, from_len),
			 len);
	message[0] ^= 0xff;
	/* another question: likewise */
	message[13] = 'b';
	assert_int_equal(sendto(d->udp, message, (size_t)len, 0,
				(struct sockaddr *)&from, from_len),
			 len);
	message[13] = 'a';
	assert_int_equal(sendto(d->udp, message, (size_t)len, 0,
				(struct sockaddr *)&from, from_len),
			 len);
}

static void resolve_forwards_query(void **state)
{
	struct dns d;

	(void)state;
	dns_init(&d, LOOP_TIME_REAL,
		 "# comment\nsearch example\nnameserver nonsense\n"
		 "nameserver 127.0.0.1\n");
	assert_true(d.n->hello.capabilities & FRAME_CAP_RESOLVE);
	session_send_resolve(d.n->near, 5, query, sizeof(query));
	answer_by_udp(&d, 0x80, "ANSWER");
	WAIT(d.n, d.n->inbox.n_resolved == 1);
	assert_int_equal(d.n->inbox.id, 5);
	assert_int_equal(d.n->inbox.status, FRAME_REASON_NONE);
	assert_int_equal(d.n->inbox.answer_len, sizeof(query) + 6);
	assert_int_equal(bytes_get_u16(d.n->inbox.answer), 0x1234);
	assert_memory_equal(d.n->inbox.answer + sizeof(query), "ANSWER", 6);
	assert_int_equal(far_count(d.n->far).queries, 0);
	dns_fini(&d);
}

static void resolve_fetches_long_answer_by_tcp(void **state)
{
	static uint8_t message[2 + 60000];
	struct dns d;
	size_t n_read = 0, n_written = 0;

	(void)state;
	dns_init(&d, LOOP_TIME_REAL, "nameserver 127.0.0.1\n");
	session_send_resolve(d.n->near, 6, query, sizeof(query));
	answer_by_udp(&d, 0x82, "");
	WAIT(d.n, is_ready(d.tcp, POLLIN));
	int fd = accept4(d.tcp, NULL, NULL, SOCK_NONBLOCK);
	assert_true(fd >= 0);
	while (n_read < 2 + sizeof(query)) {
		WAIT(d.n, is_ready(fd, POLLIN));
		ssize_t n =
			recv(fd, message + n_read, sizeof(message) - n_read, 0);
		assert_true(n > 0);
		n_read += (size_t)n;
	}
	assert_int_equal(bytes_get_u16(message), sizeof(query));
	fill_pattern(message + n_read, sizeof(message) - n_read, 0);
	message[4] |= 0x80;
	bytes_put_u16(message, sizeof(message) - 2);
	while (n_written < sizeof(message)) {
		/* in pieces, the first of one byte */
		size_t piece = n_written ? 7000 : 1;
		if (piece > sizeof(message) - n_written)
			piece = sizeof(message) - n_written;
		ssize_t n = send(fd, message + n_written, piece, 0);
		if (n > 0)
			n_written += (size_t)n;
		step(d.n);
	}
	WAIT(d.n, d.n->inbox.n_resolved == 1);
	assert_int_equal(d.n->inbox.status, FRAME_REASON_NONE);
	assert_int_equal(d.n->inbox.answer_len, sizeof(message) - 2);
	assert_int_equal(bytes_get_u16(d.n->inbox.answer), 0x1234);
	assert_memory_equal(d.n->inbox.answer + 2, message + 4,
			    sizeof(message) - 4);
	fd_close(&fd);
	dns_fini(&d);
}

static void resolve_gives_up_on_silence(void **state)
{
	struct dns d;

	(void)state;
	dns_init(&d, LOOP_TIME_VIRTUAL, "nameserver 127.0.0.1\n");
	session_send_resolve(d.n->near, 7, query, sizeof(query));
	WAIT(d.n, far_count(d.n->far).queries == 1);
	mono_us_t begin_us = loop_now_us(d.n->loop);
	WAIT(d.n, d.n->inbox.n_resolved == 1);
	uint64_t took_us = loop_now_us(d.n->loop) - begin_us;
	assert_true(took_us >= 5 * US_PER_SEC && took_us < 7 * US_PER_SEC);
	assert_int_equal(d.n->inbox.status, FRAME_REASON_TIMED_OUT);
	dns_fini(&d);
}

static void resolve_is_bounded(void **state)
{
	struct dns d;

	(void)state;
	dns_init(&d, LOOP_TIME_REAL, "nameserver 127.0.0.1\n");
	for (uint32_t i = 0; i < RESOLVER_QUERIES_MAX + 1; i++)
		session_send_resolve(d.n->near, i, query, sizeof(query));
	WAIT(d.n, d.n->inbox.n_resolved == 1);
	assert_int_equal(d.n->inbox.id, RESOLVER_QUERIES_MAX);
	assert_int_equal(d.n->inbox.status, FRAME_REASON_NO_RESOURCES);
	assert_int_equal(far_count(d.n->far).queries, RESOLVER_QUERIES_MAX);
	dns_fini(&d);
}

static void resolve_refuses_nonsense_and_missing_servers(void **state)
{
	struct net *n = *state;

	session_send_resolve(n->near, 8, query, 11);
	WAIT(n, n->inbox.n_resolved == 1);
	assert_int_equal(n->inbox.status, FRAME_REASON_OTHER);
	session_send_resolve(n->near, 9, query, sizeof(query));
	WAIT(n, n->inbox.n_resolved == 2);
	assert_int_equal(n->inbox.status, FRAME_REASON_NO_FAMILY);
}

/* Whom the near end names is asked, if that may be, and nobody else. */
static void resolve_asks_whom_it_is_told_to(void **state)
{
	static const struct {
		const char *conf, *only;
		unsigned policy;
		bool is_asked;
	} rows[] = {
		{"nameserver 192.0.2.1\n", "127.0.0.1", POLICY_ALLOW_LOOPBACK,
		 true},
		{"", "127.0.0.1", POLICY_ALLOW_LOOPBACK, true},
		{"nameserver 192.0.2.1\n", "127.0.0.1", 0, false},
		{"nameserver 192.0.2.1\nnameserver 127.0.0.1\n", "127.0.0.1", 0,
		 true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct dns d;

		dns_init_with(&d, LOOP_TIME_REAL, rows[i].conf, rows[i].policy,
			      rows[i].only);
		session_send_resolve(d.n->near, 5, query, sizeof(query));
		if (rows[i].is_asked)
			answer_by_udp(&d, 0x80, "ANSWER");
		WAIT(d.n, d.n->inbox.n_resolved == 1);
		assert_int_equal(d.n->inbox.status,
				 rows[i].is_asked ? FRAME_REASON_NONE
						  : FRAME_REASON_NO_FAMILY);
		dns_fini(&d);
	}
}

/* ---- streams by name ---- */

/* The far engine with a hosts file, and a resolver of the test's. */
struct named {
	struct net *n;
	int udp;
	char conf[64], hosts[64];
	int n_queries;
	char asked[8][FRAME_NAME_MAX + 1]; /* the first names, A only */
	int n_asked;
	const char *known; /* the only name that has addresses */
	struct ip_addr a, aaaa;
};

static void write_file(char path[64], const char *text)
{
	(void)snprintf(path, 64, "/tmp/ecssh-test-names.XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	fd_close(&fd);
}

static void named_init(struct named *d, unsigned policy, const char *conf,
		       const char *hosts)
{
	struct endpoint e;
	struct far_options options = {.policy = policy};

	memset(d, 0, sizeof(*d));
	d->udp = serve(SOCK_DGRAM, IPV4, &e);
	write_file(d->conf, conf);
	write_file(d->hosts, hosts);
	options.resolv_conf = d->conf;
	options.hosts = d->hosts;
	options.dns_port = e.port;
	d->n = net_new(LOOP_TIME_REAL, &options);
	assert_true(d->n->hello.capabilities & FRAME_CAP_NAMES);
}

static void named_fini(struct named *d)
{
	void *net = d->n;

	tear_down(&net);
	(void)unlink(d->conf);
	(void)unlink(d->hosts);
	fd_close(&d->udp);
}

/* The question's name as text; returns the offset behind it. */
static size_t read_question(const uint8_t *m, char *name)
{
	size_t at = 12, n = 0;

	while (m[at]) {
		memcpy(name + n, m + at + 1, m[at]);
		n += m[at];
		at += 1U + m[at];
		name[n++] = '.';
	}
	name[n ? n - 1 : 0] = '\0';
	return at + 1;
}

static void serve_names(struct named *d)
{
	uint8_t m[600];
	char name[FRAME_NAME_MAX + 1];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t len = recvfrom(d->udp, m, 512, MSG_DONTWAIT,
			       (struct sockaddr *)&from, &from_len);

	if (len < 12)
		return;
	d->n_queries++;
	size_t at = read_question(m, name);
	uint16_t type = bytes_get_u16(m + at);
	bool is_known = d->known && strcmp(name, d->known) == 0;
	const struct ip_addr *a = type == DNS_A ? &d->a : &d->aaaa;

	if (type == DNS_A && d->n_asked < 8)
		(void)snprintf(d->asked[d->n_asked++], sizeof(d->asked[0]),
			       "%s", name);
	m[2] |= 0x80;
	m[3] = is_known ? 0 : DNS_NO_NAME;
	at += 4;
	if (is_known && a->version) {
		bytes_put_u16(m + 6, 1);
		memcpy(m + at, "\xc0\x0c", 2);
		bytes_put_u16(m + at + 2, type);
		bytes_put_u16(m + at + 4, 1);
		bytes_put_u32(m + at + 6, 60);
		bytes_put_u16(m + at + 10, (uint16_t)addr_len_bytes(a));
		memcpy(m + at + 12, a->bytes, addr_len_bytes(a));
		at += 12 + addr_len_bytes(a);
	}
	assert_int_equal(
		sendto(d->udp, m, at, 0, (struct sockaddr *)&from, from_len),
		at);
}

#define WAIT_SERVING(d, condition)                                       \
	do {                                                             \
		mono_us_t end_us = clock_mono_us() + PATIENCE_US;        \
		while (!(condition)) {                                   \
			if (clock_mono_us() > end_us)                    \
				fail_msg("waited in vain: " #condition); \
			serve_names(d);                                  \
			step((d)->n);                                    \
		}                                                        \
	} while (0)

static void dial_name(struct named *d, struct conn *c, const char *name,
		      uint16_t port)
{
	struct frame_open open = {
		.proto = PKT_PROTO_TCP, .ttl = 63, .dst.port = port};

	memset(c, 0, sizeof(*c));
	(void)snprintf(open.name, sizeof(open.name), "%s", name);
	c->s = session_open(d->n->near, c, &open);
	assert_non_null(c->s);
}

static void expect_opened(struct named *d, const char *name, int listener,
			  uint16_t port)
{
	struct conn c;

	dial_name(d, &c, name, port);
	WAIT_SERVING(d, c.is_opened || c.is_refused);
	assert_true(c.is_opened);
	int fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(stream_write(c.s, "hello", 5), 0);
	WAIT_SERVING(d, is_ready(fd, POLLIN));
	stream_reset(c.s, FRAME_REASON_RESET);
	fd_close(&fd);
	WAIT_SERVING(d, far_count(d->n->far).tcp == 0);
}

static void expect_refused(struct named *d, const char *name, uint16_t port,
			   enum frame_reason reason)
{
	struct conn c;

	dial_name(d, &c, name, port);
	WAIT_SERVING(d, c.is_opened || c.is_refused);
	assert_true(c.is_refused);
	assert_int_equal(c.why.reason, reason);
	assert_int_equal(far_count(d->n->far).queries, 0);
}

static void name_in_hosts_file(void **state)
{
	struct named d;
	struct endpoint e;
	int fd = serve(SOCK_STREAM, IPV4, &e);

	(void)state;
	named_init(&d, POLICY_ALLOW_LOOPBACK, "nameserver 127.0.0.1\n",
		   "# comment\n127.0.0.1 other Far.Example # far2\n"
		   "127.0.0.2\ttwo\n127.0.0.1 two\nnonsense far2\n");
	expect_opened(&d, "far.example", fd, e.port);
	expect_opened(&d, "far.example.", fd, e.port);
	expect_opened(&d, "two", fd, e.port); /* the first address refuses */
	expect_opened(&d, "127.0.0.1", fd, e.port);
	expect_opened(&d, "localhost", fd, e.port);
	assert_int_equal(d.n_queries, 0);
	expect_refused(&d, "far2", e.port, FRAME_REASON_NO_NAME);
	named_fini(&d);
	fd_close(&fd);
}

/* A query for a name in the hosts file is not passed on. */
static void query_for_a_name_in_hosts_file(void **state)
{
	static const struct {
		const char *name;
		enum dns_type type;
		enum dns_rcode rcode;
		size_t n;
		const char *first;
	} rows[] = {
		{"far.example", DNS_A, DNS_NO_ERROR, 2, "10.77.0.2"},
		{"FAR.example", DNS_AAAA, DNS_NO_ERROR, 1, "fd77::2"},
		{"four", DNS_AAAA, DNS_NO_ERROR, 0, NULL},
		{"two", DNS_A, DNS_NO_ERROR, 1, "10.77.0.4"},
	};
	struct named d;

	(void)state;
	named_init(&d, POLICY_ALLOW_LOOPBACK, "nameserver 127.0.0.1\n",
		   "10.77.0.2 far.example\n10.77.0.3 x far.example\n"
		   "fd77::2 far.example\n10.77.0.5 four\n127.0.1.1 two own\n"
		   "10.77.0.4 two\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint8_t ask[DNS_QUERY_MAX];
		struct dns_answer answer;
		int len = dns_build_query(ask, 7, rows[i].name, rows[i].type);
		struct ip_addr a;

		d.n->inbox.n_resolved = 0;
		session_send_resolve(d.n->near, 5, ask, (size_t)len);
		WAIT(d.n, d.n->inbox.n_resolved == 1);
		assert_int_equal(d.n->inbox.status, FRAME_REASON_NONE);
		assert_int_equal(dns_parse_answer(d.n->inbox.answer,
						  d.n->inbox.answer_len, ask,
						  (size_t)len, &answer),
				 0);
		assert_int_equal(answer.rcode, rows[i].rcode);
		assert_int_equal(answer.n_addrs, rows[i].n);
		if (!rows[i].first)
			continue;
		assert_int_equal(addr_parse(rows[i].first, &a), 0);
		assert_true(addr_equal(&answer.addrs[0], &a));
	}
	assert_int_equal(d.n_queries, 0);
	named_fini(&d);
}

static void name_by_dns(void **state)
{
	struct named d;
	struct endpoint e;
	int fd = serve(SOCK_STREAM, IPV4, &e);

	(void)state;
	named_init(&d, POLICY_ALLOW_LOOPBACK, "nameserver 127.0.0.1\n", "");
	d.known = "www.example";
	d.a = e.addr;
	expect_opened(&d, "www.example", fd, e.port);
	assert_int_equal(d.n_queries, 2);
	/* An address that nobody listens at is tried first, where there is
	 * IPv6. */
	d.aaaa = local(IPV6, 0).addr;
	expect_opened(&d, "www.example", fd, e.port);
	expect_refused(&d, "nothing.example", e.port, FRAME_REASON_NO_NAME);
	fd_close(&fd);
	expect_refused(&d, "www.example", e.port, FRAME_REASON_REFUSED);
	named_fini(&d);
}

static void name_within_search_list(void **state)
{
	struct named d;
	struct endpoint e;
	int fd = serve(SOCK_STREAM, IPV4, &e);

	(void)state;
	named_init(&d, POLICY_ALLOW_LOOPBACK,
		   "search ignored\nsearch one.example two.example\n"
		   "options rotate ndots:2\nnameserver 127.0.0.1\n",
		   "");
	d.known = "host.sub.two.example";
	d.a = e.addr;
	expect_opened(&d, "host.sub", fd, e.port);
	assert_int_equal(d.n_asked, 2);
	assert_string_equal(d.asked[0], "host.sub.one.example");
	assert_string_equal(d.asked[1], "host.sub.two.example");
	d.n_asked = 0;
	expect_refused(&d, "a.b.c", e.port, FRAME_REASON_NO_NAME);
	assert_int_equal(d.n_asked, 3);
	assert_string_equal(d.asked[0], "a.b.c");
	d.n_asked = 0;
	expect_refused(&d, "host.", e.port, FRAME_REASON_NO_NAME);
	assert_int_equal(d.n_asked, 1);
	assert_string_equal(d.asked[0], "host");
	named_fini(&d);
	fd_close(&fd);
}

/* Who answers for a name must not get at what is for this host only. */
static void name_does_not_get_around_policy(void **state)
{
	struct named d;
	struct endpoint e;
	int fd = serve(SOCK_STREAM, IPV4, &e);

	(void)state;
	named_init(&d, 0, "nameserver 127.0.0.1\n", "127.0.0.1 home\n");
	d.known = "rebind.example";
	d.a = e.addr;
	d.aaaa = local(IPV6, 0).addr;
	expect_refused(&d, "rebind.example", e.port, FRAME_REASON_PROHIBITED);
	expect_refused(&d, "home", e.port, FRAME_REASON_PROHIBITED);
	expect_refused(&d, "localhost", e.port, FRAME_REASON_PROHIBITED);
	expect_refused(&d, "0.0.0.0", e.port, FRAME_REASON_PROHIBITED);
	assert_int_equal(addr_parse("169.254.169.254", &d.a), 0);
	expect_refused(&d, "rebind.example", 80, FRAME_REASON_PROHIBITED);
	/* In IPv6's clothes. */
	d.a.version = 0;
	assert_int_equal(addr_parse("::ffff:127.0.0.1", &d.aaaa), 0);
	expect_refused(&d, "rebind.example", e.port, FRAME_REASON_PROHIBITED);
	assert_false(is_ready(fd, POLLIN));
	assert_true(session_stats(far_session(d.n->far))->drops[DROP_POLICY] >=
		    6);
	named_fini(&d);
	fd_close(&fd);
}

static void name_given_up_by_the_near_end(void **state)
{
	struct named d;
	struct conn c;

	(void)state;
	named_init(&d, POLICY_ALLOW_LOOPBACK, "nameserver 127.0.0.1\n", "");
	dial_name(&d, &c, "slow.example", 80);
	WAIT(d.n, far_count(d.n->far).queries == 2);
	stream_reset(c.s, FRAME_REASON_RESET);
	WAIT(d.n, far_count(d.n->far).queries == 0);
	dial_name(&d, &c, "slow.example", 80);
	WAIT(d.n, far_count(d.n->far).queries == 2);
	named_fini(&d); /* with a lookup under way */
}

static void names_are_bounded(void **state)
{
	static struct conn c[RESOLVER_QUERIES_MAX];
	struct named d;
	int n_refused = 0;

	(void)state;
	named_init(&d, POLICY_ALLOW_LOOPBACK, "nameserver 127.0.0.1\n", "");
	for (int i = 0; i < RESOLVER_QUERIES_MAX; i++)
		dial_name(&d, &c[i], "slow.example", 80);
	WAIT(d.n, far_count(d.n->far).queries == RESOLVER_QUERIES_MAX);
	for (int i = 0; i < 100; i++)
		step(d.n);
	for (int i = 0; i < RESOLVER_QUERIES_MAX; i++)
		if (c[i].is_refused) {
			n_refused++;
			assert_int_equal(c[i].why.reason,
					 FRAME_REASON_NO_RESOURCES);
		}
	assert_int_equal(n_refused, RESOLVER_QUERIES_MAX / 2);
	named_fini(&d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define TEST_STRICT(f) \
	cmocka_unit_test_setup_teardown(f, set_up_strict, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(greeting_identifies_session_and_host),
		cmocka_unit_test(greeting_prefers_address_of_ssh_connection),
		TEST_STRICT(greeting_without_nameserver_lacks_resolve),
		TEST(tcp4_carries_both_ways_with_half_close),
		TEST(tcp6_carries_both_ways_with_half_close),
		TEST(tcp_down_can_end_first),
		TEST(tcp_refused_is_told),
		TEST_STRICT(tcp_policy_refuses),
		TEST(tcp_mapped_address_gets_around_nothing),
		TEST(tcp_near_reset_is_passed_on),
		TEST(tcp_bytes_before_near_reset_arrive),
		TEST(tcp_near_reset_while_connecting),
		TEST(tcp_far_reset_is_passed_on),
		TEST(tcp_bytes_before_far_reset_arrive),
		TEST(tcp_far_reset_while_there_is_no_room),
		TEST(tcp_far_reset_after_its_end),
		TEST(tcp_holds_back_a_near_writer),
		TEST(tcp_holds_back_a_far_writer),
		TEST(tcp_end_of_session_resets),
		TEST(out_of_descriptors_refuses_one_flow),
		TEST(many_connections_one_after_another),
		TEST(udp4_echoes_all_sizes),
		TEST(udp6_echoes_all_sizes),
		TEST(udp_passes_ttl_and_traffic_class),
		TEST(udp4_port_unreachable_is_told),
		TEST(udp6_port_unreachable_is_told),
		TEST(udp_stranger_is_filtered),
		TEST_STRICT(udp_policy_refuses_with_icmp),
		TEST(udp_odd_destinations_are_survived),
		cmocka_unit_test_setup_teardown(association_ends_when_idle,
						set_up_virtual, tear_down),
		cmocka_unit_test(peer_set_forgets_who_was_not_written_to),
		TEST(echo_is_carried_where_allowed),
		TEST(echo6_is_carried_where_allowed),
		TEST(echo_is_prohibited_where_not_allowed),
		cmocka_unit_test(resolve_forwards_query),
		cmocka_unit_test(resolve_fetches_long_answer_by_tcp),
		cmocka_unit_test(resolve_gives_up_on_silence),
		cmocka_unit_test(resolve_is_bounded),
		TEST_STRICT(resolve_refuses_nonsense_and_missing_servers),
		cmocka_unit_test(resolve_asks_whom_it_is_told_to),
		cmocka_unit_test(name_in_hosts_file),
		cmocka_unit_test(query_for_a_name_in_hosts_file),
		cmocka_unit_test(name_by_dns),
		cmocka_unit_test(name_within_search_list),
		cmocka_unit_test(name_does_not_get_around_policy),
		cmocka_unit_test(name_given_up_by_the_near_end),
		cmocka_unit_test(names_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
