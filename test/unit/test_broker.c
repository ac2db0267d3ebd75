/* SPDX-License-Identifier: MIT */
/*
 * test_broker: src/priv/, the broker's rules on an imaginary kernel, then the
 * real broker and its client in a network namespace of the test's own (skipped
 * where there can be none).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "broker_client.h"
#include "fd.h"
#include "fd_msg.h"
#include "record.h"
#include "rtnl.h"
#include "tun.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* The largest request. */
enum { REQUEST_WORDS = sizeof(struct brokermsg_dns_set) / 4 };

/*
 * The imaginary kernel: writes down what it is asked for.
 */

struct fake {
	char log[4096]; /* "route+ 10.0.0.0/8; ..." */
	int fail;	/* negative errno for the next change, then 0 */
	int fail_after; /* so many more succeed, then one fails; 0: off */
	bool is_next_failing;
	unsigned n_left; /* by the dead */
	bool is_link_foreign;
	struct record *mirror; /* borrowed; NULL: nobody keeps a copy */
};

static int note(struct fake *k, struct err *err, const char *what,
		const char *arg)
{
	size_t len = strlen(k->log);
	int r = k->fail;

	if (k->fail_after > 0 && k->fail_after-- == 1)
		k->is_next_failing = true;
	else if (k->is_next_failing) {
		k->is_next_failing = false;
		r = -EIO;
	}
	(void)snprintf(k->log + len, sizeof(k->log) - len, "%s%s%s; ", what,
		       arg[0] ? " " : "", arg);
	k->fail = 0;
	return r < 0 ? err_set(err, r, "the kernel does not like %s", what) : 0;
}

static int fake_tun_create(void *ctx, const struct brokermsg_tun *tun,
			   struct journal_link *ret_link,
			   uint32_t *ret_offloads, int *ret_fd, struct err *err)
{
	struct fake *k = ctx;
	struct journal_link link = {.ifindex = 7};
	char arg[64];

	(void)snprintf(arg, sizeof(arg), "%s %u", tun->name, tun->mtu_bytes);
	int r = note(k, err, "tun", arg);
	if (r < 0)
		return r;
	(void)snprintf(link.name, sizeof(link.name), "%s",
		       strcmp(tun->name, "ecssh%d") == 0 ? "ecssh0"
							 : tun->name);
	*ret_link = link;
	*ret_offloads = tun->offloads & TUN_OFFLOAD_CSUM;
	*ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return 0;
}

static int fake_link_up(void *ctx, const struct journal_link *link,
			struct err *err)
{
	assert_int_equal(link->ifindex, 7);
	return note(ctx, err, "up", "");
}

static bool fake_link_is_ours(void *ctx, const struct journal_link *link)
{
	const struct fake *k = ctx;

	assert_int_equal(link->ifindex, 7);
	return !k->is_link_foreign;
}

static void write_rule(const struct journal_rule *rule, char arg[128])
{
	static const char *const kinds[] = {"tunnel", "exempt", "mark"};

	char local[ADDR_TEXT_MAX] = "any", remote[ENDPOINT_TEXT_MAX];
	int len = snprintf(arg, 128, "%s%u %u", kinds[rule->kind],
			   rule->version, rule->priority);

	if (rule->kind == JOURNAL_RULE_EXEMPT) {
		if (rule->local.version)
			(void)addr_format(&rule->local, local);
		(void)snprintf(arg + len, 128 - (size_t)len, " %s %u-%u %s%s",
			       local, rule->from.first, rule->from.last,
			       endpoint_format(&rule->remote, remote),
			       rule->has_uid ? " uid" : "");
	}
}

static void write_guard(const struct journal_change *change, char arg[128])
{
	const struct journal_guard *guard = &change->guard;
	size_t len = (size_t)snprintf(arg, 128, "%s %u", change->link.name,
				      guard->flags);

	for (size_t i = 0; i < guard->n_addrs; i++) {
		char text[ADDR_TEXT_MAX];

		len += (size_t)snprintf(arg + len, 128 - len, " %s",
					addr_format(&guard->addrs[i], text));
	}
}

/* "addr+ 10.0.0.1", or with '-'. */
static int note_change(struct fake *k, const struct journal_change *change,
		       char sign, struct err *err)
{
	static const char *const kinds[] = {
		[CHANGE_LINK] = "link",	  [CHANGE_ADDR] = "addr",
		[CHANGE_ROUTE] = "route", [CHANGE_RULE] = "rule",
		[CHANGE_DNS] = "rules",	  [CHANGE_NAMES] = "dns",
		[CHANGE_GUARD] = "guard", [CHANGE_FORWARD] = "forward"};
	char what[16], arg[128] = "";

	assert_int_equal(change->link.ifindex, 7);
	(void)snprintf(what, sizeof(what), "%s%c", kinds[change->kind], sign);
	if (change->kind == CHANGE_ADDR)
		(void)addr_format(&change->net.addr, arg);
	else if (change->kind == CHANGE_ROUTE)
		(void)subnet_format(&change->net, arg);
	else if (change->kind == CHANGE_RULE)
		write_rule(&change->rule, arg);
	else if (change->kind == CHANGE_GUARD && sign == '+')
		write_guard(change, arg);
	else if (change->kind == CHANGE_GUARD || change->kind == CHANGE_FORWARD)
		(void)snprintf(arg, sizeof(arg), "%s", change->link.name);
	return note(k, err, what, arg);
}

static int fake_apply(void *ctx, const struct journal_change *change,
		      bool is_undo, struct err *err)
{
	assert_true(is_undo || (change->kind != CHANGE_LINK &&
				change->kind != CHANGE_NAMES &&
				change->kind != CHANGE_FORWARD));
	return note_change(ctx, change, is_undo ? '-' : '+', err);
}

static int fake_mark(void *ctx, int fd, struct err *err)
{
	char arg[16];

	(void)snprintf(arg, sizeof(arg), "%d", fd);
	return note(ctx, err, "mark", arg);
}

static int fake_cleanup(void *ctx, struct err *said)
{
	struct fake *k = ctx;

	if (k->n_left == 0)
		return err_set(said, -ENOENT, "there is nothing to clean up");
	k->n_left--;
	int r = note(k, said, "cleanup", "");
	return r < 0 ? r : err_set(said, 0, "a rule");
}

static int fake_forward_plan(void *ctx, const struct journal_link *link,
			     uint8_t families, struct err *err)
{
	char arg[64];

	(void)snprintf(arg, sizeof(arg), "%s %u", link->name, families);
	return note(ctx, err, "plan", arg);
}

static int fake_forward_add(void *ctx, uint32_t flags,
			    const struct subnet *nets, size_t n,
			    struct err *err)
{
	char arg[256];
	size_t len = (size_t)snprintf(arg, sizeof(arg), "%u", flags);

	for (size_t i = 0; i < n; i++) {
		char text[SUBNET_TEXT_MAX];

		len += (size_t)snprintf(arg + len, sizeof(arg) - len, " %s",
					subnet_format(&nets[i], text));
	}
	return note(ctx, err, "forward+", arg);
}

static int fake_kill(void *ctx, const struct brokermsg_request *request,
		     struct err *err)
{
	bool is_on = request->type == BROKERMSG_KILL_ON;

	return note(ctx, err, is_on ? "kill+" : "kill-", request->kill.name);
}

static int fake_tune(void *ctx, char name[BROKERMSG_NAME_MAX], struct err *err)
{
	(void)snprintf(name, BROKERMSG_NAME_MAX, "cubic");
	int r = note(ctx, err, "tune", "");

	return r < 0 ? r : err_set(err, 0, "looked");
}

static int fake_dns_set(void *ctx, const struct journal_link *link,
			const struct brokermsg_dns_set *dns,
			char ret_way[BROKERMSG_NAME_MAX], struct err *err)
{
	assert_int_equal(link->ifindex, 7);
	(void)snprintf(ret_way, BROKERMSG_NAME_MAX, "way");
	return note(ctx, err, "dns+", dns->n_domains ? dns->domains[0] : "");
}

/* The keeper: another record. */
static void fake_note(void *ctx, const struct broker_note *n)
{
	struct fake *k = ctx;

	if (k->mirror)
		record_mirror(k->mirror, n);
}

/* What one side's table does not name is not asked for. */
#define FAKE_OPS(side)                                                         \
	{                                                                      \
		.requests = (side), .tun_create = fake_tun_create,             \
		.link_up = fake_link_up, .link_is_ours = fake_link_is_ours,    \
		.apply = fake_apply, .mark = fake_mark,                        \
		.cleanup = fake_cleanup, .forward_plan = fake_forward_plan,    \
		.forward_add = fake_forward_add, .kill = fake_kill,            \
		.tune = fake_tune, .dns_set = fake_dns_set, .note = fake_note, \
	}

static const struct broker_ops fake_ops = FAKE_OPS(broker_near_requests);
static const struct broker_ops fake_far_ops = FAKE_OPS(broker_far_requests);

struct rig {
	struct fake kernel;
	struct broker *broker;
	struct brokermsg_reply reply; /* the last one */
	enum broker_verdict verdict;  /* likewise */
};

static int setup_with(void **state, const struct broker_ops *ops)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (!rig)
		return -1;
	rig->broker = broker_new(ops, &rig->kernel, 0, NULL);
	*state = rig;
	return rig->broker ? 0 : -1;
}

static int setup(void **state)
{
	return setup_with(state, &fake_ops);
}

