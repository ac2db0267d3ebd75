/* SPDX-License-Identifier: MIT */
/*
 * session: streams and datagrams between the two engines, over a carrier.
 *
 * Theory of operation
 *   Frames come in by session_recv.c and leave by session_send.c; here is what
 *   lives between: the session itself, its streams, and the memory they hold.
 *
 *   Streams die in handlers and are freed by the reaper at the end of the turn,
 * so no handler finds its stream gone.  The same task tells the owner that the
 * session is over.
 *
 *   Memory.  A stream that holds bytes counts as loaded and may use an equal
 * share of SESSION_BUDGET_BYTES; a new one is promised less.  Promises are not
 * taken back, so the sum can exceed the budget; SESSION_STORED_MAX_BYTES is
 * where it ends: then single streams are reset.  Storage that stays empty for
 * TRIM_US is given back.
 *
 * Ownership: the session owns its carrier and its streams; owners of streams
 * only borrow them, until a callback says that the stream is dead or they
 * reset it.
 *
 * Spec: doc/PROTOCOL.session
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session_internal.h"

enum {
	TRIM_US = 1000000,
};

/* ---- the end ---- */

/* Told in the next turn, so that nobody finds the session gone in the middle of
 * a call. */
void session_go_down(struct session *s, const struct err *why)
{
	if (s->state == SESSION_DOWN)
		return;
	s->state = SESSION_DOWN;
	s->down_why = *why;
	timer_disarm(s->loop, &s->ack_timer);
	timer_disarm(s->loop, &s->ping_timer);
	timer_disarm(s->loop, &s->received_timer);
	timer_disarm(s->loop, &s->pace_timer);
	loop_post(s->loop, &s->reap);
}

void session_fail(struct session *s, enum frame_bye reason, const char *what)
{
	uint8_t frame[FRAME_FIXED_MAX];
	struct err why;
	struct iovec iov;

	if (s->state == SESSION_DOWN)
		return;
	iov = (struct iovec){frame, frame_build_bye(frame, reason, what)};
	if (!carrier_is_full(s->carrier))
		carrier_send(s->carrier, &iov, 1);
	(void)err_set(&why, 0, "%s", what);
	s->end = reason == FRAME_BYE_SILENCE ? SESSION_END_SILENCE
					     : SESSION_END_SAID;
	session_go_down(s, &why);
}

enum session_end session_end(const struct session *s)
{
	return s->end;
}

/* ---- streams: birth and death ---- */

/* An equal share of the budget, within limits. */
static uint32_t share_bytes(size_t n, uint32_t max)
{
	size_t share = SESSION_BUDGET_BYTES / (n ? n : 1);

	if (share > max)
		return max;
	if (share < SESSION_WINDOW_MIN_BYTES)
		return SESSION_WINDOW_MIN_BYTES;
	return (uint32_t)share;
}

uint32_t session_first_window_bytes(const struct session *s)
{
	return share_bytes(s->streams.n, SESSION_WINDOW_FIRST_BYTES);
}

uint32_t session_window_bytes(const struct session *s)
{
	uint64_t rtt_us = session_line(s).round_trip_min_us;
	uint64_t most = rtt_us * SESSION_WINDOW_BYTES_PER_MS / US_PER_MS;

	if (most < SESSION_WINDOW_USUAL_BYTES)
		most = SESSION_WINDOW_USUAL_BYTES;
	if (most > SESSION_WINDOW_MAX_BYTES)
		most = SESSION_WINDOW_MAX_BYTES;
	return share_bytes(s->n_loaded, (uint32_t)most);
}

size_t session_unsent_bytes(const struct session *s)
{
	struct governor_view line = session_line(s);
	uint64_t n = SESSION_UNSENT_MIN_BYTES;

	if (line.rate == 0)
		return SESSION_UNSENT_MAX_BYTES;
	/* While the rate is being looked for it must not be the stream that
	 * limits it. */
	if (line.phase == GOVERNOR_STARTUP && n < line.allowed_bytes)
		n = line.allowed_bytes;
	return (size_t)governor_bytes_in(&s->governor, SESSION_UNSENT_US, n,
					 SESSION_UNSENT_MAX_BYTES);
}

