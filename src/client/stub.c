/* SPDX-License-Identifier: MIT */
/*
 * stub: the tunnel's own resolver, and what it leads into the tunnel.
 *
 * Its addresses are chosen as those of this end are, beside them, and are no
 * host's: packets to them are the plane's.  The stub outlives the connection,
 * and so does what it knows.
 *
 * An address that a name of the user's domains has is routed before the answer
 * is told, so the first packet to it takes the tunnel.  Whoever rules the names
 * must not get anything there that the user would not send there: nothing of
 * this host and of the networks around it (else a name could point at what is
 * in the LAN and have it taken away from there), nothing that carries the
 * tunnel, nothing that was excluded, and not the host that the administrator
 * sits at: of that one only the session that we were started by could be
 * exempted.
 */
#include "stub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addr_pick.h"
#include "client_internal.h"
#include "host_seed.h"
#include "log.h"
#include "mem_carrier.h"
#include "rtnl.h"

enum {
	LOOK_US = 2000000, /* what this host is like does not change faster */
};

bool stub_is_wanted(const struct client *c)
{
	return c->config->n_routed_domains > 0 ||
	       host_dns_mode(c->config) != CLIENT_DNS_OFF;
}

/* ---- addresses ---- */

int stub_plan(struct client *c, struct err *err)
{
	const struct client_config *config = c->config;
	struct stub *s = &c->stub;
	uint8_t seed[HOST_SEED_LEN];
	size_t n = c->n_asked;

	if (!stub_is_wanted(c))
		return 0;
	struct subnet *taken = calloc(n + 2, sizeof(*taken));

	if (!taken)
		return err_set(err, -ENOMEM, "out of memory");
	if (n > 0)
		memcpy(taken, c->asked, n * sizeof(*taken));
	if (c->address4.version)
		taken[n++] = subnet_of_addr(&c->address4);
	if (c->address6.version)
		taken[n++] = subnet_of_addr(&c->address6);
	host_seed(config->name, seed);
	/* Elsewhere in the same ranges. */
	seed[0] ^= 0x35;
	seed[sizeof(seed) - 1] ^= 0x35;
	int r = s->rtnl ? 0 : rtnl_open(&s->rtnl, err);
	if (r == 0)
		r = addr_pick(s->rtnl, seed, taken, n, &s->addr4, &s->addr6,
			      err);
	free(taken);
	if (!c->address4.version)
		s->addr4.version = 0;
	if (!c->address6.version)
		s->addr6.version = 0;
	return r;
}

size_t stub_addresses(const struct client *c,
		      struct ip_addr ret_addrs[STUB_ADDRS_MAX])
{
	size_t n = 0;

	if (!c->stub.dns)
		return 0;
	if (c->stub.addr4.version)
		ret_addrs[n++] = c->stub.addr4;
	if (c->stub.addr6.version)
		ret_addrs[n++] = c->stub.addr6;
	return n;
}

int stub_route(struct client *c, struct err *err)
{
	struct ip_addr addrs[STUB_ADDRS_MAX];
	size_t n = stub_addresses(c, addrs);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct subnet net = subnet_of_addr(&addrs[i]);

		r = broker_client_route_add(c->broker, &net, err);
	}
	return r;
}

/* ---- what must not be routed ---- */

/* Take in what this host is like now.  Keeps what is known if that fails.  Not
 * for each name: what carries us is found by reading much of /proc. */
