/* SPDX-License-Identifier: MIT */
/*
 * client: the near engine, from a command line to a tunnel and back.
 *
 * Theory of operation
 *   1. The broker is started while we still are who the user started: that may
 *      ask for a password.  Then, under sudo, we become the user for good.
 *   2. ssh is started, see way.c; prompts are the terminal's.
 *   3. Once the far end has greeted, and not before, this machine is changed:
 *      device, addresses, routes.  Where it matters the far end's packet plane
 *      is waited for first.
 *   4. The user's script, if there is one, is run before and after that, by a
 *      process that was forked off before step 2, as was the one that starts
 *      ssh.
 *   5. Any of these ends it: a signal, "ecssh down", the end of ssh, of the
 * session or of the broker.  Teardown runs from a posted task, never from
 * inside a callback.
 *
 * Ownership: struct client owns all parts; see client_internal.h.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client_internal.h"
#include "admin.h"
#include "auto_nets.h"
#include "broker_print.h"
#include "cleanup.h"
#include "confirm.h"
#include "escape.h"
#include "fd.h"
#include "invoker.h"
#include "log.h"
#include "own_broker.h"
#include "script.h"
#include "text.h"

enum {
	ENDING_US = 1500000,
	NETWORK_TIMEOUT_S = 20,
};

/* ---- the end ---- */

/* The first reason counts. */
void client_end(struct client *c, int exit_code, const struct err *why)
{
	if (!c->has_said_why) {
		c->has_said_why = true;
		c->exit_code = exit_code;
		c->why = *why;
		notify_stopping(&c->notify);
		notify_status(&c->notify, "%s",
			      why->text[0] ? why->text : "ended by request");
	}
	if (script_say_goodbye(c))
		reconnect_stop(c); /* not while that takes its time */
	else
		loop_post(c->loop, &c->stop);
}

void client_failed(struct client *c, int exit_code, const struct err *why)
{
	if (!reconnect_takes(c, why))
		client_end(c, exit_code, why);
}

/* Ended by whoever started it: not a failure once the tunnel was up. */
static void end_on_request(struct client *c)
{
	struct err why;
	bool is_early = !c->has_been_up;

	if (c->is_saying_goodbye) /* asked twice */
		hook_hurry(c->hook);
	(void)err_set(&why, 0, "%s",
		      is_early ? "stopped before the tunnel was up" : "");
	client_end(c, is_early ? CLIENT_EXIT_RUNTIME : CLIENT_EXIT_OK, &why);
}

static void say_ready(struct client *c, int exit_code)
{
	uint8_t byte = (uint8_t)exit_code;

	if (c->config->ready_fd >= 0)
		(void)!write(c->config->ready_fd, &byte, 1);
}

/* Undo everything, in the order that tells applications and gateway first. */
static void on_stop(void *ctx)
{
	struct client *c = ctx;
	struct err err;

	c->state = CLIENT_DOWN;
	reconnect_stop(c);
	confirm_stop(c);
	auto_nets_stop(c);
	lan_watch_stop(c);
	roam_stop(c);
	c->since_s = clock_wall_s();
	if (c->why.text[0] != '\0')
		log_err("%s", c->why.text);
	if (c->plane && flowplane_session(c->plane))
		session_bye(flowplane_session(c->plane), FRAME_BYE_DONE,
			    "the user ended the tunnel");
	way_stop(c);
	if (c->proxy)
		proxy_session_down(c->proxy);
	c->plane = flowplane_free(c->plane);
	stub_free(c);
	c->tun = tun_port_free(c->tun);
	way_free(c);
	timer_disarm(c->loop, &c->ending);
	timer_disarm(c->loop, &c->network_timer);
	if (c->broker)
		loop_io_del(c->loop, &c->broker_io);
	kill_switch_end(c);
	/* A broker that died was the reason, and needs no second line. */
	if (broker_client_stop(c->broker, &err) < 0 && !c->is_broker_dead)
		log_warn("%s", err.text);
	c->broker = NULL;
	if (c->has_been_up && c->exit_code == CLIENT_EXIT_OK)
		log_notice("tunnel %s is down", c->config->name);
	loop_stop(c->loop);
}

static void on_ending_timeout(void *ctx)
{
	struct client *c = ctx;

	client_failed(c, CLIENT_EXIT_RUNTIME, &c->why);
}

