/* SPDX-License-Identifier: MIT */
/*
 * broker: the process that may configure the network, and its rules.
 *
 * Theory of operation: the table `requests` is the whole attack surface.  A
 * request that has the right size and comes in the right phase reaches its
 * handler, which checks the values against policy, records the inverse in the
 * journal, asks the kernel, and strikes the record out again if the kernel
 * refused.  There is one exception: the device is recorded after it was made,
 * because only then it has an index; until then its descriptor is ours alone,
 * and it disappears with that.
 *
 * Not here: what reaches the kernel (broker_kernel_linux.c), giving up
 * privileges (privdrop.h).
 *
 * Spec: doc/PROTOCOL.broker
 */
#include "broker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "dnshost_msg.h"
#include "escape.h"
#include "fd.h"
#include "fd_msg.h"
#include "kill_policy.h"
#include "log.h"

static_assert(sizeof(((struct err *)0)->text) == BROKERMSG_TEXT_MAX, "");

enum {
	ALARMS_MAX = 4,
	/* Link, forwarding, names and guard are one each. */
	JOURNAL_MAX = 4 + BROKERMSG_ADDRS_MAX + BROKERMSG_ROUTES_MAX +
		      BROKERMSG_RULES_MAX,
};

enum phase {
	PHASE_START = 1 << 0, /* no HELLO yet */
	PHASE_IDLE = 1 << 1,  /* no device */
	PHASE_DOWN = 1 << 2,  /* the device is there, and down */
	PHASE_UP = 1 << 3,
	PHASE_FORWARDING = 1 << 4, /* routes are final */
	PHASE_END = 1 << 5,	   /* nothing is allowed any more */
};

struct broker {
	const struct broker_ops *ops; /* borrowed, like ctx */
	void *ctx;
	int ready; /* 0, or why nothing can be done, with: */
	struct err why_not;
	enum phase phase;
	struct broker_link link;       /* valid in PHASE_DOWN and PHASE_UP */
	uint32_t mtu_bytes;	       /* likewise */
	struct broker_forward forward; /* valid if it is in the journal */
	size_t n_undo;
	size_t n_of[UNDO__N]; /* of each kind, in the journal */
	uint8_t ruled;	      /* enum broker_family: its routes are looked up */
	uint8_t marked;	      /* likewise: marked packets are let past them */
	struct broker_undo journal[JOURNAL_MAX];
};

struct broker *broker_new(const struct broker_ops *ops, void *ctx, int ready,
			  const struct err *why_not)
{
	struct broker *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->ops = ops;
	b->ctx = ctx;
	b->ready = ready;
	if (ready < 0)
		b->why_not = *why_not;
	b->phase = PHASE_START;
	return b;
}

struct broker *broker_free(struct broker *b)
{
	free(b);
	return NULL;
}

/*
 * The journal
 */

static void tell(const struct broker *b, bool is_strike, size_t index,
		 const struct broker_undo *undo)
{
	struct broker_note note;

	if (!b->ops->note)
		return;
	memset(&note, 0, sizeof(note)); /* holes too: it leaves the process */
	note.is_strike = is_strike;
	note.index = (uint32_t)index;
	memcpy(&note.undo, undo, sizeof(note.undo));
	note.link = b->link;
	if (undo->kind == UNDO_FORWARD)
		note.forward = b->forward;
	b->ops->note(b->ctx, &note);
}

static void push(struct broker *b, const struct broker_undo *undo)
{
	assert_always(b->n_undo < JOURNAL_MAX);
	b->journal[b->n_undo++] = *undo;
	b->n_of[undo->kind]++;
}

static void strike(struct broker *b, size_t i)
{
	b->n_of[b->journal[i].kind]--;
	b->n_undo--;
	memmove(&b->journal[i], &b->journal[i + 1],
		(b->n_undo - i) * sizeof(b->journal[0]));
}

static void journal_push(struct broker *b, const struct broker_undo *undo)
{
	tell(b, false, 0, undo);
	push(b, undo);
}

static void journal_strike(struct broker *b, size_t i)
{
	tell(b, true, i, &b->journal[i]);
	strike(b, i);
}

