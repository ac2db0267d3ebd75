/* SPDX-License-Identifier: MIT */
/*
 * network: what of this machine's network leads into the tunnel.
 *
 * Routes are those of the plan (netcfg/plan.h), in a table that is looked up
 * before all others; what carries the tunnel goes past it (exempt.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addr_pick.h"
#include "brokermsg.h"
#include "client_internal.h"
#include "connected.h"
#include "host_seed.h"
#include "log.h"
#include "plan.h"
#include "rtnl.h"
#include "tun.h"

enum { PEERS_MAX = 32 };

static void say_notes(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_notes; i++) {
		const struct plan_note *note = &plan->notes[i];

		switch (note->kind) {
		case PLAN_NOTE_CHOICE:
			log_notice("%s", note->said.text);
			break;
		case PLAN_NOTE_WARNING:
			log_warn("%s", note->said.text);
			break;
		}
	}
}

/* Fill c->plan. */
static int plan_routes(struct client *c, struct err *err)
{
	const struct client_config *config = c->config;
	struct connected_list connected = {0};
	struct plan_input in = {
		.asked = c->asked,
		.n_asked = c->n_asked,
		.excludes = config->excludes,
		.n_excludes = config->n_excludes,
		.connected = &connected,
		.is_full = config->is_full,
		.allow_lan = config->allow_lan,
	};
	struct rtnl *rtnl = NULL;
	int r = rtnl_open(&rtnl, err);

	if (r == 0)
		r = connected_list(rtnl, &connected, err);
	c->has_ipv6 = connected.has_ipv6;
	if (r == 0 && c->n_asked > 0)
		r = plan_make(&in, &c->plan, err);
	connected_list_fini(&connected);
	(void)rtnl_close(rtnl);
	if (r == 0)
		say_notes(&c->plan);
	return r;
}

static bool has_version(const struct client *c, enum ip_version version)
{
	for (size_t i = 0; i < c->plan.n_routes; i++)
		if (c->plan.routes[i].addr.version == version)
			return true;
	return false;
}

/* Anything of this version is routed, or names may have it. */
static bool may_route(const struct client *c, enum ip_version version)
{
	return has_version(c, version) || (c->config->n_routed_domains > 0 &&
					   (version == IPV4 || c->has_ipv6));
}

/* Replies to the address of a tunnel would go there. */
static int check_is_free(const struct client *c, struct rtnl *rtnl,
			 const struct ip_addr *a, struct err *err)
{
	struct ip_addr peers[PEERS_MAX];
	struct rtnl_addr *own = NULL;
	char text[ADDR_TEXT_MAX];
	const char *whose = NULL;
	size_t n = 0;

	if (!a->version)
		return 0;
	int n_peers = way_peers(c, peers, PEERS_MAX);
	for (int i = 0; i < n_peers; i++)
		if (addr_equal(&peers[i], a))
			whose = "the gateway";
	int r = rtnl_addr_dump(rtnl, &own, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (addr_equal(&own[i].addr, a))
			whose = "this host";
	free(own);
	if (r == 0 && whose)
		r = err_set(err, -EADDRINUSE,
			    "%s cannot be the tunnel's address, for %s has it: "
			    "take another one for --address, or leave that out",
			    addr_format(a, text), whose);
	return r;
}

static int choose_addresses(struct client *c, struct err *err)
{
	const struct client_config *config = c->config;
	struct rtnl *rtnl = NULL;
	uint8_t seed[HOST_SEED_LEN];
	int r = rtnl_open(&rtnl, err);

	if (r < 0)
		return r;
	/* Others may call theirs the same, and the gateway has to tell our
	 * packets from theirs.  It takes ours for the same as before. */
	host_seed(config->name, seed);
	r = addr_pick(rtnl, seed, c->asked, c->n_asked, &c->address4,
		      &c->address6, err);
	if (r == 0)
		r = check_is_free(c, rtnl, &config->address4, err);
	if (r == 0)
		r = check_is_free(c, rtnl, &config->address6, err);
	(void)rtnl_close(rtnl);
	if (r < 0)
		return r;
	if (config->address4.version)
		c->address4 = config->address4;
	if (config->address6.version)
		c->address6 = config->address6;
	/* No address of a family that nothing is routed for. */
	if (!may_route(c, IPV4))
		c->address4.version = 0;
	if (!may_route(c, IPV6))
		c->address6.version = 0;
	return 0;
}

int network_plan(struct client *c, struct err *err)
{
	int r = plan_routes(c, err);

	if (r == 0)
		r = exempt_plan(c, err);
	if (r == 0)
		r = choose_addresses(c, err);
	return r < 0 ? r : stub_plan(c, err);
}

int network_request(struct client *c)
{
	const struct client_config *config = c->config;
	struct flowplane_network ours = {
		.near4 = c->address4,
		.near6 = c->address6,
		.announced = config->announced,
		.n_announced = config->n_announced,
		.asked = c->asked,
		.n_asked = c->n_asked,
		.allow_inbound = config->allow_inbound,
	};
	struct frame_network ask = {
		.mtu_bytes = (uint16_t)config->mtu_bytes,
		.near4 = c->address4,
		.near6 = c->address6,
		.n_announced = config->n_announced,
	};

	if (config->no_nat)
		ask.flags |= FRAME_NETWORK_NO_NAT;
	if (config->allow_inbound)
		ask.flags |= FRAME_NETWORK_ALLOW_INBOUND;
	if (config->far_sudo)
		ask.flags |= FRAME_NETWORK_SUDO;
	if (config->no_tune)
		ask.flags |= FRAME_NETWORK_NO_TUNE;
	for (size_t i = 0; i < config->n_announced; i++)
		ask.announced[i] = config->announced[i];
	int r = flowplane_set_network(c->plane, &ours);
	if (r == 0)
		flowplane_request_network(c->plane, &ask);
	return r;
}

/* Without it a tunnel is none the worse, but somebody in the local network may
 * find out about it. */
static int guard(struct client *c, struct err *err)
{
	bool is_announced = c->config->n_announced > 0;
	int r = broker_client_guard(
		c->broker, is_announced ? BROKERMSG_GUARD_ANNOUNCED : 0, err);

	if (r == -EPIPE || r == 0)
		return r;
	log_warn("hosts of the local network can reach the tunnel's addresses: "
		 "%s",
		 err->text);
	return 0;
}

int network_up(struct client *c, struct err *err)
{
	int r = broker_client_tun_create(c->broker, "", c->config->mtu_bytes,
					 TUN_OFFLOAD_ALL, &c->device, err);

	if (r < 0)
		return r;
	c->tun = tun_port_new(c->loop, c->device.fd, c->plane,
			      client_on_tun_gone, c);
	if (!c->tun)
		return err_set(err, -errno, "cannot watch the TUN device: %m");
	if (c->address4.version)
		r = broker_client_addr_add(c->broker, &c->address4, err);
	if (r == 0 && c->address6.version)
		r = broker_client_addr_add(c->broker, &c->address6, err);
	if (r == 0)
		r = guard(c, err);
	if (r == 0)
		r = broker_client_link_up(c->broker, err);
	if (r == 0)
		r = exempt_up(c, err);
	if (r == 0)
		r = exempt_admin(c, err);
	for (size_t i = 0; i < c->plan.n_routes && r == 0; i++)
		r = broker_client_route_add(c->broker, &c->plan.routes[i], err);
	if (r == 0 && !c->config->is_dry_run)
		lan_watch_start(c);
	return r < 0 ? r : stub_route(c, err);
}