static int setup_far(void **state)
{
	return setup_with(state, &fake_far_ops);
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	(void)broker_free(rig->broker);
	free(rig);
	return 0;
}

static int ask(struct rig *rig, const void *request, size_t len)
{
	int fd;

	rig->verdict =
		broker_handle(rig->broker, request, len, -1, &rig->reply, &fd);
	assert_int_equal(fd >= 0, rig->reply.type == BROKERMSG_TUN_CREATE &&
					  rig->reply.result == 0);
	fd_close(&fd);
	/* A refusal has its sentence, and nothing else has one. */
	assert_int_equal(rig->reply.result < 0 ||
				 rig->reply.type == BROKERMSG_TUNE ||
				 rig->reply.type == BROKERMSG_CLEANUP,
			 rig->reply.text[0] != '\0');
	assert_non_null(memchr(rig->reply.text, '\0', sizeof(rig->reply.text)));
	return rig->reply.result;
}

static int ask_hello(struct rig *rig, uint32_t version)
{
	struct brokermsg_hello m = {BROKERMSG_HELLO, version};

	return ask(rig, &m, sizeof(m));
}

static int ask_tun(struct rig *rig, const char *name, uint32_t mtu_bytes,
		   uint32_t offloads)
{
	struct brokermsg_tun_create m = {.type = BROKERMSG_TUN_CREATE,
					 .mtu_bytes = mtu_bytes,
					 .offloads = offloads};

	memcpy(m.name, name, strnlen(name, sizeof(m.name)));
	return ask(rig, &m, sizeof(m));
}

static int ask_addr(struct rig *rig, const char *text)
{
	struct brokermsg_addr m = {.type = BROKERMSG_ADDR_ADD};
	struct ip_addr addr;

	assert_int_equal(addr_parse(text, &addr), 0);
	m.version = addr.version;
	memcpy(m.bytes, addr.bytes, sizeof(m.bytes));
	return ask(rig, &m, sizeof(m));
}

static int ask_plain(struct rig *rig, uint32_t type)
{
	struct brokermsg_head m = {type};

	return ask(rig, &m, sizeof(m));
}

static int ask_route(struct rig *rig, uint32_t type, const char *addr_text,
		     uint32_t prefix_len)
{
	struct brokermsg_route m = {.type = type, .prefix_len = prefix_len};
	struct ip_addr addr;

	assert_int_equal(addr_parse(addr_text, &addr), 0);
	m.version = addr.version;
	memcpy(m.bytes, addr.bytes, sizeof(m.bytes));
	return ask(rig, &m, sizeof(m));
}

static int ask_forward(struct rig *rig, uint32_t flags)
{
	struct brokermsg_forward m = {BROKERMSG_FORWARD, flags};

	return ask(rig, &m, sizeof(m));
}

/* As far as a device that is up. */
static struct rig *rig_up(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(ask_hello(rig, BROKERMSG_VERSION), 0);
	assert_int_equal(ask_tun(rig, "", 1500, TUN_OFFLOAD_ALL), 0);
	assert_int_equal(ask_plain(rig, BROKERMSG_LINK_UP), 0);
	rig->kernel.log[0] = '\0';
	return rig;
}

static void go_forwarding(struct rig *rig)
{
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "198.18.0.9", 32),
			 0);
	assert_int_equal(ask_forward(rig, BROKERMSG_FORWARD_NAT), 0);
}

static void broker_forwards_for_its_routes_and_undoes_that_first(void **state)
{
	struct rig *rig = rig_up(state);

	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "198.18.0.9", 32),
			 0);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "fd00::9", 128),
			 0);
	assert_int_equal(ask_forward(rig, BROKERMSG_FORWARD_ALL), 0);
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_string_equal(rig->kernel.log,
			    "route+ 198.18.0.9/32; route+ fd00::9/128; "
			    "plan ecssh0 3; "
			    "forward+ 3 198.18.0.9/32 fd00::9/128; "
			    "forward- ecssh0; route- fd00::9/128; "
			    "route- 198.18.0.9/32; link-; ");
}

static void broker_stops_forwarding_though_the_device_is_gone(void **state)
{
	struct rig *rig = rig_up(state);

	go_forwarding(rig);
	rig->kernel.log[0] = '\0';
	rig->kernel.is_link_foreign = true;
	assert_int_equal(broker_undo(rig->broker, NULL), 0);
	assert_string_equal(rig->kernel.log, "forward- ecssh0; ");
}

static void broker_undoes_half_a_forwarding(void **state)
{
	struct rig *rig = rig_up(state);

	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "198.18.0.9", 32),
			 0);
	rig->kernel.fail = -EACCES; /* already the plan */
	assert_int_equal(ask_forward(rig, 0), -EACCES);
	assert_null(strstr(rig->kernel.log, "forward"));
	rig->kernel.fail_after = 1;
	assert_int_equal(ask_forward(rig, 0), -EIO);
	assert_non_null(strstr(rig->kernel.log,
			       "forward+ 0 198.18.0.9/32; forward- ecssh0; "));
	/* It may be tried again, and is undone once. */
	rig->kernel.log[0] = '\0';
	assert_int_equal(ask_forward(rig, 0), 0);
	assert_int_equal(broker_undo(rig->broker, NULL), 0);
	char *first = strstr(rig->kernel.log, "forward-");
	assert_non_null(first);
	assert_null(strstr(first + 1, "forward-"));
}

static void broker_tunes_and_has_nothing_to_undo(void **state)
{
	struct rig *rig = rig_up(state);

	rig->kernel.fail = -EPERM;
	assert_int_equal(ask_plain(rig, BROKERMSG_TUNE), -EPERM);
	assert_int_equal(rig->verdict, BROKER_GO_ON);
	assert_string_equal(rig->reply.name, "cubic");
	assert_int_equal(ask_plain(rig, BROKERMSG_TUNE), 0);
	assert_string_equal(rig->reply.text, "looked");
	rig->kernel.log[0] = '\0';
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_string_equal(rig->kernel.log, "link-; ");
}

static int ask_dns(struct rig *rig, const char *server, const char *domain)
{
	struct brokermsg_dns_set m = {.type = BROKERMSG_DNS_SET,
				      .mode = BROKERMSG_DNS_ALL,
				      .n_servers = 1};
	struct ip_addr addr;

	assert_int_equal(addr_parse(server, &addr), 0);
	m.servers[0].version = addr.version;
	memcpy(m.servers[0].bytes, addr.bytes, sizeof(addr.bytes));
	if (domain) {
		m.n_domains = 1;
		(void)snprintf(m.domains[0], sizeof(m.domains[0]), "%s",
			       domain);
	}
	return ask(rig, &m, sizeof(m));
}

static void broker_points_names_at_the_tunnel_and_back_first(void **state)
{
	struct rig *rig = rig_up(state);

	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8), 0);
	rig->kernel.log[0] = '\0';
	assert_int_equal(ask_dns(rig, "10.1.2.3", "corp.example"), 0);
	assert_string_equal(rig->reply.name, "way");
	assert_int_equal(ask_dns(rig, "10.1.2.3", NULL), -EEXIST);
	assert_int_equal(ask_plain(rig, BROKERMSG_DNS_CLEAR), 0);
	assert_int_equal(ask_plain(rig, BROKERMSG_DNS_CLEAR), 0);
	assert_int_equal(ask_dns(rig, "10.1.2.3", NULL), 0);
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_ptr_equal(strstr(rig->kernel.log,
				"rules+; dns+ corp.example; dns-; rules-; "
				"rules+; dns+; dns-; rules-; route- "),
			 rig->kernel.log);
}

static void broker_undoes_names_though_the_device_is_gone(void **state)
{
	struct rig *rig = rig_up(state);

	assert_int_equal(ask_addr(rig, "10.1.2.3"), 0);
	assert_int_equal(ask_dns(rig, "10.1.2.3", NULL), 0);
	rig->kernel.is_link_foreign = true;
	rig->kernel.log[0] = '\0';
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_string_equal(rig->kernel.log, "dns-; rules-; ");
}

static void broker_forbids_nothing_when_names_are_split(void **state)
{
	struct brokermsg_dns_set m = {.type = BROKERMSG_DNS_SET,
				      .mode = BROKERMSG_DNS_SPLIT,
				      .n_servers = 1,
				      .n_domains = 1,
				      .servers = {{4, {10, 1, 2, 3}}},
				      .domains = {"corp.example"}};
	struct rig *rig = rig_up(state);

	assert_int_equal(ask_addr(rig, "10.1.2.3"), 0);
	rig->kernel.log[0] = '\0';
	assert_int_equal(ask(rig, &m, sizeof(m)), 0);
	assert_int_equal(ask_plain(rig, BROKERMSG_DNS_CLEAR), 0);
	assert_string_equal(rig->kernel.log, "dns+ corp.example; dns-; ");
}

static void broker_forgets_names_that_failed(void **state)
{
	struct rig *rig = rig_up(state);

	assert_int_equal(ask_addr(rig, "10.1.2.3"), 0);
	rig->kernel.log[0] = '\0';
	rig->kernel.fail_after = 1; /* not the rules */
	assert_int_equal(ask_dns(rig, "10.1.2.3", NULL), -EIO);
	assert_string_equal(rig->kernel.log, "rules+; dns+; rules-; ");
	/* And what cannot be undone is tried once. */
	assert_int_equal(ask_dns(rig, "10.1.2.3", NULL), 0);
	rig->kernel.log[0] = '\0';
	rig->kernel.fail = -ESTALE;
	assert_int_equal(ask_plain(rig, BROKERMSG_DNS_CLEAR), -ESTALE);
	assert_int_equal(ask_plain(rig, BROKERMSG_DNS_CLEAR), 0);
	assert_string_equal(rig->kernel.log, "dns-; rules-; ");
}