void broker_mirror(struct broker *b, const struct broker_note *note)
{
	if (note->is_strike) {
		if (note->index < b->n_undo)
			strike(b, note->index);
		return;
	}
	if (note->undo.kind >= UNDO__N || b->n_undo >= JOURNAL_MAX)
		return;
	if (note->undo.kind == UNDO_FORWARD)
		b->forward = note->forward;
	b->link = note->link;
	push(b, &note->undo);
}

static int undo_one(struct broker *b, const struct broker_undo *undo,
		    struct err *err)
{
	/* These outlive the device. */
	if (undo->kind == UNDO_FORWARD)
		return b->ops->forward_del(b->ctx, &b->forward, err);
	if (undo->kind == UNDO_RULE)
		return b->ops->rule_del(b->ctx, &undo->rule, err);
	if (undo->kind == UNDO_DNS)
		return b->ops->dns_clear(b->ctx, &b->link, err);
	if (undo->kind == UNDO_GUARD)
		return b->ops->guard_del(b->ctx, &b->link, err);
	/* The device took its addresses and routes with it, or it is no longer
	 * what we made. */
	if (!b->ops->link_is_ours(b->ctx, &b->link))
		return 0;
	switch (undo->kind) {
	case UNDO_LINK:
		return b->ops->link_del(b->ctx, b->link.ifindex, err);
	case UNDO_ADDR:
		return b->ops->addr_del(b->ctx, b->link.ifindex,
					&undo->net.addr, err);
	case UNDO_ROUTE:
		return b->ops->route_del(b->ctx, b->link.ifindex, &undo->net,
					 err);
	case UNDO_FORWARD:
	case UNDO_RULE:
	case UNDO_DNS:
	case UNDO_GUARD:
	case UNDO__N:
		break;
	}
	return 0;
}

/* True if the errno says that there is nothing left to undo. */
static bool is_gone(int r)
{
	return r == -ESRCH || r == -ENODEV || r == -EADDRNOTAVAIL ||
	       r == -ENOENT;
}

int broker_undo(struct broker *b, struct err *err)
{
	int result = 0;

	while (b->n_undo > 0) {
		struct err why;
		int r = undo_one(b, &b->journal[b->n_undo - 1], &why);

		journal_strike(b, b->n_undo - 1);
		if (r < 0 && !is_gone(r) && result == 0)
			result = err_set(err, r, "%s", why.text);
	}
	return result;
}

/*
 * Policy
 */

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/*
 * Check the name of a device to be made.  The kernel has per-device directories
 * beside the directories "all" and "default": no device must have these names.
 */
static int check_name(const char name[BROKERMSG_NAME_MAX], struct err *err)
{
	char shown[4 * BROKERMSG_NAME_MAX + 1];
	size_t len = strnlen(name, BROKERMSG_NAME_MAX);
	bool good = len > 0 && len < BROKERMSG_NAME_MAX && is_alnum(name[0]) &&
		    brokermsg_is_zero(name + len, BROKERMSG_NAME_MAX - len);

	for (size_t i = 0; i < len; i++)
		good = good && (is_alnum(name[i]) || name[i] == '_' ||
				name[i] == '.' || name[i] == '-');
	if (good && strcmp(name, "all") != 0 && strcmp(name, "default") != 0)
		return 0;
	escape_text(name, len, shown, sizeof(shown));
	return err_set(err, -EINVAL,
		       "\"%s\" cannot be the name of a device: take up to 15 "
		       "letters, digits, '_', '.' and '-'",
		       shown);
}

static int check_addr(const struct broker *b, const struct ip_addr *addr,
		      struct err *err)
{
	char text[ADDR_TEXT_MAX];

	struct subnet net = subnet_of_addr(addr);

	if (subnet_is_special(&net) || addr_is_link_local(addr))
		return err_set(err, -EPERM,
			       "%s cannot be the address of a tunnel",
			       addr_format(addr, text));
	if (addr->version == IPV6 && b->mtu_bytes < BROKERMSG_MTU_MIN_V6)
		return err_set(err, -EINVAL,
			       "IPv6 needs an MTU of at least %d, not %u",
			       BROKERMSG_MTU_MIN_V6, b->mtu_bytes);
	if (b->n_of[UNDO_ADDR] >= BROKERMSG_ADDRS_MAX)
		return err_set(err, -E2BIG, "more than %d addresses",
			       BROKERMSG_ADDRS_MAX);
	return 0;
}

