/* SPDX-License-Identifier: MIT */
/*
 * vnet: packets with offload: what the TUN's virtio header and the frame PACKET
 * say about them, checked against the packet itself.
 *
 * Spec: VIRTIO 1.2 section 5.1.6; doc/PROTOCOL.session section 7.
 */
#ifndef ECSSH_VNET_H
#define ECSSH_VNET_H

#include "frame.h"
#include "pkt.h"

enum {
	/* struct frame_packet: flags */
	VNET_FLAG_PARTIAL = 1, /* the checksum field holds the pseudo-header's
				  sum only */
	/* gso_type */
	VNET_TYPE_NONE = 0,
	VNET_TYPE_TCP4 = 1,
	VNET_TYPE_TCP6 = 4,
	VNET_TYPE_UDP = 5,
	VNET_TYPE_ECN = 0x80, /* beside one of the TCP types */
	/* Datagrams in a UDP super-packet; Linux takes no more. */
	VNET_UDP_SEGMENTS_MAX = 128,
};

/*
 * Check everything in p, which may come from anywhere: that there is one whole
 * IP packet with sound headers and nothing behind it (IPv4 header checksum,
 * IPv6 extension headers); that the offload fields say what may be said of this
 * very packet: a known type of its version and protocol, a segment size that
 * cuts it, the checksum in the transport header's own place.  Fields without
 * meaning must be zero.  Any protocol and any fragment pass without offload.
 * Transport checksums are not verified.  Returns DROP_NONE, or what is wrong.
 */
enum drop_reason vnet_check(const struct frame_packet *p);

/* The same, and fill *ret_view, which borrows p->ip. */
enum drop_reason vnet_view(const struct frame_packet *p, struct pkt *ret_view);

/*
 * Make a packet out of what a TUN delivered, len bytes beginning with the
 * virtio header.  It passes vnet_check: hdr_len is put right, the kernel's
 * hint may be too long; bytes behind the IP packet are left out.  *ret_p and
 * *ret_view (may be NULL) borrow buf.  Returns DROP_NONE, or what is wrong.
 */
enum drop_reason vnet_parse(const uint8_t *buf, size_t len,
			    struct frame_packet *ret_p, struct pkt *ret_view);

/* Write the virtio header for a packet that passed vnet_check; the packet
 * follows it, from p->ip. */
void vnet_build(uint8_t out[PKT_VNET_LEN], const struct frame_packet *p);

#endif
