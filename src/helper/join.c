/* SPDX-License-Identifier: MIT */
/*
 * join: see join.h.
 *
 * Theory of operation
 *   ASK has the process outside make a directory, a socket in it and a token,
 *   unless they are there, and tells of them.  Each connection is a guest until
 * it has shown the token; then its descriptor is a link's and none of our
 * business.  The socket goes away when nobody has asked or joined for a while:
 * what is not there cannot be left behind.
 */
#include "join.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bond_carrier.h"
#include "fd.h"
#include "log.h"
#include "outside.h"
#include "sandbox.h"

enum {
	IDLE_US = 60000000,
	GUEST_US = 10000000,
	GUESTS_MAX = 16,
	BRIDGE_BYTES = 128 << 10,
};

/* A connection that has not shown the token. */
struct guest {
	struct join *join;
	struct list link;
	struct loop_io io;
	struct timer timeout;
	uint8_t said[BOND_JOIN_LEN];
	size_t said_len;
};

struct join {
	struct loop *loop;	 /* borrowed */
	struct carrier *carrier; /* borrowed */
	struct outside *outside; /* borrowed */
	struct loop_io listener; /* fd -1: there is no socket */
	struct timer idle;
	struct list guests; /* owned */
	unsigned n_guests;
	struct bond_offer offer;
};

/* ---- guests ---- */

static void dismiss(struct guest *g)
{
	loop_io_del(g->join->loop, &g->io);
	timer_disarm(g->join->loop, &g->timeout);
	fd_close(&g->io.fd);
	list_del(&g->link);
	g->join->n_guests--;
	free(g);
}

static void on_guest_timeout(void *ctx)
{
	dismiss(ctx);
}

/* In a time that does not tell where they differ. */
static bool is_same(const uint8_t *a, const uint8_t *b, size_t len)
{
	volatile uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= a[i] ^ b[i];
	return diff == 0;
}

static void welcome(struct guest *g)
{
	struct join *j = g->join;
	uint8_t want[BOND_JOIN_LEN];
	uint32_t number = bond_join_number(g->said);
	size_t len = bond_build_join(want, BOND_JOIN, number, j->offer.token);
	int fd = -1;

	if (is_same(want, g->said, len)) {
		loop_io_del(j->loop, &g->io);
		fd = fd_take(&g->io.fd);
	}
	dismiss(g);
	if (fd < 0)
		return;
	int r = bond_carrier_add_fd(j->carrier, fd, number, j->offer.token);
	if (r < 0)
		log_debug("a link cannot be added: %s", strerror(-r));
	else
		timer_arm(j->loop, &j->idle, IDLE_US);
}

static void on_guest(void *ctx, uint32_t events)
{
	struct guest *g = ctx;
	ssize_t n = read(g->io.fd, g->said + g->said_len,
			 sizeof(g->said) - g->said_len);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		dismiss(g);
		return;
	}
	g->said_len += (size_t)n;
	if (g->said_len == sizeof(g->said))
		welcome(g);
}

static void close_socket(struct join *j)
{
	struct list *at;

	while ((at = list_pop(&j->guests)))
		dismiss(container_of(at, struct guest, link));
	timer_disarm(j->loop, &j->idle);
	if (j->listener.fd >= 0) {
		loop_io_del(j->loop, &j->listener);
		(void)outside_ask(j->outside, OUTSIDE_UNLISTEN, NULL, NULL);
	}
	fd_close(&j->listener.fd);
	explicit_bzero(&j->offer, sizeof(j->offer));
}

static void on_connection(void *ctx, uint32_t events)
{
	struct join *j = ctx;
	int fd = accept4(j->listener.fd, NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct guest *g;

	(void)events;
	if (fd < 0) {
		/* Without descriptors it would be readable for ever. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			close_socket(j);
		return;
	}
	g = j->n_guests < GUESTS_MAX ? calloc(1, sizeof(*g)) : NULL;
	if (!g) {
		fd_close(&fd);
		return;
	}
	g->join = j;
	g->io = (struct loop_io){.fd = fd, .on_event = on_guest, .ctx = g};
	g->timeout = (struct timer){.on_fire = on_guest_timeout, .ctx = g};
	list_push(&j->guests, &g->link);
	j->n_guests++;
	timer_arm(j->loop, &g->timeout, GUEST_US);
	if (loop_io_add(j->loop, &g->io, EPOLLIN) < 0)
		dismiss(g);
}

/* ---- the socket ---- */

static void on_idle(void *ctx)
{
	close_socket(ctx);
}

static int open_socket(struct join *j)
{
	int fd = outside_ask(j->outside, OUTSIDE_LISTEN, NULL, &j->offer);

	if (fd < 0)
		return fd;
	j->listener.fd = fd;
	int r = loop_io_add(j->loop, &j->listener, EPOLLIN);
	if (r < 0)
		close_socket(j);
	return r;
}

static void on_ask(void *ctx, bool wants_numbers)
{
	struct join *j = ctx;
	int r = j->listener.fd >= 0 ? 0 : open_socket(j);

	if (r < 0) {
		log_debug("no socket for further links: %s", strerror(-r));
		return;
	}
	timer_arm(j->loop, &j->idle, IDLE_US);
	j->offer.has_numbers = wants_numbers;
	bond_carrier_offer(j->carrier, &j->offer);
}

static const struct bond_ops bond_ops = {.on_ask = on_ask};

/* ---- life ---- */

struct join *join_new(struct loop *loop, struct carrier *carrier,
		      struct outside *outside)
{
	struct join *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->loop = loop;
	j->carrier = carrier;
	j->outside = outside;
	j->listener =
		(struct loop_io){.fd = -1, .on_event = on_connection, .ctx = j};
	j->idle = (struct timer){.on_fire = on_idle, .ctx = j};
	list_init(&j->guests);
	bond_carrier_set_ops(carrier, &bond_ops, j);
	return j;
}

struct join *join_free(struct join *j)
{
	if (!j)
		return NULL;
	bond_carrier_set_ops(j->carrier, NULL, NULL);
	close_socket(j);
	free(j);
	return NULL;
}

/* ---- the bridge ---- */

/* Move what there is.  Returns 0 at the end of it. */
static ssize_t pass_on(int from, int to, uint8_t *buf)
{
	ssize_t n = read(from, buf, BRIDGE_BYTES);

	if (n < 0 && errno == EINTR)
		return 1;
	if (n > 0 && fd_write_all(to, buf, (size_t)n) < 0)
		return 0;
	return n;
}

/* One direction a process: neither waits for the other. */
static void bridge_forever(int from, int to)
{
	uint8_t *buf = malloc(BRIDGE_BYTES);
	unsigned parts;

	if (sandbox_enter(&sandbox_helper, NULL, 0, &parts, NULL) < 0)
		_exit(1);
	while (buf && pass_on(from, to, buf) > 0)
		continue;
	free(buf);
}

static void on_half_gone(int signo)
{
	(void)signo;
	_exit(0);
}

int join_bridge(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	CLEANUP_FD int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!bond_path_is_valid(path))
		return -EINVAL;
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (s < 0 || connect(s, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	/* Neither is of use without the other, and half a link is a trap. */
	(void)signal(SIGCHLD, on_half_gone);
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		bridge_forever(STDIN_FILENO, s);
		(void)shutdown(s, SHUT_RDWR);
		_exit(0);
	}
	/* The other half ends with us. */
	bridge_forever(s, STDOUT_FILENO);
	return 0;
}
