/* SPDX-License-Identifier: MIT */
/*
 * test_netcfg: src/netcfg/, the choice of addresses by itself, netlink in a
 * network namespace of the test's own (skipped where there can be none).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "addr_pick.h"
#include "fd.h"
#include "rtnl.h"
#include "tun.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct subnet net(const char *text)
{
	struct subnet s = {0};

	if (subnet_parse(text, &s, NULL, NULL) < 0)
		fail_msg("%s does not parse", text);
	return s;
}

static struct ip_addr pick_v4(uint32_t seed, const struct subnet *taken,
			      size_t n)
{
	struct ip_addr a = {0};

	assert_int_equal(addr_pick_v4(seed, taken, n, &a), 0);
	for (size_t i = 0; i < n; i++)
		assert_false(subnet_contains(&taken[i], &a));
	return a;
}

static void addr_pick_v4_depends_on_the_seed_only(void **state)
{
	struct subnet bench = net("198.18.0.0/15");
	struct ip_addr a = pick_v4(0xecc550, NULL, 0);
	struct ip_addr b = pick_v4(0xecc550, NULL, 0);
	struct ip_addr c = pick_v4(0xecc551, NULL, 0);

	(void)state;
	assert_true(subnet_contains(&bench, &a));
	assert_true(addr_equal(&a, &b));
	assert_false(addr_equal(&a, &c));
}

static void addr_pick_v4_walks_past_what_is_taken(void **state)
{
	struct ip_addr first = pick_v4(0xecc550, NULL, 0);

	(void)state;
	for (uint8_t len = 32; len >= 16; len--) {
		struct subnet taken = {first, len};
		char text[SUBNET_TEXT_MAX];

		subnet_format(&taken, text);
		taken = net(text); /* clears the host bits */
		(void)pick_v4(0xecc550, &taken, 1);
	}
}

static void addr_pick_v4_never_ends_in_0_or_255(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		struct ip_addr a = pick_v4(i, NULL, 0);

		assert_in_range(a.bytes[3], 1, 254);
	}
}

static void addr_pick_v4_goes_on_in_the_second_range(void **state)
{
	static const char *const texts[] = {"198.18.0.0/15", "198.0.0.0/8",
					    "192.0.0.0/5"};
	struct subnet shared = net("100.64.0.0/10");

	(void)state;
	for (size_t i = 0; i < N(texts); i++) {
		struct subnet taken = net(texts[i]);
		struct ip_addr a = pick_v4(0xecc550, &taken, 1);

		assert_true(subnet_contains(&shared, &a));
	}
}

static void addr_pick_v4_finds_the_last_free_address(void **state)
{
	struct subnet hole = net("198.19.3.77"), other = net("100.64.0.0/10");
	struct subnet *taken = malloc(sizeof(*taken));
	struct ip_addr a;

	(void)state;
	assert_non_null(taken);
	taken[0] = net("198.18.0.0/15");
	int n = subnet_subtract(&taken, 1, 64, &hole);
	assert_true(n > 0);
	struct subnet *more = realloc(taken, ((size_t)n + 2) * sizeof(*taken));
	assert_non_null(more);
	taken = more;
	taken[n] = other;
	a = pick_v4(0xecc550, taken, (size_t)n + 1);
	assert_true(addr_equal(&a, &hole.addr));
	taken[n + 1] = hole;
	assert_int_equal(addr_pick_v4(0xecc550, taken, (size_t)n + 2, &a),
			 -EADDRNOTAVAIL);
	free(taken);
}

static void addr_pick_v4_refuses_where_all_is_taken(void **state)
{
	struct subnet all = net("0.0.0.0/0");
	struct ip_addr a = {0};

	(void)state;
	assert_int_equal(addr_pick_v4(7, &all, 1, &a), -EADDRNOTAVAIL);
	assert_int_equal(a.version, 0);
}

