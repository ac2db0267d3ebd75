/* SPDX-License-Identifier: MIT */
/* resolv_text: the text of resolv.conf(5), ours and others'. */
#include "resolv_text.h"

#include <assert.h>
#include <string.h>

#include "text.h"

/* Our longest: three servers, sixteen domains of 253, and three lines more. */
static_assert(BROKERMSG_DNS_DOMAINS_MAX * BROKERMSG_DOMAIN_MAX +
			      BROKERMSG_DNS_SERVERS_MAX * 64 + 512 <
		      RESOLV_TEXT_MAX,
	      "");

size_t resolv_text_build(const struct brokermsg_dns_set *dns,
			 const char *device, char out[RESOLV_TEXT_MAX])
{
	struct text t = {.out = out, .cap = RESOLV_TEXT_MAX};
	char shown[ADDR_TEXT_MAX];

	text_put(&t,
		 "# Made by ecssh for its tunnel %s, at whose end what was "
		 "here comes back.\n",
		 device);
	for (uint32_t i = 0; i < dns->n_servers; i++) {
		const struct brokermsg_dns_server *s = &dns->servers[i];
		struct ip_addr addr =
			addr_make((enum ip_version)s->version, s->bytes);

		text_put(&t, "nameserver %s\n", addr_format(&addr, shown));
	}
	for (uint32_t i = 0; i < dns->n_domains; i++)
		text_put(&t, "%s%s", i == 0 ? "search " : " ", dns->domains[i]);
	if (dns->n_domains > 0)
		text_put(&t, "\n");
	return t.len;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line, which moves on.  Returns its length. */
static size_t next_word(const char **line, const char *end,
			const char **ret_word)
{
	const char *p = *line;

	while (p < end && is_blank(*p))
		p++;
	*ret_word = p;
	while (p < end && !is_blank(*p))
		p++;
	*line = p;
	return (size_t)(p - *ret_word);
}

/* Returns 0 or -EINVAL: the line names no server. */
static int line_server(const char *line, const char *end,
		       struct ip_addr *ret_addr)
{
	static const char keyword[] = "nameserver";
	char copy[ADDR_TEXT_MAX];
	const char *word;
	size_t len = next_word(&line, end, &word);

	if (len != sizeof(keyword) - 1 || memcmp(word, keyword, len) != 0)
		return -1;
	len = next_word(&line, end, &word);
	const char *scope = memchr(word, '%', len);
	if (scope)
		len = (size_t)(scope - word);
	if (len == 0 || len >= sizeof(copy))
		return -1;
	memcpy(copy, word, len);
	copy[len] = '\0';
	return addr_parse(copy, ret_addr);
}

size_t resolv_text_servers(const char *text, size_t len,
			   struct ip_addr *ret_servers, size_t max)
{
	const char *end = text + len;
	size_t n = 0;

	while (text < end && n < max) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		if (line_server(text, stop, &ret_servers[n]) == 0)
			n++;
		text = stop < end ? stop + 1 : end;
	}
	return n;
}

bool resolv_text_is_resolved(const char *text, size_t len)
{
	static const uint8_t stubs[][4] = {{127, 0, 0, 53}, {127, 0, 0, 54}};
	struct ip_addr servers[8];
	size_t n = resolv_text_servers(text, len, servers, 8);

	for (size_t i = 0; i < n; i++)
		if (servers[i].version != IPV4 ||
		    (memcmp(servers[i].bytes, stubs[0], 4) != 0 &&
		     memcmp(servers[i].bytes, stubs[1], 4) != 0))
			return false;
	return n > 0;
}

bool resolv_text_is_resolvconf(const char *text, size_t len)
{
	static const char words[] = "enerated by resolvconf";
	const char *end = memchr(text, '\n', len);

	return end && text[0] == '#' &&
	       memmem(text, (size_t)(end - text), words, sizeof(words) - 1);
}
