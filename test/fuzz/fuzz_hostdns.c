/* SPDX-License-Identifier: MIT */
/*
 * fuzz_hostdns: what decides about this host's resolver: domains, requests,
 * others' resolv.conf, records on disk.
 *
 * Input: a byte that says what the rest is.  'd' a domain; 'r' resolv.conf; 's'
 * the beginning of a DNS_SET, 'j' of a record, with zeros behind it.
 */
#include <stdlib.h>
#include <string.h>

#include "dns_record.h"
#include "dnshost_msg.h"
#include "domain.h"
#include "fuzz.h"
#include "resolv_text.h"

static void check_domain(const char *text, size_t len)
{
	char name[DOMAIN_TEXT_MAX], again[DOMAIN_TEXT_MAX];
	struct err err;

	if (domain_parse(text, len, name, &err) < 0) {
		for (const char *p = err.text; *p; p++)
			assert_always((unsigned char)*p >= 0x20 && *p != 0x7f);
		return;
	}
	size_t n = strlen(name);
	assert_always(n > 0 && n < DOMAIN_TEXT_MAX && n <= len);
	assert_always(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") ==
		      n);
	assert_always(name[0] != '-' && name[0] != '.');
	assert_always(domain_parse(name, n, again, &err) == 0);
	assert_always(strcmp(name, again) == 0);
}

static void check_conf(const char *text, size_t len)
{
	struct ip_addr servers[3];
	size_t n = resolv_text_servers(text, len, servers, 3);

	assert_always(n <= 3);
	for (size_t i = 0; i < n; i++)
		assert_always(servers[i].version == IPV4 ||
			      servers[i].version == IPV6);
	if (resolv_text_is_resolved(text, len))
		assert_always(n > 0 && servers[0].bytes[0] == 127);
}

/* What is granted is as many lines as it should be. */
static void check_set(const uint8_t *data, size_t len)
{
	static char text[RESOLV_TEXT_MAX];
	struct brokermsg_dns_set set;
	struct ip_addr found[4];
	size_t n_lines = 0;

	memset(&set, 0, sizeof(set));
	memcpy(&set, data, len < sizeof(set) ? len : sizeof(set));
	if (dnshost_msg_check(&set, NULL) < 0)
		return;
	size_t n = resolv_text_build(&set, "ecssh0", text);
	assert_always(n < sizeof(text) && strlen(text) == n);
	for (size_t i = 0; i < n; i++) {
		n_lines += text[i] == '\n';
		assert_always(text[i] == '\n' ||
			      (text[i] >= 0x20 && text[i] < 0x7f));
	}
	assert_always(n_lines == 1 + set.n_servers + (set.n_domains > 0));
	assert_always(resolv_text_servers(text, n, found, 4) == set.n_servers);
}

static void check_record(const uint8_t *data, size_t len)
{
	struct dns_record *r = calloc(1, sizeof(*r));

	assert_always(r != NULL);
	memcpy(r, data, len < sizeof(*r) ? len : sizeof(*r));
	if (dns_record_is_valid(r, sizeof(*r))) {
		assert_always(r->way > 0 && r->way < DNS_WAY__N);
		assert_always(r->original < DNS_ORIGINAL__N);
		assert_always(!memchr(r->kept, '/', strlen(r->kept)));
		assert_always(r->kept[0] == '\0' || r->kept[0] == '.');
		assert_always(!strchr("-.", r->device.name[0]));
		assert_always(!strchr(r->device.name, '/'));
		assert_always(r->written_len <= sizeof(r->written));
		assert_always(r->original_len < sizeof(r->original_text));
	}
	free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0]) {
	case 'd':
		check_domain((const char *)data + 1, size - 1);
		break;
	case 'r':
		check_conf((const char *)data + 1, size - 1);
		break;
	case 's':
		check_set(data + 1, size - 1);
		break;
	case 'j':
		check_record(data + 1, size - 1);
		break;
	}
	return 0;
}
