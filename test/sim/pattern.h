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
#include <string.h>

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
	size_t i = 0;

	for (; i < len && (offset + i) % 8; i++)
		out[i] = pattern_byte(key, offset + i);
	for (; len - i >= 8; i += 8) {
		uint64_t word = pattern_word(key, (offset + i) / 8);

		for (unsigned k = 0; k < 8; k++)
			out[i + k] = (uint8_t)(word >> 8 * k);
	}
	for (; i < len; i++)
		out[i] = pattern_byte(key, offset + i);
}

/* The number of bytes from the beginning that are as they should be. */
static inline size_t pattern_match(uint64_t key, uint64_t offset,
				   const uint8_t *bytes, size_t len)
{
	uint8_t right[4096];
	size_t at = 0;

	while (at < len) {
		size_t n = len - at < sizeof(right) ? len - at : sizeof(right);

		pattern_fill(key, offset + at, right, n);
		if (memcmp(right, bytes + at, n) != 0)
			break;
		at += n;
	}
	while (at < len && bytes[at] == pattern_byte(key, offset + at))
		at++;
	return at;
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
