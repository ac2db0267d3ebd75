/* SPDX-License-Identifier: MIT */
/*
 * auto_nets: the networks that the gateway reaches, asked for before the tunnel
 * gets its shape.
 *
 * Not here: which of them are taken (netcfg/told.h).
 */
#include "auto_nets.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "client_internal.h"
#include "connected.h"
#include "log.h"
#include "rtnl.h"
#include "told.h"

static_assert((int)FRAME_ROUTES_MAX <= (int)TOLD_MAX, "");

enum {
	ANSWER_TIMEOUT_S = 15,
	PEERS_MAX = 32,
};

static void on_timeout(void *ctx)
{
	struct client *c = ctx;
	struct err why;

	(void)err_set(&why, 0,
		      "%s has not told within %d s which networks it reaches",
		      status_gateway(c), ANSWER_TIMEOUT_S);
	client_end(c, CLIENT_EXIT_LACKING, &why);
}

bool auto_nets_ask(struct client *c)
{
	struct err why;

	if (!c->config->auto_nets || c->has_told)
		return false;
	if (!(c->peer.capabilities & FRAME_CAP_ROUTES)) {
		(void)err_set(&why, 0,
			      "--auto-nets needs a helper on %s, of this "
			      "version: name the subnets instead",
			      status_gateway(c));
		client_end(c, CLIENT_EXIT_LACKING, &why);
		return true;
	}
	c->told_timer = (struct timer){.on_fire = on_timeout, .ctx = c};
	timer_arm(c->loop, &c->told_timer, ANSWER_TIMEOUT_S * US_PER_SEC);
	session_send_routes_ask(flowplane_session(c->plane));
	return true;
}

static int choose(struct client *c, const struct frame_routes *routes,
		  struct told *ret_told, struct err *err)
{
	struct ip_addr peers[PEERS_MAX];
	struct connected_list connected = {0};
	struct rtnl *rtnl = NULL;
	int n_peers = way_peers(c, peers, PEERS_MAX);
	struct told_input in = {
		.nets = routes->nets,
		.n = routes->n,
		.n_more = routes->n_more,
		.connected = &connected,
		.peers = peers,
		.n_peers = n_peers > 0 ? (size_t)n_peers : 0,
	};
	int r = rtnl_open(&rtnl, err);

	if (r == 0)
		r = connected_list(rtnl, &connected, err);
	(void)rtnl_close(rtnl);
	if (r == 0)
		told_choose(&in, ret_told);
	connected_list_fini(&connected);
	return r;
}

static bool is_asked(const struct client *c, const struct subnet *net)
{
	for (size_t i = 0; i < c->n_asked; i++)
		if (subnet_equal(&c->asked[i], net))
			return true;
	return false;
}

static int take(struct client *c, const struct told *told, struct err *err)
{
	size_t n = c->n_asked + told->n_taken;
	struct subnet *grown = reallocarray(c->asked, n + 1, sizeof(*grown));

	if (!grown)
		return err_set(err, -ENOMEM, "out of memory");
	c->asked = grown;
	for (size_t i = 0; i < told->n_taken; i++)
		if (!is_asked(c, &told->taken[i]))
			c->asked[c->n_asked++] = told->taken[i];
	if (told->n_taken > 0)
		log_notice("%s reaches %s; routed", status_gateway(c),
			   told->reaches.text);
	if (told->refused.text[0] != '\0')
		log_notice("%s says that it reaches, not routed: %s",
			   status_gateway(c), told->refused.text);
	if (c->n_asked == 0 && c->config->n_routed_domains == 0)
		return err_set(err, -ENOENT,
			       "%s reaches no network that could be routed "
			       "into the tunnel: name subnets",
			       status_gateway(c));
	return 0;
}

void auto_nets_on_routes(struct client *c, const struct frame_routes *routes)
{
	struct told told;
	struct err err;

	if (!timer_is_armed(&c->told_timer))
		return;
	timer_disarm(c->loop, &c->told_timer);
	c->has_told = true;
	int r = choose(c, routes, &told, &err);
	if (r == 0)
		r = take(c, &told, &err);
	if (r == 0)
		client_on_shape_known(c);
	else
		client_end(c,
			   r == -ENOENT ? CLIENT_EXIT_LACKING
					: CLIENT_EXIT_RUNTIME,
			   &err);
}

void auto_nets_stop(struct client *c)
{
	timer_disarm(c->loop, &c->told_timer);
}
