/* SPDX-License-Identifier: MIT */
/*
 * dns_routes: addresses that names of the user's domains have, to be routed
 * into the tunnel for as long as they are of use.
 *
 * Theory of operation
 *   An address is kept for the TTL of the answer that told it last, at least
 *   DNS_ROUTES_MIN_S: programs remember addresses for longer than they should.
 *   When its time is over it goes, unless somebody talks to it.  Of
 *   DNS_ROUTES_MAX the one not told for longest gives way to a new one.
 *
 *   The names are followed within one answer: from the question by its aliases
 *   to a name that has the addresses.  It is enough that one of these names is
 *   in a domain.  A program may connect to what a record of type HTTPS or SVCB
 *   hints at before it knows better (RFC 9460 section 7.3), so that is routed,
 *   too.
 */
#include "dns_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "htab.h"

struct route {
	struct htab_node node;
	struct list link; /* by when it was told last */
	struct ip_addr addr;
	mono_us_t expires_us;
};

struct dns_routes {
	struct loop *loop;		  /* borrowed */
	const struct dns_domain *domains; /* borrowed */
	size_t n_domains;
	const struct dns_routes_ops *ops;
	void *ctx; /* borrowed */
	struct htab by_addr;
	struct list by_age; /* the one not told for longest first */
	struct timer look;
	struct dns_routes_stats stats;
};

/* Who chooses the addresses chooses what the domain says: at worst
 * DNS_ROUTES_MAX share a bucket. */
static uint64_t hash_of(const struct ip_addr *a)
{
	uint64_t half[2];

	memcpy(half, a->bytes, sizeof(half));
	return (half[0] ^ half[1] * UINT64_C(0x9fb21c651e98df25)) *
	       UINT64_C(0x9e3779b97f4a7c15);
}

static struct route *find(const struct dns_routes *r, const struct ip_addr *a)
{
	struct htab_node *node = htab_find(&r->by_addr, hash_of(a));

	for (; node; node = htab_next(node)) {
		struct route *rt = container_of(node, struct route, node);

		if (addr_equal(&rt->addr, a))
			return rt;
	}
	return NULL;
}

static void forget(struct dns_routes *r, struct route *rt)
{
	htab_del(&r->by_addr, &rt->node);
	list_del(&rt->link);
	free(rt);
}

static void expire(struct dns_routes *r, struct route *rt)
{
	r->ops->del(r->ctx, &rt->addr);
	r->stats.expired++;
	forget(r, rt);
}

/* ---- expiry ---- */

static void on_look(void *ctx)
{
	struct dns_routes *r = ctx;
	mono_us_t now_us = loop_now_us(r->loop);
	unsigned n = 0;

	list_for_each_safe (pos, &r->by_age) {
		struct route *rt = container_of(pos, struct route, link);

		if (rt->expires_us > now_us)
			continue;
		if (n++ == DNS_ROUTES_LOOK_MAX)
			break;
		if (r->ops->is_used(r->ctx, &rt->addr))
			rt->expires_us = now_us + DNS_ROUTES_MIN_S * US_PER_SEC;
		else
			expire(r, rt);
	}
	if (!list_is_empty(&r->by_age))
		timer_arm(r->loop, &r->look, DNS_ROUTES_LOOK_US);
}

/* ---- addresses ---- */

static struct route *route_new(struct dns_routes *r, const struct ip_addr *a)
{
	struct route *rt = calloc(1, sizeof(*rt));

	if (!rt)
		return NULL;
	rt->addr = *a;
	rt->node.hash = hash_of(a);
	if (htab_add(&r->by_addr, &rt->node) < 0) {
		free(rt);
		return NULL;
	}
	list_push(&r->by_age, &rt->link);
	return rt;
}

/* Enter it, and have it routed.  NULL: it is not. */
static struct route *add(struct dns_routes *r, const struct ip_addr *a)
{
	struct route *rt = route_new(r, a);
	int status = rt ? r->ops->add(r->ctx, a) : -ENOMEM;

	if (status == 0) {
		r->stats.added++;
		return rt;
	}
	if (rt)
		forget(r, rt);
	if (status == -EEXIST)
		r->stats.conflicts++;
	else if (status == -EACCES)
		r->stats.refused++;
	else if (status < 0)
		r->stats.failed++;
	return NULL;
}

static void note(struct dns_routes *r, const struct ip_addr *a, uint32_t ttl_s)
{
	struct route *rt = find(r, a);

	if (!rt && r->by_addr.n >= DNS_ROUTES_MAX)
		expire(r, container_of(r->by_age.next, struct route, link));
	if (!rt)
		rt = add(r, a);
	if (!rt)
		return;
	if (ttl_s < DNS_ROUTES_MIN_S)
		ttl_s = DNS_ROUTES_MIN_S;
	rt->expires_us = loop_now_us(r->loop) + ttl_s * US_PER_SEC;
	list_del(&rt->link);
	list_push(&r->by_age, &rt->link);
	if (!timer_is_armed(&r->look))
		timer_arm(r->loop, &r->look, DNS_ROUTES_LOOK_US);
}

