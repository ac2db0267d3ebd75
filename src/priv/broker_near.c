/* SPDX-License-Identifier: MIT */
/* broker_near: the requests of the near side, where the tunnel begins. */
#include <errno.h>
#include <string.h>

#include "broker_requests.h"

static int on_addr_add(struct broker *b, struct broker_call *call)
{
	struct journal_change addr = {
		.kind = CHANGE_ADDR, .link = b->link, .net = call->request.net};

	if (addr.net.addr.version == IPV6 &&
	    b->mtu_bytes < BROKERMSG_MTU_MIN_V6)
		return err_set(&call->err, -EINVAL,
			       "IPv6 needs an MTU of at least %d, not %u",
			       BROKERMSG_MTU_MIN_V6, b->mtu_bytes);
	return broker_make(b, &addr, BROKERMSG_ADDRS_MAX, "addresses",
			   &call->err);
}

/*
 * Rules
 */

/* At the first place for this device where nobody has the same rule. */
static int add_rule(struct broker *b, const struct journal_rule *rule,
		    uint32_t first_priority, struct err *err)
{
	struct journal_change change = {
		.kind = CHANGE_RULE, .link = b->link, .rule = *rule};
	int r = -EEXIST;

	for (uint32_t i = 0; i < BROKERMSG_RULES_N && r == -EEXIST; i++) {
		change.rule.priority = first_priority + (b->link.ifindex +
							 i) % BROKERMSG_RULES_N;
		r = broker_make(b, &change, BROKERMSG_RULES_MAX, "rules", err);
	}
	return r;
}

/* A rule of which there is one a family. */
static int add_rule_once(struct broker *b, enum journal_rule_kind kind,
			 uint32_t version, uint32_t first_priority,
			 struct err *err)
{
	struct journal_change like = {
		.kind = CHANGE_RULE,
		.rule = {.kind = kind, .version = (uint8_t)version}};

	return record_find(&b->record, &like) >= 0
		       ? 0
		       : add_rule(b, &like.rule, first_priority, err);
}

static int on_route_add(struct broker *b, struct broker_call *call)
{
	int r = add_rule_once(b, JOURNAL_RULE_TUNNEL,
			      call->request.net.addr.version,
			      BROKERMSG_TUNNEL_PRIORITY, &call->err);

	return r < 0 ? r : broker_on_route_add(b, call);
}

static int on_exempt_add(struct broker *b, struct broker_call *call)
{
	return add_rule(b, &call->request.rule, BROKERMSG_EXEMPT_PRIORITY,
			&call->err);
}

static int on_exempt_del(struct broker *b, struct broker_call *call)
{
	struct journal_change like = {.kind = CHANGE_RULE,
				      .rule = call->request.rule};

	return broker_unmake(b, &like, "an exemption like this", &call->err);
}

/* The mark itself is not recorded: it ends with the connection. */
static int on_mark(struct broker *b, struct broker_call *call)
{
	if (call->along < 0)
		return err_set(&call->err, -EINVAL,
			       "there is nothing to be marked");
	int r = add_rule_once(b, JOURNAL_RULE_MARK, call->request.version,
			      BROKERMSG_EXEMPT_PRIORITY, &call->err);
	return r < 0 ? r : b->ops->mark(b->ctx, call->along, &call->err);
}

/*
 * Filters
 */

/* Asked for once more it is for the addresses that were added meanwhile. */
static int on_guard(struct broker *b, struct broker_call *call)
{
	struct journal_change change = {.kind = CHANGE_GUARD,
					.link = b->link,
					.guard.flags = call->request.flags};

	for (size_t i = 0; i < b->record.n; i++)
		if (b->record.changes[i].kind == CHANGE_ADDR)
			change.guard.addrs[change.guard.n_addrs++] =
				b->record.changes[i].net.addr;
	return b->record.n_of[CHANGE_GUARD] == 0
		       ? record_make(&b->record, &change, &call->err)
		       : b->ops->apply(b->ctx, &change, false, &call->err);
}

/* Not recorded: it stays until somebody wants it lifted. */
static int on_kill(struct broker *b, struct broker_call *call)
{
	return b->ops->kill(b->ctx, &call->request, &call->err);
}

/*
 * Names
 */

