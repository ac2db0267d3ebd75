/* SPDX-License-Identifier: MIT */
/*
 * outside: the part of the helper that stays out of the sandbox.
 *
 * Theory of operation
 *   A process forked before the helper hears of the near side.  It waits for
 *   requests of fixed size, of which there are few, and never sees a byte of
 *   the session but those of a NETWORK that has been parsed.  Its end is the
 *   helper's: it removes the socket for links, and ends what makes the device.
 *
 *   The helper believes it; it does not believe the helper: paths are its own.
 */
#ifndef ECSSH_HELPER_OUTSIDE_H
#define ECSSH_HELPER_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "bond_msg.h"
#include "frame.h"

/* What the helper asks for, by messages of SOCK_SEQPACKET. */
enum outside_request_type {
	OUTSIDE_OPEN_RESOLV_CONF = 1, /* for reading; a descriptor */
	OUTSIDE_OPEN_HOSTS = 2,	      /* likewise */
	/* Listen at a new place; offer, but for has_numbers, and the
	 * listener. */
	OUTSIDE_LISTEN = 3,
	OUTSIDE_UNLISTEN = 4, /* remove it */
	/* Begin to make a device, once; a socket for setup_receive. */
	OUTSIDE_NETWORK = 5,
};

struct outside_request {
	uint32_t type;
	struct frame_network network; /* of OUTSIDE_NETWORK */
};

struct outside_reply {
	int32_t result; /* 0, or -errno and no descriptor */
	struct bond_offer offer;
};

struct outside {
	int sock; /* owned; -1: there is none any more */
};

/* Fork it.  may_make_device: or OUTSIDE_NETWORK is refused.  Returns 0 or
 * -errno. */
int outside_start(struct outside *o, bool may_make_device);

/* Ends it. */
void outside_fini(struct outside *o);

/*
 * Ask and wait.  network: NULL, or for OUTSIDE_NETWORK.  ret_offer: NULL, or
 * for OUTSIDE_LISTEN.  Returns a descriptor (OUTSIDE_UNLISTEN: 0), or -errno;
 * -EPIPE: it has ended.
 */
int outside_ask(struct outside *o, enum outside_request_type type,
		const struct frame_network *network,
		struct bond_offer *ret_offer);

/* For far_options.open_file, with a struct outside as context. */
FILE *outside_open_file(void *ctx, const char *path);

/* Be it, until the other end of sock is closed. */
void outside_run(int sock, bool may_make_device);

#endif
