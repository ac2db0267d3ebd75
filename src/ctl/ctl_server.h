/* SPDX-License-Identifier: MIT */
/* ctl_server: the control socket of a running tunnel. */
#ifndef ECSSH_CTL_SERVER_H
#define ECSSH_CTL_SERVER_H

#include <stdbool.h>
#include <stdio.h>

#include "ctl_path.h"
#include "err.h"
#include "loop.h"
#include "unix_path.h"

enum ctl_status {
	CTL_STATUS_JSON,
	CTL_STATUS_TEXT,
	CTL_STATUS_VERBOSE,
	CTL_STATUS_DROPS,
};

struct ctl_server_ops {
	/* Print the answer to out. */
	void (*on_status)(void *ctx, enum ctl_status kind, FILE *out);
	/* End the tunnel; who asked is answered by ctl_server_free. */
	void (*on_down)(void *ctx);
	/* The tunnel may stay.  Returns false if it did not wait for that. */
	bool (*on_confirm)(void *ctx);
};

struct ctl_server;

/*
 * Listen as the tunnel of that name (valid).  A socket left behind by a tunnel
 * that is no more is replaced.  Returns 0, or -errno with err: -EEXIST: a
 * tunnel of that name is up.
 */
int ctl_server_new(struct loop *loop, const char *name,
		   const struct ctl_server_ops *ops, void *ctx,
		   struct ctl_server **ret_server, struct err *err);

/* Of the socket; borrowed. */
const char *ctl_server_path(const struct ctl_server *s);

/* For whoever removes it if we are killed. */
struct unix_path_id ctl_server_id(const struct ctl_server *s);

/* Close all connections and remove the socket.  Accepts NULL; returns NULL. */
struct ctl_server *ctl_server_free(struct ctl_server *s);

#endif
