/* SPDX-License-Identifier: MIT */
/* admin: the SSH connection by which whoever started us reaches this host. */
#ifndef ECSSH_ADMIN_H
#define ECSSH_ADMIN_H

#include <stdbool.h>

#include "addr.h"

/*
 * Find it: what SSH_CONNECTION says, of ourselves or, where sudo or su has
 * dropped it, of the nearest process above us that has it and may be looked
 * at; and only if there is such a connection at this moment, in this network
 * namespace.  Returns false if there is none.
 */
bool admin_find(struct endpoint *ret_local, struct endpoint *ret_remote);

/* Parse "REMOTE PORT LOCAL PORT", addresses numeric.  Returns false if it is
 * anything else. */
bool admin_parse(const char *text, struct endpoint *ret_local,
		 struct endpoint *ret_remote);

#endif
