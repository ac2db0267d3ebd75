/* SPDX-License-Identifier: MIT */
/*
 * lan_watch: see lan_watch.h.
 *
 * Routes stay as they were planned: whoever says what the local network is
 * must not be able to take anything out of a tunnel that is up.
 */
#include "lan_watch.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "addr_watch.h"
#include "client_internal.h"
#include "escape.h"
#include "fd.h"
#include "log.h"
#include "rtnl.h"

static bool is_routed(const struct client *c, const struct subnet *net)
{
	for (size_t i = 0; i < c->plan.n_routes; i++)
		if (subnet_overlaps(&c->plan.routes[i], net))
			return true;
	return false;
}

/* It came after the plan was made, and is not what --full is for. */
static bool is_out_of_reach(const struct client *c, const struct connected *lan)
{
	bool is_meant = c->config->is_full &&
			!(c->config->allow_lan && plan_is_lan(&lan->net));

	return !is_meant && !connected_has(&c->lan_watch.before, lan) &&
	       strcmp(lan->device, c->device.name) != 0 &&
	       is_routed(c, &lan->net);
}

static const char *describe(const struct client *c, const struct connected *lan,
			    char out[LAN_WATCH_TEXT_MAX])
{
	char net[SUBNET_TEXT_MAX], device[4 * CONNECTED_NAME_MAX];

	subnet_format(&lan->net, net);
	escape_text(lan->device, strlen(lan->device), device, sizeof(device));
	(void)snprintf(out, LAN_WATCH_TEXT_MAX,
		       "%s is in %s now, and what goes there goes into the "
		       "tunnel: to reach that network itself, start the tunnel "
		       "anew%s%s",
		       device, net, c->config->is_full ? "" : " with -x ",
		       c->config->is_full ? "" : net);
	return out;
}

const char *lan_watch_tell(const struct client *c, size_t i,
			   char out[LAN_WATCH_TEXT_MAX])
{
	const struct connected_list *now = &c->lan_watch.now;

	for (size_t k = 0; k < now->n; k++)
		if (is_out_of_reach(c, &now->nets[k]) && i-- == 0)
			return describe(c, &now->nets[k], out);
	return NULL;
}

static int look(struct connected_list *ret)
{
	struct rtnl *rtnl = NULL;
	struct err err;
	int r = rtnl_open(&rtnl, &err);

	if (r == 0)
		r = connected_list(rtnl, ret, &err);
	(void)rtnl_close(rtnl);
	if (r < 0)
		log_debug("%s", err.text);
	return r;
}

static void on_change(void *ctx, uint32_t events)
{
	struct client *c = ctx;
	struct lan_watch *w = &c->lan_watch;
	struct connected_list now = {0};
	char text[LAN_WATCH_TEXT_MAX];

	(void)events;
	addr_watch_drain(w->io.fd);
	if (look(&now) < 0)
		return;
	for (size_t i = 0; i < now.n; i++)
		if (is_out_of_reach(c, &now.nets[i]) &&
		    !connected_has(&w->now, &now.nets[i]))
			log_warn("%s", describe(c, &now.nets[i], text));
	connected_list_fini(&w->now);
	w->now = now;
	roam_look(c);
}

void lan_watch_start(struct client *c)
{
	struct lan_watch *w = &c->lan_watch;
	int fd = addr_watch_open();

	if (fd < 0) {
		log_debug("cannot watch addresses: %s", strerror(-fd));
		return;
	}
	w->io = (struct loop_io){.fd = fd, .on_event = on_change, .ctx = c};
	if (look(&w->before) < 0 || loop_io_add(c->loop, &w->io, EPOLLIN) < 0)
		fd_close(&w->io.fd);
}

void lan_watch_stop(struct client *c)
{
	struct lan_watch *w = &c->lan_watch;

	if (w->io.on_event && w->io.fd >= 0) {
		loop_io_del(c->loop, &w->io);
		fd_close(&w->io.fd);
	}
	connected_list_fini(&w->before);
	connected_list_fini(&w->now);
}
