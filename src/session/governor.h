/* SPDX-License-Identifier: MIT */
/*
 * governor: how much may be in flight, so that the queue forms here and not in
 * the network.
 *
 * Fed with what was sent and what the other end has received; estimates the
 * delivery rate of the bottleneck and the round trip without a queue, and
 * allows a little more than their product.  Pure: the clock is an argument.
 *
 * Theory: doc/GOVERNOR.md
 */
#ifndef ECSSH_GOVERNOR_H
#define ECSSH_GOVERNOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"

enum {
	/* In flight before anything is known, and at the least ever. */
	GOVERNOR_FIRST_BYTES = 64 << 10,
	GOVERNOR_LEAST_BYTES = 4 << 10,
	/* A frame takes this long on the line at most ... */
	GOVERNOR_FRAME_US = 5000,
	/* ... but is not made smaller than this. */
	GOVERNOR_FRAME_LEAST_BYTES = 1200,
	/* The round trip without a queue is looked for again after this. */
	GOVERNOR_RTT_WINDOW_US = 10000000,
	GOVERNOR_RECORDS = 512, /* sends that are remembered one by one */
	GOVERNOR_RATE_ROUNDS = 10,
	/* A round is at least this long: round trips of 0.1 ms say little. */
	GOVERNOR_ROUND_LEAST_US = 20000,
	/* In flight when cruising: rate x (round trip + gain + slack), or rate
	 * x (round trip + time between acknowledgements) if that is more, and
	 * what is seen to come in heaps.  The gain is a tenth up to 6 ms, and
	 * 6 % for longer trips. */
	GOVERNOR_GAIN_PERMILLE = 100,
	GOVERNOR_GAIN_US = 6000,
	GOVERNOR_GAIN_LONG_PERMILLE = 60,
	GOVERNOR_SLACK_US = 2000,
	GOVERNOR_HEAP_PERMILLE = 900, /* of the largest heap of late */
	/* A hole is seen, filled and heard of within so much of a trip, beyond
	 * the trip of what it holds up. */
	GOVERNOR_HOLE_PERMILLE = 1500,
	/* Besides that: the largest heap, and besides a round trip the longest
	 * time between acknowledgements, that is reckoned with. */
	GOVERNOR_HEAP_US = 6000,
	GOVERNOR_GAP_US = 20000,
	/* While the way back is busy, and nobody says how long acknowledgements
	 * wait there: the largest heap, and what is taken for their wait, half
	 * a trip more than 2 ms at most. */
	GOVERNOR_HEAP_BUSY_US = 4000,
	GOVERNOR_BACK_US = 12000,
	GOVERNOR_BACK_LEAST_US = 2000,
	/* Of a wait that is told, besides a quarter of the trip: no queue of a
	 * governor's is longer. */
	GOVERNOR_WAIT_US = 20000,
	/* Rounds of longer trips than what is in flight explains, until it is
	 * looked for the reason; doubled each time there was none. */
	GOVERNOR_PATIENCE_ROUNDS = 5,
	GOVERNOR_PATIENCE_ROUNDS_MOST = 80,
	/* Nobody is believed more than that. */
	GOVERNOR_MOST_BYTES = 512 << 20,
	GOVERNOR_TIME_US_MOST = 300000000,
};

#define GOVERNOR_WAIT_UNKNOWN UINT64_MAX

enum governor_phase {
	GOVERNOR_STARTUP, /* doubles each round trip while the rate follows */
	GOVERNOR_CRUISE,  /* rate x round trip x a small gain */
	GOVERNOR_DRAIN,	  /* less than that, to see the line without a queue */
};

/* Bytes that were sent at one time, or nearly. */
struct governor_record {
	uint64_t end; /* total bytes sent, these included */
	mono_us_t sent_us;
	uint32_t own_bytes; /* of them, at that very time, as far as known */
	/* As it was then: */
	uint64_t delivered;
	mono_us_t delivered_us;
	mono_us_t first_sent_us; /* when the bytes last delivered were sent */
	bool is_app_limited;
};

/* The trip of bytes that were sent at one time. */
struct governor_trip {
	uint32_t us; /* with the time that the line is busy with them */
	uint32_t own_bytes;
};

/* What came within a time, and was more than the rate promised. */
struct governor_heap {
	uint64_t acked;
	mono_us_t us;
};

/* What it has found out, for status; bytes/s and microseconds.  The shortest
 * trip is without the time that the line is busy with the bytes themselves. */
struct governor_view {
	enum governor_phase phase;
	uint64_t rate;		    /* 0: not known yet */
	uint32_t round_trip_us;	    /* latest; 0: not known yet */
	uint32_t round_trip_min_us; /* 0: not known yet */
	size_t in_flight_bytes;
	size_t allowed_bytes;
};

/* Everything but governor.c treats it as opaque. */
struct governor {
	enum governor_phase phase;
	size_t allowed;

