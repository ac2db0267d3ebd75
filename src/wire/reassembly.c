/* SPDX-License-Identifier: MIT */
/*
 * reassembly: IP fragments back into packets, within bounds.
 *
 * Theory of operation
 *   A packet under way (struct partial) is a buffer with room for the headers
 *   in front of the data, and the list of ranges that have arrived.  The
 *   first fragment brings the headers; the one without "more fragments" tells
 *   the length; the packet is complete when the ranges, which never overlap,
 *   add up to it.
 *
 *   What is wrong with one fragment condemns its packet: the buffer goes, the
 *   entry stays until its time is up, and refuses fragments that come late
 *   (RFC 5722 section 4).  Only an exact duplicate is forgiven.
 *
 *   Bounds: packets, fragments of a packet, bytes in all.  When a packet or
 *   its growth would exceed the first or the last, the oldest yields.
 *
 *   A rebuilt packet is never a fragment itself: a fragment header inside the
 *   fragmented part condemns.
 *
 * Ownership: partials and their buffers are the table's; the last rebuilt
 * packet's buffer is kept until the next call.
 *
 * Spec: RFC 791 section 3.2, RFC 815, RFC 1858; RFC 8200 section 4.5, RFC 5722,
 * RFC 7112.
 */
#include "reassembly.h"

#include <stdlib.h>
#include <string.h>

#include "csum.h"
#include "pkt_internal.h"

enum {
	HEADERS_ROOM = 256, /* unfragmentable part, at most */
	DATA_MAX = 65535,
	BUF_FIRST = 4096,
	BUF_MAX = HEADERS_ROOM + DATA_MAX,
	/* 64 KiB over a link of the least IPv4 MTU every host has (576) are
	 * 119 fragments. */
	FRAGMENTS_MAX = 128,
	BYTES_MAX = 4 << 20, /* of all buffers */
};

/* What makes fragments belong together (RFC 791; RFC 8200 section 4.5). */
struct key {
	struct ip_addr src, dst;
	uint32_t id;
	uint32_t proto; /* 0 for IPv6 */
};

struct range {
	uint16_t offset, len; /* of the data, bytes */
};

/* A packet under way. */
struct partial {
	struct key key;
	mono_us_t born_us;
	enum drop_reason condemned; /* DROP_NONE, or why it was given up */
	uint8_t *buf; /* owned: HEADERS_ROOM, then data; NULL: condemned */
	size_t cap;
	size_t headers_len;  /* 0: first fragment missing */
	size_t named_offset; /* in the headers, of the byte that names proto */
	uint8_t proto;	     /* as the first fragment says */
	size_t data_len;     /* 0: last fragment missing */
	size_t have_len;     /* sum of the ranges */
	size_t n_ranges;
	struct range ranges[FRAGMENTS_MAX];
};

struct reassembly {
	struct partial *packets[REASSEMBLY_PACKETS_MAX]; /* owned, or NULL */
	size_t bytes;  /* sum of cap of all packets */
	uint8_t *done; /* owned: buffer of the packet returned last */
};

struct reassembly *reassembly_new(void)
{
	return calloc(1, sizeof(struct reassembly));
}

static void release_buf(struct reassembly *r, struct partial *p)
{
	free(p->buf);
	r->bytes -= p->cap;
	p->buf = NULL;
	p->cap = 0;
}

static void forget(struct reassembly *r, struct partial **slot)
{
	if (*slot)
		release_buf(r, *slot);
	free(*slot);
	*slot = NULL;
}

struct reassembly *reassembly_free(struct reassembly *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < REASSEMBLY_PACKETS_MAX; i++)
		forget(r, &r->packets[i]);
	free(r->done);
	free(r);
	return NULL;
}

static enum drop_reason condemn(struct reassembly *r, struct partial *p,
				enum drop_reason reason)
{
	release_buf(r, p);
	p->condemned = reason;
	return reason;
}

static void forget_old(struct reassembly *r, mono_us_t now_us,
		       unsigned *ret_timed_out)
{
	for (size_t i = 0; i < REASSEMBLY_PACKETS_MAX; i++) {
		struct partial *p = r->packets[i];

		if (!p ||
		    now_us - p->born_us < REASSEMBLY_TIMEOUT_S * US_PER_SEC)
			continue;
		/* The condemned have been counted. */
		*ret_timed_out += p->condemned == DROP_NONE;
		forget(r, &r->packets[i]);
	}
}

/* Forget the oldest packet but `except` (or NULL).  Returns its slot, or NULL
 * if there is none. */
static struct partial **yield_oldest(struct reassembly *r,
				     const struct partial *except,
				     unsigned *ret_timed_out)
{
	struct partial **oldest = NULL;

	for (size_t i = 0; i < REASSEMBLY_PACKETS_MAX; i++) {
		struct partial **slot = &r->packets[i];

		if (*slot && *slot != except &&
		    (!oldest || (*slot)->born_us < (*oldest)->born_us))
			oldest = slot;
	}
	if (!oldest)
		return NULL;
	*ret_timed_out += (*oldest)->condemned == DROP_NONE;
	forget(r, oldest);
	return oldest;
}

