/* SPDX-License-Identifier: MIT */
/*
 * fuzz_dns_msg: names in questions, and answers.
 *
 * Input: the length of a name, the name, then what follows the question in an
 * answer to it, of which the first 12 bytes are the header.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dns_msg.h"
#include "err.h"
#include "fuzz.h"

static void check_answer(const struct dns_answer *a, enum dns_type type)
{
	assert_always(a->rcode <= 15 && a->n_addrs <= DNS_ADDRS_MAX);
	assert_always(a->ttl_s <= 0x7fffffff);
	for (size_t i = 0; i < a->n_addrs; i++)
		assert_always(a->addrs[i].version ==
			      (type == DNS_A ? IPV4 : IPV6));
}

static void check(const uint8_t *query, size_t query_len, const uint8_t *rest,
		  size_t rest_len, enum dns_type type)
{
	uint8_t *in = malloc(query_len + rest_len);
	struct dns_answer a;

	assert_always(in != NULL);
	if (rest_len >= DNS_HEADER_LEN) {
		/* That header, the question, the rest. */
		memcpy(in, query, query_len);
		memcpy(in + 2, rest + 2, DNS_HEADER_LEN - 2);
		memcpy(in + query_len, rest + DNS_HEADER_LEN,
		       rest_len - DNS_HEADER_LEN);
		if (dns_parse_answer(in, query_len + rest_len - DNS_HEADER_LEN,
				     query, query_len, &a) == 0)
			check_answer(&a, type);
	}
	/* And as it is. */
	memcpy(in, rest, rest_len);
	if (dns_parse_answer(in, rest_len, query, query_len, &a) == 0)
		check_answer(&a, type);
	free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t query[DNS_QUERY_MAX];
	char name[256];

	if (size == 0 || size - 1 < data[0])
		return 0;
	size_t name_len = data[0];
	enum dns_type type = name_len % 2 ? DNS_A : DNS_AAAA;

	memcpy(name, data + 1, name_len);
	name[name_len] = '\0';
	int r = dns_build_query(query, 7, name, type);
	assert_always(r == -EINVAL ||
		      (r > DNS_HEADER_LEN + 5 && r <= DNS_QUERY_MAX));
	if (r > 0)
		check(query, (size_t)r, data + 1 + name_len,
		      size - 1 - name_len, type);
	return 0;
}