static void addr_pick_v6_is_unique_local_and_free(void **state)
{
	static const uint8_t seed[16] = {1, 0xfe, 3,  4,  5,  6,  7,  8,
					 9, 10,	  11, 12, 13, 14, 15, 16};
	struct subnet ula = net("fd00::/8");
	struct subnet taken[] = {net("fdfe::/16"), net("fdff::/16"),
				 net("10.0.0.0/8")};
	struct ip_addr a;

	(void)state;
	assert_int_equal(addr_pick_v6(seed, NULL, 0, &a), 0);
	assert_true(subnet_contains(&ula, &a));
	assert_true(subnet_contains(&taken[0], &a));
	assert_int_equal(addr_pick_v6(seed, taken, N(taken), &a), 0);
	assert_true(subnet_contains(&ula, &a));
	for (size_t i = 0; i < N(taken); i++)
		assert_false(subnet_contains(&taken[i], &a));
	assert_int_equal(addr_pick_v6(seed, &ula, 1, &a), -EADDRNOTAVAIL);
}

/*
 * With a kernel
 */

/* A device in a namespace of the test's own. */
struct fixture {
	struct rtnl *rtnl;
	int tun_fd;
	uint32_t ifindex;
};

/* True if everything from here on happens in a new and empty network namespace;
 * without root, in one of a user namespace of our own, which the first test
 * makes. */
static bool enter_netns(void)
{
	return unshare(CLONE_NEWNET) == 0 ||
	       unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char name[TUN_NAME_MAX];
	uint32_t offloads;
	struct err err;

	*state = NULL;
	if (!f)
		return -1;
	if (!enter_netns() || tun_open_control(&f->tun_fd, &err) < 0) {
		free(f);
		return 0; /* the tests skip */
	}
	if (tun_create(f->tun_fd, "ecssh%d", TUN_OFFLOAD_ALL, name, &offloads,
		       &err) < 0 ||
	    rtnl_open(&f->rtnl, &err) < 0) {
		print_error("%s\n", err.text);
		return -1;
	}
	f->ifindex = if_nametoindex(name);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (!f)
		return 0;
	fd_close(&f->tun_fd);
	(void)rtnl_close(f->rtnl);
	free(f);
	return 0;
}

static struct fixture *fixture(void **state)
{
	if (!*state)
		skip();
	return *state;
}

static void expect_ok(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->text);
}

static bool has_addr(struct rtnl *rtnl, const char *text)
{
	struct subnet want = net(text);
	struct rtnl_addr *addrs;
	struct err err;
	bool found = false;
	size_t n;

	expect_ok(rtnl_addr_dump(rtnl, &addrs, &n, &err), &err);
	for (size_t i = 0; i < n; i++)
		found = found || (addr_equal(&addrs[i].addr, &want.addr) &&
				  addrs[i].prefix_len == want.prefix_len);
	free(addrs);
	return found;
}

/* The number of routes of a subnet in a table. */
static size_t count_routes(struct rtnl *rtnl, uint32_t table, const char *text)
{
	struct subnet want = net(text);
	struct rtnl_route *routes;
	struct err err;
	size_t n, found = 0;

	expect_ok(rtnl_route_dump(rtnl, &routes, &n, &err), &err);
	for (size_t i = 0; i < n; i++)
		found += routes[i].table == table &&
			 routes[i].dst.prefix_len == want.prefix_len &&
			 addr_equal(&routes[i].dst.addr, &want.addr);
	free(routes);
	return found;
}

static void bring_up(struct fixture *f)
{
	struct err err;

	expect_ok(rtnl_link_configure(f->rtnl, f->ifindex, 1400, 2048, &err),
		  &err);
	expect_ok(rtnl_link_up(f->rtnl, f->ifindex, &err), &err);
}

static void tun_create_reports_what_the_kernel_did(void **state)
{
	struct fixture *f = fixture(state);
	char name[TUN_NAME_MAX];
	uint32_t offloads = 99;
	struct err err;
	int fd CLEANUP_FD = -1;

	expect_ok(tun_open_control(&fd, &err), &err);
	assert_int_equal(tun_create(fd, "ecssh0", 0, name, &offloads, &err),
			 -EEXIST);
	assert_int_equal(tun_create(fd, "lo", 0, name, &offloads, &err),
			 -EEXIST);
	assert_int_equal(
		tun_create(fd, "sixteen-bytes-xx", 0, name, &offloads, &err),
		-EINVAL);
	assert_int_equal(offloads, 99);
	/* The descriptor is still good. */
	expect_ok(tun_create(fd, "ecssh%d", TUN_OFFLOAD_CSUM, name, &offloads,
			     &err),
		  &err);
	assert_string_equal(name, "ecssh1");
	assert_int_equal(offloads, TUN_OFFLOAD_CSUM);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(if_nametoindex(name) != f->ifindex);
}

