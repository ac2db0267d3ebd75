/* SPDX-License-Identifier: MIT */
/*
 * ssh_jump: one jump host on the way to the server, reached as OpenSSH reaches
 * it, but by a connection of our own, which may be pinned.
 *
 * ssh makes a ProxyCommand of ProxyJump, which starts another ssh.  That one
 * has none of the options of the first, so we write the command ourselves:
 * without a connection that the user shares with others, and with ecssh-dial.
 */
#ifndef ECSSH_SSH_JUMP_H
#define ECSSH_SSH_JUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dialer.h"
#include "err.h"
#include "ssh_cmd.h"
#include "ssh_config.h"
#include "ssh_dest.h"

struct ssh_jump {
	struct ssh_dest dest;
	const char *file;	  /* of -F, borrowed; NULL: not given */
	struct ssh_config config; /* what it makes of dest */
};

/* Of the user's options a jump host's ssh is given the configuration file
 * only.  Borrows from o. */
void ssh_jump_options(const struct ssh_options *o, struct ssh_options *ret);

/*
 * Find out if config leads to the server by one jump host, which is connected
 * to directly, and whose words a shell reads as they are.  Asks ssh -G, as
 * ssh_config_query does; what fails there is no jump host of ours.
 */
bool ssh_jump_find(const struct ssh_dest *to, const struct ssh_config *config,
		   const struct ssh_options *o, const char *ssh_path,
		   uint32_t timeout_ms, struct ssh_jump *ret_jump);

/* How its ssh is started; borrows. */
struct ssh_jump_use {
	const char *ssh_path; /* NULL: "ssh" */
	size_t n_verbose;     /* how often -v is said */
	bool is_batch;	      /* nobody is asked anything */
	const char *program;  /* as of dialer_add, with pins; NULL if n is 0 */
	const struct dialer_pins *pins;
};

/*
 * Add to o the ProxyCommand that leads by jump.  text is written, and borrowed
 * for the life of o.  Returns 0, or with err: -EINVAL: a shell would misread
 * ssh_path or program; -E2BIG.
 */
int ssh_jump_add(struct ssh_options *o, const struct ssh_jump *jump,
		 const struct ssh_jump_use *use, char text[DIALER_TEXT_MAX],
		 struct err *err);

#endif
