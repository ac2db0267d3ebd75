/* SPDX-License-Identifier: MIT */
/*
 * proxy: doors of a tunnel, by which programs get into its session without the
 * TUN: SOCKS 5, 4 and 4a, and HTTP as to a proxy.
 *
 * Spec: doc/PROTOCOL.door
 */
#ifndef ECSSH_PROXY_H
#define ECSSH_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "door_options.h"
#include "loop.h"
#include "session.h"

enum {
	PROXY_DOORS_MAX = 16,
	PROXY_CONNS_MAX = 8192, /* then no more are accepted for a while */
	PROXY_ASSOCS_MAX = 1024,
	PROXY_NAMES_MAX = 256, /* known or being looked up */
};

/* Associations and queries from here on are the doors'. */
#define PROXY_ID_FIRST UINT32_C(0x80000000)

static inline bool proxy_owns_id(uint32_t id)
{
	return id >= PROXY_ID_FIRST;
}

struct proxy;

/* Returns NULL if memory runs out. */
struct proxy *proxy_new(struct loop *loop);

/* Close all doors and what came in by them; streams that are left are reset.
 * Accepts NULL; returns NULL. */
struct proxy *proxy_free(struct proxy *p);

/* Listen.  Works without a session: who connects is told that there is none.
 * Returns 0 or -errno. */
int proxy_open_door(struct proxy *p, const struct door_options *options,
		    struct err *err);

/* Connections go into this session from now on (borrowed).
 * far_capabilities: of the far end's greeting. */
void proxy_session_up(struct proxy *p, struct session *s,
		      uint32_t far_capabilities);

/* The session is over, or about to be: connections in it are reset and it is
 * let go of.  To be called before session_free.  The doors stay. */
void proxy_session_down(struct proxy *p);

/* Callbacks of the session, for ids of which proxy_owns_id is true. */
void proxy_on_dgram(struct proxy *p, uint32_t id, const struct frame_dgram *d);
void proxy_on_icmp_error(struct proxy *p, uint32_t id,
			 const struct frame_icmp_error *e);
void proxy_on_assoc_close(struct proxy *p, uint32_t id,
			  enum frame_reason reason);
void proxy_on_resolved(struct proxy *p, uint32_t id, enum frame_reason status,
		       const uint8_t *answer, size_t len);

struct door_status {
	char listen[DOOR_PATH_MAX + DOOR_TEXT_MAX]; /* path or endpoints */
	uint32_t conns, assocs;			    /* now */
	uint64_t accepted;			    /* since it was opened */
	uint64_t opened;  /* of these: got a stream or an association */
	uint64_t refused; /* of these: were told that they did not */
	bool is_paused;	  /* accepts nobody: too many, or no descriptors */
};

/* Fill in up to max; returns how many doors there are. */
size_t proxy_doors(const struct proxy *p, struct door_status *ret, size_t max);

#endif
