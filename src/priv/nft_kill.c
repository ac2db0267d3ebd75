/* SPDX-License-Identifier: MIT */
/*
 * nft_kill: the rules of a kill switch, as text for the host's program nft.
 *
 * What leaves is seen where it is made or forwarded, so that programs are told
 * at once, and once more where all of it comes together: there no rule of
 * somebody else's can have sent it to another device in the meantime.
 */
#include "nft_kill.h"

#include <stdio.h>

#include "nft_run.h"

static const char *word_of(uint8_t version)
{
	return version == IPV4 ? "ip" : "ip6";
}

static void put_gateways(struct text *t, const struct brokermsg_kill *k)
{
	char addr[ADDR_TEXT_MAX], from[32] = "";

	if (k->from.first != 0)
		(void)snprintf(from, sizeof(from), "tcp sport %u-%u ",
			       k->from.first, k->from.last);
	for (size_t i = 0; i < k->n_gateways; i++)
		text_put(
			t,
			"\t\tmeta skuid %u %s daddr %s %stcp dport %u accept\n",
			k->uid, word_of(k->gateways[i].addr.version),
			addr_format(&k->gateways[i].addr, addr), from,
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

void nft_kill_put(struct text *t, const struct brokermsg_kill *k)
{
	nft_kill_put_removal(t, k->name);
	text_put(t,
		 "table inet ecssh-kill-%s {\n"
		 "\tchain allowed {\n"
		 "\t\toifname { \"lo\", \"ecssh*\" } accept\n",
		 k->name);
	put_gateways(t, k);
	put_kept(t, k);
	/* Addresses of this host, and those of its neighbours: what does not
	 * come from the next link carries another hop limit. */
	text_put(t, "\t\tmeta nfproto ipv4 udp sport 68 udp dport 67 accept\n"
		    "\t\tip6 daddr { fe80::/10, ff02::1:2 } udp sport 546 "
		    "udp dport 547 accept\n"
		    "\t\tip6 hoplimit 255 icmpv6 type { nd-router-solicit, "
		    "nd-neighbor-solicit, nd-neighbor-advert } accept\n"
		    "\t\tip6 daddr ff02::/16 ip6 hoplimit 1 icmpv6 type { "
		    "mld-listener-report, mld-listener-done, "
		    "mld2-listener-report } accept\n");
	put_lans(t, k);
	text_put(t,
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
}

void nft_kill_put_removal(struct text *t, const char *tunnel)
{
	nft_run_put_removal(t, "inet", "kill", tunnel);
}