/* ---- names ---- */

struct name {
	uint8_t bytes[DNS_NAME_MAX];
	size_t len;
};

static void read_name(const struct dns_msg *m, size_t at, struct name *ret)
{
	ret->len = dns_parse_name(m->bytes, m->end, at, ret->bytes, NULL);
}

static bool is_same(const struct name *a, const struct name *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static bool is_in_domains(const struct dns_routes *r, const struct name *name)
{
	for (size_t i = 0; i < r->n_domains; i++)
		if (dns_domain_has(&r->domains[i], name->bytes, name->len))
			return true;
	return false;
}

/* What this name is another name for.  False: it is none. */
static bool follow(const struct dns_msg *m, struct name *name)
{
	struct dns_walk walk;
	struct dns_record rec;

	dns_walk_begin(&walk, m);
	while (dns_walk_next(&walk, &rec) && rec.section == DNS_ANSWER) {
		struct name owner;

		if (rec.type != DNS_CNAME || rec.class != DNS_CLASS_IN)
			continue;
		read_name(m, rec.at, &owner);
		if (!is_same(&owner, name))
			continue;
		read_name(m, rec.data_at, name);
		return name->len > 0;
	}
	return false;
}

/* Has the name, or its aliases; leaves it at the last. */
static bool find_last(const struct dns_routes *r, const struct dns_msg *m,
		      struct name *name)
{
	bool is_ours = is_in_domains(r, name);

	for (int i = 0; i < DNS_ROUTES_ALIASES_MAX && follow(m, name); i++)
		is_ours |= is_in_domains(r, name);
	return is_ours && name->len > 0;
}

/* The addresses in a record, at most max. */
static size_t read_addresses(const struct dns_msg *m,
			     const struct dns_record *rec,
			     struct ip_addr *ret_addrs, size_t max)
{
	const uint8_t *data = m->bytes + rec->data_at;

	if (rec->class != DNS_CLASS_IN || max == 0)
		return 0;
	if (rec->type == DNS_SVCB || rec->type == DNS_HTTPS)
		return dns_parse_hints(m, rec, ret_addrs, max);
	if (rec->type == DNS_A && rec->data_len == 4)
		ret_addrs[0] = addr_make(IPV4, data);
	else if (rec->type == DNS_AAAA && rec->data_len == 16)
		ret_addrs[0] = addr_make(IPV6, data);
	else
		return 0;
	return 1;
}

void dns_routes_on_answer(struct dns_routes *r, const struct dns_msg *answer)
{
	struct ip_addr addrs[DNS_ROUTES_ANSWER_MAX];
	struct name name, owner;
	struct dns_walk walk;
	struct dns_record rec;
	size_t n = 0;

	read_name(answer, DNS_HEADER_LEN, &name);
	if (answer->n[DNS_ANSWER] == 0 || !find_last(r, answer, &name))
		return;
	dns_walk_begin(&walk, answer);
	while (dns_walk_next(&walk, &rec) && rec.section == DNS_ANSWER) {
		size_t n_more = read_addresses(answer, &rec, addrs,
					       DNS_ROUTES_ANSWER_MAX - n);

		if (n_more == 0)
			continue;
		read_name(answer, rec.at, &owner);
		if (!is_same(&owner, &name))
			continue;
		for (size_t i = 0; i < n_more; i++)
			note(r, &addrs[i],
			     rec.ttl_s > DNS_TTL_MAX_S ? 0 : rec.ttl_s);
		n += n_more;
	}
}

struct dns_routes_stats dns_routes_stats(const struct dns_routes *r)
{
	struct dns_routes_stats stats = r->stats;

	stats.n = (uint32_t)r->by_addr.n;
	return stats;
}

/* ---- life ---- */

struct dns_routes *dns_routes_new(struct loop *loop,
				  const struct dns_domain *domains, size_t n,
				  const struct dns_routes_ops *ops, void *ctx)
{
	struct dns_routes *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->loop = loop;
	r->domains = domains;
	r->n_domains = n;
	r->ops = ops;
	r->ctx = ctx;
	list_init(&r->by_age);
	r->look = (struct timer){.on_fire = on_look, .ctx = r};
	return r;
}

struct dns_routes *dns_routes_free(struct dns_routes *r)
{
	if (!r)
		return NULL;
	timer_disarm(r->loop, &r->look);
	while (!list_is_empty(&r->by_age))
		forget(r, container_of(r->by_age.next, struct route, link));
	htab_fini(&r->by_addr);
	free(r);
	return NULL;
}
