/* SPDX-License-Identifier: MIT */
/*
 * ssh_join: another connection of the user's ssh to a helper that runs already.
 *
 * Spec: doc/PROTOCOL.bond section 1
 */
#ifndef ECSSH_SSH_JOIN_H
#define ECSSH_SSH_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bond_msg.h"
#include "err.h"
#include "loop.h"
#include "ssh_dest.h"
#include "starter.h"

struct ssh_join;

/* Pointers are borrowed for the call of ssh_join_start, but for the first. */
struct ssh_join_config {
	struct starter *starter; /* borrowed for its life */
	const struct ssh_dest *dest;
	/* These as in struct ssh_start. */
	uint32_t flags;
	const struct dialer_pins *pins; /* NULL: none */
	const struct bond_offer *offer;
	uint32_t number; /* of the link, not 0 */
};

struct ssh_join_ops {
	/* The helper has answered: once.  The descriptors are the receiver's;
	 * leftover came behind JOINED and is borrowed for the call. */
	void (*on_joined)(void *ctx, struct ssh_join *j, int rfd, int wfd,
			  const uint8_t *leftover, size_t leftover_len);
	/* ssh has ended, or has been given up: once, and the last.  is_denied:
	 * it would end in the same way the next time.  ssh_join_free may be
	 * called. */
	void (*on_ended)(void *ctx, struct ssh_join *j, bool is_denied,
			 const struct err *why);
};

/*
 * Log in once more, without asking anybody anything.  ops and ctx are borrowed
 * for its life.  Returns NULL with err.
 */
struct ssh_join *ssh_join_start(struct loop *loop,
				const struct ssh_join_config *config,
				const struct ssh_join_ops *ops, void *ctx,
				struct err *err);

/* The process of ssh; 0 once it has ended. */
pid_t ssh_join_pid(const struct ssh_join *j);

/* Ends ssh.  Descriptors handed out are left alone.  Accepts NULL; returns
 * NULL. */
struct ssh_join *ssh_join_free(struct ssh_join *j);

#endif
