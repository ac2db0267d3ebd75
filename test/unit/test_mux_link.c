/* SPDX-License-Identifier: MIT */
/* test_mux_link: channels over a control socket whose other end is played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "bytes.h"
#include "mux_link.h"
#include "mux_msg.h"

enum {
	WINDOW = 8 << 20,
	FIRST_WINDOW = 128 << 10,
	QUEUE_MAX = 8 << 20,
	SERVER_WINDOW = 2 << 20,
	SERVER_PACKET = 32 << 10,
	REMOTE = 1000, /* number of the server = ours + that */
};

/* What was told of one channel. */
struct seen {
	struct mux_channel *ch;
	unsigned n_open, n_refused, n_eof, n_writable, n_closed;
	uint32_t reason;
	char text[300];
	uint64_t n_bytes;
	uint8_t last[64]; /* of data */
	bool consumes, fills, closes;
	uint64_t filled;
};

struct fixture {
	struct loop *loop;
	struct mux_link *link;
	int ssh; /* the other end */
	unsigned n_ready, n_closed;
	struct err why;
	uint8_t in[1 << 21]; /* what the link has written */
	size_t in_at, in_len;
};

/* ---- the other end ---- */

/* A message the link has sent. */
struct frame {
	uint8_t type;
	uint32_t channel, number; /* the first two integers of its payload */
	const uint8_t *body;
	size_t len;
};

static void settle(struct fixture *x)
{
	ssize_t n;

	do {
		while (loop_poll(x->loop))
			continue;
		memmove(x->in, x->in + x->in_at, x->in_len - x->in_at);
		x->in_len -= x->in_at;
		x->in_at = 0;
		n = recv(x->ssh, x->in + x->in_len, sizeof(x->in) - x->in_len,
			 MSG_DONTWAIT);
		x->in_len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
}

/* The next message; false if there is none. */
static bool next(struct fixture *x, struct frame *f)
{
	int n = mux_msg_split(x->in + x->in_at, x->in_len - x->in_at, &f->body,
			      &f->len);
	if (n == 0) {
		settle(x);
		n = mux_msg_split(x->in, x->in_len, &f->body, &f->len);
	}
	assert_true(n >= 0);
	if (n == 0)
		return false;
	x->in_at += (size_t)n;
	f->type = f->body[1];
	f->channel = f->len >= 6 ? bytes_get_u32(f->body + 2) : 0;
	f->number = f->len >= 10 ? bytes_get_u32(f->body + 6) : 0;
	return true;
}

static struct frame expect_frame(struct fixture *x, uint8_t type)
{
	struct frame f = {0};

	assert_true(next(x, &f));
	assert_int_equal(f.type, type);
	return f;
}

static void expect_silence(struct fixture *x)
{
	struct frame f;

	assert_false(next(x, &f));
}

static void say_raw(struct fixture *x, const void *bytes, size_t len)
{
	assert_int_equal(send(x->ssh, bytes, len, MSG_NOSIGNAL), len);
	while (loop_poll(x->loop))
		continue;
}

/* A packet of a type, numbers, and bytes behind them. */
static void say(struct fixture *x, uint8_t type, const uint32_t *numbers,
		size_t n_numbers, const void *bytes, size_t len)
{
	uint8_t *msg = calloc(1, 64 + len);
	size_t at = 6;

	assert_non_null(msg);
	msg[5] = type;
	for (size_t i = 0; i < n_numbers; i++, at += 4)
		bytes_put_u32(msg + at, numbers[i]);
	if (len > 0)
		memcpy(msg + at, bytes, len);
	bytes_put_u32(msg, (uint32_t)(at - 4 + len));
	say_raw(x, msg, at + len);
	free(msg);
}

#define NUMBERS(...)                     \
	(const uint32_t[]){__VA_ARGS__}, \
		sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)

static void confirm(struct fixture *x, uint32_t id, uint32_t window)
{
	say(x, 91, NUMBERS(id, id + REMOTE, window, SERVER_PACKET), NULL, 0);
}

static void say_data(struct fixture *x, uint32_t id, const void *bytes,
		     size_t len)
{
	say(x, 94, NUMBERS(id, (uint32_t)len), bytes, len);
}

/* Many bytes in packets as a server's. */
static void say_much(struct fixture *x, uint32_t id, size_t len)
{
	static const uint8_t zeros[SERVER_PACKET];

	while (len > 0) {
		size_t n = len < sizeof(zeros) ? len : sizeof(zeros);

		say_data(x, id, zeros, n);
		len -= n;
	}
}

/* ---- our side ---- */

static void on_ready(void *ctx)
{
	((struct fixture *)ctx)->n_ready++;
}

static void on_link_closed(void *ctx, const struct err *why)
{
	struct fixture *x = ctx;

	x->n_closed++;
	x->why = *why;
}

static const struct mux_link_ops link_ops = {on_ready, on_link_closed};

static struct seen *seen_of(struct mux_channel *ch)
{
	return mux_channel_owner(ch);
}

static void on_open(struct mux_channel *ch)
{
	seen_of(ch)->n_open++;
}