static void broker_asks_no_server_outside_the_tunnel(void **state)
{
	struct rig *rig = rig_up(state);

	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8), 0);
	rig->kernel.log[0] = '\0';
	assert_int_equal(ask_dns(rig, "192.0.2.1", NULL), -EPERM);
	assert_int_equal(ask_dns(rig, "fd00::1", NULL), -EPERM);
	assert_int_equal(ask_dns(rig, "127.0.0.1", NULL), -EINVAL);
	assert_int_equal(ask_dns(rig, "10.1.2.3", "a..b"), -EINVAL);
	assert_int_equal(ask_dns(rig, "10.1.2.3", "a\nb"), -EINVAL);
	rig->kernel.fail = -EOPNOTSUPP;
	assert_int_equal(ask_dns(rig, "10.1.2.3", "b"), -EOPNOTSUPP);
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_ptr_equal(strstr(rig->kernel.log, "rules+; route- "),
			 rig->kernel.log);
}

static void broker_refuses_to_forward_what_it_does_not_know(void **state)
{
	struct rig *rig = rig_up(state);

	assert_int_equal(ask_forward(rig, 0), -EINVAL); /* no route */
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "198.18.0.9", 32),
			 0);
	assert_int_equal(ask_forward(rig, BROKERMSG_FORWARD_ALL + 1), -EINVAL);
	assert_null(strstr(rig->kernel.log, "plan"));
	assert_int_equal(rig->verdict, BROKER_GO_ON);
}

static int ask_guard(struct rig *rig, uint32_t flags)
{
	struct brokermsg_guard m = {BROKERMSG_GUARD, flags};

	return ask(rig, &m, sizeof(m));
}

static void broker_guards_the_addresses_of_its_device(void **state)
{
	struct rig *rig = rig_up(state);

	assert_int_equal(ask_addr(rig, "198.18.0.1"), 0);
	assert_int_equal(ask_guard(rig, 0), 0);
	assert_int_equal(ask_addr(rig, "fd00::1"), 0);
	assert_int_equal(ask_guard(rig, BROKERMSG_GUARD_ANNOUNCED), 0);
	assert_int_equal(ask_guard(rig, 2), -EINVAL);
	assert_string_equal(rig->kernel.log,
			    "addr+ 198.18.0.1; guard+ ecssh0 0 198.18.0.1; "
			    "addr+ fd00::1; guard+ ecssh0 1 198.18.0.1 "
			    "fd00::1; ");
	/* It outlives the device, and is one. */
	rig->kernel.is_link_foreign = true;
	rig->kernel.log[0] = '\0';
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_string_equal(rig->kernel.log, "guard- ecssh0; ");
}

static void broker_forgets_a_guard_that_failed(void **state)
{
	struct rig *rig = rig_up(state);

	rig->kernel.fail = -ENOENT;
	assert_int_equal(ask_guard(rig, 0), -ENOENT);
	rig->kernel.log[0] = '\0';
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_string_equal(rig->kernel.log, "link-; ");
}

static void broker_leaves_a_kill_switch_in_force(void **state)
{
	struct brokermsg_kill_on on = {
		.type = BROKERMSG_KILL_ON,
		.n_gateways = 1,
		.name = "gw",
		.gateways = {{.version = 4, .port = 22, .bytes = {192, 0, 2}}},
	};
	struct brokermsg_kill_off off = {BROKERMSG_KILL_OFF, "gw"};
	struct rig *rig = *state;

	assert_int_equal(ask_hello(rig, BROKERMSG_VERSION), 0);
	assert_int_equal(ask(rig, &on, sizeof(on)), 0);
	assert_int_equal(ask_tun(rig, "", 1500, 0), 0);
	assert_int_equal(ask(rig, &off, sizeof(off)), 0);
	off.name[0] = '-';
	assert_int_equal(ask(rig, &off, sizeof(off)), -EINVAL);
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_string_equal(rig->kernel.log,
			    "kill+ gw; tun ecssh%d 1500; kill- gw; link-; ");
}

/* The keeper's record of changes to another kernel. */
static struct record *new_mirror(const struct broker_ops *ops,
				 struct fake *kernel)
{
	struct record *mirror = calloc(1, sizeof(*mirror));

	assert_non_null(mirror);
	mirror->ops = ops;
	mirror->ctx = kernel;
	return mirror;
}

static void keeper_undoes_what_the_broker_has_not(void **state)
{
	struct rig *rig = *state;
	struct fake kernel = {0};
	struct record *mirror = new_mirror(&fake_ops, &kernel);

	rig->kernel.mirror = mirror;
	(void)rig_up(state);
	assert_int_equal(ask_addr(rig, "198.18.1.1"), 0);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8), 0);
	rig->kernel.fail = -EEXIST;
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "11.0.0.0", 8),
			 -EEXIST);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "12.0.0.0", 8), 0);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_DEL, "10.0.0.0", 8), 0);
	/* As if the broker were killed here. */
	assert_int_equal(record_undo(mirror, NULL), 0);
	assert_string_equal(kernel.log, "route- 12.0.0.0/8; "
					"rule- tunnel4 5107; "
					"addr- 198.18.1.1; link-; ");
	free(mirror);
}

static void keeper_has_nothing_to_do_after_the_brokers_own_undo(void **state)
{
	struct rig *rig = *state;
	struct fake kernel = {0};
	struct record *mirror = new_mirror(&fake_far_ops, &kernel);

	rig->kernel.mirror = mirror;
	(void)rig_up(state);
	go_forwarding(rig);
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_int_equal(record_undo(mirror, NULL), 0);
	assert_string_equal(kernel.log, "");
	free(mirror);
}

static void keeper_stops_forwarding(void **state)
{
	struct rig *rig = *state;
	struct fake kernel = {0};
	struct record *mirror = new_mirror(&fake_far_ops, &kernel);

	rig->kernel.mirror = mirror;
	(void)rig_up(state);
	go_forwarding(rig);
	assert_int_equal(record_undo(mirror, NULL), 0);
	assert_string_equal(kernel.log, "forward- ecssh0; "
					"route- 198.18.0.9/32; link-; ");
	free(mirror);
}

/* A note that no broker sends changes nothing. */
static void keeper_ignores_what_does_not_fit(void **state)
{
	struct fake kernel = {0};
	struct record *mirror = new_mirror(&fake_ops, &kernel);
	struct broker_note strike = {.is_strike = true, .index = 3};
	struct broker_note unknown = {.change = {.kind = CHANGE__N}};

	(void)state;
	record_mirror(mirror, &strike);
	record_mirror(mirror, &unknown);
	assert_int_equal(record_undo(mirror, NULL), 0);
	assert_string_equal(kernel.log, "");
	free(mirror);
}

/* Each side answers its own requests. */
static void broker_refuses_what_is_the_other_sides(void **state)
{
	struct brokermsg_guard guard = {BROKERMSG_GUARD, 0};
	struct rig *near_rig = rig_up(state);
	void *own = NULL;

	assert_int_equal(ask_forward(near_rig, 0), -EOPNOTSUPP);
	assert_int_equal(ask_plain(near_rig, BROKERMSG_TUNE), -EOPNOTSUPP);
	assert_int_equal(near_rig->verdict, BROKER_GO_ON);
	assert_int_equal(setup_far(&own), 0);
	struct rig *far_rig = rig_up(&own);
	assert_int_equal(ask_addr(far_rig, "10.0.0.1"), -EOPNOTSUPP);
	assert_int_equal(ask(far_rig, &guard, sizeof(guard)), -EOPNOTSUPP);
	assert_int_equal(ask_plain(far_rig, BROKERMSG_DNS_CLEAR), -EOPNOTSUPP);
	assert_int_equal(far_rig->verdict, BROKER_GO_ON);
	assert_string_equal(far_rig->kernel.log, "");
	(void)teardown(&own);
}

static void broker_answers_a_tunnels_life(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(ask_hello(rig, BROKERMSG_VERSION), 0);
	assert_int_equal(rig->reply.version, BROKERMSG_VERSION);
	assert_int_equal(ask_tun(rig, "", 1500, TUN_OFFLOAD_ALL), 0);
	assert_int_equal(rig->reply.ifindex, 7);
	assert_int_equal(rig->reply.offloads, TUN_OFFLOAD_CSUM);
	assert_string_equal(rig->reply.name, "ecssh0");
	assert_int_equal(ask_addr(rig, "198.18.1.1"), 0);
	assert_int_equal(ask_addr(rig, "fd00::1"), 0);
	assert_int_equal(ask_plain(rig, BROKERMSG_LINK_UP), 0);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8), 0);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "fd77::", 64), 0);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "0.0.0.0", 0), 0);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_DEL, "10.0.0.0", 8), 0);
	assert_int_equal(rig->verdict, BROKER_GO_ON);
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_int_equal(rig->verdict, BROKER_END);
	assert_string_equal(rig->kernel.log,
			    "tun ecssh%d 1500; addr+ 198.18.1.1; "
			    "addr+ fd00::1; up; rule+ tunnel4 5107; "
			    "route+ 10.0.0.0/8; rule+ tunnel6 5107; "
			    "route+ fd77::/64; route+ 0.0.0.0/0; "
			    "route- 10.0.0.0/8; route- 0.0.0.0/0; "
			    "route- fd77::/64; rule- tunnel6 5107; "
			    "rule- tunnel4 5107; addr- fd00::1; "
			    "addr- 198.18.1.1; link-; ");
	/* Nothing is left to be undone twice. */
	assert_int_equal(broker_undo(rig->broker, NULL), 0);
	assert_null(strstr(strstr(rig->kernel.log, "link-; ") + 1, "link-"));
}

