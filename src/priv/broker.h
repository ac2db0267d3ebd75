/* SPDX-License-Identifier: MIT */
/*
 * broker: the process that may configure the network, and its rules.
 *
 * Answers the typed requests of an engine it does not trust, keeps a journal of
 * inverses, and undoes everything at the end.  What it does to the kernel goes
 * through struct broker_ops, so that the rules can be tested without one.
 *
 * Spec: doc/PROTOCOL.broker
 */
#ifndef ECSSH_BROKER_H
#define ECSSH_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "brokermsg.h"
#include "err.h"
#include "journal.h"

/* A device, as the broker made it. */
struct broker_link {
	uint32_t ifindex;
	char name[BROKERMSG_NAME_MAX];
};

enum {
	BROKER_IFS_MAX = 512, /* devices whose settings are remembered */
};

enum broker_family {
	BROKER_FAMILY_4 = 1 << 0,
	BROKER_FAMILY_6 = 1 << 1,
};

/* What a device had before forwarding was switched on for all of them. */
enum broker_if_flag {
	BROKER_IF_FORWARDS_4 = 1 << 0,
	BROKER_IF_FORWARDS_6 = 1 << 1,
	BROKER_IF_ACCEPTS_RA = 1 << 2,
};

/* All that is needed to undo a FORWARD. */
struct broker_forward {
	char name[BROKERMSG_NAME_MAX]; /* of the device */
	uint8_t switched;	       /* enum broker_family: on, by us */
	char accept_redirects4;	       /* the digit that was there */
	uint32_t n_ifs;
	struct {
		char name[BROKERMSG_NAME_MAX];
		uint8_t flags; /* enum broker_if_flag */
	} ifs[BROKER_IFS_MAX];
};

enum broker_undo_kind {
	UNDO_LINK,
	UNDO_ADDR,
	UNDO_ROUTE,
	UNDO_FORWARD,
	UNDO_RULE,
	UNDO_DNS,
	UNDO_GUARD,
	UNDO__N,
};

/* How to undo one request. */
struct broker_undo {
	enum broker_undo_kind kind;
	union {
		struct subnet net;	  /* ADDR: its addr only; ROUTE */
		struct journal_rule rule; /* RULE */
	};
};

/* What a device's guard is made of. */
struct broker_guard {
	struct broker_link link;
	uint32_t flags; /* enum brokermsg_guard_flag */
	size_t n_addrs;
	struct ip_addr addrs[BROKERMSG_ADDRS_MAX]; /* of the device */
};

/* A kill switch: all that may leave this host. */
struct broker_kill {
	char name[BROKERMSG_TUNNEL_MAX]; /* of the tunnel, as its kin allow */
	uint32_t uid;			 /* who alone may reach: */
	struct endpoint gateways[BROKERMSG_GATEWAYS_MAX];
	size_t n_gateways;
	struct subnet lans[BROKERMSG_LANS_MAX];
	size_t n_lans;
	struct endpoint kept[2]; /* a connection: this end, the other; or
				    version 0 */
};

/* A change of the journal, for who keeps a copy of it. */
struct broker_note {
	bool is_strike;
	uint32_t index;		 /* of the record struck out */
	struct broker_undo undo; /* the record */
	struct broker_link link;
	struct broker_forward forward; /* used only by kind FORWARD; else it may
					  be missing */
};

