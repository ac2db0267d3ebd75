/* SPDX-License-Identifier: MIT */
/* record: see record.h. */
#include "record.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void tell(const struct record *r, bool is_strike, size_t index,
		 const struct journal_change *change)
{
	struct broker_note note;

	if (!r->ops->note)
		return;
	memset(&note, 0, sizeof(note)); /* holes too: it leaves the process */
	note.is_strike = is_strike;
	note.index = (uint32_t)index;
	memcpy(&note.change, change, sizeof(note.change));
	r->ops->note(r->ctx, &note);
}

static void push(struct record *r, const struct journal_change *change)
{
	assert_always(r->n < RECORD_MAX);
	r->changes[r->n++] = *change;
	r->n_of[change->kind]++;
}

static void strike(struct record *r, size_t i)
{
	r->n_of[r->changes[i].kind]--;
	r->n--;
	memmove(&r->changes[i], &r->changes[i + 1],
		(r->n - i) * sizeof(r->changes[0]));
}

void record_push(struct record *r, const struct journal_change *change)
{
	tell(r, false, 0, change);
	push(r, change);
}

void record_strike(struct record *r, size_t i)
{
	tell(r, true, i, &r->changes[i]);
	strike(r, i);
}

void record_mirror(struct record *r, const struct broker_note *note)
{
	if (note->is_strike && note->index < r->n)
		strike(r, note->index);
	else if (!note->is_strike && note->change.kind > 0 &&
		 note->change.kind < CHANGE__N && r->n < RECORD_MAX)
		push(r, &note->change);
}

int record_make(struct record *r, const struct journal_change *change,
		struct err *err)
{
	record_push(r, change);
	int result = r->ops->make(r->ctx, change, err);
	if (result < 0)
		record_strike(r, r->n - 1);
	return result;
}

static bool is_same(const struct journal_change *a,
		    const struct journal_change *b)
{
	const struct journal_rule *x = &a->rule, *y = &b->rule;

	if (a->kind != b->kind)
		return false;
	if (a->kind == CHANGE_ADDR || a->kind == CHANGE_ROUTE)
		return subnet_equal(&a->net, &b->net);
	return a->kind != CHANGE_RULE ||
	       (x->kind == y->kind && x->version == y->version &&
		x->has_uid == y->has_uid && x->uid == y->uid &&
		endpoint_equal(&x->local, &y->local) &&
		endpoint_equal(&x->remote, &y->remote));
}

int record_find(const struct record *r, const struct journal_change *like)
{
	for (size_t i = 0; i < r->n; i++)
		if (is_same(&r->changes[i], like))
			return (int)i;
	return -ENOENT;
}

/* Returns 0, also if there is nothing left to undo, or -errno with err. */
static int take_back(struct record *r, const struct journal_change *change,
		     struct err *err)
{
	/* The device took its own with it, or it is no longer what we made. */
	if (change->kind >= CHANGE_LINK &&
	    !r->ops->link_is_ours(r->ctx, &change->link))
		return 0;
	int result = r->ops->unmake(r->ctx, change, err);
	bool is_gone = result == -ESRCH || result == -ENODEV ||
		       result == -EADDRNOTAVAIL || result == -ENOENT;
	return is_gone ? 0 : result;
}

int record_unmake(struct record *r, size_t i, struct err *err)
{
	struct journal_change change = r->changes[i];
	int result = take_back(r, &change, err);

	if (result == 0)
		record_strike(r, i);
	return result;
}

int record_undo(struct record *r, struct err *err)
{
	int result = 0;

	while (r->n > 0) {
		struct err why;
		int one = take_back(r, &r->changes[r->n - 1], &why);

		record_strike(r, r->n - 1);
		if (one < 0 && result == 0)
			result = err_set(err, one, "%s", why.text);
	}
	return result;
}
