/* SPDX-License-Identifier: MIT */
/* clock: the one internal notion of time. */
#ifndef ECSSH_CLOCK_H
#define ECSSH_CLOCK_H

#include <stdint.h>

/* Microseconds on a clock that never goes back and counts suspended time. */
typedef uint64_t mono_us_t;

#define US_PER_MS  UINT64_C(1000)
#define US_PER_SEC UINT64_C(1000000)

/* Now, by CLOCK_BOOTTIME. */
mono_us_t clock_mono_us(void);

/* Seconds since 1970, for what people read. */
int64_t clock_wall_s(void);

#endif
