/* SPDX-License-Identifier: MIT */
/* kill_switch: nothing leaves this host but by the tunnel. */
#include "kill_switch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "brokermsg.h"
#include "client_internal.h"
#include "connected.h"
#include "dialer.h"
#include "gateway_find.h"
#include "kill_notes.h"
#include "log.h"
#include "own_broker.h"
#include "plan.h"
#include "port_range.h"
#include "rtnl.h"

/* ---- what is asked for ---- */

static void put_endpoint(const struct endpoint *e, struct brokermsg_endpoint *m)
{
	m->version = e->addr.version;
	m->port = e->port;
	memcpy(m->bytes, e->addr.bytes, sizeof(m->bytes));
}

/* The networks that stay local with --allow-lan.  Returns 0 or -errno. */
static int put_lans(struct brokermsg_kill_on *m, struct err *err)
{
	struct connected_list connected = {0};
	struct rtnl *rtnl = NULL;
	int r = rtnl_open(&rtnl, err);

	if (r == 0)
		r = connected_list(rtnl, &connected, err);
	for (size_t i = 0; r == 0 && i < connected.n; i++) {
		const struct subnet *net = &connected.nets[i].net;
		struct brokermsg_subnet *lan = &m->lans[m->n_lans];

		if (!plan_is_lan(net) || m->n_lans == BROKERMSG_LANS_MAX)
			continue;
		lan->version = net->addr.version;
		lan->prefix_len = net->prefix_len;
		memcpy(lan->bytes, net->addr.bytes, sizeof(lan->bytes));
		m->n_lans++;
	}
	connected_list_fini(&connected);
	(void)rtnl_close(rtnl);
	return r;
}

/* By a proxy there is no ssh, and its name is looked up much later. */
static int find_via(const struct client *c, struct endpoint *ret,
		    struct err *err)
{
	ret->port = c->config->via.port;
	if (addr_parse(c->config->via.host, &ret->addr) == 0)
		return 1;
	return err_set(err, -EINVAL,
		       "with --kill-switch the server of --via must be an "
		       "address, for its name cannot be looked up any more");
}

/*
 * A name that has to be asked for is asked for now, for once the switch is in
 * force nobody is.  If it is in force already the answer of that time counts.
 */
static int find_by_name(struct client *c, const struct gateway_host *host,
			const struct killnote *in_force,
			struct endpoint ret[BROKERMSG_GATEWAYS_MAX],
			struct err *err)
{
	int n = 0;

	if (host->is_jump || !dialer_is_possible(way_config(c)))
		return err_set(err, -ENOENT,
			       "the kill switch lets no name be looked up, and "
			       "%s is known by that only: write its address as "
			       "HostName into ssh_config, or into /etc/hosts",
			       host->is_jump || c->jump ? "its jump host"
							: status_gateway(c));
	for (size_t i = 0; in_force && i < in_force->n_gateways; i++)
		ret[n++] = in_force->gateways[i];
	return n > 0 ? n
		     : gateway_find_by_dns(host, ret, BROKERMSG_GATEWAYS_MAX,
					   err);
}

/* What ssh looks up for itself has to be found without asking anybody. */
static int find_by_ssh(struct client *c, const struct killnote *in_force,
		       struct endpoint ret[BROKERMSG_GATEWAYS_MAX],
		       struct err *err)
{
	struct gateway_host host;
	int r = gateway_find_host(way_config(c), &c->config->ssh_options, &host,
				  err);

	if (r < 0)
		return r;
	size_t n = gateway_find_here(&host, ret, BROKERMSG_GATEWAYS_MAX);
	return n > 0 ? (int)n : find_by_name(c, &host, in_force, ret, err);
}

/*
 * Where ssh connects by itself it is held to what was found, and to ports of
 * its own: then no other connection to the gateway fits the hole.  The ports of
 * a switch that is in force already stay, for there may be a tunnel by them.
 */
static int hold_ssh(struct client *c, const struct killnote *in_force,
		    const struct endpoint *gateways, size_t n,
		    struct port_range *ret_from, struct err *err)
{
	const struct client_config *config = c->config;

	if (config->n_kill_allowed > 0 || config->via.host[0] != '\0' ||
	    !dialer_is_possible(way_config(c)))
		return 0;
	*ret_from = in_force && in_force->from.first != 0 ? in_force->from
							  : c->ports;
	if (ret_from->first == 0)
		return err_set(err, -ERANGE,
			       "there are no ports for ssh's own use");
	return config->block_only ? 0 : way_pin(c, gateways, n, ret_from, err);
}

/* Returns how many there are, or -errno with err. */
static int find_gateways(struct client *c, const struct killnote *in_force,
			 struct endpoint ret[BROKERMSG_GATEWAYS_MAX],
			 struct err *err)
{
	const struct client_config *config = c->config;

