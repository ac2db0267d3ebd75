/* SPDX-License-Identifier: MIT */
/*
 * kill_switch: nothing leaves this host but by the tunnel.
 *
 * It is in force before ssh is started, whatever happens afterwards, until the
 * user ends the tunnel.  What it consists of is the broker's business.
 */
#ifndef ECSSH_KILL_SWITCH_H
#define ECSSH_KILL_SWITCH_H

#include <stdbool.h>

#include "err.h"

struct client;

/* Storage is the client's. */
struct kill_switch {
	bool is_on;	  /* by us */
	bool was_on;	  /* before us: we have taken it over */
	bool is_unwanted; /* the user ended the tunnel */
};

/*
 * Say what is in force, and put it in force or take it over if it is asked for:
 * before ssh is started, whose configuration is known.  Returns 0 or -errno
 * with err.
 */
int kill_switch_begin(struct client *c, struct err *err);

/* The tunnel has ended, and the broker is still there: lift it if the user
 * wanted the end, and say so if it stays. */
void kill_switch_end(struct client *c);

/*
 * Lift the switch of a tunnel that is not up, by a broker of its own, which may
 * ask for a password.  Returns 0 or -errno with err: -EPERM, -EACCES: nobody
 * gives us the privilege.
 */
int kill_switch_lift(const char *tunnel, struct err *err);

#endif
