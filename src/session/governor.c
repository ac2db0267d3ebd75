/* SPDX-License-Identifier: MIT */
/* governor: see governor.h and doc/GOVERNOR.md. */
#include "governor.h"

#include <errno.h>
#include <string.h>

enum {
	PERMILLE = 1000,
	FULL_ROUNDS = 3,   /* without growth: the line is full */
	GROWTH_ROUNDS = 3, /* with growth: the line became faster */
	/* Of rate x round trip: a routine look, or one with a reason. */
	DRAIN_PERMILLE = 750,
	DRAIN_DEEP_PERMILLE = 500,
};

static const uint64_t RATE_MOST = UINT64_C(10000000000);
static const uint64_t BYTES_MOST = UINT64_C(1) << 40;

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Bytes/s; us > 0. */
static uint64_t rate_of(uint64_t bytes, mono_us_t us)
{
	return least(least(bytes, BYTES_MOST) * US_PER_SEC / us, RATE_MOST);
}

static uint64_t bytes_in(uint64_t rate, mono_us_t us)
{
	return rate * least(us, GOVERNOR_TIME_US_MOST) / US_PER_SEC;
}

static uint64_t time_of(uint64_t bytes, uint64_t rate)
{
	return least(bytes, BYTES_MOST) * US_PER_SEC / most(rate, 1);
}

static uint64_t permille(uint64_t x, uint64_t n)
{
	return x * n / PERMILLE;
}

static uint64_t in_flight(const struct governor *g)
{
	return g->sent - g->delivered;
}

/* How long the line is busy with so many bytes, which is part of their trip and
 * no queue.  While the rate is looked for, nobody knows. */
static uint64_t line_time_us(const struct governor *g, uint64_t bytes)
{
	if (g->phase == GOVERNOR_STARTUP)
		return 0;
	return least(time_of(bytes, g->rate), GOVERNOR_FRAME_US);
}

/* What is left of a trip: too little if the rate is too low, until it grows. */
static uint64_t path_us(const struct governor *g, struct governor_trip t)
{
	uint64_t own = line_time_us(g, t.own_bytes);

	return t.us > own ? t.us - own : 1;
}

static uint64_t shortest_us(const struct governor *g)
{
	return g->shortest.us > 0 ? path_us(g, g->shortest) : 0;
}

/* What fills the line takes longer: by half of its own time, for the rest is
 * covered by the queue that CRUISE allows. */
static uint64_t full_trip_more_us(const struct governor *g)
{
	return g->phase == GOVERNOR_STARTUP ? 0 : g->own_us / 2;
}

static uint64_t full_trip_us(const struct governor *g)
{
	return shortest_us(g) + full_trip_more_us(g);
}

static void allow(struct governor *g, uint64_t bytes)
{
	g->allowed = (size_t)least(most(bytes, GOVERNOR_LEAST_BYTES),
				   GOVERNOR_MOST_BYTES);
}

void governor_init(struct governor *g, mono_us_t now_us)
{
	memset(g, 0, sizeof(*g));
	g->phase = GOVERNOR_STARTUP;
	g->delivered_us = g->first_sent_us = now_us;
	g->round_start_us = g->heap_start_us = now_us;
	g->round_shortest.us = UINT32_MAX;
	g->rtt_near_min_us = now_us;
	g->patience_rounds = GOVERNOR_PATIENCE_ROUNDS;
	allow(g, GOVERNOR_FIRST_BYTES);
}

/* ---- what was sent ---- */

static struct governor_record *record_at(struct governor *g, unsigned i)
{
	return &g->records[(g->first_record + i) % GOVERNOR_RECORDS];
}

/* The record for bytes sent now: a new one, or the newest if the ring would not
 * last for all that may be in flight. */
static struct governor_record *record_to_write(struct governor *g)
{
	size_t grain = g->allowed / (GOVERNOR_RECORDS / 2);