static int read_route(const struct brokermsg_route *m, struct subnet *ret_dst,
		      struct err *err)
{
	struct subnet dst = {0};
	char text[SUBNET_TEXT_MAX];
	int r = brokermsg_read_addr(m->version, m->bytes, &dst.addr, err);

	if (r < 0)
		return r;
	if (m->prefix_len > addr_len_bits(&dst.addr))
		return err_set(err, -EINVAL,
			       "an IPv%u prefix has at most %u bits, not %u",
			       m->version, addr_len_bits(&dst.addr),
			       m->prefix_len);
	dst.prefix_len = (uint8_t)m->prefix_len;
	subnet_format(&dst, text);
	if (!subnet_contains(&dst, &dst.addr))
		return err_set(err, -EINVAL, "%s has bits behind its prefix",
			       text);
	if (subnet_is_special(&dst))
		return err_set(err, -EPERM, "%s cannot be routed", text);
	*ret_dst = dst;
	return 0;
}

/*
 * Requests
 */

/* What a handler is given and gives. */
struct call {
	const void *request;
	struct brokermsg_reply *reply;
	int along; /* the descriptor that came with it, or -1 */
	int fd;	   /* to be sent back, or -1 */
	struct err err;
};

static int on_hello(struct broker *b, struct call *call)
{
	const struct brokermsg_hello *m = call->request;

	call->reply->version = BROKERMSG_VERSION;
	if (m->version != BROKERMSG_VERSION)
		return err_set(&call->err, -EPROTONOSUPPORT,
			       "ecssh speaks version %u of the broker "
			       "protocol, ecssh-broker version %d: they are "
			       "not of one installation",
			       m->version, BROKERMSG_VERSION);
	if (b->ready < 0)
		return err_set(&call->err, b->ready, "%s", b->why_not.text);
	return 0;
}

static int on_tun_create(struct broker *b, struct call *call)
{
	const struct brokermsg_tun_create *m = call->request;
	const char *name = m->name;
	struct broker_undo undo = {.kind = UNDO_LINK};

	if (brokermsg_is_zero(m->name, sizeof(m->name)) ||
	    memcmp(m->name, "ecssh%d\0\0\0\0\0\0\0\0", sizeof(m->name)) == 0) {
		name = "ecssh%d";
	} else {
		int r = check_name(m->name, &call->err);
		if (r < 0)
			return r;
	}
	if (m->mtu_bytes < BROKERMSG_MTU_MIN ||
	    m->mtu_bytes > BROKERMSG_MTU_MAX)
		return err_set(&call->err, -EINVAL,
			       "the MTU must be from %d to %d, not %u",
			       BROKERMSG_MTU_MIN, BROKERMSG_MTU_MAX,
			       m->mtu_bytes);
	if (m->offloads & ~(uint32_t)BROKERMSG_OFFLOAD_ALL)
		return err_set(&call->err, -EINVAL, "unknown offloads %#x",
			       m->offloads);
	int r = b->ops->tun_create(b->ctx, name, m->mtu_bytes, m->offloads,
				   &b->link, &call->reply->offloads, &call->fd,
				   &call->err);
	if (r < 0)
		return r;
	journal_push(b, &undo);
	b->mtu_bytes = m->mtu_bytes;
	call->reply->ifindex = b->link.ifindex;
	memcpy(call->reply->name, b->link.name, sizeof(b->link.name));
	return 0;
}

static int on_addr_add(struct broker *b, struct call *call)
{
	const struct brokermsg_addr *m = call->request;
	struct ip_addr addr = {0};
	int r = brokermsg_read_addr(m->version, m->bytes, &addr, &call->err);

	if (r < 0)
		return r;
	r = check_addr(b, &addr, &call->err);
	if (r < 0)
		return r;
	struct broker_undo undo = {.kind = UNDO_ADDR,
				   .net = subnet_of_addr(&addr)};
	journal_push(b, &undo);
	r = b->ops->addr_add(b->ctx, b->link.ifindex, &addr, &call->err);
	if (r < 0)
		journal_strike(b, b->n_undo - 1);
	return r;
}

static int on_link_up(struct broker *b, struct call *call)
{
	return b->ops->link_up(b->ctx, b->link.ifindex, &call->err);
}

