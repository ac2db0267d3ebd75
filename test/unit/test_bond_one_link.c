/* SPDX-License-Identifier: MIT */
/* test_bond_one_link: frames over pipes and sockets, split and stopped
 * anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "bond_carrier.h"
#include "deference.h"
#include "fd.h"
#include "reference.h"

enum {
	SECOND = 1000000,
	SEEN_MAX = 64,
};

/* What a carrier told. */
struct seen {
	struct carrier *carrier;
	unsigned n_frames;
	struct frame_header frames[SEEN_MAX]; /* the first of them */
	uint64_t body_bytes;
	uint32_t body_sum; /* over all bodies, order matters */
	unsigned n_writable, n_closed;
	struct err why;
};

static uint32_t sum_of(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum = sum * 31 + bytes[i] + 1;
	return sum;
}

static void on_frame(void *ctx, const struct frame_header *h,
		     const uint8_t *body)
{
	struct seen *seen = ctx;

	if (seen->n_frames < SEEN_MAX)
		seen->frames[seen->n_frames] = *h;
	seen->n_frames++;
	seen->body_bytes += h->len;
	seen->body_sum = sum_of(seen->body_sum, body, h->len);
}

static void on_writable(void *ctx)
{
	((struct seen *)ctx)->n_writable++;
}

static void on_closed(void *ctx, const struct err *why)
{
	struct seen *seen = ctx;

	seen->n_closed++;
	seen->why = *why;
}

static const struct carrier_user user = {
	.on_frame = on_frame,
	.on_writable = on_writable,
	.on_closed = on_closed,
};

struct fixture {
	struct loop *loop;
	struct seen seen;
	int to, from; /* the test's ends: writes to, reads from the carrier */
};

static void settle(struct fixture *x)
{
	while (loop_poll(x->loop))
		continue;
}

static void open_carrier(struct fixture *x, int rfd, int wfd,
			 const void *leftover, size_t leftover_len)
{
	x->seen.carrier =
		bond_carrier_new(x->loop, rfd, wfd, leftover, leftover_len);
	assert_non_null(x->seen.carrier);
	carrier_bind(x->seen.carrier, &user, &x->seen);
}

static struct fixture *new_fixture(void)
{
	struct fixture *x = calloc(1, sizeof(*x));

	assert_non_null(x);
	x->to = x->from = -1;
	x->loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_non_null(x->loop);
	return x;
}

static int setup_bare(void **state)
{
	*state = new_fixture();
	return 0;
}

static int setup_pipes(void **state)
{
	struct fixture *x = new_fixture();
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	x->to = in[1];
	x->from = out[0];
	assert_int_equal(fd_set_nonblock(x->from), 0);
	open_carrier(x, in[0], out[1], NULL, 0);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	x->seen.carrier = carrier_free(x->seen.carrier);
	fd_close(&x->to);
	if (x->from != x->to)
		fd_close(&x->from);
	x->loop = loop_free(x->loop);
	free(x);
	return 0;
}

/* A frame with len bytes of body at out; returns its length. */
static size_t put_frame(uint8_t *out, uint8_t type, uint32_t id, size_t len)
{
	size_t at = frame_build_header(out, (enum frame_type)type, len, id);

	for (size_t i = 0; i < len; i++)
		out[at + i] = (uint8_t)(id + i * 7);
	return at + len;
}

static void send_frame(struct fixture *x, uint8_t type, uint32_t id, size_t len)
{
	uint8_t *bytes = malloc(FRAME_HEADER_LEN + len);

	assert_non_null(bytes);
	size_t n = put_frame(bytes, type, id, len);
	struct iovec iov[2] = {
		{bytes, FRAME_HEADER_LEN},
		{bytes + FRAME_HEADER_LEN, n - FRAME_HEADER_LEN},
	};
	carrier_send(x->seen.carrier, iov, len > 0 ? 2 : 1);
	free(bytes);
}

