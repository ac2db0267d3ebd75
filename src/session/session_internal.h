/* SPDX-License-Identifier: MIT */
/* session_internal: what session.c and stream.c share. */
#ifndef ECSSH_SESSION_INTERNAL_H
#define ECSSH_SESSION_INTERNAL_H

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
	uint32_t next_id;	       /* near: of the next stream */
	struct htab streams;
	struct list dead;     /* streams to be freed at the end of the turn */
	struct list owes_ack; /* streams whose peer is to hear of consumption */
	struct sched sched;
	struct ring control;   /* small frames, sent first */
	struct loop_task pump; /* posted when there is something to send */
	struct loop_task reap; /* posted when a stream died */
	struct timer ack_timer;
	struct timer ping_timer; /* also: silence */
	struct timer trim_timer; /* gives idle streams' storage back */
	mono_us_t heard_us;	 /* last frame */
	mono_us_t ping_sent_us;
	struct err down_why;
	struct session_stats stats;
};

/* Window to promise a stream now: an equal share of the budget. */
uint32_t session_window_bytes(const struct session *s);

/* Take note that the stream owes its peer an ACK; send it soon or at once. */
void session_owe_ack(struct stream *s);

/* The stream has bytes or a FIN to send. */
void session_want_send(struct stream *s);

/* Both directions may be finished: then on_closed, and the stream is dead. */
void session_maybe_close(struct stream *s);

/* Storage came into use that the trim timer should look after. */
void session_want_trim(struct session *s);

#endif
