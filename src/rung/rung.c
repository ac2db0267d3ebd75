/* SPDX-License-Identifier: MIT */
/* rung: which way of carrying packets a server and this host allow. */
#include "rung.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#define BIT(fact) (UINT32_C(1) << (fact))

enum {
	NEEDS_HELPER = BIT(RUNG_SSH) | BIT(RUNG_EXEC) | BIT(RUNG_HELPER_FITS),
	NEEDS_DIRECT = BIT(RUNG_SSH) | BIT(RUNG_MUX) | BIT(RUNG_FORWARDING),
	NEEDS_TUN = BIT(RUNG_SSH) | BIT(RUNG_MUX) | BIT(RUNG_TUNNEL),
	NEEDS_PACKETS = NEEDS_HELPER | BIT(RUNG_FAR_PRIVILEGE) |
			BIT(RUNG_FAR_TUN) | BIT(RUNG_FAR_NAT),
};

enum { NOT_CARRIED_MAX = 4 };

/* A rung: one of its two sets of facts has to be there. */
static const struct {
	const char *name;
	uint32_t needs, or_needs; /* or_needs 0: no choice */
	const char *not_carried[NOT_CARRIED_MAX];
} rungs[] = {
	[RUNG_HELPER_PACKETS] = {"helper+packets",
				 NEEDS_PACKETS | BIT(RUNG_NEAR_TUN),
				 0,
				 {NULL}},
	[RUNG_HELPER] = {"helper",
			 NEEDS_HELPER | BIT(RUNG_NEAR_TUN),
			 0,
			 {"protocols other than TCP, UDP and ping",
			  "connections from the far network to this host"}},
	[RUNG_TUN] = {"tun", NEEDS_TUN | BIT(RUNG_NEAR_TUN), 0, {NULL}},
	[RUNG_DIRECT] = {"direct",
			 NEEDS_DIRECT | BIT(RUNG_NEAR_TUN),
			 0,
			 {"UDP other than DNS", "ping",
			  "protocols other than TCP and UDP",
			  "connections from the far network to this host"}},
	[RUNG_SOCKS] = {"socks",
			NEEDS_HELPER,
			NEEDS_DIRECT,
			{"programs that do not use the SOCKS door", "ping",
			 "protocols other than TCP and UDP",
			 "connections from the far network to this host"}},
	[RUNG_NONE] = {"none", 0, 0, {"anything"}},
};
static_assert(sizeof(rungs) / sizeof(rungs[0]) == RUNG__N, "one each");

static const char *const why_not[] = {
	[RUNG_SSH] = "ssh does not reach the server or cannot log in",
	[RUNG_NEAR_TUN] = "no TUN device can be made on this host",
	[RUNG_EXEC] = "the server runs no commands for this account",
	[RUNG_HELPER_FITS] = "the helper cannot be run on the server",
	[RUNG_FAR_PRIVILEGE] = "the account may not make a TUN device there",
	[RUNG_FAR_TUN] = "the server has no /dev/net/tun",
	[RUNG_FAR_NAT] = "the server has no nft, which NAT needs",
	[RUNG_MUX] = "ssh on this host is not OpenSSH 7.4 or later",
	[RUNG_FORWARDING] = "the server does not permit TCP forwarding",
	[RUNG_TUNNEL] = "the server gives no TUN device (PermitTunnel)",
};
static_assert(sizeof(why_not) / sizeof(why_not[0]) == RUNG_FACT__N, "one each");

static const char *const mode_names[] = {
	[RUNG_MODE_AUTO] = "auto",   [RUNG_MODE_HELPER] = "helper",
	[RUNG_MODE_TUN] = "tun",     [RUNG_MODE_DIRECT] = "direct",
	[RUNG_MODE_SOCKS] = "socks",
};
static_assert(sizeof(mode_names) / sizeof(mode_names[0]) == RUNG_MODE__N,
	      "one each");

const char *rung_name(enum rung rung)
{
	return rungs[rung].name;
}