static void on_refused(struct mux_channel *ch, uint32_t reason,
		       const char *text)
{
	struct seen *s = seen_of(ch);

	s->n_refused++;
	s->reason = reason;
	(void)snprintf(s->text, sizeof(s->text), "%s", text);
}

static void on_data(struct mux_channel *ch, const uint8_t *bytes, size_t len)
{
	struct seen *s = seen_of(ch);

	s->n_bytes += len;
	memcpy(s->last, bytes, len < sizeof(s->last) ? len : sizeof(s->last));
	if (s->consumes)
		mux_channel_consume(ch, len);
	if (s->closes)
		mux_channel_close(ch);
}

static void on_eof(struct mux_channel *ch)
{
	seen_of(ch)->n_eof++;
}

/* Send until no more is taken. */
static void fill(struct seen *s)
{
	static const uint8_t zeros[300000];
	size_t n;

	do {
		n = mux_channel_send(s->ch, zeros, sizeof(zeros));
		s->filled += n;
	} while (n == sizeof(zeros));
}

static void on_writable(struct mux_channel *ch)
{
	struct seen *s = seen_of(ch);

	s->n_writable++;
	if (s->fills)
		fill(s);
}

static void on_closed(struct mux_channel *ch)
{
	seen_of(ch)->n_closed++;
}

static const struct mux_channel_ops ops = {
	.on_open = on_open,
	.on_refused = on_refused,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_writable = on_writable,
	.on_closed = on_closed,
};

static void open_kind(struct fixture *x, struct seen *s,
		      enum mux_channel_kind kind, const char *host)
{
	struct mux_channel_open o = {
		.kind = kind, .host = host, .port = 80, .window_bytes = WINDOW};

	*s = (struct seen){0};
	s->ch = mux_channel_open(x->link, &o, &ops, s);
	assert_non_null(s->ch);
}

/* Begin to open; returns our number. */
static uint32_t begin_tcpip(struct fixture *x, struct seen *s)
{
	open_kind(x, s, MUX_DIRECT_TCPIP, "10.0.0.1");
	struct frame f = expect_frame(x, 90);
	return bytes_get_u32(f.body + 2 + 4 + strlen("direct-tcpip"));
}

static uint32_t open_tcpip(struct fixture *x, struct seen *s)
{
	uint32_t id = begin_tcpip(x, s);

	confirm(x, id, SERVER_WINDOW);
	assert_int_equal(s->n_open, 1);
	return id;
}

static int setup_silent(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	int fds[2], size = 1 << 20;

	assert_non_null(x);
	x->loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	x->ssh = fds[1];
	assert_int_equal(mux_link_greet(fds[0]), 0);
	x->link = mux_link_new(x->loop, fds[0], &link_ops, x);
	assert_non_null(x->link);
	*state = x;
	return 0;
}

static void say_hello(struct fixture *x)
{
	say_raw(x, "\0\0\0\x08\0\0\0\x01\0\0\0\x04", 12);
}

static int setup(void **state)
{
	(void)setup_silent(state);
	struct fixture *x = *state;
	struct frame f;

	assert_true(next(x, &f)); /* hello */
	assert_memory_equal(f.body, "\0\0\0\x01\0\0\0\x04", 8);
	assert_true(next(x, &f));
	assert_memory_equal(f.body, "\x10\0\0\x0f", 4);
	say_hello(x);
	assert_int_equal(x->n_ready, 0);
	say_raw(x, "\0\0\0\x08\x80\0\0\x0f\0\0\0\x01", 12);
	assert_int_equal(x->n_ready, 1);
	assert_true(mux_link_is_ready(x->link));
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	(void)mux_link_free(x->link);
	(void)loop_free(x->loop);
	(void)close(x->ssh);
	free(x);
	return 0;
}

/* The link has ended, saying this; the channel, if any, was told. */
static void expect_failed(struct fixture *x, const struct seen *s,
			  const char *text)
{
	assert_int_equal(x->n_closed, 1);
	assert_non_null(strstr(x->why.text, text));
	assert_false(mux_link_is_ready(x->link));
	assert_int_equal(mux_link_n_channels(x->link), 0);
	if (s)
		assert_int_equal(s->n_closed, 1);
}

/* ---- entering ---- */

static void nothing_opens_before_proxy_mode(void **state)
{
	struct fixture *x = *state;
	struct mux_channel_open o = {.kind = MUX_DIRECT_TCPIP, .host = "h"};

	assert_null(mux_channel_open(x->link, &o, &ops, NULL));
	assert_int_equal(errno, EAGAIN);
	say_hello(x);
	assert_null(mux_channel_open(x->link, &o, &ops, NULL));
}

static void refused_proxy_mode_is_told(void **state)
{
	struct fixture *x = *state;

	say_hello(x);
	say_raw(x, "\0\0\0\x0f\x80\0\0\x03\0\0\0\x01\0\0\0\x03n\x1bo", 19);
	expect_failed(x, NULL, "n\\x1bo");
}

static void other_versions_are_refused(void **state)
{
	struct fixture *x = *state;

	say_raw(x, "\0\0\0\x08\0\0\0\x01\0\0\0\x05", 12);
	expect_failed(x, NULL, "not an ssh that we know");
}

