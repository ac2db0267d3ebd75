/* SPDX-License-Identifier: MIT */
/*
 * mem_carrier: a carrier between two sessions of one process.
 *
 * Theory of operation
 *   What one end sends is copied behind what already waits for the other and
 *   handed up from a task there: neither session runs inside a call of the
 *   other, however they answer each other.  Each end has two buffers: one fills
 *   while the other is handed up, so frames lie in one piece and nothing moves.
 *
 *   Bytes of a stream, which are nearly all there is, need no copy: while
 *   nothing waits they are handed up at once, for who gets them only stores
 *   them or passes them on, and answers later.
 *
 *   An end is full while WAITING_BYTES wait at the other.  Every so many
 *   deliveries one is left to the next turn, so that two ends that keep each
 *   other busy do not keep the loop from its descriptors.
 *
 *   A freed end is told to the other behind all that it had sent.
 *
 * Ownership: both ends lie in one block, freed with the second of them.
 */
#include "mem_carrier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iov.h"

enum {
	WAITING_BYTES = 256 << 10, /* a send more than that may wait */
	FIRST_BYTES = 16 << 10,	   /* of a buffer's storage */
	KEEP_BYTES = 512 << 10,	   /* more is given back when it is empty */
	DELIVERIES_PER_TURN = 64,
};

struct buffer {
	uint8_t *bytes; /* owned, cap of them; NULL while cap is 0 */
	size_t len, cap;
};

struct mem_end {
	struct carrier base;
	struct mem_pair *pair;	 /* borrowed; the block that this lies in */
	struct buffer in, spare; /* what waits for this end; being handed up */
	struct loop_task deliver;
	struct timer next_turn; /* instead of deliver, now and then */
	uint32_t n_deliveries;
	bool was_full;	/* a send made it so: on_writable is due */
	bool is_closed; /* on_closed was called */
	bool is_freed;
};

struct mem_pair {
	struct loop *loop; /* borrowed */
	struct mem_end ends[2];
	bool is_broken; /* memory ran out: both ends are told */
	bool is_handing_up;
};

static struct mem_end *from_base(const struct carrier *c)
{
	return container_of((struct carrier *)(uintptr_t)c, struct mem_end,
			    base);
}

static struct mem_end *other(const struct mem_end *e)
{
	return &e->pair->ends[e == &e->pair->ends[0]];
}

static void want_deliver(struct mem_end *e)
{
	if (e->is_freed || !list_is_empty(&e->deliver.link) ||
	    timer_is_armed(&e->next_turn))
		return;
	if (++e->n_deliveries % DELIVERIES_PER_TURN == 0)
		timer_arm(e->pair->loop, &e->next_turn, 0);
	else
		loop_post(e->pair->loop, &e->deliver);
}

/* ---- what waits ---- */

/* Make room for n more bytes.  Returns 0 or -ENOMEM. */
static int reserve(struct buffer *b, size_t n)
{
	size_t cap = b->cap ? b->cap : FIRST_BYTES;

	while (cap < b->len + n)
		cap *= 2;
	if (cap == b->cap)
		return 0;
	uint8_t *bytes = realloc(b->bytes, cap);
	if (!bytes)
		return -ENOMEM;
	b->bytes = bytes;
	b->cap = cap;
	return 0;
}

static void empty(struct buffer *b)
{
	b->len = 0;
	if (b->cap <= KEEP_BYTES)
		return;
	free(b->bytes);
	*b = (struct buffer){0};
}

static bool is_full(const struct carrier *c)
{
	const struct mem_end *to = other(from_base(c));

	return to->is_freed || to->pair->is_broken ||
	       to->in.len >= WAITING_BYTES;
}

static void send_frames(struct carrier *c, const struct iovec *iov, int n)
{
	struct mem_end *from = from_base(c), *to = other(from);

	if (is_full(c))
		return;
	if (reserve(&to->in, iov_total(iov, n)) < 0) {
		from->pair->is_broken = true;
		want_deliver(from);
		want_deliver(to);
		return;
	}
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > 0)
			memcpy(to->in.bytes + to->in.len, iov[i].iov_base,
			       iov[i].iov_len);
		to->in.len += iov[i].iov_len;
	}
	from->was_full = is_full(c);
	want_deliver(to);
}

