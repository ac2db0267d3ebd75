/* SPDX-License-Identifier: MIT */
/*
 * loss: does a TCP connection lose segments by chance?
 *
 * Told from a queue that is full now and then by how losses are spread, since
 * chance knows no pauses, and by the round trip, which grows with a queue.
 */
#ifndef ECSSH_LOSS_H
#define ECSSH_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"

enum {
	/* The least that a look without loss covers; with loss it may be over
	 * before. */
	LOSS_LOOK_US = 900000,
	/* The least that any covers: the drops of one overflow are repaired
	 * within these round trips. */
	LOSS_LOOK_ROUND_TRIPS = 4,
	LOSS_LOOK_LEAST_US = 200000,
	LOSS_LOOK_SEGMENTS = 100,
	/* With loss, more than without, that make it sure. */
	LOSS_LOOKS = 4,
};

/* What a connection has counted since its start.  The counters may wrap. */
struct loss_counts {
	uint32_t segments;   /* with data that were sent, again or not */
	uint32_t lost;	     /* of them sent again, and not for nothing */
	uint32_t rtt_us;     /* smoothed, now */
	uint32_t rtt_min_us; /* the least of late */
};

/* Zeroed: nothing was looked at yet. */
struct loss {
	bool has_begun;
	mono_us_t since_us;
	struct loss_counts since; /* at that moment */
	unsigned score;
	/* Of the looks that the score is made of. */
	uint32_t segments, lost;
};

/* Look again, LOSS_LOOK_LEAST_US later or more.  Returns true if it is sure by
 * now. */
bool loss_look(struct loss *l, mono_us_t now_us, const struct loss_counts *c);

/* How many of a million segments get lost, as far as is known; 0: none do. */
uint32_t loss_per_million(const struct loss *l);

#endif
