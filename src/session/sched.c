/* SPDX-License-Identifier: MIT */
/* sched: who sends next. */
#include "sched.h"

void sched_init(struct sched *s)
{
	list_init(&s->flows);
}

void sched_flow_init(struct sched_flow *f, enum sched_kind kind)
{
	list_init(&f->link);
	f->kind = kind;
	f->deficit_bytes = 0;
}

void sched_push(struct sched *s, struct sched_flow *f)
{
	if (!list_is_empty(&f->link))
		return;
	/* A debt stays, or who leaves after each frame would pay none. */
	f->deficit_bytes = SCHED_QUANTUM_BYTES +
			   (f->deficit_bytes < 0 ? f->deficit_bytes : 0);
	list_push(&s->flows, &f->link);
}

void sched_remove(struct sched_flow *f)
{
	list_del(&f->link);
}

struct sched_flow *sched_next(struct sched *s)
{
	while (!list_is_empty(&s->flows)) {
		struct sched_flow *f =
			container_of(s->flows.next, struct sched_flow, link);

		if (f->deficit_bytes > 0)
			return f;
		/* Its turn is over.  What it overdrew comes off the next one; a
		 * frame is a few quanta at most, so that is soon. */
		f->deficit_bytes += SCHED_QUANTUM_BYTES;
		list_del(&f->link);
		list_push(&s->flows, &f->link);
	}
	return NULL;
}

void sched_charge(struct sched_flow *f, size_t sent_bytes)
{
	f->deficit_bytes -= (int64_t)sent_bytes;
}