	if (g->n_records > 0) {
		struct governor_record *newest = record_at(g, g->n_records - 1);
		uint64_t start = g->n_records > 1
					 ? record_at(g, g->n_records - 2)->end
					 : g->delivered;

		if (g->n_records == GOVERNOR_RECORDS ||
		    newest->end - start < grain)
			return newest;
	}
	return record_at(g, g->n_records++);
}

void governor_sent(struct governor *g, mono_us_t now_us, size_t bytes,
		   size_t own_bytes)
{
	if (bytes == 0)
		return;
	if (in_flight(g) == 0) {
		g->delivered_us = g->first_sent_us = now_us;
		g->waiting_since_us = g->heard_us = now_us;
	}
	g->sent += bytes;
	/* Of bytes in one record, the last speaks for all. */
	*record_to_write(g) = (struct governor_record){
		.end = g->sent,
		.sent_us = now_us,
		.own_bytes = (uint32_t)least(own_bytes, UINT32_MAX),
		.delivered = g->delivered,
		.delivered_us = g->delivered_us,
		.first_sent_us = g->first_sent_us,
		.is_app_limited =
			g->is_app_limited || g->phase == GOVERNOR_DRAIN,
	};
}

void governor_withdraw(struct governor *g, size_t bytes)
{
	g->sent -= least(bytes, in_flight(g));
	while (g->n_records > 0) {
		struct governor_record *newest = record_at(g, g->n_records - 1);
		uint64_t start = g->n_records > 1
					 ? record_at(g, g->n_records - 2)->end
					 : g->delivered;

		newest->end = least(newest->end, g->sent);
		if (newest->end > start) {
			newest->own_bytes = (uint32_t)least(
				newest->own_bytes, newest->end - start);
			break;
		}
		g->n_records--;
	}
	g->app_limited_end = least(g->app_limited_end, g->sent);
	if (in_flight(g) == 0)
		g->waiting_since_us = 0;
}

uint64_t governor_wait_most_us(const struct governor *g)
{
	return full_trip_us(g) / 4 + GOVERNOR_WAIT_US;
}

void governor_note_way_back(struct governor *g, bool is_busy, uint64_t wait_us)
{
	g->is_way_back_busy = is_busy;
	g->is_wait_known = wait_us != GOVERNOR_WAIT_UNKNOWN;
	if (!is_busy || !g->is_wait_known)
		wait_us = 0;
	wait_us = least(wait_us, governor_wait_most_us(g));
	g->wait_us = (uint32_t)((7 * (uint64_t)g->wait_us + wait_us) / 8);
}

void governor_idle(struct governor *g)
{
	if (g->allowed <= in_flight(g))
		return;
	g->is_app_limited = true;
	g->app_limited_end = g->sent;
}

/* ---- the rate ---- */

static uint64_t highest(const uint64_t slots[GOVERNOR_RATE_ROUNDS])
{
	uint64_t top = 0;

	for (int i = 0; i < GOVERNOR_RATE_ROUNDS; i++)
		top = most(top, slots[i]);
	return top;
}

static void next_slots(struct governor *g)
{
	memmove(g->rates + 1, g->rates, sizeof(g->rates) - sizeof(*g->rates));
	memmove(g->heaps + 1, g->heaps, sizeof(g->heaps) - sizeof(*g->heaps));
	g->rates[0] = 0;
	g->heaps[0] = (struct governor_heap){0};
}

static void set_rate(struct governor *g, uint64_t rate)
{
	memset(g->rates, 0, sizeof(g->rates));
	memset(g->heaps, 0, sizeof(g->heaps));
	g->rate = g->rates[0] = rate;
}

