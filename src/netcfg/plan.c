/* SPDX-License-Identifier: MIT */
/*
 * plan: which subnets are to be routed into the tunnel, and what a person has
 * to be told about that.
 *
 * Theory of operation: exclusion is by subtraction.  First the networks that
 * stay local are cut out of what was asked for, and what was asked for by name
 * inside of them is put in again; then what the user excluded is cut out; then
 * subnets within others are dropped, and pieces that mean nothing but on
 * one host or link, which nobody routes.
 */
#include "plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connected.h"

/* What becomes of a connected network. */
enum fate {
	FATE_NONE,	    /* it is not concerned, but for parts of it */
	FATE_NAMED,	    /* asked for */
	FATE_LOCAL,	    /* inside something larger */
	FATE_FULL,	    /* inside everything: into the tunnel */
	FATE_LAN,	    /* inside everything, and stays local */
	FATE_LAN_TOO_LARGE, /* would stay, were it smaller */
	FATE_LAN_PUBLIC,    /* would stay, were it private */
};

static int add_note(struct plan *plan, enum plan_note_kind kind,
		    const struct err *said)
{
	struct plan_note *grown = reallocarray(plan->notes, plan->n_notes + 1,
					       sizeof(*plan->notes));

	if (!grown)
		return -ENOMEM;
	grown[plan->n_notes++] =
		(struct plan_note){.kind = kind, .said = *said};
	plan->notes = grown;
	return 0;
}

static int add_route(struct plan *plan, const struct subnet *net)
{
	struct subnet *grown = reallocarray(plan->routes, plan->n_routes + 1,
					    sizeof(*plan->routes));

	if (!grown)
		return -ENOMEM;
	grown[plan->n_routes++] = *net;
	plan->routes = grown;
	return 0;
}

static int subtract(struct plan *plan, const struct subnet *hole)
{
	int n = subnet_subtract(&plan->routes, plan->n_routes, PLAN_ROUTES_MAX,
				hole);

	if (n < 0)
		return n;
	plan->n_routes = (size_t)n;
	return 0;
}

/* ---- what becomes of a connected network ---- */

static bool is_covered(const struct subnet *nets, size_t n,
		       const struct subnet *by)
{
	for (size_t i = 0; i < n; i++)
		if (subnet_covers(&nets[i], by))
			return true;
	return false;
}

/* True if it was asked for in just this form. */
static bool is_named(const struct plan_input *in, const struct subnet *net)
{
	for (size_t i = 0; i < in->n_asked; i++)
		if (subnet_equal(&in->asked[i], net))
			return true;
	return false;
}

/* The largest that was asked for and holds the network. */
static const struct subnet *find_around(const struct plan_input *in,
					const struct subnet *net)
{
	const struct subnet *largest = NULL;

	for (size_t i = 0; i < in->n_asked; i++)
		if (subnet_covers(&in->asked[i], net) &&
		    (!largest || in->asked[i].prefix_len < largest->prefix_len))
			largest = &in->asked[i];
	return largest;
}

static bool is_private(const struct subnet *net)
{
	static const struct subnet nets[] = {
		{{IPV4, {10}}, 8},	  {{IPV4, {172, 16}}, 12},
		{{IPV4, {192, 168}}, 16}, {{IPV4, {169, 254}}, 16},
		{{IPV6, {0xfc}}, 7},
	};

	return is_covered(nets, sizeof(nets) / sizeof(nets[0]), net);
}

bool plan_is_lan(const struct subnet *net)
{
	uint8_t min = net->addr.version == IPV4 ? PLAN_LAN_PREFIX_MIN4
						: PLAN_LAN_PREFIX_MIN6;

	return is_private(net) && net->prefix_len >= min;
}

static enum fate fate_in_full(const struct plan_input *in,
			      const struct subnet *net)
{
	if (!in->allow_lan)
		return FATE_FULL;
	if (!is_private(net))
		return FATE_LAN_PUBLIC;
	return plan_is_lan(net) ? FATE_LAN : FATE_LAN_TOO_LARGE;
}

static enum fate fate_of(const struct plan_input *in, const struct subnet *net)
{
	const struct subnet *around = find_around(in, net);

	if (!around || is_covered(in->excludes, in->n_excludes, net))
		return FATE_NONE;
	if (is_named(in, net))
		return FATE_NAMED;
	return around->prefix_len == 0 ? fate_in_full(in, net) : FATE_LOCAL;
}