/* ---- receiving ---- */

static void frames_arrive_whole_wherever_they_are_split(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[300];
	size_t n = 0;

	n += put_frame(bytes + n, FRAME_PING, 0, 8);
	n += put_frame(bytes + n, FRAME_DATA, 1, 100);
	n += put_frame(bytes + n, 0xf0, 2, 0);
	n += put_frame(bytes + n, FRAME_DATA, 3, 1);
	for (size_t at = 0; at <= n; at++) {
		x->seen.n_frames = 0;
		assert_int_equal(fd_write_all(x->to, bytes, at), 0);
		settle(x);
		assert_int_equal(fd_write_all(x->to, bytes + at, n - at), 0);
		settle(x);
		assert_int_equal(x->seen.n_frames, 4);
		assert_int_equal(x->seen.frames[0].type, FRAME_PING);
		assert_int_equal(x->seen.frames[1].len, 100);
		assert_int_equal(x->seen.frames[2].len, 0);
		assert_int_equal(x->seen.frames[3].id, 3);
	}
	assert_int_equal(x->seen.n_closed, 0);
}

static void frames_arrive_byte_by_byte(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[200];
	size_t n = put_frame(bytes, FRAME_DATA, 7, 60);

	n += put_frame(bytes + n, FRAME_FIN, 8, 8);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(fd_write_all(x->to, bytes + i, 1), 0);
		settle(x);
		assert_int_equal(x->seen.n_frames,
				 (i + 1 >= 68) + (i + 1 >= n));
	}
	assert_int_equal(x->seen.body_sum,
			 sum_of(sum_of(0, bytes + 8, 60), bytes + 76, 8));
}

static void largest_frame_arrives(void **state)
{
	struct fixture *x = *state;
	uint8_t *bytes = malloc(FRAME_HEADER_LEN + FRAME_BODY_MAX);

	assert_non_null(bytes);
	size_t n = put_frame(bytes, FRAME_DGRAM, 9, FRAME_BODY_MAX);
	for (int i = 0; i < 20; i++)
		assert_int_equal(fd_write_all(x->to, bytes, n), 0), settle(x);
	assert_int_equal(x->seen.n_frames, 20);
	assert_int_equal(x->seen.body_bytes, 20 * FRAME_BODY_MAX);
	free(bytes);
}

static void oversized_frame_closes_the_carrier(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[FRAME_HEADER_LEN * 2];
	size_t n = put_frame(bytes, 0xf0, 0, 0);
	uint32_t len = FRAME_BODY_MAX + 1;

	bytes[n] = FRAME_DATA;
	bytes[n + 1] = (uint8_t)(len >> 16);
	bytes[n + 2] = (uint8_t)(len >> 8);
	bytes[n + 3] = (uint8_t)len;
	assert_int_equal(fd_write_all(x->to, bytes, n + 8), 0);
	settle(x);
	assert_int_equal(x->seen.n_frames, 1);
	assert_int_equal(x->seen.n_closed, 1);
	assert_non_null(strstr(x->seen.why.text, "oversized"));
	assert_true(carrier_is_full(x->seen.carrier));
	(void)fd_write_all(x->to, bytes, n);
	settle(x);
	assert_int_equal(x->seen.n_frames, 1);
	assert_int_equal(x->seen.n_closed, 1);
}

static void leftover_comes_first(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[300];
	int in[2], out[2];
	size_t n = put_frame(bytes, FRAME_PING, 1, 8);

	n += put_frame(bytes + n, FRAME_PING, 2, 8);
	n += put_frame(bytes + n, FRAME_PING, 3, 8);
	for (size_t left = 0; left <= n; left++) {
		memset(&x->seen, 0, sizeof(x->seen));
		assert_int_equal(pipe2(in, O_CLOEXEC), 0);
		assert_int_equal(pipe2(out, O_CLOEXEC), 0);
		open_carrier(x, in[0], out[1], bytes, left);
		assert_int_equal(x->seen.n_frames, 0); /* not from within */
		assert_int_equal(fd_write_all(in[1], bytes + left, n - left),
				 0);
		settle(x);
		assert_int_equal(x->seen.n_frames, 3);
		for (uint32_t i = 0; i < 3; i++)
			assert_int_equal(x->seen.frames[i].id, i + 1);
		x->seen.carrier = carrier_free(x->seen.carrier);
		fd_close(&in[1]);
		fd_close(&out[0]);
	}
}

