/* SPDX-License-Identifier: MIT */
/*
 * keep: what points this host's resolver at the tunnel stays in place.
 *
 * DHCP clients and network managers write resolv.conf at any renewal and on
 * waking up.  What they write is kept for the end, and ours takes its place
 * again; not without end, for somebody else may want the same.
 */
#ifndef ECSSH_KEEP_H
#define ECSSH_KEEP_H

#include "clock.h"
#include "conf_watch.h"
#include "dnshost.h"

enum {
	KEEP_RENEWED_MAX = 8, /* times in KEEP_PERIOD_US */
	/* Whoever writes a file has written it by then, as a rule. */
	KEEP_SETTLE_US = 100000,
	KEEP_PERIOD_US = 60000000,
};

struct keep {
	struct conf_watch watch;
	mono_us_t due_us;   /* look at it then; 0: nothing is due */
	mono_us_t began_us; /* of the period */
	unsigned n_renewed; /* in it */
};

#define KEEP_NONE                    \
	{                            \
		.watch = {.fd = -1 } \
	}

/* What is in force of d was set just now.  Does nothing for ways that do not
 * need it. */
void keep_start(struct keep *k, struct dnshost *d);
void keep_stop(struct keep *k);

/* How long poll(2) may wait for the watch's descriptor; -1: no limit. */
int keep_timeout_ms(const struct keep *k, mono_us_t now_us);

/* Take in what has happened, and do what is due. */
void keep_turn(struct keep *k, struct dnshost *d, mono_us_t now_us);

#endif