static bool stays_local(enum fate fate)
{
	switch (fate) {
	case FATE_NONE: /* then there is nothing to be kept out */
	case FATE_LOCAL:
	case FATE_LAN:
		return true;
	case FATE_NAMED:
	case FATE_FULL:
	case FATE_LAN_TOO_LARGE:
	case FATE_LAN_PUBLIC:
		break;
	}
	return false;
}

/* The parts of a connected network that were asked for. */
struct parts {
	const struct subnet *first; /* NULL: none */
	size_t n;
	uint64_t n_addrs; /* UINT64_MAX: very many */
};

static struct parts find_parts(const struct plan_input *in,
			       const struct subnet *net)
{
	struct parts parts = {0};

	for (size_t i = 0; i < in->n_asked; i++) {
		const struct subnet *s = &in->asked[i];

		if (s->prefix_len <= net->prefix_len || !subnet_covers(net, s))
			continue;
		unsigned bits = addr_len_bits(&s->addr) - s->prefix_len;
		uint64_t n = bits < 64 ? UINT64_C(1) << bits : UINT64_MAX;

		parts.first = parts.first ? parts.first : s;
		parts.n++;
		parts.n_addrs = n > UINT64_MAX - parts.n_addrs
					? UINT64_MAX
					: parts.n_addrs + n;
	}
	return parts;
}

/* ---- what is said about it ---- */

static int say_parts(struct plan *plan, const struct plan_input *in,
		     const struct connected *c)
{
	struct parts parts = find_parts(in, &c->net);
	char net[SUBNET_TEXT_MAX], part[SUBNET_TEXT_MAX], n[32], more[32] = "";
	struct err said;

	if (!parts.first || is_covered(in->excludes, in->n_excludes, &c->net))
		return 0;
	(void)snprintf(n, sizeof(n), "%" PRIu64, parts.n_addrs);
	if (parts.n > 1)
		(void)snprintf(more, sizeof(more), " and %zu more",
			       parts.n - 1);
	(void)err_set(&said, 0,
		      "%s address%s of %s's own network %s %s reached through "
		      "the tunnel now: %s%s",
		      parts.n_addrs == UINT64_MAX ? "many" : n,
		      parts.n_addrs == 1 ? "" : "es", c->device,
		      subnet_format(&c->net, net),
		      parts.n_addrs == 1 ? "is" : "are",
		      subnet_format(parts.first, part), more);
	return add_note(plan, PLAN_NOTE_WARNING, &said);
}

static int say_fate(struct plan *plan, const struct plan_input *in,
		    const struct connected *c, enum fate fate)
{
	char net[SUBNET_TEXT_MAX], around[SUBNET_TEXT_MAX];
	struct err said;

	subnet_format(&c->net, net);
	switch (fate) {
	case FATE_NONE:
		return 0;
	case FATE_NAMED:
		(void)err_set(&said, 0,
			      "%s's own network %s is reached through the "
			      "tunnel now",
			      c->device, net);
		return add_note(plan, PLAN_NOTE_WARNING, &said);
	case FATE_LOCAL:
		(void)err_set(&said, 0,
			      "%s is %s's own network and stays out of the "
			      "tunnel, though it is within %s: ask for %s "
			      "itself to have it in the tunnel, or exclude it "
			      "with -x %s",
			      net, c->device,
			      subnet_format(find_around(in, &c->net), around),
			      net, net);
		return add_note(plan, PLAN_NOTE_WARNING, &said);
	case FATE_FULL:
		(void)err_set(&said, 0,
			      "%s's own network %s goes into the tunnel, too",
			      c->device, net);
		return add_note(plan, PLAN_NOTE_CHOICE, &said);
	case FATE_LAN:
		(void)err_set(&said, 0,
			      "%s's own network %s stays out of the tunnel",
			      c->device, net);
		return add_note(plan, PLAN_NOTE_CHOICE, &said);
	case FATE_LAN_TOO_LARGE:
		(void)err_set(&said, 0,
			      "%s's own network %s goes into the tunnel in "
			      "spite of --allow-lan: it is larger than a /%d",
			      c->device, net,
			      c->net.addr.version == IPV4
				      ? PLAN_LAN_PREFIX_MIN4
				      : PLAN_LAN_PREFIX_MIN6);
		return add_note(plan, PLAN_NOTE_WARNING, &said);
	case FATE_LAN_PUBLIC:
		(void)err_set(&said, 0,
			      "%s's own network %s goes into the tunnel in "
			      "spite of --allow-lan: it is no private network",
			      c->device, net);
		return add_note(plan, PLAN_NOTE_WARNING, &said);
	}
	return 0;
}