/* Neither faster than it was sent nor than it was delivered. */
static void sample_rate(struct governor *g, const struct governor_record *r,
			mono_us_t arrived_us)
{
	mono_us_t send_us = r->sent_us - r->first_sent_us;
	mono_us_t ack_us = arrived_us - r->delivered_us;

	if (ack_us == 0)
		return;
	uint64_t rate = rate_of(g->delivered - r->delivered, ack_us);
	if (send_us > 0)
		rate = least(rate, rate_of(r->end - r->delivered, send_us));
	if (r->is_app_limited && rate <= g->rate)
		return;
	g->is_round_full |= !r->is_app_limited;
	g->has_full_sample |= !r->is_app_limited;
	g->rates[0] = most(g->rates[0], rate);
	g->rate = most(g->rate, rate);
}

/* By the rate as it is known now: when it grows, some of this was no heap. */
static uint64_t heap_bytes(const struct governor *g,
			   const struct governor_heap *h)
{
	uint64_t expected = bytes_in(g->rate, h->us);

	return h->acked > expected ? h->acked - expected : 0;
}

/* How much more than the rate promises has come by now: what a hole held up
 * comes in a heap, and the line must have enough to do until the next.  What we
 * hear late comes in heaps, too, be it that it waited behind others on the way
 * back or that this machine had no time for us; so it counts from when it
 * arrived over there, if that is known. */
static void sample_heap(struct governor *g, mono_us_t now_us, uint64_t acked)
{
	mono_us_t at_us = g->is_wait_known
				  ? most(g->delivered_us, g->heap_start_us)
				  : now_us;
	struct governor_heap heap = {.acked = g->heap_acked + acked,
				     .us = at_us - g->heap_start_us};

	g->heap_acked = heap.acked;
	if (heap_bytes(g, &heap) == 0 || g->phase != GOVERNOR_CRUISE) {
		g->heap_acked = 0;
		g->heap_start_us = at_us;
		return;
	}
	/* While nobody knows what waited on the way back, it may be that. */
	if (g->is_way_back_busy && !g->is_wait_known)
		heap.acked = least(
			heap.acked,
			bytes_in(g->rate, heap.us + GOVERNOR_HEAP_BUSY_US));
	if (heap_bytes(g, &heap) > heap_bytes(g, &g->heaps[0]))
		g->heaps[0] = heap;
}

/* The largest of late. */
static uint64_t heap_of_late(const struct governor *g)
{
	uint64_t top = 0;
	uint64_t most_us = permille(full_trip_us(g), GOVERNOR_HOLE_PERMILLE) +
			   GOVERNOR_HEAP_US;

	for (int i = 0; i < GOVERNOR_RATE_ROUNDS; i++)
		top = most(top, heap_bytes(g, &g->heaps[i]));
	return least(top, bytes_in(g->rate, most_us));
}

/* How long the other end keeps what it has received to itself, as a rule: a
 * moving average of the time between two words from it. */
static void sample_gap(struct governor *g, mono_us_t now_us)
{
	mono_us_t gap_us =
		least(now_us - g->heard_us, full_trip_us(g) + GOVERNOR_GAP_US);

	g->heard_us = now_us;
	if (!g->is_app_limited && g->phase == GOVERNOR_CRUISE)
		g->gap_us = (uint32_t)((7 * (uint64_t)g->gap_us + gap_us) / 8);
}

/* ---- the round trip ---- */

/* Control frames between those that fill the line count for little. */
static void sample_own(struct governor *g, const struct governor_record *r)
{
	uint64_t own = line_time_us(g, r->own_bytes);

	if (r->is_app_limited || g->phase == GOVERNOR_STARTUP)
		return;
	if (own >= g->own_us / 2)
		g->own_us = (uint32_t)((7 * (uint64_t)g->own_us + own) / 8);
	else
		g->own_us -= g->own_us / 64;
}

static uint64_t much_longer_us(uint64_t rtt_us)
{
	return 2 * rtt_us + 20000;
}

/* Of a trip, what may be the doing of the way back, if nobody says it. */
static uint64_t back_us(const struct governor *g)
{
	if (!g->is_way_back_busy || g->is_wait_known)
		return 0;
	return least(full_trip_us(g) / 2 + GOVERNOR_BACK_LEAST_US,
		     GOVERNOR_BACK_US);
}

