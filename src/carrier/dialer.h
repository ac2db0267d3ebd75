/* SPDX-License-Identifier: MIT */
/*
 * dialer: has ssh connect to an address that is known, whatever its name leads
 * to now, or where no name can be looked up.
 *
 * ssh goes on knowing the server by its name: host keys, certificates and
 * configuration are looked up as always.
 */
#ifndef ECSSH_DIALER_H
#define ECSSH_DIALER_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"
#include "err.h"
#include "ssh_cmd.h"
#include "ssh_config.h"

enum {
	DIALER_ENDPOINTS_MAX = 8,
	DIALER_TEXT_MAX = 4096 + DIALER_ENDPOINTS_MAX * ENDPOINT_TEXT_MAX,
};

/* False if ssh does not connect by itself (there is a jump host or a proxy), or
 * is to do it in a way of the user's. */
bool dialer_is_possible(const struct ssh_config *config);

/*
 * Add to o that ssh is to be connected to one of the n endpoints, tried in
 * turn.  program: path of ecssh-dial.  text is written, and borrowed for the
 * life of o.  Returns 0, or with err: -EINVAL: program has a ' in it; -E2BIG.
 */
int dialer_add(struct ssh_options *o, const char *program,
	       const struct endpoint *to, size_t n, char text[DIALER_TEXT_MAX],
	       struct err *err);

#endif
