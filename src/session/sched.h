/* SPDX-License-Identifier: MIT */
/*
 * sched: who sends next.
 *
 * Deficit round robin (Shreedhar and Varghese 1995) over flows: streams and
 * datagram queues alike.  A flow in the list has something to send.
 */
#ifndef ECSSH_SCHED_H
#define ECSSH_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

enum { SCHED_QUANTUM_BYTES = 16384 };

enum sched_kind {
	SCHED_STREAM,
	SCHED_DGRAM,
};

struct sched_flow {
	struct list link;
	enum sched_kind kind;
	int64_t deficit_bytes;
};

struct sched {
	struct list flows; /* struct sched_flow, the next to be served first */
};

void sched_init(struct sched *s);
void sched_flow_init(struct sched_flow *f, enum sched_kind kind);

/* The flow has something to send (again).  Nothing happens if it is in. */
void sched_push(struct sched *s, struct sched_flow *f);

/* The flow has nothing to send, or is going away. */
void sched_remove(struct sched_flow *f);

/* Whose turn it is, or NULL.  The same until sched_charge says otherwise. */
struct sched_flow *sched_next(struct sched *s);

/* The flow returned by sched_next has sent this much. */
void sched_charge(struct sched_flow *f, size_t sent_bytes);

#endif
