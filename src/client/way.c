/* SPDX-License-Identifier: MIT */
/*
 * way: how the far end is reached.
 *
 * Theory of operation
 *   WAY_HELPER    ssh runs the helper; its stdio is the carrier.
 *   WAY_CHANNELS  ssh runs nothing; a relay of our own plays the far end and
 *                 opens channels.  Before it begins one channel is tried, to
 *                 know whether forwarding is permitted.
 *   WAY_VIA       a relay over a SOCKS5 server; no ssh.
 *
 *   In mode auto the helper is tried first; if the server has no place for it
 *   that ssh has ended, and another is started for its channels.  That may ask
 *   for a password once more, so it is remembered for the next time.
 *
 *   Channels wear out (see mux_link.h).  Then another ssh is started, which
 *   must not ask anybody, and takes over the new flows.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "beside.h"
#include "bond_carrier.h"
#include "client_internal.h"
#include "confine.h"
#include "dialer.h"
#include "fd.h"
#include "log.h"
#include "mem_carrier.h"
#include "memory.h"

enum {
	SSH_CONFIG_TIMEOUT_MS = 30000,
	RENEWAL_US = 60000000,
	RENEWAL_DOUBLINGS_MAX = 6, /* 64 minutes */
	PROBE_WINDOW_BYTES = 64 << 10,
	PROBE_US = 10000000,
};

void way_note(struct client *c, enum rung_fact fact, bool is_so,
	      const char *why)
{
	c->facts.state[fact] = is_so ? RUNG_YES : RUNG_NO;
	c->facts.why[fact] = NULL;
	if (is_so || !why)
		return;
	(void)snprintf(c->why_not[fact], sizeof(c->why_not[fact]), "%s", why);
	c->facts.why[fact] = c->why_not[fact];
}

static void on_ssh_message(void *ctx, const char *line)
{
	(void)ctx;
	(void)fprintf(stderr, "%s\n", line);
}

/* An ssh is through with the login. */
static void take_socket(struct client *c, pid_t pid)
{
	const struct ssh_lender lender = {starter_lend, c->starter};

	exempt_dialled(c, pid);
	if (ssh_socket_find(&lender, pid, &c->socket) && !c->config->no_tune)
		ssh_socket_tune(&c->socket, loop_now_us(c->loop));
}

/* ---- the helper ---- */

static void on_helper_ready(void *ctx, const struct ssh_stdio_ready *ready)
{
	struct client *c = ctx;
	struct carrier *carrier =
		bond_carrier_new(c->loop, ready->rfd, ready->wfd,
				 ready->leftover, ready->leftover_len);

	c->carrier = carrier;
	c->helper_origin = ready->origin;
	(void)snprintf(c->helper_version, sizeof(c->helper_version), "%s",
		       ready->helper_version);
	take_socket(c, ssh_stdio_pid(c->ssh));
	way_note(c, RUNG_SSH, true, NULL);
	way_note(c, RUNG_EXEC, true, NULL);
	way_note(c, RUNG_HELPER_FITS, true, NULL);
	starter_note(c->starter, true);
	if (!c->config->reconnects)
		helper_file_fini(&c->helper);
	client_attach(c, carrier);
}

/* The server lets us in, but has no place for a helper. */
static void fall_to_channels(struct client *c, const struct err *why)
{
	log_notice("%s", why->text);
	log_notice("going on with channels of ssh, which takes another login");
	/* With a shell it may be another matter tomorrow: room, a mount. */
	way_note(c, ssh_stdio_has_shell(c->ssh) ? RUNG_HELPER_FITS : RUNG_EXEC,
		 false, why->text);
	c->way = WAY_CHANNELS;
	c->skips_helper |= c->facts.state[RUNG_EXEC] == RUNG_NO;
	loop_post(c->loop, &c->go_on);
}

static void on_helper_failed(void *ctx, int exit_code, const struct err *err)
{
	struct client *c = ctx;

	exempt_dialled(c, 0);
	if (exit_code == CLIENT_EXIT_LACKING &&
	    c->config->mode != RUNG_MODE_HELPER)
		fall_to_channels(c, err);
	else
		client_failed(c, exit_code, err);
}

static void on_helper_exited(void *ctx, int exit_code, const struct err *err)
{
	client_lost(ctx, exit_code ? exit_code : CLIENT_EXIT_RUNTIME, err);
}

static const struct ssh_stdio_ops helper_ops = {
	.on_ready = on_helper_ready,
	.on_failed = on_helper_failed,
	.on_exited = on_helper_exited,
	.on_message = on_ssh_message,
};

