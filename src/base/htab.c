/* SPDX-License-Identifier: MIT */
/* htab: intrusive hash table with chaining; doubles when full. */
#include "htab.h"

#include <errno.h>
#include <stdlib.h>

enum { HTAB_BUCKETS_MIN = 64 };

void htab_fini(struct htab *t)
{
	free(t->buckets);
	*t = (struct htab){0};
}

/* The upper half: htab_hash_u32 leaves the entropy there. */
static struct htab_node **bucket(const struct htab *t, uint64_t hash)
{
	return &t->buckets[(hash >> 32) & (t->n_buckets - 1)];
}

static int grow(struct htab *t)
{
	struct htab bigger = {
		.n_buckets = t->n_buckets ? 2 * t->n_buckets : HTAB_BUCKETS_MIN,
	};

	bigger.buckets = calloc(bigger.n_buckets, sizeof(struct htab_node *));
	if (!bigger.buckets)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_buckets; i++) {
		struct htab_node *node = t->buckets[i];

		while (node) {
			struct htab_node *next = node->next;
			struct htab_node **to = bucket(&bigger, node->hash);

			node->next = *to;
			*to = node;
			node = next;
		}
	}
	bigger.n = t->n;
	free(t->buckets);
	*t = bigger;
	return 0;
}

int htab_add(struct htab *t, struct htab_node *node)
{
	if (t->n >= t->n_buckets) {
		int r = grow(t);
		if (r < 0)
			return r;
	}
	struct htab_node **b = bucket(t, node->hash);

	node->next = *b;
	*b = node;
	t->n++;
	return 0;
}

void htab_del(struct htab *t, struct htab_node *node)
{
	struct htab_node **at = bucket(t, node->hash);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	t->n--;
}

static struct htab_node *with_hash(struct htab_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct htab_node *htab_find(const struct htab *t, uint64_t hash)
{
	return t->n ? with_hash(*bucket(t, hash), hash) : NULL;
}

struct htab_node *htab_next(const struct htab_node *node)
{
	return with_hash(node->next, node->hash);
}

struct htab_node *htab_any(const struct htab *t)
{
	for (size_t i = 0; t->n && i < t->n_buckets; i++)
		if (t->buckets[i])
			return t->buckets[i];
	return NULL;
}

void htab_each(struct htab *t, void (*fn)(struct htab_node *node, void *ctx),
	       void *ctx)
{
	for (size_t i = 0; i < t->n_buckets; i++) {
		struct htab_node *node = t->buckets[i];

		while (node) {
			struct htab_node *next = node->next;

			fn(node, ctx);
			node = next;
		}
	}
}