bool session_may_store(const struct session *s, size_t n)
{
	return s->stored_bytes + n <= SESSION_STORED_MAX_BYTES;
}

static bool is_trimmable(const struct ring *r)
{
	return r->cap > 0 && ring_len(r) == 0;
}

void session_note_storage(struct stream *st)
{
	struct session *s = st->session;
	size_t now = st->tx.cap + st->rx.cap;

	s->stored_bytes += now - st->stored_bytes;
	s->n_loaded += (now > 0) - (st->stored_bytes > 0);
	st->stored_bytes = now;
	if ((is_trimmable(&st->tx) || is_trimmable(&st->rx)) &&
	    !timer_is_armed(&s->trim_timer))
		timer_arm(s->loop, &s->trim_timer, TRIM_US);
}

struct stream *session_stream_new(struct session *s, uint32_t id)
{
	if (s->streams.n >= SESSION_STREAMS_MAX)
		return NULL;
	struct stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->session = s;
	st->ops = s->ops->stream;
	st->id = id;
	st->node.hash = htab_hash_u32(id);
	sched_flow_init(&st->flow, SCHED_STREAM);
	list_init(&st->ack_link);
	list_init(&st->room_link);
	if (htab_add(&s->streams, &st->node) < 0) {
		free(st);
		return NULL;
	}
	s->stats.streams = (uint32_t)s->streams.n;
	return st;
}

void session_stream_kill(struct stream *st)
{
	struct session *s = st->session;

	if (st->state == STREAM_DEAD)
		return;
	st->state = STREAM_DEAD;
	htab_del(&s->streams, &st->node);
	s->stats.streams = (uint32_t)s->streams.n;
	sched_remove(&st->flow);
	list_del(&st->ack_link);
	list_del(&st->room_link);
	list_push(&s->dead, &st->ack_link);
	loop_post(s->loop, &s->reap);
}

static void stream_free(struct stream *st)
{
	ring_fini(&st->tx);
	ring_fini(&st->rx);
	session_note_storage(st);
	free(st);
}

static void on_reap(void *ctx)
{
	struct session *s = ctx;
	struct list *link;

	while ((link = list_pop(&s->dead)))
		stream_free(container_of(link, struct stream, ack_link));
	if (s->state == SESSION_DOWN && s->carrier->user) {
		s->carrier->user = NULL;
		s->ops->on_down(s->ctx, &s->down_why);
	}
}

void session_maybe_close(struct stream *st)
{
	if (st->state != STREAM_OPEN || !st->tx_fin_acked ||
	    !st->rx_fin_consumed)
		return;
	if (st->rx_acked != session_consumed(st))
		session_send_ack(st);
	session_stream_kill(st);
	if (st->owner)
		st->ops->on_closed(st);
}

struct stream *session_open(struct session *s, void *owner,
			    const struct frame_open *open)
{
	uint8_t frame[FRAME_FIXED_MAX];
	struct frame_open o = *open;

	if (s->state != SESSION_UP ||
	    ring_len(&s->control) > SESSION_CONTROL_MAX_BYTES / 2)
		return NULL;
	if (s->next_id > UINT32_MAX - 2) {
		session_fail(s, FRAME_BYE_RESOURCES,
			     "the session has used up its 2^31 stream ids");
		return NULL;
	}
	struct stream *st = session_stream_new(s, s->next_id);
	if (!st)
		return NULL;
	s->next_id += 2;
	st->owner = owner;
	st->rx_limit = o.window_bytes = session_first_window_bytes(s);
	session_send_vital(s, frame, frame_build_open(frame, st->id, &o));
	return st;
}

void session_accept(struct stream *st)
{
	uint8_t frame[FRAME_FIXED_MAX];

	if (st->state != STREAM_OPENING)
		return;
	st->state = STREAM_OPEN;
	st->rx_limit = session_first_window_bytes(st->session);
	session_send_vital(
		st->session, frame,
		frame_build_opened(frame, st->id, (uint32_t)st->rx_limit));
}

void session_refuse(struct stream *st, const struct frame_refused *why)
{
	uint8_t frame[FRAME_FIXED_MAX];

	if (st->state != STREAM_OPENING)
		return;
	session_send_vital(st->session, frame,
			   frame_build_refused(frame, st->id, why));
	session_stream_kill(st);
}

