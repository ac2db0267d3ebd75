/* SPDX-License-Identifier: MIT */
/*
 * sched: who sends next.
 *
 * Theory of operation
 *   Deficit round robin: a flow sends until its credit is used, then it is the
 *   next one's turn and it gets a quantum of credit for the round to come.  The
 *   last frame of a turn may overdraw; the debt comes off later turns.
 *
 *   There are two rounds.  Who becomes active enters `new` with one quantum,
 *   and all of `new` goes before all of `old`: so the keystroke, the DNS query
 *   and the first bytes of a connection pass the bulk transfers.  Who has used
 *   the quantum is moved to the end of `old`.
 *
 *   Who runs empty goes to the end of `old` as well, where an empty flow waits
 *   for its turn and only then leaves.  If it left at once it could send a
 *   little, leave, and be new again, for ever before the old ones; like this
 *   each of them has had a turn before a flow is new a second time.  In debt it
 *   does not leave at all, so a turn of others is what it pays with.
 *
 * Spec: RFC 8290 section 4.1 and 4.2 (Shreedhar and Varghese 1995 for deficits)
 */
#include "sched.h"

void sched_init(struct sched *s)
{
	list_init(&s->new_flows);
	list_init(&s->old_flows);
	s->quantum_bytes = SCHED_QUANTUM_MAX_BYTES;
}

static struct sched_flow *first(struct list *flows)
{
	return container_of(flows->next, struct sched_flow, link);
}

void sched_fini(struct sched *s)
{
	while (!list_is_empty(&s->new_flows))
		sched_remove(first(&s->new_flows));
	while (!list_is_empty(&s->old_flows))
		sched_remove(first(&s->old_flows));
}

void sched_set_quantum(struct sched *s, size_t bytes)
{
	if (bytes < SCHED_QUANTUM_MIN_BYTES)
		bytes = SCHED_QUANTUM_MIN_BYTES;
	if (bytes > SCHED_QUANTUM_MAX_BYTES)
		bytes = SCHED_QUANTUM_MAX_BYTES;
	s->quantum_bytes = (int64_t)bytes;
}

void sched_flow_init(struct sched_flow *f, enum sched_kind kind)
{
	list_init(&f->link);
	f->kind = kind;
	f->is_new = false;
	f->is_empty = false;
	f->deficit_bytes = 0;
}

static void move_to_old(struct sched *s, struct sched_flow *f)
{
	list_del(&f->link);
	list_push(&s->old_flows, &f->link);
	f->is_new = false;
}

void sched_push(struct sched *s, struct sched_flow *f)
{
	f->is_empty = false;
	if (!list_is_empty(&f->link))
		return;
	/* A debt stays, or who is removed after each frame would pay none: with
	 * one it is as if the flow had never left. */
	f->is_new = f->deficit_bytes >= 0;
	f->deficit_bytes =
		s->quantum_bytes + (f->is_new ? 0 : f->deficit_bytes);
	list_push(f->is_new ? &s->new_flows : &s->old_flows, &f->link);
}

void sched_empty(struct sched *s, struct sched_flow *f)
{
	if (list_is_empty(&f->link))
		return;
	f->is_empty = true;
	if (f->is_new)
		move_to_old(s, f);
}

void sched_remove(struct sched_flow *f)
{
	list_del(&f->link);
	f->is_new = false;
	f->is_empty = false;
}

struct sched_flow *sched_next(struct sched *s)
{
	for (;;) {
		struct sched_flow *f;

		if (!list_is_empty(&s->new_flows))
			f = first(&s->new_flows);
		else if (!list_is_empty(&s->old_flows))
			f = first(&s->old_flows);
		else
			return NULL;
		if (f->deficit_bytes <= 0) {
			/* Its turn is over.  A frame is some dozens of the
			 * least quantum at most: a debt is paid soon. */
			f->deficit_bytes += s->quantum_bytes;
			move_to_old(s, f);
		} else if (f->is_empty) {
			sched_remove(f);
		} else {
			return f;
		}
	}
}

void sched_charge(struct sched_flow *f, size_t sent_bytes)
{
	f->deficit_bytes -= (int64_t)sent_bytes;
}
