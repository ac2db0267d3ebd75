/* SPDX-License-Identifier: MIT */
/*
 * frame: the frames of doc/PROTOCOL.session as structs.
 *
 * Ownership: none; everything is in the caller's buffers.
 * Not here: which frames may come when (session/).
 * Spec: doc/PROTOCOL.session
 */
#include "frame.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "pkt_edit.h"

enum {
	OPTION_SOFTWARE = 1,
	OPTION_GATEWAY4 = 2,
	OPTION_GATEWAY6 = 3,
	OPTION_USER = 4,
	OPTION_SANDBOX = 5,
	OPTION_RESOLVER = 6,
	HELLO_FIXED_LEN = 44,
	HELLO_VERSIONS_LEN = 8,
	OPEN_LEN = 44,
	REFUSED_LEN = 28,
	DGRAM_FIXED_LEN = 24,
	DGRAM_TOS_AT = 3,
	ICMP_ERROR_LEN = 44,
	PACKET_FIXED_LEN = 10,
	NETWORK_FIXED_LEN = 24,
	ROUTES_FIXED_LEN = 2,
	SUBNET_LEN = 18,
	DGRAM_FLAG_DF = 1,
};

enum frame_reason frame_reason_from_errno(int errnum)
{
	switch (errnum) {
	case 0:
		return FRAME_REASON_NONE;
	case ECONNREFUSED:
		return FRAME_REASON_REFUSED;
	case ENETUNREACH:
	case ENETDOWN:
		return FRAME_REASON_NET_UNREACH;
	case EHOSTUNREACH:
	case EHOSTDOWN:
		return FRAME_REASON_HOST_UNREACH;
	case ETIMEDOUT:
		return FRAME_REASON_TIMED_OUT;
	case EACCES:
	case EPERM:
		return FRAME_REASON_PROHIBITED;
	case EAFNOSUPPORT:
		return FRAME_REASON_NO_FAMILY;
	case EADDRNOTAVAIL: /* no local port is free */
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EAGAIN:
		return FRAME_REASON_NO_RESOURCES;
	case ECONNRESET:
	case EPIPE:
		return FRAME_REASON_RESET;
	default:
		return FRAME_REASON_OTHER;
	}
}

const char *frame_reason_text(enum frame_reason reason)
{
	static const char *const texts[] = {
		"none",
		"refused",
		"network unreachable",
		"host unreachable",
		"timed out",
		"prohibited",
		"address family not available",
		"out of resources",
		"reset",
		"failed",
		[FRAME_REASON_NO_NAME] = "no such name",
	};

	static_assert(sizeof(texts) / sizeof(*texts) == FRAME_REASON__N,
		      "a text for each reason");
	return reason < FRAME_REASON__N ? texts[reason] : "failed";
}

int frame_parse_header(const uint8_t in[FRAME_HEADER_LEN],
		       struct frame_header *ret)
{
	uint32_t len = bytes_get_u32(in) & 0xffffff;

	if (len > FRAME_BODY_MAX)
		return -EBADMSG;
	ret->type = in[0];
	ret->len = len;
	ret->id = bytes_get_u32(in + 4);
	return 0;
}

size_t frame_build_header(uint8_t *out, enum frame_type type, size_t body_len,
			  uint32_t id)
{
	assert_always(body_len <= FRAME_BODY_MAX);
	bytes_put_u32(out, (uint32_t)type << 24 | (uint32_t)body_len);
	bytes_put_u32(out + 4, id);
	return FRAME_HEADER_LEN;
}

/* ---- addresses ---- */

static int get_addr(uint8_t version, const uint8_t *p, struct ip_addr *ret)
{
	static const uint8_t zero[12];

	if (version == IPV4 && memcmp(p + 4, zero, sizeof(zero)) == 0)
		*ret = addr_make(IPV4, p);
	else if (version == IPV6)
		*ret = addr_make(IPV6, p);
	else
		return -EBADMSG;
	return 0;
}

/* ---- HELLO ---- */

static size_t put_option(uint8_t *out, uint8_t type, const void *value,
			 size_t len)
{
	out[0] = type;
	out[1] = (uint8_t)len;
	memcpy(out + 2, value, len);
	return 2 + len;
}

