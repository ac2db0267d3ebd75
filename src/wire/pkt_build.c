/* SPDX-License-Identifier: MIT */
/*
 * pkt_build: the headers of packets for a TUN.
 *
 * Theory of operation
 *   Each builder writes a virtio header, an IP header without options or
 *   extensions, and a transport header; the payload follows elsewhere (an
 *   iovec of the writer), except for the quote in an ICMP error.  TCP and UDP
 *   leave the checksum to the device and write the pseudo-header sum alone,
 *   so the payload is not read here.  ICMP has no such offload.
 *
 * Spec: RFC 791, 8200, 9293, 7323, 768, 792, 4443; VIRTIO 1.2 section 5.1.6.
 */
#include "pkt.h"

#include <string.h>

#include "csum.h"
#include "err.h"
#include "pkt_internal.h"

enum {
	ICMP4_ERROR_MAX = 576,	/* RFC 1812 section 4.3.2.3 */
	ICMP6_ERROR_MAX = 1280, /* RFC 4443 section 2.4 (c) */
	TCP_HDR_MAX = 28,	/* with MSS and window scale */
};
static_assert(sizeof(struct ip6_hdr) + TCP_HDR_MAX <= PKT_HEADERS_MAX,
	      "room for all headers");

static size_t ip_hdr_len(const struct pkt_ip_params *ip)
{
	return ip->src.version == IPV4 ? sizeof(struct ip4_hdr)
				       : sizeof(struct ip6_hdr);
}

static void build_ip4(uint8_t *out, const struct pkt_ip_params *ip,
		      uint8_t proto, size_t l4_len)
{
	struct ip4_hdr h = {
		.version_ihl = IPV4 << 4 | sizeof(h) / 4,
		.tos = ip->tos,
		.total_len = be16_of((uint16_t)(sizeof(h) + l4_len)),
		.id = be16_of(ip->id),
		.frag = be16_of(ip->df ? IP4_DF : 0),
		.ttl = ip->ttl,
		.proto = proto,
	};

	assert_always(sizeof(h) + l4_len <= PKT_IP_MAX);
	memcpy(h.src, ip->src.bytes, sizeof(h.src));
	memcpy(h.dst, ip->dst.bytes, sizeof(h.dst));
	h.csum = csum_finish(csum_add(0, &h, sizeof(h)));
	memcpy(out, &h, sizeof(h));
}

static void build_ip6(uint8_t *out, const struct pkt_ip_params *ip,
		      uint8_t proto, size_t l4_len)
{
	struct ip6_hdr h = {
		.version_class_label =
			be32_of((uint32_t)IPV6 << 28 | (uint32_t)ip->tos << 20),
		.payload_len = be16_of((uint16_t)l4_len),
		.next = proto,
		.hop_limit = ip->ttl,
	};

	assert_always(sizeof(h) + l4_len <= PKT_IP6_MAX);
	memcpy(h.src, ip->src.bytes, sizeof(h.src));
	memcpy(h.dst, ip->dst.bytes, sizeof(h.dst));
	memcpy(out, &h, sizeof(h));
}

size_t pkt_build_ip(uint8_t *out, const struct pkt_ip_params *ip, uint8_t proto,
		    size_t l4_len)
{
	assert_always(ip->src.version == ip->dst.version);
	if (ip->src.version == IPV4)
		build_ip4(out, ip, proto, l4_len);
	else
		build_ip6(out, ip, proto, l4_len);
	return ip_hdr_len(ip);
}

static void build_vnet(uint8_t *out, const struct vnet_hdr *v)
{
	memcpy(out, v, sizeof(*v));
}

/* Write MSS and window scale as asked for.  Returns their length, a multiple
 * of 4. */
static size_t build_tcp_options(uint8_t *out, const struct pkt_tcp_params *tcp)
{
	size_t len = 0;

	if (tcp->mss_bytes > 0) {
		out[len++] = TCP_OPTION_MSS;
		out[len++] = 4;
		out[len++] = (uint8_t)(tcp->mss_bytes >> 8);
		out[len++] = (uint8_t)tcp->mss_bytes;
	}
	if (tcp->window_scale >= 0) {
		out[len++] = TCP_OPTION_NOP;
		out[len++] = TCP_OPTION_WINDOW_SCALE;
		out[len++] = 3;
		out[len++] = (uint8_t)tcp->window_scale;
	}
	return len;
}

size_t pkt_build_tcp(uint8_t *out, const struct pkt_ip_params *ip,
		     const struct pkt_tcp_params *tcp, size_t payload_len)
{
	uint8_t *l4 = out + PKT_VNET_LEN + ip_hdr_len(ip);
	size_t tcp_len = sizeof(struct tcp_hdr) +
			 build_tcp_options(l4 + sizeof(struct tcp_hdr), tcp);
	size_t headers_len = ip_hdr_len(ip) + tcp_len;
	size_t l4_len = tcp_len + payload_len;
	struct tcp_hdr h = {
		.src_port = be16_of(tcp->src_port),
		.dst_port = be16_of(tcp->dst_port),
		.seq = be32_of(tcp->seq),
		.ack = be32_of(tcp->ack),
		.offset = (uint8_t)(tcp_len / 4 << 4),
		.flags = tcp->flags,
		.window = be16_of(tcp->window),
		.csum = csum_fold(
			csum_pseudo(&ip->src, &ip->dst, PKT_PROTO_TCP, l4_len)),
	};
	struct vnet_hdr v = {
		.flags = VNET_NEEDS_CSUM,
		.hdr_len = (uint16_t)headers_len,
		.csum_start = (uint16_t)ip_hdr_len(ip),
		.csum_offset = offsetof(struct tcp_hdr, csum),
	};

	assert_always(headers_len + payload_len <= PKT_IP_MAX);
	if (tcp->gso_bytes > 0 && payload_len > tcp->gso_bytes) {
		v.gso_type = ip->src.version == IPV4 ? VNET_GSO_TCPV4
						     : VNET_GSO_TCPV6;
		v.gso_size = tcp->gso_bytes;
	}
	build_vnet(out, &v);
	(void)pkt_build_ip(out + PKT_VNET_LEN, ip, PKT_PROTO_TCP, l4_len);
	memcpy(l4, &h, sizeof(h));
	return PKT_VNET_LEN + headers_len;
}

