/* SPDX-License-Identifier: MIT */
/* connected: the networks that this host's own devices are in. */
#ifndef ECSSH_CONNECTED_H
#define ECSSH_CONNECTED_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"
#include "err.h"

struct rtnl;

enum { CONNECTED_NAME_MAX = 16 }; /* IF_NAMESIZE */

struct connected {
	struct subnet net;
	char device[CONNECTED_NAME_MAX];
};

struct connected_list {
	struct connected *nets; /* owned */
	size_t n;
	/* Some device has an IPv6 address, be it loopback: IPv6 is not switched
	 * off here. */
	bool has_ipv6;
};

/*
 * List the networks around the addresses of this host: each once a device.
 * Left out are addresses without a network, loopback, and what IPv6 needs a
 * scope for.  Routes do not count, with a gateway or without, for a stranger
 * can hand these out.  Returns 0 or -errno with err.
 */
int connected_list(struct rtnl *rtnl, struct connected_list *ret_list,
		   struct err *err);

/* True if that network at that device is among them. */
bool connected_has(const struct connected_list *list,
		   const struct connected *c);

/* Frees what is in it. */
void connected_list_fini(struct connected_list *list);

#endif
