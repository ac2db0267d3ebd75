/* SPDX-License-Identifier: MIT */
/*
 * door: programs on loopback, through doors, into a session whose far end is a
 * script: what answers is told by the port.
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
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "dns_msg.h"
#include "fd.h"
#include "bond_carrier.h"
#include "pkt.h"
#include "proxy.h"
#include "session.h"

enum {
	PATIENCE_US = 20000000,
	STEP_US = 200,
	/* What is on the ports of the far side. */
	PORT_ECHO = 7,
	PORT_SILENT = 5,       /* never answers */
	PORT_RESETS = 6,       /* accepts, and resets when bytes come */
	PORT_ONLY_SECOND = 11, /* refuses all but 192.0.2.2 */
	PORT_REFUSES = 100,    /* with the reason added to it */
	ALL = FRAME_CAP_TCP | FRAME_CAP_UDP | FRAME_CAP_NAMES |
	      FRAME_CAP_RESOLVE | FRAME_CAP_IPV4,
};

#define BYTES(s) s, sizeof(s) - 1

struct world {
	struct loop *loop;
	struct session *near, *far;
	struct proxy *proxy;
	struct endpoint door;
	bool is_up;
	uint32_t capabilities;
	/* What the far end saw last, and how much. */
	struct frame_open open;
	struct frame_dgram dgram;
	uint32_t dgram_id;
	struct dgram_queue echo;
	unsigned n_opens, n_resets, n_dgrams, n_assoc_closes, n_resolves;
};

/* ---- the far end ---- */

static void far_move(struct stream *s)
{
	struct iovec iov[2];
	size_t n = ring_len(&s->rx), room = stream_tx_room(s);
	int parts = stream_rx_peek(s, s->rx.start, n < room ? n : room, iov);

	for (int i = 0; i < parts; i++)
		assert_int_equal(
			stream_write(s, iov[i].iov_base, iov[i].iov_len), 0);
	stream_consume(s, s->rx.start + (n < room ? n : room));
	if (s->rx_fin && ring_len(&s->rx) == 0) {
		stream_write_fin(s);
		stream_consume_fin(s);
	}
}

static void far_on_readable(struct stream *s)
{
	struct world *w = s->owner;

	if (w->open.dst.port == PORT_RESETS)
		stream_reset(s, FRAME_REASON_RESET);
	else
		far_move(s);
}

static void far_on_reset(struct stream *s, enum frame_reason reason)
{
	(void)reason;
	((struct world *)s->owner)->n_resets++;
}

static void nothing(struct stream *s)
{
	(void)s;
}

static void far_on_open(void *ctx, struct stream *s,
			const struct frame_open *open)
{
	struct world *w = ctx;
	uint16_t port = open->dst.port;
	struct frame_refused why = {.reason = FRAME_REASON_REFUSED};

	w->open = *open;
	w->n_opens++;
	s->owner = w;
	if (port >= PORT_REFUSES && port < PORT_REFUSES + FRAME_REASON__N) {
		why.reason = (enum frame_reason)(port - PORT_REFUSES);
		session_refuse(s, &why);
	} else if (port == PORT_ONLY_SECOND && open->dst.addr.bytes[3] != 2) {
		session_refuse(s, &why);
	} else if (port != PORT_SILENT) {
		session_accept(s);
	}
}

static void far_on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct world *w = ctx;

	w->dgram = *d;
	w->n_dgrams++;
	if (w->dgram_id != id) {
		dgram_queue_fini(&w->echo);
		dgram_queue_init(&w->echo, id);
	}
	w->dgram_id = id;
	assert_int_equal(session_send_dgram(w->far, &w->echo, d), DROP_NONE);
}

static void far_on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	(void)reason;
	assert_true(proxy_owns_id(id));
	((struct world *)ctx)->n_assoc_closes++;
}

/* "known" has two addresses, and nothing else has any. */
static void far_on_resolve(void *ctx, uint32_t id, const uint8_t *query,
			   size_t len)
{
	static const uint8_t record[] = {0xc0, 12, 0, 1, 0,   1, 0, 0,
					 0,    60, 0, 4, 192, 0, 2, 1};
	uint8_t answer[DNS_QUERY_MAX + 2 * sizeof(record)];
	struct world *w = ctx;
	bool is_known = memmem(query, len, "\5known", 6) != NULL;

	w->n_resolves++;
	memcpy(answer, query, len);
	answer[2] |= 0x80;
	if (is_known) {
		answer[7] = 2;
		memcpy(answer + len, record, sizeof(record));
		memcpy(answer + len + sizeof(record), record, sizeof(record));
		answer[len + 2 * sizeof(record) - 1] = 2;
		len += 2 * sizeof(record);
	} else {
		answer[3] |= DNS_NO_NAME;
	}
	session_send_resolved(w->far, id, FRAME_REASON_NONE, answer, len);
}

static void ignore_up(void *ctx, const struct frame_hello *peer)
{
	(void)ctx;
	(void)peer;
}

static void ignore_down(void *ctx, const struct err *why)
{
	(void)ctx;
	(void)why;
}

