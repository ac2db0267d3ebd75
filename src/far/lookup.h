/* SPDX-License-Identifier: MIT */
/* lookup: the addresses of a name, as the programs of this host would find
 * them. */
#ifndef ECSSH_LOOKUP_H
#define ECSSH_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "dns_msg.h"
#include "frame.h"
#include "resolver.h"

enum {
	LOOKUP_ADDRS_MAX = 2 * DNS_ADDRS_MAX,
	LOOKUP_SEARCH_MAX = 6, /* domains: resolv.conf(5) */
	/* How long one family waits for the other: RFC 8305 section 3. */
	LOOKUP_OTHER_US = 50000,
};

/* Storage is the caller's. */
struct lookup {
	struct resolver *resolver;			       /* borrowed */
	char names[LOOKUP_SEARCH_MAX + 1][FRAME_NAME_MAX + 1]; /* to be tried */
	int n_names, n_tried;
	struct query *queries[2]; /* under way: A, AAAA; or NULL */
	uint8_t messages[2][DNS_QUERY_MAX];
	size_t lens[2];
	struct ip_addr addrs[2][DNS_ADDRS_MAX]; /* IPv4, IPv6 */
	size_t n_addrs[2];
	enum frame_reason failure; /* other than "no such name" */
	struct timer timer;
	/* Once, in a later turn: NONE and lookup_addrs, or a reason.  The
	 * lookup may be freed in here. */
	void (*on_done)(struct lookup *l, enum frame_reason reason);
};

/*
 * Look name up: a numeric address; "localhost"; hosts_path, /etc/hosts or the
 * like; then the servers and search list of the resolver's own file.  on_done
 * is set by the caller.
 */
void lookup_start(struct lookup *l, struct resolver *r, const char *hosts_path,
		  const char *name);

/* No callback follows. */
void lookup_stop(struct lookup *l);

/* What was found, the families in turn, IPv6 first.  Returns how many. */
size_t lookup_addrs(const struct lookup *l,
		    struct ip_addr ret_addrs[LOOKUP_ADDRS_MAX]);

#endif
