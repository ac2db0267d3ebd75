/* SPDX-License-Identifier: MIT */
/*
 * bond_order: chunks of links with numbers, put in order, but for the free
 * ones.
 *
 * Theory of operation
 *   The chunk that is next is handed up as its bytes come, from whichever link
 *   is furthest with it: next_done says how far that is.  Others are held: in
 *   `unwhole` while they come, then in `stash`, each in the place of its
 *   number, so that no peer can make us search.  A free one is held until it is
 *   whole, handed up then, and an empty one is in its place.  A link may end
 *   anywhere; what it has brought of a chunk that is not next is forgotten
 *   then.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bond_rx.h"
#include "err.h"

enum { STASH_OVERHEAD = 64 };

static_assert((BOND_STASH_MAX & (BOND_STASH_MAX - 1)) == 0,
	      "places go on where numbers begin again");

struct bond_stash {
	struct list link;
	uint32_t seq, len;
	uint32_t filled;
	bool is_free;
	uint8_t bytes[];
};

static struct bond_stash *of_list(struct list *at)
{
	return container_of(at, struct bond_stash, link);
}

static bool is_past(const struct bond_rx *rx, uint32_t seq)
{
	return (int32_t)(seq - rx->next) < 0;
}

static void stash_free(struct bond_rx *rx, struct bond_stash *s)
{
	list_del(&s->link);
	rx->stash_bytes -= s->len + STASH_OVERHEAD;
	free(s);
}

/* Returns NULL if there is no memory, or none for this peer. */
static struct bond_stash *stash_new(struct bond_rx *rx, uint32_t seq,
				    uint32_t len, bool is_free)
{
	size_t size = (size_t)len + STASH_OVERHEAD;

	if (rx->stash_bytes + size > BOND_STASH_MAX_BYTES)
		return NULL;
	struct bond_stash *s = malloc(sizeof(*s) + len);
	if (!s)
		return NULL;
	*s = (struct bond_stash){.seq = seq, .len = len, .is_free = is_free};
	list_push(&rx->unwhole, &s->link);
	rx->stash_bytes += size;
	return s;
}

/* Of a chunk that is not past, nor too far ahead. */
static struct bond_stash **place_of(struct bond_rx *rx, uint32_t seq)
{
	return &rx->stash[seq % BOND_STASH_MAX];
}

/* It is whole. */
static void put_away(struct bond_rx *rx, struct bond_stash *s)
{
	struct bond_stash **place = place_of(rx, s->seq);

	if (*place) {
		stash_free(rx, s); /* another link was sooner */
		return;
	}
	list_del(&s->link);
	*place = s;
}

/* Bytes [from, from + len) of the chunk that is next. */
static int hand_up(struct bond_rx *rx, const uint8_t *bytes, uint32_t from,
		   size_t len)
{
	uint32_t skip = rx->next_done - from;

	if (rx->next_done < from || len <= skip)
		return 0;
	rx->next_done += (uint32_t)(len - skip);
	return bond_rx_stream(rx, bytes + skip, len - skip);
}

/* What links have in part of the chunk that is next now. */
static int hand_up_unwhole(struct bond_rx *rx)
{
	int r = 0;

	list_for_each (at, &rx->unwhole) {
		const struct bond_stash *s = of_list(at);

		if (r == 0 && s->seq == rx->next && !s->is_free)
			r = hand_up(rx, s->bytes, 0, s->filled);
	}
	return r;
}

/* Take the chunk that is next.  Returns NULL if it is not there whole. */
static struct bond_stash *take_next(struct bond_rx *rx)
{
	struct bond_stash **place = place_of(rx, rx->next);
	struct bond_stash *s = *place;

	*place = NULL;
	return s;
}

/* The chunk that was next, of len bytes, is whole: go on with what is there. */
static int advance(struct bond_rx *rx, uint32_t len)
{
	int r = 0;

	while (r == 0) {
		struct bond_stash *s;

		if (rx->next_done != len)
			return -EBADMSG; /* it has had two lengths */
		rx->next++;
		rx->next_done = 0;
		r = hand_up_unwhole(rx);
		s = take_next(rx);
		if (!s)
			return r;
		if (r == 0)
			r = hand_up(rx, s->bytes, 0, s->len);
		len = s->len;
		stash_free(rx, s);
	}
	return r;
}

static void drop_held(struct bond_rx *rx, struct bond_rx_link *l)
{
	if (l->held)
		stash_free(rx, l->held);
	l->held = NULL;
}

/* It is handed up, unless it was before, and what follows need not wait for it.
 */
static int end_free(struct bond_rx *rx, struct bond_rx_link *l)
{
	struct bond_stash *empty;
	int r = 0;

	if (!*place_of(rx, l->seq))
		r = bond_rx_beside(rx, l->held->bytes, l->held->len);
	drop_held(rx, l);
	if (r < 0)
		return r;
	if (l->seq == rx->next)
		return advance(rx, 0);
	empty = stash_new(rx, l->seq, 0, false);
	if (!empty)
		return -ENOMEM;
	put_away(rx, empty);
	return 0;
}

