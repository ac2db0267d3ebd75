/* SPDX-License-Identifier: MIT */
/* tun_out: packets of the packet plane, between the session and a device. */
#ifndef ECSSH_TUN_OUT_H
#define ECSSH_TUN_OUT_H

#include <stdint.h>

#include "err.h"
#include "loop.h"
#include "packet_queues.h"
#include "session.h"

enum {
	TUN_OUT_READS_MAX = 64, /* super-packets in one turn of the loop */
	TUN_OUT_NETS_MAX = 2 + FRAME_SUBNETS_MAX,
};

struct tun_out {
	struct loop *loop;	 /* borrowed */
	struct session *session; /* borrowed */
	struct loop_io io;	 /* fd: owned; -1: no device */
	unsigned policy;	 /* enum policy_flag */
	/* What is behind the near end. */
	struct subnet nets[TUN_OUT_NETS_MAX];
	size_t n_nets;
	struct packet_queues queues; /* while open */
	uint8_t *buf;		     /* owned */
	/* The device is gone; call tun_out_close then or later. */
	void (*on_lost)(void *ctx, const struct err *why);
	void *ctx; /* borrowed */
};

/* Nothing is open yet; loop, on_lost and ctx are set by the caller after it. */
void tun_out_init(struct tun_out *t);

/*
 * Begin with a device: fd is non-blocking, each packet behind a virtio header
 * of 10 bytes, and is owned from now on, even if this fails.  What the near end
 * has asked for says which addresses are its own.  Returns 0 or -errno.
 */
int tun_out_open(struct tun_out *t, struct session *session, int fd,
		 const struct frame_network *network);

/* Close the device and forget what waits; the session must still be there.
 * Does nothing if none is open. */
void tun_out_close(struct tun_out *t);

/* A packet of the near end: write it, or drop and count it. */
void tun_out_on_packet(struct tun_out *t, const struct frame_packet *p);

#endif
