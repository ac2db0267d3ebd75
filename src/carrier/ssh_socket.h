/* SPDX-License-Identifier: MIT */
/*
 * ssh_socket: the TCP socket beneath an ssh of ours.
 *
 * It is ssh's.  Nothing here keeps a copy beyond a call, because a connection
 * stays open as long as anybody has one.
 */
#ifndef ECSSH_SSH_SOCKET_H
#define ECSSH_SSH_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "tcp_conn.h"
#include "tcp_tune.h"

/* Which descriptor it is, for the one that looks into ssh.  Zeroed: it is not
 * known. */
struct ssh_held {
	pid_t pid;	 /* who holds it: ssh or a descendant; 0: none */
	int number;	 /* of the descriptor there */
	uint64_t cookie; /* of the kernel's, never that of another socket */
};

/*
 * Another descriptor of the socket of ssh process pid, for the caller.  Which
 * it is is found out with is_first: right after the login, before ssh carries
 * connections of others.  Returns -errno if there is none: -ESRCH: it is over.
 */
int ssh_held_lend(struct ssh_held *held, pid_t pid, bool is_first);

/* Who lends such descriptors, likewise. */
struct ssh_lender {
	int (*lend)(void *ctx, pid_t pid, bool is_first);
	void *ctx; /* borrowed */
};

/* A socket that is lent.  Zeroed: none was looked for. */
struct ssh_socket {
	struct ssh_lender lender;
	pid_t pid;	    /* of ssh; 0: it has none */
	uint64_t cookie;    /* as above */
	struct err why_not; /* pid 0: why it cannot be reached; "": none was
			       looked for */
	struct tcp_tune tune;
};

/* Find the socket of ssh process pid.  Whatever comes of it is in *ret; returns
 * true if it was found. */
bool ssh_socket_find(const struct ssh_lender *lender, pid_t pid,
		     struct ssh_socket *ret);

/* Look whether the connection should send in another way, and have it do so.
 * To be called now and then while it sends, see tcp_tune.h. */
void ssh_socket_tune(struct ssh_socket *s, mono_us_t now_us);

/* Another descriptor of it, to be closed at once: see above.  Returns it, or
 * -errno: -ESRCH: none was found, or it is over. */
int ssh_socket_dup(const struct ssh_socket *s);

/* Look at the connection now.  Returns 0, or -errno with err: why it cannot be
 * reached. */
int ssh_socket_read(const struct ssh_socket *s, struct tcp_conn *ret,
		    struct err *err);

#endif
