/* SPDX-License-Identifier: MIT */
/*
 * fuzz_brokermsg: a hostile engine against the broker's rules.
 *
 * Input: a byte n (each n-th change fails in the kernel, 0: none), then
 * requests, each behind a byte: bits 0 to 6 its length, bit 7 that a descriptor
 * comes with it.  The kernel is a list of what it was asked for; whatever the
 * engine says, that list has only permitted entries, and none at the end.  The
 * brokers of both sides hear it.
 */
#include <errno.h>
#include <string.h>

#include "broker.h"
#include "fuzz.h"

enum {
	IFINDEX = 7,
	A_DESCRIPTOR = 1000, /* nothing here uses it, nor */
	LENT = 1001,	     /* that which comes with a request */
	ENTRIES_MAX = 64,
};

struct kernel {
	bool has_link, is_forwarding;
	unsigned fail_each, n_changes;
	struct subnet entries[ENTRIES_MAX]; /* addresses and routes */
	bool is_route[ENTRIES_MAX];
	size_t n;
	struct journal_rule rules[BROKERMSG_RULES_MAX];
	size_t n_rules;
};

static int change(struct kernel *k, struct err *err)
{
	k->n_changes++;
	if (k->fail_each != 0 && k->n_changes % k->fail_each == 0)
		return err_set(err, -EBUSY, "not now");
	return 0;
}

