/* SPDX-License-Identifier: MIT */
/*
 * relay: far ends that run on this side.
 *
 * Where no helper can run, its part is played here: a session as with a helper,
 * over a carrier in memory, whose streams, datagrams and packets go on by other
 * means than sockets of the gateway.  The flow plane sees no difference.
 */
#ifndef ECSSH_RELAY_H
#define ECSSH_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "carrier.h"
#include "err.h"
#include "loop.h"

struct mux_link;
struct relay;

struct relay_ops {
	/* The session is over, once; call relay_free in a later turn. */
	void (*on_down)(void *ctx, const struct err *why);
	/* relay_ssh: the link is nearly worn out: give the relay a fresh one
	 * with relay_ssh_renew if that is possible without asking anybody. Once
	 * for each link. */
	void (*on_worn)(void *ctx);
};

/* Accepts NULL; returns NULL.  Not from within one of its callbacks. */
struct relay *relay_free(struct relay *r);

/* ---- over channels of ssh: the rungs "direct" and "tun" ---- */

struct relay_ssh_config {
	struct mux_link *link; /* ready; borrowed until relay_free, on_retired
				  or relay_ssh_forget */
	bool has_forwarding;   /* direct-tcpip is permitted */
	bool has_tun;	       /* a tun channel may be had */
	/* Run no "true" on each link.  Unless a command was run on it, a server
	 * before OpenSSH 10.1 holds small messages back for 40 ms. */
	bool is_exec_unwanted;
	uint32_t tun_unit; /* MUX_TUN_ANY, or the N of tunN there */
	bool is_root;	   /* the account is: it gets new devices */
	bool may_exec; /* a shell may be run, to set a device up if it is root
			*/
	/* Where names are looked up there, by TCP; version 0: the usual places:
	 * 127.0.0.53, 127.0.0.1, the gateway's own address. */
	struct endpoint dns_server;
	struct ip_addr
		gateway; /* what ssh is connected to; version 0: unknown */
};

struct relay *relay_ssh_new(struct loop *loop, struct carrier *carrier,
			    const struct relay_ssh_config *config,
			    const struct relay_ops *ops, void *ctx);

/* From now on new channels are opened on this link.  The old one is given back
 * by on_retired when it has no channels left. */
void relay_ssh_renew(struct relay *r, struct mux_link *link,
		     void (*on_retired)(void *ctx, struct mux_link *link));

/* A link that was replaced is about to be freed, or has closed: what is left on
 * it is closed, and on_retired does not come. */
void relay_ssh_forget(struct relay *r, struct mux_link *link);

/* ---- over a SOCKS5 server: --via ---- */

enum { RELAY_SOCKS_ADDRS_MAX = 8 };

struct relay_socks_config {
	const char *host; /* for people; borrowed for the call */
	uint16_t port;	  /* likewise */
	/* Tried in turn; borrowed for the call. */
	const struct endpoint *addrs;
	size_t n_addrs;		     /* at most RELAY_SOCKS_ADDRS_MAX */
	const char *user, *password; /* NULL: none; borrowed for the call */
};

/*
 * The greeting is sent when the server has shown that it takes us; until then,
 * and if it does not, nothing comes, and on_down says why in a later turn. User
 * and password are cut off at 255 bytes.  Returns NULL if memory runs out.
 */
struct relay *relay_socks_new(struct loop *loop, struct carrier *carrier,
			      const struct relay_socks_config *config,
			      const struct relay_ops *ops, void *ctx);

/* The address at which the server was found, for keeping it out of the tunnel;
 * NULL before the session has begun.  Borrowed until relay_free. */
const struct ip_addr *relay_socks_server(const struct relay *r);

#endif