static int end_chunk(struct bond_rx *rx, struct bond_rx_link *l)
{
	l->in_chunk = false;
	if (l->is_free && !is_past(rx, l->seq))
		return end_free(rx, l);
	if (!is_past(rx, l->seq) && l->seq != rx->next) {
		assert_always(l->held); /* since begin_chunk */
		put_away(rx, l->held);
		l->held = NULL;
		return 0;
	}
	drop_held(rx, l);
	return l->seq == rx->next ? advance(rx, l->pos) : 0;
}

static int begin_chunk(struct bond_rx *rx, struct bond_rx_link *l)
{
	if (bond_parse_chunk(l->head, &l->seq, &l->left) < 0)
		return -EBADMSG;
	/* The sign that link 0 alone may give; that one is 0. */
	l->is_free = l->head[0] == BOND_FREE;
	if ((rx->is_plain && l->seq == 0) ||
	    (l->is_turning && (l->seq != 0 || l->is_free)))
		return -EBADMSG;
	if (!is_past(rx, l->seq) && l->seq - rx->next >= BOND_STASH_MAX)
		return -ENOMEM;
	l->is_turning = false;
	l->in_chunk = true;
	l->pos = 0;
	l->head_len = 0;
	l->bytes += FRAME_HEADER_LEN;
	if (!is_past(rx, l->seq) && (l->is_free || l->seq != rx->next)) {
		l->held = stash_new(rx, l->seq, l->left, l->is_free);
		if (!l->held)
			return -ENOMEM;
	}
	return l->left == 0 ? end_chunk(rx, l) : 0;
}

static ssize_t feed_chunk(struct bond_rx *rx, struct bond_rx_link *l,
			  const uint8_t *bytes, size_t len)
{
	size_t n = l->left < len ? l->left : len;
	bool is_next = l->seq == rx->next && !l->is_free;
	int r = 0;

	if (is_next) {
		r = hand_up(rx, bytes, l->pos, n);
	} else if (!is_past(rx, l->seq)) {
		memcpy(l->held->bytes + l->pos, bytes, n);
		l->held->filled += (uint32_t)n;
	}
	/* Handed up or past: nobody wants to read it there. */
	if (is_past(rx, l->seq) || is_next)
		drop_held(rx, l);
	l->pos += (uint32_t)n;
	l->left -= (uint32_t)n;
	l->bytes += n;
	if (r == 0 && l->left == 0)
		r = end_chunk(rx, l);
	return r < 0 ? r : (ssize_t)n;
}

/* A header, or what stands between chunks. */
static ssize_t feed_head(struct bond_rx *rx, struct bond_rx_link *l,
			 const uint8_t *bytes, size_t len)
{
	size_t want = FRAME_HEADER_LEN, n;
	struct frame_header h;

	if (l->head_len >= FRAME_HEADER_LEN && !bond_is_chunk(l->head))
		want = BOND_GOT_LEN;
	n = want - l->head_len < len ? want - l->head_len : len;
	if (n > 0)
		memcpy(l->head + l->head_len, bytes, n);
	l->head_len += n;
	if (l->head_len < want)
		return (ssize_t)n;
	if (bond_is_chunk(l->head)) {
		int r = begin_chunk(rx, l);

		return r < 0 ? r : (ssize_t)n;
	}
	if (frame_parse_header(l->head, &h) < 0 ||
	    !((h.type == BOND_GOT && h.len == BOND_GOT_BODY_LEN) ||
	      (h.type == BOND_GONE && h.len == 0)))
		return -EBADMSG;
	if (l->head_len == FRAME_HEADER_LEN + h.len) {
		l->head_len = 0;
		rx->on_frame(rx->ctx, &h, l->head + FRAME_HEADER_LEN);
	}
	return (ssize_t)n;
}

ssize_t bond_order_feed(struct bond_rx *rx, struct bond_rx_link *l,
			const uint8_t *bytes, size_t len)
{
	size_t at = 0;

	/* The first header of link 0 may be there already. */
	while (at < len || (!l->in_chunk && l->head_len == FRAME_HEADER_LEN &&
			    l->head[0] == BOND_CHUNK)) {
		ssize_t n = l->in_chunk
				    ? feed_chunk(rx, l, bytes + at, len - at)
				    : feed_head(rx, l, bytes + at, len - at);

		if (n < 0)
			return n;
		at += (size_t)n;
	}
	return (ssize_t)at;
}

void bond_rx_link_fini(struct bond_rx *rx, struct bond_rx_link *l)
{
	drop_held(rx, l);
	l->in_chunk = false;
	l->head_len = 0;
}

void bond_rx_fini(struct bond_rx *rx)
{
	struct list *at;

	for (unsigned i = 0; i < BOND_STASH_MAX; i++)
		if (rx->stash[i])
			stash_free(rx, rx->stash[i]);
	memset(rx->stash, 0, sizeof(rx->stash));
	while ((at = list_pop(&rx->unwhole)))
		stash_free(rx, of_list(at));
}
