/* SPDX-License-Identifier: MIT */
/* gateway_find: the address that ssh will connect to, before it does. */
#ifndef ECSSH_GATEWAY_FIND_H
#define ECSSH_GATEWAY_FIND_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"
#include "err.h"
#include "ssh_cmd.h"
#include "ssh_config.h"

/* Where ssh's own TCP connection goes: the server, or the first jump host. */
struct gateway_host {
	char name[SSH_CONFIG_VALUE_MAX]; /* what ssh looks up */
	uint16_t port;
	bool is_jump; /* another ssh than the one that we start connects */
};

/*
 * Find out from what ssh_config makes of the destination; for jump hosts in it
 * ssh is asked again.  Returns 0 or -errno with err: -EOPNOTSUPP: a
 * ProxyCommand connects, to where is not known.
 */
int gateway_find_host(const struct ssh_config *config,
		      const struct ssh_options *options,
		      struct gateway_host *ret_host, struct err *err);

/*
 * Addresses that need nobody else to be asked: the name is one, or stands in
 * /etc/hosts.  Returns how many there are, at most max.
 */
size_t gateway_find_here(const struct gateway_host *host, struct endpoint *ret,
			 size_t max);

/* Addresses as the host's resolver says; blocks.  Returns how many, at most
 * max, or -ENOENT with err. */
int gateway_find_by_dns(const struct gateway_host *host, struct endpoint *ret,
			size_t max, struct err *err);

#endif
