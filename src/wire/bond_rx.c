/* SPDX-License-Identifier: MIT */
/*
 * bond_rx: see bond_rx.h.
 *
 * Frames that lie whole in what is given are handed up in place.  One that is
 * cut is put together in `part`, there being one frame stream only.
 */
#include "bond_rx.h"

#include <errno.h>
#include <string.h>

void bond_rx_init(struct bond_rx *rx,
		  void (*on_frame)(void *ctx, const struct frame_header *h,
				   const uint8_t *body),
		  void *ctx)
{
	rx->on_frame = on_frame;
	rx->ctx = ctx;
	rx->next = 0;
	rx->is_plain = true;
	rx->is_numbered = false;
	rx->next_done = 0;
	rx->stash_bytes = 0;
	memset(rx->stash, 0, sizeof(rx->stash));
	list_init(&rx->unwhole);
	rx->part_len = 0;
}

void bond_rx_link_init(struct bond_rx_link *l, bool is_first)
{
	*l = (struct bond_rx_link){.is_plain = is_first};
}

/* ---- the frame stream ---- */

/* Add to the cut frame, and hand it up when it is whole.  Returns the bytes
 * taken or -EBADMSG.  Stops behind a header, which may be a chunk's. */
static ssize_t take_part(struct bond_rx *rx, const uint8_t *bytes, size_t len)
{
	size_t want = FRAME_HEADER_LEN;
	struct frame_header h;

	if (rx->part_len >= FRAME_HEADER_LEN) {
		if (frame_parse_header(rx->part, &h) < 0)
			return -EBADMSG;
		want += h.len;
	}
	size_t n = want - rx->part_len < len ? want - rx->part_len : len;
	if (n > 0)
		memcpy(rx->part + rx->part_len, bytes, n);
	rx->part_len += n;
	if (rx->part_len < FRAME_HEADER_LEN ||
	    frame_parse_header(rx->part, &h) < 0)
		return (ssize_t)n; /* a bad header: see the next call */
	if (rx->part_len == FRAME_HEADER_LEN + h.len &&
	    !bond_is_chunk(rx->part)) {
		rx->part_len = 0;
		rx->on_frame(rx->ctx, &h, rx->part + FRAME_HEADER_LEN);
	}
	return (ssize_t)n;
}

/* A frame at bytes, if it is whole.  Returns its length, 0, or -EBADMSG. */
static ssize_t take_whole(struct bond_rx *rx, const uint8_t *bytes, size_t len)
{
	struct frame_header h;

	if (len < FRAME_HEADER_LEN)
		return 0;
	if (frame_parse_header(bytes, &h) < 0)
		return -EBADMSG;
	if (len - FRAME_HEADER_LEN < h.len)
		return 0;
	rx->on_frame(rx->ctx, &h, bytes + FRAME_HEADER_LEN);
	return FRAME_HEADER_LEN + (ssize_t)h.len;
}

/* Bytes of the stream; all are taken, or up to a chunk's header (which may be
 * in part).  Returns their number or -EBADMSG. */
static ssize_t take_stream(struct bond_rx *rx, const uint8_t *bytes, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = 0;

		if (rx->part_len == 0) {
			if (bond_is_chunk(bytes + at) &&
			    len - at >= FRAME_HEADER_LEN)
				break;
			n = take_whole(rx, bytes + at, len - at);
		}
		if (n == 0) {
			if (rx->part_len >= FRAME_HEADER_LEN &&
			    bond_is_chunk(rx->part))
				break;
			n = take_part(rx, bytes + at, len - at);
		}
		if (n < 0)
			return n;
		at += (size_t)n;
	}
	return (ssize_t)at;
}

int bond_rx_stream(struct bond_rx *rx, const uint8_t *bytes, size_t len)
{
	ssize_t n = take_stream(rx, bytes, len);

	if (n < 0 || (size_t)n < len ||
	    (rx->part_len >= FRAME_HEADER_LEN && bond_is_chunk(rx->part)))
		return -EBADMSG;
	return 0;
}