	/* Totals of bytes, and when the last of those delivered was, and when
	 * it had been sent. */
	uint64_t sent;
	uint64_t delivered;
	mono_us_t delivered_us;
	mono_us_t first_sent_us;
	mono_us_t waiting_since_us;
	bool is_app_limited; /* until more than this is delivered: */
	uint64_t app_limited_end;
	struct governor_record records[GOVERNOR_RECORDS]; /* a ring */
	unsigned first_record;
	unsigned n_records;

	/* A round ends when something is delivered that was sent in it. */
	uint64_t round_start; /* bytes delivered when it began */
	mono_us_t round_start_us;
	struct governor_trip round_shortest; /* none: UINT32_MAX us */
	bool is_round_full;  /* something in it was not limited by us */
	bool is_round_short; /* some trip was as long as expected */
	bool is_round_long;  /* some was longer */

	/* The highest of the last rounds, the current one at rates[0]. */
	uint64_t rate;
	uint64_t rates[GOVERNOR_RATE_ROUNDS];
	/* The largest of the same rounds, and what may become one. */
	struct governor_heap heaps[GOVERNOR_RATE_ROUNDS];
	uint64_t heap_acked;
	mono_us_t heap_start_us;

	bool is_way_back_busy;
	bool is_wait_known;
	uint32_t wait_us; /* there, on average */

	mono_us_t heard_us;   /* last acknowledgement; or sent into nothing */
	uint32_t gap_us;      /* between two of them, on average */
	uint32_t gap_more_us; /* and what that lacks, up to the same */

	uint32_t rtt_us;
	struct governor_trip shortest; /* of late; not known: 0 us */
	/* How long the line is busy with what fills it and is sent at one time,
	 * on average. */
	uint32_t own_us;
	mono_us_t rtt_near_min_us; /* last time that it was near that */

	uint64_t phase_start; /* bytes delivered when it began */

	/* STARTUP and CRUISE: rounds in a row. */
	uint64_t rate_before;
	unsigned n_rounds;
	/* CRUISE: trips are longer than can be explained ... */
	unsigned n_long_rounds;
	unsigned patience_rounds;
	/* ... or much longer (in STARTUP: longer), without exception since: */
	mono_us_t long_since_us; /* 0: not so */
	uint64_t long_since;	 /* bytes delivered by then */

	/* DRAIN */
	bool is_path_suspect;
	bool is_drained;  /* as much as it is to be */
	bool has_drained; /* once in this phase */
	mono_us_t drain_since_us;
	uint64_t drain_rate;
	uint64_t drain_rtt_us; /* the shortest before this */
	bool has_full_sample;  /* of the rate, ever */
	bool has_started;      /* has left STARTUP once */
};

void governor_init(struct governor *g, mono_us_t now_us);

/* Bytes went to the carrier, own_bytes of them at this very time, so that the
 * line is busy with those from their first to their last; 0: nobody knows. */
void governor_sent(struct governor *g, mono_us_t now_us, size_t bytes,
		   size_t own_bytes);

/* So many bytes of those in flight will not come: they are not in flight. */
void governor_withdraw(struct governor *g, size_t bytes);

/*
 * While the way back is busy acknowledgements wait there.  For that time the
 * line must have enough to do; but the heaps that they then come in are no
 * reason to have more in flight.  wait_us: of the one that is received next,
 * which is part of its delay; GOVERNOR_WAIT_UNKNOWN: nobody can tell, and it is
 * no part of any delay.  Then a little is taken for granted.
 */
void governor_note_way_back(struct governor *g, bool is_busy, uint64_t wait_us);

/* The longest such wait that is counted. */
uint64_t governor_wait_most_us(const struct governor *g);

/* There was room and nothing (more) to send: what is measured until the bytes
 * now in flight are delivered says nothing about the line. */
void governor_idle(struct governor *g);

/*
 * The other end has received `total` bytes in all, and kept that to itself for
 * delay_us.  Returns 0, or -EBADMSG: more than was sent, or less than before.
 */
int governor_received(struct governor *g, mono_us_t now_us, uint64_t total,
		      uint32_t delay_us);

/* How many bytes may be sent now if more_bytes may be in flight beyond what is
 * allowed; frames may overshoot it by one. */
size_t governor_room(const struct governor *g, size_t more_bytes);

/* As much as the line takes in us, within least and most. */
uint64_t governor_bytes_in(const struct governor *g, mono_us_t us,
			   uint64_t least_bytes, uint64_t most_bytes);

/* The most that a frame should hold, headers included, up to max_bytes. */
size_t governor_frame_bytes(const struct governor *g, size_t max_bytes);

/* Since when bytes are in flight and none of them has been received; 0: not so.
 */
mono_us_t governor_waiting_since_us(const struct governor *g);

struct governor_view governor_view(const struct governor *g);

#endif
