/* SPDX-License-Identifier: MIT */
/* mux_msg: what is said on the control socket of an ssh. */
#include "mux_msg.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

enum {
	C_PROXY = 0x1000000f,
	C_OPEN_FWD = 0x10000006,
	TUN_MODE_LAYER3 = 1,
	TUN_AF_IPV4 = 2,
	TUN_AF_IPV6 = 24,
};

/* ---- writing ---- */

/* A message being written; is_over: it does not fit. */
struct writer {
	uint8_t *out;
	size_t cap, len;
	bool is_over;
};

static void put(struct writer *w, const void *bytes, size_t n)
{
	if (w->is_over || n > w->cap - w->len) {
		w->is_over = true;
		return;
	}
	memcpy(w->out + w->len, bytes, n);
	w->len += n;
}

static void put_u32(struct writer *w, uint32_t v)
{
	uint8_t b[4];

	bytes_put_u32(b, v);
	put(w, b, sizeof(b));
}

static void put_string(struct writer *w, const char *text)
{
	size_t len = strlen(text);

	if (len > MUX_MSG_BODY_MAX) {
		w->is_over = true;
		return;
	}
	put_u32(w, (uint32_t)len);
	put(w, text, len);
}

static struct writer begin(uint8_t *out, size_t cap)
{
	struct writer w = {.out = out, .cap = cap};

	put_u32(&w, 0);
	return w;
}

static struct writer begin_type(uint8_t *out, size_t cap,
				enum mux_msg_type type)
{
	struct writer w = begin(out, cap);
	uint8_t head[2] = {0, (uint8_t)type};

	put(&w, head, sizeof(head));
	return w;
}

/* Write the length, counting so many bytes that follow elsewhere. */
static size_t end_before(struct writer *w, size_t n_follow)
{
	size_t body_len = w->len - MUX_MSG_HEADER_LEN + n_follow;

	if (w->is_over || body_len > MUX_MSG_BODY_MAX)
		return 0;
	bytes_put_u32(w->out, (uint32_t)body_len);
	return w->len;
}

static size_t end(struct writer *w)
{
	return end_before(w, 0);
}

/* ---- reading ---- */

struct reader {
	const uint8_t *at;
	size_t left;
	bool is_bad;
};

