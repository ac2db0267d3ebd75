/* SPDX-License-Identifier: MIT */
/*
 * session_send: what leaves, in which order.
 *
 * Theory of operation
 *   Whatever wants to be sent is noted (a control frame in `control`, a stream
 *   or datagram queue in `sched`, an ACK owed in `owes_ack`) and the pump is
 *   posted.  Once a turn of the loop the pump gives the carrier as much as the
 *   governor allows to be in flight: control frames and ACKs first, whatever
 *   it allows, then flows in the order of sched.c, in frames that do not occupy
 *   the line for long.  Stream bytes go from their ring to the carrier without
 *   a copy.  What is not allowed waits here, where who comes next can still be
 *   decided, until RECEIVED makes room.
 *
 *   An ACK is sent at once when a quarter of the window was consumed, otherwise
 *   with the next thing that is sent anyway, at the latest after
 *   SESSION_ACK_DELAY_US.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "session_internal.h"

enum {
	BATCH_BYTES = 128 << 10, /* handed to the carrier at once */
	BATCH_IOV = 64,
	BATCH_FRAMES = 20, /* with two ring parts each this fits BATCH_IOV */
	FULL_FRAME = FRAME_DATA_OVERHEAD + FRAME_DATA_MAX,
};

void session_want_pump(struct session *s)
{
	if (s->state != SESSION_DOWN)
		loop_post(s->loop, &s->pump);
}

void session_send_vital(struct session *s, const uint8_t *frame, size_t len)
{
	if (s->state == SESSION_DOWN)
		return;
	if (ring_len(&s->control) + len > SESSION_CONTROL_MAX_BYTES ||
	    ring_push(&s->control, frame, len) < 0) {
		session_fail(s, FRAME_BYE_RESOURCES,
			     "the other end does not read what it is sent");
		return;
	}
	s->stats.tx_frames++;
	session_want_pump(s);
}

void session_send_hint(struct session *s, const uint8_t *frame, size_t len)
{
	if (ring_len(&s->control) > SESSION_HINTS_BYTES)
		session_count_drop(s, DROP_QUEUE_FULL);
	else
		session_send_vital(s, frame, len);
}

/* What is being gathered for one carrier_send. */
struct batch {
	struct iovec iov[BATCH_IOV];
	int n_iov;
	uint8_t headers[BATCH_FRAMES * FRAME_DATA_OVERHEAD];
	size_t headers_len;
	uint8_t received[FRAME_HEADER_LEN + 20];
	int n_frames;
	size_t bytes;	     /* RECEIVED not counted */
	size_t most_bytes;   /* that flows may fill it to, */
	size_t urgent_bytes; /* and that new ones may */
	size_t lump_bytes;   /* for one SSH packet: one frame, or so much */
	size_t data_max;     /* bytes of a stream in one frame */
	bool is_free;	     /* it may overtake what was sent before */
	struct list sent;    /* struct dgram, to be freed after sending */
};

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void batch_add(struct batch *b, const void *p, size_t len)
{
	b->iov[b->n_iov++] = (struct iovec){(void *)(uintptr_t)p, len};
	b->bytes += len;
}

/* What the next DATA frame of a stream holds; 0: there is none. */
static size_t data_len(const struct batch *b, const struct stream *st)
{
	uint64_t end = lesser(st->tx.end, st->tx_limit);

	if (st->tx.start >= end)
		return 0;
	return (size_t)lesser(end - st->tx.start, b->data_max);
}

/* One DATA frame of a stream.  Returns its size, 0 if the stream has none. */
static size_t gather_data(struct session *s, struct batch *b, struct stream *st)
{
	struct iovec parts[2];
	size_t len = data_len(b, st);

	if (len == 0)
		return 0;
	uint8_t *header = b->headers + b->headers_len;

	b->headers_len += frame_build_data(header, st->id, st->tx.start, len);
	batch_add(b, header, FRAME_DATA_OVERHEAD);
	int n = ring_peek(&st->tx, st->tx.start, len, parts);
	for (int i = 0; i < n; i++)
		batch_add(b, parts[i].iov_base, parts[i].iov_len);
	/* The storage stays as it is while the carrier takes them. */
	ring_drop(&st->tx, st->tx.start + len);
	session_note_storage(st);
	b->n_frames++;
	s->stats.tx_bytes += len;
	s->stats.tx_frames++;
	return FRAME_DATA_OVERHEAD + len;
}

static bool stream_has_data(const struct stream *st)
{
	return ring_len(&st->tx) > 0 && st->tx.start < st->tx_limit;
}

static bool owes_fin(const struct stream *st)
{
	return st->tx_fin && !st->tx_fin_sent && ring_len(&st->tx) == 0;
}

