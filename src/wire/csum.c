/* SPDX-License-Identifier: MIT */
/*
 * csum: the internet checksum (RFC 1071).
 *
 * The sum is kept in the machine's own byte order: swapping the bytes of each
 * word before adding or of the result after gives the same (RFC 1071 section
 * 2 (B)).  Words of 64 bits are added as their 32-bit halves into 64-bit
 * accumulators, so no carry is lost and none needs attention.
 */
#include "csum.h"

#include <string.h>

static uint64_t load64(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static uint64_t halves(uint64_t w)
{
	return (w & UINT32_MAX) + (w >> 32);
}

uint64_t csum_add(uint64_t sum, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	uint64_t other = 0; /* two chains of additions run side by side */

	for (; len >= 32; p += 32, len -= 32) {
		sum += halves(load64(p)) + halves(load64(p + 8));
		other += halves(load64(p + 16)) + halves(load64(p + 24));
	}
	for (; len >= 8; p += 8, len -= 8)
		sum += halves(load64(p));
	if (len > 0) {
		uint8_t tail[8] = {0};

		memcpy(tail, p, len);
		sum += halves(load64(tail));
	}
	return sum + other;
}

uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst,
		     uint8_t proto, size_t l4_len)
{
	/* The IPv4 pseudo-header has narrower fields, but the same sum. */
	struct {
		be32_t l4_len;
		uint8_t zero[3];
		uint8_t proto;
	} tail = {be32_of((uint32_t)l4_len), {0}, proto};
	/* Bytes beyond an IPv4 address are zero and add nothing. */
	uint64_t sum = csum_add(0, src->bytes, sizeof(src->bytes));

	sum = csum_add(sum, dst->bytes, sizeof(dst->bytes));
	return csum_add(sum, &tail, sizeof(tail));
}

static uint16_t fold(uint64_t sum)
{
	sum = halves(sum);
	sum = halves(sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static be16_t in_memory_order(uint16_t v)
{
	be16_t field;

	memcpy(&field, &v, sizeof(field));
	return field;
}

be16_t csum_fold(uint64_t sum)
{
	return in_memory_order(fold(sum));
}

be16_t csum_finish(uint64_t sum)
{
	return in_memory_order((uint16_t)~fold(sum));
}

be16_t csum_update(be16_t csum, uint16_t old_word, uint16_t new_word)
{
	/* RFC 1624 equation 3: the one that never makes 0xffff of 0. */
	uint32_t sum = (uint16_t)~be16_get(csum) +
		       (uint32_t)(uint16_t)~old_word + new_word;

	return be16_of((uint16_t)~fold(sum));
}

bool csum_is_right(uint64_t sum)
{
	return fold(sum) == 0xffff;
}