/* At the first place for this device where nobody has the same rule. */
static int add_rule(struct broker *b, const struct journal_rule *rule,
		    uint32_t first_priority, struct err *err)
{
	struct broker_undo undo = {.kind = UNDO_RULE, .rule = *rule};
	int r = -EEXIST;

	if (b->n_of[UNDO_RULE] >= BROKERMSG_RULES_MAX)
		return err_set(err, -E2BIG, "more than %d rules",
			       BROKERMSG_RULES_MAX);
	for (uint32_t i = 0; i < BROKERMSG_RULES_N && r == -EEXIST; i++) {
		undo.rule.priority = first_priority +
				     (b->link.ifindex + i) % BROKERMSG_RULES_N;
		journal_push(b, &undo);
		r = b->ops->rule_add(b->ctx, &undo.rule, err);
		if (r < 0)
			journal_strike(b, b->n_undo - 1);
	}
	return r;
}

/* A rule of which there is one a family: *done says for which. */
static int add_rule_once(struct broker *b, enum journal_rule_kind kind,
			 uint8_t version, uint32_t first_priority,
			 uint8_t *done, struct err *err)
{
	struct journal_rule rule = {.kind = kind, .version = version};
	uint8_t family = version == IPV4 ? BROKER_FAMILY_4 : BROKER_FAMILY_6;

	if (!b->ops->rule_add || (*done & family))
		return 0;
	int r = add_rule(b, &rule, first_priority, err);
	if (r == 0)
		*done |= family;
	return r;
}

static int on_route_add(struct broker *b, struct call *call)
{
	struct subnet dst = {0};
	int r = read_route(call->request, &dst, &call->err);

	if (r < 0)
		return r;
	if (b->n_of[UNDO_ROUTE] >= BROKERMSG_ROUTES_MAX)
		return err_set(&call->err, -E2BIG, "more than %d routes",
			       BROKERMSG_ROUTES_MAX);
	r = add_rule_once(b, JOURNAL_RULE_TUNNEL, dst.addr.version,
			  BROKERMSG_TUNNEL_PRIORITY, &b->ruled, &call->err);
	if (r < 0)
		return r;
	struct broker_undo undo = {.kind = UNDO_ROUTE, .net = dst};
	journal_push(b, &undo);
	r = b->ops->route_add(b->ctx, b->link.ifindex, &dst, &call->err);
	if (r < 0)
		journal_strike(b, b->n_undo - 1);
	return r;
}

static int on_route_del(struct broker *b, struct call *call)
{
	char text[SUBNET_TEXT_MAX];
	struct subnet dst = {0};
	int r = read_route(call->request, &dst, &call->err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < b->n_undo; i++) {
		struct broker_undo undo = b->journal[i];

		if (undo.kind != UNDO_ROUTE ||
		    undo.net.prefix_len != dst.prefix_len ||
		    !addr_equal(&undo.net.addr, &dst.addr))
			continue;
		r = undo_one(b, &undo, &call->err);
		if (r < 0 && !is_gone(r))
			return r;
		journal_strike(b, i);
		return 0;
	}
	return err_set(&call->err, -ENOENT, "%s is not routed by this broker",
		       subnet_format(&dst, text));
}

/*
 * What goes past the tunnels.  A connection that is there is told from all
 * others by its four names; one that is to come by its user besides.
 */
static int read_exempt(const struct brokermsg_exempt *m,
		       struct journal_rule *ret, struct err *err)
{
	struct journal_rule rule = {.kind = JOURNAL_RULE_EXEMPT,
				    .version = (uint8_t)m->version,
				    .has_uid = m->uid != BROKERMSG_NO_UID,
				    .uid = m->uid};
	struct ip_addr local = {0}, remote = {0};
	bool has_local = !brokermsg_is_zero(m->local, sizeof(m->local));
	int r = brokermsg_read_addr(m->version, m->remote, &remote, err);

	if (r == 0 && has_local)
		r = brokermsg_read_addr(m->version, m->local, &local, err);
	if (r < 0)
		return r;
	struct subnet net = subnet_of_addr(&remote);
	if (m->remote_port == 0 || m->remote_port > UINT16_MAX ||
	    m->local_port > UINT16_MAX || subnet_is_special(&net))
		return err_set(err, -EINVAL,
			       "an exemption needs the address of a host and a "
			       "port");
	if (m->local_port != 0 ? !has_local || rule.has_uid : !rule.has_uid)
		return err_set(err, -EINVAL,
			       "an exemption is for one connection, or for the "
			       "next ones of one user");
	rule.local = (struct endpoint){local, (uint16_t)m->local_port};
	rule.remote = (struct endpoint){remote, (uint16_t)m->remote_port};
	*ret = rule;
	return 0;
}

