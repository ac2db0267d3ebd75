/* SPDX-License-Identifier: MIT */
/*
 * brokermsg_read: requests to the broker, read and checked as far as that can
 * be told from themselves.
 *
 * What depends on a broker's state, or on the side it is on, the broker checks.
 *
 * Spec: doc/PROTOCOL.broker, sections 2 and 5
 */
#ifndef ECSSH_BROKERMSG_READ_H
#define ECSSH_BROKERMSG_READ_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "brokermsg.h"
#include "err.h"
#include "journal.h"
#include "port_range.h"

/* A device to be made. */
struct brokermsg_tun {
	char name[BROKERMSG_NAME_MAX]; /* "ecssh%d": the first that is free */
	uint32_t mtu_bytes;
	uint32_t offloads; /* enum brokermsg_offload */
};

/* A kill switch: all that may leave this host. */
struct brokermsg_kill {
	char name[BROKERMSG_TUNNEL_MAX]; /* of the tunnel, as its kin allow */
	uint32_t uid;			 /* who alone may reach: */
	struct endpoint gateways[BROKERMSG_GATEWAYS_MAX];
	size_t n_gateways;
	struct port_range from; /* of this host; zeros: any */
	struct subnet lans[BROKERMSG_LANS_MAX];
	size_t n_lans;
	struct endpoint kept[2]; /* a connection: this end, the other; or
				    version 0 */
};

struct brokermsg_request {
	enum brokermsg_type type;
	const void *bytes; /* as it came; borrowed */
	union {
		uint32_t version;	      /* HELLO; MARK: of IP */
		uint32_t flags;		      /* FORWARD, GUARD */
		struct brokermsg_tun tun;     /* TUN_CREATE */
		struct subnet net;	      /* ADDR_ADD: a host; ROUTE_* */
		struct journal_rule rule;     /* EXEMPT_*, without priority */
		struct brokermsg_kill kill;   /* KILL_ON; others: its name */
		struct brokermsg_dns_set dns; /* DNS_SET */
	};
};

/* The size of the whole request.  0: there is none of this type. */
size_t brokermsg_size(uint32_t type);

/* Read a request of that size.  Returns 0, or -EINVAL, -EPERM with err. */
int brokermsg_read(const void *bytes, struct brokermsg_request *ret,
		   struct err *err);

#endif
