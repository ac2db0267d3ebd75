/* SPDX-License-Identifier: MIT */
/*
 * dns_way: the ways in which a host finds its name servers, one file each.
 */
#ifndef ECSSH_DNS_WAY_H
#define ECSSH_DNS_WAY_H

#include "brokermsg.h"
#include "dns_record.h"
#include "err.h"

struct dns_way_resolved;

enum {
	/* Several of these have to end before the broker's patience does. */
	DNS_WAY_TIMEOUT_MS = 2000,
};

/* What is to be changed, and where things are. */
struct dns_host {
	const char *etc;   /* the directory of resolv.conf; borrowed */
	const char *state; /* of the records; borrowed */
	const char *const *resolvconf; /* paths to try, NULL at the end */
	struct dns_way_resolved *bus;  /* owned; NULL: not connected */
};

/* The tunnel's wish.  dns has passed dnshost_msg_check. */
struct dns_wish {
	const char *device; /* borrowed, like dns */
	uint32_t ifindex;
	const struct brokermsg_dns_set *dns;
};

/* A way, which is asked for its record before it may do anything. */
struct dns_way {
	const char *name; /* short: for "ecssh status" */
	/*
	 * Do what is wished for, after having saved the record by
	 * dns_store_save.  Returns 0, or -errno with err and nothing changed:
	 * -ENOENT: this host does not go this way, try the next.
	 */
	int (*set)(struct dns_host *host, const struct dns_store *store,
		   const struct dns_wish *wish, struct dns_record *record,
		   struct dns_record_entry *entry, struct err *err);
	/*
	 * Undo it; also if it has been done only in part, or in an earlier
	 * life.  Returns 0, or -errno with err: -ESTALE: somebody else has
	 * changed it meanwhile, and it is left alone.
	 */
	int (*undo)(struct dns_host *host, const struct dns_record *record,
		    struct err *err);
	/* Both NULL: nobody else changes what was set.  True if that is still
	 * in force, or gave way to what has a right to. */
	bool (*is_ours)(struct dns_host *host, const struct dns_wish *wish,
			const struct dns_record *record);
	/*
	 * It is not: set it again, after having saved a record by which what is
	 * there now comes back.  The way may be another one afterwards.
	 * Returns 0, or -errno with err; the record is good for undo in either
	 * case.
	 */
	int (*renew)(struct dns_host *host, const struct dns_store *store,
		     const struct dns_wish *wish, struct dns_record *record,
		     struct dns_record_entry *entry, struct err *err);
};

/* By enum dns_way_kind, in the order in which they are tried; [0] is empty. */
extern const struct dns_way *const dns_ways[DNS_WAY__N];

extern const struct dns_way dns_way_resolved;
extern const struct dns_way dns_way_resolvconf;
extern const struct dns_way dns_way_file;

/* The text of resolv.conf, whatever leads to it.  Returns its length, or
 * -errno. */
int dns_way_read_conf(const struct dns_host *host, char *out, size_t cap);

/* Open a file in the host's etc; -errno. */
int dns_way_open_etc(const struct dns_host *host);

/* True if the device is there, under this index and name. */
bool dns_way_has_device(const struct dns_record_device *device);

/* ---- what only systemd-resolved has: it may be started anew ---- */

/* A descriptor and events to poll(2), and how long at most (ms, -1: no limit);
 * returns -1 if there is nothing to wait for. */
int dns_way_resolved_fd(struct dns_host *host, short *ret_events,
			int *ret_timeout_ms);

/*
 * Take in what has happened.  wish: what is in force, which is done again
 * if resolved has forgotten it; NULL: nothing.  Returns 0 or -errno with err.
 */
int dns_way_resolved_turn(struct dns_host *host, const struct dns_wish *wish,
			  struct err *err);

/* Let go of the bus. */
void dns_way_resolved_close(struct dns_host *host);

#endif
