/* SPDX-License-Identifier: MIT */
/*
 * exempt: see exempt.h.
 *
 * Why both names and mark: the kernel looks routes up without ports when it
 * learns a path MTU, so that the names alone would leave it unlearnt; and a
 * strict reverse path filter looks up what comes in, which has no mark.
 *
 * A connection that comes from another tunnel of this host must not be
 * exempted: it would leave that one.  Then the gateway's address is left out of
 * our routes, and the longest prefix in the table of all tunnels finds the
 * other's.
 */
#include "exempt.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "brokermsg.h"
#include "client_internal.h"
#include "fd.h"
#include "log.h"
#include "rtnl.h"

enum { PEERS_MAX = 32 };

static_assert((int)EXEMPT_GATEWAYS_MAX == (int)DIALER_ENDPOINTS_MAX, "");

/* ---- other tunnels of this host ---- */

static bool is_tunnel(uint32_t ifindex, const struct rtnl_route *routes,
		      size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (routes[i].table == BROKERMSG_TABLE &&
		    routes[i].ifindex == ifindex)
			return true;
	return false;
}

/* True if the address is that of a tunnel; also if that cannot be told. */
static bool is_of_tunnel(const struct ip_addr *local)
{
	struct rtnl *rtnl = NULL;
	struct rtnl_addr *addrs = NULL;
	struct rtnl_route *routes = NULL;
	size_t n_addrs = 0, n_routes = 0;
	bool is_so = true;

	if (rtnl_open(&rtnl, NULL) == 0 &&
	    rtnl_addr_dump(rtnl, &addrs, &n_addrs, NULL) == 0 &&
	    rtnl_route_dump(rtnl, &routes, &n_routes, NULL) == 0) {
		is_so = false;
		for (size_t i = 0; i < n_addrs; i++)
			is_so |= addr_equal(&addrs[i].addr, local) &&
				 is_tunnel(addrs[i].ifindex, routes, n_routes);
	}
	free(routes);
	free(addrs);
	(void)rtnl_close(rtnl);
	return is_so;
}

/* ---- one connection ---- */

static void note_gateway(struct exempt *e, const struct endpoint *remote)
{
	for (size_t i = 0; i < e->n_gateways; i++)
		if (endpoint_equal(&e->gateways[i], remote))
			return;
	if (e->n_gateways < EXEMPT_GATEWAYS_MAX)
		e->gateways[e->n_gateways++] = *remote;
}

static struct exempt_connection *free_place(struct exempt *e)
{
	for (size_t i = 0; i < EXEMPT_CONNECTIONS_MAX; i++)
		if (e->connections[i].pid == 0)
			return &e->connections[i];
	return NULL;
}

/* The names keep it out of the tunnel already: without a mark only a smaller
 * MTU on the way is not noticed. */
static void mark(struct client *c, const struct ssh_socket *socket,
		 enum ip_version version)
{
	CLEANUP_FD int fd = ssh_socket_dup(socket);
	struct err why = {{0}};

	if (fd < 0 || broker_client_mark(c->broker, fd, version, &why) < 0)
		log_debug("ssh's connection is not marked: %s", why.text);
}

static struct broker_exemption exemption(const struct ssh_peer *peer)
{
	return (struct broker_exemption){
		.local = peer->local.addr,
		.from = {peer->local.port, peer->local.port},
		.remote = peer->remote,
		.uid = BROKER_CLIENT_NO_UID,
	};
}

/* Returns 0, or -errno with err: nothing has changed then. */
static int add(struct client *c, const struct ssh_peer *peer, struct err *err)
{
	struct broker_exemption it = exemption(peer);

	return broker_client_exempt_add(c->broker, &it, err);
}

static void complain(struct client *c, const struct err *why)
{
	if (!c->exempt.has_complained)
		log_warn("the gateway's address is kept out of the tunnel for "
			 "all programs: %s",
			 why->text);
	c->exempt.has_complained = true;
}

static int leave_out(struct client *c, const struct ip_addr *remote,
		     struct err *err)
{
	struct subnet hole = subnet_of_addr(remote);

	return plan_exclude(&c->plan, &hole, err);
}

/* ---- the first ---- */

/* SOCKS servers are connected to anew for each flow, by ourselves. */
static int plan_via(struct client *c, struct err *err)
{
	struct ip_addr peers[1];

	return way_peers(c, peers, 1) > 0 ? leave_out(c, &peers[0], err) : 0;
}

static bool wants_everything(const struct client *c)
{
	for (size_t i = 0; i < c->n_asked; i++)
		if (c->asked[i].prefix_len == 0)
			return true;
	return false;
}

/*
 * There is no connection of ssh's.  One that goes by another program may go by
 * the connection of an ssh that was there before, which would be routed into
 * the tunnel that it carries.
 */
static int plan_unseen(struct client *c, struct err *err)
{
	bool has_jump = ssh_config_is_set(c->ssh_config->proxy_jump);
	bool is_led =
		has_jump || ssh_config_is_set(c->ssh_config->proxy_command);

	if (is_led && wants_everything(c) && c->config->n_excludes == 0)
		return err_set(
			err, -EOPNOTSUPP,
			"cannot tell which connection carries the tunnel, so "
			"that it would be routed into itself: %s",
			has_jump ? "have the jump hosts share none "
				   "(\"ControlPath none\" in ssh_config), or "
				   "exclude the address of the first with -x"
				 : "exclude the address that the ProxyCommand "
				   "connects to with -x, or 127.0.0.1 if there "
				   "is none");
	log_warn("cannot tell which connection carries the tunnel; if its "
		 "address lies in a subnet of the tunnel, exclude it with -x");
	return 0;
}

