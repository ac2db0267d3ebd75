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

/*
 * Fork it.  It has the privileges of this moment and no other job, and of our
 * descriptors this one (-1: none).  *ret_fd (the caller's to close) carries
 * notes to it, and is at its end as soon as the keeper is.  Returns 0 or -errno
 * with err.
 */
int keeper_start(const struct broker_ops *ops, void *ctx, int its_fd,
		 int *ret_fd, struct err *err);

/* Send a note.  A keeper that is gone is found out by the descriptor. */
void keeper_note(int fd, const struct broker_note *note);

#endif