/* Half of what a stream may have ready has gone: its owner is to fill it up. */
static void note_room(struct session *s, struct stream *st, uint64_t before)
{
	uint64_t low = session_unsent_bytes(s) / 2;

	if (before > low && ring_len(&st->tx) <= low &&
	    list_is_empty(&st->room_link))
		list_push(&s->got_room, &st->room_link);
}

/* The stream's turn to send. */
static size_t gather_stream(struct session *s, struct batch *b,
			    struct stream *st)
{
	uint64_t unsent = ring_len(&st->tx);
	size_t sent = gather_data(s, b, st);

	note_room(s, st, unsent);

	if (owes_fin(st)) {
		uint8_t *header = b->headers + b->headers_len;
		size_t len = frame_build_fin(header, st->id, st->tx.end);

		b->headers_len += len;
		batch_add(b, header, len);
		b->n_frames++;
		st->tx_fin_sent = true;
		s->stats.tx_frames++;
		sent += len;
	}
	if (!stream_has_data(st))
		sched_empty(&s->sched, &st->flow);
	return sent;
}

static size_t gather_dgram(struct session *s, struct batch *b,
			   struct dgram_queue *q)
{
	struct dgram *d = dgram_queue_pop(s, q);

	if (q->n == 0)
		sched_empty(&s->sched, &q->flow);
	if (!d)
		return 0;
	batch_add(b, d->frame, d->len);
	list_push(&b->sent, &d->link);
	b->n_frames++;
	s->stats.tx_bytes += d->len - d->overhead;
	s->stats.tx_frames++;
	return d->len;
}

/* A flow that sends little need not wait over there for what is lost of others;
 * but what a stream has sent before must be there. */
static bool is_free(const struct session *s, struct sched_flow *f)
{
	const struct stream *st = container_of(f, struct stream, flow);

	if (!s->carrier->may_overtake || !f->is_new)
		return false;
	return f->kind == SCHED_DGRAM ||
	       (st->tx_acked > 0 && st->tx_acked == st->tx.start);
}

/* A paced carrier gets less than one frame, and one more. */
static_assert(FRAME_BODY_MAX + FRAME_HEADER_LEN + FRAME_BODY_MAX <=
		      (int)CARRIER_FREE_MAX,
	      "what is free fits into one send_free");

/* The next frame of a flow, if it is not dropped. */
static size_t frame_bytes(const struct batch *b, struct sched_flow *f)
{
	struct dgram_queue *q;

	if (f->kind == SCHED_STREAM)
		return FRAME_DATA_OVERHEAD +
		       data_len(b, container_of(f, struct stream, flow));
	q = container_of(f, struct dgram_queue, flow);
	return list_is_empty(&q->dgrams)
		       ? 0
		       : container_of(q->dgrams.next, struct dgram, link)->len;
}

/* hop up 7/11, down 3/9: whose turn it is, by sched.c */
static void gather_flows(struct session *s, struct batch *b)
{
	struct sched_flow *f;

	/* A turn may add two frames (DATA, FIN) and three parts. */
	while (b->n_frames + 2 <= BATCH_FRAMES && b->n_iov + 4 <= BATCH_IOV &&
	       (f = sched_next(&s->sched))) {
		size_t sent;

		if (b->bytes >= (f->is_new ? b->urgent_bytes : b->most_bytes))
			break;
		if (b->n_frames > 0 &&
		    b->bytes + frame_bytes(b, f) > b->lump_bytes)
			break;
		bool f_is_free = is_free(s, f);

		if (f_is_free != b->is_free && b->n_iov > 0)
			break;
		b->is_free = f_is_free;
		if (f->kind == SCHED_STREAM)
			sent = gather_stream(
				s, b, container_of(f, struct stream, flow));
		else
			sent = gather_dgram(
				s, b,
				container_of(f, struct dgram_queue, flow));
		sched_charge(f, sent);
	}
}

uint64_t session_consumed(const struct stream *st)
{
	return st->rx.start + (st->rx_fin_consumed ? 1 : 0);
}

void session_send_ack(struct stream *st)
{
	uint8_t frame[FRAME_FIXED_MAX];
	struct session *s = st->session;
	uint64_t limit = st->rx.start + session_window_bytes(s);

	list_del(&st->ack_link);
	if (limit > st->rx_limit)
		st->rx_limit = limit;
	st->rx_acked = session_consumed(st);
	session_send_vital(
		s, frame,
		frame_build_ack(frame, st->id, st->rx_acked, st->rx_limit));
}