static int no_rules(struct err *err)
{
	return err_set(err, -EOPNOTSUPP,
		       "the broker of the far side makes no rules");
}

static int on_exempt_add(struct broker *b, struct call *call)
{
	struct journal_rule rule;

	if (!b->ops->rule_add)
		return no_rules(&call->err);
	int r = read_exempt(call->request, &rule, &call->err);
	return r < 0 ? r
		     : add_rule(b, &rule, BROKERMSG_EXEMPT_PRIORITY,
				&call->err);
}

static bool is_same_exempt(const struct broker_undo *undo,
			   const struct journal_rule *rule)
{
	const struct journal_rule *it = &undo->rule;

	return undo->kind == UNDO_RULE && it->kind == JOURNAL_RULE_EXEMPT &&
	       it->version == rule->version && it->has_uid == rule->has_uid &&
	       it->uid == rule->uid &&
	       endpoint_equal(&it->local, &rule->local) &&
	       endpoint_equal(&it->remote, &rule->remote);
}

static int on_exempt_del(struct broker *b, struct call *call)
{
	struct journal_rule rule = {0};
	int r = read_exempt(call->request, &rule, &call->err);

	for (size_t i = 0; i < b->n_undo && r == 0; i++) {
		struct broker_undo undo = b->journal[i];

		if (!is_same_exempt(&undo, &rule))
			continue;
		r = undo_one(b, &undo, &call->err);
		if (r < 0 && !is_gone(r))
			return r;
		journal_strike(b, i);
		return 0;
	}
	return r < 0 ? r
		     : err_set(&call->err, -ENOENT,
			       "there is no such exemption");
}

/* The mark itself is not in the journal: it ends with the connection. */
static int on_mark(struct broker *b, struct call *call)
{
	const struct brokermsg_mark *m = call->request;

	if (!b->ops->rule_add)
		return no_rules(&call->err);
	if (call->along < 0 || (m->version != IPV4 && m->version != IPV6))
		return err_set(&call->err, -EINVAL,
			       "there is nothing to be marked");
	int r = add_rule_once(b, JOURNAL_RULE_MARK, (uint8_t)m->version,
			      BROKERMSG_EXEMPT_PRIORITY, &b->marked,
			      &call->err);
	return r < 0 ? r : b->ops->mark(b->ctx, call->along, &call->err);
}

/* The subnets routed into the device.  Returns their number. */
static size_t list_routes(const struct broker *b,
			  struct subnet ret_nets[BROKERMSG_ROUTES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < b->n_undo; i++)
		if (b->journal[i].kind == UNDO_ROUTE)
			ret_nets[n++] = b->journal[i].net;
	return n;
}

static uint8_t families_of(const struct subnet *nets, size_t n)
{
	uint8_t families = 0;

	for (size_t i = 0; i < n; i++)
		families |= nets[i].addr.version == IPV4 ? BROKER_FAMILY_4
							 : BROKER_FAMILY_6;
	return families;
}

static int on_forward(struct broker *b, struct call *call)
{
	const struct brokermsg_forward *m = call->request;
	struct broker_undo undo = {.kind = UNDO_FORWARD};
	struct subnet nets[BROKERMSG_ROUTES_MAX];
	size_t n = list_routes(b, nets);

	if (!b->ops->forward_add)
		return err_set(&call->err, -EOPNOTSUPP,
			       "the broker of the near side forwards nothing");
	if (m->flags & ~(uint32_t)BROKERMSG_FORWARD_ALL)
		return err_set(&call->err, -EINVAL,
			       "unknown flags of forwarding %#x", m->flags);
	if (n == 0)
		return err_set(&call->err, -EINVAL,
			       "there are no routes to forward for");
	int r = b->ops->forward_plan(b->ctx, &b->link, families_of(nets, n),
				     &b->forward, &call->err);
	if (r < 0)
		return r;
	journal_push(b, &undo);
	r = b->ops->forward_add(b->ctx, &b->forward, m->flags, nets, n,
				&call->err);
	if (r < 0) { /* perhaps half done */
		(void)b->ops->forward_del(b->ctx, &b->forward, NULL);
		journal_strike(b, b->n_undo - 1);
	}
	return r;
}

