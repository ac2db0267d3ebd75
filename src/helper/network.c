/* SPDX-License-Identifier: MIT */
/*
 * network: how the helper comes by a device for the packet plane.
 *
 * Theory of operation
 *   Asking sudo and the broker takes its time, and more than the sandbox
 *   allows, so the process outside has a fork of its own do it (setup.h), which
 *   hands us the device and the socket of the broker, whose only user we are
 *   then.  When that socket closes, because we end or are killed, the broker
 *   undoes everything.
 */
#include "network.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "brokermsg.h"
#include "escape.h"
#include "fd.h"

enum { PATIENCE_US = 20000000 };

void network_init(struct network *n)
{
	*n = (struct network){.result.fd = -1, .broker.fd = -1};
}

void network_fini(struct network *n)
{
	if (!n->loop)
		return;
	busy_stop(&n->busy);
	timer_disarm(n->loop, &n->impatience);
	loop_io_del(n->loop, &n->result);
	loop_io_del(n->loop, &n->broker);
	fd_close(&n->result.fd);
	fd_close(&n->broker.fd);
}

/*
 * sshd's socket
 */

/* How the device was made, and how sshd sends. */
static const char *tell(const struct network *n, char out[FRAME_TEXT_MAX])
{
	(void)snprintf(out, FRAME_TEXT_MAX, "%.260s%s%s", n->made.text,
		       n->made.tuned[0] ? "; " : "", n->made.tuned);
	return out;
}

/* Have the broker look; its answer comes by itself.  One that cannot take a
 * request has an end to tell of. */
static void on_busy(void *ctx)
{
	struct network *n = ctx;
	struct brokermsg_head m = {.type = BROKERMSG_TUNE};

	(void)!send(n->broker.fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_tuned(struct network *n, const struct brokermsg_reply *reply)
{
	char tuned[SETUP_TUNED_MAX], text[FRAME_TEXT_MAX];

	if (reply->result < 0)
		busy_stop(&n->busy);
	setup_tell_tune(reply->result, reply->text, tuned);
	if (strcmp(tuned, n->made.tuned) == 0)
		return;
	memcpy(n->made.tuned, tuned, sizeof(tuned));
	far_network_tell(n->far, tell(n, text));
}

/*
 * The broker and its work
 */

/* The broker answers a TUNE, or says why it ends. */
static void on_broker(void *ctx, uint32_t events)
{
	struct network *n = ctx;
	struct brokermsg_reply reply;
	ssize_t len = recv(n->broker.fd, &reply, sizeof(reply), MSG_DONTWAIT);

	(void)events;
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	reply.text[sizeof(reply.text) - 1] = '\0';
	if (len == sizeof(reply) && reply.type == BROKERMSG_TUNE) {
		on_tuned(n, &reply);
		return;
	}
	busy_stop(&n->busy);
	loop_io_del(n->loop, &n->broker);
	fd_close(&n->broker.fd);
	if (len == sizeof(reply)) {
		far_network_down(n->far, reply.text);
	} else {
		far_network_down(n->far,
				 "the process that configured the far host "
				 "for packets has ended");
	}
}

static int watch_broker(struct network *n, int *sock)
{
	if (*sock < 0)
		return 0; /* a device that is simply ours */
	n->broker.fd = fd_take(sock);
	n->broker.on_event = on_broker;
	n->broker.ctx = n;
	return loop_io_add(n->loop, &n->broker, EPOLLIN);
}

static void on_result(void *ctx, uint32_t events)
{
	struct network *n = ctx;
	struct setup_result *made = &n->made;
	char text[FRAME_TEXT_MAX];
	int tun_fd CLEANUP_FD = -1;
	int broker_fd CLEANUP_FD = -1;
	int r = setup_receive(n->result.fd, made, &tun_fd, &broker_fd);

	(void)events;
	if (r == -EAGAIN)
		return;
	timer_disarm(n->loop, &n->impatience);
	loop_io_del(n->loop, &n->result);
	fd_close(&n->result.fd);
	if (r == 0 && made->error == 0)
		r = watch_broker(n, &broker_fd);
	if (r < 0)
		far_network_down(n->far, "the far host's set-up for packets "
					 "ended before it was done");
	else if (made->error < 0)
		far_network_down(n->far, made->text);
	else
		far_network_up(n->far, fd_take(&tun_fd), made->mtu_bytes,
			       tell(n, text));
	if (n->broker.fd >= 0 && made->may_tune)
		busy_start(&n->busy, n->loop, far_session(n->far), on_busy, n);
}

static void on_impatience(void *ctx)
{
	struct network *n = ctx;

	far_network_down(n->far,
			 "the far host's set-up for packets (sudo?) did not "
			 "come to an end within 20 seconds");
}

static int start_setup(struct network *n, const struct frame_network *network)
{
	int fd = outside_ask(n->outside, OUTSIDE_NETWORK, network, NULL);

	if (fd < 0)
		return fd;
	n->result.fd = fd;
	n->result.on_event = on_result;
	n->result.ctx = n;
	return loop_io_add(n->loop, &n->result, EPOLLIN);
}

static void on_start(void *ctx, const struct frame_network *network)
{
	struct network *n = ctx;
	int r = start_setup(n, network);

	if (r < 0) {
		far_network_down(n->far, strerror(-r));
		return;
	}
	n->impatience.on_fire = on_impatience;
	n->impatience.ctx = n;
	timer_arm(n->loop, &n->impatience, PATIENCE_US);
}

static void on_stop(void *ctx)
{
	network_fini(ctx);
}

const struct far_network_ops *network_ops(void)
{
	static const struct far_network_ops ops = {
		.start = on_start,
		.stop = on_stop,
	};

	return &ops;
}
