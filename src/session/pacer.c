/* SPDX-License-Identifier: MIT */
/* pacer: see pacer.h. */
#include "pacer.h"

#include <stdbool.h>

static int64_t quantum(uint64_t rate)
{
	return (int64_t)(rate * PACER_QUANTUM_US / US_PER_SEC) + 1;
}

static bool is_paced(uint64_t rate)
{
	return rate > 0 && rate <= PACER_RATE_MOST;
}

size_t pacer_portion(uint64_t rate)
{
	return is_paced(rate) ? (size_t)quantum(rate) : SIZE_MAX;
}

size_t pacer_room(struct pacer *p, mono_us_t now_us, uint64_t rate)
{
	/* A wake-up that comes a little late is made good, not a silence: what
	 * follows one would be a lump. */
	int64_t most = quantum(rate) + quantum(rate) / 2;
	uint64_t passed_us = now_us - p->at_us;

	p->at_us = now_us;
	if (!is_paced(rate)) {
		p->credit_bytes = 0;
		return SIZE_MAX;
	}
	if (passed_us > US_PER_SEC)
		p->credit_bytes = most;
	else
		p->credit_bytes += (int64_t)(rate * passed_us / US_PER_SEC);
	if (p->credit_bytes > most)
		p->credit_bytes = most;
	return p->credit_bytes >= quantum(rate) ? pacer_portion(rate) : 0;
}

void pacer_spend(struct pacer *p, size_t bytes)
{
	p->credit_bytes -= (int64_t)bytes;
}

uint64_t pacer_wait_us(const struct pacer *p, uint64_t rate)
{
	int64_t lacking = quantum(rate) - p->credit_bytes;

	if (rate == 0 || lacking <= 0)
		return 0;
	return (uint64_t)lacking * US_PER_SEC / rate + 1;
}
