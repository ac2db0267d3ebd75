/* SPDX-License-Identifier: MIT */
/*
 * tun: making the network device whose packets are ours to read and write.
 *
 * Set-up only.  Each read and write on the descriptor is one packet behind a
 * virtio header of TUN_VNET_HDR_BYTES in host byte order.
 */
#ifndef ECSSH_TUN_H
#define ECSSH_TUN_H

#include <stdint.h>

#include "err.h"

enum {
	TUN_NAME_MAX = 16, /* with its NUL */
	TUN_VNET_HDR_BYTES = 10,
};

/* What the kernel may leave undone in packets that we read. */
enum tun_offload {
	TUN_OFFLOAD_CSUM = 1 << 0, /* transport checksums */
	TUN_OFFLOAD_TSO = 1 << 1,  /* cutting TCP, IPv4 and IPv6 */
	TUN_OFFLOAD_USO = 1 << 2,  /* cutting UDP, IPv4 and IPv6; Linux 6.2 */
	TUN_OFFLOAD_ALL = (1 << 3) - 1,
};

/*
 * Open the control device.  Needs no privilege beyond the permission of
 * /dev/net/tun.  The device made of it will live in the network namespace of
 * this moment.  Returns 0, or -errno with err: -ENODEV: this kernel or
 * container has no TUN; -EACCES, -EPERM.
 */
int tun_open_control(int *ret_fd, struct err *err);

/*
 * Turn the descriptor of tun_open_control into a device (needs CAP_NET_ADMIN)
 * and make it non-blocking.  A "%d" in the name is replaced by the first free
 * number.  Of the offloads wanted (enum tun_offload) those the kernel has are
 * switched on.  The device is down and disappears when the last descriptor of
 * it is closed.  Returns 0, or -errno with err (-EEXIST: the name is taken);
 * after a failure the descriptor is good for another try, unless the failure
 * came after the device was made.
 */
int tun_create(int fd, const char *name, uint32_t want_offloads,
	       char ret_name[TUN_NAME_MAX], uint32_t *ret_offloads,
	       struct err *err);

/*
 * Turn the descriptor into one of a device that is there, made by somebody for
 * our user, and make it non-blocking.  Returns 0, or -errno with err: -EBUSY:
 * somebody uses it; -EOPNOTSUPP: not with a virtio header.
 */
int tun_attach(int fd, const char *name, uint32_t want_offloads,
	       struct err *err);

#endif