/* Asked for once more it is for the addresses that were added meanwhile. */
static int on_guard(struct broker *b, struct call *call)
{
	const struct brokermsg_guard *m = call->request;
	struct broker_guard guard = {.link = b->link, .flags = m->flags};
	bool is_first = b->n_of[UNDO_GUARD] == 0;
	struct broker_undo undo = {.kind = UNDO_GUARD};

	if (!b->ops->guard_add)
		return err_set(&call->err, -EOPNOTSUPP,
			       "the device of the far side has no addresses to "
			       "be guarded");
	if (m->flags & ~(uint32_t)BROKERMSG_GUARD_ALL)
		return err_set(&call->err, -EINVAL,
			       "unknown flags of a guard %#x", m->flags);
	for (size_t i = 0; i < b->n_undo; i++)
		if (b->journal[i].kind == UNDO_ADDR)
			guard.addrs[guard.n_addrs++] = b->journal[i].net.addr;
	if (is_first)
		journal_push(b, &undo);
	int r = b->ops->guard_add(b->ctx, &guard, &call->err);
	if (r < 0 && is_first)
		journal_strike(b, b->n_undo - 1);
	return r;
}

/* Not in the journal: it stays until somebody wants it lifted. */
static int on_kill_on(struct broker *b, struct call *call)
{
	struct broker_kill kill;
	int r = kill_policy_read(call->request, &kill, &call->err);

	if (!b->ops->kill_on)
		return err_set(&call->err, -EOPNOTSUPP,
			       "the far side has no kill switch");
	return r < 0 ? r : b->ops->kill_on(b->ctx, &kill, &call->err);
}

static int on_kill_off(struct broker *b, struct call *call)
{
	const struct brokermsg_kill_off *m = call->request;
	int r = kill_policy_check_name(m->name, &call->err);

	if (!b->ops->kill_off)
		return err_set(&call->err, -EOPNOTSUPP,
			       "the far side has no kill switch");
	return r < 0 ? r : b->ops->kill_off(b->ctx, m->name, &call->err);
}

/* Not in the journal: it ends with the connection. */
static int on_tune(struct broker *b, struct call *call)
{
	if (!b->ops->tune)
		return err_set(&call->err, -EOPNOTSUPP,
			       "the broker of the near side is beneath no SSH "
			       "connection");
	int r = b->ops->tune(b->ctx, call->reply->name, &call->err);
	memcpy(call->reply->text, call->err.text, sizeof(call->reply->text));
	return r;
}

/* What is asked of a server outside the tunnel is seen by all on the way. */
static int check_dns_server(const struct broker *b,
			    const struct brokermsg_dns_server *server,
			    struct err *err)
{
	struct ip_addr addr =
		addr_make((enum ip_version)server->version, server->bytes);
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < b->n_undo; i++) {
		const struct broker_undo *undo = &b->journal[i];

		if ((undo->kind == UNDO_ADDR || undo->kind == UNDO_ROUTE) &&
		    subnet_contains(&undo->net, &addr))
			return 0;
	}
	return err_set(err, -EPERM,
		       "the name server %s is not reached by the tunnel: it "
		       "is in none of its subnets",
		       addr_format(&addr, text));
}

static int on_dns_set(struct broker *b, struct call *call)
{
	const struct brokermsg_dns_set *m = call->request;
	const struct broker_undo undo = {.kind = UNDO_DNS};
	int r;

	if (!b->ops->dns_set)
		return err_set(&call->err, -EOPNOTSUPP,
			       "this broker has nothing to do with names");
	r = dnshost_msg_check(m, &call->err);
	for (uint32_t i = 0; r == 0 && i < m->n_servers; i++)
		r = check_dns_server(b, &m->servers[i], &call->err);
	if (r == 0 && b->n_of[UNDO_DNS] > 0)
		r = err_set(&call->err, -EEXIST,
			    "names are asked for in the tunnel already");
	if (r < 0)
		return r;
	journal_push(b, &undo);
	r = b->ops->dns_set(b->ctx, &b->link, m, call->reply->name, &call->err);
	if (r < 0)
		journal_strike(b, b->n_undo - 1);
	return r;
}

