/* SPDX-License-Identifier: MIT */
/* policy: which destinations the far side refuses to reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy.h"

enum {
	NONE = 0,
	LO = POLICY_ALLOW_LOOPBACK,
	LL = POLICY_ALLOW_LINK_LOCAL,
	BOTH = LO | LL,
	NEVER = ~0,
	ALWAYS = 0,
};

/* Which flags an address needs to be allowed. */
static const struct {
	const char *address;
	int needs;
} cases[] = {
	{"10.0.0.1", ALWAYS},
	{"192.168.1.254", ALWAYS},
	{"8.8.8.8", ALWAYS},
	{"1.0.0.0", ALWAYS},
	{"126.255.255.255", ALWAYS},
	{"128.0.0.1", ALWAYS},
	{"169.253.255.255", ALWAYS},
	{"169.255.0.0", ALWAYS},
	{"223.255.255.255", ALWAYS},
	{"100.64.0.1", ALWAYS},
	{"127.0.0.0", LO},
	{"127.0.0.1", LO},
	{"127.0.0.53", LO},
	{"127.255.255.255", LO},
	{"0.0.0.0", LO},
	{"0.1.2.3", LO},
	{"169.254.0.0", LL},
	{"169.254.169.254", LL},
	{"169.254.255.255", LL},
	{"224.0.0.1", NEVER},
	{"239.255.255.255", NEVER},
	{"255.255.255.255", NEVER},
	{"2001:db8::1", ALWAYS},
	{"fd00::1", ALWAYS},
	{"fd00:ec2::253", ALWAYS},
	{"fd00:ec2::255", ALWAYS},
	{"fec0::1", ALWAYS},
	{"64:ff9b::a00:1", ALWAYS},
	{"::1:0:0:1", ALWAYS},
	{"::", LO},
	{"::1", LO},
	{"fe80::1", LL},
	{"febf:ffff::1", LL},
	{"fd00:ec2::254", LL},
	{"ff02::1", NEVER},
	{"ff0e::1", NEVER},
	/* the same in other clothes: mapped and compatible */
	{"::ffff:10.0.0.1", ALWAYS},
	{"::ffff:127.0.0.1", LO},
	{"::ffff:0.0.0.0", LO},
	{"::ffff:169.254.169.254", LL},
	{"::ffff:224.0.0.1", NEVER},
	{"::ffff:255.255.255.255", NEVER},
	{"::10.0.0.1", ALWAYS},
	{"::127.0.0.1", LO},
	{"::0.1.2.3", LO},
	{"::169.254.169.254", LL},
	{"::255.255.255.255", NEVER},
};

static void policy_allows_what_flags_say(void **state)
{
	static const unsigned all_flags[] = {NONE, LO, LL, BOTH};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ip_addr a;

		assert_int_equal(addr_parse(cases[i].address, &a), 0);
		for (size_t j = 0; j < 4; j++) {
			unsigned flags = all_flags[j];
			bool expected =
				cases[i].needs != NEVER &&
				((unsigned)cases[i].needs & ~flags) == 0;

			if (policy_allows(flags, &a) != expected)
				fail_msg("%s with flags %u", cases[i].address,
					 flags);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policy_allows_what_flags_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