/* ---- what may happen ---- */

static void on_signal(void *ctx, int signo)
{
	struct client *c = ctx;

	log_debug("signal %d", signo);
	/* A terminal that is closed is no wish to be seen by everybody. */
	c->kill.is_unwanted = signo != SIGHUP;
	end_on_request(c);
}

static void on_ctl_down(void *ctx)
{
	struct client *c = ctx;

	c->kill.is_unwanted = true;
	end_on_request(c);
}

static void on_ctl_status(void *ctx, enum ctl_status kind, FILE *out)
{
	struct client *c = ctx;

	status_print(c, kind, out);
	/* For who asks next: a fresh round trip costs one small frame. */
	if (c->plane && flowplane_session(c->plane))
		session_ping(flowplane_session(c->plane));
}

static bool on_ctl_confirm(void *ctx)
{
	return confirm_take(ctx);
}

static const struct ctl_server_ops ctl_ops = {
	.on_status = on_ctl_status,
	.on_down = on_ctl_down,
	.on_confirm = on_ctl_confirm,
};

static void on_broker_event(void *ctx, uint32_t events)
{
	struct client *c = ctx;
	struct err why;

	(void)events;
	c->is_broker_dead = true;
	loop_io_del(c->loop, &c->broker_io);
	(void)err_set(&why, 0,
		      "ecssh-broker has ended, and the device and routes with "
		      "it");
	client_end(c, CLIENT_EXIT_RUNTIME, &why);
}

static void on_starter_gone(void *ctx)
{
	struct client *c = ctx;
	struct err why;

	(void)err_set(&why, 0, "ecssh-starter has ended, and ssh with it");
	client_end(c, CLIENT_EXIT_RUNTIME, &why);
}

void client_on_tun_gone(void *ctx)
{
	struct client *c = ctx;
	struct err why;

	(void)err_set(&why, 0, "somebody deleted the device %s",
		      c->device.name);
	client_end(c, CLIENT_EXIT_RUNTIME, &why);
}

static int plane_tun_write(void *ctx, const struct iovec *iov, int n)
{
	struct client *c = ctx;

	return c->tun ? tun_port_write(c->tun, iov, n) : -ENETDOWN;
}

