/* SPDX-License-Identifier: MIT */
/* htab: intrusive hash table; the caller computes hashes and compares keys. */
#ifndef ECSSH_HTAB_H
#define ECSSH_HTAB_H

#include <stddef.h>
#include <stdint.h>

struct htab_node {
	struct htab_node *next;
	uint64_t hash;
};

struct htab {
	struct htab_node **buckets; /* owned; NULL while empty and never used */
	size_t n_buckets;	    /* 0 or a power of two */
	size_t n;		    /* nodes held (borrowed) */
};

void htab_fini(struct htab *t);

/* Add a node with node->hash set.  Returns 0 or -ENOMEM. */
int htab_add(struct htab *t, struct htab_node *node);

/* Take out a node that is in. */
void htab_del(struct htab *t, struct htab_node *node);

/* First node with this hash, or NULL; htab_next gives the others. */
struct htab_node *htab_find(const struct htab *t, uint64_t hash);
struct htab_node *htab_next(const struct htab_node *node);

/* Any node, or NULL if empty: for emptying a table. */
struct htab_node *htab_any(const struct htab *t);

/* Call fn for every node.  fn must not add; it may delete the node it is given.
 */
void htab_each(struct htab *t, void (*fn)(struct htab_node *node, void *ctx),
	       void *ctx);

/* Spread an integer key (a bijection: no two keys share a hash). */
static inline uint64_t htab_hash_u32(uint32_t key)
{
	return key * UINT64_C(0x9e3779b97f4a7c15);
}

#endif