static void send_owed_acks(struct session *s)
{
	while (!list_is_empty(&s->owes_ack))
		session_send_ack(container_of(s->owes_ack.next, struct stream,
					      ack_link));
	timer_disarm(s->loop, &s->ack_timer);
}

/* ---- what is in flight ---- */

void session_note_received(struct session *s, size_t bytes)
{
	if (s->carrier->is_local)
		return;
	s->rx_last_us = loop_now_us(s->loop);
	if (s->rx_total == s->rx_told) {
		s->rx_owed_us = s->rx_last_us;
		timer_arm(s->loop, &s->received_timer, SESSION_RECEIVED_US);
	}
	s->rx_total += bytes;
	if (s->rx_total - s->rx_told >= SESSION_RECEIVED_BYTES)
		session_want_pump(s);
}

static void gather_received(struct session *s, struct batch *b)
{
	mono_us_t now_us = loop_now_us(s->loop);
	uint64_t owed = s->rx_total - s->rx_told;

	if (owed == 0 || (owed < SESSION_RECEIVED_BYTES &&
			  now_us - s->rx_owed_us < SESSION_RECEIVED_US))
		return;
	s->rx_told = s->rx_total;
	timer_disarm(s->loop, &s->received_timer);
	struct frame_received r = {
		.bytes = s->rx_total,
		.clock_us = now_us,
		.delay_us = (uint32_t)(now_us - s->rx_last_us),
	};

	b->iov[b->n_iov++] = (struct iovec){
		b->received, frame_build_received(b->received, &r)};
	s->stats.tx_frames++;
}

/* Bytes/s: a little faster than the line, or the governor could not see it
 * become faster. */
static uint64_t pace(const struct session *s)
{
	struct governor_view line = session_line(s);

	if (line.phase == GOVERNOR_STARTUP)
		return 0;
	return line.rate + line.rate / 4;
}

/* What flows may send now.  Those that send little need not wait for room that
 * others have taken. */
static void batch_set_room(struct batch *b, struct session *s, size_t frame)
{
	uint64_t rate = pace(s);
	size_t portion = pacer_portion(rate);

	b->most_bytes = b->urgent_bytes = BATCH_BYTES;
	b->lump_bytes = SIZE_MAX;
	if (s->carrier->is_local)
		return;
	/* It says when it is full; more at once would be behind that. */
	if (s->carrier->is_paced) {
		b->most_bytes = b->urgent_bytes = frame;
		return;
	}
	b->most_bytes =
		lesser(lesser(pacer_room(&s->pacer, loop_now_us(s->loop), rate),
			      governor_room(&s->governor, 0)),
		       BATCH_BYTES);
	b->urgent_bytes =
		lesser(governor_room(&s->governor, 2 * frame), BATCH_BYTES);
	/* Less in one SSH packet costs more for headers than it saves. */
	b->lump_bytes = portion > FULL_FRAME ? portion : FULL_FRAME;
}

static void batch_init(struct batch *b, struct session *s)
{
	size_t frame = session_frame_bytes(s);

	batch_set_room(b, s, frame);
	b->data_max = lesser(frame, FULL_FRAME) - FRAME_DATA_OVERHEAD;
	list_init(&b->sent);
}

static void post_when_sending(struct session *s)
{
	struct list *link;

	while ((link = list_pop(&s->when_sending)))
		loop_post(s->loop, container_of(link, struct loop_task, link));
}

/* Give the carrier what is most urgent.  Returns false if there is nothing, or
 * nothing that may be sent. */
static bool pump_batch(struct session *s)
{
	struct batch b = {.n_iov = 0};
	struct iovec parts[2];
	struct list *link;

	batch_init(&b, s);
	if (s->state == SESSION_UP) {
		send_owed_acks(s);
		gather_received(s, &b);
	}
	uint64_t control_end = s->control.end;
	int n = ring_peek(&s->control, s->control.start, ring_len(&s->control),
			  parts);
	for (int i = 0; i < n; i++)
		batch_add(&b, parts[i].iov_base, parts[i].iov_len);
	if (s->state == SESSION_UP)
		gather_flows(s, &b);
	if (b.n_iov == 0)
		return false;
	if (!s->carrier->is_local) {
		governor_sent(&s->governor, loop_now_us(s->loop), b.bytes,
			      b.bytes);
		pacer_spend(&s->pacer, b.bytes);
	}
	if (b.is_free)
		carrier_send_free(s->carrier, b.iov, b.n_iov);
	else
		carrier_send(s->carrier, b.iov, b.n_iov);
	post_when_sending(s);
	ring_drop(&s->control, control_end);
	while ((link = list_pop(&b.sent)))
		free(container_of(link, struct dgram, link));
	return true;
}

