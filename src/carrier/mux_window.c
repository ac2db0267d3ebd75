/* SPDX-License-Identifier: MIT */
/*
 * mux_window: what the server may send on a channel, and on all of them.
 *
 * Theory of operation
 *   A window is what one channel may have on its way, and what a server reads
 *   ahead.  It grows while it is used up within a few round trips.
 *
 *   On a governed link the windows of all channels that use them up (bulk) are
 *   together what may be in flight: a governor is told of what was granted as
 *   if we had sent it, and of what came.  What it allows is granted in turn, by
 *   the scheduler.  A channel that is new or idle has a small window of its
 *   own, so that it never waits for others.
 *
 * Spec: doc/PROTOCOL.mux section 4; the numbers were found by trial
 */
#include "mux_internal.h"

enum {
	FIRST_BYTES = 128 << 10,
	/* ssh drops what would make more than 128 MiB wait for us. */
	TOTAL_BYTES = 96 << 20,
	SHARED_BYTES = 256 << 20, /* a channel's: that / channels */
	/* What OpenSSH grants to one channel. */
	USUAL_BYTES = 2 << 20,
	/* A window used up within that time grows while all together are not
	 * beyond so much, and then only if it does not last some round trips.
	 * Both ends of ssh keep a window's worth at hand and copy it whole as
	 * it grows: with eight windows of 2 MiB ssh does nothing else (250
	 * Mbit/s instead of 4,000).  And it waits in sockets: with 2 MiB a
	 * request beside a stream down a plain veth had p95 of 6.9 ms instead
	 * of 3.9, with half a MiB a sixth of the goodput was lost.  A line with
	 * a trip as short as SHORT_TRIP_US holds no more at 4 Gbit/s: there the
	 * round trips are mostly the programs', and say nothing of it.
	 */
	GROW_WITHIN_US = 500000,
	GROW_TO_BYTES = 1 << 20,
	SHORT_TRIP_US = 2000,
	ROUND_TRIPS = 3,
	/* Governed: */
	BUSY_US = 15000, /* more than the shortest trip, on a busy line */
	FIRST_UNKNOWN_BYTES = 64 << 10,
	FIRST_LEAST_BYTES = 16 << 10,
	FIRST_US = 10000, /* of the line's time */
	STEP_LEAST_BYTES = 4 << 10,
	STEP_MOST_BYTES = 128 << 10,
	STEP_US = 2000,
	/* Bulk is over when nothing has come for so long, and some trips. */
	BULK_PAUSE_US = 250000,
	BULK_PAUSE_TRIPS = 4,
	BULK_PAUSE_MOST_US = 2000000,
};

/* ---- how large ---- */

/* What is left of the total when the channels to come have their least. */
static uint64_t spare_window(const struct mux_link *l)
{
	uint64_t kept = (uint64_t)MUX_WINDOW_MIN_BYTES *
			(MUX_LINK_CHANNELS_MAX - l->n_channels);
	uint64_t taken = l->committed + kept;

	return taken < TOTAL_BYTES ? TOTAL_BYTES - taken : 0;
}

static uint32_t window_limit(const struct mux_channel *ch)
{
	uint32_t share = SHARED_BYTES / (ch->link->n_channels + 1);

	return share < ch->rx_asked ? share : ch->rx_asked;
}

static void set_window_max(struct mux_channel *ch, uint32_t bytes)
{
	ch->link->committed += bytes;
	ch->link->committed -= ch->rx_max;
	ch->rx_max = bytes;
}

/* TCP channels are many and mostly short. */
static uint64_t usual_first_window(const struct mux_channel *ch)
{
	const struct mux_link *l = ch->link;

	if (l->is_governed && governor_view(&l->down).rate == 0)
		return FIRST_UNKNOWN_BYTES;
	if (l->is_governed)
		return governor_bytes_in(&l->down, FIRST_US, FIRST_LEAST_BYTES,
					 FIRST_BYTES);
	return ch->kind == MUX_DIRECT_TCPIP ? FIRST_BYTES : USUAL_BYTES;
}

static uint32_t first_window(const struct mux_channel *ch)
{
	uint64_t window = window_limit(ch), most = usual_first_window(ch);
	uint64_t spare = spare_window(ch->link);

	if (window > most)
		window = most;
	if (window > spare / 4)
		window = spare / 4;
	return window > MUX_WINDOW_MIN_BYTES ? (uint32_t)window
					     : MUX_WINDOW_MIN_BYTES;
}

