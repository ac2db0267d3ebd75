/* SPDX-License-Identifier: MIT */
/* up_opts: the options of "ecssh up". */
#ifndef ECSSH_UP_OPTS_H
#define ECSSH_UP_OPTS_H

#include "client.h"
#include "cmd.h"

/* The table; its target is a struct client_config. */
extern const struct option_entry up_opts[];

/* Append a subnet to a list, saying what was made of it if it is not what was
 * written.  Returns 0 or -errno with err. */
int up_opts_take_subnet(const char *text, struct subnet **list, size_t *n,
			struct err *err);

/* Append a subnet to a list.  Returns 0 or -errno with err. */
int up_opts_add_subnet(const struct subnet *s, struct subnet **list, size_t *n,
		       struct err *err);

/* Add a domain, small letters and no dot at its end, to those whose names are
 * asked for in the tunnel.  Returns 0 or -E2BIG with err. */
int up_opts_add_domain(struct client_config *config, const char *name,
		       struct err *err);

#endif
