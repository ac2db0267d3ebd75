/* SPDX-License-Identifier: MIT */
/* tun_port: the TUN's descriptor between the kernel and the flow plane. */
#include "tun_port.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fd.h"
#include "pkt.h"

enum {
	/* Packets read in one turn of the loop: enough to acknowledge and send
	 * many together, few enough to let the other descriptors have their
	 * turn. */
	BATCH = 64,
	BUF_LEN = PKT_VNET_LEN + PKT_IP6_MAX,
};

struct tun_port {
	struct loop *loop;	 /* borrowed */
	struct flowplane *plane; /* borrowed; NULL: there is no session */
	uint64_t n_dropped;	 /* packets, for want of one */
	struct loop_io io;	 /* the fd is owned */
	void (*on_gone)(void *ctx);
	void *ctx; /* borrowed */
	uint8_t buf[BUF_LEN];
};

/* Down is not gone: EIO, and it may come up again. */
static void tun_port_on_error(struct tun_port *t, uint32_t events)
{
	if (errno == EAGAIN || errno == EINTR ||
	    (errno == EIO && !(events & EPOLLERR)))
		return;
	loop_io_del(t->loop, &t->io);
	t->on_gone(t->ctx);
}

/* hop up 1/11: a buffer with a virtio header, maybe a 64 KiB super-segment */
static void tun_port_on_readable(void *ctx, uint32_t events)
{
	struct tun_port *t = ctx;

	for (int i = 0; i < BATCH; i++) {
		ssize_t n = read(t->io.fd, t->buf, sizeof(t->buf));

		if (n <= 0) {
			tun_port_on_error(t, events);
			return;
		}
		if (t->plane)
			(void)flowplane_on_packet(t->plane, t->buf, (size_t)n);
		else
			t->n_dropped++;
	}
}

struct tun_port *tun_port_new(struct loop *loop, int fd, struct flowplane *p,
			      void (*on_gone)(void *ctx), void *ctx)
{
	struct tun_port *t = malloc(sizeof(*t));

	if (!t) {
		fd_close(&fd);
		return NULL;
	}
	t->loop = loop;
	t->plane = p;
	t->n_dropped = 0;
	t->on_gone = on_gone;
	t->ctx = ctx;
	t->io = (struct loop_io){
		.fd = fd, .on_event = tun_port_on_readable, .ctx = t};
	int r = loop_io_add(loop, &t->io, EPOLLIN);
	if (r < 0) {
		fd_close(&t->io.fd);
		free(t);
		errno = -r;
		return NULL;
	}
	return t;
}

void tun_port_set_plane(struct tun_port *t, struct flowplane *p)
{
	t->plane = p;
}

uint64_t tun_port_n_dropped(const struct tun_port *t)
{
	return t->n_dropped;
}

struct tun_port *tun_port_free(struct tun_port *t)
{
	if (!t)
		return NULL;
	loop_io_del(t->loop, &t->io);
	fd_close(&t->io.fd);
	free(t);
	return NULL;
}

/* hop down 9/9: one system call a packet, super-segments whole */
int tun_port_write(struct tun_port *t, const struct iovec *iov, int n)
{
	return writev(t->io.fd, iov, n) < 0 ? -errno : 0;
}
