// SPDX-License-Identifier: MIT
/* Tests of hook_env.c. */
#include "hook_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *base[] = {"HOME=/home/alice",
			     "reason=why",
			     "CISCO_X=1",
			     "INTERNAL_IP4_DNS=6.6.6.6",
			     "reasonable=yes",
			     "TUNDEV=tun0",
			     NULL};

static char **env_of(const struct hook_plan *plan,
		     const struct hook_facts *facts)
{
	char **env = hook_env_new(plan, facts, HOOK_CONNECT, 42,
				  (char *const *)(uintptr_t)base);

	assert_non_null(env);
	return env;
}

static struct subnet subnet(const char *text)
{
	struct subnet s;

	assert_int_equal(subnet_parse(text, &s, NULL, NULL), 0);
	return s;
}

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void expect(char *const *env, const char *const *wanted)
{
	size_t i = 0;

	for (; env[i] && wanted[i]; i++)
		assert_string_equal(env[i], wanted[i]);
	assert_null(env[i]);
	assert_null(wanted[i]);
}

static void what_is_not_known_is_not_said(void **state)
{
	struct hook_plan plan = {.mtu_bytes = 1500};
	struct hook_facts facts = {.device = ""};
	char **env = env_of(&plan, &facts);

	(void)state;
	expect(env, (const char *const[]){"HOME=/home/alice", "reasonable=yes",
					  "reason=connect", "VPNPID=42",
					  "LOG_LEVEL=1",
					  "INTERNAL_IP4_MTU=1500", NULL});
	(void)hook_env_free(env);
}

static void families_are_numbered_apart(void **state)
{
	const struct subnet subnets[] = {subnet("fd77::/64"), subnet("0/0"),
					 subnet("10.1.2.3/32")};
	struct hook_plan plan = {
		.subnets = subnets, .n_subnets = 3, .mtu_bytes = 576};
	struct hook_facts facts = {.device = "ecssh3"};
	char **env = env_of(&plan, &facts);

	(void)state;
	expect(env + 5,
	       (const char *const[]){"TUNDEV=ecssh3",
				     "INTERNAL_IP4_MTU=576",
				     "CISCO_SPLIT_INC_0_ADDR=0.0.0.0",
				     "CISCO_SPLIT_INC_0_MASK=0.0.0.0",
				     "CISCO_SPLIT_INC_0_MASKLEN=0",
				     "CISCO_SPLIT_INC_0_PROTOCOL=0",
				     "CISCO_SPLIT_INC_0_SPORT=0",
				     "CISCO_SPLIT_INC_0_DPORT=0",
				     "CISCO_SPLIT_INC_1_ADDR=10.1.2.3",
				     "CISCO_SPLIT_INC_1_MASK=255.255.255.255",
				     "CISCO_SPLIT_INC_1_MASKLEN=32",
				     "CISCO_SPLIT_INC_1_PROTOCOL=0",
				     "CISCO_SPLIT_INC_1_SPORT=0",
				     "CISCO_SPLIT_INC_1_DPORT=0",
				     "CISCO_SPLIT_INC=2",
				     "CISCO_IPV6_SPLIT_INC_0_ADDR=fd77::",
				     "CISCO_IPV6_SPLIT_INC_0_MASKLEN=64",
				     "CISCO_IPV6_SPLIT_INC_0_PROTOCOL=0",
				     "CISCO_IPV6_SPLIT_INC_0_SPORT=0",
				     "CISCO_IPV6_SPLIT_INC_0_DPORT=0",
				     "CISCO_IPV6_SPLIT_INC=1",
				     NULL});
	(void)hook_env_free(env);
}

/* Behind the user's own. */
static void what_the_gateway_tells_is_in_the_lists(void **state)
{
	const struct subnet subnets[] = {subnet("10.1.0.0/16")};
	struct hook_plan plan = {
		.subnets = subnets, .n_subnets = 1, .mtu_bytes = 576};
	struct hook_facts facts = {
		.told = {subnet("fd77::/64"), subnet("10.2.0.0/15")},
		.n_told = 2};
	char **env = env_of(&plan, &facts);

	(void)state;
	expect(env + 6,
	       (const char *const[]){"CISCO_SPLIT_INC_0_ADDR=10.1.0.0",
				     "CISCO_SPLIT_INC_0_MASK=255.255.0.0",
				     "CISCO_SPLIT_INC_0_MASKLEN=16",
				     "CISCO_SPLIT_INC_0_PROTOCOL=0",
				     "CISCO_SPLIT_INC_0_SPORT=0",
				     "CISCO_SPLIT_INC_0_DPORT=0",
				     "CISCO_SPLIT_INC_1_ADDR=10.2.0.0",
				     "CISCO_SPLIT_INC_1_MASK=255.254.0.0",
				     "CISCO_SPLIT_INC_1_MASKLEN=15",
				     "CISCO_SPLIT_INC_1_PROTOCOL=0",
				     "CISCO_SPLIT_INC_1_SPORT=0",
				     "CISCO_SPLIT_INC_1_DPORT=0",
				     "CISCO_SPLIT_INC=2",
				     "CISCO_IPV6_SPLIT_INC_0_ADDR=fd77::",
				     "CISCO_IPV6_SPLIT_INC_0_MASKLEN=64",
				     "CISCO_IPV6_SPLIT_INC_0_PROTOCOL=0",
				     "CISCO_IPV6_SPLIT_INC_0_SPORT=0",
				     "CISCO_IPV6_SPLIT_INC_0_DPORT=0",
				     "CISCO_IPV6_SPLIT_INC=1",
				     NULL});
	(void)hook_env_free(env);
}

static void resolvers_and_domains(void **state)
{
	const char *const domains[] = {"corp.example", "example.org"};
	struct hook_plan plan = {.domains = domains,
				 .n_domains = 2,
				 .mtu_bytes = 1280,
				 .is_verbose = true};
	struct hook_facts facts = {.gateway = addr("2001:db8::1"),
				   .dns4 = addr("10.0.0.53"),
				   .dns6 = addr("fd00::53")};
	char **env = env_of(&plan, &facts);

	(void)state;
	expect(env + 2,
	       (const char *const[]){
		       "reason=connect", "VPNGATEWAY=2001:db8::1", "VPNPID=42",
		       "LOG_LEVEL=2", "INTERNAL_IP4_MTU=1280",
		       "INTERNAL_IP4_DNS=10.0.0.53",
		       "INTERNAL_IP6_DNS=fd00::53",
		       "CISCO_DEF_DOMAIN=corp.example example.org",
		       "CISCO_SPLIT_DNS=corp.example,example.org", NULL});
	(void)hook_env_free(env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_known_is_not_said),
		cmocka_unit_test(families_are_numbered_apart),
		cmocka_unit_test(what_the_gateway_tells_is_in_the_lists),
		cmocka_unit_test(resolvers_and_domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