static void rtnl_makes_and_takes_back_addresses_and_routes(void **state)
{
	static const char *const addrs[] = {"198.18.3.4/32", "fd12::1/128"};
	static const char *const dsts[] = {
		"10.77.0.0/24",	 "10.77.1.2/32", "0.0.0.0/1", "fd77::/64",
		"fd77:1::2/128", "0.0.0.0/0",	 "::/0"};
	struct fixture *f = fixture(state);
	struct err err;

	bring_up(f);
	for (size_t i = 0; i < N(addrs); i++) {
		struct subnet a = net(addrs[i]);

		expect_ok(rtnl_addr_add(f->rtnl, f->ifindex, &a.addr, &err),
			  &err);
		assert_true(has_addr(f->rtnl, addrs[i]));
		assert_int_equal(
			rtnl_addr_add(f->rtnl, f->ifindex, &a.addr, &err),
			-EEXIST);
	}
	/* Table 255: local; that of IPv6 follows a little later. */
	assert_true(count_routes(f->rtnl, 255, addrs[0]) > 0);
	for (size_t i = 0; i < N(dsts); i++) {
		struct subnet dst = net(dsts[i]);

		expect_ok(rtnl_route_add(f->rtnl, RTNL_TABLE_MAIN, f->ifindex,
					 &dst, &err),
			  &err);
		assert_int_equal(count_routes(f->rtnl, 254, dsts[i]), 1);
	}
	for (size_t i = 0; i < N(dsts); i++) {
		struct subnet dst = net(dsts[i]);

		expect_ok(rtnl_route_del(f->rtnl, RTNL_TABLE_MAIN, f->ifindex,
					 &dst, &err),
			  &err);
		assert_int_equal(count_routes(f->rtnl, 254, dsts[i]), 0);
		assert_int_equal(rtnl_route_del(f->rtnl, RTNL_TABLE_MAIN,
						f->ifindex, &dst, &err),
				 -ESRCH);
	}
	for (size_t i = 0; i < N(addrs); i++) {
		struct subnet a = net(addrs[i]);

		expect_ok(rtnl_addr_del(f->rtnl, f->ifindex, &a.addr, &err),
			  &err);
		assert_false(has_addr(f->rtnl, addrs[i]));
		assert_int_equal(
			rtnl_addr_del(f->rtnl, f->ifindex, &a.addr, &err),
			-EADDRNOTAVAIL);
	}
	expect_ok(rtnl_link_del(f->rtnl, f->ifindex, &err), &err);
	assert_int_equal(rtnl_link_del(f->rtnl, f->ifindex, &err), -ENODEV);
}

static void rtnl_says_who_has_a_route_already(void **state)
{
	static const struct {
		const char *dst, *advice;
	} cases[] = {
		{"10.77.0.0/24", "10.77.0.0/25 and 10.77.0.128/25"},
		{"10.77.0.2/32", "end that tunnel or delete that route"},
		{"0.0.0.0/0", "0.0.0.0/1 and 128.0.0.0/1"},
		{"fd77::/64", "fd77::/65 and fd77::8000:0:0:0/65"},
	};
	struct fixture *f = fixture(state);
	struct err err;

	bring_up(f);
	for (size_t i = 0; i < N(cases); i++) {
		struct subnet dst = net(cases[i].dst);

		expect_ok(rtnl_route_add(f->rtnl, RTNL_TABLE_MAIN, f->ifindex,
					 &dst, &err),
			  &err);
		assert_int_equal(rtnl_route_add(f->rtnl, RTNL_TABLE_MAIN,
						f->ifindex, &dst, &err),
				 -EEXIST);
		assert_non_null(strstr(err.text, cases[i].dst));
		assert_non_null(strstr(err.text, "already routed via ecssh"));
		assert_non_null(strstr(err.text, cases[i].advice));
	}
}