static void leftover_alone_is_delivered(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[32];
	int in[2], out[2];
	size_t n = put_frame(bytes, FRAME_PING, 1, 8);

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	x->to = in[1];
	x->from = out[0];
	open_carrier(x, in[0], out[1], bytes, n);
	settle(x);
	assert_int_equal(x->seen.n_frames, 1);
}

/* ---- the end ---- */

static void end_of_input_is_told_once_behind_the_last_frame(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[64];
	size_t n = put_frame(bytes, FRAME_BYE, 0, 10);

	assert_int_equal(fd_write_all(x->to, bytes, n + 3), 0); /* and a bit */
	fd_close(&x->to);
	settle(x);
	assert_int_equal(x->seen.n_frames, 1);
	assert_int_equal(x->seen.n_closed, 1);
	assert_non_null(strstr(x->seen.why.text, "closed the connection"));
	loop_advance_us(x->loop, 10 * SECOND);
	settle(x);
	assert_int_equal(x->seen.n_closed, 1);
}

static void last_words_are_heard_when_nobody_reads_any_more(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[64];
	size_t n = put_frame(bytes, FRAME_BYE, 0, 10);

	fd_close(&x->from);
	send_frame(x, FRAME_PING, 0, 8); /* EPIPE */
	settle(x);
	assert_int_equal(x->seen.n_closed, 0);
	assert_true(carrier_is_full(x->seen.carrier));
	assert_int_equal(fd_write_all(x->to, bytes, n), 0);
	settle(x);
	assert_int_equal(x->seen.n_frames, 1);
	assert_int_equal(x->seen.n_closed, 0);
	fd_close(&x->to);
	settle(x);
	assert_int_equal(x->seen.n_closed, 1);
}

static void nobody_reading_is_the_end_after_two_seconds(void **state)
{
	struct fixture *x = *state;

	fd_close(&x->from);
	settle(x);
	loop_advance_us(x->loop, 1900000);
	settle(x);
	assert_int_equal(x->seen.n_closed, 0);
	loop_advance_us(x->loop, 200000);
	settle(x);
	assert_int_equal(x->seen.n_closed, 1);
	assert_non_null(strstr(x->seen.why.text, strerror(EPIPE)));
}

static void no_frame_is_handed_to_a_user_who_left(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[64];
	size_t n = put_frame(bytes, FRAME_PING, 0, 8);

	x->seen.carrier->user = NULL;
	assert_int_equal(fd_write_all(x->to, bytes, n), 0);
	settle(x);
	fd_close(&x->to);
	settle(x);
	assert_int_equal(x->seen.n_frames, 0);
	assert_int_equal(x->seen.n_closed, 0);
}

static void reset_connection_is_told_by_its_name(void **state)
{
	struct fixture *x = *state;
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct linger at_once = {1, 0};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(listener, (struct sockaddr *)&addr, len) < 0 ||
	    listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) < 0 ||
	    connect(s, (struct sockaddr *)&addr, len) < 0) {
		fd_close(&s);
		fd_close(&listener);
		skip(); /* no loopback here */
	}
	x->to = x->from = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	fd_close(&listener);
	open_carrier(x, s, s, NULL, 0);
	assert_int_equal(setsockopt(x->to, SOL_SOCKET, SO_LINGER, &at_once,
				    sizeof(at_once)),
			 0);
	fd_close(&x->to);
	x->from = -1;
	settle(x);
	assert_int_equal(x->seen.n_closed, 1);
	assert_non_null(strstr(x->seen.why.text, strerror(ECONNRESET)));
}

