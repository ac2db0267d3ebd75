/* SPDX-License-Identifier: MIT */
/*
 * dns_parse: messages of the DNS, checked as a whole before they are used.
 *
 * A name goes on at a pointer only if that lies before all that was read of it
 * so far, and what is there ends before that, too: so it ends, however the
 * pointers are set.
 *
 * Spec: RFC 1035 section 4; RFC 2308; RFC 6891 section 6; RFC 9460
 */
#include "dns_parse.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

enum {
	POINTER_BITS = 0xc0,
	QUESTION_FIXED_LEN = 4, /* type, class */
	RECORD_FIXED_LEN = 10,	/* type, class, TTL, length */
	SOA_FIXED_LEN = 20,	/* behind its two names */
	EDNS_DO = 0x8000,
	/* Parameters of SVCB and HTTPS: RFC 9460 section 14.3.2 */
	PARAM_HEAD_LEN = 4, /* key, length */
	PARAM_IPV4HINT = 4,
	PARAM_IPV6HINT = 6,
};

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* One label with its length; both are small letters: no length is one. */
static void copy_label(uint8_t *out, const uint8_t *in)
{
	for (size_t i = 0; i <= in[0]; i++)
		out[i] = lower(in[i]);
}

size_t dns_parse_name(const uint8_t *in, size_t len, size_t at,
		      uint8_t ret_name[DNS_NAME_MAX], size_t *ret_end)
{
	size_t n = 0, start = at, limit = len, end = 0;

	while (at < limit) {
		uint8_t head = in[at];

		if ((head & POINTER_BITS) == POINTER_BITS) {
			if (limit - at < 2)
				return 0;
			end = end ? end : at + 2;
			at = bytes_get_u16(in + at) & 0x3fff;
			if (at >= start || at < DNS_HEADER_LEN)
				return 0;
			limit = start;
			start = at;
			continue;
		}
		if ((head & POINTER_BITS) || limit - at < 1U + head ||
		    n + 1 + head > DNS_NAME_MAX)
			return 0;
		if (ret_name)
			copy_label(ret_name + n, in + at);
		n += 1U + head;
		at += 1U + head;
		if (head != 0)
			continue;
		if (ret_end)
			*ret_end = end ? end : at;
		return n;
	}
	return 0;
}

/* ---- records ---- */

/* Returns the offset behind the record at `at`, or 0: it is not sound. */
static size_t read_record(const uint8_t *in, size_t len, size_t at,
			  struct dns_record *ret)
{
	size_t fixed_at;

	if (dns_parse_name(in, len, at, NULL, &fixed_at) == 0 ||
	    len - fixed_at < RECORD_FIXED_LEN)
		return 0;
	const uint8_t *fixed = in + fixed_at;

	ret->at = at;
	ret->type = bytes_get_u16(fixed);
	ret->class = bytes_get_u16(fixed + 2);
	ret->ttl_at = fixed_at + 4;
	ret->ttl_s = bytes_get_u32(fixed + 4);
	ret->data_len = bytes_get_u16(fixed + 8);
	ret->data_at = fixed_at + RECORD_FIXED_LEN;
	if (len - ret->data_at < ret->data_len)
		return 0;
	return ret->data_at + ret->data_len;
}

void dns_walk_begin(struct dns_walk *w, const struct dns_msg *msg)
{
	*w = (struct dns_walk){
		.msg = msg,
		.at = DNS_HEADER_LEN + msg->name_len + QUESTION_FIXED_LEN,
		.left = msg->n[DNS_ANSWER],
	};
}

bool dns_walk_next(struct dns_walk *w, struct dns_record *ret)
{
	while (w->left == 0) {
		if (w->section + 1 >= DNS_SECTION__N)
			return false;
		w->left = w->msg->n[++w->section];
	}
	size_t next = read_record(w->msg->bytes, w->msg->end, w->at, ret);

	if (next == 0)
		return false;
	ret->section = (enum dns_section)w->section;
	w->at = next;
	w->left--;
	return true;
}

/* ---- the whole ---- */

static int read_opt(struct dns_msg *m, const struct dns_record *r,
		    uint16_t n_before)
{
	uint16_t flags = (uint16_t)r->ttl_s;

	if (m->opt_at || m->bytes[r->at] != 0 || r->section != DNS_ADDITIONAL)
		return -EBADMSG;
	m->opt_at = r->at;
	m->n_before_opt = n_before;
	m->edns_udp_bytes = r->class;
	m->edns_version = (uint8_t)(r->ttl_s >> 16);
	m->edns_do = flags & EDNS_DO;
	m->rcode |= (uint16_t)(r->ttl_s >> 24 << 4);
	return 0;
}

static int read_question(struct dns_msg *m, size_t len)
{
	size_t end;

	if (bytes_get_u16(m->bytes + 4) != 1)
		return -EBADMSG;
	m->name_len = dns_parse_name(m->bytes, len, DNS_HEADER_LEN, NULL, &end);
	/* A pointer here could point to nothing but itself. */
	if (m->name_len == 0 || len - end < QUESTION_FIXED_LEN)
		return -EBADMSG;
	m->type = bytes_get_u16(m->bytes + end);
	m->class = bytes_get_u16(m->bytes + end + 2);
	return 0;
}