static int on_dns_clear(struct broker *b, struct call *call)
{
	for (size_t i = 0; i < b->n_undo; i++) {
		if (b->journal[i].kind != UNDO_DNS)
			continue;
		journal_strike(b, i);
		return b->ops->dns_clear(b->ctx, &b->link, &call->err);
	}
	return 0;
}

static int on_cleanup(struct broker *b, struct call *call)
{
	int r = -EOPNOTSUPP;

	(void)err_set(&call->err, r, "this broker keeps no records");
	if (b->ops->cleanup)
		r = b->ops->cleanup(b->ctx, &call->err);
	memcpy(call->reply->text, call->err.text, sizeof(call->reply->text));
	return r;
}

static int on_bye(struct broker *b, struct call *call)
{
	return broker_undo(b, &call->err);
}

static const struct request {
	size_t size_bytes; /* of the whole message */
	unsigned phases;   /* in which it is allowed */
	enum phase next;   /* after success; 0: the same */
	int (*handle)(struct broker *b, struct call *call);
} requests[BROKERMSG__N] = {
	[BROKERMSG_HELLO] = {sizeof(struct brokermsg_hello), PHASE_START,
			     PHASE_IDLE, on_hello},
	[BROKERMSG_TUN_CREATE] = {sizeof(struct brokermsg_tun_create),
				  PHASE_IDLE, PHASE_DOWN, on_tun_create},
	[BROKERMSG_ADDR_ADD] = {sizeof(struct brokermsg_addr),
				PHASE_DOWN | PHASE_UP, 0, on_addr_add},
	[BROKERMSG_LINK_UP] = {sizeof(struct brokermsg_head), PHASE_DOWN,
			       PHASE_UP, on_link_up},
	[BROKERMSG_ROUTE_ADD] = {sizeof(struct brokermsg_route), PHASE_UP, 0,
				 on_route_add},
	[BROKERMSG_ROUTE_DEL] = {sizeof(struct brokermsg_route), PHASE_UP, 0,
				 on_route_del},
	[BROKERMSG_BYE] = {sizeof(struct brokermsg_head),
			   PHASE_IDLE | PHASE_DOWN | PHASE_UP |
				   PHASE_FORWARDING,
			   PHASE_END, on_bye},
	[BROKERMSG_CLEANUP] = {sizeof(struct brokermsg_head), PHASE_IDLE, 0,
			       on_cleanup},
	[BROKERMSG_FORWARD] = {sizeof(struct brokermsg_forward), PHASE_UP,
			       PHASE_FORWARDING, on_forward},
	[BROKERMSG_EXEMPT_ADD] = {sizeof(struct brokermsg_exempt),
				  PHASE_DOWN | PHASE_UP, 0, on_exempt_add},
	[BROKERMSG_EXEMPT_DEL] = {sizeof(struct brokermsg_exempt),
				  PHASE_DOWN | PHASE_UP, 0, on_exempt_del},
	[BROKERMSG_MARK] = {sizeof(struct brokermsg_mark),
			    PHASE_DOWN | PHASE_UP, 0, on_mark},
	[BROKERMSG_TUNE] = {sizeof(struct brokermsg_head),
			    PHASE_IDLE | PHASE_DOWN | PHASE_UP |
				    PHASE_FORWARDING,
			    0, on_tune},
	[BROKERMSG_DNS_SET] = {sizeof(struct brokermsg_dns_set), PHASE_UP, 0,
			       on_dns_set},
	[BROKERMSG_DNS_CLEAR] = {sizeof(struct brokermsg_head), PHASE_UP, 0,
				 on_dns_clear},
	[BROKERMSG_KILL_ON] = {sizeof(struct brokermsg_kill_on), PHASE_IDLE, 0,
			       on_kill_on},
	[BROKERMSG_KILL_OFF] = {sizeof(struct brokermsg_kill_off),
				PHASE_IDLE | PHASE_DOWN | PHASE_UP, 0,
				on_kill_off},
	[BROKERMSG_GUARD] = {sizeof(struct brokermsg_guard),
			     PHASE_DOWN | PHASE_UP, 0, on_guard},
};

/* Find what a well-formed request is to be answered by, or NULL with err. */
static const struct request *find_request(const struct broker *b, uint32_t type,
					  size_t len, int along,
					  struct err *err)
{
	const struct request *q =
		type < BROKERMSG__N ? &requests[type] : &requests[0];
	const char *crime = NULL;