void stream_reset(struct stream *st, enum frame_reason reason)
{
	uint8_t frame[FRAME_FIXED_MAX];

	if (st->state == STREAM_DEAD)
		return;
	session_send_vital(
		st->session, frame,
		frame_build_reason(frame, FRAME_RESET, st->id, reason));
	session_stream_kill(st);
}

/* ---- storage of idle streams ---- */

static void trim_stream(struct htab_node *node, void *ctx)
{
	struct stream *st = container_of(node, struct stream, node);

	(void)ctx;
	(void)ring_trim(&st->tx);
	(void)ring_trim(&st->rx);
	session_note_storage(st);
}

static void on_trim_timer(void *ctx)
{
	struct session *s = ctx;

	htab_each(&s->streams, trim_stream, NULL);
	(void)ring_trim(&s->control);
}

/* ---- the carrier ---- */

static void on_writable(void *ctx)
{
	session_pump(ctx);
}

static void on_closed(void *ctx, const struct err *why)
{
	session_go_down(ctx, why);
}

static const struct carrier_user carrier_user = {
	.on_frame = session_on_frame,
	.on_data = session_on_data,
	.on_writable = on_writable,
	.on_closed = on_closed,
};

/* ---- liveness ---- */

void session_ping(struct session *s)
{
	uint8_t frame[FRAME_FIXED_MAX];

	if (s->state != SESSION_UP)
		return;
	s->ping_sent_us = loop_now_us(s->loop);
	session_send_vital(
		s, frame, frame_build_ping(frame, FRAME_PING, s->ping_sent_us));
}

static void on_ping_timer(void *ctx)
{
	struct session *s = ctx;
	mono_us_t now_us = loop_now_us(s->loop);
	mono_us_t waiting_us = governor_waiting_since_us(&s->governor);
	uint64_t silent_us = now_us - s->heard_us;

	if (silent_us >= SESSION_SILENCE_US) {
		session_fail(s, FRAME_BYE_SILENCE,
			     "nothing was heard from the other end for 45 s");
		return;
	}
	if (waiting_us && now_us - waiting_us >= SESSION_SILENCE_US) {
		session_fail(s, FRAME_BYE_PROTOCOL,
			     "the other end has not said for 45 s what it has "
			     "received");
		return;
	}
	if (silent_us >= SESSION_PING_US || !s->stats.round_trip_us) {
		session_ping(s);
		timer_arm(s->loop, &s->ping_timer, SESSION_PING_US);
		return;
	}
	timer_arm(s->loop, &s->ping_timer, SESSION_PING_US - silent_us);
}

/* ---- the packet plane's set-up ---- */

void session_send_network(struct session *s, const struct frame_network *n)
{
	uint8_t frame[FRAME_FIXED_MAX];

	session_send_vital(s, frame, frame_build_network(frame, n));
}

void session_send_network_state(struct session *s,
				const struct frame_network_state *state)
{
	uint8_t frame[FRAME_FIXED_MAX];

	session_send_vital(s, frame, frame_build_network_state(frame, state));
}

void session_send_routes_ask(struct session *s)
{
	uint8_t frame[FRAME_HEADER_LEN];

	session_send_vital(s, frame, frame_build_routes_ask(frame));
}

void session_send_routes(struct session *s, const struct frame_routes *routes)
{
	uint8_t frame[FRAME_FIXED_MAX];

	session_send_vital(s, frame, frame_build_routes(frame, routes));
}

/* ---- statistics ---- */

struct governor_view session_line(const struct session *s)
{
	if (s->carrier->is_local)
		return (struct governor_view){.phase = GOVERNOR_STARTUP};
	return governor_view(&s->governor);
}

size_t session_frame_bytes(const struct session *s)
{
	if (s->carrier->is_local)
		return FRAME_BODY_MAX;
	return governor_frame_bytes(&s->governor, FRAME_BODY_MAX);
}

void session_when_sending(struct session *s, struct loop_task *task)
{
	list_push(&s->when_sending, &task->link);
}

uint64_t session_rate(const struct session *s)
{
	return session_line(s).rate;
}