size_t pkt_build_udp(uint8_t *out, const struct pkt_ip_params *ip,
		     uint16_t src_port, uint16_t dst_port, size_t payload_len)
{
	size_t l4_len = sizeof(struct udp_hdr) + payload_len;
	size_t headers_len = ip_hdr_len(ip) + sizeof(struct udp_hdr);
	struct udp_hdr h = {
		.src_port = be16_of(src_port),
		.dst_port = be16_of(dst_port),
		.len = be16_of((uint16_t)l4_len),
		.csum = csum_fold(
			csum_pseudo(&ip->src, &ip->dst, PKT_PROTO_UDP, l4_len)),
	};
	struct vnet_hdr v = {
		.flags = VNET_NEEDS_CSUM,
		.hdr_len = (uint16_t)headers_len,
		.csum_start = (uint16_t)ip_hdr_len(ip),
		.csum_offset = offsetof(struct udp_hdr, csum),
	};

	build_vnet(out, &v);
	(void)pkt_build_ip(out + PKT_VNET_LEN, ip, PKT_PROTO_UDP, l4_len);
	memcpy(out + PKT_VNET_LEN + ip_hdr_len(ip), &h, sizeof(h));
	return PKT_VNET_LEN + headers_len;
}

/* Write virtio, IP and ICMP header around h, with the checksum over the
 * payload behind it.  Returns the length without payload. */
static size_t build_icmp(uint8_t *out, const struct pkt_ip_params *ip,
			 struct icmp_hdr h, const uint8_t *payload,
			 size_t payload_len)
{
	uint8_t proto =
		ip->src.version == IPV4 ? PKT_PROTO_ICMP : PKT_PROTO_ICMP6;
	size_t l4_len = sizeof(h) + payload_len;
	uint64_t sum = 0;

	if (ip->src.version == IPV6)
		sum = csum_pseudo(&ip->src, &ip->dst, proto, l4_len);
	sum = csum_add(sum, &h, sizeof(h));
	h.csum = csum_finish(csum_add(sum, payload, payload_len));
	build_vnet(out, &(struct vnet_hdr){0});
	size_t len = PKT_VNET_LEN;
	len += pkt_build_ip(out + len, ip, proto, l4_len);
	memcpy(out + len, &h, sizeof(h));
	return len + sizeof(h);
}

size_t pkt_build_echo_reply(uint8_t *out, const struct pkt_ip_params *ip,
			    uint16_t id, uint16_t seq, const uint8_t *payload,
			    size_t payload_len)
{
	struct icmp_hdr h = {
		.type = ip->src.version == IPV4 ? ICMP4_ECHO_REPLY
						: ICMP6_ECHO_REPLY,
		.id = be16_of(id),
		.seq = be16_of(seq),
	};

	return build_icmp(out, ip, h, payload, payload_len);
}

/* Place info where the type has it, in the second word of the header. */
static void put_info(struct icmp_hdr *h, enum ip_version version,
		     const struct icmp_error *error)
{
	be32_t word = be32_of(0);

	if (version == IPV6 && (error->type == ICMP6_TOO_BIG ||
				error->type == ICMP6_PARAM_PROBLEM))
		word = be32_of(error->info);
	else if (version == IPV4 && error->type == ICMP4_PARAM_PROBLEM)
		word.b[0] = (uint8_t)error->info;
	else if (version == IPV4 && error->type == ICMP4_UNREACH &&
		 error->code == ICMP4_UNREACH_TOO_BIG)
		word = be32_of(error->info & UINT16_MAX); /* RFC 1191 */
	memcpy(&h->id, &word.b[0], 2);
	memcpy(&h->seq, &word.b[2], 2);
}

size_t pkt_build_icmp_error(uint8_t *out, const struct pkt_ip_params *ip,
			    const struct icmp_error *error,
			    const uint8_t *quoted, size_t quoted_len)
{
	struct icmp_hdr h = {.type = error->type, .code = error->code};
	size_t whole_max =
		ip->src.version == IPV4 ? ICMP4_ERROR_MAX : ICMP6_ERROR_MAX;
	size_t quote_max = whole_max - ip_hdr_len(ip) - sizeof(h);
	size_t quote_len = quoted_len < quote_max ? quoted_len : quote_max;

	put_info(&h, ip->src.version, error);
	size_t len = build_icmp(out, ip, h, quoted, quote_len);
	memcpy(out + len, quoted, quote_len);
	return len + quote_len;
}