/* Leave the terminal; from here on nobody sees what we print. */
static void go_to_background(struct client *c)
{
	hook_leave_terminal(c->hook);
	starter_leave_terminal(c->starter);
	(void)setsid();
	for (int fd = 0; c->null_fd >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(c->null_fd, fd);
	fd_close(&c->null_fd);
	/* Last: who hears of it may close the terminal at once. */
	say_ready(c, CLIENT_EXIT_OK);
}

/* ---- the session is up ---- */

/* "helper 0.1 uploaded", or the name of the rung. */
static void describe_way(const struct client *c, char *out, size_t cap)
{
	if (c->way == WAY_HELPER)
		(void)snprintf(out, cap, "helper %s %s", c->helper_version,
			       boot_origin_name(c->helper_origin));
	else if (c->way == WAY_VIA)
		(void)snprintf(out, cap, "SOCKS5");
	else
		(void)snprintf(out, cap, "rung %s", rung_name(way_rung(c)));
}

enum { TARGET_TEXT_MAX = 1024 };

/* "; 10.0.0.0/8 via ecssh0; proxy at 127.0.0.1:1080", or less. */
static const char *describe_target(const struct client *c,
				   char out[TARGET_TEXT_MAX])
{
	struct text t = {.out = out, .cap = TARGET_TEXT_MAX};
	struct door_status doors[PROXY_DOORS_MAX];
	char subnets[400];
	size_t n = proxy_doors(c->proxy, doors, PROXY_DOORS_MAX);

	out[0] = '\0';
	if (c->device.name[0])
		text_put(&t, "; %s via %s",
			 status_subnets(c, subnets, sizeof(subnets)),
			 c->device.name);
	for (size_t i = 0; i < n; i++) {
		char shown[2 * sizeof(doors[i].listen)];

		escape_text(doors[i].listen, strlen(doors[i].listen), shown,
			    sizeof(shown));
		text_put(&t, "%s%s", i == 0 ? "; proxy at " : ", ", shown);
	}
	return out;
}

void client_notify_connected(struct client *c)
{
	char target[TARGET_TEXT_MAX];
	const char *user = c->ssh_config ? c->ssh_config->user : NULL;

	if (c->state == CLIENT_CONNECTED)
		notify_status(&c->notify, "connected to %s%s%s%s",
			      status_gateway(c), user ? " as " : "",
			      user ? user : "", describe_target(c, target));
}

static void say_connected(const struct client *c)
{
	char how[64], target[TARGET_TEXT_MAX];
	const char *user = c->ssh_config ? c->ssh_config->user : NULL;
	const char *missing;

	describe_way(c, how, sizeof(how));
	log_notice("connected to %s%s%s (%s, %.1f s)%s", status_gateway(c),
		   user ? " as " : "", user ? user : "", how,
		   (double)(clock_mono_us() - c->started_us) / US_PER_SEC,
		   describe_target(c, target));
	/* What a helper cannot do without privilege is no news. */
	for (int i = 0;
	     (missing = c->way == WAY_HELPER ? status_missing_here(c, i)
					     : status_missing(c, i));
	     i++)
		log_warn("not carried: %s", missing);
}

static bool has_tun(const struct client *c)
{
	return c->config->mode != RUNG_MODE_SOCKS;
}

static int dns_up(struct client *c, struct err *err)
{
	struct ip_addr servers[STUB_ADDRS_MAX];
	size_t n = stub_addresses(c, servers);

	/* Where nobody there can be asked: a name server beyond. */
	if (n == 0 && c->config->dns_server.addr.version)
		servers[n++] = c->config->dns_server.addr;
	return host_dns_up(&c->dns, c->config, c->broker, servers, n,
			   c->ssh_config ? c->ssh_config->port : 0, err);
}

void client_is_up(struct client *c)
{
	if (c->config->is_background)
		go_to_background(c);
	client_notify_connected(c);
	notify_ready(&c->notify);
}

/* All has been said that would be done. */
static void end_dry_run(struct client *c)
{
	struct err why = {{0}};

	c->kill.is_unwanted = true; /* its end is said, too */
	log_notice("logged in to %s; nothing is changed on this host, the "
		   "commands are on the standard output",
		   status_gateway(c));
	client_end(c, CLIENT_EXIT_OK, &why);
}

void client_make_tunnel(struct client *c)
{
	bool is_again = c->has_been_up;
	struct err err;

	int r = has_tun(c) ? stub_attach(c, &err) : 0;
	if (r < 0) {
		client_end(c,
			   r == -EOPNOTSUPP ? CLIENT_EXIT_LACKING
					    : CLIENT_EXIT_RUNTIME,
			   &err);
		return;
	}
	if (c->tun)
		tun_port_set_plane(c->tun, c->plane);
	else if (has_tun(c) &&
		 (network_up(c, &err) < 0 || dns_up(c, &err) < 0)) {
		client_end(c, CLIENT_EXIT_RUNTIME, &err);
		return;
	}
	if (c->config->is_dry_run) {
		end_dry_run(c);
		return;
	}
	proxy_session_up(c->proxy, flowplane_session(c->plane),
			 c->peer.capabilities);
	c->state = CLIENT_CONNECTED;
	c->since_s = clock_wall_s();
	if (!reconnect_on_connected(c))
		say_connected(c);
	confirm_on_connected(c);
	way_on_connected(c);
	if (!script_run(c, is_again ? HOOK_RECONNECT : HOOK_CONNECT) &&
	    !is_again)
		client_is_up(c);
}

/* All is known that the tunnel's shape depends on: make it. */
static void finish(struct client *c)
{
	timer_disarm(c->loop, &c->network_timer);
	if (c->has_said_why)
		return; /* the script hears that it ends */
	if (c->has_been_up || !script_run(c, HOOK_PRE_INIT))
		client_make_tunnel(c);
}

/* True if the user asked for what only the packet plane can do. */
static bool must_have_packets(const struct client *c)
{
	const struct client_config *config = c->config;

	return config->mode == RUNG_MODE_TUN ||
	       config->plane == FLOWPLANE_PLANE_PACKET || config->no_nat ||
	       config->allow_inbound || config->n_announced > 0;
}

/* The packet plane has come up or not, and somebody waits for that. */
static void on_network_known(struct client *c)
{
	bool is_up = c->network.status == FRAME_NETWORK_UP;
	bool has_no_streams = c->facts.state[RUNG_FORWARDING] == RUNG_NO;
	struct err why;

	if (is_up || (!must_have_packets(c) && !has_no_streams)) {
		finish(c);
		return;
	}
	(void)err_set(&why, 0, "%s%s%s carries no packets: %s",
		      has_no_streams ? c->facts.why[RUNG_FORWARDING] : "",
		      has_no_streams ? "; and " : "",
		      has_no_streams ? "it" : status_gateway(c),
		      c->network.text);
	client_end(c, CLIENT_EXIT_LACKING, &why);
}

static void on_network_timeout(void *ctx)
{
	struct client *c = ctx;

	(void)snprintf(c->network.text, sizeof(c->network.text),
		       "it has not answered within %d s", NETWORK_TIMEOUT_S);
	on_network_known(c);
}

static void on_network_state(void *ctx, const struct frame_network_state *state)
{
	struct client *c = ctx;
	bool was_up = c->network.status == FRAME_NETWORK_UP;

	c->network = *state;
	(void)escape_text(state->text, strlen(state->text), c->network.text,
			  sizeof(c->network.text));
	bool is_up = state->status == FRAME_NETWORK_UP;

	way_note(c, c->way == WAY_HELPER ? RUNG_FAR_PRIVILEGE : RUNG_TUNNEL,
		 is_up, c->network.text);
	if (timer_is_armed(&c->network_timer))
		on_network_known(c);
	else if (was_up && !is_up)
		log_warn("the gateway carries no packets any more: %s",
			 c->network.text);
	else if (is_up)
		log_info("the gateway carries packets: %s", c->network.text);
}

static void on_session_up(void *ctx, const struct frame_hello *peer)
{
	struct client *c = ctx;

	c->peer = *peer;
	/* Who has no resolver is told one. */
	if (c->way == WAY_HELPER && c->config->dns_server.addr.version)
		c->peer.capabilities |= FRAME_CAP_RESOLVE;
	if (!auto_nets_ask(c))
		client_on_shape_known(c);
}

static void on_routes(void *ctx, const struct frame_routes *routes)
{
	auto_nets_on_routes(ctx, routes);
}

void client_on_shape_known(struct client *c)
{
	bool wants_packets = has_tun(c) &&
			     c->config->plane != FLOWPLANE_PLANE_FLOW &&
			     (c->peer.capabilities & FRAME_CAP_NETWORK);
	struct err err;

	if (has_tun(c) && !c->tun && network_plan(c, &err) < 0) {
		client_end(c, CLIENT_EXIT_RUNTIME, &err);
		return;
	}
	if (c->config->is_dry_run) {
		finish(c); /* the gateway is left alone, too */
		return;
	}
	if (wants_packets && network_request(c) < 0) {
		(void)err_set(&err, -ENOMEM, "out of memory");
		client_end(c, CLIENT_EXIT_RUNTIME, &err);
		return;
	}
	if (!wants_packets)
		(void)snprintf(c->network.text, sizeof(c->network.text),
			       "it offers no way to");
	/* A relay's rung depends on it, and it answers at once. */
	if (wants_packets && (must_have_packets(c) || c->way != WAY_HELPER))
		timer_arm(c->loop, &c->network_timer,
			  NETWORK_TIMEOUT_S * US_PER_SEC);
	else if (must_have_packets(c))
		on_network_known(c);
	else
		finish(c);
}

/* The session ended: mostly because ssh did, whose own words are better. */
static void on_session_down(void *ctx, const struct err *why)
{
	struct client *c = ctx;

	if (c->state == CLIENT_DOWN || c->state == CLIENT_ENDING)
		return;
	c->state = CLIENT_ENDING;
	reconnect_on_session_down(c);
	proxy_session_down(c->proxy);
	way_on_session_down(c);
	(void)err_set(&c->why, 0, "lost the connection to %s: %.400s",
		      status_gateway(c), why->text);
	switch (session_end(flowplane_session(c->plane))) {
	case SESSION_END_SAID:
		client_failed(c, CLIENT_EXIT_RUNTIME, &c->why);
		return;
	case SESSION_END_SILENCE:
		client_failed(c, CLIENT_EXIT_SSH, &c->why);
		return;
	case SESSION_END_CARRIER:
		timer_arm(c->loop, &c->ending, ENDING_US);
		return;
	}
}

/* ---- what is the doors' ---- */

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct client *c = ctx;

	proxy_on_dgram(c->proxy, id, d);
}

