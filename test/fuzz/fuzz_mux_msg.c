/* SPDX-License-Identifier: MIT */
/*
 * fuzz_mux_msg: what comes from ssh's control socket, and the value of -L.
 *
 * Input: a byte that says what it is for (enum part), then the bytes.  A stream
 * goes through the parsers, each body in memory of its own, and then to a link
 * with one channel of each kind that is being opened.  What the link writes
 * must be messages that may be sent, and no more CLOSEs than channels.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "fuzz.h"
#include "mux_forward.h"
#include "mux_link.h"
#include "mux_msg.h"

enum part {
	PART_CHANNELS, /* in proxy mode */
	PART_ENTERING, /* from ssh's hello on */
	PART_FORWARDS, /* answers to -L and -R */
	PART_LOCAL,    /* the value of -L */
	PART_REMOTE,
	PART__N,
};

enum {
	CHANNELS = 4,
	REMOTES = 64, /* numbers of the server that are looked at */
	PIECE = 1 << 14,
};

static const uint8_t entering[] = "\0\0\0\x08\0\0\0\x01\0\0\0\x04"
				  "\0\0\0\x08\x80\0\0\x0f\0\0\0\x01";

/* ---- parsers ---- */

static void parse_body(const uint8_t *bytes, size_t len)
{
	uint8_t *body = malloc(len ? len : 1);
	struct mux_msg_control c;
	struct mux_msg m;

	if (!body)
		return;
	if (len > 0)
		memcpy(body, bytes, len);
	if (mux_msg_parse_control(body, len, &c) == 0 && c.text_len > 0)
		assert_always(c.text >= body &&
			      c.text + c.text_len <= body + len);
	if (mux_msg_parse(body, len, &m) == 0) {
		assert_always(m.type >= MUX_MSG_OPEN_CONFIRMATION &&
			      m.type <= MUX_MSG_FAILURE);
		if (m.len > 0)
			assert_always(m.bytes >= body &&
				      m.bytes + m.len <= body + len);
	}
	free(body);
}

static void parse_stream(const uint8_t *data, size_t size)
{
	const uint8_t *body;
	size_t len;
	int n;

	while ((n = mux_msg_split(data, size, &body, &len)) > 0) {
		assert_always(body + len == data + n);
		parse_body(body, len);
		data += n;
		size -= (size_t)n;
	}
}

/* ---- a link ---- */

struct ssh {
	struct loop *loop;
	int fd;
	bool is_proxy; /* hello and request have been read */
	bool is_over;
	uint8_t n_closed[REMOTES];
	uint8_t in[1 << 20];
	size_t len;
};

/* A packet the link has sent. */
static void check_packet(struct ssh *s, const uint8_t *body, size_t len)
{
	assert_always(len >= 6 && body[0] == 0);
	uint8_t type = body[1];
	uint32_t channel = bytes_get_u32(body + 2);

	if (type == MUX_MSG_OPEN)
		return;
	assert_always(type == MUX_MSG_WINDOW_ADJUST || type == MUX_MSG_DATA ||
		      type == MUX_MSG_EOF || type == MUX_MSG_CLOSE ||
		      type == MUX_MSG_REQUEST || type == MUX_MSG_FAILURE);
	if (type == MUX_MSG_DATA)
		assert_always(len - 10 <= MUX_MSG_DATA_MAX);
	/* A server may give one number to several channels, of which each is
	 * closed once. */
	if (type == MUX_MSG_CLOSE && channel < REMOTES)
		s->n_closed[channel]++;
	if (channel < REMOTES)
		assert_always(s->n_closed[channel] <= CHANNELS);
	if (channel < REMOTES && s->n_closed[channel] == CHANNELS)
		assert_always(type == MUX_MSG_CLOSE);
}

static void read_link(struct ssh *s)
{
	const uint8_t *body;
	size_t len, at = 0;
	int n;

	ssize_t got = recv(s->fd, s->in + s->len, sizeof(s->in) - s->len,
			   MSG_DONTWAIT);
	s->len += got > 0 ? (size_t)got : 0;
	while ((n = mux_msg_split(s->in + at, s->len - at, &body, &len)) != 0) {
		assert_always(n > 0);
		if (len == 8 && bytes_get_u32(body) == 0x1000000f)
			s->is_proxy = true;
		else if (s->is_proxy)
			check_packet(s, body, len);
		at += (size_t)n;
	}
	s->len -= at;
	memmove(s->in, s->in + at, s->len);
}

static void settle(struct ssh *s)
{
	/* Whoever answers itself for ever is a bug of its own. */
	for (int i = 0; i < 1000 && loop_poll(s->loop); i++)
		read_link(s);
	read_link(s);
}

static void deliver(struct ssh *s, const uint8_t *data, size_t size)
{
	while (size > 0) {
		size_t n = size < PIECE ? size : PIECE;

		ssize_t sent =
			send(s->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0) {
			data += sent;
			size -= (size_t)sent;
		}
		settle(s);
		if (s->is_over || sent <= 0)
			break;
	}
}

