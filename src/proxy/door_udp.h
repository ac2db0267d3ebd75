/* SPDX-License-Identifier: MIT */
/* door_udp: an association of SOCKS 5: datagrams of one client. */
#ifndef ECSSH_DOOR_UDP_H
#define ECSSH_DOOR_UDP_H

#include <stdint.h>

#include "session.h"

struct door;
struct door_leg; /* an association of the session: one for each family */
struct door_udp;
struct proxy;

/*
 * Open a socket beside that of a TCP connection, for its client only.
 * client_port: as the request named it, 0: not known yet.  Returns 0 with the
 * endpoint the client is to send to; -EAFNOSUPPORT: the connection is not TCP;
 * -ENOBUFS: too many; or -errno.
 */
int door_udp_new(struct door *d, int tcp_fd, uint16_t client_port,
		 struct door_udp **ret_udp, struct endpoint *ret_bound);

/* The session must still be there.  Accepts NULL; returns NULL. */
struct door_udp *door_udp_free(struct door_udp *u);

/* NULL: there is none with this id now. */
struct door_leg *door_udp_find(struct proxy *p, uint32_t id);
void door_udp_on_dgram(struct door_leg *l, const struct frame_dgram *d);
/* The far end has closed it: the id is finished. */
void door_udp_on_close(struct door_leg *l);

#endif
