/* SPDX-License-Identifier: MIT */
/* test_mux_forward: the syntax of -L and -R, and asking for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "mux_forward.h"

enum { L = MUX_FORWARD_LOCAL, R = MUX_FORWARD_REMOTE };

/* ---- syntax ---- */

static void these_are_understood(void **state)
{
	static const struct {
		int kind;
		const char *text;
		const char *listen;
		int listen_port; /* -1: a path */
		const char *connect;
		int connect_port;
	} good[] = {
		{L, "80:h:81", "", 80, "h", 81},
		{L, "127.0.0.1:80:h:81", "127.0.0.1", 80, "h", 81},
		{L, ":80:h:81", "*", 80, "h", 81},
		{L, "*:80:h:81", "*", 80, "h", 81},
		{L, "[::1]:80:[fd00::1]:81", "::1", 80, "fd00::1", 81},
		{L, "80:[fd00::1]:65535", "", 80, "fd00::1", 65535},
		{L, "80:/s", "", 80, "/s", -1},
		{L, "localhost:80:/s", "localhost", 80, "/s", -1},
		{L, "./a:h:81", "./a", -1, "h", 81},
		{L, "/a:/b", "/a", -1, "/b", -1},
		{R, "0:h:81", "", 0, "h", 81},
		{R, "*:0:h:81", "*", 0, "h", 81},
		{R, "/a:h:81", "/a", -1, "h", 81},
		{R, "80:/b", "", 80, "/b", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct mux_forward_spec s;

		assert_int_equal(
			mux_forward_parse((enum mux_forward_kind)good[i].kind,
					  good[i].text, &s, NULL),
			0);
		assert_string_equal(s.text, good[i].text);
		assert_string_equal(s.listen.host, good[i].listen);
		assert_string_equal(s.connect.host, good[i].connect);
		assert_int_equal(s.listen.is_path ? -1 : s.listen.port,
				 good[i].listen_port);
		assert_int_equal(s.connect.is_path ? -1 : s.connect.port,
				 good[i].connect_port);
	}
}

static void these_are_refused_with_a_reason(void **state)
{
	static const struct {
		int kind;
		const char *text, *why;
	} bad[] = {
		{L, "", "names nothing to connect to"},
		{L, "80", "names nothing to connect to"},
		{L, "80:81", "names nothing to connect to"},
		{R, "1080", "dynamic -R"},
		{R, "h:1080", "dynamic -R"},
		{L, "/a", "names nothing"},
		{L, "80:h:81:82:83", "too many colons"},
		{L, "::1:80:h:81", "too many colons"},
		{L, "/a:80:/b", "too many colons"},
		{L, "80::81", "names no host"},
		{L, "80:h:", "port"},
		{L, ":h:81", "port"},
		{L, "x:h:81", "port"},
		{L, "80:h:65536", "port"},
		{L, "80:h:99999999999", "port"},
		{L, "80:h:-1", "port"},
		{L, "80:h: 81", "port"},
		{L, "80:h:0", "port 0"},
		{L, "0:h:81", "only -R"},
		{L, "[::1:80:h:81", "bracket"},
		{L, "[::1]80:h:81", "bracket"},
		{L, "80:h\n:81", "control character"},
		{L, "h:80:/a:81", "HOST:PORT"},
	};
	char longest[600];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mux_forward_spec s;
		struct err err;

		assert_int_equal(
			mux_forward_parse((enum mux_forward_kind)bad[i].kind,
					  bad[i].text, &s, &err),
			-EINVAL);
		assert_non_null(strstr(err.text, bad[i].why));
	}
	for (size_t len = 100; len < sizeof(longest); len += 100) {
		struct mux_forward_spec s;
		struct err err;

		memset(longest, 'a', len);
		longest[0] = '/';
		memcpy(longest + len - 8, ":/b", 4);
		assert_int_equal(
			mux_forward_parse(MUX_FORWARD_LOCAL, longest, &s, &err),
			len - 8 < 108 ? 0 : -EINVAL);
	}
}

/* ---- asking ---- */

struct fixture {
	struct loop *loop;
	struct mux_forward *f;
	int ssh, ours;
	unsigned n_results;
	uint32_t request;
	uint16_t port;
	bool is_ok;
	struct err why;
};

static void on_result(void *ctx, uint32_t request, uint16_t port,
		      const struct err *why)
{
	struct fixture *x = ctx;

	x->n_results++;
	x->request = request;
	x->port = port;
	x->is_ok = !why;
	if (why)
		x->why = *why;
}

