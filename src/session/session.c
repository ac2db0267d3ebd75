/* SPDX-License-Identifier: MIT */
/*
 * session: streams and datagrams between the two engines, over a carrier.
 *
 * Theory of operation
 *   Whatever wants to be sent is noted (a control frame in `control`, a stream
 *   or datagram queue in `sched`, an ACK owed in `owes_ack`) and the pump is
 * posted. Once a turn of the loop the pump fills the carrier until it is full
 * or nothing is left: control frames and ACKs first, then flows by deficit
 * round robin.  Stream bytes go from their ring to the carrier without a copy.
 *
 *   An ACK is sent at once when a quarter of the window was consumed, otherwise
 * with the next thing that is sent anyway, at the latest after
 * SESSION_ACK_DELAY_US.
 *
 *   Streams die in handlers and are freed by the reaper at the end of the turn,
 *   so no handler finds its stream gone.
 *
 * Ownership: the session owns its carrier and its streams; owners of streams
 * only borrow them, until a callback says that the stream is dead or they reset
 * it.
 *
 * Spec: doc/PROTOCOL.session
 */
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "escape.h"
#include "log.h"
#include "session_internal.h"

enum {
	TRIM_US = 1000000,
	FIRST_PING_US = 200000,
	BATCH_BYTES = 128 << 10, /* handed to the carrier at once */
	BATCH_IOV = 64,
	BATCH_FRAMES = 20, /* with two ring parts each this fits BATCH_IOV */
};

/* A datagram that waits, with its frame's header built. */
struct dgram {
	struct list link;
	size_t len;
	uint8_t frame[];
};

/* ---- sending ---- */

static void want_pump(struct session *s)
{
	if (s->state != SESSION_DOWN)
		loop_post(s->loop, &s->pump);
}

static void send_control(struct session *s, const uint8_t *frame, size_t len)
{
	if (s->state == SESSION_DOWN)
		return;
	if (ring_len(&s->control) + len > SESSION_CONTROL_BYTES ||
	    ring_push(&s->control, frame, len) < 0) {
		session_count_drop(s, DROP_QUEUE_FULL);
		return;
	}
	s->stats.tx_frames++;
	want_pump(s);
}

/* What the session is over for is told in the next turn, so that nobody finds
 * the session gone in the middle of a call. */
static void go_down(struct session *s, const struct err *why)
{
	if (s->state == SESSION_DOWN)
		return;
	s->state = SESSION_DOWN;
	s->down_why = *why;
	timer_disarm(s->loop, &s->ack_timer);
	timer_disarm(s->loop, &s->ping_timer);
	loop_post(s->loop, &s->reap);
}

/* The peer broke the protocol. */
static void fail(struct session *s, enum frame_bye reason, const char *what)
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
	go_down(s, &why);
}

/* What is being gathered for one carrier_send. */
struct batch {
	struct iovec iov[BATCH_IOV];
	int n_iov;
	uint8_t headers[BATCH_FRAMES * FRAME_DATA_OVERHEAD];
	size_t headers_len;
	int n_frames;
	size_t bytes;
	struct list sent; /* struct dgram, to be freed after sending */
};

static void batch_add(struct batch *b, const void *p, size_t len)
{
	b->iov[b->n_iov++] = (struct iovec){(void *)(uintptr_t)p, len};
	b->bytes += len;
}

/* One DATA frame of a stream.  Returns its size, 0 if the stream has none. */
static size_t gather_data(struct session *s, struct batch *b, struct stream *st)
{
	struct iovec parts[2];
	uint64_t end = st->tx.end < st->tx_limit ? st->tx.end : st->tx_limit;

	if (st->tx_sent >= end)
		return 0;
	size_t len = (size_t)(end - st->tx_sent);
	if (len > FRAME_DATA_MAX)
		len = FRAME_DATA_MAX;
	uint8_t *header = b->headers + b->headers_len;

	b->headers_len += frame_build_data(header, st->id, st->tx_sent, len);
	batch_add(b, header, FRAME_DATA_OVERHEAD);
	int n = ring_peek(&st->tx, st->tx_sent, len, parts);
	for (int i = 0; i < n; i++)
		batch_add(b, parts[i].iov_base, parts[i].iov_len);
	st->tx_sent += len;
	b->n_frames++;
	s->stats.tx_bytes += len;
	s->stats.tx_frames++;
	return FRAME_DATA_OVERHEAD + len;
}