static const struct stream_ops far_stream_ops = {
	.on_readable = far_on_readable,
	.on_writable = far_move,
	.on_reset = far_on_reset,
	.on_closed = nothing,
};

static const struct session_ops far_ops = {
	.on_up = ignore_up,
	.on_open = far_on_open,
	.stream = &far_stream_ops,
	.on_dgram = far_on_dgram,
	.on_assoc_close = far_on_assoc_close,
	.on_resolve = far_on_resolve,
	.on_down = ignore_down,
};

/* ---- the near end ---- */

static void near_on_up(void *ctx, const struct frame_hello *peer)
{
	struct world *w = ctx;

	w->is_up = true;
	proxy_session_up(w->proxy, w->near, peer->capabilities);
}

static void near_on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	proxy_on_dgram(((struct world *)ctx)->proxy, id, d);
}

static void near_on_assoc_close(void *ctx, uint32_t id,
				enum frame_reason reason)
{
	proxy_on_assoc_close(((struct world *)ctx)->proxy, id, reason);
}

static void near_on_resolved(void *ctx, uint32_t id, enum frame_reason status,
			     const uint8_t *answer, size_t len)
{
	proxy_on_resolved(((struct world *)ctx)->proxy, id, status, answer,
			  len);
}

static void near_on_down(void *ctx, const struct err *why)
{
	(void)why;
	proxy_session_down(((struct world *)ctx)->proxy);
}

static const struct stream_ops near_stream_ops = {
	.on_readable = nothing,
};

static const struct session_ops near_ops = {
	.on_up = near_on_up,
	.stream = &near_stream_ops,
	.on_dgram = near_on_dgram,
	.on_assoc_close = near_on_assoc_close,
	.on_resolved = near_on_resolved,
	.on_down = near_on_down,
};

/* ---- the world ---- */

static void step(struct world *w)
{
	if (loop_poll(w->loop))
		return;
	loop_advance_us(w->loop, STEP_US);
	(void)sched_yield();
}

#define WAIT(w, condition)                                               \
	do {                                                             \
		mono_us_t end_us = clock_mono_us() + PATIENCE_US;        \
		while (!(condition)) {                                   \
			if (clock_mono_us() > end_us)                    \
				fail_msg("waited in vain: " #condition); \
			step(w);                                         \
		}                                                        \
	} while (0)

/* Second by second, so that neither end thinks the other is silent. */
static void pass_time(struct world *w, unsigned seconds)
{
	while (seconds-- > 0) {
		loop_advance_us(w->loop, US_PER_SEC);
		while (loop_poll(w->loop))
			continue;
	}
}

static void begin_sessions(struct world *w, uint32_t capabilities)
{
	struct frame_hello hello = {.software = "test",
				    .capabilities = capabilities};
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	w->is_up = false;
	w->far = session_new(w->loop, SESSION_FAR,
			     bond_carrier_new(w->loop, fds[0], fds[0], NULL, 0),
			     &far_ops, w, &hello);
	w->near =
		session_new(w->loop, SESSION_NEAR,
			    bond_carrier_new(w->loop, fds[1], fds[1], NULL, 0),
			    &near_ops, w, &hello);
	WAIT(w, w->is_up && session_is_up(w->far));
}

static struct endpoint open_door(struct world *w, const char *text)
{
	struct door_options options;
	struct door_status status[PROXY_DOORS_MAX];
	struct endpoint e = {.port = 0};
	struct err err = {""};

	if (door_options_parse(text, &options, &err) < 0 ||
	    proxy_open_door(w->proxy, &options, &err) < 0)
		fail_msg("%s", err.text);
	size_t n = proxy_doors(w->proxy, status, PROXY_DOORS_MAX);
	const char *colon = strchr(status[n - 1].listen, ':');
	if (colon && !options.path[0]) {
		e = options.at[0];
		e.port = (uint16_t)atoi(colon + 1);
	}
	return e;
}

static struct world *world_new(uint32_t capabilities)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->loop = loop_new(LOOP_TIME_VIRTUAL);
	w->proxy = proxy_new(w->loop);
	w->door = open_door(w, "127.0.0.1:0");
	dgram_queue_init(&w->echo, 0);
	begin_sessions(w, capabilities);
	return w;
}

static int set_up(void **state)
{
	*state = world_new(ALL);
	return 0;
}

static int set_up_bare(void **state)
{
	*state = world_new(FRAME_CAP_TCP | FRAME_CAP_RESOLVE | FRAME_CAP_IPV4);
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	w->proxy = proxy_free(w->proxy);
	w->near = session_free(w->near);
	dgram_queue_fini(&w->echo);
	w->far = session_free(w->far);
	w->loop = loop_free(w->loop);
	free(w);
	return 0;
}

static struct door_status status_of(struct world *w, size_t i)
{
	struct door_status s[PROXY_DOORS_MAX];

	assert_true(proxy_doors(w->proxy, s, PROXY_DOORS_MAX) > i);
	return s[i];
}

/* ---- clients ---- */