static void say(struct fixture *x, const void *bytes, size_t len)
{
	assert_int_equal(write(x->ssh, bytes, len), len);
	while (loop_poll(x->loop))
		continue;
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *x = &fixture;
	uint8_t hello[64];
	int fds[2];

	*x = (struct fixture){.loop = loop_new(LOOP_TIME_VIRTUAL)};
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	x->ssh = fds[1];
	x->ours = fds[0];
	assert_int_equal(mux_forward_greet(x->ours), 0);
	x->f = mux_forward_new(x->loop, x->ours, on_result, x);
	assert_non_null(x->f);
	assert_int_equal(read(x->ssh, hello, sizeof(hello)), 12);
	say(x, "\0\0\0\x08\0\0\0\x01\0\0\0\x04", 12);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	(void)mux_forward_free(x->f);
	(void)loop_free(x->loop);
	(void)close(x->ssh);
	return 0;
}

static int ask(struct fixture *x, int kind, const char *text)
{
	struct mux_forward_spec s;

	assert_int_equal(
		mux_forward_parse((enum mux_forward_kind)kind, text, &s, NULL),
		0);
	int number = mux_forward_expect(x->f, &s);
	if (number >= 0)
		assert_int_equal(
			mux_forward_send(x->ours, (uint32_t)number, &s), 0);
	return number;
}

static void answers_find_their_request(void **state)
{
	struct fixture *x = *state;
	uint8_t sent[256];

	assert_int_equal(ask(x, L, "80:h:81"), 0);
	assert_int_equal(read(x->ssh, sent, sizeof(sent)), 33);
	assert_memory_equal(sent,
			    "\0\0\0\x1d\x10\0\0\x06\0\0\0\0\0\0\0\1\0\0\0\0"
			    "\0\0\0\x50\0\0\0\1h\0\0\0\x51",
			    33);
	assert_int_equal(ask(x, R, "0:/s"), 1);
	assert_int_equal(x->n_results, 0);
	say(x, "\0\0\0\x0c\x80\0\0\x07\0\0\0\1\0\0\x1f\x90", 16);
	assert_int_equal(x->n_results, 1);
	assert_int_equal(x->request, 1);
	assert_int_equal(x->port, 8080);
	assert_true(x->is_ok);
	say(x, "\0\0\0\x08\x80\0\0\x01\0\0\0\0", 12);
	assert_int_equal(x->request, 0);
	assert_true(x->is_ok);
}

static void refusal_is_a_sentence(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(ask(x, L, "80:h:81"), 0);
	say(x, "\0\0\0\x0e\x80\0\0\x03\0\0\0\0\0\0\0\2no", 18);
	assert_int_equal(x->n_results, 1);
	assert_false(x->is_ok);
	assert_string_equal(x->why.text, "cannot do -L 80:h:81: no");
}

static void end_of_ssh_is_told_to_each(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(ask(x, L, "80:h:81"), 0);
	assert_int_equal(ask(x, L, "82:h:81"), 1);
	assert_int_equal(shutdown(x->ssh, SHUT_RDWR), 0);
	while (loop_poll(x->loop))
		continue;
	assert_int_equal(x->n_results, 2);
	assert_false(x->is_ok);
	assert_int_equal(ask(x, L, "80:h:81"), -EPIPE);
}

static void hostile_answers_end_it(void **state)
{
	struct fixture *x = *state;

	assert_int_equal(ask(x, L, "80:h:81"), 0);
	say(x, "\0\0\0\x08\x80\0\0\x01\0\0\0\7", 12);
	assert_int_equal(x->n_results, 1);
	assert_non_null(strstr(x->why.text, "not asked"));
}

static void too_many_are_refused(void **state)
{
	struct fixture *x = *state;

	for (int i = 0; i < MUX_FORWARDS_MAX; i++)
		assert_int_equal(ask(x, L, "80:h:81"), i);
	assert_int_equal(ask(x, L, "80:h:81"), -E2BIG);
}

#define ASKING(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(these_are_understood),
		cmocka_unit_test(these_are_refused_with_a_reason),
		ASKING(answers_find_their_request),
		ASKING(refusal_is_a_sentence),
		ASKING(end_of_ssh_is_told_to_each),
		ASKING(hostile_answers_end_it),
		ASKING(too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
