/* SPDX-License-Identifier: MIT */
/*
 * pacer: sends in small portions, evenly.
 *
 * ssh and sshd put into one SSH packet whatever they find in the pipe, up to
 * 32 KiB, and nothing of a packet comes out before all of it is there: at
 * 10 Mbit/s that is 26 ms for everybody.  Portions of PACER_QUANTUM_US, one
 * after the other, are read one by one.
 *
 * Pure: the clock is an argument.  Theory: doc/GOVERNOR.md
 */
#ifndef ECSSH_PACER_H
#define ECSSH_PACER_H

#include <stddef.h>
#include <stdint.h>

#include "clock.h"

enum {
	PACER_QUANTUM_US = 4000,
	/* Faster lines are not paced: a packet is nothing there. */
	PACER_RATE_MOST = 40000000, /* bytes/s */
};

/* Zeroed: nothing was sent. */
struct pacer {
	int64_t credit_bytes; /* at at_us */
	mono_us_t at_us;
};

/* A portion on a line of this rate (bytes/s; 0: not known); SIZE_MAX: the line
 * is not paced. */
size_t pacer_portion(uint64_t rate);

/* The portion that may be sent now; 0: wait. */
size_t pacer_room(struct pacer *p, mono_us_t now_us, uint64_t rate);

/* So much was sent. */
void pacer_spend(struct pacer *p, size_t bytes);

/* How long to wait until pacer_room is not 0. */
uint64_t pacer_wait_us(const struct pacer *p, uint64_t rate);

#endif
