/* SPDX-License-Identifier: MIT */
/* dns_build: queries that are passed on, and responses to who asked. */
#include "dns_build.h"

#include <string.h>

#include "bytes.h"

enum { RCODE_BITS = 4 };

/* From the name on, so that it keeps its letters. */
static size_t copy_question(uint8_t *out, const struct dns_msg *query)
{
	size_t n = query->name_len + 4;

	memcpy(out + DNS_HEADER_LEN, query->bytes + DNS_HEADER_LEN, n);
	return DNS_HEADER_LEN + n;
}

static void put_header(uint8_t *out, uint16_t id, uint32_t flags)
{
	memset(out, 0, DNS_HEADER_LEN);
	bytes_put_u16(out, id);
	bytes_put_u16(out + 2, (uint16_t)flags);
	bytes_put_u16(out + 4, 1);
}

/* RFC 6891 section 6.1.2.  Counts it, too. */
static size_t put_opt(uint8_t *message, size_t at, uint16_t rcode, bool is_do)
{
	uint8_t *out = message + at;

	memset(out, 0, DNS_BUILD_OPT_LEN);
	bytes_put_u16(out + 1, DNS_OPT);
	bytes_put_u16(out + 3, DNS_BUILD_UDP_BYTES);
	out[5] = (uint8_t)(rcode >> RCODE_BITS);
	out[7] = is_do ? 0x80 : 0;
	bytes_put_u16(message + 10,
		      (uint16_t)(bytes_get_u16(message + 10) + 1));
	return at + DNS_BUILD_OPT_LEN;
}

size_t dns_build_upstream(uint8_t *out, const struct dns_msg *query,
			  uint16_t id, enum dns_build_edns edns)
{
	put_header(out, id, DNS_FLAG_RD | (query->flags & DNS_FLAG_CD));
	size_t n = copy_question(out, query);

	return edns == DNS_BUILD_EDNS ? put_opt(out, n, 0, query->edns_do) : n;
}

/* What is said of us and of the query, and how it went. */
static uint32_t response_flags(const struct dns_msg *query, uint16_t *rcode)
{
	/* Who knows no OPT cannot be told the longer ones. */
	if (*rcode > DNS_FLAGS_RCODE && !query->opt_at)
		*rcode = DNS_SERVER_FAILURE;
	return DNS_FLAG_QR | DNS_FLAG_RA |
	       (query->flags & (DNS_FLAG_RD | DNS_FLAG_CD)) |
	       (*rcode & DNS_FLAGS_RCODE);
}

static size_t put_short(uint8_t *out, const struct dns_msg *query,
			uint16_t rcode, uint32_t more_flags)
{
	uint32_t flags = response_flags(query, &rcode) | more_flags;

	put_header(out, query->id, flags);
	size_t n = copy_question(out, query);

	return query->opt_at ? put_opt(out, n, rcode, query->edns_do) : n;
}

size_t dns_build_error(uint8_t *out, const struct dns_msg *query,
		       enum dns_rcode rcode)
{
	return put_short(out, query, (uint16_t)rcode, 0);
}

size_t dns_build_refusal(uint8_t *out, const uint8_t header[DNS_HEADER_LEN],
			 enum dns_rcode rcode)
{
	uint16_t asked = bytes_get_u16(header + 2);

	put_header(out, bytes_get_u16(header),
		   DNS_FLAG_QR | (asked & (DNS_FLAGS_OPCODE | DNS_FLAG_RD)) |
			   (uint32_t)rcode);
	bytes_put_u16(out + 4, 0);
	return DNS_HEADER_LEN;
}

static void age_records(uint8_t *out, const struct dns_msg *answer, size_t end,
			uint32_t age_s)
{
	struct dns_walk walk;
	struct dns_record r;

	dns_walk_begin(&walk, answer);
	while (dns_walk_next(&walk, &r) && r.at < end) {
		uint32_t ttl_s = r.ttl_s > DNS_TTL_MAX_S ? 0 : r.ttl_s;

		bytes_put_u32(out + r.ttl_at,
			      ttl_s > age_s ? ttl_s - age_s : 0);
	}
}

size_t dns_build_response(uint8_t *out, const struct dns_msg *query,
			  const struct dns_msg *answer, uint32_t age_s,
			  size_t max_bytes)
{
	/* What lies behind OPT, if anything, is of use to nobody. */
	size_t end = answer->opt_at ? answer->opt_at : answer->end;
	uint16_t rcode = answer->rcode;
	uint32_t flags = answer->flags & DNS_FLAG_TC;

	/* RFC 6840 section 5.7 */
	if (query->edns_do || (query->flags & DNS_FLAG_AD))
		flags |= answer->flags & DNS_FLAG_AD;
	if (end + (query->opt_at ? DNS_BUILD_OPT_LEN : 0) > max_bytes)
		return put_short(out, query, rcode, DNS_FLAG_TC);
	put_header(out, query->id, response_flags(query, &rcode) | flags);
	bytes_put_u16(out + 6, answer->n[DNS_ANSWER]);
	bytes_put_u16(out + 8, answer->n[DNS_AUTHORITY]);
	bytes_put_u16(out + 10, answer->opt_at ? answer->n_before_opt
					       : answer->n[DNS_ADDITIONAL]);
	/* The question is as long in both, so all pointers stay right. */
	size_t at = copy_question(out, query);

	memcpy(out + at, answer->bytes + at, end - at);
	age_records(out, answer, end, age_s);
	return query->opt_at ? put_opt(out, end, rcode, query->edns_do) : end;
}