/* What a trip may take when cruising, heaps aside: enough more than the
 * shortest to see whether the line has become faster, and for the line not to
 * be idle while the other end keeps what it has received to itself. */
static uint64_t cruise_us(const struct governor *g)
{
	uint64_t gain_us =
		most(least(permille(full_trip_us(g), GOVERNOR_GAIN_PERMILLE),
			   GOVERNOR_GAIN_US),
		     permille(full_trip_us(g), GOVERNOR_GAIN_LONG_PERMILLE));

	return full_trip_us(g) + back_us(g) +
	       most(gain_us + GOVERNOR_SLACK_US,
		    (uint64_t)g->gap_us + g->gap_more_us);
}

static bool is_longer(const struct governor *g, uint64_t us)
{
	return us > permille(cruise_us(g), 1250) + 4000;
}

/* What is held up by a hole has a longer trip, and that says nothing of the
 * path: for as long as heaps come. */
static uint64_t hole_us(const struct governor *g)
{
	return time_of(heap_of_late(g), g->rate);
}

/* Since when trips have been longer than that, without exception. */
static void mark_long(struct governor *g, mono_us_t arrived_us, bool is_long)
{
	if (!is_long) {
		g->long_since_us = 0;
	} else if (g->long_since_us == 0) {
		g->long_since_us = arrived_us;
		g->long_since = g->delivered;
	}
}

/* Trips that are longer than what is in flight explains.  While more than is
 * allowed now is on its way, and not by the last frame alone, that explains
 * more. */
static void doubt(struct governor *g, const struct governor_record *r,
		  mono_us_t arrived_us, uint64_t us)
{
	uint64_t out = r->end - r->delivered;
	uint64_t base_us = full_trip_us(g);

	if (out > permille(g->allowed, 1125) + GOVERNOR_FRAME_LEAST_BYTES)
		base_us = most(base_us, time_of(out, g->rate));
	else if (is_longer(g, us))
		g->is_round_long = true;
	else
		g->is_round_short = true;
	mark_long(g, arrived_us, us > much_longer_us(base_us) + hole_us(g));
}

static void sample_rtt(struct governor *g, const struct governor_record *r,
		       mono_us_t arrived_us, uint32_t rtt)
{
	struct governor_trip trip = {.us = rtt, .own_bytes = r->own_bytes};
	uint64_t us = path_us(g, trip);

	g->rtt_us = rtt;
	if (us < path_us(g, g->round_shortest))
		g->round_shortest = trip;
	if (g->shortest.us == 0 || us < shortest_us(g))
		g->shortest = trip;
	if (us <= permille(shortest_us(g), 1020) + 1000)
		g->rtt_near_min_us = arrived_us;
	sample_own(g, r);
	us += full_trip_more_us(g); /* as of one that fills the line */
	if (g->phase == GOVERNOR_CRUISE ||
	    (g->phase == GOVERNOR_DRAIN && !g->is_path_suspect))
		doubt(g, r, arrived_us, us);
	/* The first bytes came as a burst and make a queue of their own. */
	if (g->phase == GOVERNOR_STARTUP && !r->is_app_limited &&
	    r->delivered > g->phase_start)
		mark_long(g, arrived_us,
			  us > permille(full_trip_us(g), 1250) + 8000);
}

/* ---- phases ---- */

static uint64_t cruise_bytes(const struct governor *g)
{
	return bytes_in(g->rate, cruise_us(g) + g->wait_us) +
	       permille(heap_of_late(g), GOVERNOR_HEAP_PERMILLE);
}

/* Twice what there was room for so far. */
static uint64_t startup_bytes(const struct governor *g)
{
	uint64_t bytes = bytes_in(g->rate, full_trip_us(g) + GOVERNOR_SLACK_US);

	return 2 * bytes +
	       (g->has_started ? GOVERNOR_LEAST_BYTES : GOVERNOR_FIRST_BYTES);
}

