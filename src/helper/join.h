/* SPDX-License-Identifier: MIT */
/*
 * join: where the near end's further links reach the helper.
 *
 * Spec: doc/PROTOCOL.bond section 1
 */
#ifndef ECSSH_JOIN_H
#define ECSSH_JOIN_H

#include "carrier.h"
#include "loop.h"

struct join;

/*
 * Answer the near end's ASK on this bond_carrier, which is borrowed until
 * join_free and must not be freed before.  Nothing is made until it asks.
 * Returns NULL with errno set.
 */
struct join *join_new(struct loop *loop, struct carrier *carrier);

/* Removes the socket and its directory; links stay.  Accepts NULL; returns
 * NULL. */
struct join *join_free(struct join *j);

/* "--join PATH": pass bytes between the standard streams and the socket until
 * either ends.  Returns 0 or -errno. */
int join_bridge(const char *path);

#endif
