/* SPDX-License-Identifier: MIT */
/*
 * codel: when a queue has stood too long, and its senders are to be told.
 *
 * Pure: the clock is an argument, the queue is the caller's.
 *
 * Spec: RFC 8289
 */
#ifndef ECSSH_CODEL_H
#define ECSSH_CODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

enum {
	CODEL_TARGET_US = 5000,
	CODEL_INTERVAL_US = 100000,
};

/* What is long depends on the line. */
struct codel_params {
	uint64_t target_us;   /* waiting time that may stand */
	uint64_t interval_us; /* that senders have to react */
};

/* One queue's memory; all zero: an empty queue that nothing is known of. */
struct codel {
	mono_us_t above_us; /* it is too long if it is still, then; 0: it was
			       not above the target lately */
	mono_us_t next_us;  /* while dropping: the next one */
	uint32_t n;	    /* dropped in a row */
	uint32_t n_before;  /* the same when dropping began */
	bool is_dropping;
};

/*
 * For a line of so many bytes a second (0: not known) that is sent frames of
 * up to frame_bytes and has this round trip (0: not known): the target is at
 * least the time of one and a half frames, as those wait without any queue.
 */
struct codel_params codel_params_for(uint64_t rate, size_t frame_bytes,
				     uint64_t round_trip_us);

/*
 * Something that was queued at queued_us is taken from the head of the queue.
 * Returns true if its sender is to be told of the queue: mark and send it, or
 * drop it and take the next.  is_last: nothing is behind it, then never.
 */
bool codel_is_due(struct codel *c, const struct codel_params *p,
		  mono_us_t now_us, mono_us_t queued_us, bool is_last);

#endif