static void broker_says_which_version_it_speaks(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(ask_hello(rig, 2), -EPROTONOSUPPORT);
	assert_int_equal(rig->verdict, BROKER_END);
	assert_int_equal(rig->reply.version, BROKERMSG_VERSION);
	assert_non_null(strstr(rig->reply.text, "version 2"));
	assert_int_equal(ask_hello(rig, BROKERMSG_VERSION), -EPROTO);
}

static void broker_that_is_not_ready_says_why(void **state)
{
	struct rig *rig = *state;
	struct err why = {"no TUN device here"};

	(void)broker_free(rig->broker);
	rig->broker = broker_new(&fake_ops, &rig->kernel, -ENODEV, &why);
	assert_int_equal(ask_hello(rig, BROKERMSG_VERSION), -ENODEV);
	assert_string_equal(rig->reply.text, "no TUN device here");
	assert_int_equal(rig->verdict, BROKER_END);
	assert_int_equal(ask_tun(rig, "", 1500, 0), -EPROTO);
	assert_string_equal(rig->kernel.log, "");
}

/* Of the whole requests. */
static const size_t request_sizes[BROKERMSG__N] = {
	0,
	8,
	28,
	24,
	4,
	28,
	28,
	4,
	8,
	4,
	56,
	56,
	8,
	[BROKERMSG_CLEANUP] = 4,
	[BROKERMSG_DNS_SET] = 4172,
	[BROKERMSG_DNS_CLEAR] = 4,
	[BROKERMSG_KILL_ON] = 1272,
	[BROKERMSG_KILL_OFF] = 52,
	[BROKERMSG_KILL_LOOK] = 52,
	[BROKERMSG_GUARD] = 8,
};

/* Which request is allowed when, as doc/PROTOCOL.broker has it. */
static void check_phases(bool is_far)
{
	enum { START, IDLE, DOWN, UP, FORWARDING, PHASES };
	enum { NEAR = 1, FAR = 2, BOTH = 3 };
	static const int allowed[PHASES][BROKERMSG__N] = {
		[START] = {[BROKERMSG_HELLO] = BOTH},
		[IDLE] = {[BROKERMSG_TUN_CREATE] = BOTH,
			  [BROKERMSG_KILL_ON] = NEAR,
			  [BROKERMSG_KILL_OFF] = NEAR,
			  [BROKERMSG_KILL_LOOK] = NEAR,
			  [BROKERMSG_TUNE] = FAR,
			  [BROKERMSG_CLEANUP] = NEAR,
			  [BROKERMSG_BYE] = BOTH},
		[DOWN] = {[BROKERMSG_ADDR_ADD] = NEAR,
			  [BROKERMSG_GUARD] = NEAR,
			  [BROKERMSG_KILL_OFF] = NEAR,
			  [BROKERMSG_LINK_UP] = BOTH,
			  [BROKERMSG_EXEMPT_ADD] = NEAR,
			  [BROKERMSG_EXEMPT_DEL] = NEAR,
			  [BROKERMSG_MARK] = NEAR,
			  [BROKERMSG_TUNE] = FAR,
			  [BROKERMSG_BYE] = BOTH},
		[UP] = {[BROKERMSG_ADDR_ADD] = NEAR,
			[BROKERMSG_EXEMPT_ADD] = NEAR,
			[BROKERMSG_EXEMPT_DEL] = NEAR,
			[BROKERMSG_MARK] = NEAR,
			[BROKERMSG_GUARD] = NEAR,
			[BROKERMSG_KILL_OFF] = NEAR,
			[BROKERMSG_ROUTE_ADD] = BOTH,
			[BROKERMSG_ROUTE_DEL] = BOTH,
			[BROKERMSG_FORWARD] = FAR,
			[BROKERMSG_TUNE] = FAR,
			[BROKERMSG_DNS_SET] = NEAR,
			[BROKERMSG_DNS_CLEAR] = NEAR,
			[BROKERMSG_BYE] = BOTH},
		[FORWARDING] = {[BROKERMSG_TUNE] = FAR, [BROKERMSG_BYE] = BOTH},
	};
	const struct broker_request *ours =
		is_far ? broker_far_requests : broker_near_requests;

	for (int phase = START; phase < (is_far ? PHASES : FORWARDING);
	     phase++) {
		for (uint32_t type = 0; type < BROKERMSG__N + 3; type++) {
			uint32_t request[REQUEST_WORDS] = {type};
			size_t len =
				type < BROKERMSG__N ? request_sizes[type] : 4;
			bool is_ours = type < BROKERMSG__N && ours[type].handle;
			void *own = NULL;

			assert_int_equal(is_far ? setup_far(&own) : setup(&own),
					 0);
			struct rig *rig = own;
			if (phase > START)
				assert_int_equal(ask_hello(rig, 1), 0);
			if (phase > IDLE)
				assert_int_equal(ask_tun(rig, "", 1500, 0), 0);
			if (phase > DOWN)
				assert_int_equal(
					ask_plain(rig, BROKERMSG_LINK_UP), 0);
			if (phase > UP)
				go_forwarding(rig);
			(void)ask(rig, request, len);
			if (is_ours &&
			    (allowed[phase][type] & (is_far ? FAR : NEAR))) {
				assert_true(rig->reply.result != -EPROTO);
			} else if (is_ours || phase == START || type == 0 ||
				   type >= BROKERMSG__N) {
				assert_int_equal(rig->reply.result, -EPROTO);
				assert_int_equal(rig->verdict, BROKER_END);
			} else {
				assert_int_equal(rig->reply.result,
						 -EOPNOTSUPP);
				assert_int_equal(rig->verdict, BROKER_GO_ON);
			}
			(void)teardown(&own);
		}
	}
}

static void broker_ends_at_a_request_out_of_order(void **state)
{
	(void)state;
	check_phases(false);
	check_phases(true);
}

static void broker_ends_at_a_request_of_any_other_size(void **state)
{
	(void)state;
	for (uint32_t type = 0; type < BROKERMSG__N; type++) {
		for (size_t len = 1; len <= 64; len++) {
			uint32_t request[REQUEST_WORDS] = {type};
			void *own = NULL;

			if (len == request_sizes[type])
				continue;
			assert_int_equal(setup(&own), 0);
			struct rig *rig = own;
			if (type != BROKERMSG_HELLO)
				(void)rig_up(&own);
			assert_int_equal(ask(rig, request, len), -EPROTO);
			assert_int_equal(rig->reply.type, len < 4 ? 0 : type);
			assert_int_equal(rig->verdict, BROKER_END);
			assert_int_equal(ask_plain(rig, BROKERMSG_BYE),
					 -EPROTO);
			assert_string_equal(rig->kernel.log, "");
			(void)teardown(&own);
		}
	}
}

static void broker_ends_at_a_descriptor(void **state)
{
	struct rig *rig = rig_up(state);
	struct brokermsg_route m = {.type = BROKERMSG_ROUTE_ADD,
				    .version = 4,
				    .prefix_len = 8,
				    .bytes = {10}};
	int fd;

	assert_int_equal(
		broker_handle(rig->broker, &m, sizeof(m), 0, &rig->reply, &fd),
		BROKER_END);
	assert_int_equal(rig->reply.result, -EPROTO);
	assert_int_equal(fd, -1);
	assert_string_equal(rig->kernel.log, "");
}

static void broker_ends_at_two_descriptors(void **state)
{
	struct rig *rig = rig_up(state);
	struct brokermsg_mark m = {BROKERMSG_MARK, 4};
	int fd;

	assert_int_equal(broker_handle(rig->broker, &m, sizeof(m), FD_MSG_OTHER,
				       &rig->reply, &fd),
			 BROKER_END);
	assert_int_equal(rig->reply.result, -EPROTO);
}

