/* SPDX-License-Identifier: MIT */
/*
 * governor_rig: a governor and the simulated line that it governs.
 *
 *   sender -> queue -> bottleneck -> half a round trip -> receiver
 *      ^                                                     |
 *      +------ half a round trip <- every 16 KiB or 5 ms ----+
 *
 * Time is virtual.  Nothing is lost, as on a carrier; what TCP would lose and
 * send again comes a round trip late, and all that follows it comes no sooner.
 */
#ifndef ECSSH_UNIT_GOVERNOR_RIG_H
#define ECSSH_UNIT_GOVERNOR_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "governor.h"
#include "reference.h"

enum {
	GOVERNOR_RIG_FRAME = 16374,
	GOVERNOR_RIG_FRAMES = 1 << 17, /* on their way at one time */
	GOVERNOR_RIG_ACKS = 1 << 15,
	GOVERNOR_RIG_BUCKETS = 8192,
};

#define MBIT	 UINT64_C(125000) /* bytes/s */
#define MS	 US_PER_MS
#define SECOND	 US_PER_SEC
#define NEVER	 UINT64_MAX
#define START_US (7 * SECOND)

struct governor_rig_frame {
	uint64_t end;
	mono_us_t at_us; /* in the queue since; then: arrives */
	uint32_t bytes;
};

struct governor_rig_ack {
	mono_us_t at_us;
	uint64_t total;
	uint32_t delay_us;
	mono_us_t wait_us; /* part of that */
};

struct governor_rig_line {
	uint64_t rate;
	mono_us_t rtt_us;
	size_t ack_bytes;
	mono_us_t ack_us;
	unsigned loss_ppm;   /* of packets of TCP */
	mono_us_t repair_us; /* what is lost comes so much later */
	mono_us_t jitter_us; /* trips are up to this longer */
	mono_us_t stall_us;  /* the sender sleeps for up to this ... */
	mono_us_t stall_every_us;
	/* Acknowledgements wait for up to so long on the way back: a little
	 * longer each time, until they do not. */
	mono_us_t back_us;
	bool is_mute; /* no acknowledgements */
	bool is_dead; /* nothing leaves the bottleneck */
};

struct governor_rig {
	struct governor g;
	struct governor_rig_line line;
	struct rng rng;
	mono_us_t now_us;

	/* Sender. */
	bool is_greedy;
	uint64_t app_rate; /* if not greedy */
	mono_us_t app_us;  /* has produced until then */
	uint64_t app_bytes;
	uint64_t sent;
	mono_us_t asleep_until_us;
	mono_us_t stall_us;
	mono_us_t request_us; /* of the next small frame; NEVER: none */

	/* The line: frames[out..mid) travel, [mid..in) are queued. */
	struct governor_rig_frame frames[GOVERNOR_RIG_FRAMES];
	uint64_t out, mid, in;
	mono_us_t depart_us; /* of frames[mid]; NEVER: none begun */
	mono_us_t begun_us;
	uint64_t depart_rest; /* of a microsecond */
	mono_us_t last_arrival_us;
	mono_us_t late_us; /* jitter now */

	/* TCP, if cwnd > 0: slow start and no end of it. */
	size_t cwnd;
	uint64_t tcp; /* frames[tcp] is the next it hears of */

	/* Receiver. */
	uint64_t received, acked;
	mono_us_t ack_timer_us;
	mono_us_t received_us;
	struct governor_rig_ack acks[GOVERNOR_RIG_ACKS];
	uint64_t ack_out, ack_in;

	/* What is measured since governor_rig_measure(). */
	mono_us_t since_us;
	uint64_t since_received;
	uint64_t n_frames, queue_us_sum;
	uint32_t queue_us[GOVERNOR_RIG_BUCKETS];
	size_t allowed_most;
};

/* To be freed.  Its sender is greedy from START_US on. */
struct governor_rig *governor_rig_new(uint64_t mbit, mono_us_t rtt_us);

void governor_rig_run(struct governor_rig *s, mono_us_t us);

/* In bytes/s; from now on. */
void governor_rig_set_rate(struct governor_rig *s, uint64_t rate);
void governor_rig_set_dead(struct governor_rig *s, bool is_dead);

/* What comes is counted anew. */
void governor_rig_measure(struct governor_rig *s);

unsigned governor_rig_goodput_permille(const struct governor_rig *s);
mono_us_t governor_rig_queue_p95_us(const struct governor_rig *s);

/* Goodput and mean queue since governor_rig_measure; what they were if it is
 * worse, or if $ECSSH_TEST_FIGURES is set. */
void governor_rig_require(const struct governor_rig *s, const char *what,
			  unsigned least_permille, mono_us_t most_queue_us);

#endif
