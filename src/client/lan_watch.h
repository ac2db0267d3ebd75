/* SPDX-License-Identifier: MIT */
/* lan_watch: networks that this host comes into while the tunnel is up, and
 * that it cannot reach because what goes there goes into the tunnel. */
#ifndef ECSSH_LAN_WATCH_H
#define ECSSH_LAN_WATCH_H

#include <stddef.h>

#include "connected.h"
#include "loop.h"

struct client;

enum { LAN_WATCH_TEXT_MAX = 384 };

/* Storage is the client's; zeroed before the start. */
struct lan_watch {
	struct loop_io io;	      /* on_event NULL: not started; fd owned */
	struct connected_list before; /* those that the plan knows */
	struct connected_list now;
};

/* The routes are made.  What fails is said and no reason to end. */
void lan_watch_start(struct client *c);
void lan_watch_stop(struct client *c);

/* A sentence about the i-th of those networks that it is in now; NULL: there
 * are no more. */
const char *lan_watch_tell(const struct client *c, size_t i,
			   char out[LAN_WATCH_TEXT_MAX]);

#endif
