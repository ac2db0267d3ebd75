/* SPDX-License-Identifier: MIT */
/*
 * link_probe: what the server opens and runs for us, tried over channels of a
 * running ssh.
 *
 * Nothing is sent on them but the script, and each is closed at once.
 */
#ifndef ECSSH_LINK_PROBE_H
#define ECSSH_LINK_PROBE_H

#include <stdbool.h>

#include "far_checks.h"
#include "far_facts.h"
#include "loop.h"
#include "mux_link.h"

struct link_probe;

struct link_probe_ops {
	/* The script has told what it can: may a tun channel be tried? */
	bool (*may_try_tun)(void *ctx);
	/* All is known that will be; once, never within link_probe_start. */
	void (*on_done)(void *ctx);
};

struct link_probe_config {
	const char *command; /* the script's line; borrowed for the call */
	/* To be filled in; borrowed for its life.  facts is initialised. */
	struct far_facts *facts;
	struct far_probes *probes;
	uint32_t timeout_ms; /* for all of it */
};

/* The link is ready, and borrowed, as ops and ctx, until link_probe_free or the
 * link's end.  Returns NULL with errno set. */
struct link_probe *link_probe_start(struct loop *loop, struct mux_link *link,
				    const struct link_probe_config *config,
				    const struct link_probe_ops *ops,
				    void *ctx);

/* After the link has been freed or has closed.  Accepts NULL; returns NULL. */
struct link_probe *link_probe_free(struct link_probe *p);

#endif
