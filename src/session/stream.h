/* SPDX-License-Identifier: MIT */
/*
 * stream: one TCP connection's bytes, both ways, between the engines.
 *
 * Both engines use the same object.  tx is the direction away from this engine:
 * bytes taken from the local side (the TUN's TCP, or a far socket), kept until
 * the carrier has them, and counted until the peer has acknowledged them.  rx
 * is the direction towards the local side: bytes that came in frames and stay
 * here until the local side has consumed them.
 */
#ifndef ECSSH_STREAM_H
#define ECSSH_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"
#include "htab.h"
#include "list.h"
#include "ring.h"
#include "sched.h"

struct session;
struct stream_ops;

enum stream_state {
	STREAM_OPENING, /* OPEN sent or received, not answered yet; no bytes
			   move */
	STREAM_OPEN,
	STREAM_DEAD, /* finished; freed at the end of the turn; the owner has
			let go */
};

struct stream {
	struct session *session;      /* borrowed */
	const struct stream_ops *ops; /* borrowed; the owner's */
	void *owner; /* borrowed; whoever handles the local side */
	uint32_t id;
	enum stream_state state;
	struct htab_node node;	/* by id */
	struct sched_flow flow; /* among those with something to send */
	struct list ack_link;	/* among those that owe an ACK, or dead ones */
	struct list room_link;	/* among those whose owner may write again */

	struct ring tx; /* [sent in DATA frames, taken from the local side) */
	uint64_t tx_acked; /* offsets below the peer has consumed */
	uint64_t tx_limit; /* offsets below may be sent (peer's window) */
	bool tx_fin;	   /* no more after tx.end */
	bool tx_fin_sent;
	bool tx_fin_acked;

	struct ring rx;	      /* [consumed, received) */
	uint64_t rx_limit;    /* offsets below may be sent to us, as told */
	uint64_t rx_acked;    /* consumption as told, FIN's offset included */
	bool rx_fin;	      /* no more after rx.end */
	bool rx_fin_consumed; /* the local side knows */
	size_t stored_bytes;  /* storage of both rings, as counted */
};

/* Bytes taken from the local side that the peer has not consumed yet. */
static inline size_t stream_tx_unacked(const struct stream *s)
{
	return (size_t)(s->tx.end - s->tx_acked);
}

/* Bytes that the local side may still give; 0 while opening. */
size_t stream_tx_room(const struct stream *s);

/* Take bytes from the local side: room for n <= stream_tx_room, filled by the
 * caller, then committed.  Returns the number of parts, or -ENOMEM. */
int stream_tx_reserve(struct stream *s, size_t n, struct iovec ret_iov[2]);
void stream_tx_commit(struct stream *s, size_t n);

/* The same by copying.  Returns 0 or -ENOMEM. */
int stream_write(struct stream *s, const void *bytes, size_t n);

/* The local side will give no more. */
void stream_write_fin(struct stream *s);

/* Bytes that wait for the local side, from absolute offset `from` within rx.
 * Returns the number of parts. */
int stream_rx_peek(const struct stream *s, uint64_t from, size_t n,
		   struct iovec ret_iov[2]);

/* The local side has taken all bytes below this offset. */
void stream_consume(struct stream *s, uint64_t to);

/* The local side knows that nothing follows.  May finish the stream: on_closed
 * comes at the end of the turn. */
void stream_consume_fin(struct stream *s);

#endif
