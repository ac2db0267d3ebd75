/* SPDX-License-Identifier: MIT */
/*
 * mux_forward: -L and -R, done by the running ssh.
 *
 * Asked for on a connection to its control socket that has no other use; the
 * forwardings stay when that closes and end with ssh.
 *
 * Spec: doc/PROTOCOL.mux section 2; ssh(1), options -L and -R
 */
#ifndef ECSSH_MUX_FORWARD_H
#define ECSSH_MUX_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "loop.h"

enum {
	MUX_FORWARD_TEXT_MAX = 512,
	MUX_FORWARD_HOST_MAX = 256, /* of a host or path, with its NUL */
	MUX_FORWARDS_MAX = 64,	    /* requests on one connection */
};

enum mux_forward_kind {
	MUX_FORWARD_LOCAL,  /* -L: listen here, connect there */
	MUX_FORWARD_REMOTE, /* -R: listen there, connect here */
};

struct mux_forward_end {
	bool is_path;
	char host[MUX_FORWARD_HOST_MAX]; /* or path; "*": every address */
	uint16_t port;
};

struct mux_forward_spec {
	enum mux_forward_kind kind;
	/* host "": where ssh listens when nothing is said.  port 0: there, any
	 * (remote only). */
	struct mux_forward_end listen, connect;
	char text[MUX_FORWARD_TEXT_MAX]; /* as the user wrote it */
};

/*
 * Read the value of -L or -R as ssh does:
 *	[BIND:]PORT:HOST:PORT   [BIND:]PORT:PATH   PATH:HOST:PORT   PATH:PATH
 * with IPv6 addresses in brackets; a path has a slash.  Returns 0, or -EINVAL
 * with err.
 */
int mux_forward_parse(enum mux_forward_kind kind, const char *text,
		      struct mux_forward_spec *ret, struct err *err);

struct mux_forward;

/* A request has been answered.  port: where ssh listens there if any was asked
 * for, else 0.  why: NULL if it is done. */
typedef void mux_forward_result(void *ctx, uint32_t request, uint16_t port,
				const struct err *why);

/* On a connection to the control socket: what comes first; and then ask for a
 * forwarding.  Numbers count from 0.  Return 0 or -EIO. */
int mux_forward_greet(int fd);
int mux_forward_send(int fd, uint32_t number,
		     const struct mux_forward_spec *spec);

/* Read on fd, of such a connection, what is answered; owned from now on.
 * Returns NULL with errno set. */
struct mux_forward *mux_forward_new(struct loop *loop, int fd,
				    mux_forward_result *on_result, void *ctx);

/*
 * One has been asked for, or is about to be; on_result follows once, never
 * within this call, with its number, which is the count of those before it.
 * Returns the number, or -E2BIG, or -EPIPE if the connection is gone.
 */
int mux_forward_expect(struct mux_forward *f,
		       const struct mux_forward_spec *spec);

/* Not from within on_result.  Accepts NULL; returns NULL. */
struct mux_forward *mux_forward_free(struct mux_forward *f);

#endif
