/* SPDX-License-Identifier: MIT */
/*
 * bondrate: how fast frames go through a carrier between two processes.
 *
 * usage: bondrate fd|bond MIB
 *
 * Over two pipes, one link.  Prints MB/s.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bond_carrier.h"
#include "fd_carrier.h"

enum { BODY = 16374 - FRAME_HEADER_LEN, FRAMES = 8 };

struct rate {
	struct loop *loop;
	struct carrier *carrier;
	uint64_t todo; /* bytes of bodies */
};

static void on_frame(void *ctx, const struct frame_header *h,
		     const uint8_t *body)
{
	struct rate *r = ctx;

	(void)body;
	r->todo -= h->len < r->todo ? h->len : r->todo;
	if (r->todo == 0)
		loop_stop(r->loop);
}

static void pump(void *ctx)
{
	static uint8_t frame[FRAME_HEADER_LEN + BODY];
	struct iovec iov[2 * FRAMES];
	struct rate *r = ctx;

	(void)frame_build_header(frame, FRAME_DATA, BODY, 1);
	for (int i = 0; i < FRAMES; i++) {
		iov[2 * i] = (struct iovec){frame, FRAME_HEADER_LEN};
		iov[2 * i + 1] = (struct iovec){frame + FRAME_HEADER_LEN, BODY};
	}
	while (!carrier_is_full(r->carrier))
		carrier_send(r->carrier, iov, 2 * FRAMES);
}

static void on_closed(void *ctx, const struct err *why)
{
	struct rate *r = ctx;

	(void)why;
	loop_stop(r->loop);
}

static const struct carrier_user reader = {
	.on_frame = on_frame,
	.on_closed = on_closed,
};

static const struct carrier_user writer = {
	.on_frame = on_frame,
	.on_writable = pump,
	.on_closed = on_closed,
};

static void run(struct rate *r, bool is_bond, int rfd, int wfd)
{
	bool is_reader = r->todo > 0;

	r->loop = loop_new(LOOP_TIME_REAL);
	r->carrier = is_bond ? bond_carrier_new(r->loop, rfd, wfd, NULL, 0)
			     : fd_carrier_new(r->loop, rfd, wfd, NULL, 0);
	carrier_bind(r->carrier, is_reader ? &reader : &writer, r);
	if (!is_reader)
		pump(r);
	(void)loop_run(r->loop);
	r->carrier = carrier_free(r->carrier);
	r->loop = loop_free(r->loop);
}

int main(int argc, char **argv)
{
	bool is_bond = argc > 2 && strcmp(argv[1], "bond") == 0;
	struct rate r = {0};
	int up[2], down[2];

	if (argc < 3 || pipe(up) < 0 || pipe(down) < 0)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(up[0]);
		(void)close(down[1]);
		run(&r, is_bond, down[0], up[1]);
		_exit(0);
	}
	(void)close(up[1]);
	(void)close(down[0]);
	uint64_t bytes = strtoull(argv[2], NULL, 10) << 20;
	mono_us_t start = clock_mono_us();
	r.todo = bytes;
	run(&r, is_bond, up[0], down[1]);
	(void)printf("%.0f\n",
		     (double)bytes / (double)(clock_mono_us() - start));
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
	return 0;
}
