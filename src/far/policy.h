/* SPDX-License-Identifier: MIT */
/* policy: which destinations the far side refuses to reach. */
#ifndef ECSSH_POLICY_H
#define ECSSH_POLICY_H

#include <stdbool.h>

#include "addr.h"

enum policy_flag {
	POLICY_ALLOW_LOOPBACK = 1,
	POLICY_ALLOW_LINK_LOCAL = 2,
};

/*
 * True if datagrams and connections may be sent to dst.  Whoever may log in may
 * not therefore use what the server offers to itself only: loopback (also
 * 0.0.0.0/8 and ::), link-local addresses and those of cloud metadata services
 * are refused unless flags (enum policy_flag) allow them, also in their
 * IPv4-mapped and IPv4-compatible forms.  Multicast and broadcast always are.
 */
bool policy_allows(unsigned flags, const struct ip_addr *dst);

#endif
