/* SPDX-License-Identifier: MIT */
/* errqueue: ICMP errors that the kernel keeps for a socket. */
#ifndef ECSSH_ERRQUEUE_H
#define ECSSH_ERRQUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"

enum errqueue_origin {
	ERRQUEUE_LOCAL, /* this host's kernel: type and code mean nothing */
	ERRQUEUE_ICMP,	/* ICMP or ICMPv6, by the address family */
	ERRQUEUE_OTHER, /* timestamps and the like: not an error */
};

enum { ERRQUEUE_HEAD_LEN = 8 };

struct errqueue_entry {
	enum errqueue_origin origin;
	int errnum; /* positive */
	uint8_t type, code;
	uint32_t info;		 /* an MTU, where type and code or errnum
				    (EMSGSIZE) say so */
	struct endpoint dst;	 /* of the packet concerned; version 0:
				    unknown; port 0 for ping sockets */
	struct ip_addr offender; /* version 0: unknown */
	/* What came back of the packet: its length behind UDP's header, or from
	 * the header on for TCP and echo; and its first bytes, then zeros. */
	size_t payload_len;
	uint8_t head[ERRQUEUE_HEAD_LEN];
};

/* Have the kernel keep errors for fd, or no longer.  While it does, an error
 * that TCP could live with ends a connection.  Return 0 or -errno. */
int errqueue_enable(int fd, enum ip_version version);
int errqueue_disable(int fd, enum ip_version version);

/*
 * Take the oldest error.  Returns 0, -EAGAIN if there is none, or -errno of
 * recvmsg(2).  Clears the socket's pending error with the last one.
 */
int errqueue_read(int fd, struct errqueue_entry *ret_entry);

#endif