static void tell_room(struct session *s)
{
	struct list *link;

	while ((link = list_pop(&s->got_room))) {
		struct stream *st =
			container_of(link, struct stream, room_link);

		if (st->owner)
			st->ops->on_writable(st);
	}
}

/* When to go on, unless RECEIVED comes first. */
static void plan_next(struct session *s)
{
	if (!sched_next(&s->sched))
		governor_idle(&s->governor);
	else if (governor_room(&s->governor, 0) > 0 &&
		 !timer_is_armed(&s->pace_timer))
		timer_arm(s->loop, &s->pace_timer,
			  pacer_wait_us(&s->pacer, pace(s)));
}

void session_pump(void *ctx)
{
	struct session *s = ctx;

	sched_set_quantum(&s->sched, session_frame_bytes(s));
	/* Before the greeting is over only the greeting is sent. */
	while (s->state != SESSION_DOWN && !carrier_is_full(s->carrier) &&
	       pump_batch(s))
		;
	if (!s->carrier->is_local && !carrier_is_full(s->carrier))
		plan_next(s);
	/* What was queued in here has been sent, or waits for on_writable or
	 * RECEIVED. */
	loop_unpost(&s->pump);
	tell_room(s);
}

bool session_hand_over(struct stream *st, const void *bytes, size_t n)
{
	struct session *s = st->session;

	/* What was to be sent before it must not come after it. */
	if (s->state != SESSION_UP || st->state != STREAM_OPEN ||
	    ring_len(&s->control) > 0 ||
	    !carrier_hand_over(s->carrier, st->id, st->tx.end, bytes, n))
		return false;
	s->stats.tx_bytes += n;
	s->stats.tx_frames++;
	post_when_sending(s);
	return true;
}

void session_want_send(struct stream *s)
{
	if (s->state != STREAM_OPEN)
		return;
	if (stream_has_data(s) || owes_fin(s)) {
		sched_push(&s->session->sched, &s->flow);
		session_want_pump(s->session);
	}
}

void session_owe_ack(struct stream *st)
{
	struct session *s = st->session;

	if (st->state != STREAM_OPEN)
		return;
	if (list_is_empty(&st->ack_link))
		list_push(&s->owes_ack, &st->ack_link);
	/* What the peer may still send before it has to wait for us, and what
	 * it could be told. */
	uint64_t promised = st->rx_limit - st->rx.start;
	uint64_t window = session_window_bytes(s);
	if (st->rx_fin_consumed || promised <= window - window / 4)
		session_want_pump(s);
	else if (!timer_is_armed(&s->ack_timer))
		timer_arm(s->loop, &s->ack_timer, SESSION_ACK_DELAY_US);
}

void session_on_due(void *ctx)
{
	session_want_pump(ctx);
}

/* ---- frames of the engines ---- */

void session_send_icmp_error(struct session *s, uint32_t id,
			     const struct frame_icmp_error *e)
{
	uint8_t frame[FRAME_FIXED_MAX];

	session_send_hint(s, frame, frame_build_icmp_error(frame, id, e));
}

void session_send_assoc_close(struct session *s, uint32_t id,
			      enum frame_reason reason)
{
	uint8_t frame[FRAME_FIXED_MAX];

	session_send_vital(
		s, frame,
		frame_build_reason(frame, FRAME_ASSOC_CLOSE, id, reason));
}

/* A frame whose payload is not built in place: header and body must stay
 * together in the queue. */
static void send_hint_2(struct session *s, const uint8_t *head, size_t head_len,
			const uint8_t *tail, size_t tail_len)
{
	uint8_t *frame = malloc(head_len + tail_len);

	if (!frame) {
		session_count_drop(s, DROP_NO_MEMORY);
		return;
	}
	memcpy(frame, head, head_len);
	if (tail_len > 0)
		memcpy(frame + head_len, tail, tail_len);
	session_send_hint(s, frame, head_len + tail_len);
	free(frame);
}

void session_send_resolve(struct session *s, uint32_t id, const uint8_t *query,
			  size_t len)
{
	uint8_t head[FRAME_HEADER_LEN];

	assert_always(len <= FRAME_QUERY_MAX);
	size_t n = frame_build_header(head, FRAME_RESOLVE, len, id);

	send_hint_2(s, head, n, query, len);
}

void session_send_resolved(struct session *s, uint32_t id,
			   enum frame_reason status, const uint8_t *answer,
			   size_t len)
{
	uint8_t head[FRAME_HEADER_LEN + 2];

	size_t n = frame_build_resolved(head, id, status, len);

	send_hint_2(s, head, n, answer, len);
}
