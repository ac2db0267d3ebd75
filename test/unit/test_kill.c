/* SPDX-License-Identifier: MIT */
/*
 * test_kill: the rules of the near side as text (src/priv/nft_near.c,
 * nft_kill.c), and the note about a kill switch (src/wire/killnote.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "killnote.h"
#include "nft_kill.h"
#include "nft_near.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

/*
 * Rules
 */

static struct journal_change guard_of(uint32_t n_addrs, uint32_t flags)
{
	return (struct journal_change){
		.kind = CHANGE_GUARD,
		.link = {7, "ecssh0"},
		.guard = {.n_addrs = n_addrs, .flags = flags},
	};
}

static void what_takes_tables_away_names_them_only(void **state)
{
	struct journal_change c = guard_of(0, 0);
	char text[NFT_NEAR_TEXT_MAX];
	struct text t = {.out = text, .cap = sizeof(text)};

	(void)state;
	nft_near_put(&t, &c, true);
	assert_string_equal(text, "add table inet ecssh-guard-ecssh0\n"
				  "delete table inet ecssh-guard-ecssh0\n"
				  "add table arp ecssh-guard-ecssh0\n"
				  "delete table arp ecssh-guard-ecssh0\n");
	c.kind = CHANGE_DNS;
	t.len = 0;
	nft_near_put(&t, &c, true);
	assert_string_equal(text, "add table inet ecssh-dns-ecssh0\n"
				  "delete table inet ecssh-dns-ecssh0\n");
}

static void guard_names_the_addresses_of_each_version(void **state)
{
	struct journal_change c = guard_of(2, 0);
	char text[NFT_KILL_TEXT_MAX] = "";
	struct text t = {.out = text, .cap = sizeof(text)};

	(void)state;
	c.guard.addrs[0] = addr("198.19.0.1");
	c.guard.addrs[1] = addr("fd00::1");
	nft_near_put(&t, &c, false);
	assert_non_null(strstr(text, "elements = { 198.19.0.1 }"));
	assert_non_null(strstr(text, "elements = { fd00::1 }"));
	assert_non_null(
		strstr(text, "oifname \"ecssh0\" ip saddr != @own4 drop"));
	assert_non_null(strstr(text, "table arp ecssh-guard-ecssh0 {"));
	/* In place of what was there. */
	assert_true(strstr(text, "delete table inet ecssh-guard-ecssh0") <
		    strstr(text, "table inet ecssh-guard-ecssh0 {"));
}

static void guard_without_ipv6_has_an_empty_set(void **state)
{
	struct journal_change c = guard_of(1, 0);
	char text[NFT_KILL_TEXT_MAX] = "";
	struct text t = {.out = text, .cap = sizeof(text)};

	(void)state;
	c.guard.addrs[0] = addr("198.19.0.1");
	nft_near_put(&t, &c, false);
	assert_non_null(strstr(text, "set own6 {\n\t\ttype ipv6_addr;\n\t}"));
}

static void guard_lets_announced_sources_out(void **state)
{
	struct journal_change c = guard_of(0, BROKERMSG_GUARD_ANNOUNCED);
	char text[NFT_KILL_TEXT_MAX] = "";
	struct text t = {.out = text, .cap = sizeof(text)};

	(void)state;
	nft_near_put(&t, &c, false);
	assert_null(strstr(text, "!= @own"));
	assert_non_null(strstr(text, "oifname != \"ecssh0\" ip saddr @own4"));
}

static struct brokermsg_kill some_kill(void)
{
	struct brokermsg_kill k = {.name = "a.b_c-D9", .uid = 1000};

	k.gateways[k.n_gateways++] = (struct endpoint){addr("192.0.2.1"), 22};
	k.gateways[k.n_gateways++] = (struct endpoint){addr("2001:db8::1"), 99};
	return k;
}

