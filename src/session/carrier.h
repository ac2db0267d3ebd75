/* SPDX-License-Identifier: MIT */
/*
 * carrier: what moves frames between the two engines.
 *
 * The session sees only this; src/carrier has the ways to do it.
 */
#ifndef ECSSH_CARRIER_H
#define ECSSH_CARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "err.h"
#include "frame.h"

enum { CARRIER_FREE_MAX = 160 << 10 };

struct carrier;

/* What a carrier tells its user.  None of these may free the carrier. */
struct carrier_user {
	/* A whole frame; body is borrowed for the call. */
	void (*on_frame)(void *ctx, const struct frame_header *header,
			 const uint8_t *body);
	/* Bytes of a stream that came by hand_over, borrowed for the call. */
	void (*on_data)(void *ctx, uint32_t id, uint64_t offset,
			const uint8_t *bytes, size_t len);
	/* After send returned with the carrier full, there is room again. */
	void (*on_writable)(void *ctx);
	/* The carrier is broken or ended, once; no call follows.  why is one
	 * sentence without a full stop. */
	void (*on_closed)(void *ctx, const struct err *why);
};

struct carrier_ops {
	/*
	 * Send whole frames, described by n parts.  Takes all of it: what the
	 * kernel does not accept now is copied and sent later.  Call only while
	 * !is_full.  Failures come by on_closed in a later turn.
	 */
	void (*send)(struct carrier *c, const struct iovec *iov, int n);
	/*
	 * Send whole frames, at most CARRIER_FREE_MAX bytes, which the other
	 * end may be handed before others that were sent earlier, but not after
	 * any that are sent later by `send`.  Only while may_overtake.
	 */
	void (*send_free)(struct carrier *c, const struct iovec *iov, int n);
	/*
	 * Hand len bytes of a stream to the other end within the call, as a
	 * DATA frame would.  False if that cannot be now: what was sent before
	 * has not been handed up yet, or the other end is at it.  NULL: never,
	 * as where there is a line.
	 */
	bool (*hand_over)(struct carrier *c, uint32_t id, uint64_t offset,
			  const uint8_t *bytes, size_t len);
	/* True while bytes of an earlier send still wait. */
	bool (*is_full)(const struct carrier *c);
	struct carrier *(*free)(struct carrier *c);
};

struct carrier {
	const struct carrier_ops *ops;
	const struct carrier_user *user; /* set by carrier_bind */
	void *user_ctx;			 /* borrowed */
	bool is_local; /* there is no line: nothing can queue in it */
	/* It keeps no more in flight than its lines need by itself. */
	bool is_paced;
	/* There is send_free now.  Only where is_paced. */
	bool may_overtake;
};

static inline void carrier_bind(struct carrier *c,
				const struct carrier_user *user, void *ctx)
{
	c->user = user;
	c->user_ctx = ctx;
}

static inline void carrier_send(struct carrier *c, const struct iovec *iov,
				int n)
{
	c->ops->send(c, iov, n);
}

static inline void carrier_send_free(struct carrier *c, const struct iovec *iov,
				     int n)
{
	c->ops->send_free(c, iov, n);
}

static inline bool carrier_hand_over(struct carrier *c, uint32_t id,
				     uint64_t offset, const uint8_t *bytes,
				     size_t len)
{
	return c->ops->hand_over &&
	       c->ops->hand_over(c, id, offset, bytes, len);
}

static inline bool carrier_is_full(const struct carrier *c)
{
	return c->ops->is_full(c);
}

/* Accepts NULL; returns NULL. */
static inline struct carrier *carrier_free(struct carrier *c)
{
	return c ? c->ops->free(c) : NULL;
}

#endif
