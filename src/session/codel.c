/* SPDX-License-Identifier: MIT */
/*
 * codel: when a queue has stood too long, and its senders are to be told.
 *
 * Theory of operation
 *   A burst makes a queue that goes away by itself; one that stands serves
 *   nobody.  What tells them apart is the shortest wait in an interval: if that
 *   is above the target, one packet is dropped or marked, and then more, each a
 *   little sooner after the last (interval / sqrt(n)), until the wait is below
 *   the target again.  TCP's rate falls with the square root of its losses, so
 *   this makes it fall steadily.  If the queue stands again soon after, it is
 *   begun where it was left.
 *
 * Spec: RFC 8289 section 5
 */
#include "codel.h"

enum {
	TARGET_FRAMES_PERMILLE = 1500,
	/* Intervals after which it is forgotten how many were dropped. */
	MEMORY_INTERVALS = 16,
	US_A_SECOND = 1000000,
	/* Beyond these the line is none that one could say much about. */
	TARGET_MAX_US = 500000,
	INTERVAL_MAX_US = 2000000,
};

struct codel_params codel_params_for(uint64_t rate, size_t frame_bytes,
				     uint64_t round_trip_us)
{
	struct codel_params p = {CODEL_TARGET_US, CODEL_INTERVAL_US};

	if (rate > 0) {
		uint64_t us = (uint64_t)frame_bytes * TARGET_FRAMES_PERMILLE *
			      (US_A_SECOND / 1000) / rate;

		if (us > p.target_us)
			p.target_us = us < TARGET_MAX_US ? us : TARGET_MAX_US;
	}
	if (round_trip_us > p.interval_us)
		p.interval_us = round_trip_us < INTERVAL_MAX_US
					? round_trip_us
					: INTERVAL_MAX_US;
	return p;
}

/* The largest r with r * r <= n. */
static uint64_t root(uint64_t n)
{
	uint64_t r = 0;

	for (uint64_t bit = UINT64_C(1) << 31; bit > 0; bit >>= 1)
		if ((r | bit) * (r | bit) <= n)
			r |= bit;
	return r;
}

/* interval / sqrt(n) later. */
static mono_us_t next_us(mono_us_t t_us, const struct codel_params *p,
			 uint32_t n)
{
	return t_us + root(p->interval_us * p->interval_us / n);
}

/* True: the wait has been above the target for an interval. */
static bool is_standing(struct codel *c, const struct codel_params *p,
			mono_us_t now_us, mono_us_t queued_us, bool is_last)
{
	if (is_last || now_us - queued_us < p->target_us) {
		c->above_us = 0;
		return false;
	}
	if (c->above_us == 0)
		c->above_us = now_us + p->interval_us;
	return now_us >= c->above_us;
}

static void begin_dropping(struct codel *c, const struct codel_params *p,
			   mono_us_t now_us)
{
	uint32_t n_lately = c->n - c->n_before;

	c->is_dropping = true;
	/* next_us is in the future if it has just been left. */
	bool is_again = c->next_us + MEMORY_INTERVALS * p->interval_us > now_us;

	c->n = n_lately > 1 && is_again ? n_lately : 1;
	c->n_before = c->n;
	c->next_us = next_us(now_us, p, c->n);
}

bool codel_is_due(struct codel *c, const struct codel_params *p,
		  mono_us_t now_us, mono_us_t queued_us, bool is_last)
{
	if (!is_standing(c, p, now_us, queued_us, is_last)) {
		c->is_dropping = false;
		return false;
	}
	if (!c->is_dropping) {
		begin_dropping(c, p, now_us);
		return true;
	}
	if (now_us < c->next_us)
		return false;
	if (c->n < UINT32_MAX)
		c->n++;
	c->next_us = next_us(c->next_us, p, c->n);
	return true;
}
