/* SPDX-License-Identifier: MIT */
/* stream: the local side's calls on one connection's bytes. */
#include "stream.h"

#include <errno.h>

#include "session_internal.h"

/* What waits here longer than needed is no use to the line, and makes the
 * application believe that it was sent. */
size_t stream_tx_room(const struct stream *s)
{
	size_t unacked = stream_tx_unacked(s);
	size_t most =
		unacked - ring_len(&s->tx) + session_unsent_bytes(s->session);
	size_t share = session_window_bytes(s->session);

	if (s->state != STREAM_OPEN || s->tx_fin)
		return 0;
	if (most > share)
		most = share;
	return unacked < most ? most - unacked : 0;
}

int stream_tx_reserve(struct stream *s, size_t n, struct iovec ret_iov[2])
{
	if (!session_may_store(s->session, n))
		return -ENOMEM;
	int parts = ring_reserve(&s->tx, n, ret_iov);

	session_note_storage(s);
	return parts;
}

/* hop down 2/9 (TCP): the stream asks for its turn */
void stream_tx_commit(struct stream *s, size_t n)
{
	ring_commit(&s->tx, n);
	session_want_send(s);
}

/* Over a local carrier bytes wait for older ones and the peer's window only. */
static bool write_past_ring(struct stream *s, const void *bytes, size_t n)
{
	if (ring_len(&s->tx) > 0 || s->tx.end + n > s->tx_limit ||
	    !session_hand_over(s, bytes, n))
		return false;
	ring_skip(&s->tx, n);
	return true;
}

int stream_write(struct stream *s, const void *bytes, size_t n)
{
	if (write_past_ring(s, bytes, n))
		return 0;
	if (!session_may_store(s->session, n))
		return -ENOMEM;
	int r = ring_push(&s->tx, bytes, n);

	session_note_storage(s);
	if (r == 0)
		session_want_send(s);
	return r;
}

void stream_write_fin(struct stream *s)
{
	if (s->tx_fin)
		return;
	s->tx_fin = true;
	session_want_send(s);
}

int stream_rx_peek(const struct stream *s, uint64_t from, size_t n,
		   struct iovec ret_iov[2])
{
	return ring_peek(&s->rx, from, n, ret_iov);
}

void stream_consume(struct stream *s, uint64_t to)
{
	if (to == s->rx.start)
		return;
	ring_drop(&s->rx, to);
	session_note_storage(s);
	session_owe_ack(s);
}

void stream_consume_fin(struct stream *s)
{
	if (s->rx_fin_consumed)
		return;
	s->rx_fin_consumed = true;
	session_owe_ack(s);
	session_maybe_close(s);
}
