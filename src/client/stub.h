/* SPDX-License-Identifier: MIT */
/* stub: the tunnel's own resolver, and what it leads into the tunnel. */
#ifndef ECSSH_STUB_H
#define ECSSH_STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "addr.h"
#include "connected.h"
#include "dns_routes.h"
#include "dns_stub.h"
#include "err.h"
#include "frame.h"

struct client;
struct rtnl;

enum {
	STUB_ADDRS_MAX = 2,
	STUB_PEERS_MAX = 32,
};

/* Storage is the client's; all zeros: there is none. */
struct stub {
	struct ip_addr addr4, addr6; /* version 0: none */
	struct dns_stub *dns;	     /* owned */
	struct dns_routes *routes;   /* owned; NULL: no domains are routed */
	struct rtnl *rtnl;	     /* owned; to look at this host */
	/* What must not be routed, as it was lately. */
	struct connected_list connected;
	struct ip_addr *own; /* owned */
	size_t n_own;
	struct ip_addr peers[STUB_PEERS_MAX]; /* what carries the tunnel */
	size_t n_peers;
	mono_us_t looked_us; /* 0: never */
};

/* True if anything needs it. */
bool stub_is_wanted(const struct client *c);

/* Choose its addresses, once the tunnel's own are.  Returns 0 or -errno with
 * err, as the next two. */
int stub_plan(struct client *c, struct err *err);

/* Serve the plane, which is a new one after each connection. */
int stub_attach(struct client *c, struct err *err);

/* Route its addresses, once the device is up. */
int stub_route(struct client *c, struct err *err);

/* Its addresses, at most STUB_ADDRS_MAX; returns how many.  0: it is not there.
 */
size_t stub_addresses(const struct client *c,
		      struct ip_addr ret_addrs[STUB_ADDRS_MAX]);

/* Callback of the session. */
void stub_on_resolved(struct client *c, uint32_t id, enum frame_reason status,
		      const uint8_t *answer, size_t len);

/* Once the plane is gone. */
void stub_free(struct client *c);

/* For the status: ", "resolver": {...}", and lines for people. */
void stub_print_json(const struct client *c, FILE *out);
void stub_print_text(const struct client *c, FILE *out);

#endif
