/* SPDX-License-Identifier: MIT */
/* dgram_sock: a socket for UDP or ICMP echo that needs no privilege. */
#ifndef ECSSH_DGRAM_SOCK_H
#define ECSSH_DGRAM_SOCK_H

#include "errqueue.h"
#include "frame.h"

enum dgram_df {
	DGRAM_DF_UNSET, /* whatever the system does */
	DGRAM_DF_CLEAR,
	DGRAM_DF_SET,
};

/* Storage is the caller's. */
struct dgram_sock {
	int fd; /* owned, non-blocking */
	enum ip_version version;
	uint8_t proto;	  /* enum pkt_proto: UDP, ICMP or ICMP6 */
	enum dgram_df df; /* as the socket is set now */
};

/*
 * Open a socket for proto.  It is not bound: the kernel picks a port (echo: an
 * identifier) when something is sent.  Errors are kept (errqueue.h).  Returns
 * 0 or -errno: -EACCES or -EPERM for echo where the system does not let this
 * user ping, -EPROTONOSUPPORT for anything else.
 */
int dgram_sock_open(enum ip_version version, uint8_t proto,
		    struct dgram_sock *ret_sock);
void dgram_sock_close(struct dgram_sock *s);

/*
 * Send d with its TTL, traffic class and DF.  For echo the request's header is
 * put before the payload; the kernel fills in identifier and checksum.  Returns
 * 0 or -errno of sendmsg(2): note that it may be an earlier error that is
 * pending, and d was not sent then.
 */
int dgram_sock_send(struct dgram_sock *s, const struct frame_dgram *d);

/* Where datagrams are received, for all sockets of an engine. */
struct dgram_batch;

/* Returns NULL if memory runs out. */
struct dgram_batch *dgram_batch_new(void);
struct dgram_batch *dgram_batch_free(struct dgram_batch *b);

enum { DGRAM_BATCH_MAX = 16 };

/* Receive at most DGRAM_BATCH_MAX datagrams.  Returns their number, 0 if there
 * is none, or -errno of recvmmsg(2). */
int dgram_sock_receive(const struct dgram_sock *s, struct dgram_batch *b);

/*
 * Look at datagram i of the last batch, received from s.  ret_d borrows the
 * batch until it is used again; its TTL is the one it arrived with; DF is not
 * known and false.  Returns 0, or -EBADMSG if it is none of ours.
 */
int dgram_batch_get(const struct dgram_batch *b, int i,
		    const struct dgram_sock *s, struct frame_dgram *ret_d);

/* The sequence number in the first bytes of an echo request. */
uint16_t dgram_sock_echo_seq(const uint8_t head[ERRQUEUE_HEAD_LEN]);

#endif
