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
#include <stdint.h>

#include "addr.h"
#include "err.h"
#include "port_range.h"
#include "ssh_cmd.h"
#include "ssh_config.h"
#include "text.h"

enum {
	DIALER_ENDPOINTS_MAX = 8,
	DIALER_TEXT_MAX = 8192 + DIALER_ENDPOINTS_MAX * ENDPOINT_TEXT_MAX,
};

/* Of fixed size, and without pointers: part of what other processes are told.
 * Zeroed: nothing is pinned. */
struct dialer_pins {
	uint32_t n; /* up to DIALER_ENDPOINTS_MAX, tried in turn */
	struct endpoint to[DIALER_ENDPOINTS_MAX];
	struct port_range from; /* ports of this host; zeros: any */
};

/* False if ssh does not connect by itself (there is a jump host or a proxy), or
 * is to do it in a way of the user's.  Of a jump host config is what its own
 * ssh makes of it. */
bool dialer_is_possible(const struct ssh_config *config);

/*
 * Add to o that ssh is to be connected to one of the pins.  program: path of
 * ecssh-dial.  text is written, and borrowed for the life of o.  Returns 0, or
 * with err: -EINVAL: program has a ' in it; -E2BIG.
 */
int dialer_add(struct ssh_options *o, const char *program,
	       const struct dialer_pins *pins, char text[DIALER_TEXT_MAX],
	       struct err *err);

/* Pieces of that: what is put is read by ssh n_expanded times, which replaces
 * what % begins. */
void dialer_put_path(struct text *t, const char *path, unsigned n_expanded);
void dialer_put_command(struct text *t, const char *program,
			const struct dialer_pins *pins, unsigned n_expanded);

#endif
