/* SPDX-License-Identifier: MIT */
/*
 * far: the engine on the far side: streams and datagrams of a session become
 * ordinary sockets of an ordinary user.
 */
#ifndef ECSSH_FAR_H
#define ECSSH_FAR_H

#include <stdint.h>

#include "carrier.h"
#include "err.h"
#include "loop.h"
#include "policy.h"

struct far;
struct session;

struct far_options {
	unsigned policy; /* enum policy_flag */
	/* Value of SSH_CONNECTION, or NULL: tells which of our addresses the
	 * near side knows. */
	const char *ssh_connection;
	const char *user;	 /* for the greeting; NULL: not told */
	const char *resolv_conf; /* NULL: /etc/resolv.conf */
	const char *hosts;	 /* NULL: /etc/hosts */
	uint16_t dns_port;	 /* of the resolvers there; 0: 53 */
	/* The session is over, once; call far_free in a later turn.  why is one
	 * sentence; bytes from the peer in it are escaped.  May be NULL. */
	void (*on_down)(void *ctx, const struct err *why);
	void *ctx; /* borrowed */
};

/*
 * Begin a session as its far end.  Owns the carrier from now on, even if it
 * fails; strings in options are borrowed for the call, resolv_conf and hosts
 * until far_free.  Opens and closes a socket or two to find out what this host
 * permits.  Returns NULL with errno set if memory or randomness is not to be
 * had.
 */
struct far *far_new(struct loop *loop, struct carrier *carrier,
		    const struct far_options *options);

/* Close every socket and free the session.  Accepts NULL; returns NULL.  Not
 * from within a callback of the session. */
struct far *far_free(struct far *far);

/* The session, for session_bye and statistics. */
struct session *far_session(struct far *far);

/* Connections and associations at this moment. */
struct far_counts {
	uint32_t tcp;	 /* sockets of streams, half-open ones included */
	uint32_t assocs; /* UDP and echo */
	uint32_t queries;
};

struct far_counts far_count(const struct far *far);

#endif
