/* SPDX-License-Identifier: MIT */
/*
 * pkt: an IP packet as a validated view of a buffer, and the building of one.
 *
 * Only wire/ computes offsets into packets.  Nothing here has a descriptor or a
 * clock, and nothing allocates.
 */
#ifndef ECSSH_PKT_H
#define ECSSH_PKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "drop.h"

enum {
	/* struct virtio_net_hdr, before each packet on a TUN with
	 * IFF_VNET_HDR; VIRTIO 1.2 section 5.1.6, native byte order. */
	PKT_VNET_LEN = 10,
	PKT_IP_MAX = 65535,  /* largest IPv4 packet */
	PKT_IP6_MAX = 65575, /* 40 + 65535: largest IPv6 packet, no jumbogram */
	PKT_HEADERS_MAX = 128, /* room for any header chain that we build */
};

enum pkt_proto {
	PKT_PROTO_ICMP = 1,
	PKT_PROTO_TCP = 6,
	PKT_PROTO_UDP = 17,
	PKT_PROTO_ICMP6 = 58,
};

enum tcp_flag {
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
};

/* RFC 9293 section 3.1, host order. */
struct pkt_tcp {
	uint16_t src_port, dst_port;
	uint32_t seq, ack;
	uint8_t flags;	     /* enum tcp_flag */
	uint16_t window;     /* unscaled */
	uint16_t mss_bytes;  /* option; 0: absent */
	int8_t window_scale; /* option (RFC 7323), 0..14; -1: absent */
};

/* RFC 768. */
struct pkt_udp {
	uint16_t src_port, dst_port;
};

/* RFC 792, RFC 4443.  id and seq are those of an echo. */
struct pkt_icmp {
	uint8_t type, code;
	uint16_t id, seq;
};

/* A view; borrows the buffer. */
struct pkt {
	const uint8_t *ip; /* first byte of the IP header */
	size_t ip_len;	   /* whole packet, as the IP header says */
	struct ip_addr src, dst;
	uint8_t proto; /* of the payload, behind all extension headers */
	uint8_t ttl;   /* hop limit */
	uint8_t tos;   /* traffic class: DSCP and ECN */
	bool df;       /* IPv4 don't fragment; true for IPv6 */
	/* An unreassembled fragment: only the fields up to here and these are
	 * valid, and l4 is the fragment's data. */
	bool is_fragment, more_fragments;
	uint32_t frag_id;
	uint32_t frag_offset;	 /* bytes */
	size_t frag_next_offset; /* IPv6: of the byte in ip[] that names the
				    fragment header */
	size_t proto_offset;	 /* of the byte in ip[] that names proto */
	const uint8_t *l4;	 /* transport header */
	size_t l4_len;		 /* transport header and payload */
	const uint8_t *payload;
	size_t payload_len;
	uint16_t gso_bytes; /* UDP super-packet: payload of each datagram; else
			       0 */
	bool csum_partial; /* transport checksum left to the device: not checked
			    */
	union {		   /* by proto; nothing for protocols not listed,
			    * nor for the other version's ICMP */
		struct pkt_tcp tcp;
		struct pkt_udp udp;
		struct pkt_icmp icmp;
	};
};

/*
 * Validate what a TUN delivered: len bytes beginning with the virtio header.
 * Checks lengths against each other, IPv4 header and transport checksums
 * (unless the virtio header says that they are partial or verified), walks IPv6
 * extension headers (RFC 8200 section 4), parses the TCP options that matter.
 * Bytes behind the IP total length are ignored.  Returns DROP_NONE and fills
 * *ret_pkt, or a reason.  DROP_PROTOCOL is not returned here: unknown protocols
 * parse.
 */
enum drop_reason pkt_parse(const uint8_t *buf, size_t len, struct pkt *ret_pkt);

/* The same for a bare IP packet without virtio header. */
enum drop_reason pkt_parse_ip(const uint8_t *ip, size_t len,
			      struct pkt *ret_pkt);