int exempt_plan(struct client *c, struct err *err)
{
	struct exempt *e = &c->exempt;
	struct ssh_peer peers[PEERS_MAX];
	int r = 0;

	if (c->way == WAY_VIA)
		return plan_via(c, err);
	int n = starter_connections(c->starter, way_pid(c), peers, PEERS_MAX);

	if (n <= 0)
		return plan_unseen(c, err);
	for (int i = 0; i < n && r == 0; i++) {
		struct exempt_connection *place = free_place(e);

		if (!place || is_of_tunnel(&peers[i].local.addr)) {
			r = leave_out(c, &peers[i].remote.addr, err);
			continue;
		}
		*place = (struct exempt_connection){way_pid(c), peers[i]};
		note_gateway(e, &peers[i].remote);
	}
	return r;
}

int exempt_up(struct client *c, struct err *err)
{
	struct exempt *e = &c->exempt;
	struct err why;
	int r = 0;

	e->is_up = true;
	for (size_t i = 0; i < EXEMPT_CONNECTIONS_MAX && r == 0; i++) {
		struct exempt_connection *it = &e->connections[i];

		if (it->pid == 0)
			continue;
		if (add(c, &it->peer, &why) < 0) {
			complain(c, &why);
			it->pid = 0;
			r = leave_out(c, &it->peer.remote.addr, err);
			continue;
		}
		mark(c, &c->socket,
		     (enum ip_version)it->peer.remote.addr.version);
	}
	return r;
}

/* ---- who sits at the other end of this host's sshd ---- */

static bool is_routed(const struct client *c, const struct ip_addr *addr)
{
	for (size_t i = 0; i < c->plan.n_routes; i++)
		if (subnet_contains(&c->plan.routes[i], addr))
			return true;
	return false;
}

int exempt_admin(struct client *c, struct err *err)
{
	struct ssh_peer peer = {c->admin_local, c->admin_remote};
	char shown[ADDR_TEXT_MAX];
	struct err why;
	int r = 0;

	if (peer.remote.port == 0 || !is_routed(c, &peer.remote.addr) ||
	    is_of_tunnel(&peer.local.addr))
		return 0;
	if (add(c, &peer, &why) < 0) {
		log_debug("%s", why.text);
		r = leave_out(c, &peer.remote.addr, err);
	}
	if (r == 0)
		log_notice("your SSH connection from %s to this host goes past "
			   "the tunnel",
			   addr_format(&peer.remote.addr, shown));
	return r;
}

/* ---- those that come later ---- */

/* What one user opens. */
static void change_dialling(struct client *c, bool is_dialling, uid_t uid)
{
	const struct dialer_pins *to = &c->exempt.dialling;
	struct err why;

	for (size_t i = 0; i < to->n; i++) {
		const struct broker_exemption it = {
			.from = to->from, .remote = to->to[i], .uid = uid};
		int r = is_dialling
				? broker_client_exempt_add(c->broker, &it, &why)
				: broker_client_exempt_del(c->broker, &it,
							   &why);

		if (r < 0)
			log_debug("%s", why.text);
	}
}

static void change_all(struct client *c, bool is_dialling)
{
	change_dialling(c, is_dialling, geteuid());
	/* A strict reverse path filter takes an answer for root's. */
	if (geteuid() != 0)
		change_dialling(c, is_dialling, 0);
}

/*
 * Where ssh looks the name up itself it is taken to find what was seen.  But
 * not if it does so only to find out if that is another one now: it may try in
 * vain, which others' connections are not to go past the tunnel for.
 */
void exempt_dial(struct client *c)
{
	struct exempt *e = &c->exempt;

	if (!e->is_up || !c->broker || e->dialling.n > 0 ||
	    (c->pins.n == 0 && c->reconnect.has_pinned))
		return;
	e->dialling = c->pins;
	if (c->pins.n == 0) {
		e->dialling =
			(struct dialer_pins){.n = (uint32_t)e->n_gateways};
		memcpy(e->dialling.to, e->gateways, sizeof(e->gateways));
	}
	change_all(c, true);
}

static void take(struct client *c, pid_t pid)
{
	struct ssh_peer peers[PEERS_MAX];
	struct ssh_socket socket;
	struct err why;
	const struct ssh_lender lender = {starter_lend, c->starter};
	int n = starter_connections(c->starter, pid, peers, PEERS_MAX);

	(void)ssh_socket_find(&lender, pid, &socket);
	for (int i = 0; i < n; i++) {
		struct exempt_connection *place = free_place(&c->exempt);

		if (!place || is_of_tunnel(&peers[i].local.addr))
			continue;
		if (add(c, &peers[i], &why) < 0) {
			log_warn("%s", why.text);
			continue;
		}
		*place = (struct exempt_connection){pid, peers[i]};
		note_gateway(&c->exempt, &peers[i].remote);
		mark(c, &socket, (enum ip_version)peers[i].remote.addr.version);
	}
}

void exempt_dialled(struct client *c, pid_t pid)
{
	if (!c->exempt.is_up || !c->broker)
		return;
	if (pid != 0)
		take(c, pid);
	change_all(c, false);
	c->exempt.dialling.n = 0;
}

void exempt_drop(struct client *c, pid_t pid)
{
	struct exempt *e = &c->exempt;
	struct err why;

	for (size_t i = 0; i < EXEMPT_CONNECTIONS_MAX; i++) {
		struct exempt_connection *it = &e->connections[i];

		if (it->pid == 0 || (pid != 0 && it->pid != pid))
			continue;
		it->pid = 0;
		const struct broker_exemption gone = exemption(&it->peer);
		if (e->is_up && c->broker &&
		    broker_client_exempt_del(c->broker, &gone, &why) < 0)
			log_debug("%s", why.text);
	}
}