static bool stream_has_data(const struct stream *st)
{
	return st->tx_sent < st->tx.end && st->tx_sent < st->tx_limit;
}

/* The stream's turn to send. */
static size_t gather_stream(struct session *s, struct batch *b,
			    struct stream *st)
{
	size_t sent = gather_data(s, b, st);

	if (st->tx_fin && !st->tx_fin_sent && st->tx_sent == st->tx.end) {
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
		sched_remove(&st->flow);
	return sent;
}

static size_t gather_dgram(struct session *s, struct batch *b,
			   struct dgram_queue *q)
{
	struct dgram *d =
		container_of(list_pop(&q->dgrams), struct dgram, link);

	q->bytes -= d->len;
	q->n--;
	batch_add(b, d->frame, d->len);
	list_push(&b->sent, &d->link);
	b->n_frames++;
	s->stats.tx_bytes += d->len - FRAME_DGRAM_OVERHEAD;
	s->stats.tx_frames++;
	if (q->n == 0)
		sched_remove(&q->flow);
	return d->len;
}

/* hop up 7/11, down 3/9: whose turn it is, by deficit round robin */
static void gather_flows(struct session *s, struct batch *b)
{
	struct sched_flow *f;

	/* A turn may add two frames (DATA, FIN) and three parts. */
	while (b->bytes < BATCH_BYTES && b->n_frames + 2 <= BATCH_FRAMES &&
	       b->n_iov + 4 <= BATCH_IOV && (f = sched_next(&s->sched))) {
		size_t sent;

		if (f->kind == SCHED_STREAM)
			sent = gather_stream(
				s, b, container_of(f, struct stream, flow));
		else
			sent = gather_dgram(
				s, b,
				container_of(f, struct dgram_queue, flow));
		if (!list_is_empty(&f->link))
			sched_charge(&s->sched, f, sent);
	}
}

/* Offset up to which the peer's bytes (and FIN) are consumed. */
static uint64_t consumed(const struct stream *st)
{
	return st->rx.start + (st->rx_fin_consumed ? 1 : 0);
}

static void send_ack(struct stream *st)
{
	uint8_t frame[FRAME_FIXED_MAX];
	struct session *s = st->session;
	uint64_t limit = st->rx.start + session_window_bytes(s);

	list_del(&st->ack_link);
	if (limit > st->rx_limit)
		st->rx_limit = limit;
	st->rx_acked = consumed(st);
	send_control(
		s, frame,
		frame_build_ack(frame, st->id, st->rx_acked, st->rx_limit));
}

static void send_owed_acks(struct session *s)
{
	while (!list_is_empty(&s->owes_ack))
		send_ack(container_of(s->owes_ack.next, struct stream,
				      ack_link));
	timer_disarm(s->loop, &s->ack_timer);
}

static void on_pump(void *ctx)
{
	struct session *s = ctx;

	/* Before the greeting is over only the greeting is sent. */
	while (s->state != SESSION_DOWN && !carrier_is_full(s->carrier)) {
		struct batch b = {.n_iov = 0};
		struct iovec parts[2];
		struct list *link;

		list_init(&b.sent);
		if (s->state == SESSION_UP)
			send_owed_acks(s);
		uint64_t control_end = s->control.end;
		int n = ring_peek(&s->control, s->control.start,
				  ring_len(&s->control), parts);
		for (int i = 0; i < n; i++)
			batch_add(&b, parts[i].iov_base, parts[i].iov_len);
		if (s->state == SESSION_UP)
			gather_flows(s, &b);
		if (b.n_iov == 0)
			break;
		carrier_send(s->carrier, b.iov, b.n_iov);
		ring_drop(&s->control, control_end);
		while ((link = list_pop(&b.sent)))
			free(container_of(link, struct dgram, link));
	}
	/* What was queued in here has been sent, or waits for on_writable. */
	loop_unpost(&s->pump);
}

void session_want_send(struct stream *s)
{
	if (s->state != STREAM_OPEN)
		return;
	if (stream_has_data(s) ||
	    (s->tx_fin && !s->tx_fin_sent && s->tx_sent == s->tx.end)) {
		sched_push(&s->session->sched, &s->flow);
		want_pump(s->session);
	}
}

void session_owe_ack(struct stream *st)
{
	struct session *s = st->session;

	if (st->state != STREAM_OPEN)
		return;
	if (list_is_empty(&st->ack_link))
		list_push(&s->owes_ack, &st->ack_link);
	/* What the peer may still send before it has to wait for us. */
	uint64_t window = session_window_bytes(s);
	if (st->rx_fin_consumed || consumed(st) - st->rx_acked >= window / 4)
		want_pump(s);
	else if (!timer_is_armed(&s->ack_timer))
		timer_arm(s->loop, &s->ack_timer, SESSION_ACK_DELAY_US);
}

static void on_ack_timer(void *ctx)
{
	want_pump(ctx);
}

/* ---- streams: birth and death ---- */

uint32_t session_window_bytes(const struct session *s)
{
	size_t n = s->streams.n ? s->streams.n : 1;
	size_t share = SESSION_BUDGET_BYTES / n;

	if (share > SESSION_WINDOW_MAX_BYTES)
		return SESSION_WINDOW_MAX_BYTES;
	if (share < SESSION_WINDOW_MIN_BYTES)
		return SESSION_WINDOW_MIN_BYTES;
	return (uint32_t)share;
}

static struct stream *stream_find(struct session *s, uint32_t id)
{
	struct htab_node *node = htab_find(&s->streams, htab_hash_u32(id));