static void broker_checks_the_name(void **state)
{
	static const struct {
		const char *name;
		int result;
	} cases[] = {
		{"", 0},
		{"ecssh%d", 0},
		{"office", 0},
		{"a", 0},
		{"fifteen-letters", 0},
		{"0.a_b-C", 0},
		{"sixteen-letters-", -EINVAL},
		{"ecssh%s", -EINVAL},
		{"ecssh%d%d", -EINVAL},
		{"%d", -EINVAL},
		{"a%d", -EINVAL},
		{".", -EINVAL},
		{"..", -EINVAL},
		{".a", -EINVAL},
		{"-a", -EINVAL},
		{"_a", -EINVAL},
		{"a/b", -EINVAL},
		{"../x", -EINVAL},
		{"a b", -EINVAL},
		{"a:b", -EINVAL},
		{"a\n", -EINVAL},
		{"\033[2J", -EINVAL},
		{"\xc3\xa4", -EINVAL},
		{"all", -EINVAL},
		{"default", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		void *own = NULL;

		assert_int_equal(setup(&own), 0);
		struct rig *rig = own;
		(void)ask_hello(rig, 1);
		if (ask_tun(rig, cases[i].name, 1500, 0) != cases[i].result)
			fail_msg("\"%s\" is not judged right", cases[i].name);
		assert_int_equal(rig->verdict, BROKER_GO_ON);
		assert_null(strchr(rig->reply.text, '\033'));
		(void)teardown(&own);
	}
}

static void broker_wants_zeros_behind_the_name(void **state)
{
	struct rig *rig = *state;
	struct brokermsg_tun_create m = {.type = BROKERMSG_TUN_CREATE,
					 .mtu_bytes = 1500,
					 .name = "abc\0def"};

	(void)ask_hello(rig, 1);
	assert_int_equal(ask(rig, &m, sizeof(m)), -EINVAL);
	memcpy(m.name, "\0bc", 4);
	assert_int_equal(ask(rig, &m, sizeof(m)), -EINVAL);
}

static void broker_checks_the_mtu_and_offloads(void **state)
{
	struct rig *rig = *state;

	(void)ask_hello(rig, 1);
	assert_int_equal(ask_tun(rig, "", 0, 0), -EINVAL);
	assert_int_equal(ask_tun(rig, "", 575, 0), -EINVAL);
	assert_int_equal(ask_tun(rig, "", 65536, 0), -EINVAL);
	assert_int_equal(ask_tun(rig, "", UINT32_MAX, 0), -EINVAL);
	assert_int_equal(ask_tun(rig, "", 1500, 8), -EINVAL);
	assert_string_equal(rig->kernel.log, "");
	assert_int_equal(ask_tun(rig, "", 576, 0), 0);
	/* Too small for IPv6. */
	assert_int_equal(ask_addr(rig, "fd00::1"), -EINVAL);
	assert_int_equal(ask_addr(rig, "10.0.0.1"), 0);
}

static void broker_lets_a_failed_tun_be_tried_again(void **state)
{
	struct rig *rig = *state;

	(void)ask_hello(rig, 1);
	rig->kernel.fail = -EEXIST;
	assert_int_equal(ask_tun(rig, "office", 1500, 0), -EEXIST);
	assert_int_equal(ask_tun(rig, "office2", 1500, 0), 0);
	assert_int_equal(ask_tun(rig, "office3", 1500, 0), -EPROTO);
}

static void broker_refuses_special_addresses(void **state)
{
	static const char *const cases[] = {
		"0.0.0.0",
		"127.0.0.1",
		"127.255.255.255",
		"169.254.1.1",
		"224.0.0.1",
		"255.255.255.255",
		"::",
		"::1",
		"fe80::1",
		"ff02::1",
		"::ffff:10.0.0.1",
	};
	struct rig *rig = rig_up(state);

	for (size_t i = 0; i < N(cases); i++) {
		assert_int_equal(ask_addr(rig, cases[i]), -EPERM);
		assert_non_null(strstr(rig->reply.text, cases[i]));
		assert_int_equal(rig->verdict, BROKER_GO_ON);
	}
	assert_string_equal(rig->kernel.log, "");
}

static void broker_refuses_special_routes(void **state)
{
	static const struct {
		const char *addr;
		uint32_t prefix_len;
		int result;
	} cases[] = {
		{"10.0.0.0", 8, 0},
		{"10.1.2.3", 32, 0},
		{"0.0.0.0", 0, 0},
		{"0.0.0.0", 1, 0},
		{"128.0.0.0", 1, 0},
		{"::", 0, 0},
		{"8000::", 1, 0},
		{"2001:db8::1", 128, 0},
		{"10.0.0.0", 33, -EINVAL},
		{"10.0.0.0", UINT32_MAX, -EINVAL},
		{"::", 129, -EINVAL},
		{"10.0.0.1", 8, -EINVAL},
		{"10.0.0.0", 4, -EINVAL},
		{"fd00::1", 64, -EINVAL},
		{"0.0.0.0", 8, -EPERM},
		{"0.0.0.0", 32, -EPERM},
		{"127.0.0.0", 8, -EPERM},
		{"127.0.0.1", 32, -EPERM},
		{"169.254.169.254", 32, 0},
		{"169.254.0.0", 16, 0},
		{"224.0.0.0", 4, -EPERM},
		{"239.1.2.3", 32, -EPERM},
		{"255.255.255.255", 32, -EPERM},
		{"::1", 128, -EPERM},
		{"::", 128, -EPERM},
		{"::ffff:0:0", 96, -EPERM},
		{"::ffff:7f00:1", 128, -EPERM},
		{"fe80::", 10, -EPERM},
		{"fe80::", 64, -EPERM},
		{"ff00::", 8, -EPERM},
		{"ff02::fb", 128, -EPERM},
	};
	struct rig *rig = rig_up(state);

	for (size_t i = 0; i < N(cases); i++) {
		if (ask_route(rig, BROKERMSG_ROUTE_ADD, cases[i].addr,
			      cases[i].prefix_len) != cases[i].result)
			fail_msg("%s/%u is not judged right: %s", cases[i].addr,
				 cases[i].prefix_len, rig->reply.text);
		assert_int_equal(rig->verdict, BROKER_GO_ON);
	}
}

static void broker_refuses_malformed_addresses(void **state)
{
	struct rig *rig = rig_up(state);
	struct brokermsg_addr addr = {.type = BROKERMSG_ADDR_ADD,
				      .version = 5,
				      .bytes = {10, 0, 0, 1}};
	struct brokermsg_route route = {.type = BROKERMSG_ROUTE_ADD,
					.version = 4,
					.prefix_len = 8,
					.bytes = {10, 0, 0, 0, 1}};

	assert_int_equal(ask(rig, &addr, sizeof(addr)), -EINVAL);
	addr.version = UINT32_MAX;
	assert_int_equal(ask(rig, &addr, sizeof(addr)), -EINVAL);
	addr.version = 260; /* 4, if cut to a byte */
	assert_int_equal(ask(rig, &addr, sizeof(addr)), -EINVAL);
	addr.version = 4;
	addr.bytes[15] = 1;
	assert_int_equal(ask(rig, &addr, sizeof(addr)), -EINVAL);
	assert_int_equal(ask(rig, &route, sizeof(route)), -EINVAL);
	assert_string_equal(rig->kernel.log, "");
}

static void broker_undoes_only_what_succeeded(void **state)
{
	struct rig *rig = rig_up(state);

	rig->kernel.fail = -EEXIST;
	assert_int_equal(ask_addr(rig, "10.0.0.1"), -EEXIST);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "10.1.0.0", 16),
			 0);
	rig->kernel.fail = -EEXIST;
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8),
			 -EEXIST);
	rig->kernel.log[0] = '\0';
	assert_int_equal(broker_undo(rig->broker, NULL), 0);
	assert_string_equal(rig->kernel.log,
			    "route- 10.1.0.0/16; rule- tunnel4 5107; link-; ");
}

static void broker_deletes_only_routes_of_its_own(void **state)
{
	struct rig *rig = rig_up(state);

	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_DEL, "10.0.0.0", 8),
			 -ENOENT);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8), 0);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_DEL, "10.0.0.0", 9),
			 -ENOENT);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_DEL, "10.0.0.0", 8), 0);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_DEL, "10.0.0.0", 8),
			 -ENOENT);
	assert_string_equal(rig->kernel.log,
			    "rule+ tunnel4 5107; route+ 10.0.0.0/8; "
			    "route- 10.0.0.0/8; ");
}

static void broker_goes_on_undoing_after_a_failure(void **state)
{
	struct rig *rig = rig_up(state);
	struct err err;

	(void)ask_addr(rig, "10.0.0.1");
	(void)ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8);
	rig->kernel.log[0] = '\0';
	rig->kernel.fail = -EBUSY;
	assert_int_equal(broker_undo(rig->broker, &err), -EBUSY);
	assert_string_equal(err.text, "the kernel does not like route-");
	assert_string_equal(rig->kernel.log,
			    "route- 10.0.0.0/8; rule- tunnel4 5107; "
			    "addr- 10.0.0.1; link-; ");
}

static void broker_takes_what_has_gone_for_undone(void **state)
{
	struct rig *rig = rig_up(state);

	(void)ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8);
	rig->kernel.fail = -ESRCH;
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
}

static void broker_leaves_a_foreign_device_alone(void **state)
{
	struct rig *rig = rig_up(state);

	(void)ask_addr(rig, "10.0.0.1");
	(void)ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8);
	rig->kernel.log[0] = '\0';
	rig->kernel.is_link_foreign = true;
	assert_int_equal(broker_undo(rig->broker, NULL), 0);
	assert_string_equal(rig->kernel.log, "rule- tunnel4 5107; ");
}

static void broker_bounds_addresses_and_routes(void **state)
{
	struct rig *rig = rig_up(state);
	struct brokermsg_route m = {
		.type = BROKERMSG_ROUTE_ADD, .version = 4, .prefix_len = 32};

	for (int i = 0; i <= BROKERMSG_ADDRS_MAX; i++) {
		char text[ADDR_TEXT_MAX];

		(void)snprintf(text, sizeof(text), "10.0.0.%d", i);
		assert_int_equal(ask_addr(rig, text),
				 i < BROKERMSG_ADDRS_MAX ? 0 : -E2BIG);
	}
	for (int i = 0; i <= BROKERMSG_ROUTES_MAX; i++) {
		uint8_t bytes[16] = {10, 1, (uint8_t)(i >> 8), (uint8_t)i};

		memcpy(m.bytes, bytes, sizeof(bytes));
		rig->kernel.log[0] = '\0';
		assert_int_equal(ask(rig, &m, sizeof(m)),
				 i < BROKERMSG_ROUTES_MAX ? 0 : -E2BIG);
	}
	/* Room again. */
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_DEL, "10.1.0.0", 32),
			 0);
	assert_int_equal(ask(rig, &m, sizeof(m)), 0);
}

