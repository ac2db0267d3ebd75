/* SPDX-License-Identifier: MIT */
/* client_internal: the engine's state, shared by the files of client/. */
#ifndef ECSSH_CLIENT_INTERNAL_H
#define ECSSH_CLIENT_INTERNAL_H

#include <limits.h>

#include "broker_client.h"
#include "busy.h"
#include "channels.h"
#include "client.h"
#include "connections.h"
#include "ctl_server.h"
#include "exempt.h"
#include "flowplane.h"
#include "forwards.h"
#include "hook.h"
#include "host_dns.h"
#include "kill_switch.h"
#include "lan_watch.h"
#include "links.h"
#include "loop.h"
#include "mux_sock.h"
#include "notify.h"
#include "plan.h"
#include "reconnect.h"
#include "relay.h"
#include "roam.h"
#include "sig.h"
#include "ssh_jump.h"
#include "ssh_socket.h"
#include "ssh_stdio.h"
#include "starter.h"
#include "stub.h"
#include "tun_port.h"

/*
 * CONNECTING  ssh is started; nothing on this machine has changed yet.
 * CONNECTED   device, addresses and routes are there.
 * ENDING      ssh's last words are awaited, for at most ENDING_US.
 * RECONNECTING  device, addresses and routes are there, and no session; the
 *             next attempt is under way or awaited, see reconnect.c.
 * DOWN        everything is undone; the loop is about to stop.
 */
enum client_state {
	CLIENT_CONNECTING,
	CLIENT_CONNECTED,
	CLIENT_ENDING,
	CLIENT_RECONNECTING,
	CLIENT_DOWN,
};

/* How the far end is reached. */
enum way {
	WAY_HELPER,   /* a helper there, by ssh's stdio */
	WAY_CHANNELS, /* a relay here, by channels of ssh */
	WAY_VIA,      /* a relay here, by somebody's SOCKS5 server */
};

/* Channels that have flows left, but take no new ones. */
struct worn {
	struct channels *channels; /* owned; NULL: this is free */
	bool is_empty;		   /* and can go */
};

enum { CLIENT_WORN_MAX = 8 };

struct client {
	const struct client_config *config; /* borrowed */
	enum client_state state;
	int exit_code;
	struct loop *loop; /* owned, as all below */
	struct broker_client *broker;
	struct loop_io broker_io;
	bool is_broker_dead;
	struct ctl_server *ctl;
	struct notify notify;
	struct sig sig;
	struct ssh_config *ssh_config;
	struct ssh_jump *jump;	 /* owned; NULL: none that we lead ssh by */
	struct starter *starter; /* owned */
	bool skips_helper;	 /* there is none for this server */
	struct helper_file helper;
	const char *helper_args[2];
	char dial_path[PATH_MAX]; /* of ecssh-dial; "": not found */
	uint32_t ssh_flags;	  /* enum ssh_start_flag */
	struct dialer_pins pins;  /* see way_pin */
	struct port_range ports;  /* of our own; zeros: any */
	enum way way;
	struct ssh_stdio *ssh;		 /* WAY_HELPER, as the next three */
	struct mux_sock *sock;		 /* its control socket */
	struct carrier *carrier;	 /* borrowed: the session's */
	struct links *links;		 /* further channels */
	struct connections *connections; /* further ones of ssh */
	struct err no_connections;	 /* why there are none at all */
	struct forwards *forwards;
	struct channels *channels; /* WAY_CHANNELS */
	struct channels *fresh;	   /* is to take over from them */
	struct ssh_socket socket;  /* beneath the ssh that is in use */
	struct busy busy;	   /* looks at it while bytes move */
	struct worn worn[CLIENT_WORN_MAX];
	struct channels *listening; /* borrowed: of which forwards were asked */
	struct timer probe_timer;
	unsigned n_renewals_failed;
	struct timer renewal;	   /* when the last attempt at that failed */
	struct mux_channel *probe; /* finds out about forwarding; borrowed */
	struct relay *relay;	   /* unless WAY_HELPER */
	struct loop_task go_on;	   /* to the next way or step, once nothing is
				      on the stack */
	struct loop_task retire;   /* frees what is worn */
	struct flowplane *plane;
	struct proxy *proxy; /* the doors */
	struct tun_port *tun;
	struct exempt exempt;
	/* The SSH connection that we were started by; port 0: none. */
	struct endpoint admin_local, admin_remote;
	bool has_been_up; /* CONNECTED at least once */
	struct reconnect reconnect;
	struct roam roam;
	struct hook *hook; /* NULL: no script */
	struct hook_plan hook_plan;
	const char *hook_domains[CLIENT_DOMAINS_MAX]; /* of hook_plan */
	struct hook_facts hook_facts; /* that the script was told last */
	bool is_saying_goodbye;	      /* the script runs, and then c->stop */
	struct kill_switch kill;
	struct timer ending;
	struct timer confirm;  /* armed: waits for that word */
	bool is_confirmed;     /* it was said */
	struct loop_task stop; /* teardown, once nothing is on the stack */
	struct err why;	       /* of the end */
	bool has_said_why;
	/* What is known of the rungs, and the sentences it borrows. */
	struct rung_facts facts;
	char why_not[RUNG_FACT__N][sizeof(((struct err *)NULL)->text)];
	/* The packet plane. */
	struct timer network_timer;	    /* armed: its state is waited for */
	struct frame_network_state network; /* status 0: none was told */
	/* for status */
	mono_us_t started_us;
	int64_t since_s;
	enum boot_origin helper_origin;
	char helper_version[32];
	struct frame_hello peer;
	unsigned sandbox; /* parts that are in force: enum sandbox_part */
	bool is_confined; /* by what parts there are */
	int null_fd;	  /* owned; -1: the terminal stays ours */
	struct broker_tun device;	   /* its fd is the tun port's */
	struct ip_addr address4, address6; /* in use; version 0: none */
	struct subnet *asked; /* owned: the user's, and what the gateway told */
	size_t n_asked;
	bool has_told;		 /* of --auto-nets */
	struct timer told_timer; /* armed: that is waited for */
	struct plan plan;	 /* its routes are made */
	struct lan_watch lan_watch;
	struct host_dns dns;
	bool has_ipv6; /* this host has, and has not switched it off */
	struct stub stub;
};