static void rtnl_errors_say_what_failed(void **state)
{
	struct fixture *f = fixture(state);
	struct subnet dst = net("10.77.0.0/24");
	struct err err;

	/* The device is down. */
	assert_int_equal(rtnl_route_add(f->rtnl, RTNL_TABLE_MAIN, f->ifindex,
					&dst, &err),
			 -ENETDOWN);
	assert_non_null(strstr(err.text, "10.77.0.0/24"));
	assert_non_null(strstr(err.text, "ecssh"));
	assert_int_equal(rtnl_link_up(f->rtnl, 4711, &err), -ENODEV);
	assert_non_null(strstr(err.text, "#4711"));
	assert_int_equal(rtnl_link_configure(f->rtnl, f->ifindex, 1, 10, &err),
			 -EINVAL);
	assert_int_equal(rtnl_link_up(f->rtnl, 4711, NULL), -ENODEV);
}

static void rtnl_dumps_more_than_one_buffer_holds(void **state)
{
	enum { ROUTES = 3000 };
	struct fixture *f = fixture(state);
	struct rtnl_route *routes;
	struct err err;
	size_t n, ours = 0;

	bring_up(f);
	for (unsigned i = 0; i < ROUTES; i++) {
		uint8_t bytes[4] = {10, (uint8_t)(i >> 8), (uint8_t)i, 0};
		struct subnet dst = {addr_make(IPV4, bytes), 24};

		expect_ok(rtnl_route_add(f->rtnl, RTNL_TABLE_MAIN, f->ifindex,
					 &dst, &err),
			  &err);
	}
	expect_ok(rtnl_route_dump(f->rtnl, &routes, &n, &err), &err);
	for (size_t i = 0; i < n; i++)
		ours += routes[i].ifindex == f->ifindex &&
			routes[i].dst.prefix_len == 24;
	free(routes);
	assert_int_equal(ours, ROUTES);
}

static void a_device_that_is_up_sends_nothing_of_its_own(void **state)
{
	struct fixture *f = fixture(state);
	struct subnet v4 = net("198.18.3.4"), v6 = net("fd12::1");
	struct pollfd p = {.fd = f->tun_fd, .events = POLLIN};
	struct err err;

	bring_up(f);
	expect_ok(rtnl_addr_add(f->rtnl, f->ifindex, &v4.addr, &err), &err);
	expect_ok(rtnl_addr_add(f->rtnl, f->ifindex, &v6.addr, &err), &err);
	/* Router solicitations and MLD reports would come within this time. */
	assert_int_equal(poll(&p, 1, 1500), 0);
}

/* How many rules of this place there are; foreign: of others. */
static size_t count_rules(struct rtnl *rtnl, uint32_t priority, bool foreign)
{
	struct rtnl_rule *rules;
	struct err err;
	size_t n, found = 0;

	expect_ok(rtnl_rule_dump(rtnl, &rules, &n, &err), &err);
	for (size_t i = 0; i < n; i++)
		found += rules[i].priority == priority &&
			 rules[i].is_foreign == foreign;
	free(rules);
	return found;
}

static void rtnl_makes_rules_and_takes_back_those_alone(void **state)
{
	struct fixture *f = fixture(state);
	struct rtnl_rule rules[] = {
		{.version = IPV4, .priority = 5100, .table = 60501},
		{.version = IPV6, .priority = 5100, .table = 60501},
		{.version = IPV4,
		 .priority = 5000,
		 .table = RTNL_TABLE_MAIN,
		 .from = net("10.9.0.2").addr,
		 .to = net("10.9.0.1").addr,
		 .ip_proto = 6,
		 .from_ports = {40000, 40000},
		 .to_port = 22},
		{.version = IPV6,
		 .priority = 5000,
		 .table = RTNL_TABLE_MAIN,
		 .to = net("fd09::1").addr,
		 .ip_proto = 6,
		 .to_port = 22,
		 .has_uid = true,
		 .uid = 0},
		{.version = IPV6,
		 .priority = 5000,
		 .table = RTNL_TABLE_MAIN,
		 .to = net("fd09::1").addr,
		 .ip_proto = 6,
		 .from_ports = {20000, 20511},
		 .to_port = 22,
		 .has_uid = true,
		 .uid = 0},
		{.version = IPV4,
		 .priority = 5000,
		 .table = RTNL_TABLE_MAIN,
		 .mark = 0xec},
	};
	struct err err;

	for (size_t i = 0; i < N(rules); i++) {
		expect_ok(rtnl_rule_add(f->rtnl, &rules[i], &err), &err);
		assert_int_equal(rtnl_rule_add(f->rtnl, &rules[i], &err),
				 -EEXIST);
	}
	assert_int_equal(count_rules(f->rtnl, 5100, false), 2);
	assert_int_equal(count_rules(f->rtnl, 5000, false), 4);
	/* A part of what one says is not that one. */
	struct rtnl_rule part = rules[2];
	part.from_ports = (struct port_range){0};
	assert_int_equal(rtnl_rule_del(f->rtnl, &part, &err), -ENOENT);
	part = rules[4];
	part.from_ports.last--;
	assert_int_equal(rtnl_rule_del(f->rtnl, &part, &err), -ENOENT);
	part = rules[3];
	part.has_uid = false;
	assert_int_equal(rtnl_rule_del(f->rtnl, &part, &err), -ENOENT);
	for (size_t i = 0; i < N(rules); i++) {
		expect_ok(rtnl_rule_del(f->rtnl, &rules[i], &err), &err);
		assert_int_equal(rtnl_rule_del(f->rtnl, &rules[i], &err),
				 -ENOENT);
	}
	/* The kernel's own are there still, and are somebody else's. */
	assert_int_equal(count_rules(f->rtnl, 32766, true), 2);
	rules[0].priority = 32766;
	rules[0].table = RTNL_TABLE_MAIN;
	assert_int_equal(rtnl_rule_del(f->rtnl, &rules[0], &err), -ENOENT);
}

