/* SPDX-License-Identifier: MIT */
/*
 * dns_msg: asking for the addresses of a name, and understanding the answer.
 *
 * Names in answers are skipped and never put together, so no pointer is
 * followed and there is nothing that could go round in circles.
 */
#include "dns_msg.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

enum {
	LABEL_MAX = 63,
	POINTER_BITS = 0xc0,
	CLASS_IN = 1,
	FLAGS_RD = 0x0100,
	FLAGS_QR_OPCODE = 0xf800,
	FLAGS_QR = 0x8000,
	RECORD_FIXED_LEN = 10, /* type, class, TTL, length */
	TTL_MAX_S = 0x7fffffff,
};

int dns_build_query(uint8_t *out, uint16_t id, const char *name,
		    enum dns_type type)
{
	size_t at = DNS_HEADER_LEN, end = DNS_HEADER_LEN + DNS_NAME_MAX;

	memset(out, 0, DNS_HEADER_LEN);
	bytes_put_u16(out, id);
	bytes_put_u16(out + 2, FLAGS_RD);
	bytes_put_u16(out + 4, 1);
	while (*name) {
		size_t n = strcspn(name, ".");

		if (n == 0 || n > LABEL_MAX || at + 1 + n + 1 > end)
			return -EINVAL;
		out[at++] = (uint8_t)n;
		memcpy(out + at, name, n);
		at += n;
		name += n;
		if (*name == '.')
			name++;
	}
	if (at == DNS_HEADER_LEN)
		return -EINVAL;
	out[at++] = 0;
	bytes_put_u16(out + at, (uint16_t)type);
	bytes_put_u16(out + at + 2, CLASS_IN);
	return (int)at + 4;
}

/* The offset behind the name at `at`, or 0 if it does not end. */
static size_t skip_name(const uint8_t *in, size_t len, size_t at)
{
	size_t start = at;

	while (at < len && at - start < DNS_NAME_MAX) {
		if (in[at] == 0)
			return at + 1;
		if ((in[at] & POINTER_BITS) == POINTER_BITS)
			return at + 2 <= len ? at + 2 : 0;
		if (in[at] & POINTER_BITS)
			return 0;
		at += 1U + in[at];
	}
	return 0;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* The question is repeated, maybe in other letters.  The lengths of labels are
 * less than any letter: comparing them likewise does no harm. */
static bool is_same_question(const uint8_t *in, size_t len,
			     const uint8_t *query, size_t query_len)
{
	if (len < query_len || query_len <= DNS_HEADER_LEN + 4)
		return false;
	if (memcmp(in, query, 2) != 0 || bytes_get_u16(in + 4) != 1 ||
	    (bytes_get_u16(in + 2) & FLAGS_QR_OPCODE) != FLAGS_QR)
		return false;
	for (size_t i = DNS_HEADER_LEN; i < query_len - 4; i++)
		if (lower(in[i]) != lower(query[i]))
			return false;
	return memcmp(in + query_len - 4, query + query_len - 4, 4) == 0;
}

static void add_record(struct dns_answer *a, uint16_t type, uint32_t ttl_s,
		       const uint8_t *data, size_t len, uint16_t wanted)
{
	if (ttl_s > TTL_MAX_S) /* RFC 2181 section 8 */
		ttl_s = 0;
	if (ttl_s < a->ttl_s)
		a->ttl_s = ttl_s;
	if (type != wanted || len != (type == DNS_A ? 4 : 16) ||
	    a->n_addrs == DNS_ADDRS_MAX)
		return;
	a->addrs[a->n_addrs++] = addr_make(type == DNS_A ? IPV4 : IPV6, data);
}

int dns_parse_answer(const uint8_t *in, size_t len, const uint8_t *query,
		     size_t query_len, struct dns_answer *ret)
{
	struct dns_answer a = {.ttl_s = UINT32_MAX};
	size_t at = query_len;

	if (!is_same_question(in, len, query, query_len))
		return -EBADMSG;
	uint16_t wanted = bytes_get_u16(query + query_len - 4);
	unsigned n = bytes_get_u16(in + 6);

	a.rcode = in[3] & 0xf;
	for (unsigned i = 0; i < n; i++) {
		at = skip_name(in, len, at);
		if (at == 0 || len - at < RECORD_FIXED_LEN)
			return -EBADMSG;
		const uint8_t *fixed = in + at;
		size_t data_len = bytes_get_u16(fixed + 8);

		at += RECORD_FIXED_LEN;
		if (len - at < data_len)
			return -EBADMSG;
		if (bytes_get_u16(fixed + 2) == CLASS_IN)
			add_record(&a, bytes_get_u16(fixed),
				   bytes_get_u32(fixed + 4), in + at, data_len,
				   wanted);
		at += data_len;
	}
	if (a.ttl_s == UINT32_MAX)
		a.ttl_s = 0;
	*ret = a;
	return 0;
}
