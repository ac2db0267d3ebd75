/* SPDX-License-Identifier: MIT */
/* broker_far: the requests of the far side, where packets are forwarded. */
#include <errno.h>
#include <string.h>

#include "broker_requests.h"

/* The subnets routed into the device, and their families (enum broker_family).
 * Returns their number. */
static size_t list_routes(const struct record *r,
			  struct subnet ret_nets[BROKERMSG_ROUTES_MAX],
			  uint8_t *ret_families)
{
	size_t n = 0;

	*ret_families = 0;
	for (size_t i = 0; i < r->n; i++) {
		if (r->changes[i].kind != CHANGE_ROUTE)
			continue;
		ret_nets[n] = r->changes[i].net;
		*ret_families |= ret_nets[n++].addr.version == IPV4
					 ? BROKER_FAMILY_4
					 : BROKER_FAMILY_6;
	}
	return n;
}

static int on_forward(struct broker *b, struct broker_call *call)
{
	struct journal_change change = {.kind = CHANGE_FORWARD,
					.link = b->link};
	struct subnet nets[BROKERMSG_ROUTES_MAX];
	uint8_t families;
	size_t n = list_routes(&b->record, nets, &families);

	if (n == 0)
		return err_set(&call->err, -EINVAL,
			       "there are no routes to forward for");
	int r = b->ops->forward_plan(b->ctx, &b->link, families, &call->err);
	if (r < 0)
		return r;
	record_push(&b->record, &change);
	r = b->ops->forward_add(b->ctx, call->request.flags, nets, n,
				&call->err);
	if (r < 0) { /* perhaps half done */
		(void)b->ops->apply(b->ctx, &change, true, NULL);
		record_strike(&b->record, b->record.n - 1);
	}
	return r;
}

/* Not recorded: it ends with the connection. */
static int on_tune(struct broker *b, struct broker_call *call)
{
	int r = b->ops->tune(b->ctx, call->reply->name, &call->err);

	memcpy(call->reply->text, call->err.text, sizeof(call->reply->text));
	return r;
}

const struct broker_request broker_far_requests[BROKERMSG__N] = {
	[BROKERMSG_HELLO] = {PHASE_START, PHASE_IDLE, broker_on_hello},
	[BROKERMSG_TUN_CREATE] = {PHASE_IDLE, PHASE_DOWN, broker_on_tun_create},
	[BROKERMSG_LINK_UP] = {PHASE_DOWN, PHASE_UP, broker_on_link_up},
	[BROKERMSG_ROUTE_ADD] = {PHASE_UP, 0, broker_on_route_add},
	[BROKERMSG_ROUTE_DEL] = {PHASE_UP, 0, broker_on_route_del},
	[BROKERMSG_FORWARD] = {PHASE_UP, PHASE_FORWARDING, on_forward},
	[BROKERMSG_TUNE] = {PHASES_ALL, 0, on_tune},
	[BROKERMSG_BYE] = {PHASES_ALL, PHASE_END, broker_on_bye},
};
