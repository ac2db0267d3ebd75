/* SPDX-License-Identifier: MIT */
/*
 * bond_rx: from the bytes of several links to one sequence of frames.
 *
 * Spec: doc/PROTOCOL.bond section 2
 */
#ifndef ECSSH_BOND_RX_H
#define ECSSH_BOND_RX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bond_msg.h"
#include "list.h"

struct bond_stash;

/* The common part: all fields but the first two are private. */
struct bond_rx {
	/* A whole frame; body is borrowed for the call, in which no function
	 * below may be called for the same bond_rx. */
	void (*on_frame)(void *ctx, const struct frame_header *h,
			 const uint8_t *body);
	void *ctx;     /* borrowed */
	uint32_t next; /* number of the chunk that goes on */
	bool is_plain; /* link 0 has not come to chunks yet */
	/* Links have numbers: doc/PROTOCOL.bond section 4. */
	bool is_numbered;
	uint32_t next_done; /* bytes of `next` that were handed up */
	struct bond_stash *stash[BOND_STASH_MAX]; /* whole, by number; owned */
	struct list unwhole;			  /* of links; owned */
	size_t stash_bytes;			  /* of both */
	size_t part_len;
	/* The frame that was cut by the end of what came. */
	uint8_t part[FRAME_HEADER_LEN + FRAME_BODY_MAX];
};

/* How far one link is; private. */
struct bond_rx_link {
	bool is_plain;	 /* link 0, until its first chunk */
	bool is_turning; /* link 0, at that chunk: it must be 0 */
	bool in_chunk;	 /* its header has come, its end has not */
	bool is_free;	 /* it is FREE */
	uint32_t seq;	 /* of that chunk */
	uint32_t left;	 /* bytes of it to come */
	size_t head_len;
	uint8_t head[BOND_GOT_LEN]; /* incomplete; a chunk's is shorter */
	/* Where links have numbers. */
	uint32_t pos;		 /* bytes of the chunk that have come */
	struct bond_stash *held; /* they, if not handed up; in unwhole */
	uint64_t bytes;		 /* of chunks, with headers */
};

void bond_rx_init(struct bond_rx *rx,
		  void (*on_frame)(void *ctx, const struct frame_header *h,
				   const uint8_t *body),
		  void *ctx);

/* Let go of what is kept for links with numbers. */
void bond_rx_fini(struct bond_rx *rx);

/* A link with a number has ended.  What it brought in part comes again. */
void bond_rx_link_fini(struct bond_rx *rx, struct bond_rx_link *l);

/* is_first: link 0. */
void bond_rx_link_init(struct bond_rx_link *l, bool is_first);

/*
 * The next bytes of a link.  Returns how many were taken: all, unless the link
 * has come to a chunk that is not next; the rest is to be given again when
 * bond_rx_is_due says so.  -EBADMSG: the peer broke the protocol.
 */
ssize_t bond_rx_feed(struct bond_rx *rx, struct bond_rx_link *l,
		     const uint8_t *bytes, size_t len);

/* ---- between bond_rx.c and bond_order.c ---- */

/* Bytes of the frame stream, in which no chunk begins.  Returns 0 or -EBADMSG.
 */
int bond_rx_stream(struct bond_rx *rx, const uint8_t *bytes, size_t len);

/* Whole frames beside the frame stream.  Returns 0 or -EBADMSG. */
int bond_rx_beside(struct bond_rx *rx, const uint8_t *bytes, size_t len);

/* bond_rx_feed for links with numbers, which takes all; link 0 from its first
 * chunk on.  -ENOMEM: that, or the peer sends too far ahead. */
ssize_t bond_order_feed(struct bond_rx *rx, struct bond_rx_link *l,
			const uint8_t *bytes, size_t len);

/* The link is within the chunk that is next.  (Give it no bytes, too, if it has
 * none: a chunk may be empty.) */
static inline bool bond_rx_is_due(const struct bond_rx *rx,
				  const struct bond_rx_link *l)
{
	return l->in_chunk && l->seq == rx->next;
}

#endif