static void on_drops_timer(void *ctx)
{
	struct session *s = ctx;
	uint8_t frame[FRAME_FIXED_MAX];

	session_send_hint(s, frame, frame_build_drops(frame, s->stats.drops));
}

/* ---- life of the session ---- */

void session_send_hello(struct session *s)
{
	uint8_t frame[FRAME_FIXED_MAX];

	session_send_vital(s, frame, frame_build_hello(frame, &s->hello));
}

struct session *session_new(struct loop *loop, enum session_role role,
			    struct carrier *carrier,
			    const struct session_ops *ops, void *ctx,
			    const struct frame_hello *hello)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s) {
		(void)carrier_free(carrier);
		return NULL;
	}
	s->loop = loop;
	s->role = role;
	s->carrier = carrier;
	s->ops = ops;
	s->ctx = ctx;
	s->hello = *hello;
	s->hello.version_highest = FRAME_VERSION_HIGHEST;
	s->hello.version_lowest = FRAME_VERSION_LOWEST;
	s->next_id = 1;
	list_init(&s->dead);
	list_init(&s->owes_ack);
	list_init(&s->got_room);
	list_init(&s->when_sending);
	governor_init(&s->governor, loop_now_us(loop));
	sched_init(&s->sched);
	s->pump = (struct loop_task){.on_run = session_pump, .ctx = s};
	s->reap = (struct loop_task){.on_run = on_reap, .ctx = s};
	list_init(&s->pump.link);
	list_init(&s->reap.link);
	s->ack_timer = (struct timer){.on_fire = session_on_due, .ctx = s};
	s->ping_timer = (struct timer){.on_fire = on_ping_timer, .ctx = s};
	s->drops_timer = (struct timer){.on_fire = on_drops_timer, .ctx = s};
	s->trim_timer = (struct timer){.on_fire = on_trim_timer, .ctx = s};
	s->received_timer = (struct timer){.on_fire = session_on_due, .ctx = s};
	s->pace_timer = (struct timer){.on_fire = session_on_due, .ctx = s};
	s->heard_us = loop_now_us(loop);
	timer_arm(loop, &s->ping_timer, SESSION_PING_US);
	carrier_bind(carrier, &carrier_user, s);
	if (role == SESSION_FAR)
		session_send_hello(s);
	return s;
}

static void free_node(struct htab_node *node, void *ctx)
{
	(void)ctx;
	stream_free(container_of(node, struct stream, node));
}

struct session *session_free(struct session *s)
{
	struct list *link;

	if (!s)
		return NULL;
	timer_disarm(s->loop, &s->ack_timer);
	timer_disarm(s->loop, &s->ping_timer);
	timer_disarm(s->loop, &s->drops_timer);
	timer_disarm(s->loop, &s->trim_timer);
	timer_disarm(s->loop, &s->received_timer);
	timer_disarm(s->loop, &s->pace_timer);
	loop_unpost(&s->pump);
	loop_unpost(&s->reap);
	s->carrier->user = NULL;
	s->carrier = carrier_free(s->carrier);
	sched_fini(&s->sched);
	while (list_pop(&s->when_sending))
		;
	while ((link = list_pop(&s->dead)))
		stream_free(container_of(link, struct stream, ack_link));
	htab_each(&s->streams, free_node, NULL);
	htab_fini(&s->streams);
	ring_fini(&s->control);
	free(s);
	return NULL;
}

void session_bye(struct session *s, enum frame_bye reason, const char *text)
{
	uint8_t frame[FRAME_FIXED_MAX];

	if (s->state == SESSION_DOWN)
		return;
	session_send_vital(s, frame, frame_build_bye(frame, reason, text));
	session_pump(s);
}

bool session_is_up(const struct session *s)
{
	return s->state == SESSION_UP;
}

const struct session_stats *session_stats(const struct session *s)
{
	return &s->stats;
}

void session_count_drop(struct session *s, enum drop_reason reason)
{
	s->stats.drops[reason]++;
	if (s->role == SESSION_FAR && s->state == SESSION_UP &&
	    !timer_is_armed(&s->drops_timer))
		timer_arm(s->loop, &s->drops_timer, SESSION_DROPS_DELAY_US);
}
