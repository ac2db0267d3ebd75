/* SPDX-License-Identifier: MIT */
/*
 * pkt_parse: from the bytes a TUN delivered to a validated struct pkt.
 *
 * Theory of operation
 *   Headers are read in wire order: virtio, IP, extensions, transport.  The
 *   payload is touched only to verify a transport checksum, which the kernel
 *   leaves out for packets of this host: a 64 KiB super-segment costs no more
 *   than a bare ACK.  The virtio header tells whether to verify, before the
 *   rest is parsed, and is checked against the rest after it.
 *
 * Not here: whether a destination may be reached (flow/), fragments put
 * together (reassembly).
 *
 * Spec: RFC 791, 8200, 9293, 7323, 768, 792, 4443; VIRTIO 1.2 section 5.1.6.
 */
#include "pkt.h"

#include <string.h>

#include "csum.h"
#include "pkt_internal.h"

enum { IP6_EXTENSIONS_MAX = 8 };

/* What is known about the transport checksum before looking at it. */
enum csum_state {
	CSUM_VERIFY,
	CSUM_VERIFIED, /* by the kernel */
	CSUM_PARTIAL,  /* left to the device */
};

static enum drop_reason parse_ip4(const uint8_t *ip, size_t len, struct pkt *p)
{
	const struct ip4_hdr *h = (const struct ip4_hdr *)ip;

	if (len < sizeof(*h))
		return DROP_TRUNCATED;
	size_t hdr_len = (size_t)(h->version_ihl & 0xf) * 4;
	if (hdr_len < sizeof(*h))
		return DROP_BAD_LENGTH;
	p->ip_len = be16_get(h->total_len);
	if (p->ip_len < hdr_len)
		return DROP_BAD_LENGTH;
	if (p->ip_len > len)
		return DROP_TRUNCATED;
	if (!csum_is_right(csum_add(0, ip, hdr_len)))
		return DROP_BAD_CHECKSUM;

	uint16_t frag = be16_get(h->frag);
	p->src = addr_make(IPV4, h->src);
	p->dst = addr_make(IPV4, h->dst);
	p->proto = h->proto;
	p->ttl = h->ttl;
	p->tos = h->tos;
	p->df = (frag & IP4_DF) != 0;
	p->more_fragments = (frag & IP4_MF) != 0;
	p->frag_id = be16_get(h->id);
	p->frag_offset = (uint32_t)(frag & IP4_OFFSET) * 8;
	p->is_fragment = p->more_fragments || p->frag_offset > 0;
	p->proto_offset = offsetof(struct ip4_hdr, proto);
	p->l4 = ip + hdr_len;
	p->l4_len = p->ip_len - hdr_len;
	return DROP_NONE;
}

enum drop_reason ip6_walk_extensions(const uint8_t *ip, size_t end,
				     struct ip6_walk *walk)
{
	while (walk->next == IP6_HOP_BY_HOP || walk->next == IP6_ROUTING ||
	       walk->next == IP6_DEST_OPTIONS) {
		const struct ip6_ext *ext =
			(const struct ip6_ext *)(ip + walk->at);

		if (end - walk->at < sizeof(*ext) ||
		    ++walk->n_headers > IP6_EXTENSIONS_MAX)
			return DROP_BAD_OPTION;
		size_t ext_len = ((size_t)ext->len + 1) * 8;
		if (ext_len > end - walk->at)
			return DROP_BAD_OPTION;
		if (walk->next == IP6_HOP_BY_HOP &&
		    walk->at != sizeof(struct ip6_hdr))
			return DROP_BAD_OPTION;
		if (walk->next == IP6_ROUTING && ext->segments_left > 0)
			return DROP_BAD_OPTION;
		walk->next_at = walk->at;
		walk->next = ext->next;
		walk->at += ext_len;
	}
	return DROP_NONE;
}

/* Read the fragment header at the walk's place.  A fragment that is the whole
 * packet is none (RFC 6946), and the walk goes on behind it. */
