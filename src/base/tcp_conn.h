/* SPDX-License-Identifier: MIT */
/* tcp_conn: a TCP connection of the kernel's: how it fares, and how it sends.
 */
#ifndef ECSSH_TCP_CONN_H
#define ECSSH_TCP_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"

enum { TCP_CONN_NAME_MAX = 16 }; /* TCP_CA_NAME_MAX of the kernel */

struct tcp_conn {
	struct endpoint peer;
	char congestion[TCP_CONN_NAME_MAX]; /* the congestion control */
	uint32_t rtt_us, rtt_min_us;	    /* smoothed; least of late */
	uint32_t cwnd;			    /* segments, as the next two */
	uint32_t unacked;
	uint32_t segments;    /* with data, sent since the start, as the next */
	uint32_t retransmits; /* of them sent again */
	uint32_t duplicates;  /* sent again for nothing: had arrived */
	uint32_t queued_bytes;	       /* not acknowledged, or not sent */
	uint32_t notsent_bytes;	       /* of these */
	uint64_t delivery_rate_byte_s; /* bytes a second, as last seen */
};

/* The kernel's number of the socket, which no other will ever have.  Returns 0
 * or -errno. */
int tcp_conn_cookie(int fd, uint64_t *ret);

/* Returns 0 or -errno: -ENOTCONN: not connected any more. */
int tcp_conn_read(int fd, struct tcp_conn *ret);

/* Is this what a kernel does unless somebody says otherwise: cubic, reno? */
bool tcp_conn_is_default(const char *congestion);

/*
 * Have the socket send by BBR, if it sends by such a default.  name, from now
 * on its congestion control, is set in all cases ("" if even that cannot be
 * read).  Returns 0, also if it was left alone; or -errno with err: -EPERM: not
 * for us; -ENOENT: this kernel does not have it, or not loaded.
 */
int tcp_conn_use_bbr(int fd, char name[TCP_CONN_NAME_MAX], struct err *err);

#endif
