/* SPDX-License-Identifier: MIT */
/* ssh_dest: where to, as the user writes it: [user@]host[:port]. */
#ifndef ECSSH_SSH_DEST_H
#define ECSSH_SSH_DEST_H

#include <stdint.h>

#include "err.h"

enum {
	SSH_DEST_USER_MAX = 255, /* bytes without the NUL */
	SSH_DEST_HOST_MAX = 255,
};

/*
 * A destination that is safe to hand to ssh, and to whatever command line the
 * user's ssh_config makes of %h, %n and %r.
 *
 * user: letters, digits and . _ - + @ \ (the last two for names of a Windows
 * domain); not starting with "-", not ending in "\".  host: letters, digits
 * and . _ - + for a name or an alias of ssh_config, or a numeric IPv6 address,
 * which may have a scope (fe80::1%eth0); not starting with "-".
 */
struct ssh_dest {
	char user[SSH_DEST_USER_MAX + 1]; /* "": not given */
	char host[SSH_DEST_HOST_MAX + 1]; /* without brackets */
	uint16_t port;			  /* 0: not given */
};

/*
 * Parse "[user@]host[:port]", where a host that is an IPv6 address stands in
 * brackets if a port follows, or "ssh://[user@]host[:port][/]".  Returns 0, or
 * -EINVAL with err.
 */
int ssh_dest_parse(const char *text, struct ssh_dest *ret_dest,
		   struct err *err);

#endif
