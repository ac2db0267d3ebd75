/* SPDX-License-Identifier: MIT */
/* reconnect: the way to the far end, made again when it is lost. */
#ifndef ECSSH_RECONNECT_H
#define ECSSH_RECONNECT_H

#include <stdbool.h>

#include "err.h"
#include "loop.h"

struct client;

/* Storage is the client's. */
struct reconnect {
	struct loop_task drop; /* lets go of what is left of the last way */
	struct timer timer;    /* armed: until the next attempt */
	bool has_pinned;       /* the address that was seen */
	unsigned n_failed;     /* attempts, since the tunnel was up */
	mono_us_t lost_us;
	struct err said; /* the last reason that was told */
};

void reconnect_init(struct client *c);

/*
 * The way to the far end has failed.  Returns true if that is not the end: the
 * tunnel was up once, and is wanted back.  Device, addresses and routes stay;
 * connections in the tunnel are reset in a later turn.
 */
bool reconnect_takes(struct client *c, const struct err *why);

/* The session is over; why is found out.  If there is to be another one, nobody
 * is told meanwhile that the network cannot be reached. */
void reconnect_on_session_down(struct client *c);

/* The tunnel is up, for the first time or again.  Returns true if again. */
bool reconnect_on_connected(struct client *c);

/* No more attempts. */
void reconnect_stop(struct client *c);

#endif
