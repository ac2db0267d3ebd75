/* SPDX-License-Identifier: MIT */
/* clock: the one internal notion of time. */
#include "clock.h"

#include <time.h>

#include "err.h"

mono_us_t clock_mono_us(void)
{
	struct timespec ts;

	assert_always(clock_gettime(CLOCK_BOOTTIME, &ts) == 0);
	return (uint64_t)ts.tv_sec * US_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

int64_t clock_wall_s(void)
{
	return (int64_t)time(NULL);
}
