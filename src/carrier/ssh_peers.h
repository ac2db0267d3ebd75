/* SPDX-License-Identifier: MIT */
/* ssh_peers: the addresses that must never be routed into the tunnel, because
 * the tunnel itself goes there. */
#ifndef ECSSH_SSH_PEERS_H
#define ECSSH_SSH_PEERS_H

#include <stddef.h>
#include <sys/types.h>

#include "addr.h"

/*
 * Find the remote addresses of the TCP connections that process pid and its
 * descendants hold or are opening: the server, or the first jump host, or the
 * proxy.  Each address is listed once; loopback is left out, a v4-mapped
 * address is IPv4.  Reads /proc.  Returns how many were found (at most max), 0
 * also if pid is gone or may not be looked at, or -errno of /proc itself.
 */
int ssh_peers_find(pid_t pid, struct ip_addr *ret_addrs, size_t max);

#endif