static void enter(struct governor *g, enum governor_phase phase)
{
	g->phase = phase;
	g->phase_start = g->delivered;
	g->rate_before = g->rate;
	g->n_rounds = 0;
	g->n_long_rounds = 0;
	g->long_since_us = 0;
	if (phase == GOVERNOR_CRUISE)
		allow(g, cruise_bytes(g));
}

static void start_round(struct governor *g, mono_us_t now_us)
{
	g->round_start = g->delivered;
	g->round_start_us = now_us;
	g->round_shortest.us = UINT32_MAX;
	g->is_round_full = false;
	g->is_round_long = false;
	g->is_round_short = false;
}

static uint64_t average_rate(const struct governor *g, uint64_t from,
			     mono_us_t us)
{
	return rate_of(g->delivered - from, most(us, 1));
}

static void drain_to(struct governor *g, unsigned share)
{
	g->is_drained = false;
	allow(g, permille(bytes_in(g->drain_rate, full_trip_us(g)), share));
}

static void enter_drain(struct governor *g, mono_us_t now_us,
			bool is_path_suspect, uint64_t recent_rate)
{
	enter(g, GOVERNOR_DRAIN);
	g->is_path_suspect = is_path_suspect;
	g->has_drained = false;
	g->drain_since_us = now_us;
	g->drain_rate = least(recent_rate, g->rate);
	g->drain_rtt_us = shortest_us(g);
	drain_to(g, is_path_suspect ? DRAIN_DEEP_PERMILLE : DRAIN_PERMILLE);
}

/* As long as there was a queue to drain, what came was the rate of the line;
 * and perhaps there is more of it. */
static void correct_drain(struct governor *g, mono_us_t now_us)
{
	mono_us_t us = now_us - g->drain_since_us;

	if (!g->is_path_suspect || g->has_drained || us <= full_trip_us(g) / 4)
		return;
	g->drain_rate =
		least(g->drain_rate, average_rate(g, g->phase_start, us));
	drain_to(g, DRAIN_DEEP_PERMILLE);
}

static void drain(struct governor *g, mono_us_t now_us)
{
	if (g->is_drained || in_flight(g) > g->allowed)
		return;
	correct_drain(g, now_us);
	if (in_flight(g) > g->allowed)
		return;
	g->is_drained = true;
	g->has_drained = true;
	start_round(g, now_us);
}

/* The trip without a queue has been seen. */
static void leave_drain(struct governor *g, mono_us_t now_us)
{
	/* Neither the path nor the line is another. */
	uint64_t us = path_us(g, g->round_shortest) + full_trip_more_us(g);
	bool was_right = !is_longer(g, us) && g->drain_rate >= g->rate / 3;

	g->shortest = g->round_shortest;
	g->rtt_near_min_us = now_us;
	if (!g->is_path_suspect) {
		enter(g, GOVERNOR_CRUISE);
		return;
	}
	g->patience_rounds =
		was_right ? (unsigned)least(2 * g->patience_rounds,
					    GOVERNOR_PATIENCE_ROUNDS_MOST)
			  : GOVERNOR_PATIENCE_ROUNDS;
	set_rate(g, g->drain_rate);
	enter(g, GOVERNOR_STARTUP);
	allow(g, cruise_bytes(g));
}

static void drain_round(struct governor *g, mono_us_t now_us)
{
	uint64_t before_us = g->drain_rtt_us;

	if (!g->is_drained)
		return;
	g->drain_rtt_us = path_us(g, g->round_shortest);
	/* Where there was so much of a queue there may be more of it. */
	if (g->drain_rtt_us + GOVERNOR_SLACK_US < permille(before_us, 900)) {
		g->shortest = g->round_shortest;
		drain_to(g, DRAIN_DEEP_PERMILLE);
	} else {
		leave_drain(g, now_us);
	}
}

