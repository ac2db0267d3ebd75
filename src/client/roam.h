/* SPDX-License-Identifier: MIT */
/*
 * roam: this host has moved on, and lost the address that the connection to the
 * gateway came from: nothing will come back to it, so that it is made again
 * now, and not when it has been silent for long.
 */
#ifndef ECSSH_ROAM_H
#define ECSSH_ROAM_H

#include "loop.h"

struct client;

/* Storage is the client's. */
struct roam {
	struct timer grace; /* armed: the address has gone */
};

void roam_init(struct client *c);

/* Addresses of this host have changed.  Nothing happens without --reconnect,
 * for the address may come back. */
void roam_look(struct client *c);

void roam_stop(struct client *c);

#endif
