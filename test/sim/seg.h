/* SPDX-License-Identifier: MIT */
/*
 * seg: TCP segments as the bytes that pass a TUN, made and read without
 * src/wire.
 */
#ifndef ECSSH_SIM_SEG_H
#define ECSSH_SIM_SEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

enum {
	SEG_VNET_LEN = 10,
	SEG_PACKET_MAX = SEG_VNET_LEN + 65575,
	SEG_FIN = 0x01,
	SEG_SYN = 0x02,
	SEG_RST = 0x04,
	SEG_PSH = 0x08,
	SEG_ACK = 0x10,
	SEG_URG = 0x20,
};

struct seg {
	struct endpoint src, dst;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window; /* unscaled */
	uint16_t urgent;
	uint16_t mss_bytes;  /* option, 0: absent */
	int8_t window_scale; /* option, -1: absent */
	uint8_t ttl, tos;
	uint16_t gso_bytes; /* super-segment: payload of each part; else 0 */
	bool has_partial_csum;
	const uint8_t *payload; /* borrowed */
	size_t payload_len;
};

/* Length in sequence space. */
static inline uint32_t seg_len(const struct seg *s)
{
	return (uint32_t)s->payload_len + (s->flags & SEG_SYN ? 1 : 0) +
	       (s->flags & SEG_FIN ? 1 : 0);
}

/* Arithmetic modulo 2^32. */
static inline int32_t seg_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* Write virtio header and packet to out, SEG_PACKET_MAX bytes.  Returns the
 * length. */
size_t seg_build(uint8_t *out, const struct seg *s);

/*
 * Read a packet with its virtio header, checking everything that a kernel would
 * refuse or that a segment of ours should never have.  Returns NULL, or what is
 * wrong.
 */
const char *seg_parse(const uint8_t *buf, size_t len, struct seg *ret);

/* The transport protocol of a packet with virtio header (no extension headers
 * are expected), or -1. */
int seg_proto(const uint8_t *buf, size_t len);

#endif
