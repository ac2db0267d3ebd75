/* SPDX-License-Identifier: MIT */
/* session_rig: one session whose peer is the test, frame by frame. */
#include "session_rig.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

/* ---- the carrier ---- */

static struct session_rig *rig_of(struct carrier *c)
{
	return container_of(c, struct session_rig, carrier);
}

static bool is_full(const struct carrier *c)
{
	return rig_of((struct carrier *)(uintptr_t)c)->carrier_room == 0;
}

static void keep(struct session_rig *rig, const struct frame_header *h,
		 const uint8_t *body, bool is_free)
{
	struct rig_frame *f = malloc(sizeof(*f) + h->len);

	assert_always(f != NULL);
	f->header = *h;
	f->at_us = loop_now_us(rig->loop);
	f->is_free = is_free;
	memcpy(f->body, body, h->len);
	list_push(&rig->sent, &f->link);
}

/* Only whole, well-formed frames may be sent. */
static void keep_all(struct session_rig *rig, const uint8_t *bytes, size_t len,
		     bool is_free)
{
	size_t at = 0;

	while (at < len) {
		struct frame_header h;

		assert_always(len - at >= FRAME_HEADER_LEN &&
			      frame_parse_header(bytes + at, &h) == 0);
		at += FRAME_HEADER_LEN;
		assert_always(len - at >= h.len);
		keep(rig, &h, bytes + at, is_free);
		at += h.len;
	}
}

static void take_frames(struct session_rig *rig, const struct iovec *iov, int n,
			bool is_free)
{
	size_t len = 0, at = 0;

	assert_always(!is_full(&rig->carrier));
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	uint8_t *all = malloc(len + 1);
	assert_always(all != NULL);
	for (int i = 0; i < n; i++) {
		memcpy(all + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	keep_all(rig, all, len, is_free);
	free(all);
	rig->sent_bytes += len;
	if (rig->carrier_room != SIZE_MAX)
		rig->carrier_room -=
			len < rig->carrier_room ? len : rig->carrier_room;
}

static void send_frames(struct carrier *c, const struct iovec *iov, int n)
{
	take_frames(rig_of(c), iov, n, false);
}

static void send_free(struct carrier *c, const struct iovec *iov, int n)
{
	struct session_rig *rig = rig_of(c);
	size_t before = rig->sent_bytes;

	assert_always(c->may_overtake);
	take_frames(rig, iov, n, true);
	assert_always(rig->sent_bytes - before <= CARRIER_FREE_MAX);
}

static struct carrier *carrier_free_rig(struct carrier *c)
{
	rig_of(c)->is_carrier_freed = true;
	return NULL;
}

static const struct carrier_ops carrier_ops_rig = {
	.send = send_frames,
	.send_free = send_free,
	.is_full = is_full,
	.free = carrier_free_rig,
};

/* ---- the engine ---- */

static void on_up(void *ctx, const struct frame_hello *peer)
{
	struct session_rig *rig = ctx;

	(void)peer;
	rig->n.up++;
}

static void on_open(void *ctx, struct stream *s, const struct frame_open *open)
{
	struct session_rig *rig = ctx;

	rig->n.open++;
	rig->open = *open;
	rig->stream = s;
	s->owner = rig;
}

static void on_opened(struct stream *s)
{
	struct session_rig *rig = s->owner;

	rig->n.opened++;
}

static void forget_stream(struct session_rig *rig, const struct stream *s)
{
	if (rig->stream == s)
		rig->stream = NULL;
}

static void on_refused(struct stream *s, const struct frame_refused *why)
{
	struct session_rig *rig = s->owner;

	rig->n.refused++;
	rig->refused = *why;
	forget_stream(rig, s);
}

static void reset(struct session_rig *rig, struct stream *s)
{
	stream_reset(s, FRAME_REASON_OTHER);
	forget_stream(rig, s);
}

static size_t on_data(struct stream *s, const uint8_t *bytes, size_t len)
{
	struct session_rig *rig = s->owner;
	size_t n = len < rig->takes_max ? len : rig->takes_max;

	(void)bytes;
	rig->taken += n;
	if (rig->resets_on_data)
		reset(rig, s);
	return n;
}

static void on_readable(struct stream *s)
{
	struct session_rig *rig = s->owner;

	rig->n.readable++;
	if (rig->resets_on_readable) {
		reset(rig, s);
		return;
	}
	if (!rig->consumes_at_once)
		return;
	stream_consume(s, s->rx.end);
	if (s->rx_fin)
		stream_consume_fin(s);
}

static void on_writable(struct stream *s)
{
	struct session_rig *rig = s->owner;

	rig->n.writable++;
	if (rig->resets_on_writable)
		reset(rig, s);
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	struct session_rig *rig = s->owner;

	rig->n.reset++;
	rig->reason = reason;
	forget_stream(rig, s);
}

static void on_closed(struct stream *s)
{
	struct session_rig *rig = s->owner;

	rig->n.closed++;
	forget_stream(rig, s);
}

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct session_rig *rig = ctx;

	rig->n.dgram++;
	rig->id = id;
	rig->dgram = *d;
	rig->dgram.payload = NULL;
}

static void on_icmp_error(void *ctx, uint32_t id,
			  const struct frame_icmp_error *e)
{
	struct session_rig *rig = ctx;

	(void)e;
	rig->n.icmp_error++;
	rig->id = id;
}

static void on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	struct session_rig *rig = ctx;

	rig->n.assoc_close++;
	rig->id = id;
	rig->reason = reason;
}

