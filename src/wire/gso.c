/* SPDX-License-Identifier: MIT */
/*
 * gso: super-packets cut into packets, and packets put together again.
 *
 * Theory of operation
 *   A segment is the headers of the super-packet, a piece of its payload, and
 *   what differs: lengths, the identification (one more each time), the
 *   sequence number; CWR is for the first, FIN and PSH are for the last.
 *
 *   gro holds one connection: the packets of a bulk transfer come in rows.  A
 *   segment that is shorter than the first, or has FIN or PSH, ends the row, as
 *   nothing else would give the same segments back.
 *
 * Spec: RFC 9293, 768, 6864 (identification).
 */
#include "gso.h"

#include <string.h>

#include "csum.h"
#include "pkt_internal.h"
#include "vnet.h"

enum {
	TCP_ECE = 0x40,
	TCP_CWR = 0x80,
};

/* ---- cutting ---- */

enum drop_reason gso_cut_init(struct gso_cut *c, const struct frame_packet *p)
{
	struct pkt view;
	enum drop_reason reason = vnet_view(p, &view);

	if (reason != DROP_NONE)
		return reason;
	*c = (struct gso_cut){.packet = *p, .view = view};
	c->step =
		p->gso_type == VNET_TYPE_NONE ? view.payload_len : p->gso_size;
	return DROP_NONE;
}

size_t gso_cut_longest(const struct gso_cut *c)
{
	if (c->packet.gso_type == VNET_TYPE_NONE)
		return c->packet.ip_len;
	return (size_t)(c->view.payload - c->view.ip) + c->step;
}

/* Sum from csum_start to the end into the field, which holds the sum of the
 * pseudo-header. */
static void complete_csum(const struct frame_packet *p, uint8_t *ip, size_t len,
			  uint8_t proto)
{
	uint8_t *field = ip + p->csum_start + p->csum_offset;
	be16_t csum = csum_finish(
		csum_add(0, ip + p->csum_start, len - p->csum_start));

	if (proto == PKT_PROTO_UDP && be16_get(csum) == 0)
		csum = be16_of(0xffff); /* RFC 768: 0 would be none at all */
	memcpy(field, &csum, sizeof(csum));
}

static size_t copy_whole(const struct gso_cut *c, uint8_t *out)
{
	const struct frame_packet *p = &c->packet;

	memcpy(out, p->ip, p->ip_len);
	if (p->flags & VNET_FLAG_PARTIAL) {
		/* A datagram may be shorter than its packet. */
		size_t len = c->view.proto == PKT_PROTO_UDP
				     ? (size_t)(c->view.l4 - c->view.ip) +
					       c->view.l4_len
				     : p->ip_len;
		complete_csum(p, out, len, c->view.proto);
	}
	return p->ip_len;
}

/* Lengths, identification and header checksum of segment n. */
static void fix_ip(uint8_t *ip, size_t len, uint16_t n)
{
	if (ip[0] >> 4 == IPV4) {
		struct ip4_hdr *h = (struct ip4_hdr *)ip;

		h->total_len = be16_of((uint16_t)len);
		h->id = be16_of((uint16_t)(be16_get(h->id) + n));
		h->csum = be16_of(0);
		h->csum = csum_finish(
			csum_add(0, ip, (size_t)(h->version_ihl & 0xf) * 4));
	} else {
		struct ip6_hdr *h = (struct ip6_hdr *)ip;

		h->payload_len = be16_of((uint16_t)(len - sizeof(*h)));
	}
}

static void fix_tcp(struct tcp_hdr *h, const struct gso_cut *c, bool is_last)
{
	h->seq = be32_of(be32_get(h->seq) + (uint32_t)c->at);
	if (c->n > 0)
		h->flags &= (uint8_t)~TCP_CWR;
	if (!is_last)
		h->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}

/* The transport header of a segment, and the pseudo-header's sum in it. */
static void fix_l4(const struct gso_cut *c, uint8_t *l4, size_t l4_len,
		   bool is_last)
{
	be16_t sum = csum_fold(
		csum_pseudo(&c->view.src, &c->view.dst, c->view.proto, l4_len));

	if (c->view.proto == PKT_PROTO_TCP) {
		fix_tcp((struct tcp_hdr *)l4, c, is_last);
		((struct tcp_hdr *)l4)->csum = sum;
	} else {
		((struct udp_hdr *)l4)->len = be16_of((uint16_t)l4_len);
		((struct udp_hdr *)l4)->csum = sum;
	}
}

