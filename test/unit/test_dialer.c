/* SPDX-License-Identifier: MIT */
/* test_dialer: the words that have ssh connected by ecssh-dial. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dialer.h"

static struct endpoint at(const char *addr, uint16_t port)
{
	struct endpoint e = {.port = port};

	assert_int_equal(addr_parse(addr, &e.addr), 0);
	return e;
}

static void endpoints_follow_the_program(void **state)
{
	struct dialer_pins pins = {
		2, {at("192.0.2.1", 22), at("2001:db8::1", 2222)}, {0}};
	struct ssh_options o = {0};
	char text[DIALER_TEXT_MAX];
	struct err err;

	(void)state;
	assert_int_equal(
		dialer_add(&o, "/opt/100%/ecssh-dial", &pins, text, &err), 0);
	assert_int_equal(o.n_words, 4);
	assert_string_equal(o.words[1],
			    "ProxyCommand='/opt/100%%/ecssh-dial' 192.0.2.1 22 "
			    "2001:db8::1 2222");
	assert_string_equal(o.words[3], "ProxyUseFdpass=yes");
}

static void ports_stand_before_the_endpoints(void **state)
{
	struct dialer_pins pins = {1, {at("192.0.2.1", 22)}, {20000, 20511}};
	struct ssh_options o = {0};
	char text[DIALER_TEXT_MAX];
	struct err err;

	(void)state;
	assert_int_equal(dialer_add(&o, "/ecssh-dial", &pins, text, &err), 0);
	assert_string_equal(
		o.words[1],
		"ProxyCommand='/ecssh-dial' --from 20000-20511 192.0.2.1 22");
}

static void program_that_a_shell_would_misread_is_refused(void **state)
{
	struct dialer_pins pins = {1, {at("192.0.2.1", 22)}, {0}};
	struct ssh_options o = {0};
	char text[DIALER_TEXT_MAX], path[DIALER_TEXT_MAX + 1];
	struct err err;

	(void)state;
	assert_true(dialer_add(&o, "/it's/ecssh-dial", &pins, text, &err) < 0);
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_true(dialer_add(&o, path, &pins, text, &err) < 0);
	assert_int_equal(o.n_words, 0);
}

static void proxies_are_left_to_ssh(void **state)
{
	static struct ssh_config config;

	(void)state;
	assert_true(dialer_is_possible(&config));
	strcpy(config.proxy_jump, "jump");
	assert_false(dialer_is_possible(&config));
	strcpy(config.proxy_jump, "");
	strcpy(config.proxy_command, "nc %h %p");
	assert_false(dialer_is_possible(&config));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_follow_the_program),
		cmocka_unit_test(ports_stand_before_the_endpoints),
		cmocka_unit_test(program_that_a_shell_would_misread_is_refused),
		cmocka_unit_test(proxies_are_left_to_ssh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