/* ---- client.c ---- */

/* The tunnel ends; the first reason counts. */
void client_end(struct client *c, int exit_code, const struct err *why);

/* The way to the far end has failed, which ends the tunnel unless it is to be
 * made again. */
void client_failed(struct client *c, int exit_code, const struct err *why);

/* The connection is lost; exit_code of ssh, or 0. */
void client_lost(struct client *c, int exit_code, const struct err *why);

/* What is to be routed is known. */
void client_on_shape_known(struct client *c);

/* A session can begin over this carrier, owned from now on. */
void client_attach(struct client *c, struct carrier *carrier);

/* What comes after each run of the user's script as the tunnel comes. */
void client_make_tunnel(struct client *c);
void client_is_up(struct client *c);

/* Tell the service manager where the tunnel leads. */
void client_notify_connected(struct client *c);

/* The device was deleted.  ctx: the client. */
void client_on_tun_gone(void *ctx);

/* ---- way.c: how the far end is reached ---- */

/* As the user, before anything from outside is read: fork what starts ssh.
 * Returns as way_start. */
int way_prepare(struct client *c, struct err *err);

/* Start on the first way that the mode allows.  Returns 0 or -errno with err;
 * -EIO: ssh does not start. */
int way_start(struct client *c, struct err *err);

/* Addresses that what carries us talks to.  Returns their number, 0 or less if
 * it is not known. */
int way_peers(const struct client *c, struct ip_addr *ret_peers, int max);

/* What ssh_config makes of whom the first connection of ssh goes to: the jump
 * host by which we lead it, or the server, to which others may lead it. */
const struct ssh_config *way_config(const struct client *c);

/* The ssh that carries us; 0: none. */
pid_t way_pid(const struct client *c);

/* Have ssh connect to one of these, whatever its name leads to, from one of
 * these ports (NULL or zeros: from any).  Returns 0, also if that was said
 * before, or -errno with err: -EOPNOTSUPP: ssh's configuration connects in
 * another way. */
int way_pin(struct client *c, const struct endpoint *to, size_t n,
	    const struct port_range *from, struct err *err);

/* The rung that is in use. */
enum rung way_rung(const struct client *c);

/* A fact about the rungs, with a sentence where it is not there. */
void way_note(struct client *c, enum rung_fact fact, bool is_so,
	      const char *why);

/* The tunnel is up; the session has ended. */
void way_on_connected(struct client *c);
void way_on_session_down(struct client *c);

/* Before the session ends: nothing new is begun. */
void way_stop(struct client *c);

/* Once plane and session are gone. */
void way_free(struct client *c);

/* ---- network.c: device, addresses and routes ---- */

/* Choose addresses and routes; nothing is changed yet.  Returns 0 or -errno
 * with err, as the next. */
int network_plan(struct client *c, struct err *err);
int network_up(struct client *c, struct err *err);

/* Tell the plane what is ours, and ask the far end for its packet plane.
 * Returns 0 or -ENOMEM. */
int network_request(struct client *c);

/* status.c */
void status_print(const struct client *c, enum ctl_status kind, FILE *out);

/* The gateway's name for people. */
const char *status_gateway(const struct client *c);

/* A sentence about the i-th thing that this gateway cannot carry, or NULL. */
const char *status_missing(const struct client *c, int i);

/* Of these only what the rung has elsewhere. */
const char *status_missing_here(const struct client *c, int i);

/* The subnets of the user as "a, b, c", cut off if there are many. */
const char *status_subnets(const struct client *c, char *out, size_t cap);

#endif
