/* SPDX-License-Identifier: MIT */
/*
 * pkt_edit: what a router changes in a packet, and reads of an ICMP error.
 *
 * Spec: RFC 791, 8200, 1624; RFC 3168 section 5 (ECN); RFC 792, 1812
 * section 5.2.7, 4443 for quotes, which may end anywhere behind the first 8
 * bytes of the quoted payload.
 */
#include "pkt_edit.h"

#include "bytes.h"
#include "csum.h"
#include "pkt_internal.h"

void pkt_edit_take_hop(uint8_t *ip)
{
	struct ip4_hdr *h4 = (struct ip4_hdr *)ip;

	if (ip[0] >> 4 == IPV6) {
		((struct ip6_hdr *)ip)->hop_limit--;
		return;
	}
	uint16_t old_word = (uint16_t)(h4->ttl << 8 | h4->proto);
	h4->ttl--;
	h4->csum = csum_update(h4->csum, old_word,
			       (uint16_t)(h4->ttl << 8 | h4->proto));
}

enum { ECN_NOT_ECT = 0, ECN_CE = 3 };

bool pkt_edit_mark_ce_tos(uint8_t *tos)
{
	if ((*tos & ECN_CE) == ECN_NOT_ECT)
		return false;
	*tos |= ECN_CE;
	return true;
}

bool pkt_edit_mark_ce(uint8_t *ip)
{
	struct ip4_hdr *h4 = (struct ip4_hdr *)ip;

	if (ip[0] >> 4 == IPV6) {
		/* Version, class and flow label are one word: the class is in
		 * the middle of the first two bytes. */
		uint8_t tos = (uint8_t)(ip[0] << 4 | ip[1] >> 4);

		if (!pkt_edit_mark_ce_tos(&tos))
			return false;
		ip[1] = (uint8_t)((ip[1] & 0xf) | tos << 4);
		return true;
	}
	uint16_t old_word = (uint16_t)(h4->version_ihl << 8 | h4->tos);
	if (!pkt_edit_mark_ce_tos(&h4->tos))
		return false;
	h4->csum = csum_update(h4->csum, old_word,
			       (uint16_t)(h4->version_ihl << 8 | h4->tos));
	return true;
}

/* Type and code of p form an error; its second word is the information. */
static bool is_error(const struct pkt *p)
{
	uint32_t word = (uint32_t)p->icmp.id << 16 | p->icmp.seq;
	struct icmp_error e = {p->icmp.type, p->icmp.code, word};

	if (p->src.version == IPV4) /* the upper half is of other use */
		e.info = p->icmp.seq;
	return icmp_error_is_valid((enum ip_version)p->src.version, &e);
}

/* Header of the quoted packet.  Returns where its payload begins, 0: it is not
 * there; *ret_is_first: that is the beginning of a transport header. */
static size_t parse_quoted_ip4(const uint8_t *ip, size_t len,
			       struct pkt_quote *q, bool *ret_is_first)
{
	const struct ip4_hdr *h = (const struct ip4_hdr *)ip;

	if (len < sizeof(*h))
		return 0;
	size_t hdr_len = (size_t)(h->version_ihl & 0xf) * 4;
	if (hdr_len < sizeof(*h))
		return 0;
	q->src = addr_make(IPV4, h->src);
	q->dst = addr_make(IPV4, h->dst);
	q->proto = h->proto;
	*ret_is_first = (be16_get(h->frag) & IP4_OFFSET) == 0;
	return hdr_len;
}

static size_t parse_quoted_ip6(const uint8_t *ip, size_t len,
			       struct pkt_quote *q, bool *ret_is_first)
{
	const struct ip6_hdr *h = (const struct ip6_hdr *)ip;

	if (len < sizeof(*h))
		return 0;
	struct ip6_walk walk = {.at = sizeof(*h), .next = h->next};
	q->src = addr_make(IPV6, h->src);
	q->dst = addr_make(IPV6, h->dst);
	*ret_is_first = true;
	if (ip6_walk_extensions(ip, len, &walk) != DROP_NONE)
		return 0;
	if (walk.next == IP6_FRAGMENT) {
		if (len - walk.at < sizeof(struct ip6_frag))
			return 0;
		const struct ip6_frag *f =
			(const struct ip6_frag *)(ip + walk.at);
		*ret_is_first = (be16_get(f->frag) & IP6_OFFSET) == 0;
		walk.next = f->next;
		walk.at += sizeof(*f);
		if (*ret_is_first &&
		    ip6_walk_extensions(ip, len, &walk) != DROP_NONE)
			return 0;
	}
	q->proto = walk.next;
	return walk.at;
}

/* An echo message, whose identifier names who sent or is to get it. */
static bool is_echo(const struct pkt_quote *q, uint8_t type)
{
	if (q->src.version == IPV4)
		return q->proto == PKT_PROTO_ICMP &&
		       (type == ICMP4_ECHO_REQUEST || type == ICMP4_ECHO_REPLY);
	return q->proto == PKT_PROTO_ICMP6 &&
	       (type == ICMP6_ECHO_REQUEST || type == ICMP6_ECHO_REPLY);
}

bool pkt_edit_parse_quote(const struct pkt *p, struct pkt_quote *ret)
{
	const uint8_t *ip = p->payload;
	struct pkt_quote q = {0};
	bool is_first = false;

	if (!is_error(p) || p->payload_len == 0 || ip[0] >> 4 != p->src.version)
		return false;
	size_t at =
		p->src.version == IPV4
			? parse_quoted_ip4(ip, p->payload_len, &q, &is_first)
			: parse_quoted_ip6(ip, p->payload_len, &q, &is_first);
	if (at == 0)
		return false;
	if (is_first && p->payload_len >= at + sizeof(struct icmp_hdr)) {
		q.has_ports =
			q.proto == PKT_PROTO_TCP || q.proto == PKT_PROTO_UDP;
		q.has_echo = is_echo(&q, ip[at]);
		q.src_port = bytes_get_u16(ip + at);
		q.dst_port = bytes_get_u16(ip + at + 2);
		q.echo_id = bytes_get_u16(ip + at + 4);
	}
	*ret = q;
	return true;
}