/* The first round trips were of large frames, or of a queue that was there
 * already: the first time, look again. */
static void leave_startup(struct governor *g, mono_us_t now_us)
{
	if (g->has_started)
		enter(g, GOVERNOR_CRUISE);
	else
		enter_drain(g, now_us, false, g->rate);
	g->has_started = true;
}

static void startup_round(struct governor *g, mono_us_t now_us)
{
	if (!g->is_round_full)
		return;
	if (g->rate >= permille(g->rate_before, 1250)) {
		g->rate_before = g->rate;
		g->n_rounds = 0;
	} else {
		g->n_rounds++;
	}
	if (g->n_rounds >= FULL_ROUNDS)
		leave_startup(g, now_us);
}

/* Without any queue of ours the line may have been idle: the time between
 * acknowledgements is an average, and it is the long ones that count. */
static void correct_gap(struct governor *g)
{
	uint32_t step_us = g->gap_us / 8;

	if (path_us(g, g->round_shortest) <=
	    shortest_us(g) + GOVERNOR_SLACK_US / 2)
		g->gap_more_us =
			(uint32_t)least(g->gap_more_us + step_us, g->gap_us);
	else
		g->gap_more_us -= (uint32_t)least(g->gap_more_us, step_us);
}

static void cruise_round(struct governor *g, mono_us_t now_us)
{
	if (!g->is_round_full)
		return;
	correct_gap(g);
	g->n_rounds =
		g->rate >= permille(g->rate_before, 1050) ? g->n_rounds + 1 : 0;
	g->rate_before = g->rate;
	if (g->is_round_short)
		g->n_long_rounds = 0;
	else if (g->is_round_long)
		g->n_long_rounds++;
	if (g->n_long_rounds >= g->patience_rounds)
		enter_drain(g, now_us, true,
			    average_rate(g, g->round_start,
					 now_us - g->round_start_us));
	else if (g->n_rounds >= GROWTH_ROUNDS)
		enter(g, GOVERNOR_STARTUP);
}

static void end_round(struct governor *g, mono_us_t now_us)
{
	switch (g->phase) {
	case GOVERNOR_STARTUP:
		startup_round(g, now_us);
		break;
	case GOVERNOR_CRUISE:
		cruise_round(g, now_us);
		break;
	case GOVERNOR_DRAIN:
		drain_round(g, now_us);
		break;
	}
	/* What is measured while we hold back must not push out the rest. */
	if (g->is_round_full && g->phase != GOVERNOR_DRAIN) {
		next_slots(g);
		g->rate = highest(g->rates);
	}
	start_round(g, now_us);
}

/* Between the ends of rounds, which are far apart when there is a queue. */
static void watch_trips(struct governor *g, mono_us_t now_us)
{
	mono_us_t long_for_us =
		g->long_since_us != 0 ? now_us - g->long_since_us : 0;

	if (g->phase == GOVERNOR_STARTUP) {
		if (long_for_us > full_trip_us(g) / 4)
			leave_startup(g, now_us);
	} else if (long_for_us > much_longer_us(full_trip_us(g)) + hole_us(g)) {
		enter_drain(g, now_us, true,
			    average_rate(g, g->long_since, long_for_us));
	} else if (g->phase == GOVERNOR_CRUISE &&
		   now_us - g->rtt_near_min_us > GOVERNOR_RTT_WINDOW_US) {
		enter_drain(g, now_us, false, g->rate);
	}
}

static void steer(struct governor *g, mono_us_t now_us, uint64_t acked)
{
	switch (g->phase) {
	case GOVERNOR_STARTUP:
		if (!g->is_app_limited)
			allow(g, most(g->allowed, least(g->allowed + acked,
							startup_bytes(g))));
		break;
	case GOVERNOR_CRUISE:
		allow(g, cruise_bytes(g));
		break;
	case GOVERNOR_DRAIN:
		drain(g, now_us);
		break;
	}
}

