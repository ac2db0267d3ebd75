/* SPDX-License-Identifier: MIT */
/* The TCP socket of another process is found, looked at and tuned, and never
 * kept. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fd.h"
#include "proc.h"
#include "ssh_socket.h"

/* A listener on the loopback address, and a process that is told by bytes. */
struct rig {
	int listener, n_fds;
	struct sockaddr_in addr;
	pid_t pid;
	int orders, answers; /* pipes */
	struct ssh_held held;
	struct ssh_lender lender; /* as the starter is */
};

static int lend(void *ctx, pid_t pid, bool is_first)
{
	return ssh_held_lend(ctx, pid, is_first);
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	socklen_t len = sizeof(rig->addr);

	assert_non_null(rig);
	rig->addr.sin_family = AF_INET;
	rig->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	rig->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(rig->listener, (struct sockaddr *)&rig->addr,
				sizeof(rig->addr)),
			   errno);
	assert_return_code(listen(rig->listener, 16), errno);
	assert_return_code(
		getsockname(rig->listener, (struct sockaddr *)&rig->addr, &len),
		errno);
	rig->lender = (struct ssh_lender){lend, &rig->held};
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	fd_close(&rig->orders);
	fd_close(&rig->answers);
	fd_close(&rig->listener);
	(void)kill(rig->pid, SIGKILL);
	(void)waitpid(rig->pid, NULL, 0);
	free(rig);
	return 0;
}

static int dial(const struct rig *rig)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (const struct sockaddr *)&rig->addr,
		    sizeof(rig->addr)) < 0)
		_exit(1);
	return fd;
}

/* What the process does on an order; it ends when there are no more. */
static void obey(const struct rig *rig, char order, int *fd)
{
	int none[2];

	switch (order) {
	case 'c': /* connect */
		*fd = dial(rig);
		break;
	case 'm': /* one more */
		(void)dial(rig);
		break;
	case 'r': /* another in the place of the first */
		(void)close(*fd);
		if (dial(rig) != *fd)
			_exit(1);
		break;
	case 'o': /* others than connected TCP */
		(void)socketpair(AF_UNIX, SOCK_STREAM, 0, none);
		(void)listen(socket(AF_INET, SOCK_STREAM, 0), 1);
		(void)connect(socket(AF_INET, SOCK_DGRAM, 0),
			      (const struct sockaddr *)&rig->addr,
			      sizeof(rig->addr));
		break;
	default:
		_exit(1);
	}
}

static void serve(const struct rig *rig, int orders, int answers)
{
	char order;
	int fd = -1;

	while (read(orders, &order, 1) == 1) {
		obey(rig, order, &fd);
		if (write(answers, &order, 1) != 1)
			break;
	}
	_exit(0);
}

static void start(struct rig *rig, int generations)
{
	int orders[2], answers[2];

	assert_return_code(pipe(orders), errno);
	assert_return_code(pipe(answers), errno);
	rig->pid = fork();
	assert_return_code(rig->pid, errno);
	if (rig->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd_close(&orders[1]);
		fd_close(&rig->listener);
		while (--generations > 0) {
			if (fork() == 0)
				continue;
			fd_close(&orders[0]);
			fd_close(&answers[1]);
			(void)wait(NULL);
			_exit(0);
		}
		serve(rig, orders[0], answers[1]);
	}
	fd_close(&orders[0]);
	fd_close(&answers[1]);
	rig->orders = orders[1];
	rig->answers = answers[0];
	rig->n_fds = count_fds();
}

static void order(const struct rig *rig, char what)
{
	char answer = 0;

	assert_int_equal(write(rig->orders, &what, 1), 1);
	assert_int_equal(read(rig->answers, &answer, 1), 1);
	assert_int_equal(answer, what);
}

/* The far end of the connection that was made first. */
static uint16_t accept_first(const struct rig *rig, int *ret_fd)
{
	struct sockaddr_in peer = {0};
	socklen_t len = sizeof(peer);

	*ret_fd = accept(rig->listener, (struct sockaddr *)&peer, &len);
	assert_return_code(*ret_fd, errno);
	return ntohs(peer.sin_port);
}

static uint16_t port_of(pid_t pid, int number)
{
	struct sockaddr_in name = {0};
	socklen_t len = sizeof(name);
	CLEANUP_FD int fd = proc_dup_fd(pid, number);

	assert_return_code(getsockname(fd, (struct sockaddr *)&name, &len),
			   errno);
	return ntohs(name.sin_port);
}

static void socket_is_found(void **state)
{
	struct rig *rig = *state;
	struct ssh_socket s;
	struct tcp_conn t;
	struct err err;

	start(rig, 1);
	order(rig, 'o');
	order(rig, 'c');
	assert_true(ssh_socket_find(&rig->lender, rig->pid, &s));
	assert_int_equal(rig->held.pid, rig->pid);
	assert_int_equal(ssh_socket_read(&s, &t, &err), 0);
	assert_int_equal(t.peer.port, ntohs(rig->addr.sin_port));
	assert_int_not_equal(t.cwnd, 0);
	assert_int_not_equal(t.congestion[0], '\0');
	assert_int_equal(count_fds(), rig->n_fds);
}

