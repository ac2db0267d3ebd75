/* SPDX-License-Identifier: MIT */
/*
 * mux_pace: how much of what we send may be in ssh, and whose turn it is.
 *
 * Theory of operation
 *   What has been written to ssh can be neither reordered nor taken back.  So
 *   what is not known to have arrived is bounded: always, for the sake of ssh's
 *   memory; and on a governed link by the governor, so that what waits does so
 *   here.  What has arrived is known from probes: requests that the server
 *   answers in order.  The governor hears of bytes when a probe follows them.
 *
 *   Channels that find no room wait in a scheduler and are served at the end of
 *   the turn.  Once a channel waits nobody else may push in.
 *
 * Spec: doc/PROTOCOL.mux section 5
 */
#include <string.h>

#include "log.h"
#include "mux_internal.h"

static struct mux_channel *channel_of(struct sched_flow *f)
{
	return container_of(f, struct mux_channel, waiting);
}

/* ---- room ---- */

/* Data that may be in ssh, or in our own queue before it. */
static uint64_t on_the_way(const struct mux_link *l)
{
	uint64_t unproved = l->sent - l->passed;

	return unproved < l->unreturned ? unproved : l->unreturned;
}

/* What is bounded for the sake of memory. */
static size_t memory_room(const struct mux_link *l)
{
	uint64_t queued = on_the_way(l);

	if (l->state != MUX_LINK_READY || queued >= MUX_QUEUE_MAX_BYTES ||
	    ring_len(&l->out) >= MUX_OUT_BUSY_BYTES)
		return 0;
	size_t room = (size_t)(MUX_QUEUE_MAX_BYTES - queued);
	return room < MUX_OUT_DATA_BYTES ? room : MUX_OUT_DATA_BYTES;
}

size_t mux_link_frame_bytes(const struct mux_link *l)
{
	if (!l->is_governed)
		return MUX_MSG_DATA_MAX;
	return governor_frame_bytes(&l->up, MUX_MSG_DATA_MAX);
}

/* What the line has room for: nothing, or a whole message at least.  Who sends
 * little need not wait for room that others have taken. */
static size_t line_room(const struct mux_link *l, bool is_urgent)
{
	if (!l->is_governed)
		return SIZE_MAX;
	size_t frame = mux_link_frame_bytes(l);
	size_t left = governor_room(&l->up, is_urgent ? 2 * frame : 0);
	uint64_t not_noted = l->sent - l->up_noted;

	if (left <= not_noted)
		return 0;
	left -= (size_t)not_noted;
	return left > frame ? left : frame;
}

static size_t room(const struct mux_link *l, bool is_urgent)
{
	size_t memory = memory_room(l), line = line_room(l, is_urgent);

	return memory < line ? memory : line;
}

size_t mux_link_room(const struct mux_link *l)
{
	return room(l, false);
}

bool mux_pace_is_busy(const struct governor *g)
{
	struct governor_view line = governor_view(g);

	return line.in_flight_bytes >= line.allowed_bytes / 2;
}

/* ---- probes ---- */

static uint64_t probe_every_bytes(const struct mux_link *l)
{
	if (!l->is_governed)
		return MUX_PROBE_EVERY_BYTES;
	return governor_bytes_in(&l->up, MUX_PROBE_EVERY_US,
				 MUX_PROBE_LEAST_BYTES, MUX_PROBE_MOST_BYTES);
}

static void send_probe(struct mux_link *l, struct mux_channel *ch)
{
	mono_us_t now = loop_now_us(l->loop);
	uint8_t msg[MUX_MSG_FIXED_MAX];

	if (l->n_probes == MUX_PROBES_MAX || !ch->is_open || ch->close_sent)
		return;
	l->probes[l->n_probes++] =
		(struct mux_probe){.ch = ch, .mark = l->sent};
	l->probed = l->sent;
	if (l->is_governed) {
		governor_sent(&l->up, now, (size_t)(l->sent - l->up_noted), 0);
		l->up_noted = l->sent;
		if (!timer_is_armed(&l->probe_timer))
			timer_arm(l->loop, &l->probe_timer,
				  MUX_PROBE_PATIENCE_US);
	}
	mux_link_put(l, msg, mux_msg_build_probe(msg, ch->remote_id));
}

void mux_link_count_sent(struct mux_link *l, struct mux_channel *ch, size_t n)
{
	l->sent += n;
	l->unreturned += n;
	l->sender = ch;
	ch->unreturned += n;
	if (l->sent - l->probed >= probe_every_bytes(l))
		send_probe(l, ch);
}

void mux_link_count_returned(struct mux_link *l, struct mux_channel *ch,
			     uint64_t n)
{
	if (n > ch->unreturned)
		n = ch->unreturned;
	ch->unreturned -= n;
	l->unreturned -= n;
	mux_link_post(l);
}

static void drop_probe(struct mux_link *l, uint32_t i)
{
	l->n_probes--;
	memmove(&l->probes[i], &l->probes[i + 1],
		(l->n_probes - i) * sizeof(l->probes[0]));
}

