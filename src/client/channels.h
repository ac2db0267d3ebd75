/* SPDX-License-Identifier: MIT */
/* channels: an ssh that runs nothing on the far side, and the link to it. */
#ifndef ECSSH_CHANNELS_H
#define ECSSH_CHANNELS_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "loop.h"
#include "mux_link.h"
#include "ssh_cmd.h"
#include "ssh_config.h"
#include "ssh_dest.h"

struct channels;

struct channels_config {
	struct starter *starter; /* borrowed for its life */
	/* All borrowed for channels_start.  The options are the user's. */
	const struct ssh_dest *dest;
	const struct ssh_options *options;
	const struct ssh_config *config;
	/* These as in struct ssh_start. */
	uint32_t flags;
	const struct dialer_pins *pins; /* NULL: none */
};

struct channels_ops {
	/* The login is over and channels can be opened; once. */
	void (*on_ready)(void *ctx, struct channels *ch);
	/* ssh, or its link, has ended or never worked; once.  exit_code is for
	 * the shell.  channels_free may be called from a later turn. */
	void (*on_failed)(void *ctx, struct channels *ch, int exit_code,
			  const struct err *why);
};

/* ops and ctx are borrowed for its life.  Returns NULL with err. */
struct channels *channels_start(struct loop *loop,
				const struct channels_config *config,
				const struct channels_ops *ops, void *ctx,
				struct err *err);

/* The link, from on_ready on; borrowed. */
struct mux_link *channels_link(const struct channels *ch);

/* Of ssh's control socket, for the starter; from on_ready on. */
uint32_t channels_place(const struct channels *ch);

pid_t channels_pid(const struct channels *ch);

/* Ends ssh.  Accepts NULL; returns NULL. */
struct channels *channels_free(struct channels *ch);

#endif
