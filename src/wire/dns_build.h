/* SPDX-License-Identifier: MIT */
/* dns_build: queries that are passed on, and responses to who asked. */
#ifndef ECSSH_DNS_BUILD_H
#define ECSSH_DNS_BUILD_H

#include "dns_parse.h"

enum {
	/* What we say that we take by UDP: it fits any path's MTU. */
	DNS_BUILD_UDP_BYTES = 1232,
	DNS_BUILD_OPT_LEN = 11,
	/* The longest without records. */
	DNS_BUILD_SHORT_MAX =
		DNS_HEADER_LEN + DNS_NAME_MAX + 4 + DNS_BUILD_OPT_LEN,
};

enum dns_build_edns {
	DNS_BUILD_PLAIN,
	DNS_BUILD_EDNS, /* with an OPT that asks for what the query does */
};

/* Write what to ask a resolver for the sake of this query.  out has
 * DNS_BUILD_SHORT_MAX bytes.  Returns the length. */
size_t dns_build_upstream(uint8_t *out, const struct dns_msg *query,
			  uint16_t id, enum dns_build_edns edns);

/*
 * Write the response to a query, out of an answer to the same question, to
 * somebody who takes max_bytes of it: DNS_UDP_MIN to DNS_MESSAGE_MAX, and so
 * many does out have.  What is longer becomes a response that says so and has
 * no records.  age_s is taken off all TTLs.  The question is repeated letter by
 * letter.  A name that reaches into a TTL, which no sound server sends, may be
 * none any more.  Returns the length.
 */
size_t dns_build_response(uint8_t *out, const struct dns_msg *query,
			  const struct dns_msg *answer, uint32_t age_s,
			  size_t max_bytes);

/* The same where there is no answer.  out has DNS_BUILD_SHORT_MAX bytes. */
size_t dns_build_error(uint8_t *out, const struct dns_msg *query,
		       enum dns_rcode rcode);

/* The same for what could not be parsed, but has a header: just a header. */
size_t dns_build_refusal(uint8_t *out, const uint8_t header[DNS_HEADER_LEN],
			 enum dns_rcode rcode);

#endif
