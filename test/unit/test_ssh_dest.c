/* SPDX-License-Identifier: MIT */
/* test_ssh_dest: what is taken for a destination, and above all what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "reference.h"
#include "ssh_dest.h"

static const struct {
	const char *text, *user, *host;
	uint16_t port;
} good[] = {
	{"gw", "", "gw", 0},
	{"alice@gw", "alice", "gw", 0},
	{"gw:2222", "", "gw", 2222},
	{"alice@gw.example.org:65535", "alice", "gw.example.org", 65535},
	{"al.ice_1-2+3@my_host-4+x", "al.ice_1-2+3", "my_host-4+x", 0},
	{"10.0.0.1:22", "", "10.0.0.1", 22},
	/* names of a Windows domain */
	{"CORP\\alice@gw", "CORP\\alice", "gw", 0},
	{"alice@corp.example@gw", "alice@corp.example", "gw", 0},
	/* IPv6 */
	{"fd00::1", "", "fd00::1", 0},
	{"::1", "", "::1", 0},
	{"[fd00::1]", "", "fd00::1", 0},
	{"[fd00::1]:22", "", "fd00::1", 22},
	{"alice@[fe80::1%eth0.5]:22", "alice", "fe80::1%eth0.5", 22},
	{"alice@fe80::1%eth0", "alice", "fe80::1%eth0", 0},
	/* the form of a URI */
	{"ssh://gw", "", "gw", 0},
	{"ssh://alice@gw:22/", "alice", "gw", 22},
	{"SSH://alice@[::1]:22", "alice", "::1", 22},
};

static const char *const bad[] = {
	"",
	"ssh://",
	"@gw",
	"alice@",
	/* would be an option */
	"-oProxyCommand=x",
	"-alice@gw",
	"alice@-gw",
	"ssh://-oProxyCommand=x",
	"[-x]",
	/* would be seen by a shell in a ProxyCommand of the user's */
	"al;ice@gw",
	"a$(id)@gw",
	"`id`@gw",
	"alice@gw;id",
	"alice@$(id)",
	"a'b@gw",
	"a\"b@gw",
	"a|b@gw",
	"a&b@gw",
	"a<b@gw",
	"a>b@gw",
	"a*b@gw",
	"a?b@gw",
	"a{b}@gw",
	"a(b)@gw",
	"a!b@gw",
	"a#b@gw",
	"~a@gw",
	"a=b@gw",
	"a,b@gw",
	"a/b@gw",
	"a:b@gw",
	"alice\\@gw",
	"CORP\\@gw",
	"gw\\x",
	/* ssh's own expansions */
	"%r@gw",
	"alice@%h",
	"%h",
	/* whitespace, control characters, what is not ASCII */
	"al ice@gw",
	"alice@g w",
	"alice@gw ",
	" gw",
	"alice@gw\n",
	"alice\n@gw",
	"alice@gw\x1b[2J",
	"alice@gw\x7f",
	"alic\xc3\xa9@gw",
	"alice@\xd1\x80\xd1\x84",
	/* ports */
	"gw:",
	"gw:0",
	"gw:65536",
	"gw:022222",
	"gw:-1",
	"gw:+1",
	"gw:22x",
	"gw:ssh",
	"gw:22/x",
	/* not quite IPv6 */
	"[fd00::1",
	"[fd00::1]22",
	"[fd00::1]:",
	"[gw]:22",
	"[10.0.0.1]:22",
	"[]",
	"[]:22",
	"fd00::1::2",
	"a:b:c",
	"fe80::1%",
	"fe80::1%eth 0",
	"fe80::1%$(id)",
	"fe80::1%averylonginterface",
	"gw%eth0",
	"ssh://gw/path",
	"https://gw",
};

static void ssh_dest_takes_what_the_table_says(void **state)
{
	struct ssh_dest dest;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(ssh_dest_parse(good[i].text, &dest, &err), 0);
		assert_string_equal(dest.user, good[i].user);
		assert_string_equal(dest.host, good[i].host);
		assert_int_equal(dest.port, good[i].port);
	}
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static void ssh_dest_refuses_the_rest_and_leaves_the_result_alone(void **state)
{
	struct ssh_dest dest = {.host = "untouched"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = '\0';
		if (ssh_dest_parse(bad[i], &dest, &err) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_true(err.text[0] != '\0');
		assert_true(is_printable(err.text));
	}
	assert_string_equal(dest.host, "untouched");
}

static void ssh_dest_takes_names_of_255_bytes_and_no_more(void **state)
{
	char text[2 * 256 + 2];
	struct ssh_dest dest;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[255] = '@';
	text[255 + 1 + 255] = '\0';
	assert_int_equal(ssh_dest_parse(text, &dest, NULL), 0);
	assert_int_equal(strlen(dest.user), 255);
	assert_int_equal(strlen(dest.host), 255);
	text[255 + 1 + 255] = 'a';
	text[255 + 1 + 256] = '\0';
	assert_int_equal(ssh_dest_parse(text, &dest, NULL), -EINVAL);
	text[255] = 'a';
	text[256] = '@';
	assert_int_equal(ssh_dest_parse(text, &dest, NULL), -EINVAL);
}

static void ssh_dest_names_the_offending_value(void **state)
{
	struct ssh_dest dest;
	struct err err;

	(void)state;
	assert_int_equal(ssh_dest_parse("gw:70000", &dest, &err), -EINVAL);
	assert_string_equal(err.text, "the port \"70000\" is not a number from "
				      "1 to 65535");
	assert_int_equal(ssh_dest_parse("alice@-gw", &dest, &err), -EINVAL);
	assert_string_equal(err.text,
			    "the host name \"-gw\" starts with a dash");
}

/* Whatever is taken holds none of the characters that matter to a shell. */
static void ssh_dest_lets_no_random_text_through_that_harms(void **state)
{
	static const char chars[] = "ab@:[]%-\\/. $`;'\"\n\x1b\xc3s";
	struct rng rng = rng_init("ssh_dest");
	struct ssh_dest dest;
	char text[16];

	(void)state;
	for (int n = 0; n < 200000; n++) {
		size_t len = rng_below(&rng, sizeof(text));

		for (size_t i = 0; i < len; i++)
			text[i] = chars[rng_below(&rng, sizeof(chars) - 1)];
		text[len] = '\0';
		if (ssh_dest_parse(text, &dest, NULL) < 0)
			continue;
		assert_true(dest.user[0] != '-' && dest.host[0] != '-');
		assert_null(strpbrk(dest.user, " $`;'\"\n\x1b\xc3%/:[]"));
		assert_null(strpbrk(dest.host, " $`;'\"\n\x1b\xc3@/\\[]"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ssh_dest_takes_what_the_table_says),
		cmocka_unit_test(
			ssh_dest_refuses_the_rest_and_leaves_the_result_alone),
		cmocka_unit_test(ssh_dest_takes_names_of_255_bytes_and_no_more),
		cmocka_unit_test(ssh_dest_names_the_offending_value),
		cmocka_unit_test(
			ssh_dest_lets_no_random_text_through_that_harms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