	if (along == FD_MSG_OTHER || (along >= 0 && type != BROKERMSG_MARK))
		crime = "with a descriptor";
	else if (!q->handle)
		crime = "of unknown type";
	else if (len != q->size_bytes)
		crime = "of wrong size";
	else if (!(q->phases & b->phase))
		crime = "out of order";
	if (!crime)
		return q;
	(void)err_set(err, -EPROTO, "request %u %s (%zu bytes)", type, crime,
		      len);
	return NULL;
}

enum broker_verdict broker_handle(struct broker *b, const void *request,
				  size_t len, int along,
				  struct brokermsg_reply *ret_reply,
				  int *ret_fd)
{
	struct call call = {.request = request,
			    .reply = ret_reply,
			    .along = along,
			    .fd = -1};
	struct brokermsg_head head = {0};
	int r = -EPROTO;

	memset(ret_reply, 0, sizeof(*ret_reply));
	if (len >= sizeof(head))
		memcpy(&head, request, sizeof(head));
	ret_reply->type = head.type;
	const struct request *q =
		find_request(b, head.type, len, along, &call.err);
	if (q)
		r = q->handle(b, &call);
	if (r < 0)
		memcpy(ret_reply->text, call.err.text, sizeof(ret_reply->text));
	else if (q->next != 0)
		b->phase = q->next;
	ret_reply->result = r;
	*ret_fd = call.fd;
	/* A broker that said no to HELLO, and one that said goodbye, has
	 * nothing more to say, whatever came of it. */
	if (!q || b->phase == PHASE_START || head.type == BROKERMSG_BYE)
		b->phase = PHASE_END;
	return b->phase == PHASE_END ? BROKER_END : BROKER_GO_ON;
}

/*
 * The socket
 */

/* Say why this is the end, though nobody asked. */
static void send_last_words(int sock, int why, const struct err *err)
{
	struct brokermsg_reply reply = {.result = why};

	memcpy(reply.text, err->text, sizeof(reply.text));
	(void)fd_msg_send(sock, &reply, sizeof(reply), FD_MSG_NOTHING);
}

/* Wait for a request.  Returns false if an alarm went off instead. */
static bool await_request(int sock, const struct broker_alarm *alarms, size_t n)
{
	struct pollfd p[1 + ALARMS_MAX] = {{.fd = sock, .events = POLLIN}};
	struct err err;

	assert_always(n <= ALARMS_MAX);
	while (n > 0) {
		for (size_t i = 0; i < n; i++)
			p[1 + i] = (struct pollfd){.fd = *alarms[i].fd,
						   .events = POLLIN};
		if (poll(p, 1 + n, -1) < 0 && errno != EINTR)
			return false;
		for (size_t i = 0; i < n; i++) {
			int r = p[1 + i].revents == 0
					? 0
					: alarms[i].on_input(alarms[i].ctx,
							     &err);
			if (r < 0) {
				send_last_words(sock, r, &err);
				return false;
			}
		}
		if (p[0].revents != 0)
			break;
	}
	return true;
}

void broker_ignore_signals(void)
{
	static const int signals[] = {SIGINT,  SIGTERM, SIGHUP, SIGQUIT,
				      SIGPIPE, SIGTSTP, SIGTTOU};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_IGN);
}

void broker_serve(struct broker *b, int sock, const struct broker_alarm *alarms,
		  size_t n_alarms)
{
	enum broker_verdict verdict = BROKER_GO_ON;
	struct err err;

	while (verdict == BROKER_GO_ON &&
	       await_request(sock, alarms, n_alarms)) {
		_Alignas(uint64_t)
			uint8_t request[sizeof(struct brokermsg_dns_set)];
		struct brokermsg_reply reply;
		int along CLEANUP_FD = -1, fd CLEANUP_FD = -1;
		ssize_t n =
			fd_msg_receive(sock, request, sizeof(request), &along);

		if (n <= 0)
			break;
		verdict = broker_handle(b, request, (size_t)n, along, &reply,
					&fd);
		if (fd_msg_send(sock, &reply, sizeof(reply), fd) < 0)
			break;
	}
	if (broker_undo(b, &err) < 0)
		log_warn("%s, ignoring", err.text);
}
