/* SPDX-License-Identifier: MIT */
/* pkt_internal: headers as they lie in a packet, shared by the files of wire/.
 */
#ifndef ECSSH_PKT_INTERNAL_H
#define ECSSH_PKT_INTERNAL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "be.h"
#include "drop.h"
#include "pkt.h"

/* VIRTIO 1.2 section 5.1.6.  The numbers are in native order: that is what a
 * TUN uses unless told otherwise. */
struct vnet_hdr {
	uint8_t flags;	      /* 0: enum vnet_flag */
	uint8_t gso_type;     /* 1: enum vnet_gso */
	uint16_t hdr_len;     /* 2: headers to keep in one piece */
	uint16_t gso_size;    /* 4: payload of each segment */
	uint16_t csum_start;  /* 6: where summing begins */
	uint16_t csum_offset; /* 8: of the checksum field, from csum_start */
};
static_assert(sizeof(struct vnet_hdr) == PKT_VNET_LEN, "wire layout");

enum vnet_flag {
	VNET_NEEDS_CSUM = 1,
	VNET_DATA_VALID = 2,
};

enum vnet_gso {
	VNET_GSO_NONE = 0,
	VNET_GSO_TCPV4 = 1,
	VNET_GSO_TCPV6 = 4,
	VNET_GSO_UDP_L4 = 5,
	VNET_GSO_ECN = 0x80, /* a flag beside the TCP types */
};

/* RFC 791 section 3.1. */
struct ip4_hdr {
	uint8_t version_ihl; /* 0: 4 << 4 | length in 32-bit words */
	uint8_t tos;	     /* 1 */
	be16_t total_len;    /* 2 */
	be16_t id;	     /* 4 */
	be16_t frag;	     /* 6: IP4_DF, IP4_MF, offset in units of 8 bytes */
	uint8_t ttl;	     /* 8 */
	uint8_t proto;	     /* 9 */
	be16_t csum;	     /* 10 */
	uint8_t src[4];	     /* 12 */
	uint8_t dst[4];	     /* 16 */
};
static_assert(sizeof(struct ip4_hdr) == 20, "wire layout");

enum {
	IP4_DF = 0x4000,
	IP4_MF = 0x2000,
	IP4_OFFSET = 0x1fff,
};

/* RFC 8200 section 3. */
struct ip6_hdr {
	be32_t version_class_label; /* 0: 4, 8 and 20 bits */
	be16_t payload_len;	    /* 4: extension headers included */
	uint8_t next;		    /* 6 */
	uint8_t hop_limit;	    /* 7 */
	uint8_t src[16];	    /* 8 */
	uint8_t dst[16];	    /* 24 */
};
static_assert(sizeof(struct ip6_hdr) == 40, "wire layout");

/* RFC 8200 section 4. */
enum ip6_next {
	IP6_HOP_BY_HOP = 0,
	IP6_ROUTING = 43,
	IP6_FRAGMENT = 44,
	IP6_NONE = 59,
	IP6_DEST_OPTIONS = 60,
};

/* How hop-by-hop, routing and destination options headers begin. */
struct ip6_ext {
	uint8_t next; /* 0 */
	uint8_t len;  /* 1: in units of 8 bytes, the first not counted */
	uint8_t routing_type;  /* 2 */
	uint8_t segments_left; /* 3: routing header only */
	uint8_t rest[4];       /* 4: at least */
};
static_assert(sizeof(struct ip6_ext) == 8, "wire layout");

/* RFC 8200 section 4.5. */
struct ip6_frag {
	uint8_t next;	  /* 0 */
	uint8_t reserved; /* 1 */
	be16_t frag;	  /* 2: offset in bytes (13 bits), 2 bits, IP6_MF */
	be32_t id;	  /* 4 */
};
static_assert(sizeof(struct ip6_frag) == 8, "wire layout");

enum {
	IP6_OFFSET = 0xfff8,
	IP6_MF = 0x0001,
};

/* RFC 9293 section 3.1. */
struct tcp_hdr {
	be16_t src_port; /* 0 */
	be16_t dst_port; /* 2 */
	be32_t seq;	 /* 4 */
	be32_t ack;	 /* 8 */
	uint8_t offset;	 /* 12: length in 32-bit words << 4 */
	uint8_t flags;	 /* 13 */
	be16_t window;	 /* 14 */
	be16_t csum;	 /* 16 */
	be16_t urgent;	 /* 18 */
};
static_assert(sizeof(struct tcp_hdr) == 20, "wire layout");

enum {
	TCP_FLAGS_MASK = 0x3f, /* without those of ECN */
	TCP_WINDOW_SCALE_MAX = 14,
};

enum tcp_option {
	TCP_OPTION_END = 0,
	TCP_OPTION_NOP = 1,
	TCP_OPTION_MSS = 2,
	TCP_OPTION_WINDOW_SCALE = 3,
};

/* RFC 768. */
struct udp_hdr {
	be16_t src_port; /* 0 */
	be16_t dst_port; /* 2 */
	be16_t len;	 /* 4: header and payload */
	be16_t csum;	 /* 6 */
};
static_assert(sizeof(struct udp_hdr) == 8, "wire layout");

/* RFC 792, RFC 4443. */
struct icmp_hdr {
	uint8_t type; /* 0 */
	uint8_t code; /* 1 */
	be16_t csum;  /* 2 */
	be16_t id;    /* 4: echo; errors have 32 bits of their own here */
	be16_t seq;   /* 6 */
};
static_assert(sizeof(struct icmp_hdr) == 8, "wire layout");

enum icmp_type {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACH = 3,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAM_PROBLEM = 12,
	ICMP6_UNREACH = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_PARAM_PROBLEM = 4,
	ICMP6_ECHO_REPLY = 129,
};

enum icmp_code {
	ICMP4_UNREACH_NET = 0,
	ICMP4_UNREACH_HOST = 1,
	ICMP4_UNREACH_PROTO = 2,
	ICMP4_UNREACH_PORT = 3,
	ICMP4_UNREACH_TOO_BIG = 4,
	ICMP4_UNREACH_ADMIN = 13,
	ICMP6_UNREACH_NET = 0,
	ICMP6_UNREACH_ADMIN = 1,
	ICMP6_UNREACH_HOST = 3,
	ICMP6_UNREACH_PORT = 4,
	ICMP6_PARAM_NEXT_HEADER = 1,
};

/* A place in a chain of IPv6 headers. */
struct ip6_walk {
	size_t at;	/* of the header named `next` in ip[] */
	size_t next_at; /* of the byte that names it */
	uint8_t next;
	unsigned n_headers; /* passed so far */
};

/*
 * Move on to the first header that is neither hop-by-hop, routing nor
 * destination options.  end: of the packet.  Returns DROP_NONE, or
 * DROP_BAD_OPTION for a header that is cut off, misplaced, one too many, or
 * sends the packet elsewhere.
 */
enum drop_reason ip6_walk_extensions(const uint8_t *ip, size_t end,
				     struct ip6_walk *walk);

/* pkt_parse_ip, but nothing is believed or verified of the transport checksum:
 * csum_partial is for the caller to set. */
enum drop_reason pkt_parse_unsummed(const uint8_t *ip, size_t len,
				    struct pkt *ret_pkt);

/*
 * True if p's transport checksum is summed from ip[start] on and lies offset
 * bytes behind that.  For protocols that are not known here any field behind
 * the IP header will do: GRE has one that Linux leaves to the device.
 */
bool pkt_has_csum_at(const struct pkt *p, size_t start, size_t offset);

#endif