static int ask_exempt(struct rig *rig, uint32_t type, const char *local,
		      uint32_t first_port, uint32_t last_port,
		      const char *remote, uint32_t remote_port, uint32_t uid)
{
	struct brokermsg_exempt m = {.type = type,
				     .first_port = first_port,
				     .last_port = last_port,
				     .remote_port = remote_port,
				     .uid = uid};
	struct ip_addr addr;

	assert_int_equal(addr_parse(remote, &addr), 0);
	m.version = addr.version;
	memcpy(m.remote, addr.bytes, sizeof(m.remote));
	if (local) {
		assert_int_equal(addr_parse(local, &addr), 0);
		memcpy(m.local, addr.bytes, sizeof(m.local));
	}
	return ask(rig, &m, sizeof(m));
}

static void broker_exempts_connections(void **state)
{
	const uint32_t add = BROKERMSG_EXEMPT_ADD, del = BROKERMSG_EXEMPT_DEL;
	struct rig *rig = rig_up(state);

	assert_int_equal(
		ask_exempt(rig, add, NULL, 0, 0, "192.0.2.1", 22, 1000), 0);
	assert_int_equal(ask_exempt(rig, add, "192.0.2.9", 40000, 40000,
				    "192.0.2.1", 22, BROKERMSG_NO_UID),
			 0);
	assert_int_equal(
		ask_exempt(rig, add, NULL, 20000, 20511, "192.0.2.1", 22, 1000),
		0);
	assert_int_equal(
		ask_exempt(rig, del, NULL, 0, 0, "192.0.2.1", 22, 1000), 0);
	assert_int_equal(
		ask_exempt(rig, del, NULL, 0, 0, "192.0.2.1", 22, 1000),
		-ENOENT);
	assert_int_equal(
		ask_exempt(rig, del, NULL, 20000, 20510, "192.0.2.1", 22, 1000),
		-ENOENT);
	assert_int_equal(ask_exempt(rig, del, "192.0.2.9", 40001, 40001,
				    "192.0.2.1", 22, BROKERMSG_NO_UID),
			 -ENOENT);
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_string_equal(
		rig->kernel.log,
		"rule+ exempt4 5007 any 0-0 192.0.2.1:22 uid; "
		"rule+ exempt4 5007 192.0.2.9 40000-40000 192.0.2.1:22; "
		"rule+ exempt4 5007 any 20000-20511 192.0.2.1:22 uid; "
		"rule- exempt4 5007 any 0-0 192.0.2.1:22 uid; "
		"rule- exempt4 5007 any 20000-20511 192.0.2.1:22 uid; "
		"rule- exempt4 5007 192.0.2.9 40000-40000 192.0.2.1:22; "
		"link-; ");
}

static void broker_exempts_no_address_alone(void **state)
{
	static const struct {
		const char *local;
		uint32_t first_port, last_port;
		const char *remote;
		uint32_t remote_port, uid;
	} cases[] = {
		{NULL, 0, 0, "192.0.2.1", 22, BROKERMSG_NO_UID},
		{"192.0.2.9", 0, 0, "192.0.2.1", 22, BROKERMSG_NO_UID},
		{"192.0.2.9", 40000, 40000, "192.0.2.1", 0, BROKERMSG_NO_UID},
		{"192.0.2.9", 40000, 40001, "192.0.2.1", 22, BROKERMSG_NO_UID},
		{"192.0.2.9", 40001, 40000, "192.0.2.1", 22, 1000},
		{NULL, 40000, 40000, "192.0.2.1", 22, BROKERMSG_NO_UID},
		{NULL, 0, 40000, "192.0.2.1", 22, 1000},
		{NULL, 40000, 0, "192.0.2.1", 22, 1000},
		{NULL, 0, 0, "192.0.2.1", 0, 1000},
		{NULL, 0, 0, "192.0.2.1", 65536 + 22, 1000},
		{"192.0.2.9", 65536, 65536, "192.0.2.1", 22, BROKERMSG_NO_UID},
		{NULL, 0, 0, "0.0.0.0", 22, 1000},
		{NULL, 0, 0, "::", 22, 1000},
		{NULL, 0, 0, "127.0.0.1", 22, 1000},
		{"fd00::9", 40000, 40000, "192.0.2.1", 22, BROKERMSG_NO_UID},
	};
	struct rig *rig = rig_up(state);

	for (size_t i = 0; i < N(cases); i++)
		assert_int_equal(ask_exempt(rig, BROKERMSG_EXEMPT_ADD,
					    cases[i].local, cases[i].first_port,
					    cases[i].last_port, cases[i].remote,
					    cases[i].remote_port, cases[i].uid),
				 -EINVAL);
	assert_string_equal(rig->kernel.log, "");
}

static void broker_bounds_rules(void **state)
{
	struct rig *rig = rig_up(state);

	for (uint32_t i = 0; i <= BROKERMSG_RULES_MAX; i++) {
		rig->kernel.log[0] = '\0';
		assert_int_equal(ask_exempt(rig, BROKERMSG_EXEMPT_ADD, NULL, 0,
					    0, "192.0.2.1", 1 + i, 0),
				 i < BROKERMSG_RULES_MAX ? 0 : -E2BIG);
	}
}

static void broker_marks_what_is_lent(void **state)
{
	struct rig *rig = rig_up(state);
	struct brokermsg_mark m = {BROKERMSG_MARK, 4};
	int fd;

	assert_int_equal(ask(rig, &m, sizeof(m)), -EINVAL); /* nothing */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(broker_handle(rig->broker, &m, sizeof(m), 9,
					       &rig->reply, &fd),
				 BROKER_GO_ON);
		assert_int_equal(rig->reply.result, 0);
	}
	m.version = 5;
	assert_int_equal(
		broker_handle(rig->broker, &m, sizeof(m), 9, &rig->reply, &fd),
		BROKER_GO_ON);
	assert_int_equal(rig->reply.result, -EINVAL);
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_string_equal(
		rig->kernel.log,
		"rule+ mark4 5007; mark 9; mark 9; rule- mark4 5007; link-; ");
}

static void broker_cleans_up_one_thing_at_a_time(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(ask_hello(rig, BROKERMSG_VERSION), 0);
	rig->kernel.n_left = 2;
	rig->kernel.fail = -EBUSY;
	assert_int_equal(ask_plain(rig, BROKERMSG_CLEANUP), -EBUSY);
	assert_int_equal(ask_plain(rig, BROKERMSG_CLEANUP), 0);
	assert_string_equal(rig->reply.text, "a rule");
	assert_int_equal(ask_plain(rig, BROKERMSG_CLEANUP), -ENOENT);
	assert_int_equal(rig->verdict, BROKER_GO_ON);
	assert_int_equal(ask_tun(rig, "", 1500, 0), 0);
	assert_int_equal(ask_plain(rig, BROKERMSG_CLEANUP), -EPROTO);
}

/* What a dead one of the same place has left, or another tunnel has. */
static void broker_goes_past_rules_that_are_there(void **state)
{
	struct rig *rig = rig_up(state);

	rig->kernel.fail = -EEXIST;
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8), 0);
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "11.0.0.0", 8), 0);
	assert_string_equal(rig->kernel.log,
			    "rule+ tunnel4 5107; rule+ tunnel4 5108; "
			    "route+ 10.0.0.0/8; route+ 11.0.0.0/8; ");
	rig->kernel.log[0] = '\0';
	assert_int_equal(ask_plain(rig, BROKERMSG_BYE), 0);
	assert_string_equal(rig->kernel.log,
			    "route- 11.0.0.0/8; route- 10.0.0.0/8; "
			    "rule- tunnel4 5108; link-; ");
}

static void broker_adds_no_route_that_nothing_looks_up(void **state)
{
	struct rig *rig = rig_up(state);

	rig->kernel.fail = -EOPNOTSUPP;
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8),
			 -EOPNOTSUPP);
	assert_string_equal(rig->kernel.log, "rule+ tunnel4 5107; ");
	assert_int_equal(ask_route(rig, BROKERMSG_ROUTE_ADD, "10.0.0.0", 8), 0);
}

/*
 * The socket, still with the imaginary kernel
 */

/* A broker in a child process; *ret_sock is the engine's end. */
static pid_t fork_broker(void (*run)(int sock), int *ret_sock)
{
	int pair[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(pair[0]);
		run(pair[1]);
		_exit(0);
	}
	(void)close(pair[1]);
	*ret_sock = pair[0];
	return pid;
}

static void run_fake(int sock)
{
	struct fake kernel = {0};
	struct broker *b = broker_new(&fake_ops, &kernel, 0, NULL);

	broker_serve(b, sock, NULL, 0);
	(void)broker_free(b);
}

static void expect_exit(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int receive_result(int sock)
{
	struct brokermsg_reply reply;

	assert_int_equal(recv(sock, &reply, sizeof(reply), 0), sizeof(reply));
	return reply.result;
}

static void send_with_fd(int sock, const void *bytes, size_t len, int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes,
			    .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sock, &msg, 0), len);
}

