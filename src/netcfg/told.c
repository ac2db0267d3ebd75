/* SPDX-License-Identifier: MIT */
/* told: which of the networks that the gateway says it reaches are routed into
 * the tunnel. */
#include "told.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "connected.h"

enum { LISTED_MAX = 6 };

enum verdict {
	TAKEN,
	TOO_LARGE,
	SPECIAL,
	OWN,	 /* overlaps a network of this host */
	CARRIER, /* holds what carries the tunnel */
	VERDICT__N,
};

static const char *const reasons[] = {
	[TAKEN] = "",
	[TOO_LARGE] = "too large",
	[SPECIAL] = "not for routing",
	[OWN] = "this host is in it",
	[CARRIER] = "the tunnel itself goes there",
};
static_assert(sizeof(reasons) / sizeof(reasons[0]) == VERDICT__N, "");

static enum verdict judge(const struct told_input *in, const struct subnet *net)
{
	uint8_t min =
		net->addr.version == IPV4 ? TOLD_PREFIX_MIN4 : TOLD_PREFIX_MIN6;

	if (net->prefix_len < min)
		return TOO_LARGE;
	if (addr_is_loopback(&net->addr) || addr_is_link_local(&net->addr) ||
	    addr_is_multicast(&net->addr))
		return SPECIAL;
	for (size_t i = 0; i < in->connected->n; i++)
		if (subnet_overlaps(&in->connected->nets[i].net, net))
			return OWN;
	for (size_t i = 0; i < in->n_peers; i++)
		if (subnet_contains(net, &in->peers[i]))
			return CARRIER;
	return TAKEN;
}

/* A list that is being written, cut off if there is much. */
struct list_text {
	struct err *out;
	size_t at, n;
};

static void list(struct list_text *l, const struct subnet *net,
		 const char *reason)
{
	char shown[SUBNET_TEXT_MAX];
	size_t left = sizeof(l->out->text) - l->at;

	if (l->n++ >= LISTED_MAX)
		return;
	int n = snprintf(l->out->text + l->at, left, "%s%s%s%s%s",
			 l->n > 1 ? ", " : "", subnet_format(net, shown),
			 reason[0] ? " (" : "", reason, reason[0] ? ")" : "");
	if (n > 0 && (size_t)n < left)
		l->at += (size_t)n;
}

static void list_end(struct list_text *l, size_t n_more)
{
	size_t n = n_more + (l->n > LISTED_MAX ? l->n - LISTED_MAX : 0);

	if (n > 0)
		(void)snprintf(l->out->text + l->at,
			       sizeof(l->out->text) - l->at, " and %zu more",
			       n);
}

void told_choose(const struct told_input *in, struct told *ret_told)
{
	struct list_text reaches = {.out = &ret_told->reaches};
	struct list_text refused = {.out = &ret_told->refused};

	memset(ret_told, 0, sizeof(*ret_told));
	for (size_t i = 0; i < in->n && i < TOLD_MAX; i++) {
		enum verdict verdict = judge(in, &in->nets[i]);

		if (verdict == TAKEN) {
			ret_told->taken[ret_told->n_taken++] = in->nets[i];
			list(&reaches, &in->nets[i], "");
		} else {
			list(&refused, &in->nets[i], reasons[verdict]);
		}
	}
	list_end(&reaches, 0);
	list_end(&refused, in->n_more);
}
