/* SPDX-License-Identifier: MIT */
/* dns_cache: answers of the DNS, for as long as they say. */
#include "dns_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	KEY_DO = 1, /* with signatures */
	KEY_CD = 2, /* even if they are wrong */
};

void dns_key_of(struct dns_key *ret, const struct dns_msg *query)
{
	memset(ret, 0, sizeof(*ret));
	ret->name_len = (uint8_t)dns_parse_name(
		query->bytes, query->end, DNS_HEADER_LEN, ret->name, NULL);
	ret->type = query->type;
	ret->class = query->class;
	ret->flags = (query->edns_do ? KEY_DO : 0) |
		     ((query->flags & DNS_FLAG_CD) ? KEY_CD : 0);
}

bool dns_key_equal(const struct dns_key *a, const struct dns_key *b)
{
	return a->name_len == b->name_len && a->type == b->type &&
	       a->class == b->class && a->flags == b->flags &&
	       memcmp(a->name, b->name, a->name_len) == 0;
}

uint64_t dns_cache_hash(const struct dns_cache *c, const struct dns_key *key)
{
	uint64_t hash;

	static_assert(sizeof(hash) == crypto_shorthash_BYTES, "SipHash-2-4");
	static_assert(sizeof(*key) == DNS_NAME_MAX + 7, "has no padding");
	(void)crypto_shorthash((uint8_t *)&hash, (const uint8_t *)key,
			       sizeof(*key), c->hash_key);
	return hash;
}

static size_t cost_of(const struct dns_entry *e)
{
	return sizeof(*e) + e->len;
}

static void forget(struct dns_cache *c, struct dns_entry *e)
{
	htab_del(&c->entries, &e->node);
	list_del(&e->link);
	c->bytes -= cost_of(e);
	free(e);
}

static struct dns_entry *find(struct dns_cache *c, const struct dns_key *key)
{
	struct htab_node *node = htab_find(&c->entries, dns_cache_hash(c, key));

	for (; node; node = htab_next(node)) {
		struct dns_entry *e =
			container_of(node, struct dns_entry, node);

		if (dns_key_equal(&e->key, key))
			return e;
	}
	return NULL;
}

const struct dns_entry *dns_cache_find(struct dns_cache *c,
				       const struct dns_key *key,
				       mono_us_t now_us)
{
	struct dns_entry *e = find(c, key);

	if (!e)
		return NULL;
	if (e->expires_us <= now_us) {
		forget(c, e);
		return NULL;
	}
	list_del(&e->link);
	list_push(&c->by_use, &e->link);
	return e;
}

static void make_room(struct dns_cache *c)
{
	while (c->entries.n > DNS_CACHE_ENTRIES_MAX ||
	       c->bytes > DNS_CACHE_BYTES_MAX)
		forget(c, container_of(c->by_use.next, struct dns_entry, link));
}

void dns_cache_add(struct dns_cache *c, const struct dns_key *key,
		   const struct dns_msg *answer, mono_us_t now_us)
{
	uint64_t ttl_s = dns_parse_ttl_s(answer);
	struct dns_entry *e = find(c, key);

	if (e)
		forget(c, e);
	if (ttl_s == 0 || answer->end > DNS_CACHE_ANSWER_MAX)
		return;
	e = malloc(sizeof(*e) + answer->end);
	if (!e)
		return;
	e->key = *key;
	e->node.hash = dns_cache_hash(c, key);
	if (htab_add(&c->entries, &e->node) < 0) {
		free(e);
		return;
	}
	if (ttl_s > DNS_CACHE_TTL_MAX_S)
		ttl_s = DNS_CACHE_TTL_MAX_S;
	e->stored_us = now_us;
	e->expires_us = now_us + ttl_s * US_PER_SEC;
	e->len = answer->end;
	memcpy(e->answer, answer->bytes, e->len);
	list_push(&c->by_use, &e->link);
	c->bytes += cost_of(e);
	make_room(c);
}

void dns_cache_init(struct dns_cache *c)
{
	*c = (struct dns_cache){0};
	list_init(&c->by_use);
	randombytes_buf(c->hash_key, sizeof(c->hash_key));
}

void dns_cache_clear(struct dns_cache *c)
{
	while (!list_is_empty(&c->by_use))
		forget(c, container_of(c->by_use.next, struct dns_entry, link));
}

void dns_cache_fini(struct dns_cache *c)
{
	dns_cache_clear(c);
	htab_fini(&c->entries);
}
