/* SPDX-License-Identifier: MIT */
/*
 * dev: a network device and its routes by ioctl(2), for programs that have no
 * netlink library.  All return 0, or -errno with err.
 */
#ifndef ECSSH_DEV_H
#define ECSSH_DEV_H

#include <stdint.h>

#include "addr.h"
#include "err.h"

/* MTU, queue length, no multicast, no IPv6 address of the kernel's choice. */
int dev_configure(const char *name, uint32_t mtu_bytes, uint32_t txqueuelen,
		  struct err *err);
int dev_up(const char *name, struct err *err);

/* By index, so that nothing else that took the name over is hit. */
int dev_del(uint32_t ifindex, struct err *err);

/* 0 if no route but a default one overlaps the subnet; else -EEXIST with err:
 * what this host sends there is not for others to take. */
int dev_route_is_free(const struct subnet *dst, struct err *err);

/*
 * A route of the main table straight to the device.  -EEXIST: the subnet is
 * routed already; -EPERM: it overlaps a subnet that this host is connected to:
 * nobody behind the device may stand in for its neighbours.
 */
int dev_route_add(const char *name, const struct subnet *dst, struct err *err);
int dev_route_del(const char *name, const struct subnet *dst, struct err *err);

#endif