static void announced_extensions_are_ignored(void **state)
{
	struct fixture *x = *state;

	say_hello(x);
	say_raw(x, "\0\0\0\x08\x90\0\0\x01\0\0\0\x00", 12);
	say_raw(x, "\0\0\0\x08\x80\0\0\x0f\0\0\0\x01", 12);
	assert_int_equal(x->n_ready, 1);
}

static void end_of_ssh_is_told_once(void **state)
{
	struct fixture *x = *state;
	struct seen open, opening;

	(void)open_tcpip(x, &open);
	(void)begin_tcpip(x, &opening);
	assert_int_equal(shutdown(x->ssh, SHUT_RDWR), 0);
	settle(x);
	settle(x);
	expect_failed(x, &open, "ssh has ended");
	assert_int_equal(opening.n_closed, 1);
	assert_int_equal(opening.n_refused, 0);
}

/* ---- channels ---- */

static void refusal_brings_reason_and_text(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = begin_tcpip(x, &s);

	say(x, 92, NUMBERS(id, 2, 4), "no\n!\0\0\0\0", 8);
	assert_int_equal(s.n_refused, 1);
	assert_int_equal(s.reason, MUX_REFUSED_CONNECT);
	assert_string_equal(s.text, "no\\x0a!");
	assert_int_equal(mux_link_n_failures(x->link), 1);
	assert_int_equal(mux_link_n_channels(x->link), 0);
	expect_silence(x);
}

static void data_goes_both_ways(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_tcpip(x, &s);
	struct frame f;

	assert_int_equal(mux_channel_send(s.ch, (const uint8_t *)"up", 2), 2);
	f = expect_frame(x, 94);
	assert_int_equal(f.channel, id + REMOTE);
	assert_int_equal(f.number, 2);
	assert_memory_equal(f.body + 10, "up", 2);
	say_data(x, id, "down", 4);
	assert_int_equal(s.n_bytes, 4);
	assert_memory_equal(s.last, "down", 4);
}

static void messages_may_come_in_pieces(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint8_t msg[] = "\0\0\0\x0e\0\x5e\0\0\0\0\0\0\0\x04"
			"down";

	bytes_put_u32(msg + 6, open_tcpip(x, &s));
	for (size_t i = 0; i < 18; i++) {
		assert_int_equal(s.n_bytes, 0);
		say_raw(x, msg + i, 1);
	}
	assert_int_equal(s.n_bytes, 4);
}

static void data_is_cut_to_two_reads_of_ssh(void **state)
{
	static const uint8_t bytes[80000];
	struct fixture *x = *state;
	struct seen s;

	(void)open_tcpip(x, &s);
	assert_int_equal(mux_channel_send(s.ch, bytes, sizeof(bytes)),
			 sizeof(bytes));
	assert_int_equal(expect_frame(x, 94).number, 32758);
	assert_int_equal(expect_frame(x, 94).number, 32758);
	assert_int_equal(expect_frame(x, 94).number, 80000 - 2 * 32758);
	expect_silence(x);
}

static void data_is_cut_to_the_servers_packets(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = begin_tcpip(x, &s);

	say(x, 91, NUMBERS(id, 5, 10, 3), NULL, 0);
	assert_int_equal(mux_channel_send(s.ch, (const uint8_t *)"abcd", 4), 4);
	assert_int_equal(expect_frame(x, 94).number, 3);
	assert_int_equal(expect_frame(x, 94).number, 1);
}

static void full_window_stops_and_adjust_goes_on(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = begin_tcpip(x, &s);

	confirm(x, id, 3);
	assert_int_equal(mux_channel_send(s.ch, (const uint8_t *)"abcd", 4), 3);
	assert_int_equal(expect_frame(x, 94).number, 3);
	assert_int_equal(mux_channel_room(s.ch), 0);
	assert_int_equal(s.n_writable, 0);
	say(x, 93, NUMBERS(id, 2), NULL, 0);
	assert_int_equal(s.n_writable, 1);
	assert_int_equal(mux_channel_room(s.ch), 2);
	say(x, 93, NUMBERS(id, 2), NULL, 0);
	assert_int_equal(s.n_writable, 1); /* nobody waits any more */
}

static void consumed_data_is_granted_again(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_tcpip(x, &s);

	say_much(x, id, FIRST_WINDOW / 2);
	expect_silence(x);
	mux_channel_consume(s.ch, FIRST_WINDOW / 4 - 1);
	expect_silence(x);
	mux_channel_consume(s.ch, 1);
	assert_int_equal(expect_frame(x, 93).number, FIRST_WINDOW / 4);
}

/* Returns the window after rounds of using it up, each taking so long. */
static uint64_t window_after(struct fixture *x, uint64_t rtt_us, uint64_t us)
{
	struct seen s;
	uint32_t id = begin_tcpip(x, &s);
	uint64_t window = FIRST_WINDOW;
	struct frame f;

	loop_advance_us(x->loop, rtt_us);
	confirm(x, id, SERVER_WINDOW);
	for (int i = 0; i < 10; i++) {
		say_much(x, id, (size_t)window);
		window = 0;
		loop_advance_us(x->loop, us);
		mux_channel_consume(s.ch, (size_t)s.n_bytes);
		s.n_bytes = 0;
		while (next(x, &f))
			window += f.number;
	}
	return window;
}

