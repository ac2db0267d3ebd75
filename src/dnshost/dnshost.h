/* SPDX-License-Identifier: MIT */
/*
 * dnshost: this host's resolver, pointed at servers in a tunnel and back.
 *
 * Spec: doc/PROTOCOL.broker section 8
 */
#ifndef ECSSH_DNSHOST_H
#define ECSSH_DNSHOST_H

#include "dns_way.h"
#include "dnshost_msg.h"
#include "err.h"

/* One tunnel's share of the resolver. */
struct dnshost {
	struct dns_host host;
	struct dns_record *record;	 /* owned; of what is in force */
	struct dns_record_entry entry;	 /* where that is on disk */
	struct dnshost_msg_request wish; /* in force, if record is valid */
	bool is_set;
	struct err restored; /* what was left by others and is undone: "" */
};

/* Where things are on a host of the usual kind. */
extern const struct dns_host dnshost_usual;

/* Returns 0, or -ENOMEM with err. */
int dnshost_init(struct dnshost *d, const struct dns_host *host,
		 struct err *err);

/* Undoes nothing. */
void dnshost_fini(struct dnshost *d);

/*
 * Point the resolver at the servers of a SET, by the first way that this host
 * goes.  Returns 0 with the way's name, or -errno with err and nothing changed:
 * -EINVAL: not a wish that may be granted; -EEXIST: one is in force;
 * -EOPNOTSUPP: not possible on this host in this mode; -EBUSY: another tunnel
 * is in the way.
 */
int dnshost_set(struct dnshost *d, const struct dnshost_msg_request *request,
		char ret_way[BROKERMSG_NAME_MAX], struct err *err);

/* True if the way of what is in force is one that others interfere with, as the
 * two below are about. */
bool dnshost_can_renew(const struct dnshost *d);

/* False if what is in force was changed by somebody else. */
bool dnshost_is_ours(struct dnshost *d);

/* Keep what they have made of it for the end, and set ours again.  Returns 0,
 * or -errno with err: theirs stays, now and at the end. */
int dnshost_renew(struct dnshost *d, struct err *err);

/* Undo that; no wish in force is no failure.  Returns 0, or -errno with err:
 * -ESTALE: it was left as somebody else has changed it. */
int dnshost_clear(struct dnshost *d, struct err *err);

/* Undo what nobody looks after any more, and add to d->restored what that was.
 * Returns 0, or the last -errno with err; what could not be undone now is tried
 * again the next time. */
int dnshost_replay(struct dnshost *d, struct err *err);

/*
 * All that the process does: give up what is not needed, replay, answer the
 * broker on a socket until it closes, undo.  A second process does the latter
 * if this one is killed.
 */
void dnshost_run(int sock);

#endif
