/* SPDX-License-Identifier: MIT */
/*
 * session_rig: one session whose peer is the test, frame by frame.
 *
 * What the session sends is parsed and kept; what it tells its engine is
 * counted, and the newest details are kept.
 */
#ifndef ECSSH_SIM_SESSION_RIG_H
#define ECSSH_SIM_SESSION_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "session.h"
#include "session_internal.h"

/* A frame that the session sent. */
struct rig_frame {
	struct list link;
	struct frame_header header;
	mono_us_t at_us;
	bool is_free; /* it came by send_free */
	uint8_t body[];
};

struct rig_events {
	unsigned up, open, opened, refused, readable, writable, reset, closed,
		dgram, icmp_error, assoc_close, resolve, resolved, down;
};

struct session_rig {
	struct carrier carrier;
	struct loop *loop;
	struct session *s;
	struct list sent; /* struct rig_frame, oldest first */
	size_t sent_bytes;
	/* The carrier takes so many bytes and is full then; SIZE_MAX: all. */
	size_t carrier_room;
	bool is_carrier_freed;

	struct rig_events n;
	struct stream *stream; /* of the newest on_open; NULL once it died */
	struct frame_open open;
	struct frame_refused refused;
	struct frame_dgram dgram;
	uint32_t id;
	enum frame_reason reason;
	struct err down_why;
	size_t takes_max;      /* on_data takes so many bytes at most */
	uint64_t taken;	       /* by on_data, in all */
	bool consumes_at_once; /* rx on on_readable, FIN included */
	bool resets_on_data, resets_on_readable, resets_on_writable;
	bool has_no_on_resolved;
};

/* Aborts if memory runs out.  The peer's greeting is not sent yet. */
struct session_rig *session_rig_new(enum session_role role);
struct session_rig *session_rig_free(struct session_rig *rig);

/* Give the session a frame.  It runs to the end of the turn. */
void session_rig_give(struct session_rig *rig, uint8_t type, uint32_t id,
		      const void *body, size_t len);

/* The same with a frame built by src/wire, header included. */
void session_rig_give_built(struct session_rig *rig, const uint8_t *frame,
			    size_t len);

/* The peer's greeting; the session is up. */
void session_rig_greet(struct session_rig *rig);

/* Take the oldest frame sent, for free(); NULL if there is none. */
struct rig_frame *session_rig_pop(struct session_rig *rig);

/* Forget all that was sent. */
void session_rig_forget(struct session_rig *rig);

/* Handle what is due now; move the clock on. */
void session_rig_settle(struct session_rig *rig);
void session_rig_advance(struct session_rig *rig, uint64_t us);

/* The carrier has room for so much more, and says so. */
void session_rig_drain(struct session_rig *rig, size_t room);

/* The carrier breaks. */
void session_rig_break(struct session_rig *rig, const char *why);

#endif