static void on_control_socket(void *ctx, int fd)
{
	struct client *c = ctx;

	fd_close(&fd); /* there will be others, as needed */
	if (c->config->n_forwards > 0)
		forwards_ask(c->forwards, mux_sock_place(c->sock));
}

static int start_helper(struct client *c, struct err *err)
{
	c->sock = mux_sock_new(c->loop, c->starter, on_control_socket, c, err);
	if (!c->sock)
		return -errno;
	struct ssh_stdio_config ssh = {
		.starter = c->starter,
		.dest = &c->config->dest,
		.config = c->ssh_config,
		.helper = &c->helper,
		.flags = c->ssh_flags,
		.place = mux_sock_place(c->sock),
		.pins = &c->pins,
	};
	exempt_dial(c);
	c->ssh = ssh_stdio_start(c->loop, &ssh, &helper_ops, c, err);
	return c->ssh ? 0 : -EIO;
}

/* ---- channels: is forwarding permitted? ---- */

/* True if packets may go where connections do not. */
static bool may_have_tun(const struct client *c)
{
	return c->config->mode != RUNG_MODE_DIRECT &&
	       c->config->mode != RUNG_MODE_SOCKS &&
	       c->config->plane != FLOWPLANE_PLANE_FLOW;
}

static void probed(struct client *c, bool is_permitted, const char *why)
{
	struct err end;

	c->probe = NULL;
	timer_disarm(c->loop, &c->probe_timer);
	way_note(c, RUNG_FORWARDING, is_permitted, why);
	if (is_permitted || may_have_tun(c)) {
		loop_post(c->loop, &c->go_on);
		return;
	}
	(void)err_set(&end, 0, "%s", why);
	client_end(c, CLIENT_EXIT_LACKING, &end);
}

static void on_probe_open(struct mux_channel *ch)
{
	struct client *c = mux_channel_owner(ch);

	mux_channel_close(ch);
	probed(c, true, NULL);
}

static void on_probe_refused(struct mux_channel *ch, uint32_t reason,
			     const char *text)
{
	struct client *c = mux_channel_owner(ch);
	struct err why;

	(void)err_set(&why, 0,
		      "%s forwards no TCP connections for this account (%s)",
		      status_gateway(c),
		      text[0] ? text : "administratively prohibited");
	probed(c, reason != MUX_REFUSED_PROHIBITED, why.text);
}

static void on_probe_closed(struct mux_channel *ch)
{
	struct client *c = mux_channel_owner(ch);

	timer_disarm(c->loop, &c->probe_timer);
	c->probe = NULL; /* the link has ended, and says why itself */
}

static const struct mux_channel_ops probe_ops = {
	.on_open = on_probe_open,
	.on_refused = on_probe_refused,
	.on_closed = on_probe_closed,
};

/* No answer is no refusal: somebody drops what is for that port. */
static void on_probe_timeout(void *ctx)
{
	struct client *c = ctx;

	mux_channel_close(c->probe);
	probed(c, true, NULL);
}

/* Ask for the one service that is sure to be there: sshd itself. */
static void probe_forwarding(struct client *c)
{
	struct mux_channel_open open = {
		.kind = MUX_DIRECT_TCPIP,
		.host = "127.0.0.1",
		.port = c->ssh_config->port,
		.window_bytes = PROBE_WINDOW_BYTES,
	};

	c->probe = mux_channel_open(channels_link(c->channels), &open,
				    &probe_ops, c);
	if (c->probe)
		timer_arm(c->loop, &c->probe_timer, PROBE_US);
	else
		probed(c, true, NULL);
}

/* ---- channels ---- */

static void ask_for_forwards(struct client *c)
{
	c->listening = c->channels;
	if (c->config->n_forwards > 0)
		forwards_ask(c->forwards, channels_place(c->channels));
}

static void on_retired(void *ctx, struct mux_link *link)
{
	struct client *c = ctx;

	for (size_t i = 0; i < CLIENT_WORN_MAX; i++)
		if (c->worn[i].channels &&
		    channels_link(c->worn[i].channels) == link)
			c->worn[i].is_empty = true;
	loop_post(c->loop, &c->retire);
}

static void on_retire(void *ctx)
{
	struct client *c = ctx;

	for (size_t i = 0; i < CLIENT_WORN_MAX; i++) {
		struct worn *w = &c->worn[i];
		bool was_listening = w->channels == c->listening;

		if (!w->channels || !w->is_empty)
			continue;
		exempt_drop(c, channels_pid(w->channels));
		*w = (struct worn){.channels = channels_free(w->channels)};
		if (was_listening)
			ask_for_forwards(c);
	}
}

