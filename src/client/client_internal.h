/* SPDX-License-Identifier: MIT */
/* client_internal: the engine's state, shared by the files of client/. */
#ifndef ECSSH_CLIENT_INTERNAL_H
#define ECSSH_CLIENT_INTERNAL_H

#include "broker_client.h"
#include "client.h"
#include "ctl_server.h"
#include "flowplane.h"
#include "loop.h"
#include "sig.h"
#include "ssh_stdio.h"
#include "tun_port.h"

/*
 * CONNECTING  ssh is started; nothing on this machine has changed yet.
 * CONNECTED   device, addresses and routes are there.
 * ENDING      ssh's last words are awaited, for at most ENDING_US.
 * DOWN        everything is undone; the loop is about to stop.
 */
enum client_state {
	CLIENT_CONNECTING,
	CLIENT_CONNECTED,
	CLIENT_ENDING,
	CLIENT_DOWN,
};

struct client {
	const struct client_config *config; /* borrowed */
	enum client_state state;
	int exit_code;
	struct loop *loop; /* owned, as all below */
	struct broker_client *broker;
	struct loop_io broker_io;
	bool is_broker_dead;
	struct ctl_server *ctl;
	struct sig sig;
	struct ssh_config *ssh_config;
	struct ssh_stdio *ssh;
	struct flowplane *plane;
	struct tun_port *tun;
	struct timer ending;
	struct loop_task stop; /* teardown, once nothing is on the stack */
	struct err why;	       /* of the end */
	bool has_said_why;
	/* for status */
	mono_us_t started_us;
	int64_t since_s;
	enum boot_origin helper_origin;
	char helper_version[32];
	struct frame_hello peer;
	struct broker_tun device;	   /* its fd is the tun port's */
	struct ip_addr address4, address6; /* in use; version 0: none */
	struct subnet *routes;		   /* owned */
	size_t n_routes;
};

/* network.c: device, addresses and routes.  Returns 0 or -errno with err. */
int network_up(struct client *c, struct err *err);

/* client.c: the device was deleted.  ctx: the client. */
void client_on_tun_gone(void *ctx);

/* status.c */
void status_print(const struct client *c, enum ctl_status kind, FILE *out);

/* A sentence about the i-th thing that this gateway cannot carry, or NULL. */
const char *status_missing(const struct client *c, int i);

/* The subnets of the user as "a, b, c", cut off if there are many. */
const char *status_subnets(const struct client *c, char *out, size_t cap);

#endif
