/* SPDX-License-Identifier: MIT */
/* test_addr: src/base/addr.c, subnets against counting every address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct ip_addr addr(const char *text)
{
	struct ip_addr a = {0};

	if (addr_parse(text, &a) < 0)
		fail_msg("%s does not parse", text);
	return a;
}

static struct subnet net(const char *text)
{
	struct subnet s = {0};
	struct err err;

	if (subnet_parse(text, &s, NULL, &err) < 0)
		fail_msg("%s does not parse: %s", text, err.text);
	return s;
}

static void addr_parse_accepts_what_addr_format_writes(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"10.1.2.3", "10.1.2.3"},
		{"::", "::"},
		{"::1", "::1"},
		{"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	};
	char text[ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct ip_addr a = addr(cases[i].text);

		assert_string_equal(addr_format(&a, text), cases[i].shown);
	}
}

static void addr_parse_refuses_everything_else(void **state)
{
	static const char *const cases[] = {
		"",
		"1.2.3",
		"1.2.3.4.5",
		"1.2.3.256",
		"01.2.3.4",
		"1.2.3.4 ",
		" 1.2.3.4",
		"0x7f.0.0.1",
		":",
		":::",
		"1::2::3",
		"12345::",
		"fe80::1%lo",
		"[::1]",
		"host",
		"1.2.3.4/32",
		"1:2:3:4:5:6:7:8:9",
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct ip_addr a = {.version = 99};

		assert_int_equal(addr_parse(cases[i], &a), -EINVAL);
		assert_int_equal(a.version, 99);
	}
}

static void addr_equal_compares_version_and_bytes(void **state)
{
	struct ip_addr v4 = addr("0.0.0.0"), v6 = addr("::");
	struct endpoint a = {addr("1.2.3.4"), 1}, b = {addr("1.2.3.4"), 2};

	(void)state;
	assert_true(addr_equal(&v4, &v4));
	assert_false(addr_equal(&v4, &v6));
	assert_true(endpoint_equal(&a, &a));
	assert_false(endpoint_equal(&a, &b));
}

static void subnet_parse_says_what_was_taken(void **state)
{
	static const struct {
		const char *text, *shown;
		bool had_host_bits;
	} cases[] = {
		{"10.0.0.0/8", "10.0.0.0/8", false},
		{"10/8", "10.0.0.0/8", false},
		{"172.16/12", "172.16.0.0/12", false},
		{"192.168.1/24", "192.168.1.0/24", false},
		{"0/0", "0.0.0.0/0", false},
		{"::/0", "::/0", false},
		{"1.2.3.4", "1.2.3.4/32", false},
		{"fd00::1", "fd00::1/128", false},
		{"10.1.2.3/8", "10.0.0.0/8", true},
		{"10.1.2.3/31", "10.1.2.2/31", true},
		{"10.1.2.3/0", "0.0.0.0/0", true},
		{"10.1.2.3/32", "10.1.2.3/32", false},
		{"fd00::1:2/112", "fd00::1:0/112", true},
		{"2001:db8::ff/121", "2001:db8::80/121", true},
		{"10.0.0.0/008", "10.0.0.0/8", false},
	};
	char text[SUBNET_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct subnet s;
		struct err err;
		bool had = !cases[i].had_host_bits;

		assert_int_equal(subnet_parse(cases[i].text, &s, &had, &err),
				 0);
		assert_string_equal(subnet_format(&s, text), cases[i].shown);
		assert_int_equal(had, cases[i].had_host_bits);
	}
}

static void subnet_parse_refuses_in_one_printable_sentence(void **state)
{
	static const char *const cases[] = {
		"",
		"/",
		"/8",
		"10",
		"10.0.0",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/8x",
		"10.0.0.0/ 8",
		"10.0.0.0/8/8",
		"10.0.0.0/1000",
		"10.0.0.0/255.0.0.0",
		"255.255.240.0",
		"::/129",
		"::/",
		"10./8",
		".10/8",
		"10..0/8",
		"300/8",
		"1.2.3.4.5/8",
		"office",
		"office/24",
		"\033[31m/8",
		"-oProxyCommand=x",
		("1111111111111111111111111111111111111111111111111111111111111"
		 "1111111111111111111111111111111111111111111111111111111111/"
		 "8"),
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct subnet s = {.prefix_len = 77};
		struct err err = {{0}};

		assert_int_equal(subnet_parse(cases[i], &s, NULL, &err),
				 -EINVAL);
		assert_int_equal(s.prefix_len, 77);
		assert_true(err.text[0] != '\0');
		assert_null(strchr(err.text, '\033'));
		/* err may be left out. */
		assert_int_equal(subnet_parse(cases[i], &s, NULL, NULL),
				 -EINVAL);
	}
}

