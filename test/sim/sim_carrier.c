/* SPDX-License-Identifier: MIT */
/* sim_carrier: two carriers joined in memory, with the vices of TCP below. */
#include "sim_carrier.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "list.h"

/* A frame under way. */
struct parcel {
	struct list link;
	mono_us_t sent_us; /* when its last byte leaves the sender */
	mono_us_t due_us;
	size_t len;
	uint8_t bytes[];
};

struct end {
	struct carrier base;
	struct sim_pipe *pipe;
	struct end *peer;
	struct list parcels; /* towards this end */
	size_t bytes;	     /* in parcels */
	struct timer arrival;
	struct timer drained; /* the sender has room again */
	mono_us_t line_free_us;
	struct err why;
	bool is_broken;
};

struct sim_pipe {
	struct loop *loop;
	struct rng *rng;
	struct sim_link link;
	mono_us_t stalled_until_us;
	struct end ends[2];
};

static struct end *end_of(struct carrier *c)
{
	return container_of(c, struct end, base);
}

static mono_us_t later_of(mono_us_t a, mono_us_t b)
{
	return a > b ? a : b;
}

static void arm_at(struct sim_pipe *p, struct timer *t, mono_us_t at_us)
{
	mono_us_t now_us = loop_now_us(p->loop);

	timer_arm(p->loop, t, at_us > now_us ? at_us - now_us : 0);
}

static void arm_arrival(struct end *e)
{
	if (list_is_empty(&e->parcels))
		return;
	struct parcel *first =
		container_of(e->parcels.next, struct parcel, link);

	arm_at(e->pipe, &e->arrival,
	       later_of(first->due_us, e->pipe->stalled_until_us));
}

static void on_arrival(void *ctx)
{
	struct end *e = ctx;
	mono_us_t now_us = loop_now_us(e->pipe->loop);

	if (now_us < e->pipe->stalled_until_us) {
		arm_arrival(e);
		return;
	}
	while (!list_is_empty(&e->parcels)) {
		struct parcel *p =
			container_of(e->parcels.next, struct parcel, link);
		struct frame_header h;

		if (p->due_us > now_us)
			break;
		list_del(&p->link);
		e->bytes -= p->len;
		assert_always(frame_parse_header(p->bytes, &h) == 0 &&
			      p->len == FRAME_HEADER_LEN + h.len);
		if (e->base.user)
			e->base.user->on_frame(e->base.user_ctx, &h,
					       p->bytes + FRAME_HEADER_LEN);
		free(p);
	}
	arm_arrival(e);
}

/* Bytes that have not left this end. */
static size_t backlog(const struct end *e)
{
	mono_us_t now_us = loop_now_us(e->pipe->loop);
	uint64_t rate = e->pipe->link.bytes_per_s;

	if (e->pipe->stalled_until_us > now_us)
		return e->peer->bytes;
	if (!rate || e->line_free_us <= now_us)
		return 0;
	return (size_t)((e->line_free_us - now_us) * rate / US_PER_SEC);
}

static bool is_full(const struct carrier *c)
{
	const struct end *e =
		container_of((struct carrier *)(uintptr_t)c, struct end, base);

	return e->is_broken || timer_is_armed(&e->drained);
}

/* One frame takes its place on the line. */
static void ship(struct end *from, const uint8_t *bytes, size_t len)
{
	struct sim_pipe *p = from->pipe;
	struct parcel *parcel = malloc(sizeof(*parcel) + len);
	uint64_t rate = p->link.bytes_per_s;

	assert_always(parcel != NULL);
	parcel->len = len;
	memcpy(parcel->bytes, bytes, len);
	from->line_free_us =
		later_of(from->line_free_us, loop_now_us(p->loop)) +
		(rate ? len * US_PER_SEC / rate : 0);
	if (p->link.stall_ppm && rng_below(p->rng, 1000000) < p->link.stall_ppm)
		from->line_free_us += rng_below(p->rng, p->link.stall_us + 1);
	parcel->sent_us = from->line_free_us;
	parcel->due_us = parcel->sent_us + p->link.delay_us;
	list_push(&from->peer->parcels, &parcel->link);
	from->peer->bytes += len;
}

