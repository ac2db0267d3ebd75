/* SPDX-License-Identifier: MIT */
/* auto_nets: the networks that the gateway reaches, asked for before the tunnel
 * gets its shape. */
#ifndef ECSSH_AUTO_NETS_H
#define ECSSH_AUTO_NETS_H

#include <stdbool.h>

struct client;
struct frame_routes;

/*
 * The session is up.  Returns true if the gateway is asked now:
 * client_on_shape_known is called once it has answered, or client_end.  False:
 * nobody wants that, or it is known.
 */
bool auto_nets_ask(struct client *c);

/* Its answer; one that nobody waits for is ignored. */
void auto_nets_on_routes(struct client *c, const struct frame_routes *routes);

/* The tunnel ends, or the session. */
void auto_nets_stop(struct client *c);

#endif
