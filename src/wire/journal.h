/* SPDX-License-Identifier: MIT */
/*
 * journal: what a broker changes of this host, so that it can be taken back.
 *
 * Only what outlives the tunnel's device is described here: rules of policy
 * routing.
 */
#ifndef ECSSH_JOURNAL_H
#define ECSSH_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"

enum journal_rule_kind {
	JOURNAL_RULE_TUNNEL, /* everything looks up the tunnels' table */
	JOURNAL_RULE_EXEMPT, /* one connection looks up the main table */
	JOURNAL_RULE_MARK,   /* likewise packets with our mark */
	JOURNAL_RULE__N,
};

/* A rule of policy routing.  What is 0 says nothing. */
struct journal_rule {
	enum journal_rule_kind kind;
	uint8_t version; /* enum ip_version */
	uint32_t priority;
	/* Of a connection: */
	struct endpoint local, remote;
	bool has_uid;
	uint32_t uid;
};

#endif
