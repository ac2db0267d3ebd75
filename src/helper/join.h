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
struct outside;

/*
 * Answer the near end's ASK on this bond_carrier, which is borrowed until
 * join_free and must not be freed before; so is outside, which makes the
 * socket.  Nothing is made until the near end asks.  Returns NULL with errno
 * set.
 */
struct join *join_new(struct loop *loop, struct carrier *carrier,
		      struct outside *outside);

/* Removes the socket and its directory; links stay.  Accepts NULL; returns
 * NULL. */
struct join *join_free(struct join *j);

/* "--join PATH": pass bytes between the standard streams and the socket until
 * either ends, within a sandbox.  Returns 0 or -errno. */
int join_bridge(const char *path);

#endif
