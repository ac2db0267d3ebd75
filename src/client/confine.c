/* SPDX-License-Identifier: MIT */
/*
 * confine: see confine.h.
 *
 * A sandbox is handed on to the programs that are started in it, and ssh and
 * scripts may need whatever the user may.  So it is for tunnels that have
 * started their last program; others say why they have none.
 */
#include "confine.h"

#include "client_internal.h"
#include "log.h"
#include "sandbox.h"

const char *confine_why_not(const struct client *c)
{
	if (c->config->reconnects)
		return "ssh is started again when the connection is lost";
	if (c->config->connections > 1)
		return "further connections of ssh are started as needed";
	if (c->config->script)
		return "the script is still to be run";
	if (c->way == WAY_CHANNELS)
		return "without a helper ssh is started again now and then";
	return NULL;
}

void confine_on_up(struct client *c)
{
	struct err err;

	if (confine_why_not(c) || c->sandbox)
		return;
	if (sandbox_enter(&sandbox_engine, NULL, 0, &c->sandbox, &err) < 0)
		log_warn("%s, ignoring", err.text);
}