static void on_icmp_error(void *ctx, uint32_t id,
			  const struct frame_icmp_error *e)
{
	struct client *c = ctx;

	proxy_on_icmp_error(c->proxy, id, e);
}

static void on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	struct client *c = ctx;

	proxy_on_assoc_close(c->proxy, id, reason);
}

static void on_resolved(void *ctx, uint32_t id, enum frame_reason status,
			const uint8_t *answer, size_t len)
{
	struct client *c = ctx;

	if (proxy_owns_id(id))
		proxy_on_resolved(c->proxy, id, status, answer, len);
	else
		stub_on_resolved(c, id, status, answer, len);
}

/* Before ssh, so that a port that is taken costs no login. */
static int open_doors(struct client *c, struct err *err)
{
	int r = 0;

	c->proxy = proxy_new(c->loop);
	if (!c->proxy)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < c->config->n_doors && r == 0; i++)
		r = proxy_open_door(c->proxy, &c->config->doors[i], err);
	return r;
}

static const struct flowplane_ops plane_ops = {
	.tun_write = plane_tun_write,
	.on_up = on_session_up,
	.on_down = on_session_down,
	.on_network_state = on_network_state,
	.on_routes = on_routes,
	.on_dgram = on_dgram,
	.on_icmp_error = on_icmp_error,
	.on_assoc_close = on_assoc_close,
	.on_resolved = on_resolved,
};