static int tun_create(void *ctx, const struct brokermsg_tun *tun,
		      struct journal_link *ret_link, uint32_t *ret_offloads,
		      int *ret_fd, struct err *err)
{
	const char *name = tun->name;
	struct kernel *k = ctx;
	struct journal_link link = {.ifindex = IFINDEX};
	size_t len = strnlen(name, sizeof(tun->name));

	assert_always(!k->has_link);
	assert_always(tun->mtu_bytes >= 576 && tun->mtu_bytes <= 65535);
	assert_always(tun->offloads < 8);
	assert_always(len > 0 && len < sizeof(link.name));
	if (strcmp(name, "ecssh%d") != 0) {
		assert_always(strspn(name, "abcdefghijklmnopqrstuvwxyz"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789_.-") == len);
		assert_always(!strchr("_.-", name[0]));
		assert_always(strcmp(name, "all") != 0);
		assert_always(strcmp(name, "default") != 0);
	}
	int r = change(k, err);
	if (r < 0)
		return r;
	memcpy(link.name, name, len);
	k->has_link = true;
	*ret_link = link;
	*ret_offloads = tun->offloads;
	*ret_fd = A_DESCRIPTOR;
	return 0;
}

static int link_up(void *ctx, const struct journal_link *link, struct err *err)
{
	assert_always(((struct kernel *)ctx)->has_link &&
		      link->ifindex == IFINDEX);
	return change(ctx, err);
}

static int link_del(struct kernel *k)
{
	assert_always(k->has_link);
	k->has_link = false;
	return 0;
}

static bool link_is_ours(void *ctx, const struct journal_link *link)
{
	assert_always(link->ifindex == IFINDEX);
	return ((struct kernel *)ctx)->has_link;
}

static int add(struct kernel *k, bool is_route, const struct subnet *net,
	       struct err *err)
{
	assert_always(k->has_link);
	assert_always(net->prefix_len <= addr_len_bits(&net->addr));
	assert_always(subnet_contains(net, &net->addr));
	assert_always(net->prefix_len != addr_len_bits(&net->addr) ||
		      !addr_is_loopback(&net->addr));
	/* IPv4 link-local may be routed: the far side's policy decides. */
	assert_always((is_route && net->addr.version == IPV4) ||
		      net->prefix_len < 16 || !addr_is_link_local(&net->addr));
	assert_always(net->prefix_len < 8 || !addr_is_multicast(&net->addr));
	int r = change(k, err);
	if (r < 0)
		return r;
	if (k->n == ENTRIES_MAX)
		return err_set(err, -ENOSPC, "full");
	k->entries[k->n] = *net;
	k->is_route[k->n++] = is_route;
	return 0;
}

/* Whatever is deleted has been added. */
static int del(struct kernel *k, bool is_route, const struct subnet *net)
{
	size_t i = 0;

	assert_always(k->has_link);
	while (i < k->n && !(k->is_route[i] == is_route &&
			     memcmp(&k->entries[i], net, sizeof(*net)) == 0))
		i++;
	assert_always(i < k->n);
	k->n--;
	k->entries[i] = k->entries[k->n];
	k->is_route[i] = k->is_route[k->n];
	return 0;
}

static int rule_add(struct kernel *k, const struct journal_rule *rule,
		    struct err *err)
{
	assert_always(rule->kind < JOURNAL_RULE__N);
	assert_always(rule->version == IPV4 || rule->version == IPV6);
	assert_always(rule->priority >= BROKERMSG_EXEMPT_PRIORITY &&
		      rule->priority <
			      BROKERMSG_TUNNEL_PRIORITY + BROKERMSG_RULES_N);
	/* Never by its address alone. */
	assert_always(rule->kind != JOURNAL_RULE_EXEMPT ||
		      (rule->remote.addr.version == rule->version &&
		       rule->remote.port != 0 &&
		       port_range_is_sound(&rule->from) &&
		       (rule->has_uid ||
			(rule->local.version != 0 && rule->from.first != 0 &&
			 rule->from.first == rule->from.last))));
	int r = change(k, err);
	if (r < 0)
		return r;
	assert_always(k->n_rules < BROKERMSG_RULES_MAX);
	k->rules[k->n_rules++] = *rule;
	return 0;
}

static int rule_del(struct kernel *k, const struct journal_rule *rule)
{
	size_t i = 0;

	while (i < k->n_rules && memcmp(&k->rules[i], rule, sizeof(*rule)) != 0)
		i++;
	assert_always(i < k->n_rules);
	k->rules[i] = k->rules[--k->n_rules];
	return 0;
}

static int mark(void *ctx, int fd, struct err *err)
{
	struct kernel *k = ctx;

	assert_always(fd == LENT && k->n_rules > 0);
	return change(k, err);
}

static int forward_del(struct kernel *k)
{
	assert_always(k->is_forwarding && k->has_link);
	k->is_forwarding = false;
	return 0;
}

static int guard(struct kernel *k, const struct journal_guard *guard,
		 struct err *err)
{
	assert_always(guard->n_addrs <= BROKERMSG_ADDRS_MAX);
	assert_always((guard->flags & ~(uint32_t)BROKERMSG_GUARD_ALL) == 0);
	return change(k, err);
}

static int apply(void *ctx, const struct journal_change *it, bool is_undo,
		 struct err *err)
{
	bool is_route = it->kind == CHANGE_ROUTE;

	assert_always(it->link.ifindex == IFINDEX);
	switch (it->kind) {
	case CHANGE_ADDR:
	case CHANGE_ROUTE:
		return is_undo ? del(ctx, is_route, &it->net)
			       : add(ctx, is_route, &it->net, err);
	case CHANGE_RULE:
		return is_undo ? rule_del(ctx, &it->rule)
			       : rule_add(ctx, &it->rule, err);
	case CHANGE_GUARD:
		return is_undo ? 0 : guard(ctx, &it->guard, err);
	case CHANGE_LINK:
		assert_always(is_undo);
		return link_del(ctx);
	case CHANGE_FORWARD:
		assert_always(is_undo);
		return forward_del(ctx);
	case CHANGE_DNS:
	case CHANGE_NAMES:
	case CHANGE__N:
		/* Such a request is too long to be played. */
		assert_always(false);
		break;
	}
	return 0;
}

static int forward_plan(void *ctx, const struct journal_link *link,
			uint8_t families, struct err *err)
{
	(void)link;
	assert_always(families != 0);
	return change(ctx, err);
}

static int forward_add(void *ctx, uint32_t flags, const struct subnet *nets,
		       size_t n, struct err *err)
{
	struct kernel *k = ctx;
	size_t n_routes = 0;

	for (size_t i = 0; i < k->n; i++)
		n_routes += k->is_route[i];
	assert_always(n > 0 && n == n_routes && nets[n - 1].addr.version != 0);
	assert_always((flags & ~(uint32_t)BROKERMSG_FORWARD_ALL) == 0);
	assert_always(!k->is_forwarding);
	k->is_forwarding = true; /* half of it even if it fails */
	return change(k, err);
}

static int tune(void *ctx, char name[BROKERMSG_NAME_MAX], struct err *err)
{
	int r = change(ctx, err);

	memset(name, 0, BROKERMSG_NAME_MAX);
	return r < 0 ? r : err_set(err, 0, "looked");
}

/* Letters and digits that nft reads as a part of a name. */
static void check_tunnel(const char *name)
{
	size_t len = strnlen(name, BROKERMSG_TUNNEL_MAX);

	assert_always(len > 0 && len < BROKERMSG_TUNNEL_MAX);
	assert_always(strspn(name, "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_.-") == len);
	assert_always(name[0] != '-' && name[0] != '.');
}

static void check_kill(const struct brokermsg_kill *kill)
{
	check_tunnel(kill->name);
	assert_always(kill->n_gateways >= 1 &&
		      kill->n_gateways <= BROKERMSG_GATEWAYS_MAX);
	assert_always(kill->n_lans <= BROKERMSG_LANS_MAX);
	assert_always(port_range_is_sound(&kill->from));
	for (size_t i = 0; i < kill->n_gateways; i++)
		assert_always(kill->gateways[i].port != 0 &&
			      !addr_is_multicast(&kill->gateways[i].addr));
	for (size_t i = 0; i < kill->n_lans; i++)
		assert_always(kill->lans[i].prefix_len >= 7);
}

static int kill_switch(void *ctx, const struct brokermsg_request *request,
		       struct err *err)
{
	if (request->type == BROKERMSG_KILL_ON)
		check_kill(&request->kill);
	else
		check_tunnel(request->kill.name);
	return change(ctx, err);
}

static int cleanup(void *ctx, struct err *said)
{
	(void)ctx;
	return err_set(said, -ENOENT, "there is nothing to clean up");
}

static const struct broker_ops near_ops = {
	.requests = broker_near_requests,
	.tun_create = tun_create,
	.link_up = link_up,
	.link_is_ours = link_is_ours,
	.apply = apply,
	.mark = mark,
	.kill = kill_switch,
	.cleanup = cleanup,
};

static const struct broker_ops far_ops = {
	.requests = broker_far_requests,
	.tun_create = tun_create,
	.link_up = link_up,
	.link_is_ours = link_is_ours,
	.apply = apply,
	.forward_plan = forward_plan,
	.forward_add = forward_add,
	.tune = tune,
};

static enum broker_verdict ask(struct broker *b, const uint8_t *bytes,
			       size_t len, bool has_ancillary_data)
{
	_Alignas(uint64_t) uint8_t request[128];
	struct brokermsg_reply reply;
	int fd;

	memcpy(request, bytes, len);
	enum broker_verdict verdict = broker_handle(
		b, request, len, has_ancillary_data ? LENT : -1, &reply, &fd);
	assert_always(reply.result <= 0);
	assert_always(memchr(reply.text, '\0', sizeof(reply.text)));
	assert_always((reply.text[0] != '\0') ==
		      (reply.result < 0 || reply.type == BROKERMSG_TUNE ||
		       reply.type == BROKERMSG_CLEANUP));
	for (const char *p = reply.text; *p; p++)
		assert_always((unsigned char)*p >= 0x20 && *p != 0x7f);
	assert_always(
		(fd == A_DESCRIPTOR) ==
		(reply.type == BROKERMSG_TUN_CREATE && reply.result == 0));
	assert_always(reply.result != -EPROTO || verdict == BROKER_END);
	return verdict;
}

static void play(const struct broker_ops *ops, const uint8_t *data, size_t size)
{
	struct kernel k = {.fail_each = size > 0 ? data[0] : 0};
	struct broker *b = broker_new(ops, &k, 0, NULL);
	enum broker_verdict verdict = BROKER_GO_ON;
	size_t at = 1;

	if (!b)
		return;
	while (at < size && verdict == BROKER_GO_ON) {
		size_t len = data[at] & 0x7f;
		bool has_ancillary_data = data[at] & 0x80;

		at++;
		if (len > size - at)
			len = size - at;
		verdict = ask(b, data + at, len, has_ancillary_data);
		at += len;
	}
	/* The end is the end. */
	if (verdict == BROKER_END) {
		unsigned n_changes = k.n_changes;

		for (uint32_t type = 0; type < BROKERMSG__N; type++)
			assert_always(ask(b, (const uint8_t *)&type,
					  sizeof(type), false) == BROKER_END);
		assert_always(k.n_changes == n_changes);
	}
	(void)broker_undo(b, NULL);
	assert_always(k.n == 0 && k.n_rules == 0 && !k.has_link &&
		      !k.is_forwarding);
	(void)broker_free(b);
}

/* Requests that are too long to be played: the input and zeros, as each. */
static void read_as_any(const uint8_t *data, size_t size)
{
	static union {
		struct brokermsg_dns_set largest;
		uint32_t type;
	} bytes;
	static struct brokermsg_request got;

	for (uint32_t type = 1; type < BROKERMSG__N; type++) {
		size_t len = brokermsg_size(type) - sizeof(type);
		struct err err = {{0}};

		memset(&bytes, 0, sizeof(bytes));
		if (size > 0)
			memcpy((uint8_t *)&bytes + sizeof(type), data,
			       size < len ? size : len);
		bytes.type = type;
		int r = brokermsg_read(&bytes, &got, &err);
		assert_always((r < 0) == (err.text[0] != '\0'));
		if (r == 0 && type == BROKERMSG_KILL_ON)
			check_kill(&got.kill);
		if (r == 0 && type == BROKERMSG_KILL_OFF)
			check_tunnel(got.kill.name);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	play(&near_ops, data, size);
	play(&far_ops, data, size);
	read_as_any(data, size);
	return 0;
}
