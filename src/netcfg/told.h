/* SPDX-License-Identifier: MIT */
/*
 * told: which of the networks that the gateway says it reaches are routed into
 * the tunnel.
 *
 * What it says is hostile until looked at.  Never taken are default routes,
 * more than a /8 (IPv6: /16), what nobody routes, what overlaps a network of
 * this host's own, and what holds the address by which the gateway itself is
 * reached.
 */
#ifndef ECSSH_TOLD_H
#define ECSSH_TOLD_H

#include <stddef.h>

#include "addr.h"
#include "err.h"

struct connected_list;

enum {
	TOLD_MAX = 128,
	TOLD_PREFIX_MIN4 = 8,
	TOLD_PREFIX_MIN6 = 16,
};

struct told_input {
	const struct subnet *nets; /* borrowed, as all here; host bits zero */
	size_t n;		   /* no more than TOLD_MAX */
	size_t n_more;		   /* that were not told */
	const struct connected_list *connected;
	const struct ip_addr *peers; /* what carries the tunnel talks to them */
	size_t n_peers;
};

struct told {
	struct subnet taken[TOLD_MAX];
	size_t n_taken;
	struct err reaches; /* a list for a person: "10.0.0.0/8, fd00::/8" */
	/* Of those not taken, with reasons; "" if all were. */
	struct err refused;
};

void told_choose(const struct told_input *in, struct told *ret_told);

#endif