void client_attach(struct client *c, struct carrier *carrier)
{
	struct err why;

	c->plane = flowplane_new(c->loop, c->config->mtu_bytes, &plane_ops, c);
	if (!c->plane)
		carrier = carrier_free(carrier);
	else
		flowplane_set_plane(c->plane, c->config->plane);
	if (carrier && flowplane_attach(c->plane, carrier,
					&c->config->dns_server.addr) == 0)
		return;
	(void)err_set(&why, 0, "out of memory or descriptors");
	client_end(c, CLIENT_EXIT_RUNTIME, &why);
}

void client_lost(struct client *c, int exit_code, const struct err *why)
{
	static const char said[] = "the connection to ";
	struct err full;

	timer_disarm(c->loop, &c->ending);
	/* What was never there is not lost: a proxy that cannot be used.  And
	 * some reasons say that much themselves. */
	if ((c->way == WAY_VIA && c->state == CLIENT_CONNECTING) ||
	    strncmp(why->text, said, sizeof(said) - 1) == 0)
		full = *why;
	else
		(void)err_set(&full, 0, "lost the connection to %s: %.400s",
			      status_gateway(c), why->text);
	/* Never "ok": nobody asked for it. */
	client_failed(c, exit_code ? exit_code : CLIENT_EXIT_RUNTIME, &full);
}

/* ---- setting up ---- */

/* As whoever we were started as; may ask for a password. */
static int start_broker(struct client *c, struct err *err)
{
	if (c->config->is_dry_run)
		return broker_client_fork(&c->broker, broker_print_run, err);
	int r = own_broker_start(&c->broker, BROKER_VIA_AUTO, err);

	if (r == 0)
		(void)cleanup_all(c->broker);
	return r;
}

static int become_user(struct err *err)
{
	struct invoker invoker;
	int r = invoker_find(&invoker, err);

	return r < 0 ? r : invoker_become(&invoker, err);
}

static int watch_broker(struct client *c, struct err *err)
{
	c->broker_io = (struct loop_io){
		.fd = broker_client_fd(c->broker),
		.on_event = on_broker_event,
		.ctx = c,
	};
	int r = loop_io_add(c->loop, &c->broker_io, EPOLLIN);

	return r < 0 ? err_set(err, r, "cannot watch the broker: %s",
			       strerror(-r))
		     : 0;
}

/* What the user asked for; the gateway may add to it. */
static int copy_asked(struct client *c, struct err *err)
{
	const struct client_config *config = c->config;

	c->asked = calloc(config->n_subnets + 1, sizeof(*c->asked));
	if (!c->asked)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < config->n_subnets; i++)
		c->asked[c->n_asked++] = config->subnets[i];
	return 0;
}

