/* SPDX-License-Identifier: MIT */
/*
 * nft: the rules of the far side, as text for the host's program nft.
 *
 * Theory of operation
 *   The text consists of our own words, of addresses that addr_format wrote,
 *   and of the name of a device of ours, which brokermsg_read.c let through:
 *   letters, digits and "_.-".
 *
 *   Packets meet the chains in this order: `source` drops what comes out of
 *   the device with a source that is not behind it, whoever it is for; `pass`
 *   decides what is forwarded from and to the device; `translate` comes last.
 *   A verdict "accept" is not final: tables of others may still drop.
 */
#include "nft.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "text.h"

static int finish(const struct text *t)
{
	return t->len >= t->cap - 1 ? -E2BIG : (int)t->len;
}

/* An interval set must not name an address twice. */
static bool is_redundant(const struct nft_rules *r, size_t i)
{
	for (size_t k = 0; k < r->n; k++)
		if (k != i && subnet_covers(&r->nets[k], &r->nets[i]) &&
		    (r->nets[k].prefix_len < r->nets[i].prefix_len || k < i))
			return true;
	return false;
}

static bool has_family(const struct nft_rules *r, enum ip_version version)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->nets[i].addr.version == version)
			return true;
	return false;
}

static void put_set(struct text *t, const struct nft_rules *r,
		    enum ip_version version)
{
	const char *comma = "";

	text_put(t,
		 "\tset near%d {\n\t\ttype %s; flags interval;\n\t\telements = "
		 "{",
		 version, version == IPV4 ? "ipv4_addr" : "ipv6_addr");
	for (size_t i = 0; i < r->n; i++) {
		char net[SUBNET_TEXT_MAX];

		if (r->nets[i].addr.version != version || is_redundant(r, i))
			continue;
		text_put(t, "%s %s", comma, subnet_format(&r->nets[i], net));
		comma = ",";
	}
	text_put(t, " }\n\t}\n");
}

static void put_source_chain(struct text *t, const struct nft_rules *r)
{
	text_put(t, "\tchain source {\n"
		    "\t\ttype filter hook prerouting priority -300;\n");
	text_put(t,
		 has_family(r, IPV4)
			 ? "\t\tiifname \"%s\" ip saddr != @near4 drop\n"
			 : "\t\tiifname \"%s\" meta nfproto ipv4 drop\n",
		 r->name);
	text_put(t,
		 has_family(r, IPV6)
			 ? "\t\tiifname \"%s\" ip6 saddr != @near6 drop\n"
			 : "\t\tiifname \"%s\" meta nfproto ipv6 drop\n",
		 r->name);
	text_put(t, "\t}\n");
}

static void put_pass_chains(struct text *t, const struct nft_rules *r)
{
	const char *established = r->flags & BROKERMSG_FORWARD_INBOUND
					  ? ""
					  : "ct state established,related ";

	text_put(t,
		 "\tchain pass {\n"
		 "\t\ttype filter hook forward priority 0;\n"
		 "\t\tiifname \"%s\" oifname \"%s\" drop\n"
		 "\t\tiifname \"%s\" jump from_near\n"
		 "\t\toifname \"%s\" jump to_near\n"
		 "\t}\n",
		 r->name, r->name, r->name, r->name);
	/* What connection tracking does not know is not translated either:
	 * it would leave with the near end's own address. */
	text_put(t, "\tchain from_near {\n"
		    "\t\tct state invalid drop\n"
		    "\t\ttcp flags & (syn|rst) == syn "
		    "tcp option maxseg size set rt mtu\n"
		    "\t\taccept\n"
		    "\t}\n"
		    "\tchain to_near {\n"
		    "\t\tct state invalid drop\n"
		    "\t\ttcp flags & (syn|rst) == syn "
		    "tcp option maxseg size set rt mtu\n");
	for (int v = IPV4; v <= IPV6; v += IPV6 - IPV4)
		if (has_family(r, (enum ip_version)v))
			text_put(t, "\t\t%s daddr @near%d %saccept\n",
				 v == IPV4 ? "ip" : "ip6", v, established);
	text_put(t, "\t\tdrop\n\t}\n");
}

static void put_nat_chain(struct text *t, const struct nft_rules *r)
{
	text_put(t, "\tchain translate {\n"
		    "\t\ttype nat hook postrouting priority 100;\n");
	for (int v = IPV4; v <= IPV6; v += IPV6 - IPV4)
		if (has_family(r, (enum ip_version)v))
			text_put(t,
				 "\t\tiifname \"%s\" oifname != \"%s\" "
				 "%s saddr @near%d masquerade fully-random\n",
				 r->name, r->name, v == IPV4 ? "ip" : "ip6", v);
	text_put(t, "\t}\n");
}

/* A name that needs no care in a string of nft's. */
static bool is_plain(const char *name)
{
	return name[0] != '\0' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-@:") ==
		       strlen(name);
}

/* The devices whose settings the last broker has to restore, as a set that
 * nothing refers to. */
static void put_remembered(struct text *t, const struct broker_forward *f,
			   const char *set, uint8_t flag)
{
	const char *before = "\t\telements = {";

	text_put(t, "\tset %s {\n\t\ttype ifname;\n", set);
	for (uint32_t i = 0; f && i < f->n_ifs; i++) {
		if (!(f->ifs[i].flags & flag) || !is_plain(f->ifs[i].name))
			continue;
		text_put(t, "%s \"%s\"", before, f->ifs[i].name);
		before = ",";
	}
	text_put(t, "%s\t}\n", *before == ',' ? " }\n" : "");
}

/* A host that forwards for our sake only is no router for others. */
static void put_guard(struct text *t, const struct nft_rules *r, int version)
{
	text_put(t, "table inet ecssh-guard%d-%s {\n", version, r->name);
	put_remembered(t, r->forward, "forwards",
		       version == IPV4 ? BROKER_IF_FORWARDS_4
				       : BROKER_IF_FORWARDS_6);
	if (version == IPV6)
		put_remembered(t, r->forward, "accepts_ra",
			       BROKER_IF_ACCEPTS_RA);
	text_put(t,
		 "\tchain guard {\n"
		 "\t\ttype filter hook forward priority -1;\n"
		 "\t\tmeta nfproto ipv%d iifname != \"ecssh*\" "
		 "oifname != \"ecssh*\" iifname != \"%s\" oifname != \"%s\" "
		 "drop\n"
		 "\t}\n}\n",
		 version, r->name, r->name);
}

/* "add" makes "delete" succeed where there is nothing. */
static void put_removal(struct text *t, const char *name)
{
	static const char *const kinds[] = {"", "guard4-", "guard6-"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		text_put(t,
			 "add table inet ecssh-%s%s\n"
			 "delete table inet ecssh-%s%s\n",
			 kinds[i], name, kinds[i], name);
}

int nft_build(const struct nft_rules *r, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};

	put_removal(&t, r->name);
	text_put(&t, "table inet ecssh-%s {\n", r->name);
	if (has_family(r, IPV4))
		put_set(&t, r, IPV4);
	if (has_family(r, IPV6))
		put_set(&t, r, IPV6);
	put_source_chain(&t, r);
	put_pass_chains(&t, r);
	if (r->flags & BROKERMSG_FORWARD_NAT)
		put_nat_chain(&t, r);
	text_put(&t, "}\n");
	if (r->guarded & BROKER_FAMILY_4)
		put_guard(&t, r, IPV4);
	if (r->guarded & BROKER_FAMILY_6)
		put_guard(&t, r, IPV6);
	return finish(&t);
}

int nft_build_removal(const char *name, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};

	put_removal(&t, name);
	return finish(&t);
}
