/* SPDX-License-Identifier: MIT */
/*
 * nft_near: the rules of the near side, as text for the host's program nft.
 *
 * The text consists of our own words, of numbers, of addresses that addr_format
 * wrote, and of names that brokermsg_read.c let through: letters, digits and "_.-".
 */
#include "nft_near.h"

#include <errno.h>

#include "text.h"

static int finish(const struct text *t)
{
	return t->len >= t->cap - 1 ? -E2BIG : (int)t->len;
}

/* "add" makes "delete" succeed where there is nothing. */
static void put_removal(struct text *t, const char *family, const char *kind,
			const char *name)
{
	text_put(t,
		 "add table %s ecssh-%s-%s\n"
		 "delete table %s ecssh-%s-%s\n",
		 family, kind, name, family, kind, name);
}

static const char *word_of(uint8_t version)
{
	return version == IPV4 ? "ip" : "ip6";
}

/*
 * The guard of a device
 */

/* The addresses of one version; there may be none. */
static void put_own(struct text *t, const struct broker_guard *g,
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

static void put_inet_guard(struct text *t, const struct broker_guard *g)
{
	const char *name = g->link.name;

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
static void put_arp_guard(struct text *t, const struct broker_guard *g)
{
	text_put(t, "table arp ecssh-guard-%s {\n", g->link.name);
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

int nft_near_build_guard(const struct broker_guard *g, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};

	put_removal(&t, "inet", "guard", g->link.name);
	put_removal(&t, "arp", "guard", g->link.name);
	put_inet_guard(&t, g);
	put_arp_guard(&t, g);
	return finish(&t);
}

int nft_near_build_guard_removal(const char *device, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};

	put_removal(&t, "inet", "guard", device);
	put_removal(&t, "arp", "guard", device);
	return finish(&t);
}

/*
 * The kill switch
 *
 * What leaves is seen where it is made or forwarded, so that programs are told
 * at once, and once more where all of it comes together: there no rule of
 * somebody else's can have sent it to another device in the meantime.
 */

static void put_gateways(struct text *t, const struct brokermsg_kill *k)
{
	char addr[ADDR_TEXT_MAX];

	for (size_t i = 0; i < k->n_gateways; i++)
		text_put(t,
			 "\t\tmeta skuid %u %s daddr %s tcp dport %u accept\n",
			 k->uid, word_of(k->gateways[i].addr.version),
			 addr_format(&k->gateways[i].addr, addr),
			 k->gateways[i].port);
}

/* The one of the connection by which somebody works here. */
static void put_kept(struct text *t, const struct brokermsg_kill *k)
{
	const struct endpoint *here = &k->kept[0], *there = &k->kept[1];
	char near_text[ADDR_TEXT_MAX], far_text[ADDR_TEXT_MAX];
	const char *word = word_of(here->addr.version);

	if (here->addr.version == 0)
		return;
	text_put(t,
		 "\t\t%s saddr %s %s daddr %s tcp sport %u tcp dport %u "
		 "accept\n",
		 word, addr_format(&here->addr, near_text), word,
		 addr_format(&there->addr, far_text), here->port, there->port);
}

static void put_lans(struct text *t, const struct brokermsg_kill *k)
{
	char net[SUBNET_TEXT_MAX];

	/* Who may print in the office may not tell it what is looked up. */
	if (k->n_lans > 0)
		text_put(t, "\t\tmeta l4proto { tcp, udp } "
			    "th dport { 53, 853, 5353, 5355 } return\n");
	for (size_t i = 0; i < k->n_lans; i++)
		text_put(t, "\t\t%s daddr %s accept\n",
			 word_of(k->lans[i].addr.version),
			 subnet_format(&k->lans[i], net));
}

int nft_near_build_kill(const struct brokermsg_kill *k, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};

	put_removal(&t, "inet", "kill", k->name);
	text_put(&t,
		 "table inet ecssh-kill-%s {\n"
		 "\tchain allowed {\n"
		 "\t\toifname { \"lo\", \"ecssh*\" } accept\n",
		 k->name);
	put_gateways(&t, k);
	put_kept(&t, k);
	/* Addresses of this host, and those of its neighbours: what does not
	 * come from the next link carries another hop limit. */
	text_put(&t, "\t\tmeta nfproto ipv4 udp sport 68 udp dport 67 accept\n"
		     "\t\tip6 daddr { fe80::/10, ff02::1:2 } udp sport 546 "
		     "udp dport 547 accept\n"
		     "\t\tip6 hoplimit 255 icmpv6 type { nd-router-solicit, "
		     "nd-neighbor-solicit, nd-neighbor-advert } accept\n"
		     "\t\tip6 daddr ff02::/16 ip6 hoplimit 1 icmpv6 type { "
		     "mld-listener-report, mld-listener-done, "
		     "mld2-listener-report } accept\n");
	put_lans(&t, k);
	text_put(&t,
		 "\t}\n"
		 "\tchain out {\n"
		 "\t\ttype filter hook output priority 0; policy drop;\n"
		 "\t\tjump allowed\n"
		 "\t\treject with icmpx type admin-prohibited\n"
		 "\t}\n"
		 "\tchain through {\n"
		 "\t\ttype filter hook forward priority 0; policy drop;\n"
		 "\t\tiifname \"ecssh*\" accept\n"
		 "\t\tjump allowed\n"
		 "\t}\n"
		 "\tchain last {\n"
		 "\t\ttype filter hook postrouting priority 0; policy drop;\n"
		 "\t\tiifname \"ecssh*\" accept\n"
		 "\t\tjump allowed\n"
		 "\t}\n"
		 "}\n");
	return finish(&t);
}

int nft_near_build_kill_removal(const char *tunnel, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};

	put_removal(&t, "inet", "kill", tunnel);
	return finish(&t);
}