/* ---- what was received ---- */

/* Take the newest record that is wholly received, and all before it, out.
 * Returns whether there is one. */
static bool take_record(struct governor *g, struct governor_record *out)
{
	bool is_one = false;

	while (g->n_records > 0 && record_at(g, 0)->end <= g->delivered) {
		*out = *record_at(g, 0);
		is_one = true;
		g->first_record = (g->first_record + 1) % GOVERNOR_RECORDS;
		g->n_records--;
	}
	return is_one;
}

static void learn(struct governor *g, mono_us_t now_us, uint32_t delay_us,
		  const struct governor_record *r)
{
	mono_us_t trip_us = now_us - r->sent_us;

	/* A delay that cannot be true is none. */
	if (delay_us < trip_us)
		trip_us -= delay_us;
	mono_us_t arrived_us = most(r->sent_us + trip_us, g->delivered_us);

	sample_rate(g, r, arrived_us);
	sample_rtt(g, r, arrived_us,
		   (uint32_t)most(least(trip_us, GOVERNOR_TIME_US_MOST), 1));
	g->delivered_us = arrived_us;
	g->first_sent_us = r->sent_us;
}

/* Less than a record was received. */
static void learn_time(struct governor *g, mono_us_t now_us, uint32_t delay_us)
{
	if (now_us - g->delivered_us > delay_us)
		g->delivered_us = now_us - delay_us;
}

int governor_received(struct governor *g, mono_us_t now_us, uint64_t total,
		      uint32_t delay_us)
{
	struct governor_record r = {0};

	if (total > g->sent || total < g->delivered)
		return -EBADMSG;
	if (total == g->delivered)
		return 0;
	uint64_t acked = total - g->delivered;
	g->delivered = total;
	g->waiting_since_us = in_flight(g) > 0 ? now_us : 0;
	bool is_record = take_record(g, &r);
	if (is_record)
		learn(g, now_us, delay_us, &r);
	else
		learn_time(g, now_us, delay_us);
	if (g->is_app_limited && g->delivered > g->app_limited_end)
		g->is_app_limited = false;
	sample_heap(g, now_us, acked);
	sample_gap(g, now_us);
	if (is_record && r.delivered >= g->round_start &&
	    (now_us - g->round_start_us >= GOVERNOR_ROUND_LEAST_US ||
	     g->phase == GOVERNOR_DRAIN))
		end_round(g, now_us);
	if (is_record)
		watch_trips(g, now_us);
	steer(g, now_us, acked);
	return 0;
}

/* ---- what may be sent ---- */

size_t governor_room(const struct governor *g, size_t more_bytes)
{
	uint64_t out = in_flight(g), may = g->allowed + more_bytes;

	return out < may ? (size_t)(may - out) : 0;
}

uint64_t governor_bytes_in(const struct governor *g, mono_us_t us,
			   uint64_t least_bytes, uint64_t most_bytes)
{
	return least(most(bytes_in(g->rate, us), least_bytes), most_bytes);
}

size_t governor_frame_bytes(const struct governor *g, size_t max_bytes)
{
	/* Until it has been driven hard the line may be much faster than what
	 * was seen of it. */
	if (!g->has_full_sample)
		return max_bytes;
	return (size_t)governor_bytes_in(g, GOVERNOR_FRAME_US,
					 GOVERNOR_FRAME_LEAST_BYTES, max_bytes);
}

mono_us_t governor_waiting_since_us(const struct governor *g)
{
	return g->waiting_since_us;
}

struct governor_view governor_view(const struct governor *g)
{
	return (struct governor_view){
		.phase = g->phase,
		.rate = g->rate,
		.round_trip_us = g->rtt_us,
		.round_trip_min_us = (uint32_t)shortest_us(g),
		.in_flight_bytes = (size_t)in_flight(g),
		.allowed_bytes = g->allowed,
	};
}
