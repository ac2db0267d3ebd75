/* SPDX-License-Identifier: MIT */
/* near_checks: what this host has to offer. */
#ifndef ECSSH_NEAR_CHECKS_H
#define ECSSH_NEAR_CHECKS_H

#include <stddef.h>

#include "addr.h"
#include "report.h"

/*
 * Who would give the broker its privilege, and the TUN driver.  Asks for no
 * password; starts the broker and ends it before it has done anything.  To be
 * called before privileges of our own are given up.
 */
void near_checks_privilege(struct report *r);

/* What of the subnets other tunnels have, and what this host is connected to.
 * Adds nothing if n is 0. */
void near_checks_subnets(struct report *r, const struct subnet *subnets,
			 size_t n);

#endif
