/* SPDX-License-Identifier: MIT */
/*
 * pattern: endless byte sequences that both ends of a test can compute.
 *
 * A byte depends on its key and its offset, so a lost, repeated or misplaced
 * byte shows where it is compared, and nothing needs to be kept for sending it
 * again.
 */
#ifndef ECSSH_SIM_PATTERN_H
#define ECSSH_SIM_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t pattern_word(uint64_t key, uint64_t index)
{
	uint64_t z = key + index * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
	return z ^ z >> 29;
}

static inline uint8_t pattern_byte(uint64_t key, uint64_t offset)
{
	return (uint8_t)(pattern_word(key, offset / 8) >> offset % 8 * 8);
}

static inline void pattern_fill(uint64_t key, uint64_t offset, uint8_t *out,
				size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = pattern_byte(key, offset + i);
}

/* The number of bytes from the beginning that are as they should be. */
static inline size_t pattern_match(uint64_t key, uint64_t offset,
				   const uint8_t *bytes, size_t len)
{
	size_t i = 0;

	while (i < len && bytes[i] == pattern_byte(key, offset + i))
		i++;
	return i;
}

/* Keys of the two directions of the connection between these ports. */
static inline uint64_t pattern_key_up(uint16_t near_port, uint16_t far_port)
{
	return ((uint64_t)near_port << 16 | far_port) << 8 | 1;
}

static inline uint64_t pattern_key_down(uint16_t near_port, uint16_t far_port)
{
	return ((uint64_t)near_port << 16 | far_port) << 8 | 2;
}

#endif