const char *rung_mode_name(enum rung_mode mode)
{
	return mode_names[mode];
}

int rung_mode_parse(const char *text, enum rung_mode *ret_mode)
{
	for (unsigned i = 0; i < RUNG_MODE__N; i++) {
		if (strcmp(text, mode_names[i]) == 0) {
			*ret_mode = (enum rung_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- the choice ---- */

/* The facts that are known not to be there. */
static uint32_t missing(const struct rung_facts *facts)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < RUNG_FACT__N; i++)
		if (facts->state[i] == RUNG_NO)
			bits |= BIT(i);
	return bits;
}

static bool is_possible_without(enum rung rung, uint32_t lacking)
{
	return (rungs[rung].needs & lacking) == 0 ||
	       (rungs[rung].or_needs != 0 &&
		(rungs[rung].or_needs & lacking) == 0);
}

bool rung_is_possible(enum rung rung, const struct rung_facts *facts)
{
	return is_possible_without(rung, missing(facts));
}

static enum rung best(enum rung from, enum rung to, uint32_t lacking)
{
	for (unsigned i = from; i <= to; i++)
		if (is_possible_without((enum rung)i, lacking))
			return (enum rung)i;
	return RUNG_NONE;
}

enum rung rung_choose(const struct rung_facts *facts)
{
	return best(RUNG_HELPER_PACKETS, RUNG_SOCKS, missing(facts));
}

enum rung rung_choose_in_mode(const struct rung_facts *facts,
			      enum rung_mode mode)
{
	uint32_t lacking = missing(facts);

	switch (mode) {
	case RUNG_MODE_AUTO:
		return best(RUNG_HELPER_PACKETS, RUNG_SOCKS, lacking);
	case RUNG_MODE_HELPER:
		return best(RUNG_HELPER_PACKETS, RUNG_HELPER, lacking);
	case RUNG_MODE_TUN:
		return best(RUNG_TUN, RUNG_TUN, lacking);
	case RUNG_MODE_DIRECT:
		return best(RUNG_DIRECT, RUNG_DIRECT, lacking);
	case RUNG_MODE_SOCKS:
		return best(RUNG_SOCKS, RUNG_SOCKS, lacking);
	case RUNG_MODE__N:
		break;
	}
	return RUNG_NONE;
}

enum rung rung_choose_far(const struct rung_facts *facts)
{
	return best(RUNG_HELPER_PACKETS, RUNG_DIRECT,
		    missing(facts) & ~BIT(RUNG_NEAR_TUN));
}

/* ---- sentences ---- */

const char *rung_fact_why(const struct rung_facts *facts, enum rung_fact fact)
{
	return facts->why[fact] ? facts->why[fact] : why_not[fact];
}

size_t rung_why_not_higher(const struct rung_facts *facts, enum rung rung,
			   const char *ret_why[RUNG_SENTENCES_MAX])
{
	uint32_t wanted = 0, lacking = missing(facts);
	size_t n = 0;

	for (unsigned i = 0; i < (unsigned)rung; i++)
		wanted |= rungs[i].needs | rungs[i].or_needs;
	/* Without a login nothing else was found out. */
	if (lacking & BIT(RUNG_SSH))
		wanted = BIT(RUNG_SSH);
	for (unsigned i = 0; i < RUNG_FACT__N; i++)
		if (wanted & lacking & BIT(i))
			ret_why[n++] = rung_fact_why(facts, (enum rung_fact)i);
	return n;
}

size_t rung_not_carried(const struct rung_facts *facts, enum rung rung,
			const char *ret_what[RUNG_SENTENCES_MAX])
{
	size_t n = 0;

	while (n < NOT_CARRIED_MAX && rungs[rung].not_carried[n]) {
		ret_what[n] = rungs[rung].not_carried[n];
		n++;
	}
	/* Behind the SOCKS door is the helper, or only what sshd connects. */
	if (rung == RUNG_SOCKS && (missing(facts) & NEEDS_HELPER))
		ret_what[n++] = "UDP other than DNS";
	return n;
}
