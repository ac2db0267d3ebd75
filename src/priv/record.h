/* SPDX-License-Identifier: MIT */
/*
 * record: what a broker has changed, so that it can be undone.
 *
 * A change is recorded before it is made, here and with the keeper, and struck
 * out when it is undone or could not be made.
 */
#ifndef ECSSH_RECORD_H
#define ECSSH_RECORD_H

#include "broker.h"

enum {
	/* Link, guard, rules for names, resolver, forwarding: one each. */
	RECORD_MAX = 5 + BROKERMSG_ADDRS_MAX + BROKERMSG_ROUTES_MAX +
		     BROKERMSG_RULES_MAX,
};

struct record {
	const struct broker_ops *ops; /* borrowed, like ctx */
	void *ctx;
	size_t n;
	size_t n_of[CHANGE__N]; /* of each kind */
	struct journal_change changes[RECORD_MAX];
};

/* Append one; strike one out. */
void record_push(struct record *r, const struct journal_change *change);
void record_strike(struct record *r, size_t i);

/* Append one that ops->apply makes, and make it; strike it out again if
 * that fails.  Returns 0 or -errno with err. */
int record_make(struct record *r, const struct journal_change *change,
		struct err *err);

/* Find one of the same meaning; a rule's priority has none.  Returns its index,
 * or -ENOENT. */
int record_find(const struct record *r, const struct journal_change *like);

/* Undo one, and strike it out unless that fails.  What is gone anyhow is
 * undone.  Returns 0 or -errno with err. */
int record_unmake(struct record *r, size_t i, struct err *err);

/* The same, but strike it out in any case: it will not go better another
 * time. */
int record_drop(struct record *r, size_t i, struct err *err);

/* Undo all, newest first.  Returns 0, or the first -errno with err; the rest is
 * undone nevertheless. */
int record_undo(struct record *r, struct err *err);

/* Repeat what happened to another record.  A note that does not fit is
 * ignored. */
void record_mirror(struct record *r, const struct broker_note *note);

#endif
