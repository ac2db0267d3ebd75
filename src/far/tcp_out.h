/* SPDX-License-Identifier: MIT */
/* tcp_out: streams of the session as TCP connections of this host. */
#ifndef ECSSH_TCP_OUT_H
#define ECSSH_TCP_OUT_H

#include <stdint.h>

#include "list.h"
#include "loop.h"
#include "session.h"

/* All connections of an engine.  Storage is the caller's. */
struct tcp_out_table {
	struct loop *loop;     /* borrowed */
	unsigned policy;       /* enum policy_flag */
	struct list live;      /* struct tcp_out */
	struct list dead;      /* to be freed at the end of the turn */
	struct loop_task bury; /* posted while dead has members */
	uint32_t n;	       /* sockets open */
};

void tcp_out_table_init(struct tcp_out_table *t, struct loop *loop,
			unsigned policy);

/* Close all connections; those that were not finished are reset, so that nobody
 * takes half of the bytes for all of them.  Streams are not touched. */
void tcp_out_table_fini(struct tcp_out_table *t);

/*
 * Go on with a connection that exists already: accept the stream, and carry its
 * bytes.  fd, connected and non-blocking, is owned from now on; if memory runs
 * out it is closed and the stream refused.
 */
void tcp_out_adopt(struct tcp_out_table *t, struct stream *s,
		   enum ip_version version, int fd);

/* A socket that is being connected to open->dst, with the options that a
 * connection of ours has.  Policy is the caller's.  Returns 0 or -errno. */
int tcp_out_dial(const struct frame_open *open, int *ret_fd);

/* What an ICMP error said about a failed connect, if one did. */
void tcp_out_add_icmp_detail(int fd, struct frame_refused *why);

/* Callback of the session, for role SESSION_FAR: connect as asked for, and
 * answer when the outcome is known.  The stream's callbacks are set here. */
void tcp_out_on_open(struct tcp_out_table *t, struct stream *s,
		     const struct frame_open *open);

#endif
