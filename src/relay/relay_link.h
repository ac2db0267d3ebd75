/* SPDX-License-Identifier: MIT */
/*
 * relay_link: the connections of ssh that a relay opens channels in: the one in
 * use, and worn ones on which older channels go on.
 */
#ifndef ECSSH_RELAY_LINK_H
#define ECSSH_RELAY_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "loop.h"
#include "mux_link.h"

enum {
	/* So many failures are nearly too many: ask for a fresh link. */
	RELAY_LINK_WORN_FAILURES = MUX_LINK_FAILURES_MAX / 4 * 3,
	RELAY_LINK_TICK_US = 250000,
};

/* Storage is the caller's. */
struct relay_links {
	struct loop *loop;	  /* borrowed */
	struct mux_link *current; /* borrowed */
	struct list old;	  /* struct old_link */
	struct timer tick;	  /* armed while there are old ones */
	bool has_told_worn;	  /* of the current link */
	/* The current link is nearly worn out, or has no room for
	 * another channel; once for each, in the midst of a call. */
	void (*on_worn)(void *ctx);
	/* There are old links: time to leave them.  May be NULL. */
	void (*on_tick)(void *ctx);
	void *ctx; /* borrowed */
};

void relay_link_init(struct relay_links *l, struct loop *loop,
		     struct mux_link *link);

/* Forget all links, without a word to their owners. */
void relay_link_fini(struct relay_links *l);

/* See relay_ssh_renew. */
void relay_link_renew(struct relay_links *l, struct mux_link *link,
		      void (*on_retired)(void *ctx, struct mux_link *link),
		      void *ctx);

/* An old link is no more: on_retired does not come for it. */
void relay_link_forget(struct relay_links *l, const struct mux_link *link);

/* Open a channel on the current link, as mux_channel_open does; see whether it
 * is worn. */
struct mux_channel *relay_link_open(struct relay_links *l,
				    const struct mux_channel_open *what,
				    const struct mux_channel_ops *ops,
				    void *owner);

/* An opening has failed: see whether the link is worn. */
void relay_link_note_failure(struct relay_links *l);

#endif
