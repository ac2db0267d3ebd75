/* SPDX-License-Identifier: MIT */
/* mem_carrier: a carrier between two sessions of one process. */
#ifndef ECSSH_MEM_CARRIER_H
#define ECSSH_MEM_CARRIER_H

#include "carrier.h"
#include "loop.h"

/*
 * Make two carriers, each of which delivers what the other sends, in a later
 * task of the same turn, or now and then in the next.  When one is freed the
 * other is told that it closed, after all that was sent to it.  Both have to be
 * bound before the loop goes on: what comes for nobody is dropped.  Returns 0
 * or -ENOMEM.
 */
int mem_carrier_pair(struct loop *loop, struct carrier *ret_pair[2]);

#endif