static int dial_to(const struct sockaddr *sa, socklen_t len)
{
	int fd = socket(sa->sa_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, sa, len) < 0)
		assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static int dial(struct world *w)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&w->door, &ss);

	return dial_to((const struct sockaddr *)&ss, len);
}

static void say(struct world *w, int fd, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			fail_msg("send: %s", strerror(errno));
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
		step(w);
	}
}

static void dribble(struct world *w, int fd, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		say(w, fd, bytes + i, 1);
		for (int k = 0; k < 4; k++)
			step(w);
	}
}

/* What recv(2) says when it says something: bytes, 0, or -errno. */
static ssize_t hear(struct world *w, int fd, void *buf, size_t len)
{
	ssize_t n = -1;

	WAIT(w, (n = recv(fd, buf, len, 0)) >= 0 || errno != EAGAIN);
	return n < 0 ? -errno : n;
}

static void expect(struct world *w, int fd, const void *bytes, size_t len)
{
	uint8_t got[4096];
	size_t at = 0;

	assert_true(len <= sizeof(got));
	while (at < len) {
		ssize_t n = hear(w, fd, got + at, len - at);

		if (n <= 0)
			fail_msg("%zu of %zu bytes, then %zd", at, len, n);
		at += (size_t)n;
	}
	assert_memory_equal(got, bytes, len);
}

static void expect_end(struct world *w, int fd)
{
	uint8_t byte;

	assert_int_equal(hear(w, fd, &byte, 1), 0);
}

/* All until the end, as a string. */
static void hear_all(struct world *w, int fd, char *buf, size_t cap)
{
	size_t at = 0;
	ssize_t n;

	while ((n = hear(w, fd, buf + at, cap - 1 - at)) > 0)
		at += (size_t)n;
	assert_int_equal(n, 0);
	buf[at] = '\0';
}

/* The bytes go there and back, then the end does. */
static void check_echo(struct world *w, int fd)
{
	say(w, fd, BYTES("there and back"));
	expect(w, fd, BYTES("there and back"));
	say(w, fd, BYTES("last words"));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	expect(w, fd, BYTES("last words"));
	expect_end(w, fd);
	(void)close(fd);
	WAIT(w, status_of(w, 0).conns == 0);
}

#define GREETING   "\5\1\0"
#define GRANTED5   "\5\0\0\1\0\0\0\0\0\0"
#define TO_ECHO	   "\5\1\0\1\300\0\2\1\0\7"
#define TO_ADDR(p) "\5\1\0\1\300\0\2\1" p

/* ---- what is asked for, in all languages ---- */

struct language {
	const char *what, *request, *answer;
	size_t request_len, answer_len;
	const char *dst; /* as the far end is to see it */
};

#define LANGUAGE(what, request, answer, dst)                \
	{                                                   \
		what, request, answer, sizeof(request) - 1, \
			sizeof(answer) - 1, dst             \
	}

static const struct language languages[] = {
	LANGUAGE("5, IPv4", GREETING TO_ECHO, "\5\0" GRANTED5, "192.0.2.1:7"),
	LANGUAGE("5, name", GREETING "\5\1\0\3\4host\0\7", "\5\0" GRANTED5,
		 "host"),
	LANGUAGE("5, IPv6",
		 GREETING "\5\1\0\4 \1\r\270\0\0\0\0\0\0\0\0\0\0\0\1\0\7",
		 "\5\0" GRANTED5, "[2001:db8::1]:7"),
	LANGUAGE("4", "\4\1\0\7\300\0\2\1me\0", "\0\132\0\0\0\0\0\0",
		 "192.0.2.1:7"),
	LANGUAGE("4a", "\4\1\0\7\0\0\0\1me\0host\0", "\0\132\0\0\0\0\0\0",
		 "host"),
	LANGUAGE("http", "CONNECT host:7 HTTP/1.1\r\nHost: host:7\r\n\r\n",
		 "HTTP/1.1 200 Connection established\r\n\r\n", "host"),
	LANGUAGE("http, IPv6", "CONNECT [2001:db8::1]:7 HTTP/1.1\r\n\r\n",
		 "HTTP/1.1 200 Connection established\r\n\r\n",
		 "[2001:db8::1]:7"),
	LANGUAGE("plain http",
		 "GET http://host:7/x?y HTTP/1.1\r\nA: b\r\nHost: other\r\n"
		 "Proxy-Connection: keep-alive\r\nContent-Length: 24\r\n\r\n",
		 "GET /x?y HTTP/1.1\r\nHost: host:7\r\nA: b\r\n"
		 "Content-Length: 24\r\nConnection: close\r\n\r\n",
		 "host"),
};

static void check_dst(const struct world *w, const struct language *l)
{
	char text[ENDPOINT_TEXT_MAX];

	if (w->open.name[0])
		assert_string_equal(w->open.name, l->dst);
	else
		assert_string_equal(endpoint_format(&w->open.dst, text),
				    l->dst);
	assert_int_equal(w->open.dst.port, PORT_ECHO);
}