static void window_grows_if_it_lasts_one_round_trip(void **state)
{
	assert_int_equal(window_after(*state, 100000, 100000), WINDOW);
}

static void window_is_the_usual_if_it_lasts_many(void **state)
{
	assert_int_equal(window_after(*state, 1000, 100000), SERVER_WINDOW / 2);
}

static void window_stays_if_it_is_used_slowly(void **state)
{
	assert_int_equal(window_after(*state, 300000, 600000), FIRST_WINDOW);
}

static void all_windows_together_are_bounded(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint64_t total = 0;

	for (int i = 0; i < MUX_LINK_CHANNELS_MAX; i++) {
		open_kind(x, &s, MUX_DIRECT_STREAMLOCAL, "/s");
		struct frame f = expect_frame(x, 90);
		total += bytes_get_u32(f.body + 2 + 4 + 30 + 4);
	}
	assert_true(total < 100 << 20);
	struct mux_channel_open o = {.kind = MUX_TUN};
	assert_null(mux_channel_open(x->link, &o, &ops, &s));
	assert_int_equal(errno, EMFILE);
}

static void worn_link_opens_no_more(void **state)
{
	struct fixture *x = *state;
	struct mux_channel_open o = {.kind = MUX_DIRECT_TCPIP, .host = "h"};
	struct seen s, kept;
	uint32_t kept_id = open_tcpip(x, &kept);

	for (int i = 0; i < MUX_LINK_FAILURES_MAX; i++) {
		uint32_t id = begin_tcpip(x, &s);
		say(x, 92, NUMBERS(id, 2, 0, 0), NULL, 0);
	}
	assert_null(mux_channel_open(x->link, &o, &ops, NULL));
	assert_int_equal(errno, EMFILE);
	say_data(x, kept_id, "x", 1);
	assert_int_equal(kept.n_bytes, 1);
}

/* ---- ends ---- */

static void server_ends_first(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_tcpip(x, &s);

	say(x, 96, NUMBERS(id), NULL, 0);
	assert_int_equal(s.n_eof, 1);
	assert_int_equal(mux_channel_send(s.ch, (const uint8_t *)"up", 2), 2);
	(void)expect_frame(x, 94);
	mux_channel_send_eof(s.ch);
	(void)expect_frame(x, 96);
	say(x, 97, NUMBERS(id), NULL, 0);
	assert_int_equal(s.n_closed, 1);
	(void)expect_frame(x, 97);
	assert_int_equal(mux_link_n_channels(x->link), 0);
	expect_silence(x);
}

static void we_end_first(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_tcpip(x, &s);

	mux_channel_send_eof(s.ch);
	assert_int_equal(mux_channel_send(s.ch, (const uint8_t *)"up", 2), 0);
	(void)expect_frame(x, 96);
	say_data(x, id, "down", 4);
	assert_int_equal(s.n_bytes, 4);
	mux_channel_close(s.ch);
	(void)expect_frame(x, 97);
	assert_int_equal(mux_link_n_channels(x->link), 1);
	say_data(x, id, "late", 4);
	say(x, 98, NUMBERS(id, 1), "x\1", 2); /* must not be answered */
	say(x, 97, NUMBERS(id), NULL, 0);
	assert_int_equal(mux_link_n_channels(x->link), 0);
	assert_int_equal(s.n_bytes, 4);
	assert_int_equal(s.n_closed, 0);
	expect_silence(x);
}

static void closed_in_its_own_callback(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_tcpip(x, &s);
	uint8_t twice[2 * 15] = {0};

	s.closes = true;
	for (int i = 0; i < 2; i++) {
		bytes_put_u32(twice + 15 * i, 11);
		twice[15 * i + 5] = 94;
		bytes_put_u32(twice + 15 * i + 6, id);
		bytes_put_u32(twice + 15 * i + 10, 1);
	}
	say_raw(x, twice, sizeof(twice));
	assert_int_equal(s.n_bytes, 1);
	(void)expect_frame(x, 97);
	expect_silence(x);
}

static void closed_while_it_is_opened(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = begin_tcpip(x, &s);

	mux_channel_close(s.ch);
	expect_silence(x);
	assert_int_equal(mux_link_n_channels(x->link), 1);
	confirm(x, id, SERVER_WINDOW);
	assert_int_equal(s.n_open, 0);
	assert_int_equal(expect_frame(x, 97).channel, id + REMOTE);
	say(x, 97, NUMBERS(id), NULL, 0);
	assert_int_equal(mux_link_n_channels(x->link), 0);
}

static void closed_while_it_is_refused(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = begin_tcpip(x, &s);

	mux_channel_close(s.ch);
	say(x, 92, NUMBERS(id, 1, 0, 0), NULL, 0);
	assert_int_equal(s.n_refused, 0);
	assert_int_equal(mux_link_n_failures(x->link), 1);
	assert_int_equal(mux_link_n_channels(x->link), 0);
}

/* ---- requests ---- */