static void kill_switch_has_a_hole_for_each_gateway(void **state)
{
	struct brokermsg_kill k = some_kill();
	char text[NFT_KILL_TEXT_MAX] = "";
	struct text t = {.out = text, .cap = sizeof(text)};

	(void)state;
	nft_kill_put(&t, &k);
	assert_non_null(strstr(text, "table inet ecssh-kill-a.b_c-D9 {"));
	assert_non_null(strstr(text, "meta skuid 1000 ip daddr 192.0.2.1 tcp "
				     "dport 22 accept"));
	assert_non_null(strstr(text, "meta skuid 1000 ip6 daddr 2001:db8::1 "
				     "tcp dport 99 accept"));
	/* No local network, no connection that is kept. */
	assert_null(strstr(text, "853"));
	assert_null(strstr(text, "saddr"));
}

static void kill_switch_is_as_narrow_as_the_ports(void **state)
{
	struct brokermsg_kill k = some_kill();
	char text[NFT_KILL_TEXT_MAX] = "";
	struct text t = {.out = text, .cap = sizeof(text)};

	(void)state;
	k.from = (struct port_range){20000, 20511};
	nft_kill_put(&t, &k);
	assert_non_null(strstr(text, "meta skuid 1000 ip daddr 192.0.2.1 tcp "
				     "sport 20000-20511 tcp dport 22 accept"));
	assert_null(strstr(text, "daddr 2001:db8::1 tcp dport"));
}

static void kill_switch_keeps_one_connection(void **state)
{
	struct brokermsg_kill k = some_kill();
	char text[NFT_KILL_TEXT_MAX] = "";
	struct text t = {.out = text, .cap = sizeof(text)};

	(void)state;
	k.kept[0] = (struct endpoint){addr("10.0.0.1"), 22};
	k.kept[1] = (struct endpoint){addr("10.0.0.2"), 50000};
	nft_kill_put(&t, &k);
	assert_non_null(strstr(text, "ip saddr 10.0.0.1 ip daddr 10.0.0.2 tcp "
				     "sport 22 tcp dport 50000 accept"));
}

static void kill_switch_lets_no_lookup_into_the_local_network(void **state)
{
	struct brokermsg_kill k = some_kill();
	char text[NFT_KILL_TEXT_MAX] = "";
	struct text t = {.out = text, .cap = sizeof(text)};

	(void)state;
	k.lans[k.n_lans++] = (struct subnet){addr("192.168.1.0"), 24};
	k.lans[k.n_lans++] = (struct subnet){addr("fd12::"), 64};
	nft_kill_put(&t, &k);
	const char *dns = strstr(text, "th dport { 53, 853, 5353, 5355 }");
	assert_non_null(dns);
	assert_true(dns < strstr(text, "ip daddr 192.168.1.0/24 accept"));
	assert_true(dns < strstr(text, "ip6 daddr fd12::/64 accept"));
}

static void the_longest_kill_switch_fits(void **state)
{
	struct brokermsg_kill k = {.n_gateways = BROKERMSG_GATEWAYS_MAX,
				   .n_lans = BROKERMSG_LANS_MAX,
				   .uid = UINT32_MAX,
				   .from = {65535, 65535}};
	struct journal_change c = guard_of(BROKERMSG_ADDRS_MAX, 0);
	const char longest[] = "2001:db8:1111:1111:1111:1111:1111:1111";
	char text[NFT_KILL_TEXT_MAX] = "";
	struct text t = {.out = text, .cap = sizeof(text)};

	(void)state;
	memset(k.name, 'x', sizeof(k.name) - 1);
	memset(c.link.name, 'x', sizeof(c.link.name) - 1);
	for (size_t i = 0; i < BROKERMSG_ADDRS_MAX; i++)
		c.guard.addrs[i] = addr(longest);
	for (size_t i = 0; i < BROKERMSG_GATEWAYS_MAX; i++)
		k.gateways[i] = (struct endpoint){addr(longest), 65535};
	for (size_t i = 0; i < BROKERMSG_LANS_MAX; i++)
		k.lans[i] = (struct subnet){addr(longest), 128};
	k.kept[0] = k.kept[1] = k.gateways[0];
	nft_kill_put(&t, &k);
	assert_true(t.len < NFT_KILL_TEXT_MAX);
	t.len = 0;
	nft_near_put(&t, &c, false);
	assert_true(t.len < NFT_NEAR_TEXT_MAX);
}

/*
 * Notes
 */