static struct worn *free_place(struct client *c)
{
	for (size_t i = 0; i < CLIENT_WORN_MAX; i++)
		if (!c->worn[i].channels)
			return &c->worn[i];
	return NULL;
}

/* New flows go to the fresh ones from now on. */
static void take_over(struct client *c)
{
	struct worn *place = free_place(c);

	assert(place); /* or no fresh ones were started */
	*place = (struct worn){.channels = c->channels};
	c->channels = c->fresh;
	c->fresh = NULL;
	c->n_renewals_failed = 0;
	take_socket(c, channels_pid(c->channels));
	relay_ssh_renew(c->relay, channels_link(c->channels), on_retired);
	log_debug("ssh has been replaced: the last one is worn out");
}

static void on_channels_ready(void *ctx, struct channels *ch)
{
	struct client *c = ctx;

	if (ch == c->fresh) {
		take_over(c);
		return;
	}
	take_socket(c, channels_pid(ch));
	way_note(c, RUNG_SSH, true, NULL);
	way_note(c, RUNG_MUX, true, NULL);
	if (c->facts.state[RUNG_EXEC] == RUNG_NO)
		starter_note(c->starter, false);
	ask_for_forwards(c);
	probe_forwarding(c);
}

static struct worn *worn_find(struct client *c, const struct channels *ch)
{
	for (size_t i = 0; i < CLIENT_WORN_MAX; i++)
		if (c->worn[i].channels == ch)
			return &c->worn[i];
	return NULL;
}

/* One that was replaced has ended before its flows did. */
static void on_worn_failed(struct client *c, struct worn *w)
{
	relay_ssh_forget(c->relay, channels_link(w->channels));
	w->is_empty = true;
	loop_post(c->loop, &c->retire);
}

/* Said once, and tried again less and less often: a login that is refused
 * counts as an attack on some servers. */
static void cannot_renew(struct client *c, const char *why)
{
	if (c->n_renewals_failed == 0)
		log_warn("ssh has seen so many refused connections that it "
			 "needs to be replaced, and cannot be: %s",
			 why);
	timer_arm(c->loop, &c->renewal, RENEWAL_US << c->n_renewals_failed);
	if (c->n_renewals_failed < RENEWAL_DOUBLINGS_MAX)
		c->n_renewals_failed++;
}

static void on_channels_failed(void *ctx, struct channels *ch, int exit_code,
			       const struct err *why)
{
	struct client *c = ctx;
	struct worn *w = worn_find(c, ch);

	if (!w)
		exempt_dialled(c, 0);
	if (w) {
		on_worn_failed(c, w);
	} else if (ch == c->fresh) {
		cannot_renew(c, why->text);
	} else if (c->relay) {
		client_lost(c, exit_code, why);
	} else {
		client_failed(c, exit_code, why);
	}
}

static const struct channels_ops channels_ops = {
	.on_ready = on_channels_ready,
	.on_failed = on_channels_failed,
};

static struct channels *start(struct client *c, uint32_t flags, struct err *err)
{
	struct channels_config config = {
		.starter = c->starter,
		.dest = &c->config->dest,
		.options = &c->config->ssh_options,
		.config = c->ssh_config,
		.flags = flags,
		.pins = &c->pins,
	};

	exempt_dial(c);
	return channels_start(c->loop, &config, &channels_ops, c, err);
}

static int start_channels(struct client *c, struct err *err)
{
	c->channels = start(c, c->ssh_flags, err);
	return c->channels ? 0 : -EIO;
}

/* Another ssh, which must not ask anybody. */
static void on_worn(void *ctx)
{
	struct client *c = ctx;
	struct err err;

	c->fresh = channels_free(c->fresh);
	if (!free_place(c)) {
		cannot_renew(c, "connections go on in too many older ones");
		return;
	}
	c->fresh = start(c, c->ssh_flags | SSH_START_BATCH, &err);
	if (!c->fresh)
		timer_arm(c->loop, &c->renewal, RENEWAL_US);
}

/* ---- a relay of our own ---- */

static void on_relay_down(void *ctx, const struct err *why)
{
	struct client *c = ctx;

	/* A proxy that cannot be used is what an ssh that cannot log in is. */
	client_lost(c, c->way == WAY_VIA ? CLIENT_EXIT_SSH : 0, why);
}