static void subnet_parse_knows_a_mask_when_it_sees_one(void **state)
{
	static const struct {
		const char *text, *mention; /* NULL: it is none */
	} cases[] = {
		{"255.255.255.0", "ADDRESS/24"},
		{"255.0.0.0", "ADDRESS/8"},
		{"255.254.0.0", "ADDRESS/15"},
		{"10.0.0.0/255.0.0.0", "/8"},
		{"10.0.0.0/255.255.255.255", "/32"},
		{"255.255.255.255", NULL},
		{"255.0.255.0", NULL},
		{"254.0.0.0", NULL},
		{"255.255.255.253", NULL},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct subnet s;
		struct err err = {{0}};
		int r = subnet_parse(cases[i].text, &s, NULL, &err);

		assert_int_equal(r, cases[i].mention ? -EINVAL : 0);
		if (cases[i].mention)
			assert_non_null(strstr(err.text, cases[i].mention));
	}
}

static void subnets_contain_cover_and_overlap(void **state)
{
	static const struct {
		const char *a, *b;
		bool a_covers_b, b_covers_a;
	} cases[] = {
		{"10.0.0.0/8", "10.0.0.0/8", true, true},
		{"10.0.0.0/8", "10.255.255.255", true, false},
		{"10.0.0.0/8", "11.0.0.0/8", false, false},
		{"10.0.0.0/7", "11.0.0.0/8", true, false},
		{"0.0.0.0/0", "255.255.255.255", true, false},
		{"0.0.0.0/0", "::/0", false, false},
		{"::/0", "ff02::1", true, false},
		{"fe80::/10", "febf::/16", true, false},
		{"fe80::/10", "fec0::/16", false, false},
		{"10.0.0.128/25", "10.0.0.127", false, false},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct subnet a = net(cases[i].a), b = net(cases[i].b);

		assert_int_equal(subnet_covers(&a, &b), cases[i].a_covers_b);
		assert_int_equal(subnet_covers(&b, &a), cases[i].b_covers_a);
		assert_int_equal(subnet_contains(&a, &b.addr),
				 cases[i].a_covers_b);
		assert_int_equal(subnet_overlaps(&a, &b),
				 cases[i].a_covers_b || cases[i].b_covers_a);
		assert_int_equal(subnet_overlaps(&b, &a),
				 cases[i].a_covers_b || cases[i].b_covers_a);
	}
}

static size_t times_in(const struct subnet *nets, size_t n,
		       const struct ip_addr *a)
{
	size_t times = 0;

	for (size_t i = 0; i < n; i++)
		times += subnet_contains(&nets[i], a);
	return times;
}

