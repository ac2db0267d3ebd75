/* SPDX-License-Identifier: MIT */
/* addr_pick: local addresses for the tunnel that mean nothing else here. */
#include "addr_pick.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "rtnl.h"

enum {
	V6_TRIES = 256,
	WHO_MAX = 256,
	/* A prefix shorter than this says nothing about any one network. */
	MIN_PREFIX_LEN = 4,
};

static uint32_t v4_to_u32(const struct ip_addr *a)
{
	return (uint32_t)a->bytes[0] << 24 | (uint32_t)a->bytes[1] << 16 |
	       (uint32_t)a->bytes[2] << 8 | a->bytes[3];
}

static struct ip_addr v4_from_u32(uint32_t v)
{
	uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16),
			    (uint8_t)(v >> 8), (uint8_t)v};

	return addr_make(IPV4, bytes);
}

/* The first subnet in `taken` that a lies in, or NULL. */
static const struct subnet *find_clash(const struct ip_addr *a,
				       const struct subnet *taken, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (subnet_contains(&taken[i], a))
			return &taken[i];
	return NULL;
}

/* Addresses of the subnet behind a, a included; at least 1. */
static uint32_t v4_left_in(const struct subnet *net, uint32_t a)
{
	uint32_t size =
		net->prefix_len == 0
			? UINT32_MAX
			: (uint32_t)(UINT64_C(1) << (32 - net->prefix_len));

	return size - (a - v4_to_u32(&net->addr));
}

int addr_pick_v4(uint32_t seed, const struct subnet *taken, size_t n,
		 struct ip_addr *ret_addr)
{
	static const struct {
		uint32_t base, size;
	} pools[] = {
		{198U << 24 | 18U << 16, 1U << 17},
		{100U << 24 | 64U << 16, 1U << 22},
	};

	for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
		uint32_t start = seed % pools[i].size;
		uint32_t step;

		/* A whole clashing subnet at a step, so this ends soon. */
		for (uint32_t at = 0; at < pools[i].size; at += step) {
			uint32_t offset = (start + at) % pools[i].size;
			struct ip_addr a = v4_from_u32(pools[i].base + offset);
			const struct subnet *clash = find_clash(&a, taken, n);

			/* Some take .0 and .255 for broadcasts. */
			if (!clash && a.bytes[3] != 0 && a.bytes[3] != 255) {
				*ret_addr = a;
				return 0;
			}
			step = clash ? v4_left_in(clash, pools[i].base + offset)
				     : 1;
			/* Not past the place where the pool wraps. */
			if (step > pools[i].size - offset)
				step = pools[i].size - offset;
		}
	}
	return -EADDRNOTAVAIL;
}

int addr_pick_v6(const uint8_t seed[16], const struct subnet *taken, size_t n,
		 struct ip_addr *ret_addr)
{
	struct ip_addr a = addr_make(IPV6, seed);

	a.bytes[0] = 0xfd;
	for (int i = 0; i < V6_TRIES; i++) {
		if (!find_clash(&a, taken, n)) {
			*ret_addr = a;
			return 0;
		}
		a.bytes[1]++; /* somewhere else in fd00::/8 */
	}
	return -EADDRNOTAVAIL;
}

/* What must not contain the addresses, most important first. */
struct clashes {
	struct subnet *nets; /* owned, n[2] of them */
	size_t n[3]; /* host's addresses; with its routes; with the request */
};

static int gather(struct rtnl *rtnl, const struct subnet *requested,
		  size_t n_requested, struct clashes *ret, struct err *err)
{
	struct rtnl_addr *addrs = NULL;
	struct rtnl_route *routes = NULL;
	size_t n_addrs = 0, n_routes = 0, n = 0;
	int r = rtnl_addr_dump(rtnl, &addrs, &n_addrs, err);

	if (r >= 0)
		r = rtnl_route_dump(rtnl, &routes, &n_routes, err);
	if (r < 0)
		goto out;
	ret->nets = calloc(n_addrs + n_routes + n_requested + 1,
			   sizeof(*ret->nets));
	if (!ret->nets) {
		r = err_set(err, -ENOMEM, "out of memory");
		goto out;
	}
	for (size_t i = 0; i < n_addrs; i++)
		ret->nets[n++] = subnet_of_addr(&addrs[i].addr);
	ret->n[0] = n;
	for (size_t i = 0; i < n_routes; i++)
		if (routes[i].dst.prefix_len >= MIN_PREFIX_LEN)
			ret->nets[n++] = routes[i].dst;
	ret->n[1] = n;
	for (size_t i = 0; i < n_requested; i++)
		if (requested[i].prefix_len >= MIN_PREFIX_LEN)
			ret->nets[n++] = requested[i];
	ret->n[2] = n;
out:
	free(addrs);
	free(routes);
	return r;
}

int addr_pick(struct rtnl *rtnl, const uint8_t seed[16],
	      const struct subnet *requested, size_t n_requested,
	      struct ip_addr *ret_v4, struct ip_addr *ret_v6, struct err *err)
{
	struct clashes clashes = {0};
	bool has_v4 = false, has_v6 = false;
	uint32_t seed4;

	memcpy(&seed4, seed, sizeof(seed4));
	int r = gather(rtnl, requested, n_requested, &clashes, err);
	if (r < 0)
		return r;
	for (int i = 2; i >= 0; i--) {
		has_v4 = has_v4 || addr_pick_v4(seed4, clashes.nets,
						clashes.n[i], ret_v4) == 0;
		has_v6 = has_v6 || addr_pick_v6(seed, clashes.nets,
						clashes.n[i], ret_v6) == 0;
	}
	free(clashes.nets);
	if (!has_v4 || !has_v6)
		return err_set(err, -EADDRNOTAVAIL,
			       "this host has no free address left for the "
			       "tunnel; choose one yourself");
	return 0;
}
