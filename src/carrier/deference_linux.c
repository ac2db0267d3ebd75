/* SPDX-License-Identifier: MIT */
/* deference: see deference.h. */
#include "deference.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

static bool set_policy(int policy)
{
	struct sched_param none = {0};

	return sched_setscheduler(0, policy, &none) == 0;
}

static void leave(void)
{
	if (sched_getscheduler(0) == SCHED_BATCH)
		(void)set_policy(SCHED_OTHER);
}

static void on_look(void *ctx)
{
	struct deference *d = ctx;
	mono_us_t for_us = loop_now_us(d->loop) - d->full_us;

	if (for_us < DEFERENCE_US)
		timer_arm(d->loop, &d->look, DEFERENCE_US - for_us);
	else
		leave();
}

void deference_init(struct deference *d, struct loop *loop)
{
	*d = (struct deference){.loop = loop};
	d->look.on_fire = on_look;
	d->look.ctx = d;
}

void deference_note_full(struct deference *d)
{
	d->full_us = loop_now_us(d->loop);
	if (!timer_is_armed(&d->look) && sched_getscheduler(0) == SCHED_OTHER &&
	    set_policy(SCHED_BATCH))
		timer_arm(d->loop, &d->look, DEFERENCE_US);
}

void deference_end(struct deference *d)
{
	if (!timer_is_armed(&d->look))
		return;
	timer_disarm(d->loop, &d->look);
	leave();
}
