/* SPDX-License-Identifier: MIT */
/* test_told: src/netcfg/told.c: nothing is taken that should not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "connected.h"
#include "told.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct subnet net(const char *text)
{
	struct subnet s = {0};
	struct err err;

	if (subnet_parse(text, &s, NULL, &err) < 0)
		fail_msg("%s does not parse: %s", text, err.text);
	return s;
}

/* What becomes of the networks, for a host in 192.168.1.0/24 and fd09::/64 that
 * reaches the gateway at 203.0.113.5. */
static void choose(const struct subnet *nets, size_t n, size_t n_more,
		   struct told *ret_told)
{
	struct connected own[] = {{net("192.168.1.0/24"), "eth0"},
				  {net("fd09::/64"), "eth0"}};
	struct connected_list connected = {.nets = own, .n = N(own)};
	struct ip_addr peer = net("203.0.113.5").addr;
	struct told_input in = {.nets = nets,
				.n = n,
				.n_more = n_more,
				.connected = &connected,
				.peers = &peer,
				.n_peers = 1};

	told_choose(&in, ret_told);
}

static void told_takes_only_what_may_be_taken(void **state)
{
	static const struct {
		const char *net, *refusal; /* NULL: taken */
	} cases[] = {
		{"10.0.0.0/8", NULL},
		{"192.168.7.0/24", NULL},
		{"203.0.113.6/32", NULL},
		{"fd77::/64", NULL},
		{"2001::/16", NULL},
		{"0.0.0.0/0", "too large"},
		{"128.0.0.0/1", "too large"},
		{"10.0.0.0/7", "too large"},
		{"::/0", "too large"},
		{"2000::/15", "too large"},
		{"127.0.0.0/8", "not for routing"},
		{"0.0.0.0/8", "not for routing"},
		{"169.254.169.254/32", "not for routing"},
		{"224.0.0.0/24", "not for routing"},
		{"255.255.255.255/32", "not for routing"},
		{"fe80::/64", "not for routing"},
		{"ff00::/16", "not for routing"},
		{"::1/128", "not for routing"},
		{"192.168.1.0/24", "this host is in it"},
		{"192.168.0.0/16", "this host is in it"},
		{"192.168.1.77/32", "this host is in it"},
		{"fd09::/48", "this host is in it"},
		{"203.0.113.0/24", "the tunnel itself goes there"},
		{"203.0.113.5/32", "the tunnel itself goes there"},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct subnet one = net(cases[i].net);
		struct told told;

		choose(&one, 1, 0, &told);
		assert_int_equal(told.n_taken, cases[i].refusal ? 0 : 1);
		if (cases[i].refusal) {
			assert_string_equal(told.reaches.text, "");
			if (!strstr(told.refused.text, cases[i].refusal) ||
			    !strstr(told.refused.text, cases[i].net))
				fail_msg("%s: %s", cases[i].net,
					 told.refused.text);
		} else {
			assert_true(subnet_equal(&told.taken[0], &one));
			assert_string_equal(told.reaches.text, cases[i].net);
			assert_string_equal(told.refused.text, "");
		}
	}
}

static void told_counts_what_it_does_not_list(void **state)
{
	struct subnet nets[TOLD_MAX];
	struct told told;

	(void)state;
	for (size_t i = 0; i < TOLD_MAX; i++) {
		char text[SUBNET_TEXT_MAX];

		(void)snprintf(text, sizeof(text),
			       i % 2 ? "10.%zu.0.0/16" : "192.168.1.%zu/32", i);
		nets[i] = net(text);
	}
	choose(nets, TOLD_MAX, 9, &told);
	assert_int_equal(told.n_taken, TOLD_MAX / 2);
	assert_non_null(strstr(told.reaches.text, "10.11.0.0/16 and 58 more"));
	/* 64 less those 6 that are listed, and 9 that were not told. */
	assert_non_null(strstr(told.refused.text, " and 67 more"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_takes_only_what_may_be_taken),
		cmocka_unit_test(told_counts_what_it_does_not_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