static void broker_serve_closes_descriptors_it_did_not_ask_for(void **state)
{
	struct brokermsg_hello hello = {BROKERMSG_HELLO, 1};
	int sock, ends[2];
	char byte;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork_broker(run_fake, &sock);
	send_with_fd(sock, &hello, sizeof(hello), ends[1]);
	assert_int_equal(receive_result(sock), -EPROTO);
	expect_exit(pid);
	(void)close(ends[1]);
	/* Blocks for ever if a copy has survived. */
	assert_int_equal(read(ends[0], &byte, 1), 0);
	(void)close(ends[0]);
	(void)close(sock);
}

static void broker_serve_ends_at_what_is_no_request(void **state)
{
	static const size_t sizes[] = {1, 3, 5, 63, 64, 65, 4096, 65536};
	static char bytes[65536] = {BROKERMSG_HELLO};

	(void)state;
	for (size_t i = 0; i < N(sizes); i++) {
		int sock;
		pid_t pid = fork_broker(run_fake, &sock);

		assert_int_equal(send(sock, bytes, sizes[i], 0), sizes[i]);
		assert_int_equal(receive_result(sock), -EPROTO);
		expect_exit(pid);
		(void)close(sock);
	}
}

static void broker_serve_ends_with_the_socket(void **state)
{
	int sock;
	pid_t pid = fork_broker(run_fake, &sock);

	(void)state;
	assert_int_equal(send(sock, "", 0, 0), 0); /* as good as closed */
	expect_exit(pid);
	(void)close(sock);
	pid = fork_broker(run_fake, &sock);
	(void)close(sock);
	expect_exit(pid);
}

/*
 * The real broker, in a namespace of the test's own
 */

struct snapshot {
	struct rtnl_addr *addrs;   /* owned */
	struct rtnl_route *routes; /* owned */
	struct rtnl_rule *rules;   /* owned */
	size_t n_addrs, n_routes, n_rules, n_links;
};

static struct snapshot snapshot_take(void)
{
	struct snapshot s = {0};
	struct rtnl *rtnl;
	struct err err;

	assert_int_equal(rtnl_open(&rtnl, &err), 0);
	assert_int_equal(rtnl_addr_dump(rtnl, &s.addrs, &s.n_addrs, &err), 0);
	assert_int_equal(rtnl_route_dump(rtnl, &s.routes, &s.n_routes, &err),
			 0);
	assert_int_equal(rtnl_rule_dump(rtnl, &s.rules, &s.n_rules, &err), 0);
	(void)rtnl_close(rtnl);
	struct if_nameindex *links = if_nameindex();
	for (; links[s.n_links].if_index != 0; s.n_links++)
		;
	if_freenameindex(links);
	return s;
}

static void snapshot_free(struct snapshot *s)
{
	free(s->addrs);
	free(s->routes);
	free(s->rules);
}

static bool snapshot_equal(const struct snapshot *a, const struct snapshot *b)
{
	return a->n_links == b->n_links && a->n_addrs == b->n_addrs &&
	       a->n_routes == b->n_routes && a->n_rules == b->n_rules &&
	       memcmp(a->rules, b->rules, a->n_rules * sizeof(*a->rules)) ==
		       0 &&
	       (a->n_addrs == 0 ||
		memcmp(a->addrs, b->addrs, a->n_addrs * sizeof(*a->addrs)) ==
			0) &&
	       (a->n_routes == 0 ||
		memcmp(a->routes, b->routes,
		       a->n_routes * sizeof(*a->routes)) == 0);
}

static void expect_restored(struct snapshot *before)
{
	struct snapshot after = snapshot_take();

	assert_true(snapshot_equal(before, &after));
	snapshot_free(&after);
	snapshot_free(before);
}

/* Everything from here on happens in a new and empty network namespace; without
 * root, in one of a user namespace of our own, which the first test makes. */
static void need_netns(void)
{
	int fd CLEANUP_FD = -1;
	struct err err;

	/* Brokers that are root's write to /var/lib. */
	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) < 0 ||
	     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	     mount("test", "/var/lib", "tmpfs", 0, NULL) < 0))
		skip();
	if ((unshare(CLONE_NEWNET) < 0 &&
	     unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) ||
	    tun_open_control(&fd, &err) < 0)
		skip();
	/* lo is up in a namespace of somebody; its routes must survive. */
	struct rtnl *rtnl;
	assert_int_equal(rtnl_open(&rtnl, &err), 0);
	assert_int_equal(rtnl_link_up(rtnl, if_nametoindex("lo"), &err), 0);
	(void)rtnl_close(rtnl);
}

/* Say something and expect a good answer; returns the descriptor with it. */
static int tell(int sock, const void *request, size_t len)
{
	struct brokermsg_reply reply = {0};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = &reply, .iov_len = sizeof(reply)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	int fd = -1;

	assert_int_equal(send(sock, request, len, 0), len);
	assert_int_equal(recvmsg(sock, &msg, 0), sizeof(reply));
	if (reply.result < 0)
		fail_msg("%s", reply.text);
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

/* As an engine would: a device with addresses and routes.  Returns its
 * descriptor. */
static int build_tunnel(int sock, int n_routes)
{
	struct brokermsg_hello hello = {BROKERMSG_HELLO, 1};
	struct brokermsg_tun_create tun = {.type = BROKERMSG_TUN_CREATE,
					   .mtu_bytes = 1500,
					   .offloads = TUN_OFFLOAD_ALL};
	struct brokermsg_addr v4 = {BROKERMSG_ADDR_ADD, 4, {198, 18, 1, 1}};
	struct brokermsg_addr v6 = {BROKERMSG_ADDR_ADD, 6, {0xfd, [15] = 1}};
	struct brokermsg_head up = {BROKERMSG_LINK_UP};
	struct brokermsg_route route6 = {
		BROKERMSG_ROUTE_ADD, 6, 64, {0xfd, 0x77}};

	(void)tell(sock, &hello, sizeof(hello));
	int fd = tell(sock, &tun, sizeof(tun));
	assert_true(fd >= 0);
	(void)tell(sock, &v4, sizeof(v4));
	(void)tell(sock, &v6, sizeof(v6));
	(void)tell(sock, &up, sizeof(up));
	(void)tell(sock, &route6, sizeof(route6));
	for (int i = 0; i < n_routes; i++) {
		struct brokermsg_route route4 = {
			BROKERMSG_ROUTE_ADD,
			4,
			24,
			{10, (uint8_t)(i >> 8), (uint8_t)i}};

		(void)tell(sock, &route4, sizeof(route4));
	}
	return fd;
}

static void real_broker_restores_all_when_the_socket_closes(void **state)
{
	(void)state;
	need_netns();
	struct snapshot before = snapshot_take();
	int sock;
	pid_t pid = fork_broker(broker_run, &sock);
	int tun_fd = build_tunnel(sock, 300);
	struct snapshot during = snapshot_take();

	assert_int_equal(during.n_links, before.n_links + 1);
	assert_true(during.n_routes >= before.n_routes + 301);
	snapshot_free(&during);
	(void)close(sock);
	expect_exit(pid);
	/* Though we still hold the device. */
	expect_restored(&before);
	(void)close(tun_fd);
}

static void real_broker_restores_all_when_the_engine_is_killed(void **state)
{
	(void)state;
	need_netns();
	struct snapshot before = snapshot_take();
	int ready[2], sock;
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork_broker(broker_run, &sock);
	pid_t engine = fork();
	assert_true(engine >= 0);
	if (engine == 0) {
		(void)build_tunnel(sock, 20);
		(void)!write(ready[1], "", 1);
		(void)pause();
		_exit(1);
	}
	(void)close(sock);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	/* What a terminal sends to all of the group must not end it. */
	(void)kill(pid, SIGINT);
	(void)kill(pid, SIGHUP);
	(void)kill(pid, SIGTERM);
	(void)kill(pid, SIGQUIT);
	assert_true(if_nametoindex("ecssh0") != 0);
	assert_int_equal(kill(engine, SIGKILL), 0);
	expect_exit(pid);
	assert_int_equal(waitpid(engine, NULL, 0), engine);
	expect_restored(&before);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

/* Wait until everything is as before, for 5 s. */
static void await_restored(struct snapshot *before)
{
	for (int i = 0; i < 500; i++) {
		struct snapshot now = snapshot_take();
		bool is_restored = snapshot_equal(before, &now);

		snapshot_free(&now);
		if (is_restored)
			break;
		(void)poll(NULL, 0, 10);
	}
	expect_restored(before);
}

static void a_killed_broker_leaves_nothing(void **state)
{
	(void)state;
	need_netns();
	struct snapshot before = snapshot_take();
	int sock, status;
	pid_t pid = fork_broker(broker_run, &sock);
	int tun_fd = build_tunnel(sock, 20);

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* Its keeper does it, though we still hold the device. */
	await_restored(&before);
	(void)close(tun_fd);
	(void)close(sock);
}

/* The only process that has this one for its parent. */
static pid_t child_of(pid_t pid)
{
	char path[64];
	int child = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children",
		       (int)pid, (int)pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &child), 1);
	(void)fclose(f);
	return child;
}

static void a_killed_keeper_ends_the_broker(void **state)
{
	struct brokermsg_reply reply;

	(void)state;
	need_netns();
	struct snapshot before = snapshot_take();
	int sock;
	pid_t pid = fork_broker(broker_run, &sock);
	int tun_fd = build_tunnel(sock, 20);

	assert_int_equal(kill(child_of(pid), SIGKILL), 0);
	assert_int_equal(recv(sock, &reply, sizeof(reply), 0), sizeof(reply));
	assert_int_equal(reply.type, 0);
	assert_int_equal(reply.result, -ESRCH);
	expect_exit(pid);
	expect_restored(&before);
	(void)close(tun_fd);
	(void)close(sock);
}

