/* SPDX-License-Identifier: MIT */
/* addr_lookup: the addresses of a host, by what the C library knows. */
#ifndef ECSSH_ADDR_LOOKUP_H
#define ECSSH_ADDR_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"

/*
 * Look a host up by its name or address, which may take long and load
 * libraries.  Writes at most max of them, in the order in which they are to be
 * tried, with that port.  Returns how many, or -ENOENT with err: "NAME has no
 * address".
 */
int addr_lookup(const char *host, uint16_t port, struct endpoint *ret,
		size_t max, struct err *err);

#endif
