/* SPDX-License-Identifier: MIT */
/*
 * tun_out: packets of the packet plane, between the session and a device.
 *
 * Theory of operation
 *   Packets are checked both ways, whole and by their addresses: the near end
 *   sends from what is its own, and gets what is for that.  Those that are to
 *   be sent to it wait in queues, one for each flow; the session serves queues
 *   in turn, so that one flow that fills the line starves no other.  A queue
 *   that stands loses packets or has them marked, which is what tells the flow
 *   to be slower.
 *
 * Spec: doc/PROTOCOL.session section 7
 */
#include "tun_out.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fd.h"
#include "policy.h"
#include "vnet.h"

enum { BUF_BYTES = PKT_VNET_LEN + PKT_IP6_MAX };

void tun_out_init(struct tun_out *t)
{
	*t = (struct tun_out){.io.fd = -1};
}

static bool is_near(const struct tun_out *t, const struct ip_addr *a)
{
	for (size_t i = 0; i < t->n_nets; i++)
		if (subnet_contains(&t->nets[i], a))
			return true;
	return false;
}

/* ---- device to session ---- */

static enum drop_reason send_down(struct tun_out *t, size_t len)
{
	struct frame_packet p;
	struct pkt pkt;
	enum drop_reason reason = vnet_parse(t->buf, len, &p, &pkt);

	if (reason != DROP_NONE)
		return reason;
	if (!is_near(t, &pkt.dst))
		return DROP_BAD_DESTINATION;
	return session_send_packet(t->session,
				   packet_queues_of(&t->queues, &pkt), &p);
}

static void lose(struct tun_out *t, int errnum)
{
	struct err why;

	loop_io_del(t->loop, &t->io);
	(void)err_set(&why, -errnum,
		      "the TUN device of the far host has been deleted");
	t->on_lost(t->ctx, &why);
}

static void on_device(void *ctx, uint32_t events)
{
	struct tun_out *t = ctx;

	(void)events;
	for (int i = 0; i < TUN_OUT_READS_MAX; i++) {
		ssize_t n = read(t->io.fd, t->buf, BUF_BYTES);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			lose(t, n < 0 ? errno : ENODEV);
			return;
		}
		enum drop_reason reason = send_down(t, (size_t)n);
		if (reason != DROP_NONE)
			session_count_drop(t->session, reason);
	}
}

/* ---- session to device ---- */

static enum drop_reason write_up(struct tun_out *t,
				 const struct frame_packet *p)
{
	uint8_t header[PKT_VNET_LEN];
	struct pkt pkt;
	enum drop_reason reason = vnet_view(p, &pkt);

	if (reason != DROP_NONE)
		return reason;
	if (!is_near(t, &pkt.src))
		return DROP_BAD_SOURCE;
	if (!policy_allows(t->policy, &pkt.dst))
		return DROP_POLICY;
	vnet_build(header, p);
	struct iovec iov[] = {
		{.iov_base = header, .iov_len = sizeof(header)},
		{.iov_base = (void *)(uintptr_t)p->ip, .iov_len = p->ip_len},
	};
	return writev(t->io.fd, iov, 2) < 0 ? DROP_TUN_WRITE : DROP_NONE;
}

void tun_out_on_packet(struct tun_out *t, const struct frame_packet *p)
{
	enum drop_reason reason =
		t->io.fd >= 0 ? write_up(t, p) : DROP_NO_SESSION;

	if (reason != DROP_NONE)
		session_count_drop(t->session, reason);
}

/* ---- life ---- */

static void take_nets(struct tun_out *t, const struct frame_network *network)
{
	t->n_nets = 0;
	if (network->near4.version)
		t->nets[t->n_nets++] = subnet_of_addr(&network->near4);
	if (network->near6.version)
		t->nets[t->n_nets++] = subnet_of_addr(&network->near6);
	for (size_t i = 0; i < network->n_announced; i++)
		t->nets[t->n_nets++] = network->announced[i];
}

int tun_out_open(struct tun_out *t, struct session *session, int fd,
		 const struct frame_network *network)
{
	t->session = session;
	t->io.fd = fd;
	t->io.on_event = on_device;
	t->io.ctx = t;
	take_nets(t, network);
	t->buf = malloc(BUF_BYTES);
	packet_queues_init(&t->queues, t->loop, 0);
	int r = getrandom(&t->queues.seed, sizeof(t->queues.seed), 0) < 0
			? -errno
			: 0;
	if (r == 0)
		r = t->buf ? loop_io_add(t->loop, &t->io, EPOLLIN) : -ENOMEM;
	if (r < 0)
		tun_out_close(t);
	return r;
}

void tun_out_close(struct tun_out *t)
{
	if (t->io.fd < 0)
		return;
	loop_io_del(t->loop, &t->io);
	fd_close(&t->io.fd);
	packet_queues_fini(&t->queues);
	free(t->buf);
	t->buf = NULL;
}
