/* SPDX-License-Identifier: MIT */
/* ssh_peers: the connections that must never be routed into the tunnel, because
 * the tunnel itself is carried by them. */
#ifndef ECSSH_SSH_PEERS_H
#define ECSSH_SSH_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "addr.h"

/* A TCP connection, by both its ends. */
struct ssh_peer {
	struct endpoint local, remote;
};

/*
 * Find the TCP connections that process pid and its descendants hold or are
 * opening: to the server, or the first jump host, or the proxy.  Loopback is
 * left out, a v4-mapped address is IPv4.  Reads /proc.  Returns how many were
 * found (at most max), 0 also if pid is gone or may not be looked at, or -errno
 * of /proc itself.
 */
int ssh_peers_connections(pid_t pid, struct ssh_peer *ret_peers, size_t max);

/* Only their remote addresses, each once; at most max.  Returns how many. */
int ssh_peers_addrs(const struct ssh_peer *peers, size_t n,
		    struct ip_addr *ret_addrs, size_t max);

/* True if a TCP connection between these two is established, whoever holds it,
 * in our network namespace. */
bool ssh_peers_is_connected(const struct endpoint *local,
			    const struct endpoint *remote);

#endif
