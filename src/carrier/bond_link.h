/* SPDX-License-Identifier: MIT */
/*
 * bond_link: what a link of a bond_carrier is to the carrier, and the carrier
 * to it.  For those who implement a link.
 */
#ifndef ECSSH_BOND_LINK_H
#define ECSSH_BOND_LINK_H

#include "bond_rate.h"
#include "bond_rx.h"
#include "carrier.h"
#include "list.h"
#include "loop.h"
#include "ring.h"

struct bond;
struct bond_link;

struct bond_link_ops {
	/* Send; returns how many bytes were taken now.  If not all,
	 * bond_link_flush is due when there is room. */
	size_t (*send)(struct bond_link *l, const struct iovec *iov, int n);
	/* Bytes that send would take now; SIZE_MAX: not known, but some. */
	size_t (*room)(const struct bond_link *l);
	/* Give again what bond_link_input did not take, and take note of what
	 * it does now. */
	void (*on_due)(struct bond_link *l);
	/* Neither send nor receive any more. */
	void (*stop)(struct bond_link *l);
	void (*free)(struct bond_link *l);
};

/* All but ops is the carrier's. */
struct bond_link {
	const struct bond_link_ops *ops;
	struct bond *bond; /* borrowed */
	struct list link;  /* in bond->links */
	struct bond_rx_link rx;
	size_t kept;	   /* given and not taken */
	struct ring spill; /* sent, but not taken by the link yet */
	bool is_ended;
	/* Where links have numbers. */
	uint32_t number;
	struct bond_rate rate; /* of what we send */
	uint64_t told_bytes;   /* of rx.bytes */
	bool is_gone;	       /* at the other end; to be ended here */
	struct err why;	       /* of its end */
};

/* Send, and put aside what the link does not take.  For the carrier only. */
void bond_link_send(struct bond_link *l, const struct iovec *iov, int n);

/* Join a carrier, which owns it (ops->free) from now on. */
void bond_link_add(struct carrier *c, struct bond_link *l);

/* Bytes have come.  Returns how many were taken; the rest is to be kept for
 * on_due.  When that is noted call bond_link_serve. */
size_t bond_link_input(struct bond_link *l, const uint8_t *bytes, size_t len);

/* Let the others go on where it is their turn now. */
void bond_link_serve(struct bond_link *l);

/* A pipe did not take all: whoever reads it is to go first (deference.h). */
void bond_link_note_full(struct bond_link *l);

/* There is room. */
void bond_link_flush(struct bond_link *l);

/* Nothing comes any more.  Not from within bond_link_input. */
void bond_link_end(struct bond_link *l, int error, const char *what);

/* Nothing that is sent arrives any more. */
void bond_link_deafen(struct bond_link *l);

/* A link over a pair of byte streams, owned also on failure; leftover has been
 * read from rfd already.  Returns NULL with errno set. */
struct bond_link *bond_fd_new(struct loop *loop, int rfd, int wfd,
			      const void *leftover, size_t leftover_len);

#endif
