/* SPDX-License-Identifier: MIT */
/*
 * one_way: how much of a message's way was waiting.
 *
 * The clocks of the two ends differ by an unknown amount, so the time that a
 * message took is not known; but how much longer it took than the fastest one
 * of late is.
 *
 * Spec: doc/GOVERNOR.md
 */
#ifndef ECSSH_ONE_WAY_H
#define ECSSH_ONE_WAY_H

#include <stdint.h>

#include "clock.h"

/* The fastest is looked for among those of this time at least, and twice this
 * at most: long enough that the other end has emptied its queue once, short
 * enough that two clocks have not drifted apart by a millisecond. */
enum {
	ONE_WAY_WINDOW_US = 15000000,
	/* Two spans of this time at least, and of so many messages, that all
	 * waited longer than a queue makes them: the way has become longer. */
	ONE_WAY_SPAN_US = 500000,
	ONE_WAY_SPAN_MESSAGES = 4,
	/* A queue that is being emptied differs more from one to the other. */
	ONE_WAY_SPAN_DIFFERENCE_US = ONE_WAY_SPAN_US / 8,
};

/* A short time in which every message waited. */
struct one_way_span {
	int64_t least_us;
	mono_us_t since_us; /* 0: there is none */
	unsigned n_messages;
};

/* Zeroed: nothing is known. */
struct one_way {
	int64_t least_us, least_before_us; /* of this window and the last */
	mono_us_t since_us;		   /* this window began; 0: never */
	mono_us_t before_since_us;	   /* the last one; 0: there is none */
	struct one_way_span span, span_before;
};

/* A message came at now_us by our clock that left at sent_us by the other's.
 * No queue that the other end keeps short makes all wait longer than
 * queue_us.  Returns by how much it took longer than the fastest. */
uint64_t one_way_excess_us(struct one_way *w, mono_us_t now_us,
			   uint64_t sent_us, uint64_t queue_us);

#endif
