/* SPDX-License-Identifier: MIT */
/*
 * sched: who sends next.
 *
 * Flows (streams and datagram queues alike) share the carrier by bytes, and
 * one that sends little need not wait for those that send much.
 */
#ifndef ECSSH_SCHED_H
#define ECSSH_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

enum {
	SCHED_QUANTUM_MIN_BYTES = 1514, /* one packet of a usual link */
	SCHED_QUANTUM_MAX_BYTES = 16384,
};

enum sched_kind {
	SCHED_STREAM,
	SCHED_DGRAM,
};

struct sched_flow {
	struct list link; /* in one of the lists, or in none */
	enum sched_kind kind;
	bool is_new;   /* which list */
	bool is_empty; /* in a list, with nothing to send */
	int64_t deficit_bytes;
};

struct sched {
	/* struct sched_flow, the next to be served first. */
	struct list new_flows; /* active since a moment ago; served first */
	struct list old_flows;
	int64_t quantum_bytes;
};

/* No flows; the quantum is the largest. */
void sched_init(struct sched *s);

/* Let all flows go, so that they may outlive it. */
void sched_fini(struct sched *s);

/* What a flow may send before it is the next one's turn: brought within
 * SCHED_QUANTUM_MIN_BYTES and _MAX_.  Holds for turns to come. */
void sched_set_quantum(struct sched *s, size_t bytes);

void sched_flow_init(struct sched_flow *f, enum sched_kind kind);

/* The flow has something to send (again).  Nothing happens if that is known. */
void sched_push(struct sched *s, struct sched_flow *f);

/* The flow has nothing to send for now.  It stays known to the scheduler, and
 * must be removed before it is freed.  Nothing happens if it is in no list. */
void sched_empty(struct sched *s, struct sched_flow *f);

/* The flow is going away, or nothing is to remember it but its debt. */
void sched_remove(struct sched_flow *f);

/* Whose turn it is, or NULL: nobody has anything to send.  The same until
 * sched_charge, sched_empty or sched_remove, or a push of another. */
struct sched_flow *sched_next(struct sched *s);

/* The flow returned by sched_next has sent this much (and may be empty since).
 */
void sched_charge(struct sched_flow *f, size_t sent_bytes);

#endif
