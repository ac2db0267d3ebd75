/* SPDX-License-Identifier: MIT */
/*
 * broker: the process that may configure the network, and its rules.
 *
 * Answers the typed requests of an engine it does not trust, keeps a record of
 * what it changes, and undoes everything at the end.  What it does to the
 * kernel goes through struct broker_ops, so that the rules can be tested
 * without one.
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
#include "brokermsg_read.h"
#include "err.h"
#include "journal.h"

enum broker_family {
	BROKER_FAMILY_4 = 1 << 0,
	BROKER_FAMILY_6 = 1 << 1,
};

/* A change of the record, for who keeps a copy of it. */
struct broker_note {
	bool is_strike;
	uint32_t index; /* of the change struck out */
	struct journal_change change;
};

/*
 * One side's kernel, and what it may be asked.  All return 0, or -errno with
 * err.  The near side's and the far side's stand below what both have; the
 * other side leaves them NULL.
 */
struct broker_ops {
	/* What this side answers, by type: broker_near_requests or
	 * broker_far_requests. */
	const struct broker_request *requests;
	/* Make a device that is down; *ret_fd is the caller's to close. */
	int (*tun_create)(void *ctx, const struct brokermsg_tun *tun,
			  struct journal_link *ret_link, uint32_t *ret_offloads,
			  int *ret_fd, struct err *err);
	int (*link_up)(void *ctx, const struct journal_link *link,
		       struct err *err);
	/* True if the device is there under the same index and name. */
	bool (*link_is_ours)(void *ctx, const struct journal_link *link);
	/*
	 * Make a change, or undo it.  Those of kind LINK, NAMES and FORWARD are
	 * made otherwise (below), and only undone here; a GUARD may be made
	 * again, with other addresses.  -EEXIST: somebody has the same;
	 * -ENOENT: it is not there.
	 */
	int (*apply)(void *ctx, const struct journal_change *change,
		     bool is_undo, struct err *err);
	/* The record is about to change; NULL: nobody keeps a copy. */
	void (*note)(void *ctx, const struct broker_note *note);
	/* In a keeper, which has lost all descriptors: open those that undoing
	 * takes.  NULL: it takes none. */
	int (*reopen)(void *ctx, struct err *err);

	/*
	 * The near side
	 */

	/* Mark the packets of somebody's TCP connection.  -EINVAL: it is
	 * none. */
	int (*mark)(void *ctx, int fd, struct err *err);
	/* Point this host's resolver at the tunnel; ret_way says how it was
	 * done. */
	int (*dns_set)(void *ctx, const struct journal_link *link,
		       const struct brokermsg_dns_set *dns,
		       char ret_way[BROKERMSG_NAME_MAX], struct err *err);
	/* Put a kill switch in force, in place of an earlier one of that name,
	 * or lift one, as KILL_ON and KILL_OFF ask.  It outlives the
	 * broker. */
	int (*kill)(void *ctx, const struct brokermsg_request *request,
		    struct err *err);
	/*
	 * Take back one thing that brokers have left which were killed with
	 * their keepers.  Returns 0 with said: what it was; -ENOENT: there is
	 * nothing (more); or -errno with said: why this one stays.
	 */
	int (*cleanup)(void *ctx, struct err *said);

	/*
	 * The far side
	 */

	/*
	 * Forwarding for the subnets routed into the device (families: enum
	 * broker_family), in two steps: find out what has to be changed, then
	 * change it.  The second always follows the first; after its failure
	 * comes its undoing.
	 */
	int (*forward_plan)(void *ctx, const struct journal_link *link,
			    uint8_t families, struct err *err);
	int (*forward_add)(void *ctx, uint32_t flags, const struct subnet *nets,
			   size_t n, struct err *err);
	/*
	 * Look whether the SSH connection that carries the engine's session
	 * should send in another way, and have it do so.  name: its congestion
	 * control, or ""; err: how it sends and why, also if 0 is returned:
	 * look again.
	 */
	int (*tune)(void *ctx, char name[BROKERMSG_NAME_MAX], struct err *err);
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
struct broker_call;

/* How a request is answered. */
struct broker_request {
	unsigned phases; /* enum broker_phase, in which it is allowed */
	unsigned next;	 /* likewise, after success; 0: the same */
	int (*handle)(struct broker *broker, struct broker_call *call);
};

extern const struct broker_request broker_near_requests[BROKERMSG__N];
extern const struct broker_request broker_far_requests[BROKERMSG__N];

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