bool mux_link_count_answer(struct mux_link *l, const struct mux_channel *ch)
{
	uint32_t i = 0;

	while (i < l->n_probes && l->probes[i].ch != ch)
		i++;
	if (i == l->n_probes)
		return false;
	uint64_t mark = l->probes[i].mark;
	drop_probe(l, i);
	timer_disarm(l->loop, &l->probe_timer);
	if (l->is_governed && l->n_probes > 0)
		timer_arm(l->loop, &l->probe_timer, MUX_PROBE_PATIENCE_US);
	l->has_answer = true;
	/* The one before, whose channel the server was closing, has none. */
	if (mark > l->passed) {
		l->passed = mark;
		if (l->is_governed)
			governor_note_way_back(&l->up,
					       mux_pace_is_busy(&l->down),
					       GOVERNOR_WAIT_UNKNOWN);
		if (l->is_governed)
			(void)governor_received(&l->up, loop_now_us(l->loop),
						mark - l->up_start, 0);
	}
	mux_link_post(l);
	return true;
}

void mux_link_forget_channel(struct mux_link *l, struct mux_channel *ch)
{
	for (uint32_t i = l->n_probes; i > 0; i--)
		if (l->probes[i - 1].ch == ch)
			drop_probe(l, i - 1);
	sched_remove(&ch->waiting);
	if (l->sender == ch)
		l->sender = NULL;
	mux_link_count_returned(l, ch, ch->unreturned);
}

/* Silence of a server that has answered before, or speaks of other things, is
 * one thing if the line is dead and another if it is not. */
static void on_probe_timer(void *ctx)
{
	struct mux_link *l = ctx;
	mono_us_t silent_us = loop_now_us(l->loop) - l->heard_us;

	if (l->n_probes == 0)
		return;
	if (l->has_answer && silent_us >= MUX_PROBE_PATIENCE_US) {
		timer_arm(l->loop, &l->probe_timer, MUX_PROBE_PATIENCE_US);
		return;
	}
	l->is_governed = false;
	log_info("the server does not answer channel requests: what is in "
		 "flight is not limited, and who sends little may wait longer");
	mux_link_post(l);
}

/* ---- turns ---- */

bool mux_link_has_waiting(struct mux_link *l)
{
	return sched_next(&l->waiting) != NULL;
}

void mux_link_wait(struct mux_link *l, struct mux_channel *ch)
{
	sched_push(&l->waiting, &ch->waiting);
	mux_link_post(l);
}

static bool has_room_for(const struct mux_link *l, const struct sched_flow *f)
{
	size_t least = l->is_governed ? 1 : MUX_ROOM_MIN_BYTES;

	return room(l, f->is_new) >= least;
}

static void serve(struct mux_link *l, struct sched_flow *f)
{
	struct mux_channel *ch = channel_of(f);
	size_t turn = l->is_governed ? mux_link_frame_bytes(l) : MUX_TURN_BYTES;
	size_t most = room(l, f->is_new);
	uint64_t before = l->sent;

	l->served = ch;
	l->turn_left = turn < most ? turn : most;
	mux_channel_serve(ch);
	l->served = NULL;
	/* Without a byte: it waits for window, if for anything. */
	if (!ch->wants_room || l->sent == before)
		sched_empty(&l->waiting, f);
	sched_charge(f, (size_t)(l->sent - before));
}

/* What was sent before has no probe that is under way: those there were may
 * have been lost with their channels. */
static void probe_rest(struct mux_link *l)
{
	struct sched_flow *first = sched_next(&l->waiting);
	uint64_t unprobed = l->sent - l->probed;

	if (l->n_probes > 0)
		return;
	if (first && l->sent > l->passed)
		send_probe(l, channel_of(first));
	else if (l->is_governed && l->sender &&
		 unprobed >= MUX_PROBE_TAIL_BYTES)
		send_probe(l, l->sender);
}

void mux_link_serve(struct mux_link *l)
{
	struct sched_flow *f;

	sched_set_quantum(&l->waiting, mux_link_frame_bytes(l));
	while ((f = sched_next(&l->waiting)) && has_room_for(l, f))
		serve(l, f);
	probe_rest(l);
	if (!f && l->is_governed)
		governor_idle(&l->up);
}

bool mux_link_wants_socket(struct mux_link *l)
{
	struct sched_flow *f = sched_next(&l->waiting);

	return f && has_room_for(l, f);
}

/* ---- life ---- */

void mux_pace_init(struct mux_link *l)
{
	sched_init(&l->waiting);
	l->probe_timer = (struct timer){.on_fire = on_probe_timer, .ctx = l};
}

void mux_pace_fini(struct mux_link *l)
{
	timer_disarm(l->loop, &l->probe_timer);
	sched_fini(&l->waiting);
}

void mux_link_govern(struct mux_link *l)
{
	if (l->is_governed)
		return;
	l->is_governed = true;
	l->up_start = l->up_noted = l->probed = l->passed = l->sent;
	governor_init(&l->up, loop_now_us(l->loop));
	governor_init(&l->down, loop_now_us(l->loop));
}