static void keepalive_is_answered(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_tcpip(x, &s);

	say(x, 98, NUMBERS(id, 21), "keepalive@openssh.com\1", 22);
	assert_int_equal(expect_frame(x, 100).channel, id + REMOTE);
	say(x, 98, NUMBERS(id, 15), "eow@openssh.com\0", 16);
	say(x, 98, NUMBERS(id, 11), "exit-status\0\0\0\0\7", 16);
	expect_silence(x);
}

static uint32_t open_exec(struct fixture *x, struct seen *s)
{
	open_kind(x, s, MUX_EXEC, "ls");
	struct frame f = expect_frame(x, 90);
	uint32_t id = bytes_get_u32(f.body + 2 + 4 + strlen("session"));

	confirm(x, id, 0);
	assert_int_equal(s->n_open, 0);
	f = expect_frame(x, 98);
	assert_memory_equal(f.body + 6, "\0\0\0\4exec\1\0\0\0\2ls", 15);
	return id;
}

static void command_is_open_when_it_runs(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_exec(x, &s);

	say(x, 93, NUMBERS(id, SERVER_WINDOW), NULL, 0);
	say(x, 99, NUMBERS(id), NULL, 0);
	assert_int_equal(s.n_open, 1);
	say(x, 95, NUMBERS(id, 1, 3), "err", 3);
	assert_int_equal(s.n_bytes, 0);
	say_data(x, id, "out", 3);
	assert_int_equal(s.n_bytes, 3);
	assert_int_equal(mux_channel_room(s.ch) > 0, 1);
}

static void command_may_be_refused(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_exec(x, &s);

	say(x, 100, NUMBERS(id), NULL, 0);
	assert_int_equal(s.n_refused, 1);
	assert_int_equal(s.reason, MUX_REFUSED_PROHIBITED);
	(void)expect_frame(x, 97);
	say(x, 97, NUMBERS(id), NULL, 0);
	assert_int_equal(s.n_closed, 0);
	assert_int_equal(mux_link_n_channels(x->link), 0);
}

/* ---- tun ---- */

static void tun_packets_are_counted_as_the_server_counts(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint8_t ip[20] = {0x45};

	open_kind(x, &s, MUX_TUN, NULL);
	struct frame f = expect_frame(x, 90);
	uint32_t id = bytes_get_u32(f.body + 2 + 4 + 15);
	confirm(x, id, 60);
	assert_true(mux_channel_send_packet(s.ch, ip, 20)); /* 28 of 60 */
	f = expect_frame(x, 94);
	assert_int_equal(f.number, 24);
	assert_memory_equal(f.body + 10, "\0\0\0\2\x45", 5);
	assert_int_equal(mux_channel_room(s.ch), 32);
	ip[0] = 0x60;
	assert_true(mux_channel_send_packet(s.ch, ip, 20));
	assert_memory_equal(expect_frame(x, 94).body + 10, "\0\0\0\x18\x60", 5);
	assert_false(mux_channel_send_packet(s.ch, ip, 20)); /* 4 left */
	assert_false(mux_channel_send_packet(s.ch, ip, 0));
	expect_silence(x);
	say_data(x, id, "\0\0\0\2\x45pack", 9);
	assert_int_equal(s.n_bytes, 5);
	assert_memory_equal(s.last, "\x45pack", 5);
	say_data(x, id, "\0\0", 2); /* no packet */
	assert_int_equal(s.n_bytes, 5);
}

static void tun_grants_what_the_server_took(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint64_t taken = 0, granted = 0;
	static const uint8_t packet[1004];
	struct frame f;

	open_kind(x, &s, MUX_TUN, NULL);
	f = expect_frame(x, 90);
	uint32_t id = bytes_get_u32(f.body + 2 + 4 + 15);
	uint64_t window = bytes_get_u32(f.body + 2 + 4 + 15 + 4);
	confirm(x, id, SERVER_WINDOW);
	s.consumes = true;
	for (int i = 0; i < 50000; i++) {
		say_data(x, id, packet, sizeof(packet));
		taken += sizeof(packet);
		while (next(x, &f))
			granted += f.number;
		assert_true(taken <= window + granted);
		assert_true(granted <= taken);
	}
	assert_true(taken - granted <= window / 4);
}

/* ---- pacing ---- */

enum { UPLOADS = 20 };

static void start_uploads(struct fixture *x, struct seen *s, int n)
{
	for (int i = 0; i < n; i++)
		(void)open_tcpip(x, &s[i]);
	for (int i = 0; i < n; i++) {
		s[i].fills = true;
		fill(&s[i]);
	}
}

/* Read what the link writes, counting data and probes by channel. */
static uint64_t read_data(struct fixture *x, uint64_t by_channel[],
			  uint32_t *ret_probed)
{
	uint64_t total = 0;
	struct frame f;

	while (next(x, &f)) {
		if (f.type == 98) {
			*ret_probed = f.channel - REMOTE;
			continue;
		}
		assert_int_equal(f.type, 94);
		total += f.number;
		by_channel[f.channel - REMOTE] += f.number;
	}
	return total;
}

