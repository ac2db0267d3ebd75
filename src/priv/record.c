/* SPDX-License-Identifier: MIT */
/* record: see record.h. */
#include "record.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static bool fits(const struct record *r, const struct broker_note *note)
{
	if (note->is_strike)
		return note->index < r->n;
	return note->change.kind > 0 && note->change.kind < CHANGE__N &&
	       r->n < RECORD_MAX;
}

static void follow(struct record *r, const struct broker_note *note)
{
	struct journal_change *at = &r->changes[note->index];

	if (!note->is_strike) {
		r->changes[r->n++] = note->change;
		r->n_of[note->change.kind]++;
		return;
	}
	r->n_of[at->kind]--;
	r->n--;
	memmove(at, at + 1, (r->n - note->index) * sizeof(*at));
}

static void change_record(struct record *r, bool is_strike, size_t index,
			  const struct journal_change *change)
{
	struct broker_note note;

	memset(&note, 0, sizeof(note)); /* holes too: it leaves the process */
	note.is_strike = is_strike;
	note.index = (uint32_t)index;
	memcpy(&note.change, change, sizeof(note.change));
	assert_always(fits(r, &note));
	if (r->ops->note)
		r->ops->note(r->ctx, &note);
	follow(r, &note);
}

void record_push(struct record *r, const struct journal_change *change)
{
	change_record(r, false, 0, change);
}

void record_strike(struct record *r, size_t i)
{
	change_record(r, true, i, &r->changes[i]);
}

void record_mirror(struct record *r, const struct broker_note *note)
{
	if (fits(r, note))
		follow(r, note);
}

int record_make(struct record *r, const struct journal_change *change,
		struct err *err)
{
	record_push(r, change);
	int result = r->ops->apply(r->ctx, change, false, err);
	if (result < 0)
		record_strike(r, r->n - 1);
	return result;
}

static bool is_same(const struct journal_change *a,
		    const struct journal_change *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == CHANGE_ADDR || a->kind == CHANGE_ROUTE)
		return subnet_equal(&a->net, &b->net);
	return a->kind != CHANGE_RULE || journal_rule_equal(&a->rule, &b->rule);
}

int record_find(const struct record *r, const struct journal_change *like)
{
	for (size_t i = 0; i < r->n; i++)
		if (is_same(&r->changes[i], like))
			return (int)i;
	return -ENOENT;
}

int record_unmake(struct record *r, size_t i, struct err *err)
{
	struct journal_change change = r->changes[i];
	int result = 0;

	/* Else the device took its own with it, or is no longer what we
	 * made. */
	if (change.kind < CHANGE_LINK ||
	    r->ops->link_is_ours(r->ctx, &change.link))
		result = r->ops->apply(r->ctx, &change, true, err);
	bool is_gone = result == -ESRCH || result == -ENODEV ||
		       result == -EADDRNOTAVAIL || result == -ENOENT;
	if (result < 0 && !is_gone)
		return result;
	record_strike(r, i);
	return 0;
}

int record_drop(struct record *r, size_t i, struct err *err)
{
	int result = record_unmake(r, i, err);

	if (result < 0)
		record_strike(r, i);
	return result;
}

int record_undo(struct record *r, struct err *err)
{
	int result = 0;

	while (r->n > 0) {
		struct err why;
		int one = record_drop(r, r->n - 1, &why);

		if (one < 0 && result == 0)
			result = err_set(err, one, "%s", why.text);
	}
	return result;
}
