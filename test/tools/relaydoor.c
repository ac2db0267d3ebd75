/* SPDX-License-Identifier: MIT */
/*
 * relaydoor: the rungs direct and tun alone: a door, a session in memory, a
 * relay over channels of running sshs.
 *
 * usage: relaydoor DOOR TUN|- SOCKET...
 *
 * DOOR is where it listens for SOCKS and HTTP.  With TUN, a device of that
 * name is made, given 100.64.0.2, and what goes there goes through
 * a tun channel.  Every SOCKET is the control socket of an ssh; the next one
 * is taken when one is worn out.  Events are printed, one a line.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "mem_carrier.h"
#include "mux_link.h"
#include "proxy.h"
#include "relay.h"
#include "tun.h"
#include "vnet.h"

enum { PACKETS_PER_TURN = 64 };

struct relaydoor {
	struct loop *loop;
	char **sockets; /* the next one first */
	const char *tun_name;
	struct door_options door;
	struct mux_link *link;
	struct relay *relay;
	struct session *near;
	struct proxy *proxy;
	struct loop_io tun; /* fd -1: none */
	struct dgram_queue queue;
	uint8_t buf[PKT_VNET_LEN + PKT_IP_MAX];
};

static void say(const char *what, const char *text)
{
	(void)printf("%s %s\n", what, text);
	(void)fflush(stdout);
}

static void fail(const char *what, const char *text)
{
	(void)fprintf(stderr, "relaydoor: %s: %s\n", what, text);
	exit(1);
}

/* ---- the device ---- */

static void on_tun_event(void *ctx, uint32_t events)
{
	struct relaydoor *d = ctx;
	struct frame_packet p;

	(void)events;
	for (int i = 0; i < PACKETS_PER_TURN; i++) {
		ssize_t n = read(d->tun.fd, d->buf, sizeof(d->buf));

		if (n <= 0)
			return;
		if (vnet_parse(d->buf, (size_t)n, &p, NULL) == DROP_NONE)
			(void)session_send_packet(d->near, &d->queue, &p);
	}
}

static void on_packet(void *ctx, const struct frame_packet *p)
{
	struct relaydoor *d = ctx;

	if (d->tun.fd < 0 || vnet_check(p) != DROP_NONE)
		return;
	vnet_build(d->buf, p);
	memcpy(d->buf + PKT_VNET_LEN, p->ip, p->ip_len);
	(void)!write(d->tun.fd, d->buf, PKT_VNET_LEN + p->ip_len);
}

static void make_tun(struct relaydoor *d)
{
	char name[TUN_NAME_MAX], command[200];
	uint32_t offloads;
	struct err err;

	if (tun_open_control(&d->tun.fd, &err) < 0 ||
	    tun_create(d->tun.fd, d->tun_name,
		       TUN_OFFLOAD_CSUM | TUN_OFFLOAD_TSO, name, &offloads,
		       &err) < 0)
		fail(d->tun_name, err.text);
	(void)snprintf(command, sizeof(command),
		       "ip link set %s up mtu 1500 && "
		       "ip addr add 100.64.0.2/32 dev %s",
		       name, name);
	if (system(command) != 0)
		fail(name, "cannot be set up");
	d->tun.on_event = on_tun_event;
	d->tun.ctx = d;
	(void)loop_io_add(d->loop, &d->tun, EPOLLIN);
}

static void on_network_state(void *ctx, const struct frame_network_state *state)
{
	static const char *const names[] = {"", "up", "lacking", "lost"};
	struct relaydoor *d = ctx;

	if (state->status == FRAME_NETWORK_UP && d->tun.fd < 0)
		make_tun(d);
	say(names[state->status], state->text);
}

/* ---- the near session ---- */

static void on_up(void *ctx, const struct frame_hello *peer)
{
	struct relaydoor *d = ctx;
	struct frame_network n = {.mtu_bytes = 1500};
	struct err err;

	proxy_session_up(d->proxy, d->near, peer->capabilities);
	if (proxy_open_door(d->proxy, &d->door, &err) < 0)
		fail("door", err.text);
	if (d->tun_name) {
		(void)addr_parse("100.64.0.2", &n.near4);
		session_send_network(d->near, &n);
	}
	say("ready", "");
}

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *g)
{
	proxy_on_dgram(((struct relaydoor *)ctx)->proxy, id, g);
}