static void socket_of_a_grandchild_is_found(void **state)
{
	struct rig *rig = *state;
	struct ssh_socket s;
	struct tcp_conn t;
	struct err err;

	start(rig, 3);
	order(rig, 'c');
	assert_true(ssh_socket_find(&rig->lender, rig->pid, &s));
	assert_int_not_equal(rig->held.pid, rig->pid);
	assert_int_equal(ssh_socket_read(&s, &t, &err), 0);
	assert_int_equal(t.peer.port, ntohs(rig->addr.sin_port));
	assert_int_equal(count_fds(), rig->n_fds);
}

static void no_socket_is_no_error(void **state)
{
	struct rig *rig = *state;
	struct ssh_socket s;
	struct tcp_conn t;
	struct err err;

	start(rig, 2);
	order(rig, 'o');
	assert_false(ssh_socket_find(&rig->lender, rig->pid, &s));
	assert_non_null(strstr(s.why_not.text, "holds a TCP connection"));
	assert_true(ssh_socket_read(&s, &t, &err) < 0);
	assert_string_equal(err.text, s.why_not.text);
	ssh_socket_tune(&s, 1);
	assert_int_equal(count_fds(), rig->n_fds);
}

static void of_several_sockets_the_first_is_taken(void **state)
{
	struct rig *rig = *state;
	struct ssh_socket s;
	uint16_t first;
	int fd;

	start(rig, 1);
	order(rig, 'c');
	for (int i = 0; i < 5; i++)
		order(rig, 'm');
	first = accept_first(rig, &fd);
	assert_true(ssh_socket_find(&rig->lender, rig->pid, &s));
	assert_int_equal(port_of(rig->held.pid, rig->held.number), first);
	fd_close(&fd);
}

static void another_socket_is_not_taken_for_it(void **state)
{
	struct rig *rig = *state;
	struct ssh_socket s;
	struct tcp_conn t;
	struct err err;

	start(rig, 1);
	order(rig, 'c');
	assert_true(ssh_socket_find(&rig->lender, rig->pid, &s));
	order(rig, 'r');
	assert_true(ssh_socket_read(&s, &t, &err) < 0);
	assert_string_equal(err.text, "the connection is over");
	ssh_socket_tune(&s, 1);
	assert_string_equal(s.tune.congestion, "");
	assert_true(ssh_socket_find(&rig->lender, rig->pid, &s));
	assert_int_equal(ssh_socket_read(&s, &t, &err), 0);
	assert_int_equal(count_fds(), rig->n_fds);
}

static void a_connection_ends_with_its_process(void **state)
{
	struct rig *rig = *state;
	struct ssh_socket s;
	struct tcp_conn t;
	struct err err;
	char byte;
	int fd;

	start(rig, 1);
	order(rig, 'c');
	(void)accept_first(rig, &fd);
	assert_true(ssh_socket_find(&rig->lender, rig->pid, &s));
	ssh_socket_tune(&s, 1);
	assert_int_equal(kill(rig->pid, SIGKILL), 0);
	assert_int_equal(read(fd, &byte, 1), 0);
	assert_true(ssh_socket_read(&s, &t, &err) < 0);
	fd_close(&fd);
}

static void without_loss_nothing_is_changed(void **state)
{
	struct rig *rig = *state;
	char text[TCP_TUNE_TEXT_MAX];
	struct ssh_socket s;
	struct tcp_conn before, after;
	struct err err;

	start(rig, 1);
	order(rig, 'c');
	assert_true(ssh_socket_find(&rig->lender, rig->pid, &s));
	assert_int_equal(ssh_socket_read(&s, &before, &err), 0);
	for (mono_us_t look = 0; look < 10; look++)
		ssh_socket_tune(&s, look * LOSS_LOOK_US);
	assert_int_equal(ssh_socket_read(&s, &after, &err), 0);
	assert_string_equal(after.congestion, before.congestion);
	if (tcp_conn_is_default(before.congestion))
		assert_non_null(strstr(tcp_tune_tell(&s.tune, text),
				       ": no loss by chance seen"));
	else
		assert_non_null(strstr(tcp_tune_tell(&s.tune, text),
				       "somebody has chosen it"));
	assert_int_equal(count_fds(), rig->n_fds);
}

static void a_process_that_is_gone_has_none(void **state)
{
	struct ssh_held held = {.pid = 0};
	const struct ssh_lender lender = {lend, &held};
	struct ssh_socket s;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_false(ssh_socket_find(&lender, pid, &s));
	assert_string_not_equal(s.why_not.text, "");
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(socket_is_found),
		with_rig(socket_of_a_grandchild_is_found),
		with_rig(no_socket_is_no_error),
		with_rig(of_several_sockets_the_first_is_taken),
		with_rig(another_socket_is_not_taken_for_it),
		with_rig(a_connection_ends_with_its_process),
		with_rig(without_loss_nothing_is_changed),
		cmocka_unit_test(a_process_that_is_gone_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
