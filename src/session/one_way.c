/* SPDX-License-Identifier: MIT */
/* one_way: see one_way.h. */
#include "one_way.h"

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

uint64_t one_way_excess_us(struct one_way *w, mono_us_t now_us,
			   uint64_t sent_us)
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
	int64_t fastest_us = w->before_since_us
				     ? least(w->least_us, w->least_before_us)
				     : w->least_us;

	return (uint64_t)took_us - (uint64_t)fastest_us;
}
