/* SPDX-License-Identifier: MIT */
/*
 * icmp: ICMP errors, by what they mean in one family or the other.
 *
 * Spec: RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 5.2.7, RFC 1191;
 * RFC 4443 section 3, RFC 8201.
 */
#include "pkt.h"

#include "err.h"
#include "pkt_internal.h"

/* Type and code of one meaning, and what is left of info. */
struct meaning {
	uint8_t type4, code4;
	uint32_t info4_max;
	uint8_t type6, code6;
	uint32_t info6_max;
};

static const struct meaning meanings[] = {
	[ICMP_MEANS_NET_UNREACH] = {ICMP4_UNREACH, ICMP4_UNREACH_NET, 0,
				    ICMP6_UNREACH, ICMP6_UNREACH_NET, 0},
	[ICMP_MEANS_HOST_UNREACH] = {ICMP4_UNREACH, ICMP4_UNREACH_HOST, 0,
				     ICMP6_UNREACH, ICMP6_UNREACH_HOST, 0},
	[ICMP_MEANS_PORT_UNREACH] = {ICMP4_UNREACH, ICMP4_UNREACH_PORT, 0,
				     ICMP6_UNREACH, ICMP6_UNREACH_PORT, 0},
	[ICMP_MEANS_PROTO_UNREACH] = {ICMP4_UNREACH, ICMP4_UNREACH_PROTO, 0,
				      ICMP6_PARAM_PROBLEM,
				      ICMP6_PARAM_NEXT_HEADER, UINT32_MAX},
	[ICMP_MEANS_ADMIN_PROHIBITED] = {ICMP4_UNREACH, ICMP4_UNREACH_ADMIN, 0,
					 ICMP6_UNREACH, ICMP6_UNREACH_ADMIN, 0},
	[ICMP_MEANS_TOO_BIG] = {ICMP4_UNREACH, ICMP4_UNREACH_TOO_BIG,
				UINT16_MAX, /* RFC 1191: a 16-bit field */
				ICMP6_TOO_BIG, 0, UINT32_MAX},
	[ICMP_MEANS_TTL_EXCEEDED] = {ICMP4_TIME_EXCEEDED, 0, 0,
				     ICMP6_TIME_EXCEEDED, 0, 0},
};

struct icmp_error icmp_error_make(enum ip_version version,
				  enum icmp_meaning meaning, uint32_t info)
{
	assert_always((size_t)meaning < sizeof(meanings) / sizeof(meanings[0]));
	const struct meaning *m = &meanings[meaning];

	if (version == IPV4)
		return (struct icmp_error){m->type4, m->code4,
					   info < m->info4_max ? info
							       : m->info4_max};
	return (struct icmp_error){m->type6, m->code6,
				   info < m->info6_max ? info : m->info6_max};
}

/* The errors of one family: type, and its codes 0..last_code. */
struct error_type {
	uint8_t type, last_code;
};

static const struct error_type errors4[] = {
	{ICMP4_UNREACH, 15}, /* RFC 1812 */
	{ICMP4_TIME_EXCEEDED, 1},
	{ICMP4_PARAM_PROBLEM, 2}, /* RFC 1108 */
	/* no source quench (RFC 6633), no redirect: it would change routes */
};

static const struct error_type errors6[] = {
	{ICMP6_UNREACH, 8}, /* RFC 4443, 6554, 8883 */
	{ICMP6_TOO_BIG, 0},
	{ICMP6_TIME_EXCEEDED, 1},
	{ICMP6_PARAM_PROBLEM, 10}, /* RFC 4443, 7112, 8754, 8883 */
};

enum {
	IP4_MTU_MIN = 68,   /* RFC 791 */
	IP6_MTU_MIN = 1280, /* RFC 8200 section 5 */
};

bool icmp_error_is_valid(enum ip_version version,
			 const struct icmp_error *error)
{
	const struct error_type *known = version == IPV4 ? errors4 : errors6;
	size_t n = version == IPV4 ? sizeof(errors4) / sizeof(errors4[0])
				   : sizeof(errors6) / sizeof(errors6[0]);
	size_t i = 0;

	while (i < n && known[i].type != error->type)
		i++;
	if (i == n || error->code > known[i].last_code)
		return false;
	if (version == IPV6 && error->type == ICMP6_TOO_BIG)
		return error->info >= IP6_MTU_MIN;
	if (version == IPV4 && error->type == ICMP4_UNREACH &&
	    error->code == ICMP4_UNREACH_TOO_BIG)
		/* 0: from a router older than RFC 1191 */
		return error->info == 0 || (error->info >= IP4_MTU_MIN &&
					    error->info <= UINT16_MAX);
	return true;
}
