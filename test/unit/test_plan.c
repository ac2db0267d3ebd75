/* SPDX-License-Identifier: MIT */
/* test_plan: src/netcfg/plan.c, case by case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connected.h"
#include "plan.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

enum { LIST_MAX = 16 };

static struct subnet net(const char *text)
{
	struct subnet s = {0};
	struct err err;

	if (subnet_parse(text, &s, NULL, &err) < 0)
		fail_msg("%s does not parse: %s", text, err.text);
	return s;
}

/* Words, separated by spaces, as subnets. */
static size_t nets(const char *words, struct subnet out[LIST_MAX])
{
	char copy[512], *save = NULL;
	size_t n = 0;

	(void)snprintf(copy, sizeof(copy), "%s", words);
	for (char *w = strtok_r(copy, " ", &save); w;
	     w = strtok_r(NULL, " ", &save)) {
		assert_true(n < LIST_MAX);
		out[n++] = net(w);
	}
	return n;
}

/* "eth0=10.9.0.0/24" and the like. */
static size_t devices(const char *words, struct connected out[LIST_MAX])
{
	char copy[512], *save = NULL;
	size_t n = 0;

	(void)snprintf(copy, sizeof(copy), "%s", words);
	for (char *w = strtok_r(copy, " ", &save); w;
	     w = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(w, '=');

		assert_non_null(equals);
		assert_true(n < LIST_MAX);
		*equals = '\0';
		(void)snprintf(out[n].device, sizeof(out[n].device), "%.15s",
			       w);
		out[n++].net = net(equals + 1);
	}
	return n;
}

enum option {
	FULL = 1,
	LAN = 2,
	NO_IPV6 = 4,
};

struct scenario {
	const char *what, *asked, *excludes, *connected;
	unsigned options;
	const char *routes; /* in the order of addresses */
	const char *said;   /* parts of the notes, in order, separated by | */
};

static int make(const struct scenario *s, struct plan *ret_plan,
		struct err *err)
{
	struct subnet asked[LIST_MAX], excludes[LIST_MAX];
	struct connected connected[LIST_MAX];
	struct connected_list list = {
		.nets = connected,
		.n = devices(s->connected, connected),
		.has_ipv6 = !(s->options & NO_IPV6),
	};
	struct plan_input in = {
		.asked = asked,
		.n_asked = nets(s->asked, asked),
		.excludes = excludes,
		.n_excludes = nets(s->excludes, excludes),
		.connected = &list,
		.is_full = (s->options & FULL) != 0,
		.allow_lan = (s->options & LAN) != 0,
	};

	return plan_make(&in, ret_plan, err);
}

static void check_routes(const struct scenario *s, const struct plan *plan)
{
	char got[2048] = "", text[SUBNET_TEXT_MAX];
	size_t at = 0;

	for (size_t i = 0; i < plan->n_routes && at < sizeof(got); i++)
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%s",
				       i ? " " : "",
				       subnet_format(&plan->routes[i], text));
	if (strcmp(got, s->routes) != 0)
		fail_msg("%s: got %s, wanted %s", s->what, got, s->routes);
}

static void check_notes(const struct scenario *s, const struct plan *plan)
{
	char copy[1024], *save = NULL;
	size_t n = 0;

	(void)snprintf(copy, sizeof(copy), "%s", s->said);
	for (char *part = strtok_r(copy, "|", &save); part;
	     part = strtok_r(NULL, "|", &save), n++) {
		bool is_warning = *part == '!';

		part += is_warning;
		if (n >= plan->n_notes)
			fail_msg("%s: not said: %s", s->what, part);
		if (!strstr(plan->notes[n].said.text, part))
			fail_msg("%s: \"%s\" is not in: %s", s->what, part,
				 plan->notes[n].said.text);
		assert_int_equal(plan->notes[n].kind,
				 is_warning ? PLAN_NOTE_WARNING
					    : PLAN_NOTE_CHOICE);
	}
	if (n < plan->n_notes)
		fail_msg("%s: said besides: %s", s->what,
			 plan->notes[n].said.text);
}

