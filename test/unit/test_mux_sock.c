/* SPDX-License-Identifier: MIT */
/* test_mux_sock: the place of a control socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "fd.h"
#include "mux_sock.h"

struct fixture {
	struct loop *loop;
	struct starter *starter;
	struct mux_sock *sock;
	unsigned n_connected;
	int fd;
	char dir[MUX_SOCK_PATH_MAX];
};

static void on_connected(void *ctx, int fd)
{
	struct fixture *x = ctx;

	x->n_connected++;
	x->fd = fd;
}

static void begin(struct fixture *x)
{
	const struct ssh_plan plan = {.dest = NULL}; /* of no ssh */
	struct err err;

	*x = (struct fixture){.loop = loop_new(LOOP_TIME_VIRTUAL), .fd = -1};
	assert_int_equal(starter_new(&plan, &x->starter, &err), 0);
	x->sock = mux_sock_new(x->loop, x->starter, on_connected, x, &err);
	assert_non_null(x->sock);
	(void)snprintf(x->dir, sizeof(x->dir), "%s", mux_sock_path(x->sock));
	*strrchr(x->dir, '/') = '\0';
}

static void end(struct fixture *x)
{
	x->sock = mux_sock_free(x->sock);
	x->starter = starter_free(x->starter);
	fd_close(&x->fd);
	(void)loop_free(x->loop);
	assert_int_equal(access(x->dir, F_OK), -1);
}

static void settle(struct fixture *x)
{
	while (loop_poll(x->loop))
		continue;
}

/* Listen as ssh does: under another name, then linked. */
static int listen_at(const struct fixture *x)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%.80s.x",
		       mux_sock_path(x->sock));
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(link(sun.sun_path, mux_sock_path(x->sock)), 0);
	assert_int_equal(unlink(sun.sun_path), 0);
	return fd;
}

static void connects_when_the_socket_appears(void **state)
{
	struct fixture x;
	struct stat st;

	(void)state;
	begin(&x);
	assert_int_equal(stat(x.dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	settle(&x);
	assert_int_equal(x.n_connected, 0);
	assert_int_equal(mux_sock_connect(x.sock), -ENOENT);
	int listener = listen_at(&x);
	settle(&x);
	assert_int_equal(x.n_connected, 1);
	assert_true(x.fd >= 0);
	int again = mux_sock_connect(x.sock);
	assert_true(again >= 0);
	fd_close(&again);
	fd_close(&listener);
	settle(&x);
	assert_int_equal(x.n_connected, 1);
	end(&x);
}

/* Nothing is left that a kill could leave, also while ssh's other name is. */
static void names_go_once_connected(void **state)
{
	struct fixture x;
	char other[MUX_SOCK_PATH_MAX + 8];

	(void)state;
	begin(&x);
	(void)snprintf(other, sizeof(other), "%s.y", mux_sock_path(x.sock));
	int file = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	int listener = listen_at(&x);
	settle(&x);
	assert_int_equal(access(mux_sock_path(x.sock), F_OK), -1);
	assert_int_equal(access(x.dir, F_OK), 0);
	assert_int_equal(unlink(other), 0);
	settle(&x);
	assert_int_equal(access(x.dir, F_OK), -1);
	int again = mux_sock_connect(x.sock);
	assert_true(again >= 0);
	fd_close(&again);
	fd_close(&file);
	fd_close(&listener);
	end(&x);
}

/* One that is locked belongs to somebody who lives. */
static void abandoned_directories_are_removed(void **state)
{
	struct fixture x, y;
	char abandoned[] = "/tmp/ecssh-XXXXXX",
	     others[] = "/tmp/ecssh-ctl-XXXXXX";

	(void)state;
	assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
	assert_non_null(mkdtemp(abandoned));
	assert_non_null(mkdtemp(others));
	begin(&x);
	begin(&y);
	assert_int_equal(access(abandoned, F_OK), -1);
	assert_int_equal(access(x.dir, F_OK), 0);
	assert_int_equal(rmdir(others), 0);
	end(&x);
	end(&y);
}

static void failure_to_connect_is_told(void **state)
{
	struct fixture x;

	(void)state;
	begin(&x);
	int fd = listen_at(&x);
	fd_close(&fd); /* nobody listens any more */
	settle(&x);
	assert_int_equal(x.n_connected, 1);
	assert_int_equal(x.fd, -ECONNREFUSED);
	end(&x);
}

static void path_needs_no_quoting(void **state)
{
	char too_long[MUX_SOCK_PATH_MAX];
	const char *const refused[] = {
		"/tmp/a b", "/tmp/%d", "relative", "", "/nonexistent", too_long,
	};
	struct fixture x;

	(void)state;
	/* The directory is there, and has a long name. */
	(void)snprintf(too_long, sizeof(too_long), "%.*s/tmp", 75,
		       "////////////////////////////////////////"
		       "////////////////////////////////////////");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(setenv("XDG_RUNTIME_DIR", refused[i], 1), 0);
		begin(&x);
		assert_memory_equal(x.dir, "/tmp/ecssh-", 11);
		end(&x);
	}
	char dir[] = "/tmp/runtime-XXXXXX";
	assert_non_null(mkdtemp(dir));
	assert_int_equal(setenv("XDG_RUNTIME_DIR", dir, 1), 0);
	begin(&x);
	assert_memory_equal(x.dir, dir, strlen(dir));
	end(&x);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connects_when_the_socket_appears),
		cmocka_unit_test(failure_to_connect_is_told),
		cmocka_unit_test(names_go_once_connected),
		cmocka_unit_test(abandoned_directories_are_removed),
		cmocka_unit_test(path_needs_no_quoting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