/* ---- the routes ---- */

/* What holds others comes before these. */
static int compare(const void *a, const void *b)
{
	const struct subnet *x = a, *y = b;
	int r = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return r != 0 ? r : x->prefix_len - y->prefix_len;
}

/* Drop what is within others, and pieces that are left of a larger subnet and
 * mean nothing by themselves. */
static void tidy(struct plan *plan, const struct plan_input *in)
{
	struct subnet *s = plan->routes;
	size_t kept = 0;

	if (plan->n_routes > 0)
		qsort(s, plan->n_routes, sizeof(*s), compare);
	for (size_t i = 0; i < plan->n_routes; i++) {
		if (kept > 0 && subnet_covers(&s[kept - 1], &s[i]))
			continue;
		if (!subnet_is_special(&s[i]) || is_named(in, &s[i]))
			s[kept++] = s[i];
	}
	plan->n_routes = kept;
}

/* Cut a network out if it stays local, and put in what was asked for there. */
static int cut_if_local(struct plan *plan, const struct plan_input *in,
			const struct connected *c)
{
	enum fate fate = fate_of(in, &c->net);
	int r = say_fate(plan, in, c, fate);

	if (r < 0 || !stays_local(fate))
		return r;
	r = say_parts(plan, in, c);
	if (r == 0)
		r = subtract(plan, &c->net);
	for (size_t i = 0; i < in->n_asked && r == 0; i++)
		if (subnet_covers(&c->net, &in->asked[i]))
			r = add_route(plan, &in->asked[i]);
	return r;
}

/* The large ones first: what one puts in, one inside of it may cut again. */
static int cut_local(struct plan *plan, const struct plan_input *in)
{
	int r = 0;

	for (int len = 0; len <= 128; len++)
		for (size_t i = 0; i < in->connected->n && r == 0; i++)
			if (in->connected->nets[i].net.prefix_len == len)
				r = cut_if_local(plan, in,
						 &in->connected->nets[i]);
	return r;
}

/* This host has no IPv6 to be routed: that is no reason to fail. */
static int leave_ipv6(struct plan *plan)
{
	static const struct subnet all6 = {{IPV6, {0}}, 0};
	struct err said;
	int r = subtract(plan, &all6);

	(void)err_set(&said, 0,
		      "IPv6 is switched off on this host: only IPv4 goes into "
		      "the tunnel, and what is switched on later goes past it");
	return r == 0 ? add_note(plan, PLAN_NOTE_CHOICE, &said) : r;
}

static int fill(struct plan *plan, const struct plan_input *in)
{
	int r = 0;

	for (size_t i = 0; i < in->n_asked && r == 0; i++)
		r = add_route(plan, &in->asked[i]);
	if (r == 0)
		r = cut_local(plan, in);
	for (size_t i = 0; i < in->n_excludes && r == 0; i++)
		r = subtract(plan, &in->excludes[i]);
	if (r == 0 && in->is_full && !in->connected->has_ipv6)
		r = leave_ipv6(plan);
	if (r == 0)
		tidy(plan, in);
	return r;
}

int plan_make(const struct plan_input *in, struct plan *ret_plan,
	      struct err *err)
{
	struct plan plan = {0};
	int r = fill(&plan, in);

	if (r == -E2BIG)
		(void)err_set(err, r,
			      "excluding so much would take more than %d "
			      "routes; exclude larger subnets",
			      PLAN_ROUTES_MAX);
	else if (r < 0)
		(void)err_set(err, r, "out of memory");
	else if (plan.n_routes == 0)
		r = err_set(err, -EINVAL,
			    "nothing is left to be routed into the tunnel: "
			    "all that was asked for is excluded by -x, or "
			    "stays local");
	if (r < 0)
		plan_fini(&plan);
	else
		*ret_plan = plan;
	return r;
}

int plan_exclude(struct plan *plan, const struct subnet *hole, struct err *err)
{
	int r = subtract(plan, hole);

	if (r == -E2BIG)
		return err_set(err, r,
			       "excluding so much would take more than %d "
			       "routes; exclude larger subnets",
			       PLAN_ROUTES_MAX);
	return r < 0 ? err_set(err, r, "out of memory") : 0;
}

void plan_fini(struct plan *plan)
{
	free(plan->routes);
	free(plan->notes);
	*plan = (struct plan){0};
}