/* Everything up to the first turn of the loop.  Returns an exit code. */
static int set_up(struct client *c, struct err *err)
{
	notify_open(&c->notify);
	int r = has_tun(c) ? start_broker(c, err) : 0;

	if (r == -EPERM || r == -EACCES)
		return CLIENT_EXIT_PRIVILEGE;
	/* While we may still look at who is above sudo. */
	(void)admin_find(&c->admin_local, &c->admin_remote);
	if (r == 0)
		r = become_user(err);
	if (r == 0 && (r = script_start(c, err)) == -ENOENT)
		return CLIENT_EXIT_USAGE;
	if (r == 0) {
		/* Doors and relays have one for each connection. */
		fd_raise_limit();
		c->loop = loop_new(LOOP_TIME_REAL);
		r = c->loop ? 0 : err_set(err, -errno, "cannot poll: %m");
	}
	if (r == 0 && c->config->is_background)
		c->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (r == 0)
		r = copy_asked(c, err);
	if (r == 0)
		r = sig_open(c->loop, &c->sig);
	if (r == 0 && script_watch(c) < 0)
		r = err_set(err, -ENOMEM, "out of memory");
	if (r == 0 && c->broker)
		r = watch_broker(c, err);
	if (r == 0)
		r = open_doors(c, err);
	if (r == 0)
		r = ctl_server_new(c->loop, c->config->name, &ctl_ops, c,
				   &c->ctl, err);
	if (r < 0)
		return CLIENT_EXIT_RUNTIME;
	notify_status(&c->notify, "connecting to %s", status_gateway(c));
	r = way_prepare(c, err);
	if (r == 0 && c->starter &&
	    starter_watch(c->starter, c->loop, on_starter_gone, c) < 0)
		r = err_set(err, -ENOMEM, "out of memory");
	if (r == 0)
		r = way_start(c, err);
	return r == 0	   ? CLIENT_EXIT_OK
	       : r == -EIO ? CLIENT_EXIT_SSH
			   : CLIENT_EXIT_RUNTIME;
}

static void client_init(struct client *c, const struct client_config *config)
{
	*c = (struct client){
		.config = config,
		.state = CLIENT_CONNECTING,
		.started_us = clock_mono_us(),
		.since_s = clock_wall_s(),
		.sig = {.on_signal = on_signal, .ctx = c},
		.ending = {.on_fire = on_ending_timeout, .ctx = c},
		.network_timer = {.on_fire = on_network_timeout, .ctx = c},
		.stop = {.on_run = on_stop, .ctx = c},
		.device = {.fd = -1},
		.notify = {.fd = -1},
		.null_fd = -1,
	};
	list_init(&c->stop.link);
	reconnect_init(c);
	roam_init(c);
}

/* What on_stop has not done already. */
static void client_fini(struct client *c)
{
	if (c->loop)
		way_free(c);
	c->proxy = proxy_free(c->proxy);
	(void)broker_client_stop(c->broker, NULL);
	c->starter = starter_free(c->starter);
	c->hook = hook_free(c->hook);
	sig_close(&c->sig);
	/* Last of all: who ran "ecssh down" waits for this. */
	c->ctl = ctl_server_free(c->ctl);
	c->loop = loop_free(c->loop);
	free(c->jump);
	free(c->ssh_config);
	helper_file_fini(&c->helper);
	fd_close(&c->null_fd);
	plan_fini(&c->plan);
	free(c->asked);
	notify_close(&c->notify);
}

int client_run(const struct client_config *config)
{
	struct client c;
	struct err err = {{0}};

	client_init(&c, config);
	c.exit_code = set_up(&c, &err);
	if (c.exit_code != CLIENT_EXIT_OK) {
		log_err("%s", err.text);
		notify_status(&c.notify, "%s", err.text);
		kill_switch_end(&c);
	} else if (config->block_only) {
		kill_switch_end(&c);
	} else {
		int r = loop_run(c.loop);

		if (r < 0)
			log_err("waiting for events failed: %s", strerror(-r));
	}
	say_ready(&c, c.exit_code);
	client_fini(&c);
	return c.exit_code;
}
