/* SPDX-License-Identifier: MIT */
/*
 * vnet: packets with offload, checked against what is said about them.
 *
 * Theory of operation
 *   Whoever cuts or sums a packet later, a kernel or gso.c, writes where these
 *   fields point.  Here it is made sure that this is inside the transport
 *   header: a checksum field that lay in the IP header would change addresses
 *   after they were checked.
 *
 *   There is one way to say a thing: fields that mean nothing are zero, and a
 *   super-packet is longer than one segment.  vnet_parse makes it so of what
 *   the kernel says, and vnet_check insists on it.
 */
#include "vnet.h"

#include <string.h>

#include "pkt_internal.h"

static_assert((int)VNET_FLAG_PARTIAL == (int)VNET_NEEDS_CSUM &&
		      (int)VNET_TYPE_NONE == (int)VNET_GSO_NONE &&
		      (int)VNET_TYPE_TCP4 == (int)VNET_GSO_TCPV4 &&
		      (int)VNET_TYPE_TCP6 == (int)VNET_GSO_TCPV6 &&
		      (int)VNET_TYPE_UDP == (int)VNET_GSO_UDP_L4 &&
		      (int)VNET_TYPE_ECN == (int)VNET_GSO_ECN,
	      "the numbers of virtio");

static bool is_partial(const struct frame_packet *p)
{
	return p->flags & VNET_FLAG_PARTIAL;
}

static size_t headers_len(const struct pkt *view)
{
	return (size_t)(view->payload - view->ip);
}

static enum drop_reason check_csum(const struct frame_packet *p,
				   const struct pkt *view)
{
	if (!is_partial(p))
		return p->csum_start == 0 && p->csum_offset == 0
			       ? DROP_NONE
			       : DROP_BAD_VNET_HDR;
	return pkt_has_csum_at(view, p->csum_start, p->csum_offset)
		       ? DROP_NONE
		       : DROP_BAD_VNET_HDR;
}

static bool is_tcp_super(const struct pkt *view, enum ip_version version)
{
	return view->src.version == version && view->proto == PKT_PROTO_TCP &&
	       !(view->tcp.flags & (TCP_SYN | TCP_RST));
}

static bool is_udp_super(const struct pkt *view, uint16_t gso_size)
{
	return view->proto == PKT_PROTO_UDP &&
	       view->payload + view->payload_len == view->ip + view->ip_len &&
	       view->payload_len <= (size_t)gso_size * VNET_UDP_SEGMENTS_MAX;
}

/* The type is one of this packet's. */
static bool type_fits(const struct frame_packet *p, const struct pkt *view)
{
	switch (p->gso_type) {
	case VNET_TYPE_TCP4:
	case VNET_TYPE_TCP4 | VNET_TYPE_ECN:
		return is_tcp_super(view, IPV4);
	case VNET_TYPE_TCP6:
	case VNET_TYPE_TCP6 | VNET_TYPE_ECN:
		return is_tcp_super(view, IPV6);
	case VNET_TYPE_UDP:
		return is_udp_super(view, p->gso_size);
	default: /* a byte from outside */
		return false;
	}
}

static enum drop_reason check_gso(const struct frame_packet *p,
				  const struct pkt *view)
{
	if (p->gso_type == VNET_TYPE_NONE)
		return p->gso_size == 0 && p->hdr_len <= p->ip_len
			       ? DROP_NONE
			       : DROP_BAD_VNET_HDR;
	/* The sum of a super-packet would be right for no segment. */
	if (view->is_fragment || !is_partial(p) || !type_fits(p, view) ||
	    p->gso_size == 0 || view->payload_len <= p->gso_size ||
	    p->hdr_len < headers_len(view) || p->hdr_len > p->ip_len)
		return DROP_BAD_VNET_HDR;
	return DROP_NONE;
}

enum drop_reason vnet_view(const struct frame_packet *p, struct pkt *ret_view)
{
	struct pkt view;
	enum drop_reason reason = pkt_parse_unsummed(p->ip, p->ip_len, &view);

	if (reason != DROP_NONE)
		return reason;
	if (view.ip_len != p->ip_len)
		return DROP_BAD_LENGTH;
	if (p->flags & ~VNET_FLAG_PARTIAL)
		return DROP_BAD_VNET_HDR;
	reason = check_csum(p, &view);
	if (reason == DROP_NONE)
		reason = check_gso(p, &view);
	if (reason != DROP_NONE)
		return reason;
	view.csum_partial = is_partial(p);
	if (p->gso_type == VNET_TYPE_UDP)
		view.gso_bytes = p->gso_size;
	*ret_view = view;
	return DROP_NONE;
}

enum drop_reason vnet_check(const struct frame_packet *p)
{
	struct pkt view;

	return vnet_view(p, &view);
}

/* What the kernel says of a packet, said our way. */
static void take_header(struct frame_packet *p, const struct vnet_hdr *v,
			const struct pkt *view)
{
	/* The other flags are of no use to anybody else. */
	p->flags = v->flags & VNET_FLAG_PARTIAL;
	if (is_partial(p)) {
		p->csum_start = v->csum_start;
		p->csum_offset = v->csum_offset;
	}
	if (v->gso_type == VNET_TYPE_NONE)
		return;
	if (!view->is_fragment && v->gso_size > 0 &&
	    view->payload_len <= v->gso_size)
		return; /* super no more: its end was cut off on its way */
	p->gso_type = v->gso_type;
	p->gso_size = v->gso_size;
	p->hdr_len = view->is_fragment ? 0 : (uint16_t)headers_len(view);
}

enum drop_reason vnet_parse(const uint8_t *buf, size_t len,
			    struct frame_packet *ret_p, struct pkt *ret_view)
{
	struct frame_packet p = {0};
	struct vnet_hdr v;
	struct pkt view;

	if (len < sizeof(v))
		return DROP_TRUNCATED;
	memcpy(&v, buf, sizeof(v));
	enum drop_reason reason =
		pkt_parse_unsummed(buf + sizeof(v), len - sizeof(v), &view);
	if (reason != DROP_NONE)
		return reason;
	p.ip = view.ip;
	p.ip_len = view.ip_len;
	take_header(&p, &v, &view);
	reason = vnet_view(&p, &view);
	if (reason != DROP_NONE)
		return reason;
	*ret_p = p;
	if (ret_view)
		*ret_view = view;
	return DROP_NONE;
}

void vnet_build(uint8_t out[PKT_VNET_LEN], const struct frame_packet *p)
{
	struct vnet_hdr v = {
		.flags = p->flags,
		.gso_type = p->gso_type,
		.hdr_len = p->hdr_len,
		.gso_size = p->gso_size,
		.csum_start = p->csum_start,
		.csum_offset = p->csum_offset,
	};

	memcpy(out, &v, sizeof(v));
}