static enum drop_reason parse_ip6_frag(const uint8_t *ip, struct ip6_walk *walk,
				       struct pkt *p)
{
	const struct ip6_frag *h = (const struct ip6_frag *)(ip + walk->at);

	if (p->ip_len - walk->at < sizeof(*h) ||
	    ++walk->n_headers > IP6_EXTENSIONS_MAX)
		return DROP_BAD_OPTION;
	uint16_t frag = be16_get(h->frag);
	p->more_fragments = (frag & IP6_MF) != 0;
	p->frag_offset = frag & IP6_OFFSET;
	p->is_fragment = p->more_fragments || p->frag_offset > 0;
	p->frag_id = be32_get(h->id);
	p->frag_next_offset = walk->next_at;
	walk->next_at = walk->at;
	walk->next = h->next;
	walk->at += sizeof(*h);
	return DROP_NONE;
}

static enum drop_reason parse_ip6(const uint8_t *ip, size_t len, struct pkt *p)
{
	const struct ip6_hdr *h = (const struct ip6_hdr *)ip;
	enum drop_reason reason;

	if (len < sizeof(*h))
		return DROP_TRUNCATED;
	size_t payload_len = be16_get(h->payload_len);
	if (payload_len == 0 && h->next != IP6_NONE)
		return DROP_BAD_LENGTH; /* jumbogram, or nonsense */
	if (payload_len > len - sizeof(*h))
		return DROP_TRUNCATED;
	p->ip_len = sizeof(*h) + payload_len;
	p->src = addr_make(IPV6, h->src);
	p->dst = addr_make(IPV6, h->dst);
	p->ttl = h->hop_limit;
	p->tos = (uint8_t)(be32_get(h->version_class_label) >> 20);
	p->df = true;

	struct ip6_walk walk = {
		.at = sizeof(*h),
		.next_at = offsetof(struct ip6_hdr, next),
		.next = h->next,
	};
	reason = ip6_walk_extensions(ip, p->ip_len, &walk);
	while (reason == DROP_NONE && walk.next == IP6_FRAGMENT) {
		reason = parse_ip6_frag(ip, &walk, p);
		if (reason != DROP_NONE || p->is_fragment)
			break;
		reason = ip6_walk_extensions(ip, p->ip_len, &walk);
	}
	p->proto = walk.next;
	p->proto_offset = walk.next_at;
	p->l4 = ip + walk.at;
	p->l4_len = p->ip_len - walk.at;
	return reason;
}

/* True if the transport checksum over p->l4 need not be verified, or is right.
 */
static bool l4_csum_is_right(const struct pkt *p, enum csum_state csum)
{
	uint64_t sum = 0;

	if (csum != CSUM_VERIFY)
		return true;
	if (p->proto != PKT_PROTO_ICMP)
		sum = csum_pseudo(&p->src, &p->dst, p->proto, p->l4_len);
	return csum_is_right(csum_add(sum, p->l4, p->l4_len));
}

/* RFC 9293 section 3.1, RFC 7323 section 2.2. */
static enum drop_reason parse_tcp_options(const uint8_t *options, size_t len,
					  struct pkt_tcp *tcp)
{
	for (size_t at = 0; at < len;) {
		uint8_t kind = options[at];

		if (kind == TCP_OPTION_END)
			break;
		if (kind == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (len - at < 2 || options[at + 1] < 2 ||
		    options[at + 1] > len - at)
			return DROP_BAD_OPTION;
		size_t option_len = options[at + 1];
		const uint8_t *value = options + at + 2;
		if (kind == TCP_OPTION_MSS) {
			if (option_len != 4)
				return DROP_BAD_OPTION;
			tcp->mss_bytes = (uint16_t)(value[0] << 8 | value[1]);
		} else if (kind == TCP_OPTION_WINDOW_SCALE) {
			if (option_len != 3)
				return DROP_BAD_OPTION;
			tcp->window_scale =
				(int8_t)(value[0] < TCP_WINDOW_SCALE_MAX
						 ? value[0]
						 : TCP_WINDOW_SCALE_MAX);
		}
		at += option_len;
	}
	return DROP_NONE;
}

static enum drop_reason parse_tcp(struct pkt *p, enum csum_state csum)
{
	const struct tcp_hdr *h = (const struct tcp_hdr *)p->l4;

