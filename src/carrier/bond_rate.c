/* SPDX-License-Identifier: MIT */
/*
 * bond_rate: see bond_rate.h.
 *
 * Theory of operation
 *   Bytes that are acknowledged are counted over windows of a few round trips:
 *   TCP hands over what it had to wait for in one go, and shorter ones would
 *   take that for a rate.  What windows usually have says when something will
 *   arrive; what they have at most, in the last one or two periods, says how
 *   much may be under way, together, for the connection beneath has its dents.
 * A window with little under way says less about the link, and counts only if
 *   it is more than was known, or in the long run.
 *
 *   The budget is what that rate carries in the shortest round trip, and
 *   a bit more: a rest must always wait, or TCP does not open its window.  All
 *   beyond that only waits: at 1 % of loss and eight links half as much passed
 *   the same and took two thirds of the time.
 */
#include "bond_rate.h"

#include <errno.h>

enum {
	WINDOW_MIN_US = 200000,
	PERIOD_US = 2000000,
	PERIOD_SHORT_US = 10000000, /* while windows are short */
	SLACK_US = 10000,
	SLACK_BYTES = 6 << 10,
	FIRST_BYTES_S = 400 << 10, /* of a link that nothing is known about */
};

static uint64_t most(const struct bond_rate *r)
{
	uint64_t bytes_s = r->most_bytes_s[0] > r->most_bytes_s[1]
				   ? r->most_bytes_s[0]
				   : r->most_bytes_s[1];

	return bytes_s > 0 ? bytes_s : FIRST_BYTES_S;
}

static uint64_t usual(const struct bond_rate *r)
{
	return r->usual_bytes_s > 0 ? r->usual_bytes_s : FIRST_BYTES_S;
}

uint64_t bond_rate_bytes_in(const struct bond_rate *r, uint32_t us)
{
	return usual(r) / 1000 * us / 1000;
}

uint64_t bond_rate_budget(const struct bond_rate *r)
{
	uint64_t us = r->base_us + r->base_us / 4 + SLACK_US;

	return SLACK_BYTES + (most(r) + usual(r)) / 2000 * us / 1000;
}

uint64_t bond_rate_eta_us(const struct bond_rate *r, mono_us_t now_us, size_t n)
{
	uint64_t us = (bond_rate_in_flight(r) + n) * 1000000 / usual(r);
	uint64_t waited = 0;

	if (bond_rate_in_flight(r) > 0)
		waited = now_us - r->waits_us;
	if (us < r->round_trip_us)
		us = r->round_trip_us;
	/* A connection that stands still goes on doing so for a while. */
	return waited > r->round_trip_us ? us + waited : us;
}

void bond_rate_sent(struct bond_rate *r, mono_us_t now_us, size_t n)
{
	if (bond_rate_in_flight(r) == 0) {
		r->waits_us = now_us;
		r->is_short = true;
	}
	r->sent += n;
	if (r->has_mark)
		return;
	r->has_mark = true;
	r->mark_at = r->sent;
	r->mark_us = now_us;
}

static void take_round_trip(struct bond_rate *r, uint64_t long_us)
{
	uint32_t us = long_us < INT32_MAX ? (uint32_t)long_us + 1 : INT32_MAX;

	r->has_mark = false;
	if (r->round_trip_us == 0)
		r->round_trip_us = r->round_trip_min_us = us;
	r->round_trip_us += (us >> 3) - (r->round_trip_us >> 3);
	/* Lines change: what was the shortest is forgotten in the end. */
	if (us < r->round_trip_min_us)
		r->round_trip_min_us = us;
	else
		r->round_trip_min_us += (us - r->round_trip_min_us) >> 11;
	if (r->base_us == 0 || us < r->base_us)
		r->base_us = r->round_trip_min_us;
}

static void take_rate(struct bond_rate *r, mono_us_t now_us, uint64_t bytes_s)
{
	uint64_t period = r->is_short ? PERIOD_SHORT_US : PERIOD_US;

	if (now_us - r->turned_us > period) {
		r->most_bytes_s[1] = r->most_bytes_s[0];
		r->most_bytes_s[0] = 0;
		r->turned_us = now_us;
	}
	if (bytes_s > r->most_bytes_s[0] && (!r->is_short || bytes_s > most(r)))
		r->most_bytes_s[0] = bytes_s;
	if (!r->is_short || bytes_s > usual(r))
		r->usual_bytes_s = (3 * usual(r) + bytes_s) / 4;
}

/* Close the window if it is long enough. */
static void look_at_window(struct bond_rate *r, mono_us_t now_us)
{
	uint64_t us = now_us - r->window_us;
	uint64_t least = 2 * (uint64_t)r->round_trip_min_us;

	if (least < WINDOW_MIN_US)
		least = WINDOW_MIN_US;
	if (us < least)
		return;
	/* One that began before a pause is none. */
	if (us < 8 * least)
		take_rate(r, now_us, (r->got - r->window_got) * 1000000 / us);
	r->window_us = now_us;
	r->window_got = r->got;
	r->is_short = false;
}

int bond_rate_got(struct bond_rate *r, mono_us_t now_us, uint64_t got)
{
	if (got > r->sent || got < r->got)
		return -EBADMSG;
	if (bond_rate_in_flight(r) < bond_rate_budget(r) / 2)
		r->is_short = true;
	if (got > r->got)
		r->waits_us = now_us;
	r->got = got;
	if (r->has_mark && got >= r->mark_at)
		take_round_trip(r, now_us - r->mark_us);
	look_at_window(r, now_us);
	return 0;
}