static void what_is_in_ssh_is_bounded_and_shared(void **state)
{
	struct fixture *x = *state;
	struct seen s[UPLOADS];
	uint64_t by_channel[UPLOADS + 1] = {0}, least = UINT64_MAX;
	uint32_t probed = 0;

	start_uploads(x, s, UPLOADS);
	uint64_t total = read_data(x, by_channel, &probed);
	assert_in_range(total, QUEUE_MAX - (64 << 10), QUEUE_MAX);
	for (int i = 1; i <= UPLOADS; i++)
		least = by_channel[i] < least ? by_channel[i] : least;
	assert_true(least >= total / UPLOADS / 2);
	expect_silence(x);
}

static void adjusts_make_room_too(void **state)
{
	struct fixture *x = *state;
	struct seen s[UPLOADS];
	uint64_t by_channel[UPLOADS + 1] = {0};
	uint32_t probed = 0;

	start_uploads(x, s, UPLOADS);
	(void)read_data(x, by_channel, &probed);
	for (uint32_t id = 1; id <= UPLOADS; id++)
		say(x, 93, NUMBERS(id, 100000), NULL, 0);
	uint64_t total = read_data(x, by_channel, &probed);
	assert_in_range(total, UPLOADS * 100000 - (96 << 10),
			UPLOADS * 100000 + (96 << 10));
}

static void answered_probe_makes_room(void **state)
{
	struct fixture *x = *state;
	struct seen s[UPLOADS];
	uint64_t by_channel[UPLOADS + 1] = {0}, total = 0;
	struct frame f;

	start_uploads(x, s, UPLOADS);
	/* A server that grants nothing and answers everything: all that the
	 * windows allow gets through. */
	while (next(x, &f)) {
		if (f.type == 98) {
			say(x, 100, NUMBERS(f.channel - REMOTE), NULL, 0);
			/* it may have moved what f points to */
		} else {
			total += f.number;
			by_channel[f.channel - REMOTE] += f.number;
		}
	}
	assert_int_equal(total, (uint64_t)UPLOADS * SERVER_WINDOW);
}

/* All probes are of a channel that ends without an answer. */
static void probed_channel_ends_and_others_go_on(void **state)
{
	struct fixture *x = *state;
	struct seen s[UPLOADS];
	uint64_t by_channel[UPLOADS + 1] = {0};
	uint32_t probed = 0;
	struct frame f;

	start_uploads(x, s, UPLOADS);
	(void)read_data(x, by_channel, &probed);
	for (uint32_t id = 1; id < UPLOADS; id++)
		say(x, 97, NUMBERS(id), NULL, 0);
	while (next(x, &f))
		if (f.type == 94)
			by_channel[f.channel - REMOTE] += f.number;
	assert_int_equal(by_channel[UPLOADS], SERVER_WINDOW);
}

/* ---- governed ---- */

enum {
	GOVERNED_FIRST = 64 << 10, /* up, and the window of a channel */
	BEYOND = 16374, /* GOVERNED_FIRST, by frames under way */
	LOSS_OF_PATIENCE_US = 5000000,
	TRIP_US = 40000,
};

/* Messages of data up to the first that is not, of one channel. */
static uint64_t read_data_of(struct fixture *x, uint32_t id)
{
	uint64_t by_channel[8] = {0};
	uint32_t probed;

	(void)read_data(x, by_channel, &probed);
	return by_channel[id];
}

/* A governed link with one channel, which sends all that it may. */
static uint32_t open_greedy(struct fixture *x, struct seen *s)
{
	mux_link_govern(x->link);
	uint32_t id = open_tcpip(x, s);

	s->fills = true;
	fill(s);
	return id;
}

static void governed_link_waits_for_answers(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	struct frame f;
	uint64_t total = 0, unanswered = 0, most = 0;
	uint32_t id;

	id = open_greedy(x, &s);
	while (next(x, &f)) {
		if (f.type == 98) {
			loop_advance_us(x->loop, TRIP_US);
			unanswered = 0;
			say(x, 100, NUMBERS(id), NULL, 0);
			continue;
		}
		total += f.number;
		unanswered += f.number;
		most = unanswered > most ? unanswered : most;
	}
	assert_int_equal(total, SERVER_WINDOW);
	assert_true(most <= GOVERNED_FIRST + BEYOND);
}

static void governed_link_lets_the_new_go_first(void **state)
{
	struct fixture *x = *state;
	struct seen bulk, small;
	uint32_t ids[2];

	mux_link_govern(x->link);
	ids[0] = open_tcpip(x, &bulk);
	ids[1] = open_tcpip(x, &small);
	bulk.fills = small.fills = true;
	fill(&bulk);
	assert_in_range(read_data_of(x, ids[0]), GOVERNED_FIRST,
			GOVERNED_FIRST + 3 * BEYOND);
	expect_silence(x);
	assert_int_equal(mux_channel_send(small.ch, (const uint8_t *)"x", 1),
			 0);
	small.fills = false;
	assert_int_equal(small.n_writable, 0);
	while (loop_poll(x->loop))
		continue;
	assert_int_equal(small.n_writable, 1); /* without an answer */
}

static void server_that_never_answers_is_not_waited_for(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id;

	id = open_greedy(x, &s);
	assert_true(read_data_of(x, id) < GOVERNED_FIRST + 3 * BEYOND);
	loop_advance_us(x->loop, LOSS_OF_PATIENCE_US - 1);
	assert_int_equal(read_data_of(x, id), 0);
	loop_advance_us(x->loop, 1);
	assert_true(read_data_of(x, id) > SERVER_WINDOW - 2 * GOVERNED_FIRST);
}

