/* SPDX-License-Identifier: MIT */
/*
 * packet_near: a near end that knows packets only, for tests of the far side.
 *
 * usage: packet_near DEVICE MTU NEAR4 NEAR6 FLAGS [ANNOUNCED...] -- COMMAND...
 *
 * COMMAND starts a helper with the marker of 32 zeros, e.g. by ssh.  DEVICE is
 * made here and gets no address; "-" makes none.  NEAR4, NEAR6: "-" for none.
 * FLAGS: of the frame NETWORK, as a number.  Each state of the far network
 * becomes a line "state STATUS MTU TEXT", each second a line "drops NAME
 * COUNT" for what was refused over there.  Ends with its standard input or
 * with the session.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "bond_carrier.h"
#include "session.h"
#include "tun.h"
#include "vnet.h"

static const char *const marker = "00000000000000000000000000000000";

enum { BUF_BYTES = PKT_VNET_LEN + PKT_IP6_MAX, QUEUES = 16 };

struct near {
	struct loop *loop;
	struct session *session;
	struct frame_network network;
	struct loop_io tun, stdin_io;
	struct dgram_queue queues[QUEUES];
	struct timer tick;
	uint64_t drops[DROP__N]; /* printed already */
	uint8_t buf[BUF_BYTES];
};

static void die(const char *what)
{
	(void)fprintf(stderr, "packet_near: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void on_up(void *ctx, const struct frame_hello *peer)
{
	struct near *n = ctx;

	(void)printf("up %u\n", peer->capabilities);
	session_send_network(n->session, &n->network);
}

static void on_network_state(void *ctx, const struct frame_network_state *state)
{
	(void)ctx;
	(void)printf("state %d %u %s\n", state->status, state->mtu_bytes,
		     state->text);
}

static void on_packet(void *ctx, const struct frame_packet *p)
{
	struct near *n = ctx;
	uint8_t header[PKT_VNET_LEN];

	if (n->tun.fd < 0 || vnet_check(p) != DROP_NONE)
		return;
	vnet_build(header, p);
	struct iovec iov[] = {
		{.iov_base = header, .iov_len = sizeof(header)},
		{.iov_base = (void *)(uintptr_t)p->ip, .iov_len = p->ip_len},
	};
	(void)!writev(n->tun.fd, iov, 2);
}

static void on_tun(void *ctx, uint32_t events)
{
	struct near *n = ctx;

	(void)events;
	for (int i = 0; i < 64; i++) {
		struct frame_packet p;
		struct pkt pkt;
		ssize_t len = read(n->tun.fd, n->buf, sizeof(n->buf));

		if (len <= 0)
			return;
		if (vnet_parse(n->buf, (size_t)len, &p, &pkt) != DROP_NONE)
			continue;
		uint8_t where =
			pkt.proto == PKT_PROTO_TCP
				? (uint8_t)(pkt.tcp.src_port ^ pkt.tcp.dst_port)
				: pkt.proto;
		(void)session_send_packet(n->session,
					  &n->queues[where % QUEUES], &p);
	}
}

static void on_down(void *ctx, const struct err *why)
{
	struct near *n = ctx;

	(void)printf("down %s\n", why->text);
	loop_stop(n->loop);
}

static void on_stdin(void *ctx, uint32_t events)
{
	struct near *n = ctx;

	(void)events;
	session_bye(n->session, FRAME_BYE_DONE, "");
	loop_stop(n->loop);
}

static void on_tick(void *ctx)
{
	struct near *n = ctx;
	const struct session_stats *stats = session_stats(n->session);

	for (unsigned i = 0; i < DROP__N; i++) {
		if (stats->far_drops[i] == n->drops[i])
			continue;
		n->drops[i] = stats->far_drops[i];
		(void)printf("drops %s %llu\n",
			     drop_reason_name((enum drop_reason)i),
			     (unsigned long long)n->drops[i]);
	}
	timer_arm(n->loop, &n->tick, 100000);
}

static void on_nothing(struct stream *s)
{
	(void)s;
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	(void)s;
	(void)reason;
}

static const struct stream_ops stream_ops = {
	.on_readable = on_nothing,
	.on_writable = on_nothing,
	.on_reset = on_reset,
	.on_closed = on_nothing,
};

static const struct session_ops ops = {
	.on_up = on_up,
	.stream = &stream_ops,
	.on_packet = on_packet,
	.on_network_state = on_network_state,
	.on_down = on_down,
};

static void take_addr(const char *text, struct ip_addr *ret)
{
	if (strcmp(text, "-") != 0 && addr_parse(text, ret) < 0)
		die(text);
}

static int spawn(char **command)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		(void)dup2(pair[1], 0);
		(void)dup2(pair[1], 1);
		(void)execvp(command[0], command);
		die(command[0]);
	}
	(void)close(pair[1]);
	return pair[0];
}