static void what_cannot_be_watched_is_refused_and_closed(void **state)
{
	struct fixture *x = *state;
	char path[] = "/tmp/ecssh-test-XXXXXX";
	int file = mkstemp(path), out[2];

	assert_true(file >= 0);
	(void)unlink(path);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	x->from = out[0];
	errno = 0;
	assert_null(bond_carrier_new(x->loop, file, out[1], NULL, 0));
	assert_true(errno != 0);
	assert_int_equal(fcntl(file, F_GETFD), -1);
	assert_int_equal(fcntl(out[1], F_GETFD), -1);
}

static void too_much_leftover_is_refused(void **state)
{
	struct fixture *x = *state;
	static const uint8_t leftover[(512 << 10) + 1];
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	x->to = in[1];
	x->from = out[0];
	assert_null(bond_carrier_new(x->loop, in[0], out[1], leftover,
				     sizeof(leftover)));
	assert_int_equal(fcntl(in[0], F_GETFD), -1);
}

/* ---- sending ---- */

static size_t drain(struct fixture *x, uint8_t *out, size_t most)
{
	ssize_t n = read(x->from, out, most);

	return n > 0 ? (size_t)n : 0;
}

static void full_pipe_keeps_the_rest_and_says_when_it_is_gone(void **state)
{
	struct fixture *x = *state;
	size_t sent = 0, got = 0;
	uint32_t id = 0;
	uint8_t *bytes = malloc(8 << 20), *frame = malloc(70000);

	assert_non_null(bytes);
	assert_non_null(frame);
	while (!carrier_is_full(x->seen.carrier)) {
		send_frame(x, FRAME_DATA, id++, 60000);
		sent += FRAME_HEADER_LEN + 60000;
		assert_true(sent < 8 << 20);
	}
	settle(x);
	assert_true(carrier_is_full(x->seen.carrier));
	assert_int_equal(x->seen.n_writable, 0);
	/* Whoever reads it is not pushed aside meanwhile. */
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	while (got < sent) {
		size_t n = drain(x, bytes + got, 5000);

		settle(x);
		assert_true(n > 0);
		got += n;
	}
	assert_false(carrier_is_full(x->seen.carrier));
	assert_int_equal(x->seen.n_writable, 1);
	assert_int_equal(drain(x, bytes, 1), 0);
	for (uint32_t i = 0; i < id; i++) {
		size_t n = put_frame(frame, FRAME_DATA, i, 60000);

		assert_memory_equal(bytes + i * n, frame, n);
	}
	loop_advance_us(x->loop, DEFERENCE_US);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	free(bytes);
	free(frame);
}

static void nothing_is_sent_after_the_end(void **state)
{
	struct fixture *x = *state;
	uint8_t byte;

	fd_close(&x->to);
	settle(x);
	assert_int_equal(x->seen.n_closed, 1);
	send_frame(x, FRAME_PING, 0, 8);
	assert_int_equal(drain(x, &byte, 1), 0);
}

