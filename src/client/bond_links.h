/* SPDX-License-Identifier: MIT */
/*
 * bond_links: the near end's further links to the helper: when, how many, and
 * how they are opened.
 *
 * Spec: doc/PROTOCOL.bond section 1
 */
#ifndef ECSSH_BOND_LINKS_H
#define ECSSH_BOND_LINKS_H

#include <stdint.h>

#include "bond_msg.h"
#include "carrier.h"
#include "err.h"
#include "loop.h"
#include "mux_link.h"
#include "session.h"

struct bond_links;

/*
 * For this bond_carrier and the session over it; mux is a link to the same
 * ssh's control socket that is ready, and stays for the life of the tunnel
 * (closing it may end ssh: mux_link.h).  All are borrowed until bond_links_free
 * and must not be freed before.  Returns NULL if memory runs out.
 */
struct bond_links *bond_links_new(struct loop *loop, struct carrier *carrier,
				  struct session *session,
				  struct mux_link *mux);

/* Links stay, with the carrier.  Accepts NULL; returns NULL. */
struct bond_links *bond_links_free(struct bond_links *b);

/* Add links until there are n, at most BOND_LINKS_MAX, or as many as can be
 * had.  They come later, and each is used as it comes. */
void bond_links_want(struct bond_links *b, unsigned n);

/* From now on add links when the line could carry more than they let pass. */
void bond_links_watch(struct bond_links *b);

/* Why there are no more of them than there are, one sentence; empty if nothing
 * went wrong. */
const char *bond_links_why_not(const struct bond_links *b);

/* How many links there should be where n pass so much, without queues taking
 * round_trip_us; bond_links_watch goes by this. */
unsigned bond_links_needed(unsigned n, uint64_t up_bytes_s,
			   uint64_t down_bytes_s, uint32_t round_trip_us);

#endif
