/* SPDX-License-Identifier: MIT */
/*
 * test_brokermsg_read: src/wire/brokermsg_read.c.  What a broker makes of it is
 * in test_broker.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "brokermsg_read.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Read it; a refusal has its sentence, and nothing else has one. */
static int read_it(const void *m, struct brokermsg_request *ret)
{
	struct err err = {{0}};
	int r = brokermsg_read(m, ret, &err);

	assert_int_equal(r < 0, err.text[0] != '\0');
	return r;
}

static int read_request(const void *m)
{
	struct brokermsg_request got;

	return read_it(m, &got);
}

static void each_request_has_a_size(void **state)
{
	(void)state;
	assert_int_equal(brokermsg_size(0), 0);
	assert_int_equal(brokermsg_size(BROKERMSG__N), 0);
	assert_int_equal(brokermsg_size(UINT32_MAX), 0);
	for (uint32_t type = 1; type < BROKERMSG__N; type++)
		assert_true(brokermsg_size(type) >= sizeof(uint32_t) &&
			    brokermsg_size(type) <=
				    sizeof(struct brokermsg_dns_set));
}

static void a_device_of_any_name_is_told_so(void **state)
{
	struct brokermsg_tun_create m = {
		.type = BROKERMSG_TUN_CREATE, .mtu_bytes = 1500, .offloads = 3};
	struct brokermsg_request got;

	(void)state;
	assert_int_equal(read_it(&m, &got), 0);
	assert_string_equal(got.tun.name, "ecssh%d");
	assert_int_equal(got.tun.mtu_bytes, 1500);
	assert_int_equal(got.tun.offloads, 3);
	memcpy(m.name, "office", 6);
	assert_int_equal(read_it(&m, &got), 0);
	assert_string_equal(got.tun.name, "office");
	m.name[10] = 'x'; /* behind the NUL */
	assert_int_equal(read_it(&m, &got), -EINVAL);
}

static void addresses_and_routes_are_subnets(void **state)
{
	struct brokermsg_addr addr = {BROKERMSG_ADDR_ADD, 4, {10, 1, 2, 3}};
	struct brokermsg_route route = {
		BROKERMSG_ROUTE_DEL, 6, 32, {0xfd, 0, 0, 1}};
	struct brokermsg_request got;
	char text[SUBNET_TEXT_MAX];

	(void)state;
	assert_int_equal(read_it(&addr, &got), 0);
	assert_string_equal(subnet_format(&got.net, text), "10.1.2.3/32");
	assert_int_equal(read_it(&route, &got), 0);
	assert_string_equal(subnet_format(&got.net, text), "fd00:1::/32");
	route.prefix_len = 31;
	assert_int_equal(read_it(&route, &got), -EINVAL);
	route.prefix_len = 256 + 32;
	assert_int_equal(read_it(&route, &got), -EINVAL);
	route.version = 256 + 6;
	assert_int_equal(read_it(&route, &got), -EINVAL);
}

static void an_exemption_is_for_a_connection_or_a_user(void **state)
{
	struct brokermsg_exempt m = {.type = BROKERMSG_EXEMPT_ADD,
				     .version = 4,
				     .remote = {192, 0, 2, 1},
				     .remote_port = 22,
				     .uid = 1000};
	struct brokermsg_request got;

	(void)state;
	assert_int_equal(read_it(&m, &got), 0);
	assert_int_equal(got.rule.kind, JOURNAL_RULE_EXEMPT);
	assert_true(got.rule.has_uid);
	assert_int_equal(got.rule.local.version, 0);
	assert_int_equal(got.rule.from.first, 0);
	assert_int_equal(got.rule.remote.port, 22);
	m.first_port = 20000;
	assert_int_equal(read_it(&m, &got), -EINVAL);
	m.last_port = 65536 + 20511;
	assert_int_equal(read_it(&m, &got), -EINVAL);
	m.last_port = 20511;
	assert_int_equal(read_it(&m, &got), 0);
	assert_int_equal(got.rule.from.first, 20000);
	assert_int_equal(got.rule.from.last, 20511);
	m.local[0] = 10;
	m.uid = BROKERMSG_NO_UID; /* these would be many connections */
	assert_int_equal(read_it(&m, &got), -EINVAL);
	m.last_port = 20000;
	assert_int_equal(read_it(&m, &got), 0);
	assert_false(got.rule.has_uid);
	assert_int_equal(got.rule.local.version, IPV4);
	m.local[0] = 0;
	assert_int_equal(read_it(&m, &got), -EINVAL);
}

static void flags_that_are_not_known_are_refused(void **state)
{
	struct brokermsg_guard guard = {BROKERMSG_GUARD, 1};
	struct brokermsg_forward forward = {BROKERMSG_FORWARD, 3};
	struct brokermsg_mark mark = {BROKERMSG_MARK, 6};

	(void)state;
	assert_int_equal(read_request(&guard), 0);
	guard.flags = 2;
	assert_int_equal(read_request(&guard), -EINVAL);
	assert_int_equal(read_request(&forward), 0);
	forward.flags = 1U << 31;
	assert_int_equal(read_request(&forward), -EINVAL);
	assert_int_equal(read_request(&mark), 0);
	mark.version = 5;
	assert_int_equal(read_request(&mark), -EINVAL);
}

static void servers_are_checked(void **state)
{
	struct brokermsg_dns_set m = {.type = BROKERMSG_DNS_SET,
				      .mode = BROKERMSG_DNS_ALL,
				      .n_servers = 1,
				      .servers = {{4, {10, 1, 2, 3}}}};

	(void)state;
	assert_int_equal(read_request(&m), 0);
	m.servers[0].bytes[0] = 127;
	assert_int_equal(read_request(&m), -EINVAL);
}

