/* SPDX-License-Identifier: MIT */
/*
 * dns_msg: asking for the addresses of a name, and understanding the answer.
 *
 * Spec: RFC 1035 section 4
 */
#ifndef ECSSH_DNS_MSG_H
#define ECSSH_DNS_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "dns_parse.h"

enum {
	DNS_QUERY_MAX = DNS_HEADER_LEN + DNS_NAME_MAX + 4,
	DNS_ADDRS_MAX = 8, /* more are not kept */
};

struct dns_answer {
	uint8_t rcode; /* enum dns_rcode, or one not known here */
	struct ip_addr addrs[DNS_ADDRS_MAX];
	size_t n_addrs;
	uint32_t ttl_s; /* the least of all records; 0 if there is none */
};

/* Write a query to out, which has room for DNS_QUERY_MAX bytes.  Returns the
 * length, or -EINVAL: a label of the name is empty or too long, or the name is.
 */
int dns_build_query(uint8_t *out, uint16_t id, const char *name,
		    enum dns_type type);

/*
 * Understand the answer to that query.  Returns 0, or -EBADMSG: it is not an
 * answer to it, or malformed.  Whose the addresses are is not compared with the
 * name asked for: who answers could as well have given them that name.
 */
int dns_parse_answer(const uint8_t *in, size_t len, const uint8_t *query,
		     size_t query_len, struct dns_answer *ret);

#endif
