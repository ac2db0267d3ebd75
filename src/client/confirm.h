/* SPDX-License-Identifier: MIT */
/* confirm: a tunnel that ends unless somebody who still reaches this host says
 * that it may stay. */
#ifndef ECSSH_CONFIRM_H
#define ECSSH_CONFIRM_H

#include <stdbool.h>

enum {
	CONFIRM_MIN_S = 5,
	CONFIRM_MAX_S = 3600,
};

struct client;

/* The tunnel is up: from now on it waits, if it was started so. */
void confirm_on_connected(struct client *c);

/* Somebody confirms.  Returns false if nobody waits for that. */
bool confirm_take(struct client *c);

/* Seconds that are left, at least 1; 0: nobody waits. */
unsigned confirm_left_s(const struct client *c);

/* The tunnel ends anyway. */
void confirm_stop(struct client *c);

#endif