	return node ? container_of(node, struct stream, node) : NULL;
}

static struct stream *stream_new(struct session *s, uint32_t id)
{
	if (s->streams.n >= SESSION_STREAMS_MAX)
		return NULL;
	struct stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->session = s;
	st->id = id;
	st->node.hash = htab_hash_u32(id);
	sched_flow_init(&st->flow, SCHED_STREAM);
	list_init(&st->ack_link);
	if (htab_add(&s->streams, &st->node) < 0) {
		free(st);
		return NULL;
	}
	s->stats.streams = (uint32_t)s->streams.n;
	return st;
}

static void stream_kill(struct stream *st)
{
	struct session *s = st->session;

	if (st->state == STREAM_DEAD)
		return;
	st->state = STREAM_DEAD;
	htab_del(&s->streams, &st->node);
	s->stats.streams = (uint32_t)s->streams.n;
	sched_remove(&st->flow);
	list_del(&st->ack_link);
	list_push(&s->dead, &st->ack_link);
	loop_post(s->loop, &s->reap);
}

static void stream_free(struct stream *st)
{
	ring_fini(&st->tx);
	ring_fini(&st->rx);
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
	if (st->rx_acked != consumed(st))
		send_ack(st);
	stream_kill(st);
	if (st->owner)
		st->session->ops->on_closed(st);
}

struct stream *session_open(struct session *s, void *owner,
			    const struct frame_open *open)
{
	uint8_t frame[FRAME_FIXED_MAX];
	struct frame_open o = *open;

	if (s->state != SESSION_UP || s->next_id >= UINT32_MAX - 2)
		return NULL;
	struct stream *st = stream_new(s, s->next_id);
	if (!st)
		return NULL;
	s->next_id += 2;
	st->owner = owner;
	st->rx_limit = o.window_bytes = session_window_bytes(s);
	send_control(s, frame, frame_build_open(frame, st->id, &o));
	return st;
}

void session_accept(struct stream *st)
{
	uint8_t frame[FRAME_FIXED_MAX];

	if (st->state != STREAM_OPENING)
		return;
	st->state = STREAM_OPEN;
	st->rx_limit = session_window_bytes(st->session);
	send_control(st->session, frame,
		     frame_build_opened(frame, st->id, (uint32_t)st->rx_limit));
}

void session_refuse(struct stream *st, const struct frame_refused *why)
{
	uint8_t frame[FRAME_FIXED_MAX];

	if (st->state != STREAM_OPENING)
		return;
	send_control(st->session, frame,
		     frame_build_refused(frame, st->id, why));
	stream_kill(st);
}

void stream_reset(struct stream *st, enum frame_reason reason)
{
	uint8_t frame[FRAME_FIXED_MAX];

	if (st->state == STREAM_DEAD)
		return;
	send_control(st->session, frame,
		     frame_build_reason(frame, FRAME_RESET, st->id, reason));
	stream_kill(st);
}

/* ---- storage of idle streams ---- */

static void trim_stream(struct htab_node *node, void *ctx)
{
	struct stream *st = container_of(node, struct stream, node);
	bool *is_any_left = ctx;

	(void)ring_trim(&st->tx);
	(void)ring_trim(&st->rx);
	*is_any_left |= st->tx.cap > 0 || st->rx.cap > 0;
}

static void on_trim_timer(void *ctx)
{
	struct session *s = ctx;
	bool is_any_left = false;

	htab_each(&s->streams, trim_stream, &is_any_left);
	(void)ring_trim(&s->control);
	if (is_any_left)
		timer_arm(s->loop, &s->trim_timer, TRIM_US);
}

void session_want_trim(struct session *s)
{
	if (!timer_is_armed(&s->trim_timer))
		timer_arm(s->loop, &s->trim_timer, TRIM_US);
}

/* ---- receiving: each returns 0, or -EBADMSG for a broken protocol ---- */

static int recv_open(struct session *s, uint32_t id, const uint8_t *body,
		     size_t len)
{
	struct frame_open o;
	static const struct frame_refused full = {
		.reason = FRAME_REASON_NO_RESOURCES};
	uint8_t frame[FRAME_FIXED_MAX];

	if (s->role != SESSION_FAR || frame_parse_open(body, len, &o) < 0 ||
	    id % 2 == 0 || id < s->next_id)
		return -EBADMSG;
	s->next_id = id + 2;
	struct stream *st = stream_new(s, id);
	if (!st) {
		send_control(s, frame, frame_build_refused(frame, id, &full));
		return 0;
	}
	st->tx_limit = o.window_bytes;
	s->ops->on_open(s->ctx, st, &o);
	return 0;
}

static int recv_opened(struct session *s, struct stream *st,
		       const uint8_t *body, size_t len)
{
	uint32_t window_bytes;

	if (s->role != SESSION_NEAR || st->state != STREAM_OPENING ||
	    frame_parse_u32(body, len, &window_bytes) < 0)
		return -EBADMSG;
	st->tx_limit = window_bytes;
	st->state = STREAM_OPEN;
	if (st->owner)
		s->ops->on_opened(st);
	return 0;
}

static int recv_refused(struct session *s, struct stream *st,
			const uint8_t *body, size_t len)
{
	struct frame_refused r;

	if (s->role != SESSION_NEAR || st->state != STREAM_OPENING ||
	    frame_parse_refused(body, len, &r) < 0)
		return -EBADMSG;
	stream_kill(st);
	if (st->owner)
		s->ops->on_refused(st, &r);
	return 0;
}

/* hop up 10/11 (TCP), down 6/9 (TCP): bytes of a stream arrive */
static int recv_data(struct session *s, struct stream *st, const uint8_t *body,
		     size_t len)
{
	uint64_t offset;
	const uint8_t *bytes;
	size_t n, taken = 0;

	if (frame_parse_data(body, len, &offset, &bytes, &n) < 0 ||
	    st->state != STREAM_OPEN || st->rx_fin || offset != st->rx.end ||
	    offset + n > st->rx_limit)
		return -EBADMSG;
	s->stats.rx_bytes += n;
	if (!st->owner)
		taken = n; /* nobody is there to read it */
	else if (ring_len(&st->rx) == 0 && s->ops->on_data)
		taken = s->ops->on_data(st, bytes, n);
	if (st->state == STREAM_DEAD)
		return 0;
	if (taken > 0) {
		st->rx.end += taken;
		stream_consume(st, st->rx.end);
	}
	if (taken == n)
		return 0;
	session_want_trim(s);
	if (ring_push(&st->rx, bytes + taken, n - taken) < 0) {
		stream_reset(st, FRAME_REASON_NO_RESOURCES);
		if (st->owner)
			s->ops->on_reset(st, FRAME_REASON_NO_RESOURCES);
		return 0;
	}
	s->ops->on_readable(st);
	return 0;
}

static int recv_fin(struct session *s, struct stream *st, const uint8_t *body,
		    size_t len)
{
	uint64_t offset;

	if (frame_parse_u64(body, len, &offset) < 0 ||
	    st->state != STREAM_OPEN || st->rx_fin || offset != st->rx.end)
		return -EBADMSG;
	st->rx_fin = true;
	if (st->owner)
		s->ops->on_readable(st);
	else
		stream_consume_fin(st);
	return 0;
}

static int recv_ack(struct session *s, struct stream *st, const uint8_t *body,
		    size_t len)
{
	uint64_t upto, limit;

	if (frame_parse_ack(body, len, &upto, &limit) < 0 ||
	    st->state != STREAM_OPEN || upto < st->tx.start ||
	    upto > st->tx_sent + (st->tx_fin_sent ? 1 : 0) ||
	    limit < st->tx_limit)
		return -EBADMSG;
	if (st->tx_fin_sent && upto == st->tx.end + 1) {
		st->tx_fin_acked = true;
		upto = st->tx.end;
	}
	ring_drop(&st->tx, upto);
	st->tx_limit = limit;
	session_want_send(st);
	if (st->owner)
		s->ops->on_writable(st);
	session_maybe_close(st);
	return 0;
}

static int recv_reset(struct session *s, struct stream *st, const uint8_t *body,
		      size_t len)
{
	enum frame_reason reason;

	if (frame_parse_reason(body, len, &reason) < 0)
		return -EBADMSG;
	stream_kill(st);
	if (st->owner)
		s->ops->on_reset(st, reason);
	return 0;
}

static int recv_stream_frame(struct session *s, const struct frame_header *h,
			     const uint8_t *body)
{
	struct stream *st = stream_find(s, h->id);

	if (!st) {
		session_count_drop(s, DROP_STALE_FRAME);
		return 0;
	}
	switch (h->type) {
	case FRAME_OPENED:
		return recv_opened(s, st, body, h->len);
	case FRAME_REFUSED:
		return recv_refused(s, st, body, h->len);
	case FRAME_DATA:
		return recv_data(s, st, body, h->len);
	case FRAME_FIN:
		return recv_fin(s, st, body, h->len);
	case FRAME_ACK:
		return recv_ack(s, st, body, h->len);
	default:
		return recv_reset(s, st, body, h->len);
	}
}

/* hop up 10/11 (datagrams), down 6/9 (datagrams): a datagram arrives */
static int recv_dgram(struct session *s, uint32_t id, const uint8_t *body,
		      size_t len)
{
	struct frame_dgram d;

	if (frame_parse_dgram(body, len, &d) < 0)
		return -EBADMSG;
	s->stats.rx_bytes += d.payload_len;
	s->ops->on_dgram(s->ctx, id, &d);
	return 0;
}

static int recv_icmp_error(struct session *s, uint32_t id, const uint8_t *body,
			   size_t len)
{
	struct frame_icmp_error e;

	if (s->role != SESSION_NEAR ||
	    frame_parse_icmp_error(body, len, &e) < 0)
		return -EBADMSG;
	s->ops->on_icmp_error(s->ctx, id, &e);
	return 0;
}

static int recv_assoc_close(struct session *s, uint32_t id, const uint8_t *body,
			    size_t len)
{
	enum frame_reason reason;

	if (frame_parse_reason(body, len, &reason) < 0)
		return -EBADMSG;
	s->ops->on_assoc_close(s->ctx, id, reason);
	return 0;
}

static int recv_resolved(struct session *s, uint32_t id, const uint8_t *body,
			 size_t len)
{
	enum frame_reason status;
	const uint8_t *answer;
	size_t answer_len;

	if (s->role != SESSION_NEAR || !s->ops->on_resolved ||
	    frame_parse_resolved(body, len, &status, &answer, &answer_len) < 0)
		return -EBADMSG;
	s->ops->on_resolved(s->ctx, id, status, answer, answer_len);
	return 0;
}

static int recv_resolve(struct session *s, uint32_t id, const uint8_t *body,
			size_t len)
{
	if (s->role != SESSION_FAR || len > FRAME_QUERY_MAX)
		return -EBADMSG;
	s->ops->on_resolve(s->ctx, id, body, len);
	return 0;
}

static int recv_ping(struct session *s, const uint8_t *body, size_t len)
{
	uint8_t frame[FRAME_FIXED_MAX];
	uint64_t value;

	if (frame_parse_u64(body, len, &value) < 0)
		return -EBADMSG;
	send_control(s, frame, frame_build_ping(frame, FRAME_PONG, value));
	return 0;
}

static int recv_pong(struct session *s, const uint8_t *body, size_t len)
{
	uint64_t sent_us, now_us = loop_now_us(s->loop);

	if (frame_parse_u64(body, len, &sent_us) < 0)
		return -EBADMSG;
	/* Our own clock, unless the peer made it up. */
	if (sent_us == s->ping_sent_us && sent_us <= now_us)
		s->stats.round_trip_us = (uint32_t)(now_us - sent_us);
	return 0;
}

static int recv_bye(struct session *s, const uint8_t *body, size_t len)
{
	struct frame_bye_body bye;
	char text[2 * FRAME_TEXT_MAX];
	struct err why;

	if (frame_parse_bye(body, len, &bye) < 0)
		return -EBADMSG;
	escape_text(bye.text, strlen(bye.text), text, sizeof(text));
	(void)err_set(&why, 0, "the other end says: %s", *text ? text : "done");
	go_down(s, &why);
	return 0;
}

static void send_hello(struct session *s)
{
	uint8_t frame[FRAME_FIXED_MAX];

	send_control(s, frame, frame_build_hello(frame, &s->hello));
}

static int recv_hello(struct session *s, const uint8_t *body, size_t len)
{
	struct frame_hello peer;
	char what[200];
	int r = frame_parse_hello(body, len, &peer);

	if (r < 0)
		return r;
	if (peer.version_lowest > FRAME_VERSION_HIGHEST ||
	    peer.version_highest < FRAME_VERSION_LOWEST) {
		(void)snprintf(what, sizeof(what),
			       "the %s end speaks session protocol %u to %u, "
			       "the %s end %u to %u: install the same "
			       "version of ecssh at both ends",
			       s->role == SESSION_NEAR ? "far" : "near",
			       peer.version_lowest, peer.version_highest,
			       s->role == SESSION_NEAR ? "near" : "far",
			       FRAME_VERSION_LOWEST, FRAME_VERSION_HIGHEST);
		fail(s, FRAME_BYE_VERSION, what);
		return 0;
	}
	if (s->role == SESSION_NEAR)
		send_hello(s);
	s->state = SESSION_UP;
	/* The first PING early: it measures the round trip. */
	if (s->role == SESSION_NEAR)
		timer_arm(s->loop, &s->ping_timer, FIRST_PING_US);
	s->ops->on_up(s->ctx, &peer);
	return 0;
}

static int dispatch(struct session *s, const struct frame_header *h,
		    const uint8_t *body)
{
	switch (h->type) {
	case FRAME_BYE:
		return recv_bye(s, body, h->len);
	case FRAME_PING:
		return recv_ping(s, body, h->len);
	case FRAME_PONG:
		return recv_pong(s, body, h->len);
	case FRAME_OPEN:
		return recv_open(s, h->id, body, h->len);
	case FRAME_OPENED:
	case FRAME_REFUSED:
	case FRAME_DATA:
	case FRAME_FIN:
	case FRAME_ACK:
	case FRAME_RESET:
		return recv_stream_frame(s, h, body);
	case FRAME_DGRAM:
		return recv_dgram(s, h->id, body, h->len);
	case FRAME_ICMP_ERROR:
		return recv_icmp_error(s, h->id, body, h->len);
	case FRAME_ASSOC_CLOSE:
		return recv_assoc_close(s, h->id, body, h->len);
	case FRAME_RESOLVE:
		return recv_resolve(s, h->id, body, h->len);
	case FRAME_RESOLVED:
		return recv_resolved(s, h->id, body, h->len);
	default:
		return h->type >= FRAME_OPTIONAL ? 0 : -EBADMSG;
	}
}

static void on_frame(void *ctx, const struct frame_header *h,
		     const uint8_t *body)
{
	struct session *s = ctx;
	char what[100];
	int r;

	if (s->state == SESSION_DOWN)
		return;
	s->heard_us = loop_now_us(s->loop);
	s->stats.rx_frames++;
	if (s->state == SESSION_GREETING)
		r = h->type == FRAME_HELLO ? recv_hello(s, body, h->len)
		    : h->type == FRAME_BYE ? recv_bye(s, body, h->len)
					   : -EPROTO;
	else
		r = dispatch(s, h, body);
	if (r == -EPROTO) {
		fail(s, FRAME_BYE_PROTOCOL,
		     "the other end does not speak the session protocol of "
		     "ecssh");
	} else if (r < 0) {
		(void)snprintf(what, sizeof(what),
			       "a frame of type 0x%02x, length %u from the "
			       "other end breaks the session protocol",
			       h->type, h->len);
		fail(s, FRAME_BYE_PROTOCOL, what);
	}
}

static void on_writable(void *ctx)
{
	on_pump(ctx);
}

static void on_closed(void *ctx, const struct err *why)
{
	go_down(ctx, why);
}

static const struct carrier_user carrier_user = {
	.on_frame = on_frame,
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
	send_control(s, frame,
		     frame_build_ping(frame, FRAME_PING, s->ping_sent_us));
}

static void on_ping_timer(void *ctx)
{
	struct session *s = ctx;
	uint64_t silent_us = loop_now_us(s->loop) - s->heard_us;

	if (silent_us >= SESSION_SILENCE_US) {
		fail(s, FRAME_BYE_SILENCE,
		     "nothing was heard from the other end for 45 s");
		return;
	}
	if (silent_us >= SESSION_PING_US || !s->stats.round_trip_us) {
		session_ping(s);
		timer_arm(s->loop, &s->ping_timer, SESSION_PING_US);
		return;
	}
	timer_arm(s->loop, &s->ping_timer, SESSION_PING_US - silent_us);
}

/* ---- datagrams ---- */

void dgram_queue_init(struct dgram_queue *q, uint32_t id)
{
	sched_flow_init(&q->flow, SCHED_DGRAM);
	list_init(&q->dgrams);
	q->bytes = 0;
	q->n = 0;
	q->id = id;
}

void dgram_queue_fini(struct dgram_queue *q)
{
	struct list *link;

	sched_remove(&q->flow);
	while ((link = list_pop(&q->dgrams)))
		free(container_of(link, struct dgram, link));
}

/* hop up 6/11 (datagrams): a copy waits for the carrier */
enum drop_reason session_send_dgram(struct session *s, struct dgram_queue *q,
				    const struct frame_dgram *d)
{
	size_t len = FRAME_DGRAM_OVERHEAD + d->payload_len;

	if (s->state != SESSION_UP)
		return DROP_NO_SESSION;
	if (q->n >= SESSION_DGRAM_QUEUE_MAX ||
	    (q->n > 0 && q->bytes + len > SESSION_DGRAM_QUEUE_BYTES))
		return DROP_QUEUE_FULL;
	struct dgram *copy = malloc(sizeof(*copy) + len);
	if (!copy)
		return DROP_NO_MEMORY;
	copy->len = len;
	size_t at = frame_build_dgram(copy->frame, q->id, d);
	memcpy(copy->frame + at, d->payload, d->payload_len);
	list_push(&q->dgrams, &copy->link);
	q->bytes += len;
	q->n++;
	sched_push(&s->sched, &q->flow);
	want_pump(s);
	return DROP_NONE;
}

void session_send_icmp_error(struct session *s, uint32_t id,
			     const struct frame_icmp_error *e)
{
	uint8_t frame[FRAME_FIXED_MAX];

	send_control(s, frame, frame_build_icmp_error(frame, id, e));
}

void session_send_assoc_close(struct session *s, uint32_t id,
			      enum frame_reason reason)
{
	uint8_t frame[FRAME_FIXED_MAX];