/* The kernel.  All return 0, or -errno with err. */
struct broker_ops {
	/* Make a device that is down; *ret_fd is the caller's to close. */
	int (*tun_create)(void *ctx, const char *name, uint32_t mtu_bytes,
			  uint32_t want_offloads, struct broker_link *ret_link,
			  uint32_t *ret_offloads, int *ret_fd, struct err *err);
	int (*link_up)(void *ctx, uint32_t ifindex, struct err *err);
	int (*link_del)(void *ctx, uint32_t ifindex, struct err *err);
	/* True if the device is there under the same index and name. */
	bool (*link_is_ours)(void *ctx, const struct broker_link *link);
	int (*addr_add)(void *ctx, uint32_t ifindex, const struct ip_addr *addr,
			struct err *err);
	int (*addr_del)(void *ctx, uint32_t ifindex, const struct ip_addr *addr,
			struct err *err);
	int (*route_add)(void *ctx, uint32_t ifindex, const struct subnet *dst,
			 struct err *err);
	int (*route_del)(void *ctx, uint32_t ifindex, const struct subnet *dst,
			 struct err *err);
	/* -EEXIST: somebody has the same; -ENOENT: it is not there.  NULL: this
	 * broker makes no rules. */
	int (*rule_add)(void *ctx, const struct journal_rule *rule,
			struct err *err);
	int (*rule_del)(void *ctx, const struct journal_rule *rule,
			struct err *err);
	/* Mark the packets of somebody's TCP connection.  -EINVAL: it is
	 * none. */
	int (*mark)(void *ctx, int fd, struct err *err);
	/*
	 * Forwarding for the subnets routed into the device (families: enum
	 * broker_family), in two steps: find out what has to be changed, then
	 * change it.  The second always
	 * follows the first; after its failure comes forward_del.  NULL: this
	 * broker does not forward.
	 */
	int (*forward_plan)(void *ctx, const struct broker_link *link,
			    uint8_t families, struct broker_forward *ret,
			    struct err *err);
	int (*forward_add)(void *ctx, const struct broker_forward *forward,
			   uint32_t flags, const struct subnet *nets, size_t n,
			   struct err *err);
	int (*forward_del)(void *ctx, const struct broker_forward *forward,
			   struct err *err);
	/*
	 * Look whether the SSH connection that carries the engine's session
	 * should send in another way, and have it do so.  name: its congestion
	 * control, or ""; err: how it sends and why, also if 0 is returned:
	 * look again.  NULL: this broker is beneath none.
	 */
	int (*tune)(void *ctx, char name[BROKERMSG_NAME_MAX], struct err *err);
	/*
	 * Have this host's names asked for in the tunnel; undone by the second.
	 * ret_way says how it was done.  NULL: this broker has nothing to do
	 * with names.
	 */
	int (*dns_set)(void *ctx, const struct broker_link *link,
		       const struct brokermsg_dns_set *dns,
		       char ret_way[BROKERMSG_NAME_MAX], struct err *err);
	int (*dns_clear)(void *ctx, const struct broker_link *link,
			 struct err *err);
	/*
	 * Rules that keep the device's addresses to the device, in place of
	 * earlier ones of the device.  They outlive it.  NULL: this broker
	 * makes none.
	 */
	int (*guard_add)(void *ctx, const struct broker_guard *guard,
			 struct err *err);
	int (*guard_del)(void *ctx, const struct broker_link *link,
			 struct err *err);
	/*
	 * Put a kill switch in force, in place of an earlier one of that name,
	 * and lift one.  It outlives the broker.  NULL: this broker has none.
	 */
	int (*kill_on)(void *ctx, const struct broker_kill *kill,
		       struct err *err);
	int (*kill_off)(void *ctx, const char *name, struct err *err);
	/*
	 * Take back one thing that brokers have left which were killed with
	 * their keepers.  Returns 0 with said: what it was; -ENOENT: there is
	 * nothing (more); or -errno with said: why this one stays.  NULL: this
	 * broker keeps no records.
	 */
	int (*cleanup)(void *ctx, struct err *said);
	/* The journal is about to change; NULL: nobody keeps a copy. */
	void (*note)(void *ctx, const struct broker_note *note);
	/* In a keeper, which has lost all descriptors: open those that undoing
	 * takes.  NULL: it takes none. */
	int (*reopen)(void *ctx, struct err *err);
};

/* Something that ends the broker besides its socket. */
struct broker_alarm {
	const int *fd; /* borrowed, watched for input; -1: none yet */
	/* Returns 0 to go on, or -errno with err: the last words. */
	int (*on_input)(void *ctx, struct err *err);
	void *ctx; /* borrowed */
};

enum broker_verdict {
	BROKER_GO_ON,
	BROKER_END, /* send the reply, then no more */
};

struct broker;

/*
 * ops and ctx are borrowed until broker_free.  ready: 0, or the negative errno
 * for which this broker can do nothing, with its sentence; HELLO is answered by
 * that.  Returns NULL if memory is out.
 */
struct broker *broker_new(const struct broker_ops *ops, void *ctx, int ready,
			  const struct err *why_not);

/* Accepts NULL; returns NULL.  Undoes nothing. */
struct broker *broker_free(struct broker *broker);

/*
 * Answer one request of len bytes.  along: the descriptor that came with it,
 * borrowed, or an enum fd_msg_along.  *ret_fd becomes a descriptor to be sent
 * back and closed, or -1.
 */
enum broker_verdict broker_handle(struct broker *broker, const void *request,
				  size_t len, int along,
				  struct brokermsg_reply *ret_reply,
				  int *ret_fd);

/* Undo all that is recorded, newest first.  Returns 0, or the first -errno with
 * err; the rest is undone nevertheless. */
int broker_undo(struct broker *broker, struct err *err);

/* Repeat a change of another broker's journal in this one's.  A note that does
 * not fit is ignored. */
void broker_mirror(struct broker *broker, const struct broker_note *note);

/*
 * Answer requests on a socket until it closes, one of them ends it, or one of
 * the n alarms goes off; then undo everything; failures of that are logged.
 */
void broker_serve(struct broker *broker, int sock,
		  const struct broker_alarm *alarms, size_t n);

/*
 * All that a broker process does: open the TUN device, give up every privilege
 * but CAP_NET_ADMIN, serve the socket.  Returns when everything is undone.
 */
void broker_run(int sock);

/* The same on the far side, where packets are forwarded too. */
void broker_far_run(int sock);

/* Ignore what a terminal or a service manager sends to a whole group: the
 * engine ends in order then, and closes our socket. */
void broker_ignore_signals(void);

#endif