size_t frame_build_hello(uint8_t *out, const struct frame_hello *hello)
{
	uint8_t *body = out + FRAME_HEADER_LEN;
	size_t at = HELLO_FIXED_LEN;

	bytes_put_u32(body, FRAME_MAGIC);
	bytes_put_u16(body + 4, hello->version_highest);
	bytes_put_u16(body + 6, hello->version_lowest);
	bytes_put_u32(body + 8, hello->capabilities);
	memcpy(body + 12, hello->session_id, 16);
	memcpy(body + 28, hello->resume_token, 16);
	at += put_option(body + at, OPTION_SOFTWARE, hello->software,
			 strlen(hello->software));
	if (hello->gateway4.version)
		at += put_option(body + at, OPTION_GATEWAY4,
				 hello->gateway4.bytes, 4);
	if (hello->gateway6.version)
		at += put_option(body + at, OPTION_GATEWAY6,
				 hello->gateway6.bytes, 16);
	at += put_option(body + at, OPTION_USER, hello->user,
			 strlen(hello->user));
	if (hello->tells_sandbox)
		at += put_option(body + at, OPTION_SANDBOX, &hello->sandbox, 1);
	if (hello->resolver.version)
		at += put_option(body + at, OPTION_RESOLVER,
				 hello->resolver.bytes,
				 addr_len_bytes(&hello->resolver));
	return frame_build_header(out, FRAME_HELLO, at, 0) + at;
}

static void copy_text(char *out, size_t cap, const uint8_t *text, size_t len)
{
	size_t n = len < cap - 1 ? len : cap - 1;

	memcpy(out, text, n);
	out[n] = '\0';
}

static int take_option(struct frame_hello *h, uint8_t type,
		       const uint8_t *value, size_t len)
{
	switch (type) {
	case OPTION_SOFTWARE:
		copy_text(h->software, sizeof(h->software), value, len);
		return 0;
	case OPTION_USER:
		copy_text(h->user, sizeof(h->user), value, len);
		return 0;
	case OPTION_GATEWAY4:
		if (len != 4)
			return -EBADMSG;
		h->gateway4 = addr_make(IPV4, value);
		return 0;
	case OPTION_GATEWAY6:
		if (len != 16)
			return -EBADMSG;
		h->gateway6 = addr_make(IPV6, value);
		return 0;
	case OPTION_SANDBOX:
		if (len != 1)
			return -EBADMSG;
		h->tells_sandbox = true;
		h->sandbox = value[0];
		return 0;
	case OPTION_RESOLVER:
		if (len != 4 && len != 16)
			return -EBADMSG;
		h->resolver = addr_make(len == 4 ? IPV4 : IPV6, value);
		return 0;
	default:
		return 0;
	}
}

int frame_parse_hello(const uint8_t *body, size_t len, struct frame_hello *ret)
{
	struct frame_hello h = {0};

	if (len < HELLO_VERSIONS_LEN || bytes_get_u32(body) != FRAME_MAGIC)
		return -EPROTO;
	h.version_highest = bytes_get_u16(body + 4);
	h.version_lowest = bytes_get_u16(body + 6);
	if (h.version_lowest > h.version_highest)
		return -EBADMSG;
	if (h.version_lowest > FRAME_VERSION_HIGHEST ||
	    h.version_highest < FRAME_VERSION_LOWEST) {
		*ret = h;
		return 0; /* the rest means something else there */
	}
	if (len < HELLO_FIXED_LEN)
		return -EBADMSG;
	h.capabilities = bytes_get_u32(body + 8);
	memcpy(h.session_id, body + 12, 16);
	memcpy(h.resume_token, body + 28, 16);
	for (size_t at = HELLO_FIXED_LEN; at < len;) {
		if (len - at < 2 || len - at - 2 < body[at + 1])
			return -EBADMSG;
		int r = take_option(&h, body[at], body + at + 2, body[at + 1]);
		if (r < 0)
			return r;
		at += 2U + body[at + 1];
	}
	*ret = h;
	return 0;
}

/* ---- BYE, PING ---- */

