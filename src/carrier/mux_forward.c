/* SPDX-License-Identifier: MIT */
/* mux_forward: -L and -R, done by the running ssh. */
#include "mux_forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "escape.h"
#include "fd.h"
#include "mux_msg.h"

enum {
	FIELDS_MAX = 4,
	/* Answers are short. */
	IN_CAP = 8192,
	REQUEST_MAX = MUX_MSG_FIXED_MAX + 2 * MUX_FORWARD_HOST_MAX,
	SHOWN_MAX = 160,
};

static const char *option_of(enum mux_forward_kind kind)
{
	return kind == MUX_FORWARD_LOCAL ? "-L" : "-R";
}

/* ---- the words of the user ---- */

/* A text between colons. */
struct field {
	const char *at;
	size_t len;
};

struct words {
	enum mux_forward_kind kind;
	const char *text;
	struct field fields[FIELDS_MAX];
	size_t n;
	struct err *err;
};

static int refuse(const struct words *w, const char *why)
{
	char shown[SHOWN_MAX];

	(void)escape_text(w->text, strlen(w->text), shown, sizeof(shown));
	return err_set(w->err, -EINVAL, "option %s: \"%s\" %s",
		       option_of(w->kind), shown, why);
}

static bool is_path(const struct field *f)
{
	return memchr(f->at, '/', f->len) != NULL;
}

/* Take one field off; the rest begins with a colon or is empty. */
static const char *take_field(const char *at, struct field *ret)
{
	if (*at == '[') {
		const char *end = strchr(at, ']');

		*ret = (struct field){at, 0};
		if (!end || (end[1] != ':' && end[1] != '\0'))
			return NULL;
		*ret = (struct field){at + 1, (size_t)(end - at - 1)};
		return end + 1;
	}
	*ret = (struct field){at, strcspn(at, ":")};
	return at + ret->len;
}

static int split(struct words *w)
{
	const char *at = w->text;

	for (;;) {
		if (w->n == FIELDS_MAX)
			return refuse(w, "has too many colons; put an IPv6 "
					 "address in brackets");
		at = take_field(at, &w->fields[w->n++]);
		if (!at)
			return refuse(w, "has a bracket that does not enclose "
					 "an address");
		if (*at == '\0')
			return 0;
		at++;
	}
}

static int set_host(const struct words *w, const struct field *f,
		    struct mux_forward_end *end)
{
	size_t max = is_path(f) ? sizeof(((struct sockaddr_un *)0)->sun_path)
				: sizeof(end->host);

	if (f->len >= max || f->len >= sizeof(end->host))
		return refuse(w, is_path(f) ? "has a path that is too long"
					    : "has a name that is too long");
	end->is_path = is_path(f);
	memcpy(end->host, f->at, f->len);
	end->host[f->len] = '\0';
	return 0;
}

static int set_port(const struct words *w, const struct field *f,
		    struct mux_forward_end *end)
{
	char digits[8] = "";

	if (f->len > 0 && f->len < sizeof(digits))
		memcpy(digits, f->at, f->len);
	unsigned long port = strtoul(digits, NULL, 10);
	if (f->len == 0 || strspn(digits, "0123456789") != f->len ||
	    port > 65535)
		return refuse(w, "has a port that is not a number from 1 to "
				 "65535");
	end->port = (uint16_t)port;
	return 0;
}

/* HOST:PORT or PATH, from field i to the end. */
static int parse_connect(const struct words *w, size_t i,
			 struct mux_forward_end *end)
{
	bool wants_path = w->n - i == 1;
	int r;

	if (is_path(&w->fields[i]) != wants_path)
		return refuse(w, "does not say HOST:PORT or the path of a "
				 "socket to connect to");
	if (w->fields[i].len == 0)
		return refuse(w, "names no host to connect to");
	r = set_host(w, &w->fields[i], end);
	if (r < 0 || wants_path)
		return r;
	r = set_port(w, &w->fields[i + 1], end);
	if (r == 0 && end->port == 0)
		return refuse(w, "has a port 0 to connect to");
	return r;
}

/* PATH, PORT or BIND:PORT, of n fields. */
static int parse_listen(const struct words *w, size_t n,
			struct mux_forward_end *end)
{
	const struct field *f = w->fields;
	int r = 0;

