/* SPDX-License-Identifier: MIT */
/* host_routes: the networks that this host has routes for. */
#ifndef ECSSH_HOST_ROUTES_H
#define ECSSH_HOST_ROUTES_H

#include "frame.h"

/*
 * Read the tables of /proc/net: each network once, IPv4 first, no more than
 * FRAME_ROUTES_MAX, the number of the others in n_more.  Left out are default
 * routes, those that refuse, and what is loopback, link-local or multicast.
 * What cannot be read is as if it were empty.
 */
void host_routes_read(struct frame_routes *ret_routes);

/* The same from other files in the format of /proc/net/route and ipv6_route. */
void host_routes_read_files(const char *route, const char *ipv6_route,
			    struct frame_routes *ret_routes);

#endif
