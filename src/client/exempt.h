/* SPDX-License-Identifier: MIT */
/*
 * exempt: what carries the tunnel goes past it, and nothing else does.
 *
 * A connection of ssh that is there is told from all others by its two ends,
 * and by a mark on its socket; one that is being opened by where it goes, whose
 * it is, and the ports that it may begin at if it is ours to say.  Where that
 * cannot be, the address is left out of the routes, for everybody on this host.
 */
#ifndef ECSSH_EXEMPT_H
#define ECSSH_EXEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "dialer.h"
#include "err.h"
#include "ssh_peers.h"

struct client;

enum {
	EXEMPT_CONNECTIONS_MAX = 16,
	EXEMPT_GATEWAYS_MAX = 8,
};

struct exempt_connection {
	pid_t pid; /* the ssh above it; 0: this is free */
	struct ssh_peer peer;
};

/* Zeroed: nothing is exempted. */
struct exempt {
	bool is_up; /* the broker can be asked */
	struct exempt_connection connections[EXEMPT_CONNECTIONS_MAX];
	/* Where ssh was seen to connect to. */
	struct endpoint gateways[EXEMPT_GATEWAYS_MAX];
	size_t n_gateways;
	/* An ssh is about to connect there: that is exempted, for our user, and
	 * n 0 means that none is. */
	struct dialer_pins dialling;
	bool has_complained;
};

/* Find what carries the tunnel, and leave out of the plan what cannot be
 * exempted.  Returns 0 or -errno with err, as the next. */
int exempt_plan(struct client *c, struct err *err);

/* The device is there, and no route yet: have the SSH connection that we were
 * started by go past the tunnel, if that would take it. */
int exempt_admin(struct client *c, struct err *err);

/* The device is there, and no route yet: exempt what was found. */
int exempt_up(struct client *c, struct err *err);

/* An ssh is about to be started.  Nothing happens before exempt_up. */
void exempt_dial(struct client *c);

/* It is through with the login, or has failed (pid 0). */
void exempt_dialled(struct client *c, pid_t pid);

/* An ssh has ended; 0: all of them. */
void exempt_drop(struct client *c, pid_t pid);

#endif