static void all_languages_open_streams(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++) {
		const struct language *l = &languages[i];
		int fd = dial(w);

		say(w, fd, l->request, l->request_len);
		expect(w, fd, l->answer, l->answer_len);
		check_dst(w, l);
		check_echo(w, fd);
	}
	assert_int_equal(status_of(w, 0).opened,
			 sizeof(languages) / sizeof(languages[0]));
	assert_int_equal(status_of(w, 0).refused, 0);
}

static void byte_by_byte_is_the_same(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++) {
		const struct language *l = &languages[i];
		int fd = dial(w);

		dribble(w, fd, l->request, l->request_len);
		expect(w, fd, l->answer, l->answer_len);
		check_dst(w, l);
		check_echo(w, fd);
	}
}

static void early_bytes_are_kept(void **state)
{
	struct world *w = *state;
	int fd = dial(w);

	say(w, fd, BYTES(GREETING TO_ECHO "early"));
	expect(w, fd, BYTES("\5\0" GRANTED5 "early"));
	check_echo(w, fd);
}

static void a_second_request_goes_nowhere(void **state)
{
	static const char first[] = "GET http://host:7/1 HTTP/1.1\r\n\r\n",
			  seen[] = "GET /1 HTTP/1.1\r\nHost: host:7\r\n"
				   "Connection: close\r\n\r\n";
	char got[400];
	struct world *w = *state;
	int fd = dial(w);

	say(w, fd,
	    BYTES("GET http://host:7/1 HTTP/1.1\r\n\r\n"
		  "GET http://secret:7/2 HTTP/1.1\r\n\r\n"));
	expect(w, fd, BYTES(seen));
	say(w, fd, BYTES(first));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	hear_all(w, fd, got, sizeof(got));
	assert_string_equal(got, "");
	(void)close(fd);
}

/* ---- refusals ---- */

static void refusals_are_told(void **state)
{
	static const struct {
		enum frame_reason reason;
		uint8_t reply;
		int status;
	} rows[] = {
		{FRAME_REASON_REFUSED, 5, 502},
		{FRAME_REASON_NET_UNREACH, 3, 502},
		{FRAME_REASON_HOST_UNREACH, 4, 502},
		{FRAME_REASON_TIMED_OUT, 6, 504},
		{FRAME_REASON_PROHIBITED, 2, 403},
		{FRAME_REASON_NO_FAMILY, 8, 502},
		{FRAME_REASON_NO_RESOURCES, 1, 503},
		{FRAME_REASON_RESET, 5, 502},
		{FRAME_REASON_OTHER, 1, 502},
		{FRAME_REASON_NO_NAME, 4, 502},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned port = PORT_REFUSES + rows[i].reason;
		char request[] = GREETING TO_ADDR("\0\0");
		char answer[] = "\5\0\5\0\0\1\0\0\0\0\0\0";
		char text[100], got[1000], line[40];
		int fd = dial(w);

		request[sizeof(request) - 2] = (char)port;
		answer[3] = (char)rows[i].reply;
		say(w, fd, BYTES(request));
		expect(w, fd, BYTES(answer));
		expect_end(w, fd);
		(void)close(fd);

		fd = dial(w);
		(void)snprintf(text, sizeof(text),
			       "CONNECT host:%u HTTP/1.1\r\n\r\n", port);
		say(w, fd, text, strlen(text));
		hear_all(w, fd, got, sizeof(got));
		(void)snprintf(line, sizeof(line), "HTTP/1.1 %d ",
			       rows[i].status);
		assert_memory_equal(got, line, strlen(line));
		assert_non_null(strstr(got, "cannot connect to host port 1"));
		assert_non_null(strstr(got, frame_reason_text(rows[i].reason)));
		(void)close(fd);
	}
	WAIT(w, status_of(w, 0).conns == 0);
	assert_int_equal(status_of(w, 0).refused,
			 2 * sizeof(rows) / sizeof(rows[0]));
	assert_int_equal(status_of(w, 0).opened, 0);
}