static void on_resolve(void *ctx, uint32_t id, const uint8_t *query, size_t len)
{
	struct session_rig *rig = ctx;

	(void)query;
	(void)len;
	rig->n.resolve++;
	rig->id = id;
}

static void on_resolved(void *ctx, uint32_t id, enum frame_reason status,
			const uint8_t *answer, size_t len)
{
	struct session_rig *rig = ctx;

	(void)answer;
	(void)len;
	rig->n.resolved++;
	rig->id = id;
	rig->reason = status;
}

static void on_down(void *ctx, const struct err *why)
{
	struct session_rig *rig = ctx;

	rig->n.down++;
	rig->down_why = *why;
	rig->stream = NULL;
}

static const struct stream_ops stream_ops = {
	.on_opened = on_opened,
	.on_refused = on_refused,
	.on_data = on_data,
	.on_readable = on_readable,
	.on_writable = on_writable,
	.on_reset = on_reset,
	.on_closed = on_closed,
};

static const struct session_ops ops = {
	.on_up = on_up,
	.on_open = on_open,
	.stream = &stream_ops,
	.on_dgram = on_dgram,
	.on_icmp_error = on_icmp_error,
	.on_assoc_close = on_assoc_close,
	.on_resolve = on_resolve,
	.on_resolved = on_resolved,
	.on_down = on_down,
};

/* ---- the peer ---- */

void session_rig_give(struct session_rig *rig, uint8_t type, uint32_t id,
		      const void *body, size_t len)
{
	struct frame_header h = {.type = type, .len = (uint32_t)len, .id = id};
	/* A copy of just that size, so that reading beyond it shows. */
	uint8_t *copy = malloc(len);

	assert_always(len == 0 || copy != NULL);
	if (len > 0)
		memcpy(copy, body, len);
	if (rig->carrier.user)
		rig->carrier.user->on_frame(rig->carrier.user_ctx, &h, copy);
	free(copy);
	session_rig_settle(rig);
}

void session_rig_give_built(struct session_rig *rig, const uint8_t *frame,
			    size_t len)
{
	struct frame_header h;

	assert_always(len >= FRAME_HEADER_LEN &&
		      frame_parse_header(frame, &h) == 0 &&
		      len == FRAME_HEADER_LEN + h.len);
	session_rig_give(rig, h.type, h.id, frame + FRAME_HEADER_LEN, h.len);
}

void session_rig_greet(struct session_rig *rig)
{
	struct frame_hello hello = {.version_highest = 1,
				    .version_lowest = 1,
				    .software = "rig",
				    .user = "rig"};
	uint8_t frame[FRAME_FIXED_MAX];

	session_rig_give_built(rig, frame, frame_build_hello(frame, &hello));
}

struct rig_frame *session_rig_pop(struct session_rig *rig)
{
	struct list *link = list_pop(&rig->sent);

	return link ? container_of(link, struct rig_frame, link) : NULL;
}

void session_rig_forget(struct session_rig *rig)
{
	struct rig_frame *f;

	while ((f = session_rig_pop(rig)))
		free(f);
}

void session_rig_settle(struct session_rig *rig)
{
	while (loop_poll(rig->loop))
		continue;
}

void session_rig_advance(struct session_rig *rig, uint64_t us)
{
	session_rig_settle(rig);
	loop_advance_us(rig->loop, us);
	session_rig_settle(rig);
}

void session_rig_drain(struct session_rig *rig, size_t room)
{
	rig->carrier_room = room;
	if (rig->carrier.user)
		rig->carrier.user->on_writable(rig->carrier.user_ctx);
	session_rig_settle(rig);
}

void session_rig_break(struct session_rig *rig, const char *why)
{
	struct err err;

	(void)err_set(&err, 0, "%s", why);
	if (rig->carrier.user)
		rig->carrier.user->on_closed(rig->carrier.user_ctx, &err);
	session_rig_settle(rig);
}

/* ---- life ---- */

struct session_rig *session_rig_new(enum session_role role)
{
	struct frame_hello hello = {.software = "under test"};
	struct session_rig *rig = calloc(1, sizeof(*rig));

	assert_always(rig != NULL);
	list_init(&rig->sent);
	rig->carrier.ops = &carrier_ops_rig;
	rig->carrier.is_local =
		true; /* or there would be RECEIVED everywhere */
	rig->carrier_room = SIZE_MAX;
	rig->loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_always(rig->loop != NULL);
	rig->s = session_new(rig->loop, role, &rig->carrier, &ops, rig, &hello);
	assert_always(rig->s != NULL);
	session_rig_settle(rig);
	return rig;
}

struct session_rig *session_rig_free(struct session_rig *rig)
{
	if (!rig)
		return NULL;
	rig->s = session_free(rig->s);
	assert_always(rig->is_carrier_freed);
	session_rig_forget(rig);
	rig->loop = loop_free(rig->loop);
	free(rig);
	return NULL;
}
