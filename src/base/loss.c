/* SPDX-License-Identifier: MIT */
/*
 * loss: see loss.h.
 *
 * Theory of operation
 *   A look ends when it covers enough time, round trips and segments.  One with
 *   loss in it, and without a queue, raises the score, any other lowers it.
 *   - The drops of a start, and those of a queue that a growing window fills
 *     every few seconds, are too few looks in a row.
 *   - A small queue on a slow line overflows every second, but it is never
 *     empty either: the line is in use, and another way to send has nothing to
 *     win there but what belongs to others.
 *   - Loss by chance keeps a window from filling any queue.  Once it comes
 *     about every second it costs most of the rate, and is found.
 */
#include "loss.h"

enum { NOISE_US = 2000 };

static void begin_look(struct loss *l, mono_us_t now_us,
		       const struct loss_counts *c)
{
	l->has_begun = true;
	l->since_us = now_us;
	l->since = *c;
}

static bool is_long_enough(const struct loss *l, mono_us_t now_us,
			   const struct loss_counts *c, bool has_lost)
{
	mono_us_t us = now_us - l->since_us;

	return us >= (has_lost ? LOSS_LOOK_LEAST_US : LOSS_LOOK_US) &&
	       us >= (mono_us_t)LOSS_LOOK_ROUND_TRIPS * c->rtt_us &&
	       c->segments - l->since.segments >= LOSS_LOOK_SEGMENTS;
}

/* What is above the least came of waiting, but for some noise. */
static bool has_queue(const struct loss_counts *c)
{
	return c->rtt_us > c->rtt_min_us + c->rtt_min_us / 4 + NOISE_US;
}

bool loss_look(struct loss *l, mono_us_t now_us, const struct loss_counts *c)
{
	if (!l->has_begun) {
		begin_look(l, now_us, c);
		return false;
	}
	if (l->score >= LOSS_LOOKS)
		return true;
	/* One that turned out not to be lost may count for an earlier look. */
	int32_t lost = (int32_t)(c->lost - l->since.lost);

	if (!is_long_enough(l, now_us, c, lost > 0))
		return false;
	if (lost > 0 && !has_queue(c))
		l->score++;
	else if (l->score > 0)
		l->score--;
	if (l->score == 0) {
		l->segments = l->lost = 0;
	} else {
		l->segments += c->segments - l->since.segments;
		l->lost += lost > 0 ? (uint32_t)lost : 0;
	}
	begin_look(l, now_us, c);
	return l->score >= LOSS_LOOKS;
}

uint32_t loss_per_million(const struct loss *l)
{
	if (l->segments == 0)
		return 0;
	return (uint32_t)(l->lost * (uint64_t)1000000 / l->segments);
}
