/* SPDX-License-Identifier: MIT */
/*
 * bond_carrier: frames over one pair of byte streams, such as ssh's stdio, or
 * over more links that are added later.
 *
 * Spec: doc/PROTOCOL.bond
 */
#ifndef ECSSH_BOND_CARRIER_H
#define ECSSH_BOND_CARRIER_H

#include <stddef.h>

#include "bond_msg.h"
#include "carrier.h"
#include "loop.h"

/*
 * Make a carrier that reads frames from rfd and writes them to wfd, both owned
 * from now on (also on failure) and set to O_NONBLOCK; they may be the same.
 * leftover is what has been read from rfd already.  Pipes are enlarged where
 * the system allows it.  Returns NULL with errno set.
 */
struct carrier *bond_carrier_new(struct loop *loop, int rfd, int wfd,
				 const void *leftover, size_t leftover_len);

/* Each may be NULL: then it is ignored. */
struct bond_ops {
	/* far: the near end wants links, with numbers or without. */
	void (*on_ask)(void *ctx, bool wants_numbers);
	/* near: where to. */
	void (*on_offer)(void *ctx, const struct bond_offer *offer);
	/* A link with a number has ended, the session goes on.  No link may be
	 * added in here. */
	void (*on_lost)(void *ctx, uint32_t number, const struct err *why);
};

/* ops and ctx are borrowed until set to something else. */
void bond_carrier_set_ops(struct carrier *c, const struct bond_ops *ops,
			  void *ctx);

/* near: ask for an offer of links, which are to have numbers or not. */
void bond_carrier_ask(struct carrier *c, bool wants_numbers);

/* far: answer. */
void bond_carrier_offer(struct carrier *c, const struct bond_offer *offer);

/*
 * far: add a socket whose JOIN has been read and accepted, owned from now on
 * (also on failure); sends JOINED.  Returns 0 or -errno.
 */
int bond_carrier_add_fd(struct carrier *c, int fd, uint32_t number,
			const uint8_t token[BOND_TOKEN_LEN]);

/*
 * near: add a link with a number over these descriptors, owned from now on
 * (also on failure); JOINED has been read, and leftover behind it.  Returns 0
 * or -errno.
 */
int bond_carrier_add_numbered(struct carrier *c, uint32_t number, int rfd,
			      int wfd, const void *leftover,
			      size_t leftover_len);

/* Links that are to be joined have numbers, or not after all; before the first
 * joins.  Returns 0, or -EPROTO if that is past. */
int bond_carrier_set_numbered(struct carrier *c, bool has_numbers);

/* Links besides link 0. */
unsigned bond_carrier_n_links(const struct carrier *c);

/* Chunks that were sent once more. */
uint64_t bond_carrier_n_repeats(const struct carrier *c);

#endif