static void look(struct client *c)
{
	struct stub *s = &c->stub;
	mono_us_t now_us = loop_now_us(c->loop);
	struct connected_list connected = {0};
	struct rtnl_addr *addrs = NULL;
	size_t n = 0;

	if (s->looked_us && now_us - s->looked_us < LOOK_US)
		return;
	if (connected_list(s->rtnl, &connected, NULL) < 0 ||
	    rtnl_addr_dump(s->rtnl, &addrs, &n, NULL) < 0) {
		connected_list_fini(&connected);
		return;
	}
	struct ip_addr *own = calloc(n + 1, sizeof(*own));

	for (size_t i = 0; own && i < n; i++)
		own[i] = addrs[i].addr;
	free(addrs);
	connected_list_fini(&s->connected);
	free(s->own);
	s->connected = connected;
	s->own = own;
	s->n_own = own ? n : 0;
	int n_peers = way_peers(c, s->peers, STUB_PEERS_MAX);
	s->n_peers = n_peers > 0 ? (size_t)n_peers : 0;
	s->looked_us = now_us;
}

static bool is_of_this_host(const struct stub *s, const struct ip_addr *a)
{
	for (size_t i = 0; i < s->n_own; i++)
		if (addr_equal(&s->own[i], a))
			return true;
	for (size_t i = 0; i < s->connected.n; i++)
		if (subnet_contains(&s->connected.nets[i].net, a))
			return true;
	return addr_equal(&s->addr4, a) || addr_equal(&s->addr6, a);
}

/* ::ffff:0:0/96 and ::/96: IPv4 in disguise, which no host sends to as IPv6. */
static bool is_ipv4_in_ipv6(const struct ip_addr *a)
{
	static const uint8_t zeros[10];

	return a->version == IPV6 && memcmp(a->bytes, zeros, 10) == 0 &&
	       a->bytes[10] == a->bytes[11] &&
	       (a->bytes[10] == 0 || a->bytes[10] == 0xff);
}

static bool carries_us(const struct stub *s, const struct ip_addr *a)
{
	for (size_t i = 0; i < s->n_peers; i++)
		if (addr_equal(&s->peers[i], a))
			return true;
	return false;
}

static bool lies_in(const struct subnet *nets, size_t n,
		    const struct ip_addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (subnet_contains(&nets[i], a))
			return true;
	return false;
}

static bool must_stay_out(struct client *c, const struct ip_addr *a)
{
	look(c);
	return addr_is_loopback(a) || addr_is_link_local(a) ||
	       addr_is_multicast(a) || is_ipv4_in_ipv6(a) ||
	       lies_in(c->config->excludes, c->config->n_excludes, a) ||
	       /* Who does not know what is his own routes nothing. */
	       !c->stub.looked_us || carries_us(&c->stub, a) ||
	       addr_equal(&c->admin_remote.addr, a) ||
	       is_of_this_host(&c->stub, a);
}

/* ---- routes of domains ---- */

static int on_route_add(void *ctx, const struct ip_addr *a)
{
	struct client *c = ctx;
	struct subnet net = subnet_of_addr(a);
	char text[ADDR_TEXT_MAX];
	struct err err;

	if (must_stay_out(c, a)) {
		log_debug("%s is not routed into the tunnel, whatever its "
			  "name",
			  addr_format(a, text));
		return -EACCES;
	}
	if (lies_in(c->plan.routes, c->plan.n_routes, a))
		return 1;
	if (!(a->version == IPV4 ? c->address4 : c->address6).version)
		return -EAFNOSUPPORT;
	int r = c->broker ? broker_client_route_add(c->broker, &net, &err)
			  : -ENOTCONN;
	if (r < 0)
		log_debug("%s is not routed into the tunnel: %s",
			  addr_format(a, text),
			  c->broker ? err.text : "it is going down");
	return r;
}

static void on_route_del(void *ctx, const struct ip_addr *a)
{
	struct client *c = ctx;
	struct subnet net = subnet_of_addr(a);
	struct err err;

	if (c->broker && broker_client_route_del(c->broker, &net, &err) < 0)
		log_debug("%s, ignoring", err.text);
}

static bool on_route_is_used(void *ctx, const struct ip_addr *a)
{
	struct client *c = ctx;

	return c->plane && flowplane_is_in_use(c->plane, a);
}

static const struct dns_routes_ops routes_ops = {
	.add = on_route_add,
	.del = on_route_del,
	.is_used = on_route_is_used,
};

