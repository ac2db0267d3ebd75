/* SPDX-License-Identifier: MIT */
/* test_notify: src/client/notify.c: what a service manager hears. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "notify.h"

/* A manager that listens there; a name begins with '@'. */
static int listen_at(const char *where)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0 && strlen(where) < sizeof(at.sun_path));
	memcpy(at.sun_path, where, strlen(where));
	if (where[0] == '@')
		at.sun_path[0] = '\0';
	assert_int_equal(
		bind(fd, (struct sockaddr *)&at,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				 strlen(where))),
		0);
	return fd;
}

static void expect_said(int fd, const char *wanted)
{
	char said[4096];
	ssize_t n = recv(fd, said, sizeof(said) - 1, 0);

	assert_true(n > 0);
	said[n] = '\0';
	assert_string_equal(said, wanted);
}

static void check(const char *where)
{
	int manager = listen_at(where);
	struct notify n;

	assert_int_equal(setenv("NOTIFY_SOCKET", where, 1), 0);
	notify_open(&n);
	assert_true(n.fd >= 0);
	assert_null(getenv("NOTIFY_SOCKET"));
	notify_status(&n, "connecting to %s", "gw");
	notify_ready(&n);
	notify_stopping(&n);
	expect_said(manager, "STATUS=connecting to gw");
	expect_said(manager, "READY=1");
	expect_said(manager, "STOPPING=1");
	notify_close(&n);
	assert_int_equal(close(manager), 0);
}

static void notify_speaks_to_a_path_and_to_a_name(void **state)
{
	char path[64], name[64];

	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/test_notify-%d", getpid());
	(void)snprintf(name, sizeof(name), "@test_notify-%d", getpid());
	check(path);
	check(name);
	assert_int_equal(unlink(path), 0);
}

static void notify_status_is_one_line(void **state)
{
	char name[64], wanted[1100] = "STATUS=";
	struct notify n;

	(void)state;
	(void)snprintf(name, sizeof(name), "@test_notify-%d", getpid());
	int manager = listen_at(name);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	notify_open(&n);
	notify_status(&n, "%s", "lost\nMAINPID=1\033");
	expect_said(manager, "STATUS=lost\\x0aMAINPID=1\\x1b");
	notify_status(&n, "%2000s", "x");
	memset(wanted + strlen(wanted), ' ', 1023);
	expect_said(manager, wanted);
	notify_close(&n);
	assert_int_equal(close(manager), 0);
}

/* No error, and no signal. */
static void notify_needs_nobody(void **state)
{
	static const char *const wheres[] = {"",
					     "@",
					     "/",
					     "x",
					     "/nonexistent/socket",
					     "@nobody-is-here",
					     "vsock:2:1"};
	char long_one[300], name[64];
	struct notify n;

	(void)state;
	memset(long_one, 'x', sizeof(long_one) - 1);
	long_one[0] = '/';
	long_one[sizeof(long_one) - 1] = '\0';
	for (size_t i = 0; i <= sizeof(wheres) / sizeof(wheres[0]); i++) {
		bool is_last = i == sizeof(wheres) / sizeof(wheres[0]);

		assert_int_equal(setenv("NOTIFY_SOCKET",
					is_last ? long_one : wheres[i], 1),
				 0);
		notify_open(&n);
		assert_int_equal(n.fd, -1);
		assert_null(getenv("NOTIFY_SOCKET"));
		notify_ready(&n);
		notify_close(&n);
	}
	(void)snprintf(name, sizeof(name), "@test_notify-%d", getpid());
	int manager = listen_at(name);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	notify_open(&n);
	assert_int_equal(close(manager), 0);
	notify_stopping(&n);
	notify_close(&n);
	notify_open(&n); /* not asked for */
	assert_int_equal(n.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notify_speaks_to_a_path_and_to_a_name),
		cmocka_unit_test(notify_status_is_one_line),
		cmocka_unit_test(notify_needs_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