static const struct relay_ops relay_ops = {
	.on_down = on_relay_down,
	.on_worn = on_worn,
};

/* Let a relay play the far end. */
static void begin_relay(struct client *c)
{
	struct carrier *pair[2];
	struct endpoint addrs[RELAY_SOCKS_ADDRS_MAX];
	struct relay_ssh_config ssh = {
		.tun_unit = c->config->tun_unit,
		.is_root = c->ssh_config &&
			   strcmp(c->ssh_config->user, "root") == 0,
		.dns_server = c->config->dns_server,
		.has_forwarding = c->facts.state[RUNG_FORWARDING] != RUNG_NO,
		.has_tun = may_have_tun(c),
		.may_exec = c->facts.state[RUNG_EXEC] != RUNG_NO,
	};
	struct relay_socks_config socks = {
		.host = c->config->via.host,
		.port = c->config->via.port,
		.addrs = addrs,
		.user = c->config->via.user[0] ? c->config->via.user : NULL,
		.password =
			c->config->via.user[0] ? c->config->via.password : NULL,
	};
	struct err why, said;

	if (c->way == WAY_VIA) {
		int n = starter_look_up(c->starter, addrs,
					RELAY_SOCKS_ADDRS_MAX, &why);
		if (n < 0) {
			(void)err_set(&said, n, "the SOCKS proxy %.400s",
				      why.text);
			on_relay_down(c, &said);
			return;
		}
		socks.n_addrs = (size_t)n;
	}
	if (mem_carrier_pair(c->loop, pair) < 0) {
		(void)err_set(&why, -ENOMEM, "out of memory");
		client_end(c, CLIENT_EXIT_RUNTIME, &why);
		return;
	}
	if (c->way == WAY_CHANNELS) {
		ssh.link = channels_link(c->channels);
		(void)starter_find_peers(c->starter, way_pid(c), &ssh.gateway,
					 1);
		c->relay = relay_ssh_new(c->loop, pair[1], &ssh, &relay_ops, c);
	} else {
		c->relay = relay_socks_new(c->loop, pair[1], &socks, &relay_ops,
					   c);
	}
	client_attach(c, pair[0]);
}

/* ---- from one to the next ---- */

/* The next step, whatever it is: nothing of ssh is on the stack now. */
static void on_go_on(void *ctx)
{
	struct client *c = ctx;
	struct err err;

	if (c->way == WAY_CHANNELS && !c->channels) {
		c->ssh = ssh_stdio_free(c->ssh);
		c->sock = mux_sock_free(c->sock);
		if (start_channels(c, &err) < 0)
			client_failed(c, CLIENT_EXIT_SSH, &err);
		return;
	}
	begin_relay(c);
}

static int query_ssh_config(struct client *c, struct err *err)
{
	c->ssh_config = calloc(1, sizeof(*c->ssh_config));
	if (!c->ssh_config)
		return err_set(err, -ENOMEM, "out of memory");
	int r = ssh_config_query(&c->config->dest, &c->config->ssh_options,
				 NULL, SSH_CONFIG_TIMEOUT_MS, c->ssh_config,
				 err);
	if (r < 0)
		return r;
	c->jump = calloc(1, sizeof(*c->jump));
	if (!c->jump)
		return err_set(err, -ENOMEM, "out of memory");
	if (!ssh_jump_find(&c->config->dest, c->ssh_config,
			   &c->config->ssh_options, NULL, SSH_CONFIG_TIMEOUT_MS,
			   c->jump)) {
		free(c->jump);
		c->jump = NULL;
	}
	return 0;
}

/* True if a helper is not even to be tried. */
static bool skips_helper(struct client *c)
{
	switch (c->config->mode) {
	case RUNG_MODE_HELPER:
		return false;
	case RUNG_MODE_TUN:
	case RUNG_MODE_DIRECT:
		return true;
	case RUNG_MODE_AUTO:
	case RUNG_MODE_SOCKS:
	case RUNG_MODE__N:
		break;
	}
	if (!memory_has_no_helper(c->ssh_config, clock_wall_s()))
		return false;
	way_note(c, RUNG_EXEC, false,
		 "the server ran no helper when it was tried last; --mode "
		 "helper tries again");
	return true;
}

/* In the starter, which writes files. */
static void on_note(void *ctx, bool may_exec)
{
	const struct client *c = ctx;

	if (may_exec)
		memory_forget(c->ssh_config, clock_wall_s());
	else
		memory_note_no_helper(c->ssh_config, clock_wall_s());
}