/* A line that is dead is another matter. */
static void server_that_has_answered_is_waited_for(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id;

	id = open_greedy(x, &s);
	(void)read_data_of(x, id);
	loop_advance_us(x->loop, TRIP_US);
	say(x, 100, NUMBERS(id), NULL, 0);
	(void)read_data_of(x, id);
	for (int i = 0; i < 4; i++)
		loop_advance_us(x->loop, LOSS_OF_PATIENCE_US);
	assert_int_equal(read_data_of(x, id), 0);
	/* It lives, and answers nothing. */
	say_data(x, id, "x", 1);
	loop_advance_us(x->loop, LOSS_OF_PATIENCE_US - 1);
	say_data(x, id, "x", 1);
	loop_advance_us(x->loop, 1);
	assert_true(read_data_of(x, id) > 0);
}

static uint64_t read_grants(struct fixture *x, uint32_t id)
{
	uint64_t n = 0;
	struct frame f;

	while (next(x, &f))
		n += f.type == 93 && f.channel == id + REMOTE ? f.number : 0;
	return n;
}

/* What comes is limited by the line: the window becomes no more than that
 * takes, and is used again at once by another when the first pauses. */
static void governed_windows_are_what_the_line_holds(void **state)
{
	struct fixture *x = *state;
	struct seen s, other;
	enum { LINE_BYTES = 20000, TICK_US = 4000 }; /* 5 MB/s: 200 kB */
	uint64_t windows[2] = {GOVERNED_FIRST, 0}, most = 0;
	uint32_t id, other_id;

	mux_link_govern(x->link);
	id = begin_tcpip(x, &s);
	loop_advance_us(x->loop, TRIP_US);
	confirm(x, id, SERVER_WINDOW);
	s.consumes = true;
	uint64_t late[10] = {0}; /* grants take a trip */
	for (unsigned i = 0; i < 1000; i++) {
		size_t n = windows[0] < LINE_BYTES ? (size_t)windows[0]
						   : LINE_BYTES;

		say_much(x, id, n);
		loop_advance_us(x->loop, TICK_US);
		windows[0] += late[i % 10];
		late[i % 10] = read_grants(x, id);
		windows[0] -= n;
		if (i > 500)
			most = windows[0] > most ? windows[0] : most;
		if (i > 500)
			assert_int_equal(n, LINE_BYTES); /* and is kept busy */
	}
	assert_true(most < 200000);
	/* It pauses, and its part is not lost for another. */
	open_kind(x, &other, MUX_DIRECT_TCPIP, "10.0.0.1");
	struct frame f = expect_frame(x, 90);
	size_t at = 2 + 4 + strlen("direct-tcpip");
	other_id = bytes_get_u32(f.body + at);
	windows[1] = bytes_get_u32(f.body + at + 4);
	confirm(x, other_id, SERVER_WINDOW);
	other.consumes = true;
	for (unsigned i = 0; i < 400; i++) {
		size_t n = windows[1] < LINE_BYTES ? (size_t)windows[1]
						   : LINE_BYTES;

		say_much(x, other_id, n);
		loop_advance_us(x->loop, TICK_US);
		windows[1] += read_grants(x, other_id) - n;
		if (i > 300)
			assert_true(n > 0);
	}
}

static void server_that_reads_nothing_costs_no_memory(void **state)
{
	struct fixture *x = *state;
	struct seen s;

	(void)open_tcpip(x, &s);
	s.fills = true;
	fill(&s); /* nobody reads the socket */
	while (loop_poll(x->loop))
		continue;
	assert_true(s.filled <= (1 << 20));
	assert_int_equal(mux_channel_room(s.ch), 0);
}

/* ---- hostile ---- */