/* Skip what the remote side says up to the line with the marker. */
static void await_ready(int fd)
{
	char line[4096];
	size_t len = 0;

	for (;;) {
		char c;

		if (read(fd, &c, 1) != 1)
			die("no helper");
		if (c != '\n') {
			line[len < sizeof(line) - 1 ? len++ : len] = c;
			continue;
		}
		if (len > strlen(marker) &&
		    strncmp(line, marker, strlen(marker)) == 0)
			return;
		len = 0;
	}
}

static void open_tun(struct near *n, const char *name)
{
	char made[TUN_NAME_MAX];
	struct err err;
	uint32_t offloads;

	n->tun.fd = -1;
	if (strcmp(name, "-") == 0)
		return;
	if (tun_open_control(&n->tun.fd, &err) < 0 ||
	    tun_create(n->tun.fd, name, TUN_OFFLOAD_ALL, made, &offloads,
		       &err) < 0) {
		(void)fprintf(stderr, "packet_near: %s\n", err.text);
		exit(1);
	}
	n->tun.on_event = on_tun;
	n->tun.ctx = n;
	if (loop_io_add(n->loop, &n->tun, EPOLLIN) < 0)
		die("epoll");
}

/* Returns where the command begins. */
static char **parse(struct near *n, char **argv)
{
	n->network.mtu_bytes = (uint16_t)atoi(argv[2]); /* NOLINT */
	take_addr(argv[3], &n->network.near4);
	take_addr(argv[4], &n->network.near6);
	n->network.flags = (uint8_t)atoi(argv[5]); /* NOLINT */
	for (argv += 6; *argv && strcmp(*argv, "--") != 0; argv++)
		if (n->network.n_announced >= FRAME_SUBNETS_MAX ||
		    subnet_parse(
			    *argv,
			    &n->network.announced[n->network.n_announced++],
			    NULL, NULL) < 0)
			die(*argv);
	return argv + 1;
}

int main(int argc, char **argv)
{
	static struct near n;
	struct frame_hello hello = {.software = "packet_near"};

	if (argc < 8)
		return 2;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	n.loop = loop_new(LOOP_TIME_REAL);
	char **command = parse(&n, argv);
	int fd = spawn(command);
	await_ready(fd);
	open_tun(&n, argv[1]);
	for (uint32_t i = 0; i < QUEUES; i++)
		dgram_queue_init(&n.queues[i], 0);
	struct carrier *carrier = bond_carrier_new(n.loop, fd, fd, NULL, 0);
	n.session = carrier ? session_new(n.loop, SESSION_NEAR, carrier, &ops,
					  &n, &hello)
			    : NULL;
	if (!n.session)
		die("session");
	n.stdin_io = (struct loop_io){.fd = 0, .on_event = on_stdin, .ctx = &n};
	if (loop_io_add(n.loop, &n.stdin_io, EPOLLIN) < 0)
		die("stdin");
	n.tick.on_fire = on_tick;
	n.tick.ctx = &n;
	timer_arm(n.loop, &n.tick, 100000);
	(void)loop_run(n.loop);
	for (size_t i = 0; i < QUEUES; i++)
		dgram_queue_fini(&n.queues[i]);
	(void)session_free(n.session);
	(void)wait(NULL); /* ssh and what it ran have ended */
	return 0;
}
