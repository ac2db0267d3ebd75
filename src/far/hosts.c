/* SPDX-License-Identifier: MIT */
/* hosts: names that stand in this host's own file.  Spec: hosts(5) */
#include "hosts.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	LINE_MAX_BYTES = 2048,
	TTL_S = 60, /* the file may change */
	RECORD_HEAD_LEN = 12,
};

bool hosts_is_same_name(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);

	a_len -= a_len > 0 && a[a_len - 1] == '.';
	b_len -= b_len > 0 && b[b_len - 1] == '.';
	return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

/* "ADDR NAME..." */
static void take_line(struct hosts_addrs *h, char *line, const char *name)
{
	struct ip_addr a;
	char *rest = NULL;

	line[strcspn(line, "#\r\n")] = '\0';
	const char *word = strtok_r(line, " \t", &rest);
	if (!word || addr_parse(word, &a) < 0)
		return;
	int family = a.version == IPV6;
	while ((word = strtok_r(NULL, " \t", &rest))) {
		if (!hosts_is_same_name(word, name))
			continue;
		if (h->n[family] < HOSTS_ADDRS_MAX)
			h->addrs[family][h->n[family]++] = a;
		return;
	}
}

void hosts_find(const struct resolver *r, const char *path, const char *name,
		struct hosts_addrs *ret)
{
	char line[LINE_MAX_BYTES];
	size_t n_read = 0;
	FILE *f = resolver_open_file(r, path);

	memset(ret, 0, sizeof(*ret));
	if (!f)
		return;
	while (n_read < HOSTS_BYTES_MAX && fgets(line, sizeof(line), f)) {
		n_read += strlen(line);
		take_line(ret, line, name);
	}
	(void)fclose(f);
}

/* The question's name as the file would have it.  False: it has bytes that no
 * name there has. */
static bool name_of(const struct dns_msg *q, char out[DNS_NAME_MAX])
{
	uint8_t labels[DNS_NAME_MAX];
	size_t len =
		dns_parse_name(q->bytes, q->end, DNS_HEADER_LEN, labels, NULL);
	size_t n = 0;

	for (size_t at = 0; at < len && labels[at] > 0; at += labels[at] + 1U) {
		for (size_t i = 1; i <= labels[at]; i++) {
			uint8_t c = labels[at + i];

			if (c <= ' ' || c >= 0x7f || c == '.' || c == '#')
				return false;
			out[n++] = (char)c;
		}
		out[n++] = '.';
	}
	if (n > 0)
		out[n - 1] = '\0'; /* over the last dot */
	return n > 0;
}

static size_t put_record(uint8_t *out, uint16_t type, const struct ip_addr *a)
{
	size_t len = addr_len_bytes(a);
	const uint8_t head[RECORD_HEAD_LEN] = {
		0xc0, DNS_HEADER_LEN, /* the question's name */
		0,    (uint8_t)type,  0, DNS_CLASS_IN, 0, 0,
		0,    TTL_S,	      0, (uint8_t)len};

	memcpy(out, head, sizeof(head));
	memcpy(out + sizeof(head), a->bytes, len);
	return sizeof(head) + len;
}

/* Loopback is another host to who asks. */
static void leave_out_loopback(struct hosts_addrs *h)
{
	for (int family = 0; family < 2; family++) {
		size_t n = h->n[family];

		h->n[family] = 0;
		for (size_t i = 0; i < n; i++)
			if (!addr_is_loopback(&h->addrs[family][i]))
				h->addrs[family][h->n[family]++] =
					h->addrs[family][i];
	}
}

size_t hosts_answer(const struct resolver *r, const char *path,
		    const uint8_t *query, size_t len, uint8_t *out)
{
	enum { QR = 0x80, RD = 0x01, RA = 0x80, N_ANSWERS_AT = 7 };
	struct hosts_addrs h;
	struct dns_msg q;
	char name[DNS_NAME_MAX];

	if (dns_parse(query, len, &q) < 0 || q.class != DNS_CLASS_IN ||
	    (q.type != DNS_A && q.type != DNS_AAAA) || !name_of(&q, name))
		return 0;
	hosts_find(r, path, name, &h);
	leave_out_loopback(&h);
	if (h.n[0] + h.n[1] == 0)
		return 0;
	int family = q.type == DNS_AAAA;
	size_t at = DNS_HEADER_LEN + q.name_len + 4;
	memcpy(out, query, at);
	out[2] = (uint8_t)(QR | (query[2] & RD));
	out[3] = RA;
	/* One question; of the family maybe nothing. */
	memset(out + N_ANSWERS_AT - 1, 0, DNS_HEADER_LEN - N_ANSWERS_AT + 1);
	out[N_ANSWERS_AT] = (uint8_t)h.n[family];
	for (size_t i = 0; i < h.n[family]; i++)
		at += put_record(out + at, q.type, &h.addrs[family][i]);
	return at;
}