static void note_is_read_as_it_was_written(void **state)
{
	struct killnote note = {.name = "gw-1.x",
				.uid = 20002,
				.since_s = 1796008731,
				.gone_s = 1796008740,
				.from = {20000, 20511},
				.n_gateways = 2},
			again;
	char text[KILLNOTE_TEXT_MAX], file[KILLNOTE_FILE_MAX];

	(void)state;
	note.gateways[0] = (struct endpoint){addr("10.9.0.1"), 22};
	note.gateways[1] = (struct endpoint){addr("fd09::1"), 2222};
	killnote_file(4026532552, note.name, file);
	assert_string_equal(file, "4026532552-gw-1.x");
	size_t len = killnote_format(&note, text);
	assert_int_equal(killnote_parse(4026532552, file, text, len, &again),
			 0);
	assert_string_equal(again.name, note.name);
	assert_int_equal(again.uid, note.uid);
	assert_int_equal(again.since_s, note.since_s);
	assert_int_equal(again.gone_s, note.gone_s);
	assert_int_equal(again.n_gateways, 2);
	assert_int_equal(again.from.first, 20000);
	assert_int_equal(again.from.last, 20511);
	for (size_t i = 0; i < 2; i++)
		assert_true(
			endpoint_equal(&again.gateways[i], &note.gateways[i]));
	/* Another network namespace, and what is no note. */
	assert_int_equal(killnote_parse(1, file, text, len, &again), -ENOENT);
	assert_int_equal(killnote_parse(1, "new", text, len, &again), -ENOENT);
	assert_int_equal(killnote_parse(1, "1-", text, len, &again), -ENOENT);
	assert_int_equal(killnote_parse(1, "1-a/b", text, len, &again),
			 -ENOENT);
	/* Cut off anywhere it is none, but at the end of a line. */
	for (size_t n = 0; n < len; n++)
		if (n == 0 || text[n - 1] != '\n')
			assert_int_equal(killnote_parse(4026532552, file, text,
							n, &again),
					 -EBADMSG);
}

static void bad_notes_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"uid 1\n",
		"allow 10.0.0.1 22\n",
		"uid 1\nallow 10.0.0.1 65536\n",
		"uid 1\nallow 10.0.0.1\n",
		"uid 1\nallow gw 22\n",
		"uid -1\nallow 10.0.0.1 22\n",
		"uid 4294967295\nallow 10.0.0.1 22\n",
		"uid 1\nsince x\nallow 10.0.0.1 22\n",
		"uid 1\ngone x\nallow 10.0.0.1 22\n",
		"uid 1\nallow 10.0.0.1 22\nmore 1\n",
		"uid 1\nallow 10.0.0.1 22\nfrom 1\n",
		"uid 1\nallow 10.0.0.1 22\nfrom 0 0\n",
		"uid 1\nallow 10.0.0.1 22\nfrom 2 1\n",
		"uid 1\nallow 10.0.0.1 22\nfrom 1 65536\n",
		"uid 1\nallow 10.0.0.1 22\n\n",
	};
	struct killnote note;

	(void)state;
	for (size_t i = 0; i < N(texts); i++)
		assert_int_equal(killnote_parse(1, "1-gw", texts[i],
						strlen(texts[i]), &note),
				 -EBADMSG);
	char many[KILLNOTE_TEXT_MAX] = "uid 1\n";
	for (int i = 0; i <= BROKERMSG_GATEWAYS_MAX; i++)
		(void)snprintf(many + strlen(many), 32, "allow 10.0.0.%d 22\n",
			       i + 1);
	assert_int_equal(killnote_parse(1, "1-gw", many, strlen(many), &note),
			 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_takes_tables_away_names_them_only),
		cmocka_unit_test(guard_names_the_addresses_of_each_version),
		cmocka_unit_test(guard_without_ipv6_has_an_empty_set),
		cmocka_unit_test(guard_lets_announced_sources_out),
		cmocka_unit_test(kill_switch_has_a_hole_for_each_gateway),
		cmocka_unit_test(kill_switch_is_as_narrow_as_the_ports),
		cmocka_unit_test(kill_switch_keeps_one_connection),
		cmocka_unit_test(
			kill_switch_lets_no_lookup_into_the_local_network),
		cmocka_unit_test(the_longest_kill_switch_fits),
		cmocka_unit_test(note_is_read_as_it_was_written),
		cmocka_unit_test(bad_notes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
