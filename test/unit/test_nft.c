/* SPDX-License-Identifier: MIT */
/* test_nft: the rules of the far side as text (src/priv/nft.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "nft.h"

static struct subnet subnet(const char *text)
{
	struct subnet net;

	assert_int_equal(subnet_parse(text, &net, NULL, NULL), 0);
	return net;
}

static void build(uint32_t flags, const char *net, char out[NFT_TEXT_MAX])
{
	struct subnet nets[] = {subnet(net)};
	struct nft_rules rules = {
		.name = "ecssh0", .flags = flags, .nets = nets, .n = 1};
	int n = nft_build(&rules, out, NFT_TEXT_MAX);

	assert_true(n > 0);
	assert_int_equal(n, strlen(out));
}

/* Who shares the gateway must not be able to choose, or to foretell, the port
 * that another's connection leaves by (CVE-2021-3773). */
static void ports_are_translated_at_random(void **state)
{
	char text[NFT_TEXT_MAX];

	(void)state;
	build(BROKERMSG_FORWARD_NAT, "100.64.0.2/32", text);
	assert_non_null(strstr(text, "iifname \"ecssh0\" oifname != \"ecssh0\" "
				     "ip saddr @near4 "
				     "masquerade fully-random\n"));
	build(BROKERMSG_FORWARD_NAT, "fd00::2/128", text);
	assert_non_null(strstr(text, "ip6 saddr @near6 "
				     "masquerade fully-random\n"));
}

static void nothing_is_translated_unless_asked_for(void **state)
{
	char text[NFT_TEXT_MAX];

	(void)state;
	build(0, "100.64.0.2/32", text);
	assert_null(strstr(text, "masquerade"));
	assert_null(strstr(text, "type nat"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_are_translated_at_random),
		cmocka_unit_test(nothing_is_translated_unless_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