static void what_is_not_served_is_said(void **state)
{
	static const struct {
		const char *in, *out;
		size_t in_len, out_len;
	} rows[] = {
#define ROW(in, out) {in, out, sizeof(in) - 1, sizeof(out) - 1}
		ROW(GREETING "\5\2\0\1\300\0\2\1\0\7",
		    "\5\0\5\7\0\1\0\0\0\0\0\0"),
		ROW(GREETING "\5\1\0\2\300\0\2\1\0\7",
		    "\5\0\5\10\0\1\0\0\0\0\0\0"),
		ROW(GREETING "\5\1\0\3\2a\n\0\7", "\5\0\5\4\0\1\0\0\0\0\0\0"),
		ROW(GREETING "\5\1\0\1\300\0\2\1\0\0",
		    "\5\0\5\1\0\1\0\0\0\0\0\0"),
		ROW("\5\1\2", "\5\377"),
		ROW("\4\2\0\7\300\0\2\1\0", "\0\133\0\0\0\0\0\0"),
		ROW("\26\3\1\0\5hello", ""),
		ROW("\0", ""),
#undef ROW
	};
	struct world *w = *state;
	char got[1000];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = dial(w);

		say(w, fd, rows[i].in, rows[i].in_len);
		expect(w, fd, rows[i].out, rows[i].out_len);
		expect_end(w, fd);
		(void)close(fd);
	}
	int fd = dial(w);
	say(w, fd, BYTES("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
	hear_all(w, fd, got, sizeof(got));
	assert_memory_equal(got, "HTTP/1.1 400 ", 13);
	(void)close(fd);
	assert_int_equal(w->n_opens, 0);
	WAIT(w, status_of(w, 0).conns == 0);
}

/* The answer must arrive although a body is still on its way. */
static void a_refused_upload_hears_why(void **state)
{
	static uint8_t body[300000];
	struct world *w = *state;
	char got[1000];
	int fd = dial(w);

	say(w, fd,
	    BYTES("POST http://host:101/ HTTP/1.1\r\n"
		  "Content-Length: 300000\r\n\r\n"));
	say(w, fd, body, sizeof(body));
	hear_all(w, fd, got, sizeof(got));
	assert_memory_equal(got, "HTTP/1.1 502 ", 13);
	(void)close(fd);
}

static void who_says_nothing_is_sent_away(void **state)
{
	struct world *w = *state;
	char got[1000];
	int mute = dial(w), slow = dial(w), web = dial(w);

	say(w, slow, BYTES("\5"));
	say(w, web, BYTES("GET http:"));
	WAIT(w, status_of(w, 0).conns == 3);
	pass_time(w, 29);
	assert_int_equal(status_of(w, 0).conns, 3);
	pass_time(w, 2);
	expect_end(w, mute);
	expect_end(w, slow);
	hear_all(w, web, got, sizeof(got));
	assert_memory_equal(got, "HTTP/1.1 408 ", 13);
	/* This one is waited for a little, no longer. */
	pass_time(w, 6);
	WAIT(w, status_of(w, 0).conns == 0);
	(void)close(mute);
	(void)close(slow);
	(void)close(web);
}

/* ---- endings ---- */

static void resets_go_both_ways(void **state)
{
	struct linger linger = {.l_onoff = 1};
	struct world *w = *state;
	uint8_t byte;
	int fd = dial(w);

	say(w, fd, BYTES(GREETING TO_ADDR("\0\6")));
	expect(w, fd, BYTES("\5\0" GRANTED5));
	say(w, fd, BYTES("x"));
	assert_int_equal(hear(w, fd, &byte, 1), -ECONNRESET);
	(void)close(fd);

	fd = dial(w);
	say(w, fd, BYTES(GREETING TO_ECHO));
	expect(w, fd, BYTES("\5\0" GRANTED5));
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(fd);
	WAIT(w, w->n_resets == 1);
	WAIT(w, status_of(w, 0).conns == 0);
}

static void who_hangs_up_early_is_forgotten(void **state)
{
	struct linger linger = {.l_onoff = 1};
	struct world *w = *state;
	int fd = dial(w);

	say(w, fd, BYTES(GREETING TO_ADDR("\0\5")));
	expect(w, fd, BYTES("\5\0"));
	WAIT(w, w->n_opens == 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(fd);
	WAIT(w, status_of(w, 0).conns == 0);
	WAIT(w, w->n_resets == 1);
}

static void the_end_of_the_session_resets(void **state)
{
	struct world *w = *state;
	uint8_t byte;
	int open = dial(w), opening = dial(w), reading = dial(w);

	say(w, open, BYTES(GREETING TO_ECHO));
	expect(w, open, BYTES("\5\0" GRANTED5));
	say(w, opening, BYTES(GREETING TO_ADDR("\0\5")));
	expect(w, opening, BYTES("\5\0"));
	say(w, reading, BYTES(GREETING));
	expect(w, reading, BYTES("\5\0"));
	WAIT(w, w->n_opens == 2);
	session_bye(w->far, FRAME_BYE_DONE, "enough");
	assert_int_equal(hear(w, open, &byte, 1), -ECONNRESET);
	expect(w, opening, BYTES("\5\1\0\1\0\0\0\0\0\0"));
	expect_end(w, opening);
	say(w, reading, BYTES(TO_ECHO));
	expect(w, reading, BYTES("\5\1\0\1\0\0\0\0\0\0"));
	(void)close(open);
	(void)close(opening);
	(void)close(reading);
	/* The door outlives it. */
	w->near = session_free(w->near);
	w->far = session_free(w->far);
	begin_sessions(w, ALL);
	int fd = dial(w);
	say(w, fd, BYTES(GREETING TO_ECHO));
	expect(w, fd, BYTES("\5\0" GRANTED5));
	check_echo(w, fd);
}

/* ---- bytes ---- */

struct bulk {
	int fd;
	uint32_t key;
	size_t total, sent, received;
	uint64_t hash_sent, hash_received;
	bool has_answer;
};

static uint8_t pattern(uint32_t key, size_t at)
{
	uint64_t x = (key + UINT64_C(0x9e3779b97f4a7c15)) * (at / 8 + 1);

	return (uint8_t)(x >> (at % 8 * 8));
}

static uint64_t hash_add(uint64_t h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static void bulk_send(struct bulk *b)
{
	uint8_t buf[8192];
	size_t n = b->total - b->sent;

	if (n > sizeof(buf))
		n = sizeof(buf);
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(b->key, b->sent + i);
	ssize_t r = n > 0 ? send(b->fd, buf, n, MSG_NOSIGNAL) : 0;
	if (r <= 0)
		return;
	b->hash_sent = hash_add(b->hash_sent, buf, (size_t)r);
	b->sent += (size_t)r;
	if (b->sent == b->total)
		(void)shutdown(b->fd, SHUT_WR);
}

/* True if the end was seen. */
static bool bulk_receive(struct bulk *b)
{
	uint8_t buf[8192];
	ssize_t r = recv(b->fd, buf, b->has_answer ? sizeof(buf) : 12, 0);

	if (r < 0)
		assert_int_equal(errno, EAGAIN);
	if (r > 0 && !b->has_answer) {
		/* 12 bytes at once: they were sent long ago. */
		b->received += (size_t)r;
		b->has_answer = b->received == 12;
		if (b->has_answer)
			b->received = 0;
	} else if (r > 0) {
		b->hash_received = hash_add(b->hash_received, buf, (size_t)r);
		b->received += (size_t)r;
	}
	return r == 0;
}

static void a_thousand_at_once(void **state)
{
	enum { N = 1000 };
	struct rlimit limit;
	struct world *w = *state;
	struct bulk *all = calloc(N, sizeof(*all));
	size_t n_ended = 0;
	mono_us_t late_us = clock_mono_us() + 3 * PATIENCE_US;

	assert_non_null(all);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (uint32_t i = 0; i < N; i++) {
		all[i] = (struct bulk){.fd = dial(w), .key = i};
		all[i].total = 1 + i * 97 % 60000;
		say(w, all[i].fd, BYTES(GREETING TO_ECHO));
	}
	while (n_ended < N) {
		assert_true(clock_mono_us() < late_us);
		for (int i = 0; i < N; i++) {
			struct bulk *b = &all[i];

			if (b->fd < 0)
				continue;
			if (b->has_answer)
				bulk_send(b);
			if (!bulk_receive(b))
				continue;
			assert_int_equal(b->received, b->total);
			assert_true(b->hash_received == b->hash_sent);
			fd_close(&b->fd);
			n_ended++;
		}
		for (int k = 0; k < 10; k++)
			step(w);
	}
	WAIT(w, status_of(w, 0).conns == 0);
	assert_int_equal(status_of(w, 0).opened, N);
	assert_int_equal(session_stats(w->near)->streams, 0);
	free(all);
}

/* Who does not read stops who writes, and nothing is lost. */
static void slow_readers_hold_back(void **state)
{
	enum { MANY = 64 << 20 };
	struct world *w = *state;
	struct bulk b = {.fd = dial(w), .key = 5, .total = MANY};
	int n_stuck = 0;
	size_t before;

	say(w, b.fd, BYTES(GREETING TO_ECHO));
	WAIT(w, b.has_answer || (bulk_receive(&b), b.has_answer));
	while (n_stuck < 1000) {
		before = b.sent;
		bulk_send(&b);
		n_stuck = b.sent == before ? n_stuck + 1 : 0;
		step(w);
	}
	/* Rings of both ends, both ways, and the kernel's buffers. */
	assert_in_range(b.sent, 1, 40 << 20);
	b.total = b.sent + 100000;
	while (!bulk_receive(&b)) {
		bulk_send(&b);
		step(w);
	}
	assert_int_equal(b.received, b.total);
	assert_true(b.hash_received == b.hash_sent);
	(void)close(b.fd);
}

/* ---- names ---- */

static void names_are_looked_up_if_they_must(void **state)
{
	struct world *w = *state;
	int fd = dial(w);

	say(w, fd, BYTES(GREETING "\5\1\0\3\5known\0\13"));
	expect(w, fd, BYTES("\5\0" GRANTED5));
	assert_int_equal(w->n_opens, 2); /* the first address refuses */
	assert_int_equal(w->n_resolves, 1);
	check_echo(w, fd);
	fd = dial(w);
	say(w, fd, BYTES(GREETING "\5\1\0\3\5KNOWN\0\7"));
	expect(w, fd, BYTES("\5\0" GRANTED5));
	assert_int_equal(w->n_resolves, 1); /* it was remembered */
	check_echo(w, fd);
	fd = dial(w);
	say(w, fd, BYTES(GREETING "\5\1\0\3\7unknown\0\7"));
	expect(w, fd, BYTES("\5\0\5\4\0\1\0\0\0\0\0\0"));
	(void)close(fd);
	pass_time(w, 61);
	fd = dial(w);
	say(w, fd, BYTES(GREETING "\5\1\0\3\5known\0\7"));
	expect(w, fd, BYTES("\5\0" GRANTED5));
	assert_int_equal(w->n_resolves, 3); /* and forgotten */
	check_echo(w, fd);
}

/* ---- datagrams ---- */

static int dgram_socket(void)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

/* Ask for an association; sends of fd go there. */
static int associate(struct world *w, int udp)
{
	uint8_t answer[12];
	struct endpoint e;
	struct sockaddr_storage ss;
	int fd = dial(w);

	say(w, fd, BYTES(GREETING "\5\3\0\1\0\0\0\0\0\0"));
	for (size_t at = 0; at < sizeof(answer);) {
		ssize_t n = hear(w, fd, answer + at, sizeof(answer) - at);

		assert_true(n > 0);
		at += (size_t)n;
	}
	assert_memory_equal(answer, "\5\0\5\0\0\1\177\0\0\1", 10);
	e = (struct endpoint){.addr = addr_make(IPV4, answer + 6),
			      .port = bytes_get_u16(answer + 10)};
	socklen_t len = endpoint_to_sockaddr(&e, &ss);
	assert_int_equal(connect(udp, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static void datagrams_go_there_and_back(void **state)
{
	struct world *w = *state;
	uint8_t got[100];
	int udp = dgram_socket(), other = dgram_socket();
	int fd = associate(w, udp);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	say(w, udp, BYTES("\0\0\0\1\300\0\2\1\0\7hello"));
	assert_int_equal(hear(w, udp, got, sizeof(got)), 15);
	assert_memory_equal(got, "\0\0\0\1\300\0\2\1\0\7hello", 15);
	assert_true(proxy_owns_id(w->dgram_id));
	assert_int_equal(w->dgram.proto, PKT_PROTO_UDP);

	/* to a name: the answer comes from an address */
	say(w, udp, BYTES("\0\0\0\3\5known\0\7hello"));
	assert_int_equal(hear(w, udp, got, sizeof(got)), 15);
	assert_memory_equal(got, "\0\0\0\1\300\0\2\1\0\7hello", 15);

	/* of the other family: another association */
	uint32_t id4 = w->dgram_id;
	say(w, udp,
	    BYTES("\0\0\0\4\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\0\7hello"));
	assert_int_equal(hear(w, udp, got, sizeof(got)), 27);
	uint32_t id6 = w->dgram_id;
	assert_int_not_equal(id6, id4);

	/* nobody else's, no fragments, nothing cut, no multicast; an empty one
	 * to an unknown name */
	assert_int_equal(getpeername(udp, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(connect(other, (struct sockaddr *)&ss, len), 0);
	unsigned n = w->n_dgrams;
	const uint64_t *drops = session_stats(w->near)->drops;
	say(w, other, BYTES("\0\0\0\1\300\0\2\1\0\7hello"));
	WAIT(w, drops[DROP_UDP_FILTERED] == 1);
	say(w, udp, BYTES("\0\0\1\1\300\0\2\1\0\7hello"));
	WAIT(w, drops[DROP_FRAGMENT_LIMIT] == 1);
	say(w, udp, BYTES("\0\0\0\1\300\0\2\1\0"));
	WAIT(w, drops[DROP_TRUNCATED] == 1);
	say(w, udp, BYTES("\0\0\0\1\340\0\0\1\0\7hello"));
	WAIT(w, drops[DROP_BAD_DESTINATION] == 1);
	say(w, udp, BYTES("\0\0\0\3\7unknown\0\7"));
	WAIT(w, drops[DROP_BAD_DESTINATION] == 2);
	assert_int_equal(w->n_dgrams, n);

	/* the far end lets go of it: there is another one then */
	session_send_assoc_close(w->far, id4, FRAME_REASON_NONE);
	for (int i = 0; i < 100; i++)
		step(w);
	say(w, udp, BYTES("\0\0\0\1\300\0\2\1\0\7"));
	WAIT(w, w->n_dgrams == n + 1);
	assert_int_not_equal(w->dgram_id, id4);
	assert_int_not_equal(w->dgram_id, id6);

	/* so do we if it is idle, and at the end of the connection */
	pass_time(w, 310);
	WAIT(w, w->n_assoc_closes == 2);
	assert_int_equal(status_of(w, 0).assocs, 1);
	(void)close(fd);
	WAIT(w, status_of(w, 0).assocs == 0);
	(void)close(udp);
	(void)close(other);
}

static void no_datagrams_where_there_are_none(void **state)
{
	struct world *w = *state;
	int fd = dial(w);

	say(w, fd, BYTES(GREETING "\5\3\0\1\0\0\0\0\0\0"));
	expect(w, fd, BYTES("\5\0\5\7\0\1\0\0\0\0\0\0"));
	expect_end(w, fd);
	(void)close(fd);
}

/* ---- listening ---- */

static void options_are_understood(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *first, *second;
	} rows[] = {
		{"1080", 0, "127.0.0.1:1080", "[::1]:1080"},
		{"localhost:1080", 0, "127.0.0.1:1080", "[::1]:1080"},
		{"*:1080", 0, "0.0.0.0:1080", "[::]:1080"},
		{"10.0.0.1:1", 0, "10.0.0.1:1", NULL},
		{"[::1]:65535", 0, "[::1]:65535", NULL},
		{"./sock", 0, NULL, NULL},
		{"", -EINVAL, NULL, NULL},
		{"65536", -EINVAL, NULL, NULL},
		{"-1", -EINVAL, NULL, NULL},
		{"1080x", -EINVAL, NULL, NULL},
		{":1080", -EINVAL, NULL, NULL},
		{"::1:1080", -EINVAL, NULL, NULL},
		{"[127.0.0.1]:1080", -EINVAL, NULL, NULL},
		{"host:1080", -EINVAL, NULL, NULL},
		{"127.0.0.1:", -EINVAL, NULL, NULL},
	};
	char path[400], text[ENDPOINT_TEXT_MAX];
	struct door_options o;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (door_options_parse(rows[i].text, &o, &err) != rows[i].r)
			fail_msg("%s", rows[i].text);
		if (rows[i].r < 0)
			continue;
		assert_int_equal(o.n_at, (rows[i].first != NULL) +
						 (rows[i].second != NULL));
		if (o.n_at > 0)
			assert_string_equal(endpoint_format(&o.at[0], text),
					    rows[i].first);
		if (o.n_at > 1)
			assert_string_equal(endpoint_format(&o.at[1], text),
					    rows[i].second);
		assert_int_equal(door_options_is_wide(&o, &err),
				 rows[i].text[0] == '*' ||
					 strcmp(rows[i].text, "10.0.0.1:1") ==
						 0);
	}
	memset(path, '/', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(door_options_parse(path, &o, &err), -EINVAL);
}

static int try_door(struct world *w, const char *text, struct err *err)
{
	struct door_options o;

	assert_int_equal(door_options_parse(text, &o, err), 0);
	return proxy_open_door(w->proxy, &o, err);
}

static void what_is_in_use_is_said(void **state)
{
	struct world *w = *state;
	char text[ENDPOINT_TEXT_MAX];
	struct err err;

	(void)endpoint_format(&w->door, text);
	assert_int_equal(try_door(w, text, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, text));
	assert_int_equal(try_door(w, "192.0.2.77:0", &err), -EADDRNOTAVAIL);
}

static void unix_sockets_are_private(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/doorXXXXXX", file[64];
	struct world *w = *state;
	struct stat st;
	struct err err;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", dir);
	/* what a tunnel left that was killed */
	int stale = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(stale, (struct sockaddr *)&un, sizeof(un)), 0);
	(void)close(stale);
	(void)open_door(w, un.sun_path);
	assert_int_equal(lstat(un.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_string_equal(status_of(w, 1).listen, un.sun_path);
	assert_int_equal(try_door(w, un.sun_path, &err), -EADDRINUSE);
	int fd = dial_to((struct sockaddr *)&un, sizeof(un));
	say(w, fd, BYTES(GREETING TO_ECHO));
	expect(w, fd, BYTES("\5\0" GRANTED5));
	check_echo(w, fd);
	fd = dial_to((struct sockaddr *)&un, sizeof(un));
	say(w, fd, BYTES(GREETING "\5\3\0\1\0\0\0\0\0\0"));
	expect(w, fd, BYTES("\5\0\5\7\0\1\0\0\0\0\0\0"));
	(void)close(fd);
	/* no file is replaced, and no directory of everybody used */
	(void)snprintf(file, sizeof(file), "%s/file", dir);
	fclose(fopen(file, "w"));
	assert_int_equal(try_door(w, file, &err), -EEXIST);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(chmod(dir, 0777), 0);
	assert_int_equal(try_door(w, file, &err), -EPERM);
	w->proxy = proxy_free(w->proxy);
	assert_int_equal(lstat(un.sun_path, &st), -1);
	assert_int_equal(rmdir(dir), 0);
}

static void lack_of_descriptors_is_survived(void **state)
{
	enum { N = 20 };
	struct world *w = *state;
	struct rlimit limit, low;
	int fds[N];

	for (int i = 0; i < N; i++)
		fds[i] = dial(w);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)fds[N - 1] + 6;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	WAIT(w, status_of(w, 0).is_paused);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	WAIT(w, status_of(w, 0).accepted == N);
	for (int i = 0; i < N; i++)
		(void)close(fds[i]);
	WAIT(w, status_of(w, 0).conns == 0);
}

#define TEST(f)	     cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define TEST_BARE(f) cmocka_unit_test_setup_teardown(f, set_up_bare, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_languages_open_streams),
		TEST(byte_by_byte_is_the_same),
		TEST(early_bytes_are_kept),
		TEST(a_second_request_goes_nowhere),
		TEST(refusals_are_told),
		TEST(what_is_not_served_is_said),
		TEST(a_refused_upload_hears_why),
		TEST(who_says_nothing_is_sent_away),
		TEST(resets_go_both_ways),
		TEST(who_hangs_up_early_is_forgotten),
		TEST(the_end_of_the_session_resets),
		TEST(a_thousand_at_once),
		TEST(slow_readers_hold_back),
		TEST_BARE(names_are_looked_up_if_they_must),
		TEST(datagrams_go_there_and_back),
		TEST_BARE(no_datagrams_where_there_are_none),
		cmocka_unit_test(options_are_understood),
		TEST(what_is_in_use_is_said),
		TEST(unix_sockets_are_private),
		TEST(lack_of_descriptors_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