static void on_link_closed(void *ctx, const struct err *why)
{
	assert_always(why->text[0] != '\0');
	((struct ssh *)ctx)->is_over = true;
}

static const struct mux_link_ops link_ops = {.on_closed = on_link_closed};

/* Owners are pointers to these. */
struct owner {
	struct mux_channel *ch; /* NULL when it is dead */
};

static void on_refused(struct mux_channel *ch, uint32_t reason,
		       const char *text)
{
	(void)reason;
	assert_always(strlen(text) < 256);
	((struct owner *)mux_channel_owner(ch))->ch = NULL;
}

static void on_closed(struct mux_channel *ch)
{
	((struct owner *)mux_channel_owner(ch))->ch = NULL;
}

/* What is done with a channel depends on what came. */
static void on_data(struct mux_channel *ch, const uint8_t *bytes, size_t len)
{
	static const uint8_t zeros[50000];
	struct owner *o = mux_channel_owner(ch);

	assert_always(o->ch == ch && len > 0);
	if (bytes[0] & 1)
		mux_channel_consume(ch, len);
	if (bytes[0] & 2)
		(void)mux_channel_send(ch, zeros, sizeof(zeros));
	if (bytes[0] & 4)
		mux_channel_send_eof(ch);
	if (bytes[0] & 8)
		(void)mux_channel_send_packet(ch, bytes, len);
	if (bytes[0] & 16) {
		o->ch = NULL;
		mux_channel_close(ch);
	}
}

static void on_writable(struct mux_channel *ch)
{
	assert_always(mux_channel_room(ch) > 0);
	(void)mux_channel_send(ch, (const uint8_t *)"x", 1);
}

static const struct mux_channel_ops ops = {
	.on_refused = on_refused,
	.on_data = on_data,
	.on_writable = on_writable,
	.on_closed = on_closed,
};

static void run_link(struct ssh *s, struct mux_link *l, enum part part,
		     const uint8_t *data, size_t size)
{
	struct owner owners[CHANNELS] = {{NULL}};

	if (part == PART_CHANNELS) {
		deliver(s, entering, sizeof(entering) - 1);
		for (int i = 0; i < CHANNELS; i++) {
			struct mux_channel_open o = {
				.kind = (enum mux_channel_kind)i,
				.host = "h",
				.window_bytes = 1 << 16};

			owners[i].ch =
				mux_channel_open(l, &o, &ops, &owners[i]);
			assert_always(owners[i].ch);
		}
	}
	deliver(s, data, size);
	for (int i = 0; i < CHANNELS; i++)
		if (owners[i].ch)
			mux_channel_close(owners[i].ch);
	settle(s);
	(void)mux_link_free(l);
}

/* ---- forwardings ---- */

static void on_result(void *ctx, uint32_t request, uint16_t port,
		      const struct err *why)
{
	(void)ctx;
	(void)port;
	assert_always(request < 2);
	assert_always(!why || why->text[0] != '\0');
}

static void run_forwards(struct ssh *s, struct mux_forward *f,
			 const uint8_t *data, size_t size)
{
	struct mux_forward_spec spec;

	deliver(s, entering, 12);
	for (int i = 0; i < 2; i++) {
		assert_always(mux_forward_parse(MUX_FORWARD_REMOTE, "0:h:1",
						&spec, NULL) == 0);
		assert_always(mux_forward_expect(f, &spec) == i);
	}
	deliver(s, data, size);
	(void)mux_forward_free(f);
}

static void parse_forward(enum mux_forward_kind kind, const uint8_t *data,
			  size_t size)
{
	struct mux_forward_spec spec;
	char *text = malloc(size + 1);
	struct err err = {""};

	if (!text)
		return;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (mux_forward_parse(kind, text, &spec, &err) == 0)
		assert_always(spec.connect.host[0] != '\0' &&
			      strcmp(spec.text, text) == 0);
	else
		assert_always(err.text[0] != '\0');
	free(text);
}

static void run_stream(enum part part, const uint8_t *data, size_t size)
{
	struct ssh *s = calloc(1, sizeof(*s));
	int fds[2];

	if (!s || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		abort();
	s->loop = loop_new(LOOP_TIME_VIRTUAL);
	s->fd = fds[1];
	if (part == PART_FORWARDS)
		run_forwards(s,
			     mux_forward_new(s->loop, fds[0], on_result, NULL),
			     data, size);
	else
		run_link(s, mux_link_new(s->loop, fds[0], &link_ops, s), part,
			 data, size);
	(void)loop_free(s->loop);
	(void)close(s->fd);
	free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	enum part part = (enum part)(data[0] % PART__N);

	data++;
	size--;
	if (part == PART_LOCAL || part == PART_REMOTE) {
		parse_forward(part == PART_LOCAL ? MUX_FORWARD_LOCAL
						 : MUX_FORWARD_REMOTE,
			      data, size);
		return 0;
	}
	parse_stream(data, size);
	run_stream(part, data, size);
	return 0;
}