/* What can be told only now that nothing from outside has been read yet. */
static int start_starter(struct client *c, struct err *err)
{
	const struct client_config *config = c->config;
	struct err why;

	if (config->allow_link_local)
		c->helper_args[0] = "--allow-link-local";
	struct ssh_plan plan = {
		.dest = &config->dest,
		.options = &config->ssh_options,
		.config = c->ssh_config,
		.jump = c->jump,
		.proxy_host = config->via.host,
		.proxy_port = config->via.port,
		.helper_hash = c->helper.bytes ? c->helper.hash : NULL,
		.helper_bytes = c->helper.len,
		.protocol = FRAME_VERSION_HIGHEST,
		.helper_args = c->helper_args,
		.is_background = config->is_background,
		.forwards = config->forwards,
		.n_forwards = config->n_forwards,
		.on_note = on_note,
		.ctx = c,
		.own_path = ctl_server_path(c->ctl),
		.own_id = ctl_server_id(c->ctl),
	};

	if (beside_find("ecssh-dial", c->dial_path, &why) == 0)
		plan.dial_path = c->dial_path;
	else
		c->dial_path[0] = '\0';
	return starter_new(&plan, &c->starter, err);
}

static int load_helper(struct client *c, struct err *err)
{
	char path[PATH_MAX];
	int r = beside_find("ecssh-helper", path, err);

	return r < 0 ? r : helper_file_load(path, &c->helper, err);
}

int way_prepare(struct client *c, struct err *err)
{
	c->way = c->config->via.host[0] != '\0' ? WAY_VIA : WAY_HELPER;
	if (c->config->block_only && c->way == WAY_VIA)
		return 0;
	if (c->way == WAY_VIA)
		return start_starter(c, err);
	int r = query_ssh_config(c, err);

	/* While we may still look at what the kernel gives to others. */
	if (port_range_choose(&c->ports) < 0)
		log_debug("there are no ports for ssh's own use");
	if (r < 0 || c->config->block_only)
		return r;
	c->skips_helper = skips_helper(c);
	if (!c->skips_helper)
		r = load_helper(c, err);
	return r < 0 ? r : start_starter(c, err);
}

int way_start(struct client *c, struct err *err)
{
	int r = 0;

	c->go_on = (struct loop_task){.on_run = on_go_on, .ctx = c};
	list_init(&c->go_on.link);
	c->retire = (struct loop_task){.on_run = on_retire, .ctx = c};
	list_init(&c->retire.link);
	c->renewal = (struct timer){.on_fire = on_worn, .ctx = c};
	c->probe_timer = (struct timer){.on_fire = on_probe_timeout, .ctx = c};
	c->forwards = forwards_new(c->loop, c->starter, c->config->forwards,
				   c->config->n_forwards);
	if (!c->forwards)
		return err_set(err, -ENOMEM, "out of memory");
	if (!c->has_been_up)
		r = kill_switch_begin(c, err);
	if (r < 0 || c->config->block_only)
		return r;
	confine(c);
	if (c->way == WAY_VIA) {
		loop_post(c->loop, &c->go_on);
		return 0;
	}
	c->way = c->skips_helper ? WAY_CHANNELS : WAY_HELPER;
	return c->way == WAY_HELPER ? start_helper(c, err)
				    : start_channels(c, err);
}

/* ---- for others ---- */

int way_pin(struct client *c, const struct endpoint *to, size_t n,
	    const struct port_range *from, struct err *err)
{
	if (c->pins.n > 0)
		return 0;
	if (!dialer_is_possible(way_config(c)))
		return err_set(err, -EOPNOTSUPP,
			       "ssh's configuration says how to connect to %s",
			       c->jump ? c->jump->dest.host
				       : status_gateway(c));
	if (c->dial_path[0] == '\0')
		return err_set(err, -ENOENT,
			       "ecssh-dial is missing: it belongs beside "
			       "ecssh");
	c->pins.n =
		n < DIALER_ENDPOINTS_MAX ? (uint32_t)n : DIALER_ENDPOINTS_MAX;
	memcpy(c->pins.to, to, c->pins.n * sizeof(*to));
	if (from)
		c->pins.from = *from;
	return 0;
}

const struct ssh_config *way_config(const struct client *c)
{
	return c->jump ? &c->jump->config : c->ssh_config;
}

