/* SPDX-License-Identifier: MIT */
/* hosts: names that stand in this host's own file. */
#ifndef ECSSH_HOSTS_H
#define ECSSH_HOSTS_H

#include "addr.h"
#include "dns_msg.h"
#include "resolver.h"

enum {
	HOSTS_BYTES_MAX = 8 << 20,	 /* read of the file */
	HOSTS_ADDRS_MAX = DNS_ADDRS_MAX, /* of each family */
	/* A header, a question, and records of an address each. */
	HOSTS_ANSWER_MAX = DNS_QUERY_MAX + HOSTS_ADDRS_MAX * 28,
};

/* Of a name: IPv4, IPv6. */
struct hosts_addrs {
	struct ip_addr addrs[2][HOSTS_ADDRS_MAX];
	size_t n[2];
};

/* Two names that are the same, but for case and a dot at the end. */
bool hosts_is_same_name(const char *a, const char *b);

/* Look name up in the file at path, which r may have to open for us.  Zeros:
 * it is not there. */
void hosts_find(const struct resolver *r, const char *path, const char *name,
		struct hosts_addrs *ret);

/*
 * Answer a query for the addresses of a name that is there.  Loopback addresses
 * mean another host to who asks, and do not count.  Returns the length of out
 * (HOSTS_ANSWER_MAX bytes), or 0: it is for the resolvers.
 */
size_t hosts_answer(const struct resolver *r, const char *path,
		    const uint8_t *query, size_t len, uint8_t *out);

#endif