	if (p->l4_len < sizeof(*h))
		return DROP_TRUNCATED;
	size_t hdr_len = (size_t)(h->offset >> 4) * 4;
	if (hdr_len < sizeof(*h) || hdr_len > p->l4_len)
		return DROP_BAD_LENGTH;
	if (!l4_csum_is_right(p, csum))
		return DROP_BAD_CHECKSUM;
	p->payload = p->l4 + hdr_len;
	p->payload_len = p->l4_len - hdr_len;
	p->tcp = (struct pkt_tcp){
		.src_port = be16_get(h->src_port),
		.dst_port = be16_get(h->dst_port),
		.seq = be32_get(h->seq),
		.ack = be32_get(h->ack),
		.flags = h->flags & TCP_FLAGS_MASK,
		.window = be16_get(h->window),
		.window_scale = -1,
	};
	if (!(h->flags & TCP_SYN))
		return DROP_NONE; /* the options we know are for SYNs */
	return parse_tcp_options(p->l4 + sizeof(*h), hdr_len - sizeof(*h),
				 &p->tcp);
}

static enum drop_reason parse_udp(struct pkt *p, enum csum_state csum)
{
	const struct udp_hdr *h = (const struct udp_hdr *)p->l4;

	if (p->l4_len < sizeof(*h))
		return DROP_TRUNCATED;
	size_t len = be16_get(h->len);
	if (len < sizeof(*h) || len > p->l4_len)
		return DROP_BAD_LENGTH;
	p->l4_len = len;
	bool has_csum = be16_get(h->csum) != 0;
	if (!has_csum && p->src.version == IPV6 && csum != CSUM_PARTIAL)
		return DROP_BAD_CHECKSUM; /* RFC 8200 section 8.1 */
	if (has_csum && !l4_csum_is_right(p, csum))
		return DROP_BAD_CHECKSUM;
	p->payload = p->l4 + sizeof(*h);
	p->payload_len = len - sizeof(*h);
	p->udp = (struct pkt_udp){
		.src_port = be16_get(h->src_port),
		.dst_port = be16_get(h->dst_port),
	};
	return DROP_NONE;
}

static enum drop_reason parse_icmp(struct pkt *p, enum csum_state csum)
{
	const struct icmp_hdr *h = (const struct icmp_hdr *)p->l4;

	if (p->l4_len < sizeof(*h))
		return DROP_TRUNCATED;
	if (!l4_csum_is_right(p, csum))
		return DROP_BAD_CHECKSUM;
	p->payload = p->l4 + sizeof(*h);
	p->payload_len = p->l4_len - sizeof(*h);
	p->icmp = (struct pkt_icmp){
		.type = h->type,
		.code = h->code,
		.id = be16_get(h->id),
		.seq = be16_get(h->seq),
	};
	return DROP_NONE;
}

static bool has_icmp_of_its_version(const struct pkt *p)
{
	return p->proto ==
	       (p->src.version == IPV4 ? PKT_PROTO_ICMP : PKT_PROTO_ICMP6);
}

static enum drop_reason parse_bare(const uint8_t *ip, size_t len,
				   enum csum_state csum, struct pkt *p)
{
	enum drop_reason reason;