static struct key key_of(const struct pkt *pkt)
{
	return (struct key){
		.src = pkt->src,
		.dst = pkt->dst,
		.id = pkt->frag_id,
		.proto = pkt->src.version == IPV4 ? pkt->proto : 0,
	};
}

static bool key_equal(const struct key *a, const struct key *b)
{
	return a->id == b->id && a->proto == b->proto &&
	       addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst);
}

/* The slot of the packet that the fragment belongs to, new if need be.  Returns
 * NULL if memory runs out. */
static struct partial **find_or_new(struct reassembly *r, const struct pkt *pkt,
				    mono_us_t now_us, unsigned *ret_timed_out)
{
	struct key key = key_of(pkt);
	struct partial **empty = NULL;

	for (size_t i = 0; i < REASSEMBLY_PACKETS_MAX; i++) {
		struct partial **slot = &r->packets[i];

		if (*slot && key_equal(&(*slot)->key, &key))
			return slot;
		if (!*slot)
			empty = slot;
	}
	if (!empty)
		empty = yield_oldest(r, NULL, ret_timed_out);
	*empty = calloc(1, sizeof(**empty));
	if (!*empty)
		return NULL;
	(*empty)->key = key;
	(*empty)->born_us = now_us;
	return empty;
}

/* Make room for data up to data_end. */
static enum drop_reason grow(struct reassembly *r, struct partial *p,
			     size_t data_end, unsigned *ret_timed_out)
{
	size_t cap = p->cap ? p->cap : BUF_FIRST;

	if (HEADERS_ROOM + data_end <= p->cap)
		return DROP_NONE;
	while (cap < HEADERS_ROOM + data_end)
		cap *= 2;
	if (cap > BUF_MAX)
		cap = BUF_MAX;
	while (r->bytes - p->cap + cap > BYTES_MAX)
		if (!yield_oldest(r, p, ret_timed_out))
			return DROP_FRAGMENT_LIMIT;
	uint8_t *buf = realloc(p->buf, cap);
	if (!buf)
		return DROP_NO_MEMORY;
	r->bytes += cap - p->cap;
	p->buf = buf;
	p->cap = cap;
	return DROP_NONE;
}

/* Check the lengths that one fragment states, by itself and against what is
 * known of the packet. */
static enum drop_reason check_lengths(const struct partial *p,
				      const struct pkt *pkt)
{
	size_t end = pkt->frag_offset + pkt->l4_len;

	if (pkt->l4_len == 0 || end > DATA_MAX)
		return DROP_BAD_LENGTH;
	if (pkt->more_fragments && pkt->l4_len % 8 != 0)
		return DROP_BAD_LENGTH;
	if (p->data_len > 0 &&
	    (end > p->data_len || (!pkt->more_fragments && end != p->data_len)))
		return DROP_BAD_LENGTH;
	if (pkt->more_fragments)
		return DROP_NONE;
	for (size_t i = 0; i < p->n_ranges; i++)
		if (p->ranges[i].offset + p->ranges[i].len > end)
			return DROP_BAD_LENGTH;
	return DROP_NONE;
}

/* Compare with what has arrived. */
static enum drop_reason check_overlap(const struct partial *p,
				      const struct pkt *pkt,
				      bool *ret_is_duplicate)
{
	size_t start = pkt->frag_offset, end = start + pkt->l4_len;

	*ret_is_duplicate = false;
	for (size_t i = 0; i < p->n_ranges; i++) {
		size_t have_start = p->ranges[i].offset;
		size_t have_end = have_start + p->ranges[i].len;

		if (start >= have_end || end <= have_start)
			continue;
		if (start != have_start || end != have_end ||
		    (end == p->data_len) == pkt->more_fragments)
			return DROP_FRAGMENT_OVERLAP;
		*ret_is_duplicate = true;
	}
	return DROP_NONE;
}

/* The header that a filter or an endpoint needs must not be split (RFC 1858,
 * RFC 7112). */
static enum drop_reason check_header_chain(const struct pkt *pkt)
{
	size_t end = (size_t)(pkt->l4 - pkt->ip) + pkt->l4_len;
	struct ip6_walk walk = {
		.at = (size_t)(pkt->l4 - pkt->ip),
		.next_at = pkt->proto_offset,
		.next = pkt->proto,
	};
	size_t need = 0;

