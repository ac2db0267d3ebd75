/* SPDX-License-Identifier: MIT */
/*
 * dns_msg: asking for the addresses of a name, and understanding the answer.
 */
#include "dns_msg.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

int dns_build_query(uint8_t *out, uint16_t id, const char *name,
		    enum dns_type type)
{
	size_t at = DNS_HEADER_LEN, end = DNS_HEADER_LEN + DNS_NAME_MAX;

	memset(out, 0, DNS_HEADER_LEN);
	bytes_put_u16(out, id);
	bytes_put_u16(out + 2, DNS_FLAG_RD);
	bytes_put_u16(out + 4, 1);
	while (*name) {
		size_t n = strcspn(name, ".");

		if (n == 0 || n > DNS_LABEL_MAX || at + 1 + n + 1 > end)
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
	bytes_put_u16(out + at + 2, DNS_CLASS_IN);
	return (int)at + 4;
}

static void add_record(struct dns_answer *a, const struct dns_msg *m,
		       const struct dns_record *r)
{
	uint32_t ttl_s = r->ttl_s > DNS_TTL_MAX_S ? 0 : r->ttl_s;

	if (ttl_s < a->ttl_s)
		a->ttl_s = ttl_s;
	if (r->type != m->type || r->data_len != (r->type == DNS_A ? 4 : 16) ||
	    a->n_addrs == DNS_ADDRS_MAX)
		return;
	a->addrs[a->n_addrs++] = addr_make(r->type == DNS_A ? IPV4 : IPV6,
					   m->bytes + r->data_at);
}

int dns_parse_answer(const uint8_t *in, size_t len, const uint8_t *query,
		     size_t query_len, struct dns_answer *ret)
{
	struct dns_answer a = {.ttl_s = UINT32_MAX};
	struct dns_msg m, asked;
	struct dns_walk walk;
	struct dns_record r;

	if (dns_parse(query, query_len, &asked) < 0 ||
	    dns_parse(in, len, &m) < 0)
		return -EBADMSG;
	if (m.id != asked.id || !dns_parse_is_same_question(&m, &asked) ||
	    (m.flags & (DNS_FLAG_QR | DNS_FLAGS_OPCODE)) != DNS_FLAG_QR)
		return -EBADMSG;
	a.rcode = m.rcode & DNS_FLAGS_RCODE;
	dns_walk_begin(&walk, &m);
	while (dns_walk_next(&walk, &r))
		if (r.section == DNS_ANSWER && r.class == DNS_CLASS_IN)
			add_record(&a, &m, &r);
	if (a.ttl_s == UINT32_MAX)
		a.ttl_s = 0;
	*ret = a;
	return 0;
}
