/* SPDX-License-Identifier: MIT */
/* mux_rig: see mux_rig.h. */
#include "mux_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bytes.h"
#include "mux_msg.h"

/* ---- the other end ---- */

void mux_rig_settle(struct mux_rig *x)
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

bool mux_rig_next(struct mux_rig *x, struct mux_rig_frame *f)
{
	int n = mux_msg_split(x->in + x->in_at, x->in_len - x->in_at, &f->body,
			      &f->len);
	if (n == 0) {
		mux_rig_settle(x);
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

struct mux_rig_frame mux_rig_expect(struct mux_rig *x, uint8_t type)
{
	struct mux_rig_frame f = {0};

	assert_true(mux_rig_next(x, &f));
	assert_int_equal(f.type, type);
	return f;
}

void mux_rig_expect_silence(struct mux_rig *x)
{
	struct mux_rig_frame f;

	assert_false(mux_rig_next(x, &f));
}

void mux_rig_say_raw(struct mux_rig *x, const void *bytes, size_t len)
{
	assert_int_equal(send(x->ssh, bytes, len, MSG_NOSIGNAL), len);
	while (loop_poll(x->loop))
		continue;
}

void mux_rig_say(struct mux_rig *x, uint8_t type, const uint32_t *numbers,
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
	mux_rig_say_raw(x, msg, at + len);
	free(msg);
}

void mux_rig_confirm(struct mux_rig *x, uint32_t id, uint32_t window)
{
	mux_rig_say(x, 91, NUMBERS(id, id + REMOTE, window, SERVER_PACKET),
		    NULL, 0);
}

void mux_rig_say_data(struct mux_rig *x, uint32_t id, const void *bytes,
		      size_t len)
{
	mux_rig_say(x, 94, NUMBERS(id, (uint32_t)len), bytes, len);
}

void mux_rig_say_much(struct mux_rig *x, uint32_t id, size_t len)
{
	static const uint8_t zeros[SERVER_PACKET];

	while (len > 0) {
		size_t n = len < sizeof(zeros) ? len : sizeof(zeros);

		mux_rig_say_data(x, id, zeros, n);
		len -= n;
	}
}

/* ---- our side ---- */

static void on_ready(void *ctx)
{
	((struct mux_rig *)ctx)->n_ready++;
}

static void on_link_closed(void *ctx, const struct err *why)
{
	struct mux_rig *x = ctx;

	x->n_closed++;
	x->why = *why;
}

static const struct mux_link_ops link_ops = {on_ready, on_link_closed};

static struct mux_rig_channel *seen_of(struct mux_channel *ch)
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
	struct mux_rig_channel *s = seen_of(ch);

	s->n_refused++;
	s->reason = reason;
	(void)snprintf(s->text, sizeof(s->text), "%s", text);
}

static void on_data(struct mux_channel *ch, const uint8_t *bytes, size_t len)
{
	struct mux_rig_channel *s = seen_of(ch);

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

void mux_rig_fill(struct mux_rig_channel *s)
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
	struct mux_rig_channel *s = seen_of(ch);

	s->n_writable++;
	if (s->fills)
		mux_rig_fill(s);
}

static void on_closed(struct mux_channel *ch)
{
	seen_of(ch)->n_closed++;
}

const struct mux_channel_ops mux_rig_ops = {
	.on_open = on_open,
	.on_refused = on_refused,
	.on_data = on_data,
	.on_eof = on_eof,
	.on_writable = on_writable,
	.on_closed = on_closed,
};

void mux_rig_begin_kind(struct mux_rig *x, struct mux_rig_channel *s,
			enum mux_channel_kind kind, const char *host)
{
	struct mux_channel_open o = {
		.kind = kind, .host = host, .port = 80, .window_bytes = WINDOW};

	*s = (struct mux_rig_channel){0};
	s->ch = mux_channel_open(x->link, &o, &mux_rig_ops, s);
	assert_non_null(s->ch);
}

uint32_t mux_rig_begin(struct mux_rig *x, struct mux_rig_channel *s)
{
	mux_rig_begin_kind(x, s, MUX_DIRECT_TCPIP, "10.0.0.1");
	struct mux_rig_frame f = mux_rig_expect(x, 90);
	return bytes_get_u32(f.body + 2 + 4 + strlen("direct-tcpip"));
}

uint32_t mux_rig_open(struct mux_rig *x, struct mux_rig_channel *s)
{
	uint32_t id = mux_rig_begin(x, s);

	mux_rig_confirm(x, id, SERVER_WINDOW);
	assert_int_equal(s->n_open, 1);
	return id;
}

int mux_rig_setup_silent(void **state)
{
	struct mux_rig *x = calloc(1, sizeof(*x));
	int fds[2], size = 1 << 20;

	assert_non_null(x);
	x->loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	x->ssh = fds[1];
	x->link_fd = fds[0];
	assert_int_equal(mux_link_greet(fds[0]), 0);
	x->link = mux_link_new(x->loop, fds[0], &link_ops, x);
	assert_non_null(x->link);
	*state = x;
	return 0;
}

void mux_rig_say_hello(struct mux_rig *x)
{
	mux_rig_say_raw(x, "\0\0\0\x08\0\0\0\x01\0\0\0\x04", 12);
}

int mux_rig_setup(void **state)
{
	(void)mux_rig_setup_silent(state);
	struct mux_rig *x = *state;
	struct mux_rig_frame f;

	assert_true(mux_rig_next(x, &f)); /* hello */
	assert_memory_equal(f.body, "\0\0\0\x01\0\0\0\x04", 8);
	assert_true(mux_rig_next(x, &f));
	assert_memory_equal(f.body, "\x10\0\0\x0f", 4);
	mux_rig_say_hello(x);
	assert_int_equal(x->n_ready, 0);
	mux_rig_say_raw(x, "\0\0\0\x08\x80\0\0\x0f\0\0\0\x01", 12);
	assert_int_equal(x->n_ready, 1);
	assert_true(mux_link_is_ready(x->link));
	return 0;
}

int mux_rig_teardown(void **state)
{
	struct mux_rig *x = *state;

	(void)mux_link_free(x->link);
	(void)loop_free(x->loop);
	(void)close(x->ssh);
	free(x);
	return 0;
}

void mux_rig_expect_failed(struct mux_rig *x, const struct mux_rig_channel *s,
			   const char *text)
{
	assert_int_equal(x->n_closed, 1);
	assert_non_null(strstr(x->why.text, text));
	assert_false(mux_link_is_ready(x->link));
	assert_int_equal(mux_link_n_channels(x->link), 0);
	if (s)
		assert_int_equal(s->n_closed, 1);
}