	send_control(s, frame,
		     frame_build_reason(frame, FRAME_ASSOC_CLOSE, id, reason));
}

/* A frame whose payload is not built in place: header and body must stay
 * together in the queue. */
static void send_control_2(struct session *s, const uint8_t *head,
			   size_t head_len, const uint8_t *tail,
			   size_t tail_len)
{
	uint8_t *frame = malloc(head_len + tail_len);

	if (!frame) {
		session_count_drop(s, DROP_NO_MEMORY);
		return;
	}
	memcpy(frame, head, head_len);
	if (tail_len > 0)
		memcpy(frame + head_len, tail, tail_len);
	send_control(s, frame, head_len + tail_len);
	free(frame);
}

void session_send_resolve(struct session *s, uint32_t id, const uint8_t *query,
			  size_t len)
{
	uint8_t head[FRAME_HEADER_LEN];

	assert_always(len <= FRAME_QUERY_MAX);
	send_control_2(s, head,
		       frame_build_header(head, FRAME_RESOLVE, len, id), query,
		       len);
}

void session_send_resolved(struct session *s, uint32_t id,
			   enum frame_reason status, const uint8_t *answer,
			   size_t len)
{
	uint8_t head[FRAME_HEADER_LEN + 2];

	send_control_2(s, head, frame_build_resolved(head, id, status, len),
		       answer, len);
}

/* ---- life of the session ---- */

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
	sched_init(&s->sched);
	s->pump = (struct loop_task){.on_run = on_pump, .ctx = s};
	s->reap = (struct loop_task){.on_run = on_reap, .ctx = s};
	list_init(&s->pump.link);
	list_init(&s->reap.link);
	s->ack_timer = (struct timer){.on_fire = on_ack_timer, .ctx = s};
	s->ping_timer = (struct timer){.on_fire = on_ping_timer, .ctx = s};
	s->trim_timer = (struct timer){.on_fire = on_trim_timer, .ctx = s};
	s->heard_us = loop_now_us(loop);
	timer_arm(loop, &s->ping_timer, SESSION_PING_US);
	carrier_bind(carrier, &carrier_user, s);
	if (role == SESSION_FAR)
		send_hello(s);
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
	timer_disarm(s->loop, &s->trim_timer);
	loop_unpost(&s->pump);
	loop_unpost(&s->reap);
	s->carrier->user = NULL;
	s->carrier = carrier_free(s->carrier);
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
	send_control(s, frame, frame_build_bye(frame, reason, text));
	on_pump(s);
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
}
