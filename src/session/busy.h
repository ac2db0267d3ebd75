/* SPDX-License-Identifier: MIT */
/* busy: a look now and then at something while a session sends. */
#ifndef ECSSH_BUSY_H
#define ECSSH_BUSY_H

#include "loop.h"

struct session;

enum { BUSY_US = 250000 };

/* Zeroed: not begun. */
struct busy {
	struct loop *loop; /* borrowed, as the next; NULL: not begun */
	struct session *session;
	struct timer timer;
	struct loop_task sending;
	mono_us_t since_us; /* in on_look: since something is sent again */
	void (*on_look)(void *ctx);
	void *ctx; /* borrowed */
};

/* From now on on_look is called BUSY_US after something was sent, and again as
 * long as more is; never while nothing is. */
void busy_start(struct busy *b, struct loop *loop, struct session *session,
		void (*on_look)(void *ctx), void *ctx);

/* Also if it was not begun, and from within on_look. */
void busy_stop(struct busy *b);

#endif