/*
 * The kill switch
 */

static struct brokermsg_kill_on request(void)
{
	return (struct brokermsg_kill_on){
		.type = BROKERMSG_KILL_ON,
		.uid = 1000,
		.n_gateways = 1,
		.name = "gw",
		.gateways = {{.version = 4, .port = 22, .bytes = {192, 0, 2}}},
	};
}

static void a_good_kill_switch_is_read(void **state)
{
	struct brokermsg_kill_on m = request();
	struct brokermsg_request got;

	(void)state;
	m.n_lans = 1;
	m.lans[0] = (struct brokermsg_subnet){4, 16, {192, 168}};
	m.first_port = 20000;
	m.last_port = 20511;
	assert_int_equal(read_it(&m, &got), 0);
	const struct brokermsg_kill k = got.kill;
	assert_string_equal(k.name, "gw");
	assert_int_equal(k.n_gateways, 1);
	assert_int_equal(k.gateways[0].port, 22);
	assert_int_equal(k.lans[0].prefix_len, 16);
	assert_int_equal(k.from.first, 20000);
	assert_int_equal(k.from.last, 20511);
	assert_int_equal(k.kept[0].addr.version, 0);
}

static void names_that_nft_would_read_otherwise_are_refused(void **state)
{
	static const char *const names[] = {
		"",    "-x",   ".x",  "a b",   "a;b", "a{",	   "a\nb",
		"a\"", "a/..", "a$b", "\x1bx", "ä",   "a\\x0000b", "*",
	};

	(void)state;
	for (size_t i = 0; i < N(names); i++) {
		struct brokermsg_kill_on m = request();

		memset(m.name, 0, sizeof(m.name));
		memcpy(m.name, names[i], strlen(names[i]));
		assert_int_equal(read_request(&m), -EINVAL);
	}
	struct brokermsg_kill_on m = request();
	memset(m.name, 'x', sizeof(m.name)); /* no NUL */
	assert_int_equal(read_request(&m), -EINVAL);
	m = request();
	m.name[5] = 'x'; /* behind the NUL */
	assert_int_equal(read_request(&m), -EINVAL);
}

static void holes_that_are_none_or_too_large_are_refused(void **state)
{
	static const struct brokermsg_endpoint ends[] = {
		{0, 22, {0}},	    {5, 22, {10}},	{4, 0, {10}},
		{4, 65536, {10}},   {4, 22, {[5] = 1}}, {4, 22, {224, 1}},
		{6, 22, {0xff, 2}},
	};
	static const struct brokermsg_subnet lans[] = {
		{4, 0, {0}},	 {4, 24, {192, 0, 2}},
		{4, 7, {10}},	 {4, 33, {10}},
		{4, 8, {10, 1}}, {6, 0, {0}},
		{6, 3, {0x20}},	 {6, 129, {0xfc}},
		{0, 8, {10}},	 {4, 8, {[0] = 10, [9] = 1}},
	};

	(void)state;
	for (size_t i = 0; i < N(ends); i++) {
		struct brokermsg_kill_on m = request();

		m.gateways[0] = ends[i];
		assert_true(read_request(&m) < 0);
		m = request();
		m.kept[0] = (struct brokermsg_endpoint){4, 22, {10}};
		m.kept[1] = ends[i];
		assert_true(read_request(&m) < 0);
	}
	for (size_t i = 0; i < N(lans); i++) {
		struct brokermsg_kill_on m = request();

		m.n_lans = 1;
		m.lans[0] = lans[i];
		assert_true(read_request(&m) < 0);
	}
}

static void the_numbers_are_bounded(void **state)
{
	struct brokermsg_kill_on m = request();

	(void)state;
	m.n_gateways = 0;
	assert_int_equal(read_request(&m), -EINVAL);
	m.n_gateways = BROKERMSG_GATEWAYS_MAX + 1;
	assert_int_equal(read_request(&m), -EINVAL);
	m = request();
	m.n_lans = UINT32_MAX;
	assert_int_equal(read_request(&m), -EINVAL);
}

static void ports_that_are_no_range_are_refused(void **state)
{
	static const uint32_t ranges[][2] = {
		{0, 1}, {2, 1}, {1, 65536}, {65537, 65538}, {1, 0},
	};

	(void)state;
	for (size_t i = 0; i < N(ranges); i++) {
		struct brokermsg_kill_on m = request();

		m.first_port = ranges[i][0];
		m.last_port = ranges[i][1];
		assert_int_equal(read_request(&m), -EINVAL);
	}
}

static void names_of_kill_switches_are_checked(void **state)
{
	static const uint32_t types[] = {BROKERMSG_KILL_OFF,
					 BROKERMSG_KILL_LOOK};
	struct brokermsg_request got;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct brokermsg_kill_off m = {types[i], "_gw"};

		assert_int_equal(read_it(&m, &got), 0);
		assert_string_equal(got.kill.name, "_gw");
		m.name[0] = '-';
		assert_int_equal(read_it(&m, &got), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_has_a_size),
		cmocka_unit_test(a_device_of_any_name_is_told_so),
		cmocka_unit_test(addresses_and_routes_are_subnets),
		cmocka_unit_test(an_exemption_is_for_a_connection_or_a_user),
		cmocka_unit_test(flags_that_are_not_known_are_refused),
		cmocka_unit_test(servers_are_checked),
		cmocka_unit_test(a_good_kill_switch_is_read),
		cmocka_unit_test(
			names_that_nft_would_read_otherwise_are_refused),
		cmocka_unit_test(holes_that_are_none_or_too_large_are_refused),
		cmocka_unit_test(the_numbers_are_bounded),
		cmocka_unit_test(ports_that_are_no_range_are_refused),
		cmocka_unit_test(names_of_kill_switches_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
