/* SPDX-License-Identifier: MIT */
/* roam: see roam.h. */
#include "roam.h"

#include <stdbool.h>
#include <stdlib.h>

#include "client_internal.h"
#include "rtnl.h"

/* Who configures a network takes addresses away that are there again at once.
 */
enum { GRACE_US = 2000000 };

static bool is_there(const struct rtnl_addr *addrs, size_t n,
		     const struct ip_addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&addrs[i].addr, a))
			return true;
	return false;
}

/* One that has gone, of connections that are all lost; NULL: not all are, or
 * none is known. */
static const struct ip_addr *find_lost(const struct client *c)
{
	const struct ip_addr *lost = NULL;
	struct rtnl *rtnl = NULL;
	struct rtnl_addr *addrs = NULL;
	size_t n = 0;
	bool is_one_there = rtnl_open(&rtnl, NULL) < 0 ||
			    rtnl_addr_dump(rtnl, &addrs, &n, NULL) < 0;

	for (size_t i = 0; i < EXEMPT_CONNECTIONS_MAX && !is_one_there; i++) {
		const struct exempt_connection *it = &c->exempt.connections[i];

		if (it->pid == 0)
			continue;
		lost = &it->peer.local.addr;
		is_one_there = is_there(addrs, n, lost);
	}
	free(addrs);
	(void)rtnl_close(rtnl);
	return is_one_there ? NULL : lost;
}

static bool is_wanted(const struct client *c)
{
	return c->config->reconnects && c->state == CLIENT_CONNECTED;
}

static void on_grace(void *ctx)
{
	struct client *c = ctx;
	const struct ip_addr *lost = is_wanted(c) ? find_lost(c) : NULL;
	char text[ADDR_TEXT_MAX];
	struct err why;

	if (!lost)
		return;
	(void)err_set(&why, 0,
		      "this host does not have the address %s any more",
		      addr_format(lost, text));
	client_lost(c, CLIENT_EXIT_SSH, &why);
}

void roam_init(struct client *c)
{
	c->roam.grace = (struct timer){.on_fire = on_grace, .ctx = c};
}

void roam_look(struct client *c)
{
	if (!is_wanted(c) || !find_lost(c))
		timer_disarm(c->loop, &c->roam.grace);
	else if (!timer_is_armed(&c->roam.grace))
		timer_arm(c->loop, &c->roam.grace, GRACE_US);
}

void roam_stop(struct client *c)
{
	timer_disarm(c->loop, &c->roam.grace);
}
