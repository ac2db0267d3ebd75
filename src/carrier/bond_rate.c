/* SPDX-License-Identifier: MIT */
/*
 * bond_rate: see bond_rate.h.
 *
 * Theory of operation
 *   One stretch of bytes at a time is watched from its sending to its
 *   acknowledgement: that is a round trip, and what was acknowledged meanwhile
 *   is a rate.  The most of the last one or two periods counts, for the TCP
 *   connection beneath is allowed its dents; a sample taken while little was
 *   under way says nothing about the link, and only raises.
 *
 *   The budget is what that rate carries in the shortest round trip, and
 *   SLACK_US more: a rest must always wait, or TCP does not open its window.
 */
#include "bond_rate.h"

#include <errno.h>

enum {
	PERIOD_MIN_US = 1000000,
	SLACK_US = 40000,
	SLACK_BYTES = 24 << 10,
	FIRST_BYTES_S = 640 << 10, /* of a link that nothing is known about */
};

static uint64_t rate_of(const struct bond_rate *r)
{
	uint64_t most =
		r->bytes_s[0] > r->bytes_s[1] ? r->bytes_s[0] : r->bytes_s[1];

	return most > 0 ? most : FIRST_BYTES_S;
}

uint64_t bond_rate_bytes_in(const struct bond_rate *r, uint32_t us)
{
	return rate_of(r) / 1000 * us / 1000;
}

uint64_t bond_rate_budget(const struct bond_rate *r)
{
	return SLACK_BYTES +
	       bond_rate_bytes_in(r, r->round_trip_min_us +
					     r->round_trip_min_us / 4 +
					     SLACK_US);
}

uint64_t bond_rate_eta_us(const struct bond_rate *r, size_t n)
{
	uint64_t us = (bond_rate_in_flight(r) + n) * 1000000 / rate_of(r);

	return us > r->round_trip_us ? us : r->round_trip_us;
}

void bond_rate_sent(struct bond_rate *r, mono_us_t now_us, size_t n)
{
	r->sent += n;
	if (r->has_mark)
		return;
	r->has_mark = true;
	r->is_full_mark = bond_rate_in_flight(r) >= bond_rate_budget(r) / 2;
	r->mark_at = r->sent;
	r->mark_got = r->got;
	r->mark_us = now_us;
}

static void take_round_trip(struct bond_rate *r, uint32_t us)
{
	if (r->round_trip_us == 0)
		r->round_trip_us = r->round_trip_min_us = us;
	r->round_trip_us += (us >> 3) - (r->round_trip_us >> 3);
	/* Lines change: what was the shortest is forgotten in the end. */
	if (us < r->round_trip_min_us)
		r->round_trip_min_us = us;
	else
		r->round_trip_min_us += (us - r->round_trip_min_us) >> 10;
}

static void take_rate(struct bond_rate *r, mono_us_t now_us, uint64_t bytes_s)
{
	uint64_t period = 8 * (uint64_t)r->round_trip_us;

	if (period < PERIOD_MIN_US)
		period = PERIOD_MIN_US;
	if (r->is_full_mark && now_us - r->turned_us > period) {
		r->bytes_s[1] = r->bytes_s[0];
		r->bytes_s[0] = 0;
		r->turned_us = now_us;
	}
	if (bytes_s > r->bytes_s[0])
		r->bytes_s[0] = bytes_s;
}

int bond_rate_got(struct bond_rate *r, mono_us_t now_us, uint64_t got)
{
	if (got > r->sent || got < r->got)
		return -EBADMSG;
	r->got = got;
	if (!r->has_mark || got < r->mark_at)
		return 0;
	uint64_t us = now_us - r->mark_us + 1;

	if (us > UINT32_MAX)
		us = UINT32_MAX;
	r->has_mark = false;
	take_round_trip(r, (uint32_t)us);
	take_rate(r, now_us, (got - r->mark_got) * 1000000 / us);
	return 0;
}
