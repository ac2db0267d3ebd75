/* SPDX-License-Identifier: MIT */
/* relay_internal: what the kinds of relay share. */
#ifndef ECSSH_RELAY_INTERNAL_H
#define ECSSH_RELAY_INTERNAL_H

#include "pkt.h"
#include "relay.h"
#include "session.h"

/* What differs between kinds. */
struct relay_kind {
	/* Let go of streams, queues, sockets and channels.  May be called
	 * again, when nothing is left.  The session is still there. */
	void (*close)(struct relay *r);
	/* Free the struct that r is in; close was called, the session is gone.
	 */
	void (*free)(struct relay *r);
};

/* The first member of each kind's own struct. */
struct relay {
	const struct relay_kind *kind; /* borrowed; static */
	struct loop *loop;	       /* borrowed */
	struct session *session;       /* owned */
	const struct relay_ops *ops;   /* borrowed */
	void *ctx;		       /* borrowed; for ops */
};

/*
 * Fill in *r and begin its session (role SESSION_FAR), whose callbacks get r as
 * ctx.  Of hello only capabilities, gateways and software need be set; ids are
 * filled in here.  The carrier is owned from now on.  Returns 0 or -errno, the
 * carrier freed and r for the caller to free.
 */
int relay_init(struct relay *r, const struct relay_kind *kind,
	       struct loop *loop, struct carrier *carrier,
	       const struct session_ops *session_ops,
	       const struct frame_hello *hello, const struct relay_ops *ops,
	       void *ctx);

/* For session_ops.on_down; ctx: the relay.  Closes, and tells the owner. */
void relay_on_down(void *ctx, const struct err *why);

/* For session_ops.on_up of a relay that does not care who is there. */
void relay_on_up(void *ctx, const struct frame_hello *peer);

/* ---- answers to what a relay cannot carry ---- */

/* Answer a datagram with the ICMP error that a router in our place would have
 * sent.  Counts nothing. */
void relay_send_icmp(struct relay *r, uint32_t id, const struct frame_dgram *d,
		     enum icmp_meaning meaning, uint32_t mtu_bytes);

/* That it is prohibited here; counted as DROP_POLICY. */
void relay_prohibit(struct relay *r, uint32_t id, const struct frame_dgram *d);

void relay_refuse(struct stream *s, enum frame_reason reason);

#endif
