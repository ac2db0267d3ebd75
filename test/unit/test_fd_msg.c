/* SPDX-License-Identifier: MIT */
/* test_fd_msg: src/base/fd_msg.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "fd_msg.h"

static int setup(void **state)
{
	static int pair[2];

	*state = pair;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int teardown(void **state)
{
	int *pair = *state;

	fd_close(&pair[0]);
	fd_close(&pair[1]);
	return 0;
}

static void a_message_comes_with_its_descriptor(void **state)
{
	const int *pair = *state;
	int ends[2], along;
	char buf[8], byte = 0;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fd_msg_send(pair[0], "abc", 3, ends[1]), 0);
	fd_close(&ends[1]);
	assert_int_equal(fd_msg_receive(pair[1], buf, sizeof(buf), &along), 3);
	assert_memory_equal(buf, "abc", 3);
	assert_true(along >= 0);
	assert_int_equal(write(along, "x", 1), 1);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
	fd_close(&along);
	fd_close(&ends[0]);
	assert_int_equal(fd_msg_send(pair[0], "abc", 3, FD_MSG_NOTHING), 0);
	assert_int_equal(fd_msg_receive(pair[1], buf, sizeof(buf), &along), 3);
	assert_int_equal(along, FD_MSG_NOTHING);
}

static void several_descriptors_come_or_none(void **state)
{
	const int *pair = *state;
	int ends[2], fds[FD_MSG_MAX], n_fds;
	char buf[8];

	assert_int_equal(fd_msg_receive_all(pair[1], buf, sizeof(buf),
					    MSG_DONTWAIT, fds, &n_fds),
			 -EAGAIN);
	assert_int_equal(n_fds, 0);
	assert_int_equal(pipe(ends), 0);
	int all[FD_MSG_MAX] = {ends[1], ends[1], ends[0], ends[1]};
	for (int n = 0; n <= FD_MSG_MAX; n++) {
		assert_int_equal(
			fd_msg_send_all(pair[0], "abc", 3, all, (size_t)n), 0);
		assert_int_equal(fd_msg_receive_all(pair[1], buf, sizeof(buf),
						    0, fds, &n_fds),
				 3);
		assert_int_equal(n_fds, n);
		for (int i = 0; i < n; i++) {
			assert_int_equal(write(fds[i], "x", 1),
					 all[i] == ends[1] ? 1 : -1);
			fd_close(&fds[i]);
		}
	}
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

static void two_descriptors_are_closed(void **state)
{
	const int *pair = *state;
	int ends[2], along;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(ends))];
	} control = {0};
	char buf[8] = "abc", byte;
	struct iovec iov = {.iov_base = buf, .iov_len = 3};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	assert_int_equal(pipe(ends), 0);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(ends));
	memcpy(CMSG_DATA(cmsg), ends, sizeof(ends));
	assert_int_equal(sendmsg(pair[0], &msg, 0), 3);
	fd_close(&ends[1]);
	assert_int_equal(fd_msg_receive(pair[1], buf, sizeof(buf), &along), 3);
	assert_int_equal(along, FD_MSG_OTHER);
	/* Blocks for ever if a copy has survived. */
	assert_int_equal(read(ends[0], &byte, 1), 0);
	fd_close(&ends[0]);
}

static void a_message_that_is_too_long_has_its_length(void **state)
{
	const int *pair = *state;
	char buf[4];
	int along;

	assert_int_equal(fd_msg_send(pair[0], "abcdef", 6, FD_MSG_NOTHING), 0);
	assert_int_equal(fd_msg_receive(pair[1], buf, sizeof(buf), &along), 6);
	assert_memory_equal(buf, "abcd", 4);
}

static void the_end_is_told(void **state)
{
	int *pair = *state, along;
	char buf[4];

	fd_close(&pair[0]);
	assert_int_equal(fd_msg_receive(pair[1], buf, sizeof(buf), &along), 0);
	assert_int_equal(along, FD_MSG_NOTHING);
	assert_int_equal(fd_msg_send(pair[1], "a", 1, FD_MSG_NOTHING), -EPIPE);
	assert_int_equal(fd_msg_receive(-1, buf, sizeof(buf), &along), -EBADF);
}

static void a_fork_answers(void **state)
{
	int sock, along, status;
	char buf[4];
	pid_t pid = fd_msg_fork(&sock);

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		bool is_good =
			fd_msg_receive(sock, buf, sizeof(buf), &along) == 3 &&
			fd_msg_send(sock, buf, 2, FD_MSG_NOTHING) == 0;

		_exit(is_good ? 0 : 1);
	}
	assert_int_equal(fd_msg_send(sock, "abc", 3, FD_MSG_NOTHING), 0);
	assert_int_equal(fd_msg_receive(sock, buf, sizeof(buf), &along), 2);
	/* Nobody else has its end. */
	assert_int_equal(fd_msg_receive(sock, buf, sizeof(buf), &along), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fd_close(&sock);
}

static void who_made_it_is_known(void **state)
{
	const int *pair = *state;

	assert_int_equal(fd_msg_maker(pair[0]), geteuid());
	assert_int_equal(fd_msg_maker(-1), UINT32_MAX);
}

#define with_pair(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_pair(a_message_comes_with_its_descriptor),
		with_pair(several_descriptors_come_or_none),
		with_pair(two_descriptors_are_closed),
		with_pair(a_message_that_is_too_long_has_its_length),
		with_pair(the_end_is_told),
		cmocka_unit_test(a_fork_answers),
		with_pair(who_made_it_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
