/* SPDX-License-Identifier: MIT */
/*
 * nft_near: the rules of the near side, as text for the host's program nft.
 *
 * The text consists of our own words, of numbers, of addresses that addr_format
 * wrote, and of names that brokermsg_read.c let through: letters, digits and
 * "_.-".
 */
#include "nft_near.h"

#include "nft_run.h"

/*
 * The guard of a device
 */

/* The addresses of one version; there may be none. */
static void put_own(struct text *t, const struct journal_guard *g,
		    enum ip_version version)
{
	const char *before = "\t\telements = {";

	text_put(t, "\tset own%d {\n\t\ttype %s;\n", version,
		 version == IPV4 ? "ipv4_addr" : "ipv6_addr");
	for (size_t i = 0; i < g->n_addrs; i++) {
		char addr[ADDR_TEXT_MAX];

		if (g->addrs[i].version != version)
			continue;
		text_put(t, "%s %s", before, addr_format(&g->addrs[i], addr));
		before = ",";
	}
	text_put(t, "%s\t}\n", *before == ',' ? " }\n" : "");
}

static void put_inet_guard(struct text *t, const char *name,
			   const struct journal_guard *g)
{
	text_put(t, "table inet ecssh-guard-%s {\n", name);
	put_own(t, g, IPV4);
	put_own(t, g, IPV6);
	text_put(t,
		 "\tchain in {\n"
		 "\t\ttype filter hook prerouting priority -300;\n"
		 "\t\tiifname { \"%s\", \"lo\" } accept\n"
		 "\t\tip daddr @own4 drop\n"
		 "\t\tip6 daddr @own6 drop\n"
		 "\t}\n"
		 "\tchain out {\n"
		 "\t\ttype filter hook output priority 0;\n"
		 "\t\toifname \"lo\" accept\n"
		 "\t\toifname != \"%s\" ip saddr @own4 drop\n"
		 "\t\toifname != \"%s\" ip6 saddr @own6 drop\n",
		 name, name, name);
	if (!(g->flags & BROKERMSG_GUARD_ANNOUNCED))
		text_put(t,
			 "\t\toifname \"%s\" ip saddr != @own4 drop\n"
			 "\t\toifname \"%s\" ip6 saddr != @own6 drop\n",
			 name, name);
	text_put(t, "\t}\n}\n");
}

/* Linux answers on every device for the addresses of all of them. */
static void put_arp_guard(struct text *t, const char *name,
			  const struct journal_guard *g)
{
	text_put(t, "table arp ecssh-guard-%s {\n", name);
	put_own(t, g, IPV4);
	text_put(t, "\tchain in {\n"
		    "\t\ttype filter hook input priority 0;\n"
		    "\t\tarp daddr ip @own4 drop\n"
		    "\t}\n"
		    "\tchain out {\n"
		    "\t\ttype filter hook output priority 0;\n"
		    "\t\tarp saddr ip @own4 drop\n"
		    "\t}\n}\n");
}

/*
 * Names
 */

static void put_dns(struct text *t, const char *name)
{
	text_put(t,
		 "table inet ecssh-dns-%s {\n"
		 "\tchain out {\n"
		 "\t\ttype filter hook output priority 0;\n"
		 "\t\toifname { \"lo\", \"%s\" } accept\n"
		 "\t\toifname \"ecssh*\" accept\n"
		 "\t\ttcp dport { 53, 853, 5355 } reject with tcp reset\n"
		 "\t\tudp dport { 53, 853, 5353, 5355 } reject\n"
		 "\t}\n"
		 "}\n",
		 name, name);
}

void nft_near_put(struct text *t, const struct journal_change *change,
		  bool is_undo)
{
	const char *name = change->link.name;

	if (change->kind == CHANGE_DNS) {
		nft_run_put_removal(t, "inet", "dns", name);
		if (!is_undo)
			put_dns(t, name);
		return;
	}
	nft_run_put_removal(t, "inet", "guard", name);
	nft_run_put_removal(t, "arp", "guard", name);
	if (!is_undo) {
		put_inet_guard(t, name, &change->guard);
		put_arp_guard(t, name, &change->guard);
	}
}
