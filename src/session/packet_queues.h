/* SPDX-License-Identifier: MIT */
/*
 * packet_queues: packets that wait for the carrier, each flow in a queue of its
 * own.
 */
#ifndef ECSSH_PACKET_QUEUES_H
#define ECSSH_PACKET_QUEUES_H

#include "htab.h"
#include "pkt.h"
#include "session.h"

enum {
	PACKET_QUEUES_MAX = 1024,
	PACKET_QUEUES_BYTES = 1 << 20, /* a row of super-packets, in one */
	PACKET_QUEUES_TOTAL_BYTES = 8 << 20, /* in all of them */
	/* So long an empty one is kept. */
	PACKET_QUEUES_IDLE_US = 2000000,
};

struct packet_queues {
	struct loop *loop; /* borrowed */
	struct htab by_key;
	struct list by_use;	    /* the one unused for longest first */
	struct dgram_queue shared;  /* of flows beyond PACKET_QUEUES_MAX */
	struct dgram_budget budget; /* of all */
	struct timer idle;
	uint64_t seed;
};

/* seed: secret, so that nobody can choose flows that are slow to find. */
void packet_queues_init(struct packet_queues *q, struct loop *loop,
			uint64_t seed);

/* Free what waits.  If that is anything the session must still be there. */
void packet_queues_fini(struct packet_queues *q);

/*
 * The queue of pkt's flow: its addresses, protocol, and, unless it is a
 * fragment, ports, SPI or echo identifier.  For use at once: it may be gone in
 * the next turn of the loop.
 */
struct dgram_queue *packet_queues_of(struct packet_queues *q,
				     const struct pkt *pkt);

#endif