static const uint8_t *get(struct reader *r, size_t n)
{
	const uint8_t *at = r->at;

	if (r->is_bad || n > r->left) {
		r->is_bad = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return at;
}

static uint32_t get_u32(struct reader *r)
{
	const uint8_t *p = get(r, 4);

	return p ? bytes_get_u32(p) : 0;
}

static uint8_t get_u8(struct reader *r)
{
	const uint8_t *p = get(r, 1);

	return p ? *p : 0;
}

static void get_string(struct reader *r, const uint8_t **ret, size_t *ret_len)
{
	size_t len = get_u32(r);
	const uint8_t *p = get(r, len);

	*ret = p;
	*ret_len = p ? len : 0;
}

static void get_end(struct reader *r)
{
	if (r->left > 0)
		r->is_bad = true;
}

int mux_msg_split(const uint8_t *in, size_t len, const uint8_t **ret_body,
		  size_t *ret_body_len)
{
	if (len < MUX_MSG_HEADER_LEN)
		return 0;
	uint32_t body_len = bytes_get_u32(in);
	if (body_len > MUX_MSG_BODY_MAX)
		return -EBADMSG;
	if (len - MUX_MSG_HEADER_LEN < body_len)
		return 0;
	*ret_body = in + MUX_MSG_HEADER_LEN;
	*ret_body_len = body_len;
	return (int)(MUX_MSG_HEADER_LEN + body_len);
}

/* ---- control messages ---- */

size_t mux_msg_build_hello(uint8_t *out)
{
	struct writer w = begin(out, MUX_MSG_FIXED_MAX);

	put_u32(&w, MUX_MSG_HELLO);
	put_u32(&w, MUX_MSG_VERSION);
	return end(&w);
}

size_t mux_msg_build_proxy(uint8_t *out, uint32_t request)
{
	struct writer w = begin(out, MUX_MSG_FIXED_MAX);

	put_u32(&w, C_PROXY);
	put_u32(&w, request);
	return end(&w);
}

size_t mux_msg_build_forward(uint8_t *out, size_t cap, uint32_t request,
			     const struct mux_msg_forward *f)
{
	struct writer w = begin(out, cap);

	put_u32(&w, C_OPEN_FWD);
	put_u32(&w, request);
	put_u32(&w, f->kind);
	put_string(&w, f->listen_host);
	put_u32(&w, f->listen_port);
	put_string(&w, f->connect_host);
	put_u32(&w, f->connect_port);
	return end(&w);
}

int mux_msg_parse_control(const uint8_t *body, size_t len,
			  struct mux_msg_control *ret)
{
	struct reader r = {.at = body, .left = len};
	struct mux_msg_control c = {.type = get_u32(&r)};

	switch (c.type) {
	case MUX_MSG_HELLO:
		c.version = get_u32(&r);
		break; /* extensions may follow */
	case MUX_MSG_S_OK:
	case MUX_MSG_S_PROXY:
		c.request = get_u32(&r);
		get_end(&r);
		break;
	case MUX_MSG_S_PERMISSION_DENIED:
	case MUX_MSG_S_FAILURE:
		c.request = get_u32(&r);
		get_string(&r, &c.text, &c.text_len);
		get_end(&r);
		break;
	case MUX_MSG_S_REMOTE_PORT:
		c.request = get_u32(&r);
		c.port = get_u32(&r);
		get_end(&r);
		break;
	default:
		break;
	}
	if (r.is_bad)
		return -EBADMSG;
	*ret = c;
	return 0;
}

/* ---- proxy mode ---- */

static void parse_fields(struct reader *r, struct mux_msg *m)
{
	const uint8_t *language;
	size_t language_len;

	switch ((enum mux_msg_type)m->type) {
	case MUX_MSG_OPEN_CONFIRMATION: /* data of the type may follow */
		m->sender = get_u32(r);
		m->window = get_u32(r);
		m->packet_max = get_u32(r);
		return;
	case MUX_MSG_OPEN_FAILURE:
		m->reason = get_u32(r);
		get_string(r, &m->bytes, &m->len);
		if (r->left > 0) /* some old servers end here */
			get_string(r, &language, &language_len);
		break;
	case MUX_MSG_WINDOW_ADJUST:
		m->window = get_u32(r);
		break;
	case MUX_MSG_EXTENDED_DATA:
		(void)get_u32(r);
		get_string(r, &m->bytes, &m->len);
		break;
	case MUX_MSG_DATA:
		get_string(r, &m->bytes, &m->len);
		break;
	case MUX_MSG_REQUEST: /* data of the request may follow */
		get_string(r, &m->bytes, &m->len);
		m->wants_reply = get_u8(r) != 0;
		return;
	case MUX_MSG_EOF:
	case MUX_MSG_CLOSE:
	case MUX_MSG_SUCCESS:
	case MUX_MSG_FAILURE:
	case MUX_MSG_OPEN: /* not taken */
		break;
	}
	get_end(r);
}

int mux_msg_parse(const uint8_t *body, size_t len, struct mux_msg *ret)
{
	struct reader r = {.at = body, .left = len};
	struct mux_msg m = {0};

	if (get_u8(&r) != 0)
		r.is_bad = true;
	m.type = get_u8(&r);
	if (r.is_bad)
		return -EBADMSG;
	if (m.type < MUX_MSG_OPEN_CONFIRMATION || m.type > MUX_MSG_FAILURE)
		return -ENOMSG;
	m.channel = get_u32(&r);
	parse_fields(&r, &m);
	if (r.is_bad)
		return -EBADMSG;
	*ret = m;
	return 0;
}

static struct writer begin_open(uint8_t *out, size_t cap, const char *type,
				const struct mux_msg_end *ours)
{
	struct writer w = begin_type(out, cap, MUX_MSG_OPEN);

	put_string(&w, type);
	put_u32(&w, ours->channel);
	put_u32(&w, ours->window);
	put_u32(&w, ours->packet_max);
	return w;
}

size_t mux_msg_build_open_session(uint8_t *out, const struct mux_msg_end *ours)
{
	struct writer w = begin_open(out, MUX_MSG_FIXED_MAX, "session", ours);

	return end(&w);
}

size_t mux_msg_build_open_tcpip(uint8_t *out, size_t cap,
				const struct mux_msg_end *ours,
				const char *host, uint32_t port,
				const char *origin, uint32_t origin_port)
{
	struct writer w = begin_open(out, cap, "direct-tcpip", ours);

	put_string(&w, host);
	put_u32(&w, port);
	put_string(&w, origin);
	put_u32(&w, origin_port);
	return end(&w);
}

size_t mux_msg_build_open_streamlocal(uint8_t *out, size_t cap,
				      const struct mux_msg_end *ours,
				      const char *path)
{
	struct writer w =
		begin_open(out, cap, "direct-streamlocal@openssh.com", ours);

	put_string(&w, path);
	put_string(&w, ""); /* reserved */
	put_u32(&w, 0);
	return end(&w);
}

size_t mux_msg_build_open_tun(uint8_t *out, const struct mux_msg_end *ours,
			      uint32_t unit)
{
	struct writer w =
		begin_open(out, MUX_MSG_FIXED_MAX, "tun@openssh.com", ours);

	put_u32(&w, TUN_MODE_LAYER3);
	put_u32(&w, unit);
	return end(&w);
}

/* A message of a number of the channel and nothing else. */
static size_t build_plain(uint8_t *out, enum mux_msg_type type,
			  uint32_t channel)
{
	struct writer w = begin_type(out, MUX_MSG_FIXED_MAX, type);

	put_u32(&w, channel);
	return end(&w);
}

size_t mux_msg_build_adjust(uint8_t *out, uint32_t channel, uint32_t n)
{
	struct writer w =
		begin_type(out, MUX_MSG_FIXED_MAX, MUX_MSG_WINDOW_ADJUST);

	put_u32(&w, channel);
	put_u32(&w, n);
	return end(&w);
}

size_t mux_msg_build_data(uint8_t *out, uint32_t channel, size_t len)
{
	struct writer w = begin_type(out, MUX_MSG_FIXED_MAX, MUX_MSG_DATA);

	put_u32(&w, channel);
	put_u32(&w, (uint32_t)len);
	return end_before(&w, len);
}

size_t mux_msg_build_tun(uint8_t *out, uint32_t channel, unsigned version,
			 size_t ip_len)
{
	struct writer w = begin_type(out, MUX_MSG_FIXED_MAX, MUX_MSG_DATA);

	put_u32(&w, channel);
	put_u32(&w, (uint32_t)(MUX_MSG_TUN_OVERHEAD + ip_len));
	put_u32(&w, version == 6 ? TUN_AF_IPV6 : TUN_AF_IPV4);
	return end_before(&w, ip_len);
}

size_t mux_msg_build_eof(uint8_t *out, uint32_t channel)
{
	return build_plain(out, MUX_MSG_EOF, channel);
}

size_t mux_msg_build_close(uint8_t *out, uint32_t channel)
{
	return build_plain(out, MUX_MSG_CLOSE, channel);
}

size_t mux_msg_build_failure(uint8_t *out, uint32_t channel)
{
	return build_plain(out, MUX_MSG_FAILURE, channel);
}

static struct writer begin_request(uint8_t *out, size_t cap, uint32_t channel,
				   const char *name)
{
	struct writer w = begin_type(out, cap, MUX_MSG_REQUEST);
	uint8_t wants_reply = 1;

	put_u32(&w, channel);
	put_string(&w, name);
	put(&w, &wants_reply, 1);
	return w;
}

size_t mux_msg_build_exec(uint8_t *out, size_t cap, uint32_t channel,
			  const char *command)
{
	struct writer w = begin_request(out, cap, channel, "exec");

	put_string(&w, command);
	return end(&w);
}

size_t mux_msg_build_probe(uint8_t *out, uint32_t channel)
{
	struct writer w = begin_request(out, MUX_MSG_FIXED_MAX, channel,
					"keepalive@openssh.com");

	return end(&w);
}
