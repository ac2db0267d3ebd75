/* SPDX-License-Identifier: MIT */
/* broker_requests: the requests of both sides. */
#include "broker_requests.h"

#include <errno.h>
#include <string.h>

int broker_on_hello(struct broker *b, struct broker_call *call)
{
	uint32_t version = call->request.version;

	call->reply->version = BROKERMSG_VERSION;
	if (version != BROKERMSG_VERSION)
		return err_set(&call->err, -EPROTONOSUPPORT,
			       "ecssh speaks version %u of the broker "
			       "protocol, ecssh-broker version %d: they are "
			       "not of one installation",
			       version, BROKERMSG_VERSION);
	if (b->ready < 0)
		return err_set(&call->err, b->ready, "%s", b->why_not.text);
	return 0;
}

int broker_on_tun_create(struct broker *b, struct broker_call *call)
{
	struct journal_change change = {.kind = CHANGE_LINK};
	int r = b->ops->tun_create(b->ctx, &call->request.tun, &b->link,
				   &call->reply->offloads, &call->fd,
				   &call->err);

	if (r < 0)
		return r;
	change.link = b->link;
	record_push(&b->record, &change);
	b->mtu_bytes = call->request.tun.mtu_bytes;
	call->reply->ifindex = b->link.ifindex;
	memcpy(call->reply->name, b->link.name, sizeof(b->link.name));
	return 0;
}

int broker_on_link_up(struct broker *b, struct broker_call *call)
{
	return b->ops->link_up(b->ctx, &b->link, &call->err);
}

int broker_make(struct broker *b, const struct journal_change *change,
		size_t max, const char *what, struct err *err)
{
	return b->record.n_of[change->kind] < max
		       ? record_make(&b->record, change, err)
		       : err_set(err, -E2BIG, "more than %zu %s", max, what);
}

int broker_on_route_add(struct broker *b, struct broker_call *call)
{
	struct journal_change route = {.kind = CHANGE_ROUTE,
				       .link = b->link,
				       .net = call->request.net};

	return broker_make(b, &route, BROKERMSG_ROUTES_MAX, "routes",
			   &call->err);
}

int broker_unmake(struct broker *b, const struct journal_change *like,
		  const char *what, struct err *err)
{
	int i = record_find(&b->record, like);

	return i < 0 ? err_set(err, i, "%s is not of this broker's making",
			       what)
		     : record_unmake(&b->record, (size_t)i, err);
}

int broker_on_route_del(struct broker *b, struct broker_call *call)
{
	struct journal_change route = {.kind = CHANGE_ROUTE,
				       .net = call->request.net};
	char text[SUBNET_TEXT_MAX];

	return broker_unmake(b, &route, subnet_format(&route.net, text),
			     &call->err);
}

int broker_on_bye(struct broker *b, struct broker_call *call)
{
	return record_undo(&b->record, &call->err);
}
