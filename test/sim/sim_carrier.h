/* SPDX-License-Identifier: MIT */
/*
 * sim_carrier: two carriers joined in memory, with the vices of TCP below.
 *
 * Bytes leave at a rate, arrive after a delay, in order; now and then all of
 * them wait for one that was lost.  The sender sees a bounded queue.
 */
#ifndef ECSSH_SIM_CARRIER_H
#define ECSSH_SIM_CARRIER_H

#include <stdint.h>

#include "carrier.h"
#include "loop.h"
#include "reference.h"

struct sim_link {
	uint64_t bytes_per_s; /* 0: no limit */
	uint64_t delay_us;    /* one way */
	size_t queue_bytes;   /* is_full beyond; 0: 64 KiB */
	uint32_t stall_ppm;   /* chance that a frame must be sent again */
	uint64_t stall_us;    /* at most; what that takes */
};

struct sim_pipe;

enum sim_end {
	SIM_NEAR,
	SIM_FAR,
};

/* rng is borrowed.  Aborts if memory runs out. */
struct sim_pipe *sim_pipe_new(struct loop *loop, struct rng *rng,
			      const struct sim_link *link);

/* One end's carrier; freeing it leaves the pipe in place. */
struct carrier *sim_pipe_end(struct sim_pipe *p, enum sim_end end);

/* Both ends' users hear of the break in a later turn. */
void sim_pipe_break(struct sim_pipe *p, const char *why);

/* Nothing arrives for so long, in either direction. */
void sim_pipe_stall(struct sim_pipe *p, uint64_t us);

/* What is sent from now on finds another line; it overtakes nothing. */
void sim_pipe_set_link(struct sim_pipe *p, const struct sim_link *link);

/* Bytes under way towards an end, those still with the sender included. */
size_t sim_pipe_bytes_to(const struct sim_pipe *p, enum sim_end end);

struct sim_pipe *sim_pipe_free(struct sim_pipe *p);

#endif