/* What is asked of a server outside the tunnel is seen by all on the way. */
static int check_dns_server(const struct broker *b,
			    const struct brokermsg_dns_server *server,
			    struct err *err)
{
	struct ip_addr addr =
		addr_make((enum ip_version)server->version, server->bytes);
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < b->record.n; i++) {
		const struct journal_change *it = &b->record.changes[i];

		if ((it->kind == CHANGE_ADDR || it->kind == CHANGE_ROUTE) &&
		    subnet_contains(&it->net, &addr))
			return 0;
	}
	return err_set(err, -EPERM,
		       "the name server %s is not reached by the tunnel: it "
		       "is in none of its subnets",
		       addr_format(&addr, text));
}

static int on_dns_set(struct broker *b, struct broker_call *call)
{
	const struct brokermsg_dns_set *dns = &call->request.dns;
	struct journal_change rules = {.kind = CHANGE_DNS, .link = b->link};
	struct journal_change names = {.kind = CHANGE_NAMES, .link = b->link};
	bool is_all = dns->mode == BROKERMSG_DNS_ALL;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < dns->n_servers; i++)
		r = check_dns_server(b, &dns->servers[i], &call->err);
	if (r == 0 && b->record.n_of[CHANGE_NAMES] > 0)
		r = err_set(&call->err, -EEXIST,
			    "names are asked for in the tunnel already");
	/* First: at no moment may they be asked for elsewhere, too. */
	if (r == 0 && is_all)
		r = record_make(&b->record, &rules, &call->err);
	if (r < 0)
		return r;
	record_push(&b->record, &names);
	r = b->ops->dns_set(b->ctx, &b->link, dns, call->reply->name,
			    &call->err);
	if (r < 0) {
		record_strike(&b->record, b->record.n - 1);
		if (is_all)
			(void)record_unmake(&b->record, b->record.n - 1, NULL);
	}
	return r;
}

static int clear(struct broker *b, enum journal_change_kind kind,
		 struct err *err)
{
	const struct journal_change like = {.kind = kind};
	int i = record_find(&b->record, &like);

	return i < 0 ? 0 : record_drop(&b->record, (size_t)i, err);
}

static int on_dns_clear(struct broker *b, struct broker_call *call)
{
	int names = clear(b, CHANGE_NAMES, &call->err);
	int rules = clear(b, CHANGE_DNS, names < 0 ? NULL : &call->err);

	return names < 0 ? names : rules;
}

static int on_cleanup(struct broker *b, struct broker_call *call)
{
	int r = b->ops->cleanup(b->ctx, &call->err);

	memcpy(call->reply->text, call->err.text, sizeof(call->reply->text));
	return r;
}

const struct broker_request broker_near_requests[BROKERMSG__N] = {
	[BROKERMSG_HELLO] = {PHASE_START, PHASE_IDLE, broker_on_hello},
	[BROKERMSG_CLEANUP] = {PHASE_IDLE, 0, on_cleanup},
	[BROKERMSG_TUN_CREATE] = {PHASE_IDLE, PHASE_DOWN, broker_on_tun_create},
	[BROKERMSG_ADDR_ADD] = {PHASES_DEVICE, 0, on_addr_add},
	[BROKERMSG_LINK_UP] = {PHASE_DOWN, PHASE_UP, broker_on_link_up},
	[BROKERMSG_ROUTE_ADD] = {PHASE_UP, 0, on_route_add},
	[BROKERMSG_ROUTE_DEL] = {PHASE_UP, 0, broker_on_route_del},
	[BROKERMSG_EXEMPT_ADD] = {PHASES_DEVICE, 0, on_exempt_add},
	[BROKERMSG_EXEMPT_DEL] = {PHASES_DEVICE, 0, on_exempt_del},
	[BROKERMSG_MARK] = {PHASES_DEVICE, 0, on_mark},
	[BROKERMSG_GUARD] = {PHASES_DEVICE, 0, on_guard},
	[BROKERMSG_DNS_SET] = {PHASE_UP, 0, on_dns_set},
	[BROKERMSG_DNS_CLEAR] = {PHASE_UP, 0, on_dns_clear},
	[BROKERMSG_KILL_ON] = {PHASE_IDLE, 0, on_kill},
	[BROKERMSG_KILL_OFF] = {PHASE_IDLE | PHASES_DEVICE, 0, on_kill},
	[BROKERMSG_KILL_LOOK] = {PHASE_IDLE, 0, on_kill},
	[BROKERMSG_BYE] = {PHASES_ALL, PHASE_END, broker_on_bye},
};