	if (n == 1 && is_path(&f[0]))
		return set_host(w, &f[0], end);
	if (n == 2 && is_path(&f[0]))
		return refuse(w, "has too many colons");
	if (n == 2)
		r = set_host(w, &f[0], end);
	if (r == 0)
		r = set_port(w, &f[n - 1], end);
	if (r < 0)
		return r;
	/* ssh writes the same as "" and as "*"; here "" is its default. */
	if (n == 2 && end->host[0] == '\0')
		(void)strcpy(end->host, "*");
	if (end->port == 0 && w->kind == MUX_FORWARD_LOCAL)
		return refuse(w, "has port 0, which only -R can have");
	return 0;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

int mux_forward_parse(enum mux_forward_kind kind, const char *text,
		      struct mux_forward_spec *ret, struct err *err)
{
	struct mux_forward_spec s = {.kind = kind};
	struct words w = {.kind = kind, .text = text, .err = err};
	size_t n_connect;

	if (strlen(text) >= sizeof(s.text))
		return refuse(&w, "is too long");
	if (has_control(text))
		return refuse(&w, "has a control character");
	int r = split(&w);
	if (r < 0)
		return r;
	n_connect = is_path(&w.fields[w.n - 1]) ? 1 : 2;
	if (w.n <= n_connect && kind == MUX_FORWARD_REMOTE &&
	    !is_path(&w.fields[0]))
		return refuse(&w, "names nothing to connect to: a SOCKS server "
				  "over there (dynamic -R) is not supported");
	if (w.n <= n_connect)
		return refuse(&w, "names nothing to connect to; write "
				  "[BIND:]PORT:HOST:PORT");
	r = parse_listen(&w, w.n - n_connect, &s.listen);
	if (r == 0)
		r = parse_connect(&w, w.n - n_connect, &s.connect);
	if (r < 0)
		return r;
	memcpy(s.text, text, strlen(text) + 1);
	*ret = s;
	return 0;
}

/* ---- requests ---- */

/* One that waits for its answer. */
struct request {
	bool is_pending;
	enum mux_forward_kind kind;
	char text[SHOWN_MAX]; /* escaped */
};

struct mux_forward {
	struct loop *loop; /* borrowed */
	struct loop_io io;
	mux_forward_result *on_result;
	void *ctx; /* borrowed */
	bool has_greeted, is_closed;
	struct request requests[MUX_FORWARDS_MAX];
	uint32_t n;
	uint8_t in[IN_CAP];
	size_t in_len;
};

static void answer(struct mux_forward *f, uint32_t i, uint16_t port,
		   const char *reason)
{
	struct request *q = &f->requests[i];
	struct err why;

	q->is_pending = false;
	if (reason)
		(void)err_set(&why, 0, "cannot do %s %s: %s",
			      option_of(q->kind), q->text, reason);
	f->on_result(f->ctx, i, port, reason ? &why : NULL);
}

static void close_with(struct mux_forward *f, const char *reason)
{
	if (f->is_closed)
		return;
	f->is_closed = true;
	loop_io_del(f->loop, &f->io);
	for (uint32_t i = 0; i < f->n; i++)
		if (f->requests[i].is_pending)
			answer(f, i, 0, reason);
}

static void receive_answer(struct mux_forward *f,
			   const struct mux_msg_control *c)
{
	char text[SHOWN_MAX];

	if (c->request >= f->n || !f->requests[c->request].is_pending) {
		close_with(f, "ssh answered what it was not asked");
		return;
	}
	(void)escape_text((const char *)c->text, c->text_len, text,
			  sizeof(text));
	if (c->type == MUX_MSG_S_OK)
		answer(f, c->request, 0, NULL);
	else if (c->type == MUX_MSG_S_REMOTE_PORT && c->port <= 65535)
		answer(f, c->request, (uint16_t)c->port, NULL);
	else
		answer(f, c->request, 0, text);
}

static void receive(struct mux_forward *f, const uint8_t *body, size_t len)
{
	struct mux_msg_control c;
	bool is_hello;

	if (mux_msg_parse_control(body, len, &c) < 0) {
		close_with(f, "a malformed message came from ssh");
		return;
	}
	is_hello = c.type == MUX_MSG_HELLO;
	if (is_hello == f->has_greeted ||
	    (is_hello && c.version != MUX_MSG_VERSION)) {
		close_with(f, "what listens on the control socket is not an "
			      "ssh that we know");
		return;
	}
	f->has_greeted = true;
	switch (c.type) {
	case MUX_MSG_S_OK:
	case MUX_MSG_S_FAILURE:
	case MUX_MSG_S_PERMISSION_DENIED:
	case MUX_MSG_S_REMOTE_PORT:
		receive_answer(f, &c);
		break;
	default: /* announcements */
		break;
	}
}

static void receive_all(struct mux_forward *f)
{
	size_t at = 0;

	while (!f->is_closed) {
		const uint8_t *body;
		size_t len;
		int n = mux_msg_split(f->in + at, f->in_len - at, &body, &len);

		if (n < 0 || (n == 0 && f->in_len - at == sizeof(f->in)))
			close_with(f, "an oversized message came from ssh");
		if (n <= 0)
			break;
		receive(f, body, len);
		at += (size_t)n;
	}
	f->in_len -= at;
	memmove(f->in, f->in + at, f->in_len);
}

static void on_event(void *ctx, uint32_t events)
{
	struct mux_forward *f = ctx;
	ssize_t n =
		read(f->io.fd, f->in + f->in_len, sizeof(f->in) - f->in_len);

	(void)events;
	if (n > 0) {
		f->in_len += (size_t)n;
		receive_all(f);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close_with(f, "ssh closed its control socket");
	}
}

/* Requests are few and short: if the socket is full, nobody reads it. */
static int send_whole(int fd, const uint8_t *msg, size_t len)
{
	return send(fd, msg, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len
		       ? 0
		       : -EIO;
}

static uint32_t wire_port(const struct mux_forward_end *end)
{
	return end->is_path ? (uint32_t)MUX_MSG_PORT_PATH : end->port;
}

int mux_forward_greet(int fd)
{
	uint8_t hello[MUX_MSG_FIXED_MAX];

	return send_whole(fd, hello, mux_msg_build_hello(hello));
}

int mux_forward_send(int fd, uint32_t number,
		     const struct mux_forward_spec *spec)
{
	struct mux_msg_forward m = {
		.kind = spec->kind == MUX_FORWARD_LOCAL
				? MUX_MSG_FORWARD_LOCAL
				: MUX_MSG_FORWARD_REMOTE,
		.listen_host = spec->listen.host,
		.listen_port = wire_port(&spec->listen),
		.connect_host = spec->connect.host,
		.connect_port = wire_port(&spec->connect),
	};
	uint8_t msg[REQUEST_MAX];
	size_t len = mux_msg_build_forward(msg, sizeof(msg), number, &m);

	assert_always(len > 0);
	return send_whole(fd, msg, len);
}

int mux_forward_expect(struct mux_forward *f,
		       const struct mux_forward_spec *spec)
{
	if (f->is_closed)
		return -EPIPE;
	if (f->n == MUX_FORWARDS_MAX)
		return -E2BIG;
	struct request *q = &f->requests[f->n];
	q->is_pending = true;
	q->kind = spec->kind;
	(void)escape_text(spec->text, strlen(spec->text), q->text,
			  sizeof(q->text));
	return (int)f->n++;
}

struct mux_forward *mux_forward_new(struct loop *loop, int fd,
				    mux_forward_result *on_result, void *ctx)
{
	struct mux_forward *f = calloc(1, sizeof(*f));
	int r = -ENOMEM;

	if (!f)
		goto fail;
	f->loop = loop;
	f->io = (struct loop_io){.fd = fd, .on_event = on_event, .ctx = f};
	f->on_result = on_result;
	f->ctx = ctx;
	r = fd_set_nonblock(fd);
	if (r == 0)
		r = loop_io_add(loop, &f->io, EPOLLIN);
	if (r < 0)
		goto fail;
	return f;
fail:
	free(f);
	fd_close(&fd);
	errno = -r;
	return NULL;
}

struct mux_forward *mux_forward_free(struct mux_forward *f)
{
	if (!f)
		return NULL;
	loop_io_del(f->loop, &f->io);
	fd_close(&f->io.fd);
	free(f);
	return NULL;
}
