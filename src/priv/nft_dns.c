/* SPDX-License-Identifier: MIT */
/* nft_dns: no question about names leaves this host but by a tunnel. */
#include "nft_dns.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "nft_run.h"
#include "text.h"

static const char prefix[] = "table inet ecssh-dns-";

/* "add" makes "delete" succeed where there is nothing. */
static void put_removal(struct text *t, const char *device)
{
	text_put(t,
		 "add table inet ecssh-dns-%s\n"
		 "delete table inet ecssh-dns-%s\n",
		 device, device);
}

static int finish(const struct text *t)
{
	return t->len >= t->cap ? -E2BIG : (int)t->len;
}

int nft_dns_build_removal(const char *device, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};

	put_removal(&t, device);
	return finish(&t);
}

int nft_dns_build(const char *device, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};

	put_removal(&t, device);
	text_put(&t,
		 "table inet ecssh-dns-%s {\n"
		 "\tchain out {\n"
		 "\t\ttype filter hook output priority 0;\n"
		 "\t\toifname { \"lo\", \"%s\" } accept\n"
		 "\t\toifname \"ecssh*\" accept\n"
		 "\t\ttcp dport { 53, 853, 5355 } reject with tcp reset\n"
		 "\t\tudp dport { 53, 853, 5353, 5355 } reject\n"
		 "\t}\n"
		 "}\n",
		 device, device);
	return finish(&t);
}

bool nft_dns_find(const char *list, size_t *at,
		  char ret_device[BROKERMSG_NAME_MAX])
{
	const char *found;

	while ((found = strstr(list + *at, prefix))) {
		const char *name = found + sizeof(prefix) - 1;
		size_t len = strcspn(name, " \n");

		*at = (size_t)(name + len - list);
		if (len == 0 || len >= BROKERMSG_NAME_MAX)
			continue; /* not one of ours */
		memcpy(ret_device, name, len);
		ret_device[len] = '\0';
		return true;
	}
	return false;
}

static int take_away(const char *device, struct err *said)
{
	char text[NFT_DNS_TEXT_MAX];
	int r = nft_dns_build_removal(device, text, sizeof(text));

	if (r >= 0)
		r = nft_run(text, NULL, 0, said);
	return r < 0 ? r
		     : err_set(said, 0,
			       "rules that kept questions about names in the "
			       "tunnel %s",
			       device);
}

int nft_dns_cleanup(struct err *said)
{
	char list[16 * 1024], device[BROKERMSG_NAME_MAX];
	size_t at = 0;
	int r = nft_run("list tables inet\n", list, sizeof(list), said);

	if (r < 0)
		return r;
	while (nft_dns_find(list, &at, device))
		if (if_nametoindex(device) == 0)
			return take_away(device, said);
	return err_set(said, -ENOENT, "there are no such rules");
}
