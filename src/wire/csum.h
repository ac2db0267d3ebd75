/* SPDX-License-Identifier: MIT */
/*
 * csum: the internet checksum (RFC 1071).
 *
 * A sum under way is a uint64_t that begins as 0 and is opaque but for
 * csum_fold.  One packet of at most 64 KiB cannot overflow it.
 */
#ifndef ECSSH_CSUM_H
#define ECSSH_CSUM_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "be.h"

/* Add len bytes at any alignment.  Only the last piece of a packet may have an
 * odd length. */
uint64_t csum_add(uint64_t sum, const void *bytes, size_t len);

/* Begin a sum with the pseudo-header of RFC 9293 section 3.1 or RFC 8200
 * section 8.1.  src and dst are of one version. */
uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst,
		     uint8_t proto, size_t l4_len);

/* The 16-bit sum, not complemented: what belongs in the checksum field of a
 * packet whose checksum the device completes. */
be16_t csum_fold(uint64_t sum);

/* The checksum: the complement of the sum. */
be16_t csum_finish(uint64_t sum);

/* The checksum after one of the 16-bit words under it, in host order, has
 * changed; RFC 1624. */
be16_t csum_update(be16_t csum, uint16_t old_word, uint16_t new_word);

/* True if a sum over data that includes its checksum field is right. */
bool csum_is_right(uint64_t sum);

#endif
