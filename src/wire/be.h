/* SPDX-License-Identifier: MIT */
/*
 * be: big-endian fields of wire structs.
 *
 * Types of their own, so that a value in network order is never used as a
 * number by accident.  Made of bytes: a struct of them has no padding and no
 * alignment, and may lie anywhere in a packet.
 */
#ifndef ECSSH_BE_H
#define ECSSH_BE_H

#include <stdint.h>

typedef struct {
	uint8_t b[2];
} be16_t;

typedef struct {
	uint8_t b[4];
} be32_t;

static inline uint16_t be16_get(be16_t v)
{
	return (uint16_t)(v.b[0] << 8 | v.b[1]);
}

static inline uint32_t be32_get(be32_t v)
{
	return (uint32_t)v.b[0] << 24 | (uint32_t)v.b[1] << 16 |
	       (uint32_t)v.b[2] << 8 | v.b[3];
}

static inline be16_t be16_of(uint16_t v)
{
	return (be16_t){{(uint8_t)(v >> 8), (uint8_t)v}};
}

static inline be32_t be32_of(uint32_t v)
{
	return (be32_t){{(uint8_t)(v >> 24), (uint8_t)(v >> 16),
			 (uint8_t)(v >> 8), (uint8_t)v}};
}

#endif