/* Every address of outer is in the result once, unless it is in the hole. */
static void check_subtract(const char *outer_text, const char *hole_text)
{
	struct subnet outer = net(outer_text), hole = net(hole_text);
	struct subnet *nets = malloc(sizeof(*nets));

	assert_non_null(nets);
	nets[0] = outer;
	int n = subnet_subtract(&nets, 1, 256, &hole);
	assert_true(n >= 0);
	for (unsigned i = 0; i < 65536; i++) {
		/* The last two bytes, within outer and just outside. */
		struct ip_addr a = outer.addr;
		size_t len = addr_len_bytes(&a);

		a.bytes[len - 2] = (uint8_t)(i >> 8);
		a.bytes[len - 1] = (uint8_t)i;
		size_t want = subnet_contains(&outer, &a) &&
			      !subnet_contains(&hole, &a);
		if (times_in(nets, (size_t)n, &a) != want)
			fail_msg("%s minus %s is wrong about ...%u.%u",
				 outer_text, hole_text, i >> 8, i & 255);
	}
	free(nets);
}

static void subnet_subtract_leaves_everything_but_the_hole(void **state)
{
	static const struct {
		const char *outer, *hole;
	} cases[] = {
		{"10.0.0.0/16", "10.0.0.0"},
		{"10.0.0.0/16", "10.0.255.255"},
		{"10.0.0.0/16", "10.0.77.3"},
		{"10.0.0.0/16", "10.0.64.0/18"},
		{"10.0.0.0/16", "10.0.128.0/17"},
		{"10.0.0.0/16", "10.0.0.0/16"},
		{"10.0.0.0/16", "0.0.0.0/0"},
		{"10.0.0.0/16", "11.0.0.0/16"},
		{"10.0.3.0/24", "10.0.3.9"},
		{"10.0.3.4/31", "10.0.3.5"},
		{"10.0.3.4/32", "10.0.3.4"},
		{"fd77::/112", "fd77::1234"},
		{"fd77::/112", "10.0.0.0/8"},
		{"fd77::/120", "fd77::80/121"},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++)
		check_subtract(cases[i].outer, cases[i].hole);
}

static void subnet_subtract_uses_the_fewest_subnets(void **state)
{
	struct subnet hole = net("198.51.100.7");
	struct subnet *nets = malloc(sizeof(*nets));

	(void)state;
	assert_non_null(nets);
	nets[0] = net("0.0.0.0/0");
	assert_int_equal(subnet_subtract(&nets, 1, 256, &hole), 32);
	free(nets);
}

static void subnet_subtract_works_on_overlapping_lists(void **state)
{
	struct subnet hole = net("10.1.0.0/16");
	struct subnet *nets = malloc(4 * sizeof(*nets));

	(void)state;
	assert_non_null(nets);
	nets[0] = net("10.1.2.0/24"); /* goes */
	nets[1] = net("10.0.0.0/15"); /* becomes 10.0/16 */
	nets[2] = net("10.1.0.0/16"); /* goes */
	nets[3] = net("10.2.0.0/16"); /* stays */
	assert_int_equal(subnet_subtract(&nets, 4, 256, &hole), 2);
	struct subnet want[] = {net("10.0.0.0/16"), net("10.2.0.0/16")};
	for (size_t i = 0; i < 2; i++)
		assert_memory_equal(&nets[i], &want[i], sizeof(want[i]));
	free(nets);
}

static void subnet_subtract_stops_at_the_limit(void **state)
{
	struct subnet hole = net("10.0.0.1");
	struct subnet *nets = malloc(sizeof(*nets));

	(void)state;
	assert_non_null(nets);
	nets[0] = net("10.0.0.0/8");
	assert_int_equal(subnet_subtract(&nets, 1, 23, &hole), -E2BIG);
	nets[0] = net("10.0.0.0/8");
	assert_int_equal(subnet_subtract(&nets, 1, 24, &hole), 24);
	free(nets);
}