/* ---- the stub's world ---- */

static int on_ask(void *ctx, uint32_t id, const uint8_t *query, size_t len)
{
	struct client *c = ctx;
	struct session *session = c->plane ? flowplane_session(c->plane) : NULL;

	if (!session || !session_is_up(session))
		return -ENOTCONN;
	session_send_resolve(session, id, query, len);
	return 0;
}

static void on_send(void *ctx, const struct ip_addr *local,
		    const struct endpoint *to, const uint8_t *message,
		    size_t len)
{
	struct client *c = ctx;

	if (c->plane)
		flowplane_send_local(c->plane, local, to, message, len);
}

/* The device is there by then: who asks asks through it. */
static void on_answer(void *ctx, const struct dns_msg *answer)
{
	struct client *c = ctx;

	if (c->stub.routes)
		dns_routes_on_answer(c->stub.routes, answer);
}

static void on_datagram(void *ctx, const struct ip_addr *local,
			const struct endpoint *from, const uint8_t *payload,
			size_t len)
{
	struct client *c = ctx;

	dns_stub_on_datagram(c->stub.dns, local, from, payload, len);
}

void stub_on_resolved(struct client *c, uint32_t id, enum frame_reason status,
		      const uint8_t *answer, size_t len)
{
	if (!c->stub.dns ||
	    !dns_stub_on_resolved(c->stub.dns, id, status, answer, len))
		session_count_drop(flowplane_session(c->plane),
				   DROP_STALE_FRAME);
}

/* ---- life ---- */

static int make(struct client *c)
{
	static const struct dns_stub_ops ops = {
		.ask = on_ask,
		.send = on_send,
		.on_answer = on_answer,
	};
	const struct client_config *config = c->config;
	struct stub *s = &c->stub;

	if (!s->dns)
		s->dns = dns_stub_new(c->loop, &ops, c);
	if (!s->routes && config->n_routed_domains > 0)
		s->routes = dns_routes_new(c->loop, config->routed_domains,
					   config->n_routed_domains,
					   &routes_ops, c);
	return s->dns && (s->routes || config->n_routed_domains == 0) ? 0
								      : -ENOMEM;
}

/* What names have cannot be learnt, and without subnets that was all. */
static int say_no_resolver(const struct client *c, struct err *err)
{
	if (c->config->n_routed_domains == 0)
		return 0;
	(void)err_set(
		err, 0,
		"no domain is routed: %s has no resolver, or what carries "
		"the tunnel cannot ask it",
		status_gateway(c));
	if (c->n_asked == 0)
		return err_set(
			err, -EOPNOTSUPP,
			"nothing would be routed: %s has no resolver, or "
			"what carries the tunnel cannot ask it: name "
			"subnets, or a resolver there by --dns-server",
			status_gateway(c));
	log_warn("%s", err->text);
	return 0;
}

int stub_attach(struct client *c, struct err *err)
{
	struct flowplane_local local = {
		.addr4 = c->stub.addr4,
		.addr6 = c->stub.addr6,
		.near4 = c->address4,
		.near6 = c->address6,
		.port = DNS_STUB_PORT,
		.on_datagram = on_datagram,
		.ctx = c,
	};
	struct carrier *pair[2];

	if (!local.addr4.version && !local.addr6.version)
		return 0;
	c->stub.looked_us = 0; /* something else may carry us now */
	if (!c->stub.dns && !(c->peer.capabilities & FRAME_CAP_RESOLVE)) {
		return say_no_resolver(c, err);
	}
	if (make(c) < 0 || mem_carrier_pair(c->loop, pair) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	int r = flowplane_set_local(c->plane, &local, pair[0]);
	if (r == 0)
		r = dns_stub_attach(c->stub.dns, pair[1]);
	else
		pair[1] = carrier_free(pair[1]);
	return r == 0 ? 0 : err_set(err, r, "out of memory");
}

void stub_free(struct client *c)
{
	struct stub *s = &c->stub;

	s->routes = dns_routes_free(s->routes);
	s->dns = dns_stub_free(s->dns);
	s->rtnl = rtnl_close(s->rtnl);
	connected_list_fini(&s->connected);
	free(s->own);
	*s = (struct stub){0};
}

/* ---- for the status ---- */

static struct dns_routes_stats routes_stats(const struct stub *s)
{
	return s->routes ? dns_routes_stats(s->routes)
			 : (struct dns_routes_stats){0};
}

static void print_addresses(const struct client *c, const char *mark, FILE *out)
{
	struct ip_addr addrs[STUB_ADDRS_MAX];
	size_t n = stub_addresses(c, addrs);
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "%s%s%s%s", i ? ", " : "", mark,
			      addr_format(&addrs[i], text), mark);
}