size_t frame_build_bye(uint8_t *out, enum frame_bye reason, const char *text)
{
	uint8_t *body = out + FRAME_HEADER_LEN;
	size_t n =
		strlen(text) < FRAME_TEXT_MAX ? strlen(text) : FRAME_TEXT_MAX;

	bytes_put_u16(body, (uint16_t)reason);
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): has a length */
	memcpy(body + 2, text, n);
	return frame_build_header(out, FRAME_BYE, 2 + n, 0) + 2 + n;
}

int frame_parse_bye(const uint8_t *body, size_t len, struct frame_bye_body *ret)
{
	if (len < 2 || len > 2 + FRAME_TEXT_MAX)
		return -EBADMSG;
	ret->reason = bytes_get_u16(body);
	copy_text(ret->text, sizeof(ret->text), body + 2, len - 2);
	return 0;
}

static size_t build_u64(uint8_t *out, enum frame_type type, uint32_t id,
			uint64_t value)
{
	bytes_put_u64(out + FRAME_HEADER_LEN, value);
	return frame_build_header(out, type, 8, id) + 8;
}

size_t frame_build_ping(uint8_t *out, enum frame_type type, uint64_t value)
{
	return build_u64(out, type, 0, value);
}

int frame_parse_u64(const uint8_t *body, size_t len, uint64_t *ret)
{
	if (len != 8)
		return -EBADMSG;
	*ret = bytes_get_u64(body);
	return 0;
}

/* ---- streams ---- */

size_t frame_build_open(uint8_t *out, uint32_t id, const struct frame_open *o)
{
	uint8_t *body = out + FRAME_HEADER_LEN;

	bytes_put_u32(body, o->window_bytes);
	body[4] = o->dst.addr.version;
	body[5] = o->proto;
	body[6] = o->ttl;
	body[7] = o->tos;
	bytes_put_u16(body + 8, o->dst.port);
	bytes_put_u16(body + 10, o->src.port);
	memcpy(body + 12, o->dst.addr.bytes, 16);
	memcpy(body + 28, o->src.addr.bytes, 16);
	size_t len = OPEN_LEN + strlen(o->name);
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): has a length */
	memcpy(body + OPEN_LEN, o->name, len - OPEN_LEN);
	return frame_build_header(out, FRAME_OPEN, len, id) + len;
}

bool frame_name_is_valid(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
			return false;
	}
	return len > 0 && len <= FRAME_NAME_MAX && name[0] != '-';
}

/* A destination by name: no addresses, and the name at the end. */
static int parse_open_name(const uint8_t *body, size_t len,
			   struct frame_open *o)
{
	static const uint8_t zero[32];
	const char *name = (const char *)body + OPEN_LEN;

	if (memcmp(body + 12, zero, sizeof(zero)) != 0 ||
	    !frame_name_is_valid(name, len - OPEN_LEN))
		return -EBADMSG;
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): zeroed */
	memcpy(o->name, name, len - OPEN_LEN);
	return 0;
}

int frame_parse_open(const uint8_t *body, size_t len, struct frame_open *ret)
{
	struct frame_open o = {0};

	if (len < OPEN_LEN)
		return -EBADMSG;
	o.window_bytes = bytes_get_u32(body);
	o.proto = body[5];
	o.ttl = body[6];
	o.tos = body[7];
	o.dst.port = bytes_get_u16(body + 8);
	o.src.port = bytes_get_u16(body + 10);
	if (body[4] == 0) {
		if (parse_open_name(body, len, &o) < 0)
			return -EBADMSG;
	} else if (len != OPEN_LEN ||
		   get_addr(body[4], body + 12, &o.dst.addr) < 0 ||
		   get_addr(body[4], body + 28, &o.src.addr) < 0) {
		return -EBADMSG;
	}
	*ret = o;
	return 0;
}

size_t frame_build_opened(uint8_t *out, uint32_t id, uint32_t window_bytes)
{
	bytes_put_u32(out + FRAME_HEADER_LEN, window_bytes);
	return frame_build_header(out, FRAME_OPENED, 4, id) + 4;
}

int frame_parse_u32(const uint8_t *body, size_t len, uint32_t *ret)
{
	if (len != 4)
		return -EBADMSG;
	*ret = bytes_get_u32(body);
	return 0;
}

