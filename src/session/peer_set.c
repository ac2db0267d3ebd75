/* SPDX-License-Identifier: MIT */
/*
 * peer_set: the remote endpoints to which an association has sent.
 *
 * Spec: RFC 4787 section 5, address and port-dependent filtering
 */
#include "peer_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct peer {
	struct htab_node node;
	struct list link;
	struct endpoint endpoint;
};

void peer_set_init(struct peer_set *s, uint64_t seed)
{
	*s = (struct peer_set){.seed = seed};
	list_init(&s->by_age);
}

void peer_set_fini(struct peer_set *s)
{
	struct list *link;

	while ((link = list_pop(&s->by_age)))
		free(container_of(link, struct peer, link));
	htab_fini(&s->by_endpoint);
}

static uint64_t mix(uint64_t h, uint64_t value)
{
	h = (h ^ value) * UINT64_C(0x9fb21c651e98df25);
	return h ^ h >> 32;
}

static uint64_t hash(const struct peer_set *s, const struct endpoint *e)
{
	uint64_t half[2];

	memcpy(half, e->addr.bytes, sizeof(half));
	uint64_t h = mix(mix(s->seed, half[0]), half[1]);

	/* The table looks at the upper half. */
	return mix(h, e->port) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct peer *find(const struct peer_set *s, const struct endpoint *e)
{
	struct htab_node *node;

	/* Most associations talk to one peer. */
	if (!list_is_empty(&s->by_age)) {
		struct peer *last =
			container_of(s->by_age.prev, struct peer, link);
		if (endpoint_equal(&last->endpoint, e))
			return last;
	}
	for (node = htab_find(&s->by_endpoint, hash(s, e)); node;
	     node = htab_next(node)) {
		struct peer *p = container_of(node, struct peer, node);
		if (endpoint_equal(&p->endpoint, e))
			return p;
	}
	return NULL;
}

static void drop_oldest(struct peer_set *s)
{
	struct peer *p = container_of(list_pop(&s->by_age), struct peer, link);

	htab_del(&s->by_endpoint, &p->node);
	free(p);
}

int peer_set_add(struct peer_set *s, const struct endpoint *e)
{
	struct peer *p = find(s, e);

	if (p) {
		list_del(&p->link);
		list_push(&s->by_age, &p->link);
		return 0;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->endpoint = *e;
	p->node.hash = hash(s, e);
	if (htab_add(&s->by_endpoint, &p->node) < 0) {
		free(p);
		return -ENOMEM;
	}
	list_push(&s->by_age, &p->link);
	if (s->by_endpoint.n > PEER_SET_MAX)
		drop_oldest(s);
	return 0;
}

bool peer_set_has(const struct peer_set *s, const struct endpoint *e)
{
	return find(s, e) != NULL;
}

bool peer_set_has_addr(const struct peer_set *s, const struct ip_addr *a)
{
	list_for_each (pos, &s->by_age)
		if (addr_equal(&container_of(pos, struct peer, link)
					->endpoint.addr,
			       a))
			return true;
	return false;
}