static void addresses_are_told_apart_by_reach(void **state)
{
	static const struct {
		const char *text;
		bool loopback, link_local, multicast;
	} cases[] = {
		{"127.0.0.1", true, false, false},
		{"127.255.255.255", true, false, false},
		{"128.0.0.1", false, false, false},
		{"0.0.0.0", true, false, false},
		{"0.1.2.3", true, false, false},
		{"1.0.0.0", false, false, false},
		{"169.254.169.254", false, true, false},
		{"169.253.255.255", false, false, false},
		{"169.255.0.0", false, false, false},
		{"223.255.255.255", false, false, false},
		{"224.0.0.1", false, false, true},
		{"239.255.255.255", false, false, true},
		{"240.0.0.1", false, false, false},
		{"255.255.255.254", false, false, false},
		{"255.255.255.255", false, false, true},
		{"::", true, false, false},
		{"::1", true, false, false},
		{"::2", false, false, false},
		{"1::1", false, false, false},
		{"fe80::1", false, true, false},
		{"febf::1", false, true, false},
		{"fec0::1", false, false, false},
		{"fe00::1", false, false, false},
		{"ff02::1", false, false, true},
		{"fd00::1", false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct ip_addr a = addr(cases[i].text);

		if (addr_is_loopback(&a) != cases[i].loopback ||
		    addr_is_link_local(&a) != cases[i].link_local ||
		    addr_is_multicast(&a) != cases[i].multicast)
			fail_msg("%s is taken for something else",
				 cases[i].text);
	}
}

static void endpoints_survive_the_kernels_form(void **state)
{
	static const struct {
		const char *addr, *shown;
		uint16_t port;
		socklen_t len;
	} cases[] = {
		{"10.1.2.3", "10.1.2.3:22", 22, sizeof(struct sockaddr_in)},
		{"fd00::1", "[fd00::1]:65535", 65535,
		 sizeof(struct sockaddr_in6)},
		{"::", "[::]:0", 0, sizeof(struct sockaddr_in6)},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", 65535,
		 sizeof(struct sockaddr_in6)},
	};
	char text[ENDPOINT_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct endpoint e = {addr(cases[i].addr), cases[i].port}, back;
		struct sockaddr_storage ss;

		assert_int_equal(endpoint_to_sockaddr(&e, &ss), cases[i].len);
		assert_int_equal(
			endpoint_from_sockaddr((struct sockaddr *)&ss, &back),
			0);
		assert_true(endpoint_equal(&e, &back));
		assert_string_equal(endpoint_format(&e, text), cases[i].shown);
	}
}

static void endpoint_from_sockaddr_unwraps_mapped_ipv4(void **state)
{
	struct endpoint mapped = {addr("::ffff:10.1.2.3"), 80}, e;
	struct endpoint want = {addr("10.1.2.3"), 80};
	struct sockaddr_storage ss;
	struct sockaddr local = {.sa_family = AF_UNIX};

	(void)state;
	(void)endpoint_to_sockaddr(&mapped, &ss);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&ss, &e), 0);
	assert_true(endpoint_equal(&e, &want));
	assert_int_equal(endpoint_from_sockaddr(&local, &e), -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addr_parse_accepts_what_addr_format_writes),
		cmocka_unit_test(addr_parse_refuses_everything_else),
		cmocka_unit_test(addr_equal_compares_version_and_bytes),
		cmocka_unit_test(subnet_parse_says_what_was_taken),
		cmocka_unit_test(
			subnet_parse_refuses_in_one_printable_sentence),
		cmocka_unit_test(subnet_parse_knows_a_mask_when_it_sees_one),
		cmocka_unit_test(subnets_contain_cover_and_overlap),
		cmocka_unit_test(
			subnet_subtract_leaves_everything_but_the_hole),
		cmocka_unit_test(subnet_subtract_uses_the_fewest_subnets),
		cmocka_unit_test(subnet_subtract_works_on_overlapping_lists),
		cmocka_unit_test(subnet_subtract_stops_at_the_limit),
		cmocka_unit_test(addresses_are_told_apart_by_reach),
		cmocka_unit_test(endpoints_survive_the_kernels_form),
		cmocka_unit_test(endpoint_from_sockaddr_unwraps_mapped_ipv4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