int way_peers(const struct client *c, struct ip_addr *ret_peers, int max)
{
	if (c->way == WAY_VIA) {
		const struct ip_addr *server = relay_socks_server(c->relay);

		if (server && max > 0)
			ret_peers[0] = *server;
		return server && max > 0;
	}
	return starter_find_peers(c->starter, way_pid(c), ret_peers,
				  (size_t)max);
}

pid_t way_pid(const struct client *c)
{
	switch (c->way) {
	case WAY_HELPER:
		return c->ssh ? ssh_stdio_pid(c->ssh) : 0;
	case WAY_CHANNELS:
		return c->channels ? channels_pid(c->channels) : 0;
	case WAY_VIA:
		break;
	}
	return 0;
}

enum rung way_rung(const struct client *c)
{
	bool has_packets = c->network.status == FRAME_NETWORK_UP;

	if (c->config->mode == RUNG_MODE_SOCKS)
		return RUNG_SOCKS;
	if (c->way == WAY_HELPER)
		return has_packets ? RUNG_HELPER_PACKETS : RUNG_HELPER;
	return has_packets ? RUNG_TUN : RUNG_DIRECT;
}

static void start_links(struct client *c)
{
	c->links = links_new(c->loop, c->sock, c->carrier,
			     flowplane_session(c->plane), c->config->channels);
}

/* One connection after all, which may have its channels. */
static void on_no_connections(void *ctx)
{
	struct client *c = ctx;

	log_notice("going on with one connection: %s",
		   connections_why_not(c->connections));
	connections_stop(c->connections);
	start_links(c);
}

static void on_dial(void *ctx)
{
	exempt_dial(ctx);
}

static void on_dialled(void *ctx, pid_t pid)
{
	exempt_dialled(ctx, pid);
}

static void on_gone(void *ctx, pid_t pid)
{
	exempt_drop(ctx, pid);
}

static void start_connections(struct client *c)
{
	struct connections_config config = {
		.starter = c->starter,
		.dest = &c->config->dest,
		.flags = c->ssh_flags,
		.pins = &c->pins,
		.first = ssh_stdio_pid(c->ssh),
		.n = c->config->connections,
		.on_dial = on_dial,
		.on_dialled = on_dialled,
		.on_gone = on_gone,
		.on_hopeless = on_no_connections,
		.ctx = c,
	};

	c->connections = connections_new(c->loop, c->carrier, &config);
}

static void on_busy(void *ctx)
{
	struct client *c = ctx;

	ssh_socket_tune(&c->socket, loop_now_us(c->loop));
}

void way_on_connected(struct client *c)
{
	if (c->way != WAY_VIA && !c->config->no_tune)
		busy_start(&c->busy, c->loop, flowplane_session(c->plane),
			   on_busy, c);
	if (c->way == WAY_HELPER && c->config->connections > 1)
		start_connections(c);
	else if (c->way == WAY_HELPER)
		start_links(c);
	else if (c->config->connections > 1)
		(void)err_set(&c->no_connections, 0,
			      "several connections need a helper on %s",
			      status_gateway(c));
	if (c->no_connections.text[0] != '\0')
		log_notice("going on with one connection: %s",
			   c->no_connections.text);
}

void way_on_session_down(struct client *c)
{
	links_stop(c->links);
	connections_stop(c->connections);
	/* A carrier that broke has let go of its channels.  ssh does not end by
	 * itself while we are connected to it, and its last words count. */
	if (session_end(flowplane_session(c->plane)) == SESSION_END_CARRIER)
		c->links = links_free(c->links);
}

void way_stop(struct client *c)
{
	busy_stop(&c->busy);
	links_stop(c->links);
	connections_stop(c->connections);
	timer_disarm(c->loop, &c->probe_timer);
	loop_unpost(&c->go_on);
	loop_unpost(&c->retire);
	timer_disarm(c->loop, &c->renewal);
	c->fresh = channels_free(c->fresh);
	exempt_dialled(c, 0);
}

void way_free(struct client *c)
{
	c->connections = connections_free(c->connections);
	c->links = links_free(c->links);
	c->relay = relay_free(c->relay);
	c->forwards = forwards_free(c->forwards);
	c->listening = NULL;
	c->n_renewals_failed = 0;
	for (size_t i = 0; i < CLIENT_WORN_MAX; i++)
		c->worn[i].channels = channels_free(c->worn[i].channels);
	c->channels = channels_free(c->channels);
	c->ssh = ssh_stdio_free(c->ssh);
	c->sock = mux_sock_free(c->sock);
	exempt_drop(c, 0);
}