/* The shortest that is known. */
static uint64_t trip_us(const struct mux_link *l)
{
	uint64_t us = governor_view(&l->down).round_trip_min_us;

	return us ? us : l->rtt_us;
}

/* In which a server that has enough to send uses its window up. */
static uint64_t busy_trip_us(const struct mux_link *l)
{
	return trip_us(l) + BUSY_US;
}

static bool is_fast(const struct mux_channel *ch, uint64_t took_us)
{
	return took_us < GROW_WITHIN_US ||
	       took_us < ROUND_TRIPS * ch->link->rtt_us;
}

/* Has the window been used up so fast that it may be what slows the server?
 * Returns by how much it is to grow. */
static uint64_t growth(const struct mux_channel *ch, uint64_t took_us)
{
	const struct mux_link *l = ch->link;

	if (l->is_governed ? took_us > busy_trip_us(l) / 2 * 3
			   : took_us >= GROW_WITHIN_US)
		return 0;
	if (trip_us(l) > SHORT_TRIP_US && took_us < ROUND_TRIPS * trip_us(l))
		return ch->rx_max;
	if (l->committed >= GROW_TO_BYTES)
		return 0;
	return ch->rx_max < GROW_TO_BYTES - l->committed
		       ? ch->rx_max
		       : GROW_TO_BYTES - l->committed;
}

/* Its server has less to send than it may: what it leaves is for others. */
static bool is_too_large(const struct mux_channel *ch, uint64_t took_us)
{
	return ch->link->is_governed &&
	       took_us > ROUND_TRIPS * busy_trip_us(ch->link) &&
	       ch->rx_max / 2 >= first_window(ch);
}

/* ---- bulk ---- */

static void begin_bulk(struct mux_channel *ch)
{
	struct mux_link *l = ch->link;

	if (!l->is_governed || ch->is_bulk)
		return;
	ch->is_bulk = true;
	list_push(&l->bulks, &ch->bulk);
	governor_sent(&l->down, loop_now_us(l->loop), ch->rx_window, 0);
	if (!timer_is_armed(&l->bulk_timer))
		timer_arm(l->loop, &l->bulk_timer, BULK_PAUSE_US);
}

static void end_bulk(struct mux_channel *ch)
{
	if (!ch->is_bulk)
		return;
	ch->is_bulk = false;
	list_del(&ch->bulk);
	sched_remove(&ch->granting);
	governor_withdraw(&ch->link->down, ch->rx_window);
	mux_link_post(ch->link);
}

/* Those that pause get a new one's window. */
static void on_bulk_timer(void *ctx)
{
	struct mux_link *l = ctx;
	mono_us_t now = loop_now_us(l->loop);
	uint64_t pause_us = BULK_PAUSE_TRIPS * trip_us(l);

	if (pause_us < BULK_PAUSE_US)
		pause_us = BULK_PAUSE_US;
	if (pause_us > BULK_PAUSE_MOST_US)
		pause_us = BULK_PAUSE_MOST_US;
	list_for_each_safe (pos, &l->bulks) {
		struct mux_channel *ch =
			container_of(pos, struct mux_channel, bulk);
		uint32_t first = first_window(ch);
		uint32_t in_use = ch->rx_window + ch->held;

		/* Who may send nothing does not pause. */
		if (ch->rx_window == 0 || now - ch->used_us < pause_us)
			continue;
		end_bulk(ch);
		if (first < ch->rx_max)
			set_window_max(ch, in_use > first ? in_use : first);
		ch->used = 0;
		ch->epoch_us = now;
	}
	if (!list_is_empty(&l->bulks))
		timer_arm(l->loop, &l->bulk_timer, BULK_PAUSE_US);
}

/* ---- granting ---- */

static void fit_window(struct mux_channel *ch)
{
	mono_us_t now = loop_now_us(ch->link->loop);
	uint32_t limit = window_limit(ch), in_use = ch->rx_window + ch->held;
	uint32_t room = ch->rx_max < limit ? limit - ch->rx_max : 0;

	if (ch->rx_max > limit)
		set_window_max(ch, in_use > limit ? in_use : limit);
	if (ch->used < ch->rx_max)
		return;
	if (is_fast(ch, now - ch->epoch_us))
		begin_bulk(ch);
	uint64_t more = growth(ch, now - ch->epoch_us);
	if (more > 0) {
		if (more > room)
			more = room;
		if (more <= spare_window(ch->link) / 4)
			set_window_max(ch, ch->rx_max + (uint32_t)more);
	} else if (is_too_large(ch, now - ch->epoch_us)) {
		uint32_t half = ch->rx_max / 2;

		set_window_max(ch, in_use > half ? in_use : half);
	}
	ch->used = 0;
	ch->epoch_us = now;
}

