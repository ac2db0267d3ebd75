/* SPDX-License-Identifier: MIT */
/* far_assoc: associations of the session as datagram sockets of this host. */
#ifndef ECSSH_FAR_ASSOC_H
#define ECSSH_FAR_ASSOC_H

#include <stdint.h>

#include "dgram_sock.h"
#include "htab.h"
#include "list.h"
#include "loop.h"
#include "session.h"

enum {
	FAR_ASSOC_MAX = 8192,
	/* The near end decides sooner; this is for what it forgot. */
	FAR_ASSOC_IDLE_US = 300 * 1000000,
};

/* All associations of an engine.  Storage is the caller's. */
struct far_assoc_table {
	struct loop *loop;	 /* borrowed */
	struct session *session; /* borrowed; set by the owner */
	unsigned policy;	 /* enum policy_flag */
	struct htab by_id;	 /* struct far_assoc */
	struct list by_use;	 /* struct far_assoc, latest used at the end */
	struct timer idle;	 /* armed while there is any */
	struct dgram_batch *batch; /* owned; shared by all */
	uint64_t seed;		   /* random; for peer_set */
};

/* Returns 0, -ENOMEM or -errno of getrandom(2). */
int far_assoc_table_init(struct far_assoc_table *t, struct loop *loop,
			 unsigned policy);

/* Close all.  Accepts a table of zeros. */
void far_assoc_table_fini(struct far_assoc_table *t);

/* Callbacks of the session. */
void far_assoc_on_dgram(struct far_assoc_table *t, uint32_t id,
			const struct frame_dgram *d);
void far_assoc_on_close(struct far_assoc_table *t, uint32_t id);

#endif
