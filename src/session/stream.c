/* SPDX-License-Identifier: MIT */
/* stream: the local side's calls on one connection's bytes. */
#include "stream.h"

#include <errno.h>

#include "session_internal.h"

/* What waits here longer than needed is no use to the line, and makes the
 * application believe that it was sent. */
size_t stream_tx_room(const struct stream *s)
{
	size_t most = (size_t)(s->tx_sent - s->tx.start) +
		      session_unsent_bytes(s->session);
	size_t share = session_window_bytes(s->session);

	if (s->state != STREAM_OPEN || s->tx_fin)
		return 0;
	if (most > share)
		most = share;
	return ring_len(&s->tx) < most ? most - ring_len(&s->tx) : 0;
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

int stream_write(struct stream *s, const void *bytes, size_t n)
{
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
