/* SPDX-License-Identifier: MIT */
/* one_way: see one_way.h. */
#include "one_way.h"

#include <stdbool.h>

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t fastest_us(const struct one_way *w)
{
	return w->before_since_us ? least(w->least_us, w->least_before_us)
				  : w->least_us;
}

/* What was known is of a way that is no more. */
static void begin_again(struct one_way *w, mono_us_t now_us, int64_t least_us)
{
	*w = (struct one_way){.since_us = now_us, .least_us = least_us};
}

/* Both spans are over. */
static bool is_flat(const struct one_way_span *a, const struct one_way_span *b)
{
	/* Modulo 2^64, as all of the other clock. */
	uint64_t more_us = (uint64_t)a->least_us - (uint64_t)b->least_us;

	return a->since_us != 0 && more_us + ONE_WAY_SPAN_DIFFERENCE_US <
					   2 * ONE_WAY_SPAN_DIFFERENCE_US;
}

/*
 * One message that waited little ends the suspicion.  Without it a longer way
 * would be taken for a wait until the windows are over: the trip would seem
 * shorter than it is, and each round would leave less in flight than the last.
 */
static void suspect(struct one_way *w, mono_us_t now_us, int64_t took_us,
		    uint64_t queue_us)
{
	struct one_way_span *span = &w->span;

	if ((uint64_t)took_us - (uint64_t)fastest_us(w) <= queue_us) {
		w->span = w->span_before = (struct one_way_span){0};
		return;
	}
	if (span->since_us == 0)
		*span = (struct one_way_span){.since_us = now_us,
					      .least_us = took_us};
	span->least_us = least(span->least_us, took_us);
	span->n_messages++;
	if (now_us - span->since_us < ONE_WAY_SPAN_US ||
	    span->n_messages < ONE_WAY_SPAN_MESSAGES)
		return;
	if (is_flat(&w->span_before, span)) {
		begin_again(w, now_us, span->least_us);
		return;
	}
	w->span_before = *span;
	*span = (struct one_way_span){0};
}

uint64_t one_way_excess_us(struct one_way *w, mono_us_t now_us,
			   uint64_t sent_us, uint64_t queue_us)
{
	/* Modulo 2^64 first: the other clock may say anything. */
	int64_t took_us = (int64_t)(now_us - sent_us);

	if (w->since_us == 0 || now_us - w->since_us > ONE_WAY_WINDOW_US) {
		w->before_since_us = w->since_us;
		w->least_before_us = w->least_us;
		w->since_us = now_us;
		w->least_us = took_us;
	}
	w->least_us = least(w->least_us, took_us);
	suspect(w, now_us, took_us, queue_us);
	return (uint64_t)took_us - (uint64_t)fastest_us(w);
}
