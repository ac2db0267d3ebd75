/* SPDX-License-Identifier: MIT */
/*
 * rung: which way of carrying packets a server and this host allow.
 *
 * Pure: facts in, the best rung of the ladder out.  `up` takes what this says,
 * and `doctor` tells what `up` will take, so there is one function for both.
 */
#ifndef ECSSH_RUNG_H
#define ECSSH_RUNG_H

#include <stdbool.h>
#include <stddef.h>

/* Best first. */
enum rung {
	RUNG_HELPER_PACKETS, /* the helper, with a TUN device there */
	RUNG_HELPER,	     /* the helper, with ordinary sockets */
	RUNG_TUN,	     /* sshd's own TUN device, tun@openssh.com */
	RUNG_DIRECT,	     /* channels that sshd connects, direct-tcpip */
	RUNG_SOCKS,	     /* no TUN device here: the SOCKS door only */
	RUNG_NONE,
	RUNG__N
};

/* What the user asks for by --mode. */
enum rung_mode {
	RUNG_MODE_AUTO,
	RUNG_MODE_HELPER, /* with or without a TUN device there */
	RUNG_MODE_TUN,
	RUNG_MODE_DIRECT,
	RUNG_MODE_SOCKS,
	RUNG_MODE__N
};

/* What the rungs stand on. */
enum rung_fact {
	RUNG_SSH,	    /* ssh reaches the server and logs in */
	RUNG_NEAR_TUN,	    /* a TUN device can be made on this host */
	RUNG_EXEC,	    /* the server runs commands for the account */
	RUNG_HELPER_FITS,   /* the helper can be stored, and starts */
	RUNG_FAR_PRIVILEGE, /* it may make a TUN device there, or has one */
	RUNG_FAR_TUN,	    /* /dev/net/tun is there */
	RUNG_FAR_NAT,	    /* nft is there, or NAT is not wanted */
	RUNG_MUX,	    /* our ssh gives us channels: OpenSSH 7.4 */
	RUNG_FORWARDING,    /* the server opens direct-tcpip */
	RUNG_TUNNEL,	    /* the server opens tun@openssh.com */
	RUNG_FACT__N
};

/* What is not known is hoped for: the ladder tries it, and notes a "no". */
enum rung_state { RUNG_UNKNOWN, RUNG_NO, RUNG_YES, RUNG_STATE__N };

/* Zeroed: nothing is known. */
struct rung_facts {
	enum rung_state state[RUNG_FACT__N];
	/* A sentence that tells more than rung_fact_why of a fact that is not
	 * there; NULL: none.  Borrowed. */
	const char *why[RUNG_FACT__N];
};

enum {
	RUNG_SENTENCES_MAX = RUNG_FACT__N, /* of any list here */
};

/* "helper+packets", "helper", "tun", "direct", "socks", "none". */
const char *rung_name(enum rung rung);

/* "auto", "helper", "tun", "direct", "socks". */
const char *rung_mode_name(enum rung_mode mode);

/* Returns 0, or -EINVAL for another word. */
int rung_mode_parse(const char *text, enum rung_mode *ret_mode);

/* True unless a fact that the rung stands on is known not to be there. */
bool rung_is_possible(enum rung rung, const struct rung_facts *facts);

/* The best rung that is possible; RUNG_NONE if none is. */
enum rung rung_choose(const struct rung_facts *facts);

/* The same among the rungs of a mode.  In RUNG_MODE_SOCKS no TUN device of this
 * host is asked for, and the answer is RUNG_SOCKS or RUNG_NONE. */
enum rung rung_choose_in_mode(const struct rung_facts *facts,
			      enum rung_mode mode);

/*
 * What the far side allows, whatever can be done on this one: never RUNG_SOCKS.
 * It is what stands behind the SOCKS door of RUNG_SOCKS, if it is not RUNG_TUN.
 */
enum rung rung_choose_far(const struct rung_facts *facts);

/* Why a fact that is not there is missed: facts->why, or a sentence for all. */
const char *rung_fact_why(const struct rung_facts *facts, enum rung_fact fact);

/*
 * Why it is not a higher rung: one sentence for each fact that is known to be
 * missing and that a higher rung stands on.  Returns their number.
 */
size_t rung_why_not_higher(const struct rung_facts *facts, enum rung rung,
			   const char *ret_why[RUNG_SENTENCES_MAX]);

/*
 * What cannot be carried on a rung, for people: "UDP other than DNS".  Returns
 * the number of them; 0 if everything is carried.  Static strings.
 */
size_t rung_not_carried(const struct rung_facts *facts, enum rung rung,
			const char *ret_what[RUNG_SENTENCES_MAX]);

#endif