static void addr_pick_avoids_this_hosts_routes(void **state)
{
	struct fixture *f = fixture(state);
	struct subnet bench = net("198.18.0.0/15"), dflt = net("0.0.0.0/0");
	struct subnet ula = net("fd00::/8"), shared = net("100.64.0.0/10");
	static const uint8_t seed[16] = {1, 2, 3};
	struct ip_addr v4, v6, again4, again6;
	struct err err;

	bring_up(f);
	expect_ok(addr_pick(f->rtnl, seed, NULL, 0, &v4, &v6, &err), &err);
	assert_true(subnet_contains(&bench, &v4));
	expect_ok(addr_pick(f->rtnl, seed, NULL, 0, &again4, &again6, &err),
		  &err);
	assert_true(addr_equal(&v4, &again4));
	assert_true(addr_equal(&v6, &again6));
	assert_true(subnet_contains(&ula, &v6));
	/* Default routes do not count, others do. */
	expect_ok(rtnl_route_add(f->rtnl, RTNL_TABLE_MAIN, f->ifindex, &dflt,
				 &err),
		  &err);
	expect_ok(rtnl_route_add(f->rtnl, RTNL_TABLE_MAIN, f->ifindex, &bench,
				 &err),
		  &err);
	expect_ok(addr_pick(f->rtnl, seed, &dflt, 1, &v4, &v6, &err), &err);
	assert_true(subnet_contains(&shared, &v4));
	/* Requested subnets count, unless that leaves nothing. */
	expect_ok(addr_pick(f->rtnl, seed, &shared, 1, &v4, &v6, &err), &err);
	assert_true(subnet_contains(&shared, &v4));
	expect_ok(addr_pick(f->rtnl, seed, &ula, 1, &v4, &v6, &err), &err);
	assert_true(subnet_contains(&ula, &v6));
}

#define with_device(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addr_pick_v4_depends_on_the_seed_only),
		cmocka_unit_test(addr_pick_v4_walks_past_what_is_taken),
		cmocka_unit_test(addr_pick_v4_never_ends_in_0_or_255),
		cmocka_unit_test(addr_pick_v4_goes_on_in_the_second_range),
		cmocka_unit_test(addr_pick_v4_finds_the_last_free_address),
		cmocka_unit_test(addr_pick_v4_refuses_where_all_is_taken),
		cmocka_unit_test(addr_pick_v6_is_unique_local_and_free),
		with_device(tun_create_reports_what_the_kernel_did),
		with_device(rtnl_makes_and_takes_back_addresses_and_routes),
		with_device(rtnl_says_who_has_a_route_already),
		with_device(rtnl_errors_say_what_failed),
		with_device(rtnl_dumps_more_than_one_buffer_holds),
		with_device(a_device_that_is_up_sends_nothing_of_its_own),
		with_device(rtnl_makes_rules_and_takes_back_those_alone),
		with_device(addr_pick_avoids_this_hosts_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
