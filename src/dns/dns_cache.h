/* SPDX-License-Identifier: MIT */
/*
 * dns_cache: answers of the DNS, for as long as they say.
 *
 * Spec: RFC 1035 section 7.4; RFC 2308
 */
#ifndef ECSSH_DNS_CACHE_H
#define ECSSH_DNS_CACHE_H

#include <sodium.h>

#include "clock.h"
#include "dns_parse.h"
#include "htab.h"
#include "list.h"

enum {
	DNS_CACHE_ENTRIES_MAX = 4096, /* then the one unused for longest goes */
	DNS_CACHE_BYTES_MAX = 4 << 20,	 /* of all, with what each needs */
	DNS_CACHE_ANSWER_MAX = 16 << 10, /* a longer one is not kept */
	DNS_CACHE_TTL_MAX_S = 3600,
};

/* What is asked: all that makes a difference to the answer. */
struct dns_key {
	uint8_t name[DNS_NAME_MAX]; /* small letters; zeros behind it */
	uint8_t name_len;
	uint8_t flags; /* private */
	uint16_t type, class;
};

void dns_key_of(struct dns_key *ret, const struct dns_msg *query);
bool dns_key_equal(const struct dns_key *a, const struct dns_key *b);

struct dns_entry {
	struct htab_node node;
	struct list link; /* by use */
	struct dns_key key;
	mono_us_t stored_us, expires_us;
	size_t len;
	uint8_t answer[]; /* as it came, and sound */
};

/* Storage is the caller's. */
struct dns_cache {
	struct htab entries;
	struct list by_use; /* the one unused for longest first */
	size_t bytes;
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
};

void dns_cache_init(struct dns_cache *c);
void dns_cache_fini(struct dns_cache *c);

/* SipHash of a key, by the cache's secret. */
uint64_t dns_cache_hash(const struct dns_cache *c, const struct dns_key *key);

/* What is known, or NULL; good until the next call. */
const struct dns_entry *dns_cache_find(struct dns_cache *c,
				       const struct dns_key *key,
				       mono_us_t now_us);

/* Keep a copy of an answer, if it may be and memory allows, in place of what
 * was known. */
void dns_cache_add(struct dns_cache *c, const struct dns_key *key,
		   const struct dns_msg *answer, mono_us_t now_us);

/* Forget everything. */
void dns_cache_clear(struct dns_cache *c);

#endif
