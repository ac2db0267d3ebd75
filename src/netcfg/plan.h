/* SPDX-License-Identifier: MIT */
/*
 * plan: which subnets are to be routed into the tunnel, and what a person has
 * to be told about that.
 *
 * Pure: what this host's network is like is handed in, nothing is changed.
 *
 * Policy, for each network that this host is connected to:
 *   - asked for by name, whole or in part: that goes into the tunnel;
 *   - inside a larger subnet that was asked for: it stays local;
 *   - inside everything (a subnet without a prefix): into the tunnel, so that
 *     nobody who says what the local network is can have any traffic; with
 *     allow_lan private networks of no more than a /16 (IPv6: /48) stay local;
 *   - excluded by name: as the user says, and not a word about it.
 */
#ifndef ECSSH_PLAN_H
#define ECSSH_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"
#include "err.h"

struct connected_list;

enum {
	PLAN_ROUTES_MAX = 4000, /* after exclusions are cut out */
	PLAN_LAN_PREFIX_MIN4 = 16,
	PLAN_LAN_PREFIX_MIN6 = 48,
};

struct plan_input {
	const struct subnet *asked; /* borrowed, as all pointers here */
	size_t n_asked;
	const struct subnet *excludes;
	size_t n_excludes;
	const struct connected_list *connected;
	/* Everything was asked for in one word: that does not fail where this
	 * host has IPv6 switched off. */
	bool is_full;
	bool allow_lan;
};

enum plan_note_kind {
	PLAN_NOTE_CHOICE,  /* what was asked for, more exactly */
	PLAN_NOTE_WARNING, /* may not be what was meant */
};

struct plan_note {
	enum plan_note_kind kind;
	struct err said; /* one sentence */
};

struct plan {
	struct subnet *routes; /* owned */
	size_t n_routes;
	struct plan_note *notes; /* owned */
	size_t n_notes;
};

/*
 * Make the plan.  Returns 0 with a plan for plan_fini, or with err: -EINVAL:
 * nothing would be routed; -E2BIG: more than PLAN_ROUTES_MAX routes; -ENOMEM.
 */
int plan_make(const struct plan_input *in, struct plan *ret_plan,
	      struct err *err);

/*
 * Leave another subnet out: what carries the tunnel itself.  Returns 0, or
 * -E2BIG, -ENOMEM with err; there may be no routes left then.
 */
int plan_exclude(struct plan *plan, const struct subnet *hole, struct err *err);

/* True if --allow-lan may leave this network alone: it is private, and no
 * larger than a /16 (IPv6: /48). */
bool plan_is_lan(const struct subnet *net);

/* Frees what is in it; all zeros are fine. */
void plan_fini(struct plan *plan);

#endif