static void plan_makes_of_each_request_what_it_should(void **state)
{
	static const struct scenario scenarios[] = {
		{"nothing local", "10.0.0.0/8 fd00::/8", "",
		 "eth0=192.168.1.0/24 eth0=2001:db8::/64", 0,
		 "10.0.0.0/8 fd00::/8", ""},
		{"local inside", "10.9.0.0/22", "", "eth0=10.9.0.0/24", 0,
		 "10.9.1.0/24 10.9.2.0/23",
		 "!10.9.0.0/24 is eth0's own network and stays out of the "
		 "tunnel, though it is within 10.9.0.0/22"},
		{"how to change it", "10.9.0.0/22", "", "eth0=10.9.0.0/24", 0,
		 "10.9.1.0/24 10.9.2.0/23",
		 "!ask for 10.9.0.0/24 itself to have it in the tunnel, or "
		 "exclude it with -x 10.9.0.0/24"},
		{"local inside, silenced", "10.9.0.0/22", "10.9.0.0/24",
		 "eth0=10.9.0.0/24", 0, "10.9.1.0/24 10.9.2.0/23", ""},
		{"local inside, silenced by more", "10.9.0.0/22", "10.9.0.0/23",
		 "eth0=10.9.0.0/24", 0, "10.9.2.0/23", ""},
		{"local inside, named too", "10.9.0.0/22 10.9.0.0/24", "",
		 "eth0=10.9.0.0/24", 0, "10.9.0.0/22",
		 "!eth0's own network 10.9.0.0/24 is reached through the "
		 "tunnel now"},
		{"local itself", "10.9.0.0/24", "", "eth0=10.9.0.0/24", 0,
		 "10.9.0.0/24", "!eth0's own network 10.9.0.0/24 is reached"},
		{"one local host", "10.9.0.7", "", "eth0=10.9.0.0/24", 0,
		 "10.9.0.7/32",
		 "!1 address of eth0's own network 10.9.0.0/24 is reached "
		 "through the tunnel now: 10.9.0.7/32"},
		{"two parts", "10.9.0.16/28 10.9.0.64/26", "",
		 "eth0=10.9.0.0/24", 0, "10.9.0.16/28 10.9.0.64/26",
		 "!80 addresses of eth0's own network 10.9.0.0/24 are reached "
		 "through the tunnel now: 10.9.0.16/28 and 1 more"},
		{"much of IPv6", "fd09::/64", "", "eth0=fd09::/48", 0,
		 "fd09::/64", "!many addresses of eth0's own network"},
		{"a part of what stays local", "10.9.0.0/22 10.9.0.64/26", "",
		 "eth0=10.9.0.0/24", 0, "10.9.0.64/26 10.9.1.0/24 10.9.2.0/23",
		 "!10.9.0.0/24 is eth0's own|!64 addresses of eth0's own"},
		{"a network within a named one", "10.9.0.0/24", "",
		 "docker0=10.9.0.128/25 eth0=10.9.0.0/24", 0, "10.9.0.0/25",
		 "!eth0's own network 10.9.0.0/24 is reached|!10.9.0.128/25 "
		 "is docker0's own"},
		{"two devices, one network", "10.9.0.0/23", "",
		 "eth0=10.9.0.0/24 wlan0=10.9.0.0/24", 0, "10.9.1.0/24",
		 "!eth0's own|!wlan0's own"},
		{"within another", "10.0.0.0/8 10.1.0.0/16 10.0.0.0/8", "", "",
		 0, "10.0.0.0/8", ""},
		{"everything", "0.0.0.0/0 ::/0", "",
		 "eth0=192.168.1.0/24 eth0=2001:db8::/64", FULL,
		 "0.0.0.0/0 ::/0",
		 "192.168.1.0/24 goes into the tunnel, too|2001:db8::/64 goes "
		 "into the tunnel, too"},
		{"everything, IPv6 off", "0.0.0.0/0 ::/0", "",
		 "eth0=192.168.1.0/24", FULL | NO_IPV6, "0.0.0.0/0",
		 "192.168.1.0/24 goes into|IPv6 is switched off"},
		{"by hand, IPv6 off", "fd00::/8", "", "", NO_IPV6, "fd00::/8",
		 ""},
		{"everything less IPv6", "0.0.0.0/0 ::/0", "::/0",
		 "eth0=2001:db8::/64", FULL, "0.0.0.0/0", ""},
		{"the halves are no special case", "0.0.0.0/1 128.0.0.0/1", "",
		 "eth0=192.168.0.0/16", 0,
		 "0.0.0.0/1 128.0.0.0/2 192.0.0.0/9 192.128.0.0/11 "
		 "192.160.0.0/13 192.169.0.0/16 192.170.0.0/15 192.172.0.0/14 "
		 "192.176.0.0/12 192.192.0.0/10 193.0.0.0/8 194.0.0.0/7 "
		 "196.0.0.0/6 200.0.0.0/5 208.0.0.0/4 224.0.0.0/3",
		 "!192.168.0.0/16 is eth0's own"},
	};

	(void)state;
	for (size_t i = 0; i < N(scenarios); i++) {
		struct plan plan;
		struct err err;

		if (make(&scenarios[i], &plan, &err) < 0)
			fail_msg("%s: %s", scenarios[i].what, err.text);
		check_routes(&scenarios[i], &plan);
		check_notes(&scenarios[i], &plan);
		plan_fini(&plan);
	}
}