static void on_icmp_error(void *ctx, uint32_t id,
			  const struct frame_icmp_error *e)
{
	proxy_on_icmp_error(((struct relaydoor *)ctx)->proxy, id, e);
}

static void on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	proxy_on_assoc_close(((struct relaydoor *)ctx)->proxy, id, reason);
}

static void on_resolved(void *ctx, uint32_t id, enum frame_reason status,
			const uint8_t *answer, size_t len)
{
	proxy_on_resolved(((struct relaydoor *)ctx)->proxy, id, status, answer,
			  len);
}

static void on_near_down(void *ctx, const struct err *why)
{
	(void)ctx;
	fail("session", why->text);
}

static const struct session_ops session_ops = {
	.on_up = on_up,
	.on_dgram = on_dgram,
	.on_icmp_error = on_icmp_error,
	.on_assoc_close = on_assoc_close,
	.on_resolved = on_resolved,
	.on_packet = on_packet,
	.on_network_state = on_network_state,
	.on_down = on_near_down,
};

/* ---- the relay and its links ---- */

static void on_relay_down(void *ctx, const struct err *why)
{
	(void)ctx;
	say("down", why->text);
}

static void on_retired(void *ctx, struct mux_link *link)
{
	(void)ctx;
	(void)mux_link_free(link);
	say("retired", "");
}

static void connect_next(struct relaydoor *d);

static void on_worn(void *ctx)
{
	say("worn", "");
	connect_next(ctx);
}

static const struct relay_ops relay_ops = {
	.on_down = on_relay_down,
	.on_worn = on_worn,
};

static void start(struct relaydoor *d)
{
	struct relay_ssh_config config = {.link = d->link,
					  .has_forwarding = true,
					  .has_tun = d->tun_name != NULL,
					  .tun_unit = MUX_TUN_ANY};
	struct frame_hello hello = {.software = "relaydoor"};
	struct carrier *pair[2];

	if (mem_carrier_pair(d->loop, pair) < 0)
		fail("session", strerror(ENOMEM));
	d->near = session_new(d->loop, SESSION_NEAR, pair[0], &session_ops, d,
			      &hello);
	d->relay = relay_ssh_new(d->loop, pair[1], &config, &relay_ops, d);
	if (!d->near || !d->relay)
		fail("session", strerror(ENOMEM));
}

static void on_ready(void *ctx)
{
	struct relaydoor *d = ctx;

	if (!d->relay)
		start(d);
	else
		relay_ssh_renew(d->relay, d->link, on_retired);
}

static void on_link_closed(void *ctx, const struct err *why)
{
	(void)ctx;
	say("closed", why->text);
}

static const struct mux_link_ops link_ops = {
	.on_ready = on_ready,
	.on_closed = on_link_closed,
};

static void connect_next(struct relaydoor *d)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!*d->sockets)
		return;
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", *d->sockets++);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    fd_set_nonblock(fd) < 0)
		fail(at.sun_path, strerror(errno));
	if (mux_link_greet(fd) == 0)
		d->link = mux_link_new(d->loop, fd, &link_ops, d);
}

int main(int argc, char **argv)
{
	static struct relaydoor d = {.tun = {.fd = -1}};
	struct err err;

	if (argc < 4)
		fail("usage", "relaydoor DOOR TUN|- SOCKET...");
	if (door_options_parse(argv[1], &d.door, &err) < 0)
		fail(argv[1], err.text);
	d.tun_name = strcmp(argv[2], "-") == 0 ? NULL : argv[2];
	d.sockets = argv + 3;
	d.loop = loop_new(LOOP_TIME_REAL);
	d.proxy = d.loop ? proxy_new(d.loop) : NULL;
	if (!d.proxy)
		fail("memory", strerror(ENOMEM));
	dgram_queue_init(&d.queue, 0);
	connect_next(&d);
	return loop_run(d.loop) < 0;
}