/* The next n bytes of payload behind their headers.  Returns the length. */
static size_t write_piece(struct gso_cut *c, uint8_t *out, size_t n)
{
	size_t headers_len = (size_t)(c->view.payload - c->view.ip);
	size_t l4_at = (size_t)(c->view.l4 - c->view.ip);
	size_t len = headers_len + n;

	memcpy(out, c->view.ip, headers_len);
	memcpy(out + headers_len, c->view.payload + c->at, n);
	fix_ip(out, len, c->n);
	fix_l4(c, out + l4_at, len - l4_at, c->at + n == c->view.payload_len);
	c->at += n;
	c->n += (uint16_t)((n + c->step - 1) / c->step);
	return len;
}

size_t gso_cut_next(struct gso_cut *c, uint8_t *out)
{
	size_t left = c->view.payload_len - c->at;

	if (c->packet.gso_type == VNET_TYPE_NONE)
		return c->n++ == 0 ? copy_whole(c, out) : 0;
	if (left == 0)
		return 0;
	size_t len = write_piece(c, out, left < c->step ? left : c->step);
	complete_csum(&c->packet, out, len, c->view.proto);
	return len;
}

bool gso_split_next(struct gso_cut *c, size_t max_bytes, uint8_t *out,
		    struct frame_packet *ret)
{
	size_t left = c->view.payload_len - c->at;
	size_t headers_len = (size_t)(c->view.payload - c->view.ip);
	size_t n = c->step;

	if (left == 0)
		return false;
	if (max_bytes > headers_len + n)
		n = (max_bytes - headers_len) / c->step * c->step;
	if (n > left)
		n = left;
	*ret = c->packet;
	ret->ip = out;
	/* CWR is in the first only (fix_tcp). */
	if (c->n > 0)
		ret->gso_type &= (uint8_t)~VNET_TYPE_ECN;
	if (n <= c->step) {
		ret->gso_type = VNET_TYPE_NONE;
		ret->gso_size = ret->hdr_len = 0;
	}
	ret->ip_len = write_piece(c, out, n);
	return true;
}

/* ---- putting together ---- */

void gro_init(struct gro *g)
{
	g->len = 0;
}

static const struct tcp_hdr *tcp_of(const struct pkt *p)
{
	return (const struct tcp_hdr *)p->l4;
}

/* A segment that could be part of a super-packet at all. */
static bool is_candidate(const struct pkt *p)
{
	size_t plain_len = p->src.version == IPV4 ? sizeof(struct ip4_hdr)
						  : sizeof(struct ip6_hdr);

	return !p->is_fragment && p->proto == PKT_PROTO_TCP &&
	       p->payload_len > 0 && p->ip_len <= PKT_IP_MAX &&
	       (size_t)(p->l4 - p->ip) == plain_len &&
	       (tcp_of(p)->flags &
		(TCP_ACK | TCP_SYN | TCP_RST | TCP_URG | TCP_CWR)) == TCP_ACK;
}

/* All of the IP header but length, identification and checksum. */
static bool is_same_ip(const struct gro *g, const struct pkt *p)
{
	const uint8_t *a = g->ip, *b = p->ip;

	if (a[0] != b[0])
		return false;
	if (p->src.version == IPV6)
		return memcmp(a, b, 4) == 0 &&
		       memcmp(a + 6, b + 6, sizeof(struct ip6_hdr) - 6) == 0;
	/* RFC 6864: with DF the identification means nothing. */
	return a[1] == b[1] && memcmp(a + 6, b + 6, 4) == 0 &&
	       memcmp(a + 12, b + 12, 8) == 0 &&
	       (p->df || p->frag_id == g->next_id);
}