static enum frame_reason get_reason(const uint8_t *p)
{
	uint16_t reason = bytes_get_u16(p);

	return reason < FRAME_REASON__N ? reason : FRAME_REASON_OTHER;
}

size_t frame_build_refused(uint8_t *out, uint32_t id,
			   const struct frame_refused *r)
{
	uint8_t *body = out + FRAME_HEADER_LEN;

	memset(body, 0, REFUSED_LEN);
	bytes_put_u16(body, (uint16_t)r->reason);
	body[2] = r->icmp_type;
	body[3] = r->icmp_code;
	body[4] = r->offender.version;
	bytes_put_u32(body + 8, r->icmp_info);
	memcpy(body + 12, r->offender.bytes, 16);
	return frame_build_header(out, FRAME_REFUSED, REFUSED_LEN, id) +
	       REFUSED_LEN;
}

int frame_parse_refused(const uint8_t *body, size_t len,
			struct frame_refused *ret)
{
	struct frame_refused r = {0};

	if (len != REFUSED_LEN)
		return -EBADMSG;
	r.reason = get_reason(body);
	r.icmp_type = body[2];
	r.icmp_code = body[3];
	r.icmp_info = bytes_get_u32(body + 8);
	if (body[4] != 0 && get_addr(body[4], body + 12, &r.offender) < 0)
		return -EBADMSG;
	*ret = r;
	return 0;
}

size_t frame_build_data(uint8_t *out, uint32_t id, uint64_t offset, size_t len)
{
	bytes_put_u64(out + FRAME_HEADER_LEN, offset);
	(void)frame_build_header(out, FRAME_DATA, 8 + len, id);
	return FRAME_DATA_OVERHEAD;
}

int frame_parse_data(const uint8_t *body, size_t len, uint64_t *ret_offset,
		     const uint8_t **ret_bytes, size_t *ret_len)
{
	if (len <= 8)
		return -EBADMSG;
	*ret_offset = bytes_get_u64(body);
	*ret_bytes = body + 8;
	*ret_len = len - 8;
	return 0;
}

size_t frame_build_fin(uint8_t *out, uint32_t id, uint64_t offset)
{
	return build_u64(out, FRAME_FIN, id, offset);
}

size_t frame_build_ack(uint8_t *out, uint32_t id, uint64_t consumed,
		       uint64_t limit)
{
	bytes_put_u64(out + FRAME_HEADER_LEN, consumed);
	bytes_put_u64(out + FRAME_HEADER_LEN + 8, limit);
	return frame_build_header(out, FRAME_ACK, 16, id) + 16;
}

int frame_parse_ack(const uint8_t *body, size_t len, uint64_t *ret_consumed,
		    uint64_t *ret_limit)
{
	if (len != 16)
		return -EBADMSG;
	*ret_consumed = bytes_get_u64(body);
	*ret_limit = bytes_get_u64(body + 8);
	return 0;
}

size_t frame_build_received(uint8_t *out, const struct frame_received *r)
{
	bytes_put_u64(out + FRAME_HEADER_LEN, r->bytes);
	bytes_put_u64(out + FRAME_HEADER_LEN + 8, r->clock_us);
	bytes_put_u32(out + FRAME_HEADER_LEN + 16, r->delay_us);
	return frame_build_header(out, FRAME_RECEIVED, 20, 0) + 20;
}

int frame_parse_received(const uint8_t *body, size_t len,
			 struct frame_received *ret)
{
	if (len != 20)
		return -EBADMSG;
	ret->bytes = bytes_get_u64(body);
	ret->clock_us = bytes_get_u64(body + 8);
	ret->delay_us = bytes_get_u32(body + 16);
	return 0;
}

size_t frame_build_reason(uint8_t *out, enum frame_type type, uint32_t id,
			  enum frame_reason reason)
{
	bytes_put_u16(out + FRAME_HEADER_LEN, (uint16_t)reason);
	return frame_build_header(out, type, 2, id) + 2;
}

int frame_parse_reason(const uint8_t *body, size_t len, enum frame_reason *ret)
{
	if (len != 2)
		return -EBADMSG;
	*ret = get_reason(body);
	return 0;
}

/* ---- datagrams ---- */

