/* SPDX-License-Identifier: MIT */
/*
 * far: the engine on the far side: streams and datagrams of a session become
 * ordinary sockets of an ordinary user.
 */
#ifndef ECSSH_FAR_H
#define ECSSH_FAR_H

#include <stdint.h>
#include <stdio.h>

#include "carrier.h"
#include "err.h"
#include "frame.h"
#include "loop.h"
#include "policy.h"

struct far;
struct session;

/* Who makes the device of the packet plane. */
struct far_network_ops {
	/*
	 * The near end asks for it, once.  Answer with far_network_up or
	 * far_network_down in a later turn.  network is borrowed for the call.
	 */
	void (*start)(void *ctx, const struct frame_network *network);
	/* It is over with the device; undo everything. */
	void (*stop)(void *ctx);
};

struct far_options {
	unsigned policy; /* enum policy_flag */
	/* Value of SSH_CONNECTION, or NULL: tells which of our addresses the
	 * near side knows. */
	const char *ssh_connection;
	const char *user;	 /* for the greeting; NULL: not told */
	const char *resolv_conf; /* NULL: /etc/resolv.conf */
	const char *hosts;	 /* NULL: /etc/hosts */
	/* Opens these two for reading, if we may not; NULL: we may. */
	FILE *(*open_file)(void *ctx, const char *path);
	void *open_ctx;	   /* borrowed */
	uint16_t dns_port; /* of the resolvers there; 0: 53 */
	uint8_t sandbox;   /* enum frame_sandbox, for the greeting */
	const struct far_network_ops *network; /* NULL: no packet plane */
	void *network_ctx;		       /* borrowed */
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

/*
 * The device is there.  fd as tun_out_open wants it; owned from now on.  how
 * tells a person how it was made and is escaped.
 */
void far_network_up(struct far *far, int fd, uint16_t mtu_bytes,
		    const char *how);

/* how has changed.  Nothing happens if the device is gone. */
void far_network_tell(struct far *far, const char *how);

/* There is none, or no longer; why is a sentence, escaped.  Nothing happens if
 * that was said before. */
void far_network_down(struct far *far, const char *why);

/* Connections and associations at this moment. */
struct far_counts {
	uint32_t tcp;	 /* sockets of streams, half-open ones included */
	uint32_t assocs; /* UDP and echo */
	uint32_t queries;
};

struct far_counts far_count(const struct far *far);

#endif
