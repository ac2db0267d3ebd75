/* SPDX-License-Identifier: MIT */
/*
 * fuzz_dns_parse: messages of the DNS, and the responses made of them.
 *
 * Input: one byte for how much the asker takes, one for whether it knows EDNS,
 * then a message.
 */
#include <string.h>

#include "bytes.h"
#include "dns_build.h"
#include "err.h"
#include "fuzz.h"

/* A query for the same. */
static size_t ask_again(uint8_t *out, const struct dns_msg *m, bool has_edns)
{
	struct dns_msg as = *m;

	as.flags = 0;
	return dns_build_upstream(out, &as, 3,
				  has_edns ? DNS_BUILD_EDNS : DNS_BUILD_PLAIN);
}

static void check_walk(const struct dns_msg *m)
{
	unsigned n = 0;
	struct dns_walk walk;
	struct dns_record r;
	struct ip_addr hints[4];

	dns_walk_begin(&walk, m);
	while (dns_walk_next(&walk, &r)) {
		assert_always(dns_parse_hints(m, &r, hints, 4) <= 4);
		assert_always(r.data_at + r.data_len <= m->end);
		assert_always(r.ttl_at + 4 <= m->end);
		n++;
	}
	assert_always(n == (unsigned)m->n[0] + m->n[1] + m->n[2]);
	assert_always(walk.at == m->end);
	assert_always(dns_parse_ttl_s(m) <= DNS_TTL_MAX_S);
}

static void check_response(const struct dns_msg *m, size_t max_bytes,
			   bool has_edns)
{
	static uint8_t out[DNS_MESSAGE_MAX];
	uint8_t asked[DNS_BUILD_SHORT_MAX];
	struct dns_msg query, response;
	size_t n = ask_again(asked, m, has_edns);

	assert_always(dns_parse(asked, n, &query) == 0);
	/* Ageing may break a name that a pointer finds in a TTL. */
	n = dns_build_response(out, &query, m, 7, max_bytes);
	assert_always(n <= max_bytes);
	n = dns_build_response(out, &query, m, 0, max_bytes);
	assert_always(n <= max_bytes);
	assert_always(dns_parse(out, n, &response) == 0);
	assert_always(response.end == n && response.id == 3);
	assert_always(dns_parse_is_same_question(&response, m));
	assert_always((response.opt_at != 0) == has_edns);
	n = dns_build_error(out, &query, DNS_SERVER_FAILURE);
	assert_always(n <= DNS_BUILD_SHORT_MAX &&
		      dns_parse(out, n, &response) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_msg m;

	if (size < 2 || dns_parse(data + 2, size - 2, &m) < 0)
		return 0;
	check_walk(&m);
	check_response(&m, DNS_UDP_MIN + 64 * (size_t)data[0], data[1] & 1);
	return 0;
}