size_t frame_build_dgram(uint8_t *out, uint32_t id, const struct frame_dgram *d)
{
	uint8_t *body = out + FRAME_HEADER_LEN;

	body[0] = d->remote.addr.version;
	body[1] = d->proto;
	body[2] = d->ttl;
	body[3] = d->tos;
	body[4] = d->df ? DGRAM_FLAG_DF : 0;
	body[5] = 0;
	bytes_put_u16(body + 6, d->remote.port);
	memcpy(body + 8, d->remote.addr.bytes, 16);
	(void)frame_build_header(out, FRAME_DGRAM,
				 DGRAM_FIXED_LEN + d->payload_len, id);
	return FRAME_DGRAM_OVERHEAD;
}

bool frame_mark_ce(uint8_t *frame)
{
	switch (frame[0]) {
	case FRAME_DGRAM:
		return pkt_edit_mark_ce_tos(frame + FRAME_HEADER_LEN +
					    DGRAM_TOS_AT);
	case FRAME_PACKET:
		return pkt_edit_mark_ce(frame + FRAME_PACKET_OVERHEAD);
	default:
		return false;
	}
}

int frame_parse_dgram(const uint8_t *body, size_t len, struct frame_dgram *ret)
{
	struct frame_dgram d = {0};

	if (len < DGRAM_FIXED_LEN || len - DGRAM_FIXED_LEN > FRAME_DGRAM_MAX)
		return -EBADMSG;
	d.proto = body[1];
	d.ttl = body[2];
	d.tos = body[3];
	d.df = body[4] & DGRAM_FLAG_DF;
	d.remote.port = bytes_get_u16(body + 6);
	if (get_addr(body[0], body + 8, &d.remote.addr) < 0)
		return -EBADMSG;
	d.payload = body + DGRAM_FIXED_LEN;
	d.payload_len = len - DGRAM_FIXED_LEN;
	*ret = d;
	return 0;
}

size_t frame_build_icmp_error(uint8_t *out, uint32_t id,
			      const struct frame_icmp_error *e)
{
	uint8_t *body = out + FRAME_HEADER_LEN;

	body[0] = e->remote.addr.version;
	body[1] = e->proto;
	body[2] = e->type;
	body[3] = e->code;
	bytes_put_u32(body + 4, e->info);
	bytes_put_u16(body + 8, e->remote.port);
	bytes_put_u16(body + 10, e->payload_len);
	memcpy(body + 12, e->remote.addr.bytes, 16);
	memcpy(body + 28, e->offender.bytes, 16);
	return frame_build_header(out, FRAME_ICMP_ERROR, ICMP_ERROR_LEN, id) +
	       ICMP_ERROR_LEN;
}

int frame_parse_icmp_error(const uint8_t *body, size_t len,
			   struct frame_icmp_error *ret)
{
	static const uint8_t zero[16];
	struct frame_icmp_error e = {0};

	if (len != ICMP_ERROR_LEN)
		return -EBADMSG;
	e.proto = body[1];
	e.type = body[2];
	e.code = body[3];
	e.info = bytes_get_u32(body + 4);
	e.remote.port = bytes_get_u16(body + 8);
	e.payload_len = bytes_get_u16(body + 10);
	if (get_addr(body[0], body + 12, &e.remote.addr) < 0)
		return -EBADMSG;
	if (memcmp(body + 28, zero, 16) != 0 &&
	    get_addr(body[0], body + 28, &e.offender) < 0)
		return -EBADMSG;
	*ret = e;
	return 0;
}

/* ---- packets ---- */

size_t frame_build_packet(uint8_t *out, const struct frame_packet *p)
{
	uint8_t *body = out + FRAME_HEADER_LEN;

	body[0] = p->flags;
	body[1] = p->gso_type;
	bytes_put_u16(body + 2, p->hdr_len);
	bytes_put_u16(body + 4, p->gso_size);
	bytes_put_u16(body + 6, p->csum_start);
	bytes_put_u16(body + 8, p->csum_offset);
	(void)frame_build_header(out, FRAME_PACKET,
				 PACKET_FIXED_LEN + p->ip_len, 0);
	return FRAME_PACKET_OVERHEAD;
}