static void hostile_messages_end_the_link(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_tcpip(x, &s);
	static const struct {
		uint8_t type;
		uint32_t numbers[4]; /* behind the channel */
		size_t n;
		const char *text;
	} cases[] = {
		{91, {1, 2, 3}, 3, "twice"},
		{92, {1, 0, 0}, 3, "twice"},
		{94, {0xffffffff}, 1, "malformed"},
		{94, {5}, 1, "malformed"},
		{95, {1, 0x7fffffff}, 2, "malformed"},
		{98, {0x10000000}, 1, "malformed"},
		{93, {0xffffffff}, 1, "more than a window can hold"},
		{96, {0}, 1, "malformed"},
		{97, {0}, 1, "malformed"},
		{99, {0}, 0, "not asked"},
		{100, {0}, 0, "not asked"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t numbers[5] = {id};

		memcpy(numbers + 1, cases[i].numbers, sizeof(cases[i].numbers));
		say(x, cases[i].type, numbers, cases[i].n + 1, NULL, 0);
		expect_failed(x, &s, cases[i].text);
		(void)teardown(state);
		(void)setup(state);
		x = *state;
		id = open_tcpip(x, &s);
	}
}

static void channel_that_is_not_open_is_used(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = begin_tcpip(x, &s);

	say(x, 97, NUMBERS(id), NULL, 0);
	expect_failed(x, &s, "not open");
}

static void data_beyond_the_window_ends_the_link(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_tcpip(x, &s);

	say_much(x, id, FIRST_WINDOW);
	assert_int_equal(x->n_closed, 0);
	say_data(x, id, "x", 1);
	expect_failed(x, &s, "window");
	assert_int_equal(s.n_bytes, FIRST_WINDOW);
}

static void packets_of_no_length_end_the_link(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = begin_tcpip(x, &s);

	say(x, 91, NUMBERS(id, 1, 1, 0), NULL, 0);
	expect_failed(x, &s, "no length");
}

static void oversized_message_ends_the_link(void **state)
{
	struct fixture *x = *state;

	say_raw(x, "\xff\xff\xff\xff", 4);
	expect_failed(x, NULL, "oversized");
}

static void unknown_channels_and_types_are_ignored(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_tcpip(x, &s);

	for (uint8_t type = 93; type <= 94; type++)
		say(x, type, NUMBERS(77, 0), NULL, 0);
	say(x, 97, NUMBERS(77), NULL, 0);
	say(x, 90, NUMBERS(id), NULL, 0);
	say(x, 80, NUMBERS(id), NULL, 0);
	say(x, 1, NUMBERS(id), NULL, 0);
	assert_int_equal(x->n_closed, 0);
	expect_silence(x);
	say_data(x, id, "x", 1);
	assert_int_equal(s.n_bytes, 1);
}

static void data_behind_eof_is_dropped(void **state)
{
	struct fixture *x = *state;
	struct seen s;
	uint32_t id = open_tcpip(x, &s);

	say(x, 96, NUMBERS(id), NULL, 0);
	say(x, 96, NUMBERS(id), NULL, 0);
	say_data(x, id, "x", 1);
	assert_int_equal(s.n_bytes, 0);
	assert_int_equal(s.n_eof, 1);
}

#define IN_PROXY_MODE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define WHEN_CONNECTED(f) \
	cmocka_unit_test_setup_teardown(f, setup_silent, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WHEN_CONNECTED(nothing_opens_before_proxy_mode),
		WHEN_CONNECTED(refused_proxy_mode_is_told),
		WHEN_CONNECTED(other_versions_are_refused),
		WHEN_CONNECTED(announced_extensions_are_ignored),
		IN_PROXY_MODE(end_of_ssh_is_told_once),
		IN_PROXY_MODE(refusal_brings_reason_and_text),
		IN_PROXY_MODE(data_goes_both_ways),
		IN_PROXY_MODE(messages_may_come_in_pieces),
		IN_PROXY_MODE(data_is_cut_to_two_reads_of_ssh),
		IN_PROXY_MODE(data_is_cut_to_the_servers_packets),
		IN_PROXY_MODE(full_window_stops_and_adjust_goes_on),
		IN_PROXY_MODE(consumed_data_is_granted_again),
		IN_PROXY_MODE(window_grows_if_it_lasts_one_round_trip),
		IN_PROXY_MODE(window_is_the_usual_if_it_lasts_many),
		IN_PROXY_MODE(window_stays_if_it_is_used_slowly),
		IN_PROXY_MODE(all_windows_together_are_bounded),
		IN_PROXY_MODE(worn_link_opens_no_more),
		IN_PROXY_MODE(server_ends_first),
		IN_PROXY_MODE(we_end_first),
		IN_PROXY_MODE(closed_in_its_own_callback),
		IN_PROXY_MODE(closed_while_it_is_opened),
		IN_PROXY_MODE(closed_while_it_is_refused),
		IN_PROXY_MODE(keepalive_is_answered),
		IN_PROXY_MODE(command_is_open_when_it_runs),
		IN_PROXY_MODE(command_may_be_refused),
		IN_PROXY_MODE(tun_packets_are_counted_as_the_server_counts),
		IN_PROXY_MODE(tun_grants_what_the_server_took),
		IN_PROXY_MODE(what_is_in_ssh_is_bounded_and_shared),
		IN_PROXY_MODE(adjusts_make_room_too),
		IN_PROXY_MODE(answered_probe_makes_room),
		IN_PROXY_MODE(probed_channel_ends_and_others_go_on),
		IN_PROXY_MODE(governed_link_waits_for_answers),
		IN_PROXY_MODE(governed_link_lets_the_new_go_first),
		IN_PROXY_MODE(server_that_never_answers_is_not_waited_for),
		IN_PROXY_MODE(server_that_has_answered_is_waited_for),
		IN_PROXY_MODE(governed_windows_are_what_the_line_holds),
		IN_PROXY_MODE(server_that_reads_nothing_costs_no_memory),
		IN_PROXY_MODE(hostile_messages_end_the_link),
		IN_PROXY_MODE(channel_that_is_not_open_is_used),
		IN_PROXY_MODE(data_beyond_the_window_ends_the_link),
		IN_PROXY_MODE(packets_of_no_length_end_the_link),
		IN_PROXY_MODE(oversized_message_ends_the_link),
		IN_PROXY_MODE(unknown_channels_and_types_are_ignored),
		IN_PROXY_MODE(data_behind_eof_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