static void on_drained(void *ctx)
{
	struct end *e = ctx;

	if (backlog(e) > e->pipe->link.queue_bytes / 2) {
		timer_arm(e->pipe->loop, &e->drained, US_PER_MS);
		return;
	}
	if (e->base.user && !e->is_broken)
		e->base.user->on_writable(e->base.user_ctx);
}

static void send_frames(struct carrier *c, const struct iovec *iov, int n)
{
	struct end *e = end_of(c);
	size_t len = 0, at = 0;

	assert_always(!is_full(c));
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	uint8_t *all = malloc(len + 1);
	assert_always(all != NULL);
	for (int i = 0; i < n; i++) {
		memcpy(all + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	for (at = 0; at < len;) {
		struct frame_header h;

		assert_always(len - at >= FRAME_HEADER_LEN &&
			      frame_parse_header(all + at, &h) == 0 &&
			      len - at - FRAME_HEADER_LEN >= h.len);
		ship(e, all + at, FRAME_HEADER_LEN + h.len);
		at += FRAME_HEADER_LEN + h.len;
	}
	free(all);
	if (!timer_is_armed(&e->peer->arrival))
		arm_arrival(e->peer);
	if (backlog(e) > e->pipe->link.queue_bytes)
		timer_arm(e->pipe->loop, &e->drained, US_PER_MS);
}

static void drop_parcels(struct end *e)
{
	struct list *link;

	timer_disarm(e->pipe->loop, &e->arrival);
	while ((link = list_pop(&e->parcels)))
		free(container_of(link, struct parcel, link));
	e->bytes = 0;
}

/* The engine is done with its end: the other one sees the connection close,
 * behind what is under way. */
static struct carrier *end_free(struct carrier *c)
{
	struct end *e = end_of(c);

	drop_parcels(e);
	timer_disarm(e->pipe->loop, &e->drained);
	e->base.user = NULL;
	e->is_broken = true;
	return NULL;
}

static const struct carrier_ops ops = {
	.send = send_frames,
	.is_full = is_full,
	.free = end_free,
};

static void on_break(void *ctx)
{
	struct end *e = ctx;

	if (e->base.user)
		e->base.user->on_closed(e->base.user_ctx, &e->why);
}

static void init_end(struct sim_pipe *p, enum sim_end i)
{
	struct end *e = &p->ends[i];

	e->base.ops = &ops;
	e->pipe = p;
	e->peer = &p->ends[!i];
	list_init(&e->parcels);
	e->arrival = (struct timer){.on_fire = on_arrival, .ctx = e};
	e->drained = (struct timer){.on_fire = on_drained, .ctx = e};
}

void sim_pipe_set_link(struct sim_pipe *p, const struct sim_link *link)
{
	p->link = *link;
	if (!p->link.queue_bytes)
		p->link.queue_bytes = 64 << 10;
}

struct sim_pipe *sim_pipe_new(struct loop *loop, struct rng *rng,
			      const struct sim_link *link)
{
	struct sim_pipe *p = calloc(1, sizeof(*p));

	assert_always(p != NULL);
	p->loop = loop;
	p->rng = rng;
	sim_pipe_set_link(p, link);
	init_end(p, SIM_NEAR);
	init_end(p, SIM_FAR);
	return p;
}

struct carrier *sim_pipe_end(struct sim_pipe *p, enum sim_end end)
{
	return &p->ends[end].base;
}

void sim_pipe_break(struct sim_pipe *p, const char *why)
{
	for (int i = 0; i < 2; i++) {
		struct end *e = &p->ends[i];

		drop_parcels(e);
		timer_disarm(p->loop, &e->drained);
		e->is_broken = true;
		(void)err_set(&e->why, 0, "%s", why);
		e->arrival.on_fire = on_break;
		timer_arm(p->loop, &e->arrival, 0);
	}
}

void sim_pipe_stall(struct sim_pipe *p, uint64_t us)
{
	p->stalled_until_us = loop_now_us(p->loop) + us;
}

size_t sim_pipe_bytes_to(const struct sim_pipe *p, enum sim_end end)
{
	return p->ends[end].bytes;
}

struct sim_pipe *sim_pipe_free(struct sim_pipe *p)
{
	if (!p)
		return NULL;
	for (int i = 0; i < 2; i++)
		(void)end_free(&p->ends[i].base);
	free(p);
	return NULL;
}
