/* SPDX-License-Identifier: MIT */
/* tun_port: the TUN's descriptor between the kernel and the flow plane. */
#ifndef ECSSH_TUN_PORT_H
#define ECSSH_TUN_PORT_H

#include <stdint.h>
#include <sys/uio.h>

#include "flowplane.h"
#include "loop.h"

struct tun_port;

/*
 * Read packets from fd (owned from now on, non-blocking) into the plane.
 * on_gone is called once if the device has disappeared.  Returns NULL with
 * errno set.
 */
struct tun_port *tun_port_new(struct loop *loop, int fd, struct flowplane *p,
			      void (*on_gone)(void *ctx), void *ctx);

/* Read into another plane from now on; NULL: what comes is dropped. */
void tun_port_set_plane(struct tun_port *t, struct flowplane *p);

/* How many packets came while there was none. */
uint64_t tun_port_n_dropped(const struct tun_port *t);

/* Accepts NULL; returns NULL. */
struct tun_port *tun_port_free(struct tun_port *t);

/* Write one packet behind its virtio header.  Returns 0 or -errno. */
int tun_port_write(struct tun_port *t, const struct iovec *iov, int n);

#endif
