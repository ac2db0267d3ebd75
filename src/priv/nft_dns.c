/* SPDX-License-Identifier: MIT */
/* nft_dns: no question about names leaves this host but by a tunnel. */
#include "nft_dns.h"

#include <errno.h>

#include "text.h"

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