	if (len == 0)
		return DROP_TRUNCATED;
	p->ip = ip;
	switch (ip[0] >> 4) {
	case IPV4:
		reason = parse_ip4(ip, len, p);
		break;
	case IPV6:
		reason = parse_ip6(ip, len, p);
		break;
	default:
		return DROP_BAD_VERSION;
	}
	if (reason != DROP_NONE)
		return reason;
	if (addr_is_loopback(&p->src) || addr_is_multicast(&p->src))
		return DROP_BAD_SOURCE;
	if (p->is_fragment)
		return DROP_NONE;
	p->csum_partial = csum == CSUM_PARTIAL;
	if (p->proto == PKT_PROTO_TCP)
		return parse_tcp(p, csum);
	if (p->proto == PKT_PROTO_UDP)
		return parse_udp(p, csum);
	if (has_icmp_of_its_version(p))
		return parse_icmp(p, csum);
	p->payload = p->l4;
	p->payload_len = p->l4_len;
	return DROP_NONE;
}

bool pkt_has_csum_at(const struct pkt *p, size_t start, size_t offset)
{
	size_t field = offset;

	if (p->is_fragment)
		return false;
	if (p->proto == PKT_PROTO_TCP)
		field = offsetof(struct tcp_hdr, csum);
	else if (p->proto == PKT_PROTO_UDP)
		field = offsetof(struct udp_hdr, csum);
	else if (has_icmp_of_its_version(p))
		field = offsetof(struct icmp_hdr, csum);
	return start == (size_t)(p->l4 - p->ip) && offset == field &&
	       offset + 2 <= p->l4_len;
}

static bool vnet_gso_fits(const struct vnet_hdr *v, const struct pkt *p)
{
	/* The checksum field of a super-packet is right for no segment. */
	if (v->gso_size == 0 || p->is_fragment ||
	    !(v->flags & (VNET_NEEDS_CSUM | VNET_DATA_VALID)))
		return false;
	switch (v->gso_type) {
	case VNET_GSO_TCPV4:
	case VNET_GSO_TCPV4 | VNET_GSO_ECN:
		return p->proto == PKT_PROTO_TCP && p->src.version == IPV4;
	case VNET_GSO_TCPV6:
	case VNET_GSO_TCPV6 | VNET_GSO_ECN:
		return p->proto == PKT_PROTO_TCP && p->src.version == IPV6;
	case VNET_GSO_UDP_L4:
		return p->proto == PKT_PROTO_UDP;
	default: /* not our enum: a byte from outside */
		return false;
	}
}

/* hop up 3/11: validate what the device delivered */
enum drop_reason pkt_parse(const uint8_t *buf, size_t len, struct pkt *ret_pkt)
{
	enum csum_state csum = CSUM_VERIFY;
	struct pkt p = {0};
	struct vnet_hdr v;

	if (len < sizeof(v))
		return DROP_TRUNCATED;
	memcpy(&v, buf, sizeof(v));
	if (v.flags & VNET_NEEDS_CSUM)
		csum = CSUM_PARTIAL;
	else if (v.flags & VNET_DATA_VALID)
		csum = CSUM_VERIFIED;

	enum drop_reason reason =
		parse_bare(buf + sizeof(v), len - sizeof(v), csum, &p);
	if (reason != DROP_NONE)
		return reason;
	if (csum == CSUM_PARTIAL &&
	    !pkt_has_csum_at(&p, v.csum_start, v.csum_offset))
		return DROP_BAD_VNET_HDR;
	if (v.gso_type != VNET_GSO_NONE && !vnet_gso_fits(&v, &p))
		return DROP_BAD_VNET_HDR;
	if (v.gso_type == VNET_GSO_UDP_L4 && p.payload_len > v.gso_size)
		p.gso_bytes = v.gso_size;
	*ret_pkt = p;
	return DROP_NONE;
}

enum drop_reason pkt_parse_ip(const uint8_t *ip, size_t len,
			      struct pkt *ret_pkt)
{
	struct pkt p = {0};
	enum drop_reason reason = parse_bare(ip, len, CSUM_VERIFY, &p);

	if (reason == DROP_NONE)
		*ret_pkt = p;
	return reason;
}

enum drop_reason pkt_parse_unsummed(const uint8_t *ip, size_t len,
				    struct pkt *ret_pkt)
{
	struct pkt p = {0};
	enum drop_reason reason = parse_bare(ip, len, CSUM_PARTIAL, &p);

	if (reason == DROP_NONE)
		*ret_pkt = p;
	return reason;
}