static bool is_routed(const struct plan *plan, const char *addr)
{
	struct subnet one = net(addr);

	for (size_t i = 0; i < plan->n_routes; i++)
		if (subnet_covers(&plan->routes[i], &one))
			return true;
	return false;
}

static void plan_keeps_small_private_networks_local_if_allowed(void **state)
{
	static const struct {
		struct scenario of;
		const char *there; /* an address of that network */
		bool is_routed;
	} cases[] = {
		{{"192.168", "0.0.0.0/0 ::/0", "", "eth0=192.168.7.0/24",
		  FULL | LAN, "",
		  "eth0's own network 192.168.7.0/24 stays out of the tunnel"},
		 "192.168.7.9",
		 false},
		{{"/16", "0.0.0.0/0", "", "eth0=10.9.0.0/16", LAN, "",
		  "stays out"},
		 "10.9.3.4",
		 false},
		{{"/15", "0.0.0.0/0", "", "eth0=10.8.0.0/15", LAN, "",
		  "!in spite of --allow-lan: it is larger than a /16"},
		 "10.9.3.4",
		 true},
		{{"public", "0.0.0.0/0", "", "eth0=192.169.0.0/24", LAN, "",
		  "!in spite of --allow-lan: it is no private network"},
		 "192.169.0.1",
		 true},
		{{"half public", "0.0.0.0/0", "", "eth0=172.0.0.0/8", LAN, "",
		  "!no private network"},
		 "172.16.0.1",
		 true},
		{{"link-local", "0.0.0.0/0", "", "eth0=169.254.0.0/16", LAN, "",
		  "stays out"},
		 "169.254.1.1",
		 false},
		{{"v6", "::/0", "", "eth0=fd09::/48", LAN, "", "stays out"},
		 "fd09::1",
		 false},
		{{"v6, large", "::/0", "", "eth0=fd09::/47", LAN, "",
		  "!larger than a /48"},
		 "fd09::1",
		 true},
		{{"v6, public", "::/0", "", "eth0=2001:db8::/64", LAN, "",
		  "!no private network"},
		 "2001:db8::1",
		 true},
		{{"named", "0.0.0.0/0 10.9.0.0/24", "", "eth0=10.9.0.0/24", LAN,
		  "", "!is reached through the tunnel now"},
		 "10.9.0.1",
		 true},
		{{"part of it named", "0.0.0.0/0 10.9.0.1", "",
		  "eth0=10.9.0.0/24", LAN, "", "stays out|!1 address of"},
		 "10.9.0.1",
		 true},
		{{"not allowed", "0.0.0.0/0", "", "eth0=10.9.0.0/24", FULL, "",
		  "goes into the tunnel, too"},
		 "10.9.0.1",
		 true},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct plan plan;
		struct err err;

		assert_int_equal(make(&cases[i].of, &plan, &err), 0);
		check_notes(&cases[i].of, &plan);
		if (is_routed(&plan, cases[i].there) != cases[i].is_routed)
			fail_msg("%s: %s", cases[i].of.what, cases[i].there);
		assert_int_equal(is_routed(&plan, "1.1.1.1"),
				 cases[i].of.asked[0] == '0');
		assert_int_equal(is_routed(&plan, "2600::1"),
				 strstr(cases[i].of.asked, "::/0") != NULL);
		plan_fini(&plan);
	}
}