int bond_rx_beside(struct bond_rx *rx, const uint8_t *bytes, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = bond_is_chunk(bytes + at)
				    ? -EBADMSG
				    : take_whole(rx, bytes + at, len - at);

		if (n <= 0)
			return -EBADMSG;
		at += (size_t)n;
	}
	return 0;
}

/* ---- links ---- */

/* Link 0 before its first chunk. */
static ssize_t feed_plain(struct bond_rx *rx, struct bond_rx_link *l,
			  const uint8_t *bytes, size_t len)
{
	ssize_t n = take_stream(rx, bytes, len);

	if (n < 0)
		return n;
	bool is_cut_head =
		rx->part_len == FRAME_HEADER_LEN && bond_is_chunk(rx->part);
	if ((size_t)n < len || is_cut_head) {
		rx->is_plain = l->is_plain = false;
		l->is_turning = true;
		if (is_cut_head) {
			memcpy(l->head, rx->part, FRAME_HEADER_LEN);
			l->head_len = FRAME_HEADER_LEN;
			rx->part_len = 0;
		}
	}
	return n;
}

static ssize_t feed_head(struct bond_rx *rx, struct bond_rx_link *l,
			 const uint8_t *bytes, size_t len)
{
	size_t n = FRAME_HEADER_LEN - l->head_len;

	if (n > len)
		n = len;
	if (n > 0)
		memcpy(l->head + l->head_len, bytes, n);
	l->head_len += n;
	if (l->head_len < FRAME_HEADER_LEN)
		return (ssize_t)n;
	if (l->head[0] == BOND_FREE ||
	    bond_parse_chunk(l->head, &l->seq, &l->left) < 0)
		return -EBADMSG;
	/* Past, or the sign that link 0 alone may give; that one is 0. */
	if ((int32_t)(l->seq - rx->next) < 0 || (rx->is_plain && l->seq == 0) ||
	    (l->is_turning && l->seq != 0))
		return -EBADMSG;
	l->is_turning = false;
	l->head_len = 0;
	l->in_chunk = true;
	return (ssize_t)n;
}

/* The chunk that is next. */
static ssize_t feed_chunk(struct bond_rx *rx, struct bond_rx_link *l,
			  const uint8_t *bytes, size_t len)
{
	size_t want = l->left < len ? l->left : len;

	if (bond_rx_stream(rx, bytes, want) < 0)
		return -EBADMSG;
	l->left -= (uint32_t)want;
	if (l->left == 0) {
		l->in_chunk = false;
		rx->next++;
	}
	return (ssize_t)want;
}

ssize_t bond_rx_feed(struct bond_rx *rx, struct bond_rx_link *l,
		     const uint8_t *bytes, size_t len)
{
	size_t at = 0;

	if (rx->is_numbered && !l->is_plain)
		return bond_order_feed(rx, l, bytes, len);
	/* A header may be complete, or a chunk empty, without more bytes. */
	for (;;) {
		ssize_t n;

		if (l->in_chunk && (int32_t)(l->seq - rx->next) < 0)
			return -EBADMSG; /* another link had it, too */
		if (l->in_chunk ? l->seq != rx->next || (at == len && l->left)
				: at == len && l->head_len < FRAME_HEADER_LEN)
			break;
		if (l->is_plain)
			n = feed_plain(rx, l, bytes + at, len - at);
		else if (l->in_chunk)
			n = feed_chunk(rx, l, bytes + at, len - at);
		else
			n = feed_head(rx, l, bytes + at, len - at);
		if (n < 0)
			return n;
		at += (size_t)n;
		if (rx->is_numbered && !l->is_plain) {
			n = bond_order_feed(rx, l, bytes + at, len - at);
			return n < 0 ? n : (ssize_t)at + n;
		}
	}
	return (ssize_t)at;
}
