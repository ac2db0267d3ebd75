/* SPDX-License-Identifier: MIT */
/*
 * dns_routes: addresses that names of the user's domains have, to be routed
 * into the tunnel for as long as they are of use.
 */
#ifndef ECSSH_DNS_ROUTES_H
#define ECSSH_DNS_ROUTES_H

#include "addr.h"
#include "dns_domain.h"
#include "dns_parse.h"
#include "loop.h"

enum {
	DNS_ROUTES_MAX = 1024,	    /* then the one not told for longest goes */
	DNS_ROUTES_ANSWER_MAX = 64, /* addresses of one answer */
	DNS_ROUTES_MIN_S = 600,	    /* however short the TTL is */
	DNS_ROUTES_ALIASES_MAX = 16,
	DNS_ROUTES_LOOK_US = 10000000, /* for those that are of no more use */
	DNS_ROUTES_LOOK_MAX = 16,      /* so many at a time */
};

struct dns_routes_ops {
	/* Route an address into the tunnel.  Returns 0; 1: it is already, with
	 * others; -EEXIST: something else has that very route; -EACCES: it must
	 * not go there; or another -errno. */
	int (*add)(void *ctx, const struct ip_addr *a);
	void (*del)(void *ctx, const struct ip_addr *a);
	/* Somebody talks to it. */
	bool (*is_used)(void *ctx, const struct ip_addr *a);
};

struct dns_routes_stats {
	uint32_t n;	    /* now */
	uint64_t added;	    /* ever, as all below */
	uint64_t expired;   /* of these, and given up for others */
	uint64_t refused;   /* that must not go there */
	uint64_t conflicts; /* that something else routes */
	uint64_t failed;
};

struct dns_routes;

/* domains: n of them, borrowed.  Returns NULL if memory runs out. */
struct dns_routes *dns_routes_new(struct loop *loop,
				  const struct dns_domain *domains, size_t n,
				  const struct dns_routes_ops *ops, void *ctx);

/* Routes are left as they are.  Accepts NULL; returns NULL. */
struct dns_routes *dns_routes_free(struct dns_routes *r);

/* A sound answer is about to be told to somebody: route the addresses in it, if
 * its name, or an alias that leads to them, is in one of the domains. */
void dns_routes_on_answer(struct dns_routes *r, const struct dns_msg *answer);

struct dns_routes_stats dns_routes_stats(const struct dns_routes *r);

#endif