int frame_parse_packet(const uint8_t *body, size_t len,
		       struct frame_packet *ret)
{
	if (len <= PACKET_FIXED_LEN)
		return -EBADMSG;
	*ret = (struct frame_packet){
		.flags = body[0],
		.gso_type = body[1],
		.hdr_len = bytes_get_u16(body + 2),
		.gso_size = bytes_get_u16(body + 4),
		.csum_start = bytes_get_u16(body + 6),
		.csum_offset = bytes_get_u16(body + 8),
		.ip = body + PACKET_FIXED_LEN,
		.ip_len = len - PACKET_FIXED_LEN,
	};
	return 0;
}

static_assert(NETWORK_FIXED_LEN + FRAME_SUBNETS_MAX * SUBNET_LEN +
			      FRAME_HEADER_LEN <=
		      FRAME_FIXED_MAX,
	      "all subnets fit");

static void put_subnet(uint8_t *p, const struct subnet *s)
{
	p[0] = s->addr.version;
	p[1] = s->prefix_len;
	memcpy(p + 2, s->addr.bytes, 16);
}

size_t frame_build_network(uint8_t *out, const struct frame_network *n)
{
	uint8_t *body = out + FRAME_HEADER_LEN;
	size_t at = NETWORK_FIXED_LEN;

	body[0] = n->flags;
	body[1] = (uint8_t)((n->near4.version ? 1 : 0) |
			    (n->near6.version ? 2 : 0));
	bytes_put_u16(body + 2, n->mtu_bytes);
	memcpy(body + 4, n->near4.bytes, 4);
	memcpy(body + 8, n->near6.bytes, 16);
	for (size_t i = 0; i < n->n_announced; i++, at += SUBNET_LEN)
		put_subnet(body + at, &n->announced[i]);
	return frame_build_header(out, FRAME_NETWORK, at, 0) + at;
}

static int get_subnet(const uint8_t *p, struct subnet *ret)
{
	struct subnet s = {.prefix_len = p[1]};

	if (get_addr(p[0], p + 2, &s.addr) < 0 ||
	    s.prefix_len > (s.addr.version == IPV4 ? 32 : 128))
		return -EBADMSG;
	*ret = s;
	return 0;
}

int frame_parse_network(const uint8_t *body, size_t len,
			struct frame_network *ret)
{
	struct frame_network n = {0};

	if (len < NETWORK_FIXED_LEN ||
	    (len - NETWORK_FIXED_LEN) % SUBNET_LEN != 0 ||
	    (len - NETWORK_FIXED_LEN) / SUBNET_LEN > FRAME_SUBNETS_MAX)
		return -EBADMSG;
	n.flags = body[0];
	n.mtu_bytes = bytes_get_u16(body + 2);
	if (body[1] & 1)
		n.near4 = addr_make(IPV4, body + 4);
	if (body[1] & 2)
		n.near6 = addr_make(IPV6, body + 8);
	for (size_t at = NETWORK_FIXED_LEN; at < len; at += SUBNET_LEN)
		if (get_subnet(body + at, &n.announced[n.n_announced++]) < 0)
			return -EBADMSG;
	*ret = n;
	return 0;
}

size_t frame_build_network_state(uint8_t *out,
				 const struct frame_network_state *state)
{
	uint8_t *body = out + FRAME_HEADER_LEN;
	size_t n = strlen(state->text);

	body[0] = (uint8_t)state->status;
	body[1] = 0;
	bytes_put_u16(body + 2, state->mtu_bytes);
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): has a length */
	memcpy(body + 4, state->text, n);
	return frame_build_header(out, FRAME_NETWORK_STATE, 4 + n, 0) + 4 + n;
}

int frame_parse_network_state(const uint8_t *body, size_t len,
			      struct frame_network_state *ret)
{
	if (len < 4 || len > 4 + FRAME_TEXT_MAX || body[0] < FRAME_NETWORK_UP ||
	    body[0] > FRAME_NETWORK_LOST)
		return -EBADMSG;
	ret->status = (enum frame_network_status)body[0];
	ret->mtu_bytes = bytes_get_u16(body + 2);
	copy_text(ret->text, sizeof(ret->text), body + 4, len - 4);
	return 0;
}

/* ---- routes ---- */

