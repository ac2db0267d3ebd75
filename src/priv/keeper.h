/* SPDX-License-Identifier: MIT */
/*
 * keeper: a process that knows how to undo what the broker does, and does it
 * if the broker dies.
 */
#ifndef ECSSH_KEEPER_H
#define ECSSH_KEEPER_H

#include "broker.h"

/* The keeper's number of the descriptor that it was given. */
enum { KEEPER_FD = 3 };

/* What it is to keep.  All is borrowed. */
struct keeper_charge {
	const struct broker_ops *ops;
	void *ctx; /* a copy of which the keeper undoes with */
	int fd;	   /* the one of our descriptors that it gets, or -1 */
	/* A part of ctx, which a note may bring up to date. */
	void *more;
	size_t more_bytes;
};

/*
 * Fork it.  It has the privileges of this moment and no other job.  *ret_fd
 * (the caller's to close) carries notes to it, and is at its end as soon as the
 * keeper is.  Returns 0 or -errno with err.
 */
int keeper_start(const struct keeper_charge *charge, int *ret_fd,
		 struct err *err);

/* Send a note, and what is more in it (more_bytes may be 0).  A keeper that is
 * gone is found out by the descriptor. */
void keeper_note(int fd, const struct broker_note *note, const void *more,
		 size_t more_bytes);

#endif