/* All of the TCP header but sequence number, checksum, FIN and PSH. */
static bool is_same_tcp(const struct gro *g, const struct pkt *p)
{
	const struct tcp_hdr *a = (const struct tcp_hdr *)(g->ip + g->l4_at);
	const struct tcp_hdr *b = tcp_of(p);
	size_t options_at = g->l4_at + sizeof(*a);

	return (size_t)(p->payload - p->ip) == g->headers_len &&
	       memcmp(&a->src_port, &b->src_port, 4) == 0 &&
	       memcmp(&a->ack, &b->ack, sizeof(a->ack)) == 0 &&
	       a->offset == b->offset &&
	       ((a->flags ^ b->flags) & ~(TCP_FIN | TCP_PSH)) == 0 &&
	       memcmp(&a->window, &b->window, sizeof(a->window)) == 0 &&
	       memcmp(&a->urgent, &b->urgent, sizeof(a->urgent)) == 0 &&
	       memcmp(g->ip + options_at, p->ip + options_at,
		      g->headers_len - options_at) == 0;
}

static void begin(struct gro *g, const struct pkt *p)
{
	memcpy(g->ip, p->ip, p->ip_len);
	g->len = p->ip_len;
	g->headers_len = (size_t)(p->payload - p->ip);
	g->l4_at = (size_t)(p->l4 - p->ip);
	g->next_seq = p->tcp.seq + (uint32_t)p->payload_len;
	g->step = (uint16_t)p->payload_len;
	g->n = 1;
	g->next_id = (uint16_t)(p->frag_id + 1);
	g->is_closed = p->tcp.flags & (TCP_FIN | TCP_PSH);
}

static void append(struct gro *g, const struct pkt *p)
{
	struct tcp_hdr *h = (struct tcp_hdr *)(g->ip + g->l4_at);

	memcpy(g->ip + g->len, p->payload, p->payload_len);
	g->len += p->payload_len;
	g->next_seq += (uint32_t)p->payload_len;
	g->n++;
	g->next_id++;
	h->flags |= p->tcp.flags & (TCP_FIN | TCP_PSH);
	g->is_closed =
		p->tcp.flags & (TCP_FIN | TCP_PSH) || p->payload_len < g->step;
}

bool gro_push(struct gro *g, const uint8_t *ip, size_t len)
{
	struct pkt p;

	if (g->len > 0 && g->is_closed)
		return false;
	if (pkt_parse_ip(ip, len, &p) != DROP_NONE || !is_candidate(&p))
		return false;
	if (g->len == 0) {
		begin(g, &p);
		return true;
	}
	if (!is_same_ip(g, &p) || !is_same_tcp(g, &p) ||
	    p.tcp.seq != g->next_seq || p.payload_len > g->step ||
	    p.payload_len > sizeof(g->ip) - g->len)
		return false;
	append(g, &p);
	return true;
}

/* The headers of a super-packet: length and partial checksum. */
static void finish_super(struct gro *g, struct frame_packet *p)
{
	bool is4 = g->ip[0] >> 4 == IPV4;
	enum ip_version version = is4 ? IPV4 : IPV6;
	struct ip_addr src = addr_make(version, g->ip + (is4 ? 12 : 8));
	struct ip_addr dst = addr_make(version, g->ip + (is4 ? 16 : 24));
	struct tcp_hdr *h = (struct tcp_hdr *)(g->ip + g->l4_at);

	fix_ip(g->ip, g->len, 0);
	h->csum = csum_fold(
		csum_pseudo(&src, &dst, PKT_PROTO_TCP, g->len - g->l4_at));
	p->flags = VNET_FLAG_PARTIAL;
	p->gso_type = is4 ? VNET_TYPE_TCP4 : VNET_TYPE_TCP6;
	p->hdr_len = (uint16_t)g->headers_len;
	p->gso_size = g->step;
	p->csum_start = (uint16_t)g->l4_at;
	p->csum_offset = offsetof(struct tcp_hdr, csum);
}

bool gro_take(struct gro *g, struct frame_packet *ret)
{
	struct frame_packet p = {.ip = g->ip, .ip_len = g->len};

	if (g->len == 0)
		return false;
	if (g->n > 1)
		finish_super(g, &p);
	g->len = 0;
	*ret = p;
	return true;
}
