/* SPDX-License-Identifier: MIT */
/*
 * host_routes: the networks that this host has routes for, by /proc, because
 * the helper has no library for rtnetlink.
 */
#include "host_routes.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	/* linux/route.h, linux/ipv6_route.h */
	FLAG_UP = 0x1,
	FLAG_REJECT = 0x200,
	FLAG_ANYCAST = 0x100000,
};

#define FLAG_LOCAL UINT32_C(0x80000000)

static bool has(const struct frame_routes *routes, const struct subnet *net)
{
	for (size_t i = 0; i < routes->n; i++)
		if (subnet_equal(&routes->nets[i], net))
			return true;
	return false;
}

static bool is_special(const struct ip_addr *a)
{
	return addr_is_loopback(a) || addr_is_link_local(a) ||
	       addr_is_multicast(a);
}

static void add(struct frame_routes *routes, const struct subnet *net)
{
	/* 0.0.0.0/1 begins like what a host calls itself, and is more. */
	bool is_part = net->prefix_len >= 8;

	if (net->prefix_len == 0 || (is_part && is_special(&net->addr)) ||
	    !subnet_contains(net, &net->addr) || has(routes, net))
		return;
	if (routes->n < FRAME_ROUTES_MAX)
		routes->nets[routes->n++] = *net;
	else if (routes->n_more < UINT16_MAX)
		routes->n_more++;
}

/* Iface Destination Gateway Flags RefCnt Use Metric Mask ...: addresses are
 * numbers whose bytes in memory are in network order. */
static void take_ipv4(const char *line, struct frame_routes *routes)
{
	uint32_t dst, flags, mask;
	struct subnet net;

	if (sscanf(line, "%*s %" SCNx32 " %*x %" SCNx32 " %*d %*d %*d %" SCNx32,
		   &dst, &flags, &mask) != 3 ||
	    !(flags & FLAG_UP) || (flags & FLAG_REJECT))
		return;
	net.addr = addr_make(IPV4, &dst);
	net.prefix_len = (uint8_t)__builtin_popcount(mask);
	add(routes, &net);
}

/* 32 digits of the destination, 2 of its prefix; source and its prefix; next
 * hop, metric, reference count, use, flags, device. */
static void take_ipv6(const char *line, struct frame_routes *routes)
{
	uint8_t bytes[16];
	unsigned prefix_len;
	uint32_t flags;
	struct subnet net;

	if (sscanf(line + 32,
		   " %2x %*32[0-9a-f] %*2x %*32[0-9a-f] %*8x %*8x %*8x "
		   "%" SCNx32,
		   &prefix_len, &flags) != 2 ||
	    prefix_len > 128 || !(flags & FLAG_UP) ||
	    (flags & (FLAG_REJECT | FLAG_ANYCAST | FLAG_LOCAL)))
		return;
	for (size_t i = 0; i < sizeof(bytes); i++)
		if (sscanf(line + 2 * i, "%2" SCNx8, &bytes[i]) != 1)
			return;
	net.addr = addr_make(IPV6, bytes);
	net.prefix_len = (uint8_t)prefix_len;
	add(routes, &net);
}

static void read_table(const char *path,
		       void (*take)(const char *line, struct frame_routes *r),
		       struct frame_routes *routes)
{
	char line[512];
	FILE *f = fopen(path, "re");

	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		if (strlen(line) > 32)
			take(line, routes);
	(void)fclose(f);
}

void host_routes_read_files(const char *route, const char *ipv6_route,
			    struct frame_routes *ret_routes)
{
	*ret_routes = (struct frame_routes){.n = 0};
	read_table(route, take_ipv4, ret_routes);
	read_table(ipv6_route, take_ipv6, ret_routes);
}

void host_routes_read(struct frame_routes *ret_routes)
{
	host_routes_read_files("/proc/net/route", "/proc/net/ipv6_route",
			       ret_routes);
}