int dns_parse(const uint8_t *in, size_t len, struct dns_msg *ret)
{
	struct dns_msg m = {.bytes = in, .end = len};
	struct dns_walk walk;
	struct dns_record r;
	uint32_t n = 0, n_before[DNS_SECTION__N + 1] = {0};

	if (len < DNS_HEADER_LEN || len > DNS_MESSAGE_MAX)
		return -EBADMSG;
	m.id = bytes_get_u16(in);
	m.flags = bytes_get_u16(in + 2);
	m.rcode = m.flags & DNS_FLAGS_RCODE;
	if (read_question(&m, len) < 0)
		return -EBADMSG;
	for (int i = 0; i < DNS_SECTION__N; i++) {
		m.n[i] = bytes_get_u16(in + 6 + 2 * (ptrdiff_t)i);
		n_before[i + 1] = n_before[i] + m.n[i];
	}
	dns_walk_begin(&walk, &m);
	for (; dns_walk_next(&walk, &r); n++) {
		if (r.type == DNS_TSIG || (r.type == DNS_SIG && r.class == 255))
			m.is_signed = true;
		if (r.type == DNS_OPT &&
		    read_opt(&m, &r, (uint16_t)(n - n_before[DNS_ADDITIONAL])) <
			    0)
			return -EBADMSG;
	}
	if (n != n_before[DNS_SECTION__N])
		return -EBADMSG;
	m.end = walk.at;
	*ret = m;
	return 0;
}

/* ---- hints ---- */

/* One parameter's value as addresses of one length, behind those n. */
static size_t read_addresses(const uint8_t *value, size_t len,
			     enum ip_version version, struct ip_addr *ret,
			     size_t n, size_t max)
{
	size_t step = version == IPV4 ? 4 : 16;

	for (; len >= step && n < max; value += step, len -= step)
		ret[n++] = addr_make(version, value);
	return n;
}

size_t dns_parse_hints(const struct dns_msg *msg, const struct dns_record *rec,
		       struct ip_addr *ret_addrs, size_t max)
{
	size_t at = rec->data_at + 2, end = rec->data_at + rec->data_len;
	size_t n = 0;

	/* The target's name, which is not compressed. */
	while (at < end && msg->bytes[at] > 0 &&
	       msg->bytes[at] <= DNS_LABEL_MAX)
		at += 1 + (size_t)msg->bytes[at];
	if (at >= end || msg->bytes[at++] != 0)
		return 0;
	while (end - at >= PARAM_HEAD_LEN) {
		uint16_t key = bytes_get_u16(msg->bytes + at);
		size_t len = bytes_get_u16(msg->bytes + at + 2);

		at += PARAM_HEAD_LEN;
		if (len > end - at)
			break;
		if (key == PARAM_IPV4HINT || key == PARAM_IPV6HINT)
			n = read_addresses(msg->bytes + at, len,
					   key == PARAM_IPV4HINT ? IPV4 : IPV6,
					   ret_addrs, n, max);
		at += len;
	}
	return n;
}

/* ---- the same ---- */

bool dns_parse_is_same_question(const struct dns_msg *a,
				const struct dns_msg *b)
{
	if (a->name_len != b->name_len || a->type != b->type ||
	    a->class != b->class)
		return false;
	/* The lengths of labels are less than any letter: comparing them
	 * likewise does no harm. */
	for (size_t i = 0; i < a->name_len; i++)
		if (lower(a->bytes[DNS_HEADER_LEN + i]) !=
		    lower(b->bytes[DNS_HEADER_LEN + i]))
			return false;
	return true;
}

/* ---- how long ---- */

/* The last field of an SOA: for how long nothing stays nothing. */
static uint32_t soa_minimum_s(const struct dns_msg *m,
			      const struct dns_record *r)
{
	size_t at = r->data_at, end = r->data_at + r->data_len;

	for (int i = 0; i < 2; i++)
		if (dns_parse_name(m->bytes, end, at, NULL, &at) == 0)
			return 0;
	if (end - at != SOA_FIXED_LEN)
		return 0;
	return bytes_get_u32(m->bytes + at + SOA_FIXED_LEN - 4);
}

static uint32_t ttl_of(uint32_t ttl_s)
{
	return ttl_s > DNS_TTL_MAX_S ? 0 : ttl_s;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

uint32_t dns_parse_ttl_s(const struct dns_msg *answer)
{
	uint32_t ttl_s = DNS_TTL_MAX_S, nothing_s = 0;
	bool has_some = false;
	struct dns_walk walk;
	struct dns_record r;

	if ((answer->flags & DNS_FLAG_TC) ||
	    (answer->rcode != DNS_NO_ERROR && answer->rcode != DNS_NO_NAME))
		return 0;
	dns_walk_begin(&walk, answer);
	while (dns_walk_next(&walk, &r)) {
		if (r.type == DNS_OPT)
			continue;
		ttl_s = least(ttl_s, ttl_of(r.ttl_s));
		if (r.section == DNS_ANSWER &&
		    (r.type == answer->type || answer->type == DNS_ANY))
			has_some = true;
		if (r.section == DNS_AUTHORITY && r.type == DNS_SOA)
			nothing_s = ttl_of(soa_minimum_s(answer, &r));
	}
	if (has_some && answer->rcode == DNS_NO_ERROR)
		return ttl_s;
	return least(ttl_s, nothing_s);
}