static uint32_t free_window(const struct mux_channel *ch)
{
	return ch->rx_max - ch->rx_window - ch->held;
}

static bool may_grant(const struct mux_channel *ch)
{
	return ch->is_confirmed && !ch->close_sent && !ch->eof_seen;
}

static void send_adjust(struct mux_channel *ch, uint32_t n)
{
	uint8_t msg[MUX_MSG_FIXED_MAX];

	if (n == 0)
		return;
	ch->rx_window += n;
	mux_link_put(ch->link, msg,
		     mux_msg_build_adjust(msg, ch->remote_id, n));
}

static uint64_t bulk_step_bytes(const struct mux_link *l)
{
	return governor_bytes_in(&l->down, STEP_US, STEP_LEAST_BYTES,
				 STEP_MOST_BYTES);
}

/* What is worth a message. */
static uint32_t step_bytes(const struct mux_channel *ch)
{
	uint32_t quarter = ch->rx_max / 4;
	uint64_t step = quarter;

	if (ch->is_bulk)
		step = bulk_step_bytes(ch->link);
	return step < quarter ? (uint32_t)step : quarter;
}

void mux_window_grant(struct mux_channel *ch)
{
	if (!may_grant(ch) || free_window(ch) < step_bytes(ch))
		return;
	fit_window(ch);
	if (ch->is_bulk && free_window(ch) > 0) {
		sched_push(&ch->link->grants, &ch->granting);
		mux_link_post(ch->link);
	} else if (!ch->is_bulk) {
		send_adjust(ch, free_window(ch));
	}
}

static bool has_room_for(const struct mux_link *l, const struct sched_flow *f)
{
	size_t urgent = f->is_new ? 2 * (size_t)bulk_step_bytes(l) : 0;

	return !l->is_governed || governor_room(&l->down, urgent) > 0;
}

static void serve(struct mux_link *l, struct sched_flow *f)
{
	struct mux_channel *ch = container_of(f, struct mux_channel, granting);
	uint32_t n = free_window(ch), step = step_bytes(ch);

	if (n > step && step > 0)
		n = step;
	send_adjust(ch, n);
	if (l->is_governed)
		governor_sent(&l->down, loop_now_us(l->loop), n, 0);
	sched_charge(f, n);
	if (free_window(ch) < step_bytes(ch))
		sched_empty(&l->grants, f);
}

void mux_window_serve(struct mux_link *l)
{
	struct sched_flow *f;

	if (l->is_governed)
		governor_note_way_back(&l->down, mux_pace_is_busy(&l->up),
				       GOVERNOR_WAIT_UNKNOWN);
	if (l->is_governed)
		(void)governor_received(&l->down, loop_now_us(l->loop),
					l->down_total, 0);
	while ((f = sched_next(&l->grants)) && has_room_for(l, f))
		serve(l, f);
	if (!f && l->is_governed)
		governor_idle(&l->down);
}

/* ---- life ---- */

void mux_window_begin(struct mux_channel *ch)
{
	set_window_max(ch, first_window(ch));
	ch->rx_window = ch->rx_max;
}

void mux_window_use(struct mux_channel *ch, size_t len)
{
	ch->rx_window -= (uint32_t)len;
	ch->used += len < UINT32_MAX - ch->used ? (uint32_t)len : 0;
	ch->used_us = loop_now_us(ch->link->loop);
	if (!ch->is_bulk)
		return;
	ch->link->down_total += len;
	mux_link_post(ch->link);
}

void mux_window_stop(struct mux_channel *ch)
{
	end_bulk(ch);
}

void mux_window_end(struct mux_channel *ch)
{
	end_bulk(ch);
	set_window_max(ch, 0);
}

void mux_window_init(struct mux_link *l)
{
	sched_init(&l->grants);
	list_init(&l->bulks);
	l->bulk_timer = (struct timer){.on_fire = on_bulk_timer, .ctx = l};
}

void mux_window_fini(struct mux_link *l)
{
	timer_disarm(l->loop, &l->bulk_timer);
	sched_fini(&l->grants);
}
