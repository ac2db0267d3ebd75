/* SPDX-License-Identifier: MIT */
/* session_internal: what the files of session/ share. */
#ifndef ECSSH_SESSION_INTERNAL_H
#define ECSSH_SESSION_INTERNAL_H

#include "one_way.h"
#include "pacer.h"
#include "session.h"

enum session_state {
	SESSION_GREETING, /* the peer's HELLO is awaited */
	SESSION_UP,
	SESSION_DOWN, /* over; on_down was called or is posted */
};

struct session {
	struct loop *loop; /* borrowed */
	enum session_role role;
	enum session_state state;
	struct carrier *carrier;       /* owned */
	const struct session_ops *ops; /* borrowed */
	void *ctx;		       /* borrowed; for ops */
	struct frame_hello hello;      /* ours */
	uint32_t next_id;	       /* near: of the next stream; far: least
					  that may come */
	struct htab streams;
	struct list dead;     /* streams to be freed at the end of the turn */
	struct list owes_ack; /* streams whose peer is to hear of consumption */
	size_t stored_bytes;  /* capacity of all streams' rings */
	uint32_t n_loaded;    /* streams that have any */
	size_t dgram_bytes;   /* of all queued datagrams */
	struct sched sched;
	struct governor governor; /* of what we send */
	struct pacer pacer;	  /* likewise */
	struct timer pace_timer;
	struct one_way from_peer;		   /* RECEIVED's way */
	uint64_t rx_total_before, received_before; /* at the last one */
	uint64_t came, went;  /* of late; see is_way_here_busy */
	struct list got_room; /* streams whose owner may write again */
	struct ring control;  /* small frames, sent first */
	uint64_t rx_total;    /* bytes of frames, as RECEIVED counts */
	uint64_t rx_told;     /* of these, as told last */
	mono_us_t rx_last_us; /* when the last came */
	mono_us_t rx_owed_us; /* when the first came that is not told */
	struct timer received_timer;
	struct loop_task pump;	  /* posted when there is something to send */
	struct loop_task reap;	  /* posted when a stream died */
	struct list when_sending; /* struct loop_task, borrowed */
	struct timer ack_timer;
	struct timer ping_timer;  /* also: silence */
	struct timer drops_timer; /* far: tells the near end what was refused */
	struct timer trim_timer;  /* gives idle streams' storage back */
	mono_us_t heard_us;	  /* last frame */
	mono_us_t ping_sent_us;
	struct err down_why;
	enum session_end end;
	struct session_stats stats;
};

/* ---- session.c ---- */

/* The session is over; on_down follows at the end of the turn. */
void session_go_down(struct session *s, const struct err *why);

/* The same because of the peer or of our own limits: the peer is told. */
void session_fail(struct session *s, enum frame_bye reason, const char *what);

/* Make and enter a stream, or NULL: limit or memory. */
struct stream *session_stream_new(struct session *s, uint32_t id);

/* Take a stream out; it is freed at the end of the turn. */
void session_stream_kill(struct stream *st);

/* Both directions may be finished: then on_closed, and the stream is dead. */
void session_maybe_close(struct stream *s);

/* Window that a new stream is promised, and one that has proved active. */
uint32_t session_first_window_bytes(const struct session *s);
uint32_t session_window_bytes(const struct session *s);

/* How many bytes a stream may have ready that were not sent yet. */
size_t session_unsent_bytes(const struct session *s);

/* False: holding n more bytes would exceed SESSION_STORED_MAX_BYTES. */
bool session_may_store(const struct session *s, size_t n);

/* A ring of the stream has grown or been emptied: keep the books. */
void session_note_storage(struct stream *st);

/* The greeting; near: in answer to the helper's. */
void session_send_hello(struct session *s);

/* ---- session_recv.c ---- */

void session_on_frame(void *ctx, const struct frame_header *h,
		      const uint8_t *body);

void session_on_data(void *ctx, uint32_t id, uint64_t offset,
		     const uint8_t *bytes, size_t len);

/* ---- session_send.c ---- */

/* Queue a small frame that the peer cannot do without.  If that is impossible
 * the session fails rather than go on with a hole. */
void session_send_vital(struct session *s, const uint8_t *frame, size_t len);

/* Queue a small frame that may be lost: dropped and counted while many wait. */
void session_send_hint(struct session *s, const uint8_t *frame, size_t len);

/* Take note that the stream owes its peer an ACK; send it soon or at once. */
void session_owe_ack(struct stream *s);

/* Send that ACK now. */
void session_send_ack(struct stream *st);

/* Offset up to which the peer's bytes (and FIN) are consumed. */
uint64_t session_consumed(const struct stream *st);

/* Give the peer n bytes from tx.end on at once, within the call.  False: that
 * is not possible, now or over this carrier. */
bool session_hand_over(struct stream *s, const void *bytes, size_t n);

/* The stream has bytes or a FIN to send. */
void session_want_send(struct stream *s);

/* There is something to send at the end of this turn. */
void session_want_pump(struct session *s);

/* A frame of this many bytes came: the peer is to be told. */
void session_note_received(struct session *s, size_t bytes);

/* Fill the carrier.  ctx: the session. */
void session_pump(void *ctx);

/* A timer's: something is due that the pump sends.  ctx: the session. */
void session_on_due(void *ctx);

/* ---- dgram_queue.c ---- */

/* A datagram that waits, with its frame built. */
struct dgram {
	struct list link;
	mono_us_t queued_us;
	size_t len;
	size_t overhead; /* of len: what is not payload */
	uint8_t frame[];
};

/* Take the next datagram that is not stale, for free(); NULL: none is left. */
struct dgram *dgram_queue_pop(struct session *s, struct dgram_queue *q);

#endif