/* What IP header a packet that we build gets. */
struct pkt_ip_params {
	struct ip_addr src, dst; /* same version */
	uint8_t ttl, tos;
	bool df;     /* IPv4 only */
	uint16_t id; /* IPv4 only: identification; any value does with df (RFC
			6864) */
};

/* What TCP header; see struct pkt_tcp. */
struct pkt_tcp_params {
	uint16_t src_port, dst_port;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window;
	uint16_t mss_bytes;  /* MSS option, or 0 for none */
	int8_t window_scale; /* option, or -1 for none */
	uint16_t gso_bytes;  /* segment size if payload_len exceeds it */
};

/*
 * Write virtio, IP and TCP header for payload_len bytes that follow elsewhere.
 * The TCP checksum is left to the device: pseudo-header sum, NEEDS_CSUM.  If
 * payload_len exceeds gso_bytes > 0 the packet is a TCP super-segment.  out has
 * at least PKT_VNET_LEN + PKT_HEADERS_MAX bytes.  Returns the length written.
 * The IP packet must not exceed PKT_IP_MAX (programming error).
 */
size_t pkt_build_tcp(uint8_t *out, const struct pkt_ip_params *ip,
		     const struct pkt_tcp_params *tcp, size_t payload_len);

/* Write virtio, IP and UDP header for a datagram of payload_len <= 65507 (IPv4)
 * or 65527 bytes; the checksum is left to the device.  Returns the length. */
size_t pkt_build_udp(uint8_t *out, const struct pkt_ip_params *ip,
		     uint16_t src_port, uint16_t dst_port, size_t payload_len);

/*
 * Write virtio, IP and ICMP echo reply header, with the checksum over the
 * payload at `payload`, which the caller sends behind it.  Returns the length.
 */
size_t pkt_build_echo_reply(uint8_t *out, const struct pkt_ip_params *ip,
			    uint16_t id, uint16_t seq, const uint8_t *payload,
			    size_t payload_len);

/* ICMP errors in the terms of one family or the other. */
struct icmp_error {
	uint8_t type, code;
	uint32_t info; /* MTU of "too big", pointer of a parameter problem */
};

/* Meanings that both families have, for icmp_error_make. */
enum icmp_meaning {
	ICMP_MEANS_NET_UNREACH,
	ICMP_MEANS_HOST_UNREACH,
	ICMP_MEANS_PORT_UNREACH,
	ICMP_MEANS_PROTO_UNREACH, /* info: proto_offset, for IPv6 */
	ICMP_MEANS_ADMIN_PROHIBITED,
	ICMP_MEANS_TOO_BIG, /* info: MTU */
	ICMP_MEANS_TTL_EXCEEDED,
};

/* Type and code of a meaning (RFC 792, 1122, 1812; RFC 4443). */
struct icmp_error icmp_error_make(enum ip_version version,
				  enum icmp_meaning meaning, uint32_t info);

/* True if type and code form an ICMP error (not an informational message) that
 * may be passed on to an application's host. */
bool icmp_error_is_valid(enum ip_version version,
			 const struct icmp_error *error);

/*
 * Write virtio, IP and ICMP error header and the quote: as much of the packet
 * that caused it as RFC 792/1812 and RFC 4443 allow (whole error at most 576
 * bytes for IPv4, 1280 for IPv6).  quoted_len >= its IP header.  out has at
 * least PKT_VNET_LEN + 1280 bytes.  Returns the length.
 */
size_t pkt_build_icmp_error(uint8_t *out, const struct pkt_ip_params *ip,
			    const struct icmp_error *error,
			    const uint8_t *quoted, size_t quoted_len);

/*
 * Write only the IP header for l4_len bytes of protocol proto (for the quote in
 * an ICMP error about a packet that is gone).  Returns its length.
 */
size_t pkt_build_ip(uint8_t *out, const struct pkt_ip_params *ip, uint8_t proto,
		    size_t l4_len);

#endif