static void one_descriptor_serves_both_directions(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[64], got[64];
	int pair[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	x->to = x->from = pair[0];
	open_carrier(x, pair[1], pair[1], NULL, 0);
	size_t n = put_frame(bytes, FRAME_PING, 4, 8);
	assert_int_equal(fd_write_all(x->to, bytes, n), 0);
	settle(x);
	assert_int_equal(x->seen.n_frames, 1);
	send_frame(x, FRAME_PING, 4, 8);
	assert_int_equal(drain(x, got, sizeof(got)), n);
	assert_memory_equal(got, bytes, n);
	fd_close(&x->to);
	x->from = -1;
	settle(x);
	assert_int_equal(x->seen.n_closed, 1);
}

/* ---- two of them ---- */

struct talk {
	struct seen seen;
	uint64_t sent_bytes;
	uint32_t sent_sum;
	uint32_t n_sent;
};

static void talk_some(struct talk *t, struct rng *rng)
{
	static uint8_t bytes[16 * (FRAME_HEADER_LEN + FRAME_BODY_MAX)];
	struct iovec iov[32];
	size_t at = 0;
	int n = 0;

	if (carrier_is_full(t->seen.carrier))
		return;
	for (size_t k = 1 + rng_below(rng, 8); k > 0; k--) {
		size_t len = rng_below(rng, 3) ? rng_below(rng, 300)
					       : rng_below(rng, 60000);
		size_t whole = put_frame(bytes + at, 0xf0, t->n_sent, len);

		iov[n++] = (struct iovec){bytes + at, FRAME_HEADER_LEN};
		iov[n++] = (struct iovec){bytes + at + FRAME_HEADER_LEN, len};
		t->sent_sum =
			sum_of(t->sent_sum, bytes + at + FRAME_HEADER_LEN, len);
		t->sent_bytes += len;
		t->n_sent++;
		at += whole;
	}
	carrier_send(t->seen.carrier, iov, n);
}

static void two_carriers_talk_without_loss(void **state)
{
	struct fixture *x = *state;
	struct rng rng = rng_init("bond_one_link");
	struct talk a = {0}, b = {0};
	int pair[2], small = 4096;

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	a.seen.carrier = bond_carrier_new(x->loop, pair[0], pair[0], NULL, 0);
	b.seen.carrier = bond_carrier_new(x->loop, pair[1], pair[1], NULL, 0);
	assert_non_null(a.seen.carrier);
	assert_non_null(b.seen.carrier);
	carrier_bind(a.seen.carrier, &user, &a.seen);
	carrier_bind(b.seen.carrier, &user, &b.seen);
	for (int i = 0; i < 500; i++) {
		talk_some(&a, &rng);
		talk_some(&b, &rng);
		for (size_t k = rng_below(&rng, 4); k > 0; k--)
			(void)loop_poll(x->loop);
	}
	settle(x);
	assert_int_equal(b.seen.n_frames, a.n_sent);
	assert_int_equal(a.seen.n_frames, b.n_sent);
	assert_int_equal(b.seen.body_bytes, a.sent_bytes);
	assert_int_equal(b.seen.body_sum, a.sent_sum);
	assert_int_equal(a.seen.body_sum, b.sent_sum);
	assert_true(a.seen.n_writable > 0);
	a.seen.carrier = carrier_free(a.seen.carrier);
	settle(x);
	assert_int_equal(b.seen.n_closed, 1);
	b.seen.carrier = carrier_free(b.seen.carrier);
}

#define PIPES(test) cmocka_unit_test_setup_teardown(test, setup_pipes, teardown)
#define BARE(test)  cmocka_unit_test_setup_teardown(test, setup_bare, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PIPES(frames_arrive_whole_wherever_they_are_split),
		PIPES(frames_arrive_byte_by_byte),
		PIPES(largest_frame_arrives),
		PIPES(oversized_frame_closes_the_carrier),
		BARE(leftover_comes_first),
		BARE(leftover_alone_is_delivered),
		PIPES(end_of_input_is_told_once_behind_the_last_frame),
		PIPES(last_words_are_heard_when_nobody_reads_any_more),
		PIPES(nobody_reading_is_the_end_after_two_seconds),
		PIPES(no_frame_is_handed_to_a_user_who_left),
		BARE(reset_connection_is_told_by_its_name),
		BARE(what_cannot_be_watched_is_refused_and_closed),
		BARE(too_much_leftover_is_refused),
		PIPES(full_pipe_keeps_the_rest_and_says_when_it_is_gone),
		PIPES(nothing_is_sent_after_the_end),
		BARE(one_descriptor_serves_both_directions),
		BARE(two_carriers_talk_without_loss),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