static_assert(ROUTES_FIXED_LEN + FRAME_ROUTES_MAX * SUBNET_LEN +
			      FRAME_HEADER_LEN <=
		      FRAME_FIXED_MAX,
	      "all routes fit");

size_t frame_build_routes_ask(uint8_t *out)
{
	return frame_build_header(out, FRAME_ROUTES_ASK, 0, 0);
}

size_t frame_build_routes(uint8_t *out, const struct frame_routes *routes)
{
	uint8_t *body = out + FRAME_HEADER_LEN;
	size_t at = ROUTES_FIXED_LEN;

	bytes_put_u16(body, routes->n_more);
	for (size_t i = 0; i < routes->n; i++, at += SUBNET_LEN)
		put_subnet(body + at, &routes->nets[i]);
	return frame_build_header(out, FRAME_ROUTES, at, 0) + at;
}

int frame_parse_routes(const uint8_t *body, size_t len,
		       struct frame_routes *ret)
{
	struct frame_routes routes = {.n = 0};

	if (len < ROUTES_FIXED_LEN ||
	    (len - ROUTES_FIXED_LEN) % SUBNET_LEN != 0 ||
	    (len - ROUTES_FIXED_LEN) / SUBNET_LEN > FRAME_ROUTES_MAX)
		return -EBADMSG;
	routes.n_more = bytes_get_u16(body);
	for (size_t at = ROUTES_FIXED_LEN; at < len; at += SUBNET_LEN) {
		struct subnet *net = &routes.nets[routes.n++];

		if (get_subnet(body + at, net) < 0 ||
		    !subnet_contains(net, &net->addr))
			return -EBADMSG;
	}
	*ret = routes;
	return 0;
}

/* ---- names ---- */

size_t frame_build_resolved(uint8_t *out, uint32_t id, enum frame_reason status,
			    size_t answer_len)
{
	bytes_put_u16(out + FRAME_HEADER_LEN, (uint16_t)status);
	return frame_build_header(out, FRAME_RESOLVED, 2 + answer_len, id) + 2;
}

int frame_parse_resolved(const uint8_t *body, size_t len,
			 enum frame_reason *ret_status,
			 const uint8_t **ret_answer, size_t *ret_len)
{
	if (len < 2)
		return -EBADMSG;
	*ret_status = get_reason(body);
	*ret_answer = body + 2;
	*ret_len = len - 2;
	return 0;
}

/* ---- statistics ---- */

static_assert(DROP__N * (1 + FRAME_DROP_NAME_MAX + 8) + FRAME_HEADER_LEN <=
		      FRAME_FIXED_MAX,
	      "all reasons fit");

size_t frame_build_drops(uint8_t *out, const uint64_t counts[DROP__N])
{
	size_t at = FRAME_HEADER_LEN;

	for (int i = 0; i < DROP__N; i++) {
		const char *name = drop_reason_name((enum drop_reason)i);
		size_t len = strlen(name);

		if (counts[i] == 0)
			continue;
		assert_always(len <= FRAME_DROP_NAME_MAX);
		out[at] = (uint8_t)len;
		/* NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
		memcpy(out + at + 1, name, len);
		bytes_put_u64(out + at + 1 + len, counts[i]);
		at += 1 + len + 8;
	}
	(void)frame_build_header(out, FRAME_DROPS, at - FRAME_HEADER_LEN, 0);
	return at;
}

static void set_count(uint64_t counts[DROP__N], const uint8_t *name, size_t len,
		      uint64_t count)
{
	for (int i = 0; i < DROP__N; i++) {
		const char *known = drop_reason_name((enum drop_reason)i);

		if (strlen(known) == len && memcmp(known, name, len) == 0)
			counts[i] = count;
	}
}

int frame_parse_drops(const uint8_t *body, size_t len, uint64_t counts[DROP__N])
{
	for (size_t at = 0; at < len;) {
		size_t name_len = body[at];

		if (name_len == 0 || name_len > FRAME_DROP_NAME_MAX ||
		    len - at < 1 + name_len + 8)
			return -EBADMSG;
		set_count(counts, body + at + 1, name_len,
			  bytes_get_u64(body + at + 1 + name_len));
		at += 1 + name_len + 8;
	}
	return 0;
}
