/* SPDX-License-Identifier: MIT */
/*
 * bond_rate: how fast one link of several delivers, and what may be under way
 * on it.
 *
 * Pure: times and byte counts in, estimates out.
 */
#ifndef ECSSH_BOND_RATE_H
#define ECSSH_BOND_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

/* Zeroed: nothing is known. */
struct bond_rate {
	uint64_t sent, got; /* bytes */
	/* One round trip at a time: of the bytes up to mark_at. */
	bool has_mark;
	uint64_t mark_at;
	mono_us_t mark_us;
	uint32_t round_trip_us, round_trip_min_us; /* 0: not known */
	/* Of the line without queues; for the caller to set, too, who may know
	 * it of other links. */
	uint32_t base_us;
	/* Since when something was under way, or the last acknowledgement. */
	mono_us_t waits_us;
	/* The window that is counted. */
	bool is_short; /* there was less under way than might be */
	uint64_t window_got;
	mono_us_t window_us;
	uint64_t usual_bytes_s;	  /* of windows; 0: not known */
	uint64_t most_bytes_s[2]; /* in this period and the last */
	mono_us_t turned_us;	  /* when this one began */
};

/* n bytes are handed to the link. */
void bond_rate_sent(struct bond_rate *r, mono_us_t now_us, size_t n);

/* The other end has `got` bytes.  Returns 0, or -EBADMSG if these were never
 * sent, or are fewer than it had. */
int bond_rate_got(struct bond_rate *r, mono_us_t now_us, uint64_t got);

static inline uint64_t bond_rate_in_flight(const struct bond_rate *r)
{
	return r->sent - r->got;
}

/* So many bytes may be under way: what keeps the link busy. */
uint64_t bond_rate_budget(const struct bond_rate *r);

/* Time until n more bytes will have been delivered. */
uint64_t bond_rate_eta_us(const struct bond_rate *r, mono_us_t now_us,
			  size_t n);

/* What the link delivers in us. */
uint64_t bond_rate_bytes_in(const struct bond_rate *r, uint32_t us);

#endif
