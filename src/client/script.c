/* SPDX-License-Identifier: MIT */
/* script: when the user's script is run, and what it is told. */
#include "script.h"

#include <assert.h>
#include <stdio.h>

#include "log.h"
#include "told.h"

static_assert((int)HOOK_TOLD_MAX >= (int)TOLD_MAX, "");

int script_start(struct client *c, struct err *err)
{
	const struct client_config *config = c->config;

	if (!config->script || config->is_dry_run)
		return 0;
	for (size_t i = 0; i < config->n_domains; i++)
		c->hook_domains[i] = config->domains[i];
	c->hook_plan = (struct hook_plan){
		.script = config->script,
		.subnets = config->subnets,
		.n_subnets = config->n_subnets,
		.excludes = config->excludes,
		.n_excludes = config->n_excludes,
		.domains = c->hook_domains,
		.n_domains = config->n_domains,
		.mtu_bytes = config->mtu_bytes,
		.is_verbose = log_enabled(LOG_LEVEL_DEBUG),
	};
	return hook_new(&c->hook_plan, &c->hook, err);
}

static void on_done(void *ctx, enum hook_reason reason)
{
	struct client *c = ctx;

	switch (reason) {
	case HOOK_PRE_INIT:
		if (c->state == CLIENT_CONNECTING && !c->has_said_why)
			client_make_tunnel(c);
		return;
	case HOOK_CONNECT:
		if (!c->has_said_why)
			client_is_up(c);
		return;
	case HOOK_RECONNECT:
		return;
	case HOOK_DISCONNECT:
		c->is_saying_goodbye = false;
		loop_post(c->loop, &c->stop);
		return;
	case HOOK_REASON__N:
		return;
	}
}

int script_watch(struct client *c)
{
	return c->hook ? hook_watch(c->hook, c->loop, on_done, c) : 0;
}

static struct hook_facts facts_of(const struct client *c)
{
	struct hook_facts facts = {
		.address4 = c->address4,
		.address6 = c->address6,
	};
	struct ip_addr dns[STUB_ADDRS_MAX];
	size_t n_dns = stub_addresses(c, dns);
	struct ip_addr peer;

	/* Behind the user's own, which the script knows. */
	for (size_t i = c->config->n_subnets; i < c->n_asked; i++)
		if (facts.n_told < HOOK_TOLD_MAX)
			facts.told[facts.n_told++] = c->asked[i];
	if (way_peers(c, &peer, 1) > 0)
		facts.gateway = peer;
	if (n_dns == 0)
		dns[n_dns++] = c->config->dns_server.addr;
	for (size_t i = 0; i < n_dns; i++)
		if (dns[i].version == IPV4)
			facts.dns4 = dns[i];
		else if (dns[i].version == IPV6)
			facts.dns6 = dns[i];
	(void)snprintf(facts.device, sizeof(facts.device), "%s",
		       c->device.name);
	return facts;
}

bool script_run(struct client *c, enum hook_reason reason)
{
	if (!c->hook)
		return false;
	/* Of a connection that is lost nothing can be asked any more. */
	if (reason != HOOK_DISCONNECT)
		c->hook_facts = facts_of(c);
	return hook_run(c->hook, reason, &c->hook_facts);
}

bool script_say_goodbye(struct client *c)
{
	if (!c->is_saying_goodbye)
		c->is_saying_goodbye = script_run(c, HOOK_DISCONNECT);
	return c->is_saying_goodbye;
}
