/* SPDX-License-Identifier: MIT */
/*
 * reference: slow and obvious counterparts of src/wire/, and a random source.
 *
 * Nothing here uses what it is meant to check: packets are put together byte by
 * byte, sums are taken one 16-bit word at a time.
 */
#ifndef ECSSH_TEST_REFERENCE_H
#define ECSSH_TEST_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- randomness: splitmix64, repeatable by its seed ---- */

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A number in [0, n), n > 0. */
static inline size_t rng_below(struct rng *rng, size_t n)
{
	return (size_t)(rng_next(rng) % n);
}

static inline void rng_fill(struct rng *rng, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)rng_next(rng);
}

/* Seeded by $ECSSH_TEST_SEED: a number, or "random" for another one each time.
 * Without it always the same, so that a red test is the doing of a change.
 * Prints which. */
static inline struct rng rng_init(const char *what)
{
	const char *given = getenv("ECSSH_TEST_SEED");
	uint64_t seed = 1;

	if (given && strcmp(given, "random") == 0) {
		struct timespec now;

		(void)clock_gettime(CLOCK_REALTIME, &now);
		seed = (uint64_t)now.tv_sec * 1000000007U +
		       (uint64_t)now.tv_nsec;
	} else if (given) {
		seed = strtoull(given, NULL, 0);
	}
	printf("# %s: ECSSH_TEST_SEED=%llu\n", what, (unsigned long long)seed);
	(void)fflush(stdout);
	return (struct rng){seed};
}

/* ---- the internet checksum ---- */

static inline void ref_put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void ref_put32(uint8_t *p, uint32_t v)
{
	ref_put16(p, v >> 16);
	ref_put16(p + 2, v & 0xffff);
}

static inline unsigned ref_get16(const uint8_t *p)
{
	return (unsigned)(p[0] << 8 | p[1]);
}

/* Add one word with end-around carry. */
static inline unsigned ref_add16(unsigned sum, unsigned word)
{
	sum += word;
	return sum > 0xffff ? sum - 0xffff : sum;
}

static inline unsigned ref_sum(unsigned sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i += 2)
		sum = ref_add16(sum, (unsigned)(p[i] << 8) |
					     (i + 1 < len ? p[i + 1] : 0U));
	return sum;
}

/* The sum of the pseudo-header of the packet at ip. */
static inline unsigned ref_pseudo_sum(const uint8_t *ip, uint8_t proto,
				      size_t l4_len)
{
	unsigned sum = ip[0] >> 4 == 4 ? ref_sum(0, ip + 12, 8)
				       : ref_sum(0, ip + 8, 32);

	sum = ref_add16(sum, proto);
	sum = ref_add16(sum, (unsigned)(l4_len >> 16));
	return ref_add16(sum, (unsigned)(l4_len & 0xffff));
}

/* ---- packets ---- */

enum {
	REF_ICMP = 1,
	REF_TCP = 6,
	REF_UDP = 17,
	REF_ICMP6 = 58,
};

/* Offset of the checksum field in a transport header. */
static inline size_t ref_csum_offset(uint8_t proto)
{
	return proto == REF_TCP ? 16 : proto == REF_UDP ? 6 : 2;
}

/* Compute the transport checksum of l4_len bytes at l4 in the packet at ip. */
static inline void ref_fix_l4(uint8_t *ip, uint8_t proto, uint8_t *l4,
			      size_t l4_len)
{
	uint8_t *field = l4 + ref_csum_offset(proto);

	ref_put16(field, 0);
	unsigned sum =
		proto == REF_ICMP ? 0 : ref_pseudo_sum(ip, proto, l4_len);
	unsigned csum = ~ref_sum(sum, l4, l4_len) & 0xffff;
	if (proto == REF_UDP && csum == 0)
		csum = 0xffff;
	ref_put16(field, csum);
}

/* Compute the IPv4 header checksum. */
static inline void ref_fix_ip4(uint8_t *ip)
{
	ref_put16(ip + 10, 0);
	ref_put16(ip + 10, ~ref_sum(0, ip, (size_t)(ip[0] & 15) * 4) & 0xffff);
}

enum { REF_IP4_LEN = 20, REF_IP6_LEN = 40 };

/* An IPv4 header 192.0.2.1 -> 198.51.100.2.  Returns its length. */
static inline size_t ref_put_ip4(uint8_t *ip, uint8_t proto, size_t l4_len)
{
	static const uint8_t addresses[] = {192, 0, 2, 1, 198, 51, 100, 2};

	memset(ip, 0, REF_IP4_LEN);
	ip[0] = 0x45;
	ref_put16(ip + 2, REF_IP4_LEN + l4_len);
	ip[8] = 64;
	ip[9] = proto;
	memcpy(ip + 12, addresses, sizeof(addresses));
	ref_fix_ip4(ip);
	return REF_IP4_LEN;
}

/* An IPv6 header 2001:db8::1 -> 2001:db8:1::2.  Returns its length. */
static inline size_t ref_put_ip6(uint8_t *ip, uint8_t next, size_t payload_len)
{
	memset(ip, 0, REF_IP6_LEN);
	ip[0] = 0x60;
	ref_put16(ip + 4, payload_len);
	ip[6] = next;
	ip[7] = 64;
	memcpy(ip + 8, "\x20\x01\x0d\xb8", 4);
	ip[8 + 15] = 1;
	memcpy(ip + 24, "\x20\x01\x0d\xb8\x00\x01", 6);
	ip[24 + 15] = 2;
	return REF_IP6_LEN;
}

/* Either of these by version 4 or 6. */
static inline size_t ref_put_ip(uint8_t *ip, int version, uint8_t proto,
				size_t l4_len)
{
	return version == 4 ? ref_put_ip4(ip, proto, l4_len)
			    : ref_put_ip6(ip, proto, l4_len);
}

#endif
