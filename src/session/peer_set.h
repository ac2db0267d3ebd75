/* SPDX-License-Identifier: MIT */
/* peer_set: the remote endpoints to which an association has sent. */
#ifndef ECSSH_PEER_SET_H
#define ECSSH_PEER_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "htab.h"
#include "list.h"

enum {
	/* The one not sent to for longest leaves for a new one. */
	PEER_SET_MAX = 1024,
};

/* Storage is the caller's. */
struct peer_set {
	struct htab by_endpoint; /* struct peer */
	struct list by_age;	 /* struct peer, latest sent to at the end */
	uint64_t seed;
};

/* seed: random, so that nobody can choose endpoints that share a bucket. */
void peer_set_init(struct peer_set *s, uint64_t seed);
void peer_set_fini(struct peer_set *s);

/* Note that something is sent to e.  Returns 0 or -ENOMEM. */
int peer_set_add(struct peer_set *s, const struct endpoint *e);

/* True if e may answer. */
bool peer_set_has(const struct peer_set *s, const struct endpoint *e);

/* True if any port of a may.  Looks at all of them. */
bool peer_set_has_addr(const struct peer_set *s, const struct ip_addr *a);

#endif
