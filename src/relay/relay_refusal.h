/* SPDX-License-Identifier: MIT */
/*
 * relay_refusal: why a server did not open a channel, and for how long that
 * answer is good.
 *
 * Each refusal wears ssh (see mux_link.h), so an application that tries again
 * at once gets the same answer from here.
 */
#ifndef ECSSH_RELAY_REFUSAL_H
#define ECSSH_RELAY_REFUSAL_H

#include <stdint.h>

#include "addr.h"
#include "clock.h"
#include "frame.h"

enum {
	RELAY_REFUSALS_MAX = 256,
	RELAY_REFUSAL_US = 1000000,
	/* A server's rules do not change while a connection lasts. */
	RELAY_REFUSAL_PROHIBITED_US = 60 * 1000000,
};

/* A destination that was refused. */
struct relay_refusal {
	mono_us_t until_us; /* 0: none */
	enum frame_reason reason;
	struct endpoint dst;
	char name[FRAME_NAME_MAX + 1]; /* "": by address */
};

/* Storage is the caller's; begins as zeros. */
struct relay_refusals {
	struct relay_refusal slots[RELAY_REFUSALS_MAX]; /* by hash */
};

/*
 * What a refusal means: reason by RFC 4254 section 5.1, text in the words of
 * the server's C library.
 */
enum frame_reason relay_refusal_meaning(uint32_t reason, const char *text);

/* name "": dst is the destination; else dst.port and name.  An older entry may
 * be forgotten for it. */
void relay_refusal_add(struct relay_refusals *t, const struct endpoint *dst,
		       const char *name, enum frame_reason reason,
		       mono_us_t now_us);

/* The reason if it was refused just now, or FRAME_REASON_NONE. */
enum frame_reason relay_refusal_find(const struct relay_refusals *t,
				     const struct endpoint *dst,
				     const char *name, mono_us_t now_us);

#endif
