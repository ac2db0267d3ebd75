/* SPDX-License-Identifier: MIT */
/* own_tun: a TUN device that the administrator made for this account. */
#ifndef ECSSH_HELPER_OWN_TUN_H
#define ECSSH_HELPER_OWN_TUN_H

#include <stdint.h>

#include "err.h"
#include "frame.h"

struct own_tun {
	int fd; /* as tun_out_open wants it; the caller's to close */
	uint16_t mtu_bytes;
	char text[FRAME_TEXT_MAX]; /* whose it is, and what else is to do */
};

/*
 * Attach to the first persistent TUN device whose owner we are and that is
 * free.  Returns 0, or -errno with err: -ENOENT: there is none; -ENETDOWN: it
 * is down, err has the commands that change that.
 */
int own_tun_open(const struct frame_network *network, struct own_tun *ret,
		 struct err *err);

#endif
