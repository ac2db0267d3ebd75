/* SPDX-License-Identifier: MIT */
/*
 * rtnl: links, addresses, routes and rules of the kernel's current network
 * namespace.
 *
 * Calls block for as long as the kernel needs, which is short.  Changes need
 * CAP_NET_ADMIN, dumps need nothing.  All return 0 or -errno of the kernel,
 * and on failure leave one sentence in err.
 */
#ifndef ECSSH_RTNL_H
#define ECSSH_RTNL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"
#include "port_range.h"

struct rtnl;

enum {
	RTNL_DUMP_MAX = 1 << 20, /* entries; more is -E2BIG */
	RTNL_TABLE_MAIN = 254,
};

struct rtnl_addr {
	struct ip_addr addr;
	uint8_t prefix_len;
	uint32_t ifindex;
};

struct rtnl_route {
	struct subnet dst;
	struct ip_addr gateway; /* version 0: none */
	uint32_t ifindex;	/* 0: none (unreachable ...) or several */
	uint32_t table;		/* 254 main, 255 local */
	uint32_t metric;
	uint8_t type; /* 1 unicast, 2 local, 3 broadcast ... (RTN_) */
};

/*
 * Who looks up which table, of those at the same or a higher place in the list
 * of rules: the lower its priority the earlier.  What is 0 matches everything.
 */
struct rtnl_rule {
	uint8_t version; /* enum ip_version: rules of one family */
	uint32_t priority;
	uint32_t table;
	struct ip_addr from, to; /* version 0: any */
	uint8_t ip_proto;	 /* of IANA; ports need one */
	struct port_range from_ports;
	uint16_t to_port;
	uint32_t mark; /* of the packet, all 32 bits of it */
	bool has_uid;  /* only sockets of: */
	uint32_t uid;
	/* Dumped: another program made it, or it says more than this. */
	bool is_foreign;
};

int rtnl_open(struct rtnl **ret_rtnl, struct err *err);

/* Accepts NULL; returns NULL. */
struct rtnl *rtnl_close(struct rtnl *rtnl);

/*
 * Prepare a device that is down: MTU, queue length in packets, no multicast,
 * and no IPv6 address of the kernel's own choice, so that nothing but what
 * applications send comes out of it.
 */
int rtnl_link_configure(struct rtnl *rtnl, uint32_t ifindex, uint32_t mtu_bytes,
			uint32_t txqueuelen, struct err *err);

/* Packets are read and written from now on; routes can be added. */
int rtnl_link_up(struct rtnl *rtnl, uint32_t ifindex, struct err *err);

/* The device goes, and all its addresses and routes with it. */
int rtnl_link_del(struct rtnl *rtnl, uint32_t ifindex, struct err *err);

/* One address without a subnet, usable at once (no duplicate detection). */
int rtnl_addr_add(struct rtnl *rtnl, uint32_t ifindex,
		  const struct ip_addr *addr, struct err *err);
int rtnl_addr_del(struct rtnl *rtnl, uint32_t ifindex,
		  const struct ip_addr *addr, struct err *err);

/*
 * A route of a table straight to the device, preferred to all others of the
 * same subnet there.  Never replaces: -EEXIST with a sentence that says where
 * the subnet is routed to.
 */
int rtnl_route_add(struct rtnl *rtnl, uint32_t table, uint32_t ifindex,
		   const struct subnet *dst, struct err *err);

/* Take back exactly what rtnl_route_add made; -ESRCH if it is not there. */
int rtnl_route_del(struct rtnl *rtnl, uint32_t table, uint32_t ifindex,
		   const struct subnet *dst, struct err *err);

/* Make a rule.  -EEXIST: there is the same already. */
int rtnl_rule_add(struct rtnl *rtnl, const struct rtnl_rule *rule,
		  struct err *err);

/* Take back exactly what rtnl_rule_add made: one that says more, or was made by
 * another program, is not ours.  -ENOENT if it is not there. */
int rtnl_rule_del(struct rtnl *rtnl, const struct rtnl_rule *rule,
		  struct err *err);

/* All addresses, the routes of all tables, or all rules, of both families.
 * *ret is for free(), NULL if there are none. */
int rtnl_addr_dump(struct rtnl *rtnl, struct rtnl_addr **ret, size_t *ret_n,
		   struct err *err);
int rtnl_route_dump(struct rtnl *rtnl, struct rtnl_route **ret, size_t *ret_n,
		    struct err *err);
int rtnl_rule_dump(struct rtnl *rtnl, struct rtnl_rule **ret, size_t *ret_n,
		   struct err *err);

#endif