	if (config->n_kill_allowed > 0) {
		memcpy(ret, config->kill_allowed, sizeof(config->kill_allowed));
		return (int)config->n_kill_allowed;
	}
	if (config->via.host[0] != '\0')
		return find_via(c, ret, err);
	return find_by_ssh(c, in_force, ret, err);
}

/* ---- on and off ---- */

static int put_in_force(struct client *c, const struct endpoint *gateways,
			size_t n, const struct port_range *from,
			struct err *err)
{
	struct brokermsg_kill_on m = {.uid = geteuid(),
				      .n_gateways = (uint32_t)n,
				      .first_port = from->first,
				      .last_port = from->last};

	(void)snprintf(m.name, sizeof(m.name), "%s", c->config->name);
	for (size_t i = 0; i < n; i++)
		put_endpoint(&gateways[i], &m.gateways[i]);
	/* Whoever works here by ssh goes on doing so. */
	if (c->admin_local.port != 0) {
		put_endpoint(&c->admin_local, &m.kept[0]);
		put_endpoint(&c->admin_remote, &m.kept[1]);
	}
	int r = c->config->allow_lan ? put_lans(&m, err) : 0;
	return r < 0 ? r : broker_client_kill_on(c->broker, &m, err);
}

/* What somebody who wonders why nothing works should know. */
static void say_in_force(const struct client *c)
{
	struct killnote notes[KILL_NOTES_MAX];
	char text[KILL_NOTES_TEXT_MAX];
	size_t n = kill_notes_load(notes, KILL_NOTES_MAX);

	for (size_t i = 0; i < n; i++)
		log_warn("%s%s", kill_notes_describe(&notes[i], text),
			 c->config->kill_switch && strcmp(notes[i].name,
							  c->config->name) == 0
				 ? ", and so does the end of this tunnel, "
				   "which takes it over"
				 : "");
}

/* By a switch that somebody else put in force for this tunnel. */
static int hold_to(struct client *c, const struct killnote *in_force,
		   struct err *err)
{
	struct endpoint here;
	struct gateway_host host;

	/* Whatever it is named it gets through from these ports alone. */
	if (in_force->from.first == 0 &&
	    (!dialer_is_possible(way_config(c)) ||
	     gateway_find_host(way_config(c), &c->config->ssh_options, &host,
			       err) < 0 ||
	     gateway_find_here(&host, &here, 1) > 0))
		return 0;
	return way_pin(c, in_force->gateways, in_force->n_gateways,
		       &in_force->from, err);
}

int kill_switch_begin(struct client *c, struct err *err)
{
	struct endpoint gateways[BROKERMSG_GATEWAYS_MAX];
	struct port_range from = {0};
	struct killnote in_force;
	bool is_taken_over = kill_notes_find(c->config->name, &in_force);

	say_in_force(c);
	/* Without a name's address ssh would get nowhere now. */
	if (!c->config->kill_switch)
		return is_taken_over && c->ssh_config
			       ? hold_to(c, &in_force, err)
			       : 0;
	int n = find_gateways(c, is_taken_over ? &in_force : NULL, gateways,
			      err);
	int r = n < 0 ? n
		      : hold_ssh(c, is_taken_over ? &in_force : NULL, gateways,
				 (size_t)n, &from, err);
	if (r == 0)
		r = put_in_force(c, gateways, (size_t)n, &from, err);
	c->kill.is_on = r == 0;
	c->kill.was_on = is_taken_over;
	return r;
}

void kill_switch_end(struct client *c)
{
	char text[KILL_NOTES_TEXT_MAX];
	struct killnote note;
	struct err err;

	if (!c->kill.is_on)
		return;
	/* Whatever has ended it: who is locked out is not to stay so. */
	if (c->config->confirm_s > 0 && !c->is_confirmed && !c->kill.was_on)
		c->kill.is_unwanted = true;
	if (c->kill.is_unwanted && !c->is_broker_dead) {
		if (broker_client_kill_off(c->broker, c->config->name, &err) ==
		    0) {
			c->kill.is_on = false;
			return;
		}
		log_warn("%s", err.text);
	}
	if (kill_notes_find(c->config->name, &note))
		log_notice("%s", kill_notes_describe(&note, text));
}

int kill_switch_lift(const char *tunnel, struct err *err)
{
	struct broker_client *broker = NULL;
	int r = own_broker_start(&broker, BROKER_VIA_AUTO, err);

	if (r < 0)
		return r;
	r = broker_client_kill_off(broker, tunnel, err);
	int r_stop = broker_client_stop(broker, r < 0 ? NULL : err);
	return r < 0 ? r : r_stop;
}