static void print_json_routes(const struct client *c, FILE *out)
{
	const struct client_config *config = c->config;
	struct dns_routes_stats routes = routes_stats(&c->stub);

	(void)fputs(", \"routed_domains\": [", out);
	for (size_t i = 0; i < config->n_routed_domains; i++)
		(void)fprintf(out, "%s\"%s%s\"", i ? ", " : "",
			      config->routed_domains[i].is_below_only ? "*."
								      : "",
			      config->routed_domains[i].text);
	(void)fprintf(out,
		      "], \"routes\": %u, \"routes_added\": %llu, "
		      "\"routes_expired\": %llu, \"routes_refused\": %llu, "
		      "\"routes_of_others\": %llu, \"routes_failed\": %llu",
		      routes.n, (unsigned long long)routes.added,
		      (unsigned long long)routes.expired,
		      (unsigned long long)routes.refused,
		      (unsigned long long)routes.conflicts,
		      (unsigned long long)routes.failed);
}

void stub_print_json(const struct client *c, FILE *out)
{
	if (!c->stub.dns)
		return;
	struct dns_stub_stats s = dns_stub_stats(c->stub.dns);

	(void)fputs(", \"resolver\": {\"addresses\": [", out);
	print_addresses(c, "\"", out);
	(void)fprintf(out,
		      "], \"queries\": %llu, \"by_tcp\": %llu, \"known\": "
		      "%llu, \"asked\": %llu, \"asked_again\": %llu, "
		      "\"failed\": %llu, \"refused\": %llu, \"cut\": %llu, "
		      "\"waiting\": %u, \"cached\": %u, \"cached_bytes\": "
		      "%llu",
		      (unsigned long long)s.queries, (unsigned long long)s.tcp,
		      (unsigned long long)s.hits, (unsigned long long)s.asked,
		      (unsigned long long)s.again, (unsigned long long)s.failed,
		      (unsigned long long)s.refused, (unsigned long long)s.cut,
		      s.waiting, s.cached, (unsigned long long)s.cached_bytes);
	print_json_routes(c, out);
	(void)fputc('}', out);
}

void stub_print_text(const struct client *c, FILE *out)
{
	const struct client_config *config = c->config;

	if (!c->stub.dns)
		return;
	struct dns_stub_stats s = dns_stub_stats(c->stub.dns);

	(void)fputs("  resolver    ", out);
	print_addresses(c, "", out);
	(void)fprintf(out, ": %llu queries, %llu of them known, %llu failed\n",
		      (unsigned long long)s.queries, (unsigned long long)s.hits,
		      (unsigned long long)s.failed);
	if (config->n_routed_domains == 0)
		return;
	(void)fputs("  domains     ", out);
	for (size_t i = 0; i < config->n_routed_domains; i++)
		(void)fprintf(out, "%s%s%s", i ? ", " : "",
			      config->routed_domains[i].is_below_only ? "*."
								      : "",
			      config->routed_domains[i].text);
	(void)fprintf(out, ": %u addresses routed, %llu must not be\n",
		      routes_stats(&c->stub).n,
		      (unsigned long long)routes_stats(&c->stub).refused);
}