static void plan_leaves_out_pieces_that_nobody_routes(void **state)
{
	static const struct scenario everything = {
		.what = "",
		.asked = "0.0.0.0/0 ::/0",
		.excludes = "239.1.2.3 127.0.0.1 0.1.2.3 fe80::1 ff02::1 ::2",
		.connected = "",
	};
	static const char *const out[] = {"224.0.0.1", "239.1.2.4", "127.0.0.2",
					  "0.0.0.1",   "fe80::2",   "ff05::1",
					  "::1"};
	static const char *const in[] = {"223.255.255.255", "240.0.0.1",
					 "1.0.0.1",	    "128.0.0.1",
					 "fd00::1",	    "::3"};
	struct plan plan;
	struct err err;

	(void)state;
	assert_int_equal(make(&everything, &plan, &err), 0);
	for (size_t i = 0; i < N(out); i++)
		if (is_routed(&plan, out[i]))
			fail_msg("%s is routed", out[i]);
	for (size_t i = 0; i < N(in); i++)
		if (!is_routed(&plan, in[i]))
			fail_msg("%s is not routed", in[i]);
	plan_fini(&plan);
}

static void plan_refuses_to_route_nothing(void **state)
{
	static const struct scenario none[] = {
		{"itself", "10.0.0.0/8", "10.0.0.0/8", "", 0, "", ""},
		{"more", "10.1.0.0/16 10.2.0.0/16", "10.0.0.0/8", "", 0, "",
		 ""},
		{"halves", "10.0.0.0/8", "10.0.0.0/9 10.128.0.0/9", "", 0, "",
		 ""},
		{"and what is local", "10.9.0.0/23", "10.9.1.0/24",
		 "eth0=10.9.0.0/24", 0, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < N(none); i++) {
		struct plan plan;
		struct err err = {{0}};

		if (make(&none[i], &plan, &err) != -EINVAL)
			fail_msg("%s: not refused", none[i].what);
		assert_non_null(strstr(err.text, "nothing is left"));
	}
}

static void plan_exclude_leaves_out_the_transport(void **state)
{
	static const struct scenario some = {.what = "",
					     .asked = "10.0.0.0/30",
					     .excludes = "",
					     .connected = ""};
	struct subnet hole = net("10.0.0.1");
	struct plan plan;
	struct err err;

	(void)state;
	assert_int_equal(make(&some, &plan, &err), 0);
	assert_int_equal(plan_exclude(&plan, &hole, &err), 0);
	assert_true(is_routed(&plan, "10.0.0.0"));
	assert_false(is_routed(&plan, "10.0.0.1"));
	assert_true(is_routed(&plan, "10.0.0.2"));
	plan_fini(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan_makes_of_each_request_what_it_should),
		cmocka_unit_test(
			plan_keeps_small_private_networks_local_if_allowed),
		cmocka_unit_test(plan_leaves_out_pieces_that_nobody_routes),
		cmocka_unit_test(plan_refuses_to_route_nothing),
		cmocka_unit_test(plan_exclude_leaves_out_the_transport),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
