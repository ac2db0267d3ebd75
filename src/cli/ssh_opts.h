/* SPDX-License-Identifier: MIT */
/* ssh_opts: the options that commands pass on to ssh. */
#ifndef ECSSH_SSH_OPTS_H
#define ECSSH_SSH_OPTS_H

#include "cmd.h"
#include "err.h"
#include "ssh_cmd.h"

/* Entries for a command's table; apply is its own, and calls ssh_opts_take. */
/* clang-format off */
#define SSH_OPTS_ENTRIES(apply) \
	{'F', NULL, "FILE", "ssh: configuration file", apply}, \
	{'i', NULL, "FILE", "ssh: identity (key) file", apply}, \
	{'p', NULL, "PORT", "ssh: port", apply}, \
	{'J', NULL, "DEST", "ssh: jump host", apply}, \
	{'l', NULL, "USER", "ssh: user", apply}, \
	{'o', NULL, "OPTION", "ssh: any option of ssh_config(5)", apply}, \
	{'4', NULL, NULL, "ssh: connect by IPv4 only", apply}, \
	{'6', NULL, NULL, "ssh: connect by IPv6 only", apply}, \
	{'v', NULL, NULL, "say more, and ssh too", apply}, \
	{'q', NULL, NULL, "ssh: say less", apply}
/* clang-format on */

/* Add one of these to what ssh is given; -v makes us say more, too.  Returns 0,
 * or -errno with err. */
int ssh_opts_take(struct ssh_options *options, const struct option_entry *entry,
		  const char *value, struct err *err);

#endif
