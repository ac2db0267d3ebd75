/* SPDX-License-Identifier: MIT */
/*
 * bond_sure: the sending side of a bond whose links have numbers: which link
 * takes a chunk, what is kept of it, and when it is sent once more.
 *
 * Spec: doc/PROTOCOL.bond section 4
 */
#ifndef ECSSH_BOND_SURE_H
#define ECSSH_BOND_SURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bond_link.h"
#include "bond_msg.h"
#include "list.h"
#include "loop.h"

struct bond_sure_stats {
	uint64_t n_repeats; /* chunks that were sent once more */
};

/* All fields are private but stats. */
struct bond_sure {
	struct loop *loop;  /* borrowed */
	struct list *links; /* borrowed: the carrier's */
	struct list kept;   /* chunks, lowest number first; owned */
	size_t kept_bytes;
	unsigned n_kept;
	uint32_t next; /* the lowest that is not acknowledged */
	uint32_t tx_seq;
	struct timer rescue;
	struct bond_sure_stats stats;
};

/* tx_seq: of the first chunk. */
void bond_sure_init(struct bond_sure *s, struct loop *loop, struct list *links,
		    uint32_t tx_seq);
void bond_sure_fini(struct bond_sure *s);

/* Send these bytes as chunks.  Returns 0, -ENOMEM, or -EPIPE: no link. */
int bond_sure_send(struct bond_sure *s, const struct iovec *iov, int n);

/* Send these whole frames, at most BOND_CHUNK_MAX bytes, so that they need not
 * wait over there for what was sent before.  Returns like bond_sure_send. */
int bond_sure_send_free(struct bond_sure *s, const struct iovec *iov, int n);

/* Nothing more should be sent now. */
bool bond_sure_is_full(const struct bond_sure *s);

/* Returns 0 or -EBADMSG. */
int bond_sure_got(struct bond_sure *s, const struct bond_got *got);

/* The link has ended, and is marked so: send what was lost with it. */
void bond_sure_lost(struct bond_sure *s, const struct bond_link *l);

/* Bytes have come on this link: acknowledge them now or soon. */
void bond_sure_owe(struct bond_link *l, uint32_t next, bool is_urgent);

#endif
