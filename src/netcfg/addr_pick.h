/* SPDX-License-Identifier: MIT */
/* addr_pick: local addresses for the tunnel that mean nothing else here. */
#ifndef ECSSH_ADDR_PICK_H
#define ECSSH_ADDR_PICK_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"

struct rtnl;

/*
 * The first IPv4 address outside all n subnets in `taken`, beginning at a place
 * in 198.18.0.0/15 (RFC 2544) that depends on the seed only, and
 * going on in 100.64.0.0/10 (RFC 6598).  Returns 0, or -EADDRNOTAVAIL if
 * everything is taken.
 */
int addr_pick_v4(uint32_t seed, const struct subnet *taken, size_t n,
		 struct ip_addr *ret_addr);

/*
 * A unique local IPv6 address (RFC 4193) outside all n subnets in `taken`, made
 * of the seed.  Returns 0, or -EADDRNOTAVAIL if no place was found.
 */
int addr_pick_v6(const uint8_t seed[16], const struct subnet *taken, size_t n,
		 struct ip_addr *ret_addr);

/*
 * Pick one address of each family that clashes with no address and no route of
 * this host and with none of the subnets to be routed into the tunnel.  What
 * covers a sixteenth of the Internet or more (default routes and their halves)
 * does not count.  Where that leaves nothing, first the request is disregarded,
 * then the routes: one far address is hidden then.  The same seed gives the
 * same addresses as long as these are free.  Needs no privilege. Returns 0, or
 * -errno with err.
 */
int addr_pick(struct rtnl *rtnl, const uint8_t seed[16],
	      const struct subnet *requested, size_t n_requested,
	      struct ip_addr *ret_v4, struct ip_addr *ret_v6, struct err *err);

#endif