/* ---- handing up ---- */

static void close_with(struct mem_end *e, const char *what)
{
	struct err why;

	if (e->is_closed)
		return;
	e->is_closed = true;
	(void)err_set(&why, 0, "%s", what);
	if (e->base.user)
		e->base.user->on_closed(e->base.user_ctx, &why);
}

static bool hand_over(struct carrier *c, uint32_t id, uint64_t offset,
		      const uint8_t *bytes, size_t len)
{
	struct mem_end *to = other(from_base(c));
	const struct carrier_user *user = to->base.user;

	if (is_full(c) || to->in.len > 0 || to->is_closed || !user ||
	    !user->on_data || to->pair->is_handing_up)
		return false;
	to->pair->is_handing_up = true;
	user->on_data(to->base.user_ctx, id, offset, bytes, len);
	to->pair->is_handing_up = false;
	return true;
}

/* Hand up whole frames, all of them, unless nobody is there any more. */
static void hand_up(struct mem_end *e, const struct buffer *b)
{
	struct frame_header h;

	for (size_t at = 0; e->base.user && at < b->len;
	     at += FRAME_HEADER_LEN + h.len) {
		if (b->len - at < FRAME_HEADER_LEN ||
		    frame_parse_header(b->bytes + at, &h) < 0 ||
		    b->len - at - FRAME_HEADER_LEN < h.len) {
			close_with(e, "a broken frame came from the other end");
			return;
		}
		e->base.user->on_frame(e->base.user_ctx, &h,
				       b->bytes + at + FRAME_HEADER_LEN);
	}
}

static void on_deliver(void *ctx)
{
	struct mem_end *e = ctx, *from = other(e);
	struct buffer b = e->in;

	if (e->is_closed)
		return;
	e->in = e->spare;
	e->spare = (struct buffer){0};
	hand_up(e, &b);
	empty(&b);
	e->spare = b;
	if (from->was_full && !is_full(&from->base)) {
		from->was_full = false;
		if (from->base.user)
			from->base.user->on_writable(from->base.user_ctx);
	}
	if (e->pair->is_broken)
		close_with(e, "memory ran out");
	else if (from->is_freed && e->in.len == 0)
		close_with(e, "the other end closed the connection");
}

/* ---- life ---- */

static void free_buffer(struct buffer *b)
{
	free(b->bytes);
	*b = (struct buffer){0};
}

static struct carrier *mem_carrier_free(struct carrier *c)
{
	struct mem_end *e = from_base(c), *peer = other(e);

	loop_unpost(&e->deliver);
	timer_disarm(e->pair->loop, &e->next_turn);
	free_buffer(&e->in);
	free_buffer(&e->spare);
	e->base.user = NULL;
	e->is_freed = true;
	if (peer->is_freed)
		free(e->pair);
	else
		want_deliver(peer);
	return NULL;
}

static const struct carrier_ops ops = {
	.send = send_frames,
	.hand_over = hand_over,
	.is_full = is_full,
	.free = mem_carrier_free,
};

int mem_carrier_pair(struct loop *loop, struct carrier *ret_pair[2])
{
	struct mem_pair *pair = calloc(1, sizeof(*pair));

	if (!pair)
		return -ENOMEM;
	pair->loop = loop;
	for (int i = 0; i < 2; i++) {
		struct mem_end *e = &pair->ends[i];

		e->base.ops = &ops;
		e->base.is_local = true;
		e->pair = pair;
		e->deliver = (struct loop_task){.on_run = on_deliver, .ctx = e};
		list_init(&e->deliver.link);
		e->next_turn = (struct timer){.on_fire = on_deliver, .ctx = e};
		ret_pair[i] = &e->base;
	}
	return 0;
}