	if (pkt->src.version == IPV6) {
		enum drop_reason reason =
			ip6_walk_extensions(pkt->ip, end, &walk);
		if (reason != DROP_NONE)
			return reason;
		if (walk.next == IP6_FRAGMENT)
			return DROP_BAD_OPTION;
	}
	if (walk.next == PKT_PROTO_TCP)
		need = sizeof(struct tcp_hdr);
	else if (walk.next == PKT_PROTO_UDP)
		need = sizeof(struct udp_hdr);
	else if (walk.next == PKT_PROTO_ICMP || walk.next == PKT_PROTO_ICMP6)
		need = sizeof(struct icmp_hdr);
	return end - walk.at < need ? DROP_TRUNCATED : DROP_NONE;
}

/* Keep the first fragment's headers, in front of the data and without the IPv6
 * fragment header. */
static enum drop_reason take_headers(struct partial *p, const struct pkt *pkt)
{
	size_t len = (size_t)(pkt->l4 - pkt->ip);
	enum drop_reason reason = check_header_chain(pkt);

	if (reason != DROP_NONE)
		return reason;
	if (pkt->src.version == IPV6)
		len -= sizeof(struct ip6_frag);
	if (len > HEADERS_ROOM)
		return DROP_FRAGMENT_LIMIT;
	memcpy(p->buf + HEADERS_ROOM - len, pkt->ip, len);
	p->headers_len = len;
	p->named_offset = pkt->src.version == IPV4 ? pkt->proto_offset
						   : pkt->frag_next_offset;
	p->proto = pkt->proto;
	return DROP_NONE;
}

static enum drop_reason take_fragment(struct reassembly *r, struct partial *p,
				      const struct pkt *pkt,
				      unsigned *ret_timed_out)
{
	size_t end = pkt->frag_offset + pkt->l4_len;
	enum drop_reason reason;

	if (p->n_ranges == FRAGMENTS_MAX)
		return DROP_FRAGMENT_LIMIT;
	reason = grow(r, p, end, ret_timed_out);
	if (reason != DROP_NONE)
		return reason;
	if (pkt->frag_offset == 0) {
		reason = take_headers(p, pkt);
		if (reason != DROP_NONE)
			return reason;
	}
	memcpy(p->buf + HEADERS_ROOM + pkt->frag_offset, pkt->l4, pkt->l4_len);
	p->ranges[p->n_ranges++] = (struct range){(uint16_t)pkt->frag_offset,
						  (uint16_t)pkt->l4_len};
	p->have_len += pkt->l4_len;
	if (!pkt->more_fragments)
		p->data_len = end;
	return DROP_NONE;
}

/* Correct the headers of a complete packet. */
static enum drop_reason rebuild(struct partial *p)
{
	uint8_t *ip = p->buf + HEADERS_ROOM - p->headers_len;
	size_t len = p->headers_len + p->data_len;

	if (p->key.src.version == IPV4) {
		struct ip4_hdr *h = (struct ip4_hdr *)ip;

		if (len > PKT_IP_MAX)
			return DROP_BAD_LENGTH;
		h->total_len = be16_of((uint16_t)len);
		h->frag = be16_of(be16_get(h->frag) & IP4_DF);
		h->csum = be16_of(0);
		h->csum = csum_finish(csum_add(0, ip, p->headers_len));
	} else {
		struct ip6_hdr *h = (struct ip6_hdr *)ip;

		if (len > PKT_IP6_MAX)
			return DROP_BAD_LENGTH;
		ip[p->named_offset] = p->proto;
		h->payload_len = be16_of((uint16_t)(len - sizeof(*h)));
	}
	return DROP_NONE;
}

enum drop_reason reassembly_push(struct reassembly *r, const struct pkt *pkt,
				 mono_us_t now_us, const uint8_t **ret_ip,
				 size_t *ret_len, unsigned *ret_timed_out)
{
	bool is_duplicate;

	*ret_ip = NULL;
	free(r->done);
	r->done = NULL;
	forget_old(r, now_us, ret_timed_out);
	struct partial **slot = find_or_new(r, pkt, now_us, ret_timed_out);
	if (!slot)
		return DROP_NO_MEMORY;
	struct partial *p = *slot;
	if (p->condemned != DROP_NONE)
		return p->condemned;

	enum drop_reason reason = check_overlap(p, pkt, &is_duplicate);
	if (reason == DROP_NONE && is_duplicate)
		return DROP_NONE;
	if (reason == DROP_NONE)
		reason = check_lengths(p, pkt);
	if (reason == DROP_NONE)
		reason = take_fragment(r, p, pkt, ret_timed_out);
	if (reason != DROP_NONE)
		return condemn(r, p, reason);
	if (p->headers_len == 0 || p->have_len != p->data_len)
		return DROP_NONE;

	reason = rebuild(p);
	if (reason != DROP_NONE)
		return condemn(r, p, reason);
	*ret_ip = p->buf + HEADERS_ROOM - p->headers_len;
	*ret_len = p->headers_len + p->data_len;
	r->done = p->buf;
	r->bytes -= p->cap;
	p->buf = NULL;
	p->cap = 0;
	forget(r, slot);
	return DROP_NONE;
}
