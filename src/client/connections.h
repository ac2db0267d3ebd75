/* SPDX-License-Identifier: MIT */
/*
 * connections: further connections of ssh to the helper of a session, each a
 * link of its carrier: --connections.
 */
#ifndef ECSSH_CONNECTIONS_H
#define ECSSH_CONNECTIONS_H

#include <sys/types.h>

#include "carrier.h"
#include "loop.h"
#include "ssh_cmd.h"
#include "ssh_config.h"
#include "ssh_dest.h"

enum { CONNECTIONS_MAX = 8 }; /* with the first */

struct connections;

struct connections_config {
	struct starter *starter; /* all borrowed for its life */
	const struct ssh_dest *dest;
	/* These as in struct ssh_start. */
	uint32_t flags;
	const struct dialer_pins *pins; /* NULL: none */
	pid_t first;			/* the ssh of the session */
	unsigned n;			/* how many in all, with that one */
	/* An ssh is about to be started; it is through with the login, or has
	 * failed (pid 0); it has ended. */
	void (*on_dial)(void *ctx);
	void (*on_dialled)(void *ctx, pid_t pid);
	void (*on_gone)(void *ctx, pid_t pid);
	/* There is no further one, and none will come. */
	void (*on_hopeless)(void *ctx);
	void *ctx;
};

/* For a bond_carrier, borrowed until connections_stop.  They are opened one
 * after another from now on.  Returns NULL if memory runs out. */
struct connections *connections_new(struct loop *loop, struct carrier *carrier,
				    const struct connections_config *config);

/* Before the carrier is freed: no more is begun.  Accepts NULL. */
void connections_stop(struct connections *c);

/* Once the carrier is freed or has broken: ends each ssh.  Accepts NULL;
 * returns NULL. */
struct connections *connections_free(struct connections *c);

/* How many there are now, with the first; 0 for NULL. */
unsigned connections_n(const struct connections *c);

/* Why there are no more of them, one sentence; empty if nothing went wrong. */
const char *connections_why_not(const struct connections *c);

#endif