static void real_broker_leaves_routes_of_others_alone(void **state)
{
	struct subnet dst = {0};
	struct err err;

	(void)state;
	need_netns();
	struct rtnl *rtnl;
	assert_int_equal(rtnl_open(&rtnl, &err), 0);
	assert_int_equal(subnet_parse("10.77.0.0/24", &dst, NULL, &err), 0);
	assert_int_equal(rtnl_route_add(rtnl, BROKERMSG_TABLE,
					if_nametoindex("lo"), &dst, &err),
			 0);
	(void)rtnl_close(rtnl);

	struct snapshot before = snapshot_take();
	int sock;
	pid_t pid = fork_broker(broker_run, &sock);
	int tun_fd = build_tunnel(sock, 1);
	struct brokermsg_route clash = {BROKERMSG_ROUTE_ADD, 4, 24, {10, 77}};
	struct brokermsg_reply reply;
	assert_int_equal(send(sock, &clash, sizeof(clash), 0), sizeof(clash));
	assert_int_equal(recv(sock, &reply, sizeof(reply), 0), sizeof(reply));
	assert_int_equal(reply.result, -EEXIST);
	assert_non_null(
		strstr(reply.text, "10.77.0.0/24 is already routed via lo"));
	(void)close(sock);
	expect_exit(pid);
	(void)close(tun_fd);
	expect_restored(&before);
}

static void real_broker_keeps_one_capability(void **state)
{
	char path[64], line[256], caps[64] = "";
	unsigned long long value = 0;
	int sock;

	(void)state;
	need_netns();
	pid_t pid = fork_broker(broker_run, &sock);
	int tun_fd = build_tunnel(sock, 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Cap%63s %llx", caps, &value) != 2)
			continue;
		/* NET_ADMIN, which nft gets too, and no way to others. */
		if (strcmp(caps, "Bnd:") == 0)
			assert_int_equal(value, 0);
		else
			assert_int_equal(value, 1ULL << 12);
	}
	(void)fclose(f);
	(void)close(sock);
	expect_exit(pid);
	(void)close(tun_fd);
}

/* The path of the broker's executable: the tests' argument. */
static const char *broker_path;

static size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

static void client_builds_and_stops_a_tunnel(void **state)
{
	struct broker_start how = {.path = broker_path,
				   .via = BROKER_VIA_DIRECT};
	struct broker_client *c;
	struct broker_tun tun;
	struct ip_addr v4, v6;
	struct subnet dst;
	struct err err;

	(void)state;
	if (!broker_path)
		skip();
	need_netns();
	size_t fds = count_fds();
	int r = broker_client_start(&c, &how, &err);
	/* Capabilities do not survive execve(2) unless one is root there. */
	if (r == -EPERM && geteuid() != 0)
		skip();
	if (r < 0)
		fail_msg("%s", err.text);
	struct snapshot before = snapshot_take();
	assert_true(broker_client_fd(c) >= 0);
	assert_int_equal(broker_client_tun_create(c, "seventeen-letters", 1500,
						  0, &tun, &err),
			 -EINVAL);
	assert_int_equal(broker_client_tun_create(c, "lo", 1500, 0, &tun, &err),
			 -EEXIST);
	assert_non_null(strstr(err.text, "\"lo\" exists already"));
	if (broker_client_tun_create(c, "office", 1500, TUN_OFFLOAD_ALL, &tun,
				     &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(tun.name, "office");
	assert_int_equal(tun.ifindex, if_nametoindex("office"));
	assert_true(tun.offloads & TUN_OFFLOAD_CSUM);
	assert_true(fcntl(tun.fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(tun.fd, F_GETFL) & O_NONBLOCK);
	(void)addr_parse("198.18.1.1", &v4);
	(void)addr_parse("fd00::1", &v6);
	assert_int_equal(broker_client_addr_add(c, &v4, &err), 0);
	assert_int_equal(broker_client_addr_add(c, &v6, &err), 0);
	assert_int_equal(broker_client_link_up(c, &err), 0);
	(void)subnet_parse("10.77.0.0/24", &dst, NULL, &err);
	assert_int_equal(broker_client_route_add(c, &dst, &err), 0);
	assert_int_equal(broker_client_route_add(c, &dst, &err), -EEXIST);
	assert_int_equal(broker_client_route_del(c, &dst, &err), 0);
	assert_int_equal(broker_client_route_add(c, &dst, &err), 0);
	assert_int_equal(broker_client_stop(c, &err), 0);
	expect_restored(&before);
	(void)close(tun.fd);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody left */
}

static void client_says_when_the_broker_cannot_run(void **state)
{
	struct broker_start how = {.path = "/nonexistent/ecssh-broker",
				   .via = BROKER_VIA_AUTO};
	struct broker_client *c = NULL;
	struct err err;

	(void)state;
	size_t fds = count_fds();
	assert_int_equal(broker_client_start(&c, &how, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/ecssh-broker"));
	how = (struct broker_start){.path = "/bin/true",
				    .via = BROKER_VIA_DIRECT};
	assert_int_equal(broker_client_start(&c, &how, &err), -EPIPE);
	how = (struct broker_start){.path = "/bin/true",
				    .via = BROKER_VIA_DIRECT};
	assert_int_equal(broker_client_start(&c, &how, NULL), -EPIPE);
	assert_null(c);
	assert_int_equal(broker_client_stop(NULL, &err), 0);
	assert_int_equal(count_fds(), fds);
}

#define with_far_rig(test) \
	cmocka_unit_test_setup_teardown(test, setup_far, teardown)
#define with_rig(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		with_rig(broker_answers_a_tunnels_life),
		with_rig(broker_says_which_version_it_speaks),
		with_rig(broker_that_is_not_ready_says_why),
		cmocka_unit_test(broker_ends_at_a_request_out_of_order),
		cmocka_unit_test(broker_ends_at_a_request_of_any_other_size),
		with_rig(broker_ends_at_a_descriptor),
		with_rig(broker_ends_at_two_descriptors),
		with_rig(broker_guards_the_addresses_of_its_device),
		with_rig(broker_forgets_a_guard_that_failed),
		with_rig(broker_leaves_a_kill_switch_in_force),
		cmocka_unit_test(broker_checks_the_name),
		with_rig(broker_wants_zeros_behind_the_name),
		with_rig(broker_checks_the_mtu_and_offloads),
		with_rig(broker_lets_a_failed_tun_be_tried_again),
		with_rig(broker_refuses_special_addresses),
		with_rig(broker_refuses_special_routes),
		with_rig(broker_refuses_malformed_addresses),
		with_rig(broker_undoes_only_what_succeeded),
		with_rig(broker_deletes_only_routes_of_its_own),
		with_rig(broker_goes_on_undoing_after_a_failure),
		with_rig(broker_takes_what_has_gone_for_undone),
		with_rig(broker_leaves_a_foreign_device_alone),
		with_rig(broker_bounds_addresses_and_routes),
		with_rig(broker_goes_past_rules_that_are_there),
		with_rig(broker_exempts_connections),
		with_rig(broker_exempts_no_address_alone),
		with_rig(broker_bounds_rules),
		with_rig(broker_marks_what_is_lent),
		with_rig(broker_cleans_up_one_thing_at_a_time),
		with_rig(broker_adds_no_route_that_nothing_looks_up),
		with_far_rig(
			broker_forwards_for_its_routes_and_undoes_that_first),
		with_far_rig(broker_stops_forwarding_though_the_device_is_gone),
		with_far_rig(broker_undoes_half_a_forwarding),
		with_far_rig(broker_tunes_and_has_nothing_to_undo),
		with_far_rig(broker_refuses_to_forward_what_it_does_not_know),
		with_rig(broker_points_names_at_the_tunnel_and_back_first),
		with_rig(broker_undoes_names_though_the_device_is_gone),
		with_rig(broker_forbids_nothing_when_names_are_split),
		with_rig(broker_forgets_names_that_failed),
		with_rig(broker_asks_no_server_outside_the_tunnel),
		with_rig(keeper_undoes_what_the_broker_has_not),
		with_far_rig(keeper_stops_forwarding),
		cmocka_unit_test(keeper_ignores_what_does_not_fit),
		with_rig(broker_refuses_what_is_the_other_sides),
		with_far_rig(
			keeper_has_nothing_to_do_after_the_brokers_own_undo),
		cmocka_unit_test(
			broker_serve_closes_descriptors_it_did_not_ask_for),
		cmocka_unit_test(broker_serve_ends_at_what_is_no_request),
		cmocka_unit_test(broker_serve_ends_with_the_socket),
		cmocka_unit_test(client_says_when_the_broker_cannot_run),
		cmocka_unit_test(
			real_broker_restores_all_when_the_socket_closes),
		cmocka_unit_test(
			real_broker_restores_all_when_the_engine_is_killed),
		cmocka_unit_test(a_killed_broker_leaves_nothing),
		cmocka_unit_test(a_killed_keeper_ends_the_broker),
		cmocka_unit_test(real_broker_leaves_routes_of_others_alone),
		cmocka_unit_test(real_broker_keeps_one_capability),
		cmocka_unit_test(client_builds_and_stops_a_tunnel),
	};

	if (argc > 1)
		broker_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
