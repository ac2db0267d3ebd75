/* SPDX-License-Identifier: MIT */
/* names: addresses of names as the far end knows them, for a while. */
#ifndef ECSSH_NAMES_H
#define ECSSH_NAMES_H

#include "dns_msg.h"
#include "list.h"
#include "loop.h"
#include "session.h"

enum {
	/* Of each family. */
	NAMES_ADDRS_MAX = 2 * DNS_ADDRS_MAX,
};

/* What is known of a name; borrowed for the call. */
struct name_addrs {
	struct ip_addr addrs[NAMES_ADDRS_MAX];
	size_t n;
	enum frame_reason reason; /* why n is 0 */
};

/* Somebody who waits for a name.  Storage is theirs; in place while waiting. */
struct name_waiter {
	struct list link; /* initialised by its owner */
	void (*on_known)(void *ctx, const struct name_addrs *known);
	void *ctx; /* borrowed */
};

struct name_entry;

struct names {
	struct loop *loop;	    /* borrowed */
	struct session *session;    /* borrowed; NULL: none */
	uint32_t capabilities;	    /* of the far end */
	struct name_entry *entries; /* owned; NULL until one is needed */
};

void names_init(struct names *n, struct loop *loop);
/* Waiters are told that it failed. */
void names_fini(struct names *n);

/* Forget everything; ask in this session from now on.  NULL: none. */
void names_set_session(struct names *n, struct session *s,
		       uint32_t capabilities);

/* Returns 0 with what is known; -EAGAIN: w is told later; -EINVAL: no name of
 * the DNS; -ENOBUFS: too many names at once; -ENOMEM; -ENOTCONN;
 * -EOPNOTSUPP: the far end looks up nothing. */
int names_find(struct names *n, const char *name, struct name_waiter *w,
	       const struct name_addrs **ret_known);

/* Callback of the session. */
void names_on_resolved(struct names *n, uint32_t id, enum frame_reason status,
		       const uint8_t *answer, size_t len);

#endif
