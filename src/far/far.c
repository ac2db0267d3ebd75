/* SPDX-License-Identifier: MIT */
/*
 * far: the engine on the far side.
 *
 * Theory of operation
 *   Puts a session and what serves it together: tcp_out for streams, name_out
 *   for those to a name, far_assoc for datagrams, resolver for DNS messages,
 *   tun_out for packets once somebody with the privilege has made a device for
 *   it.  Finds out what this host permits and says so in the greeting;
 *   afterwards it only hands on.
 *
 *   When the session is over all sockets are closed at once.
 */
#include "far.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "far_assoc.h"
#include "hosts.h"
#include "host_routes.h"
#include "name_out.h"
#include "pkt.h"
#include "resolver.h"
#include "session.h"
#include "tcp_out.h"
#include "tun_out.h"

enum { DNS_PORT = 53 };

struct far {
	struct session *session; /* owned */
	struct tcp_out_table tcp;
	struct far_assoc_table assocs;
	struct resolver resolver;
	struct tun_out tun;
	const struct far_network_ops *network_ops; /* borrowed; may be NULL */
	void *network_ctx;			   /* borrowed */
	struct frame_network network;		   /* as asked for */
	bool is_network_asked, is_network_over;
	uint16_t network_mtu_bytes; /* once it is up */
	struct name_out_table names;
	struct frame_routes routes; /* of this host */
	void (*on_down)(void *ctx, const struct err *why);
	void *ctx; /* borrowed */
};

/* ---- what this host has ---- */

/* An address that others can know this host by. */
static bool is_global(const struct ip_addr *a)
{
	return a->version && !addr_is_loopback(a) && !addr_is_link_local(a) &&
	       !addr_is_multicast(a);
}

/* Remember the first global address of each family. */
static void offer_gateway(struct frame_hello *hello, const struct ip_addr *a)
{
	struct ip_addr *gateway =
		a->version == IPV4 ? &hello->gateway4 : &hello->gateway6;

	if (!gateway->version && is_global(a))
		*gateway = *a;
}

/* "client-address client-port server-address server-port" */
static void offer_ssh_connection(struct frame_hello *hello, const char *value)
{
	char address[ADDR_TEXT_MAX];
	struct ip_addr a;

	if (value && sscanf(value, "%*s %*s %45s", address) == 1 &&
	    addr_parse(address, &a) == 0)
		offer_gateway(hello, &a);
}

/* The addresses of interfaces.  What cannot be listed is not offered. */
static void offer_interfaces(struct frame_hello *hello)
{
	struct ifaddrs *list;
	struct endpoint e;

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next)
		if (i->ifa_addr && (i->ifa_flags & IFF_UP) &&
		    endpoint_from_sockaddr(i->ifa_addr, &e) == 0)
			offer_gateway(hello, &e.addr);
	freeifaddrs(list);
}

static bool may_ping(enum ip_version version, uint8_t proto)
{
	struct dgram_sock sock;

	if (dgram_sock_open(version, proto, &sock) < 0)
		return false;
	dgram_sock_close(&sock);
	return true;
}

static uint32_t capabilities(const struct far *far,
			     const struct frame_hello *hello)
{
	struct sockaddr_storage servers[RESOLVER_SERVERS_MAX];
	uint32_t caps = FRAME_CAP_TCP | FRAME_CAP_UDP | FRAME_CAP_NAMES |
			FRAME_CAP_ROUTES;

	if (may_ping(IPV4, PKT_PROTO_ICMP))
		caps |= FRAME_CAP_ECHO;
	if (may_ping(IPV6, PKT_PROTO_ICMP6))
		caps |= FRAME_CAP_ECHO6;
	if (hello->gateway4.version)
		caps |= FRAME_CAP_IPV4;
	if (hello->gateway6.version)
		caps |= FRAME_CAP_IPV6;
	if (far->network_ops)
		caps |= FRAME_CAP_NETWORK;
	if (resolver_servers(&far->resolver, servers) > 0)
		caps |= FRAME_CAP_RESOLVE;
	return caps;
}

static int fill_hello(const struct far *far, const struct far_options *options,
		      struct frame_hello *ret_hello)
{
	struct frame_hello hello = {.software = "ecssh-helper " ECSSH_VERSION,
				    .tells_sandbox = true,
				    .sandbox = options->sandbox};

	if (getrandom(hello.session_id, sizeof(hello.session_id), 0) < 0 ||
	    getrandom(hello.resume_token, sizeof(hello.resume_token), 0) < 0)
		return -errno;
	offer_ssh_connection(&hello, options->ssh_connection);
	offer_interfaces(&hello);
	hello.capabilities = capabilities(far, &hello);
	if (options->user)
		(void)snprintf(hello.user, sizeof(hello.user), "%s",
			       options->user);
	*ret_hello = hello;
	return 0;
}

/* ---- callbacks of the session ---- */

static void on_up(void *ctx, const struct frame_hello *peer)
{
	struct far *far = ctx;

	if (peer->resolver.version)
		resolver_use_only(
			&far->resolver, &peer->resolver,
			policy_allows(far->assocs.policy, &peer->resolver));
}

static void on_open(void *ctx, struct stream *s, const struct frame_open *open)
{
	struct far *far = ctx;

	if (open->name[0])
		name_out_on_open(&far->names, s, open);
	else
		tcp_out_on_open(&far->tcp, s, open);
}

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct far *far = ctx;

	far_assoc_on_dgram(&far->assocs, id, d);
}

static void on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	struct far *far = ctx;

	(void)reason;
	far_assoc_on_close(&far->assocs, id);
}

static void on_resolve(void *ctx, uint32_t id, const uint8_t *query, size_t len)
{
	struct far *far = ctx;
	uint8_t answer[HOSTS_ANSWER_MAX];

	size_t n = hosts_answer(&far->resolver, far->names.hosts_path, query,
				len, answer);
	if (n > 0)
		session_send_resolved(far->session, id, FRAME_REASON_NONE,
				      answer, n);
	else
		resolver_on_resolve(&far->resolver, id, query, len);
}

static void on_routes_ask(void *ctx)
{
	struct far *far = ctx;

	session_send_routes(far->session, &far->routes);
}

/* ---- the packet plane ---- */

static void send_state(struct far *far, enum frame_network_status status,
		       uint16_t mtu_bytes, const char *text)
{
	struct frame_network_state state = {.status = status,
					    .mtu_bytes = mtu_bytes};

	(void)snprintf(state.text, sizeof(state.text), "%s", text);
	session_send_network_state(far->session, &state);
}

static void on_network(void *ctx, const struct frame_network *n)
{
	struct far *far = ctx;

	if (far->is_network_asked)
		return; /* once is enough */
	far->is_network_asked = true;
	if (!far->network_ops) {
		far_network_down(far, "the administrator of the far host does "
				      "not allow packets");
		return;
	}
	far->network = *n;
	far->network_ops->start(far->network_ctx, &far->network);
}

static void on_packet(void *ctx, const struct frame_packet *p)
{
	struct far *far = ctx;

	if (far->tun.io.fd < 0)
		session_count_drop(far->session, DROP_POLICY);
	else
		tun_out_on_packet(&far->tun, p);
}

void far_network_up(struct far *far, int fd, uint16_t mtu_bytes,
		    const char *how)
{
	int r = tun_out_open(&far->tun, far->session, fd, &far->network);

	if (r < 0)
		far_network_down(far, strerror(-r));
	else
		send_state(far, FRAME_NETWORK_UP, mtu_bytes, how);
	far->network_mtu_bytes = mtu_bytes;
}

void far_network_tell(struct far *far, const char *how)
{
	if (!far->is_network_over && session_is_up(far->session))
		send_state(far, FRAME_NETWORK_UP, far->network_mtu_bytes, how);
}

void far_network_down(struct far *far, const char *why)
{
	bool was_up = far->tun.io.fd >= 0;

	if (far->is_network_over)
		return;
	far->is_network_over = true;
	tun_out_close(&far->tun);
	if (session_is_up(far->session))
		send_state(far,
			   was_up ? FRAME_NETWORK_LOST : FRAME_NETWORK_LACKING,
			   0, why);
	if (far->network_ops)
		far->network_ops->stop(far->network_ctx);
}

static void on_tun_lost(void *ctx, const struct err *why)
{
	far_network_down(ctx, why->text);
}

static void close_all(struct far *far)
{
	tun_out_close(&far->tun);
	name_out_table_fini(&far->names);
	tcp_out_table_fini(&far->tcp);
	far_assoc_table_fini(&far->assocs);
	resolver_fini(&far->resolver);
}

static void on_down(void *ctx, const struct err *why)
{
	struct far *far = ctx;

	close_all(far);
	if (far->on_down)
		far->on_down(far->ctx, why);
}

static const struct session_ops session_ops = {
	.on_up = on_up,
	.on_open = on_open,
	.on_dgram = on_dgram,
	.on_assoc_close = on_assoc_close,
	.on_resolve = on_resolve,
	.on_packet = on_packet,
	.on_network = on_network,
	.on_routes_ask = on_routes_ask,
	.on_down = on_down,
};

/* ---- life ---- */

struct far *far_new(struct loop *loop, struct carrier *carrier,
		    const struct far_options *options)
{
	struct far *far = calloc(1, sizeof(*far));
	struct frame_hello hello;
	int r = far ? 0 : -ENOMEM;

	if (r == 0) {
		far->on_down = options->on_down;
		far->ctx = options->ctx;
		far->network_ops = options->network;
		far->network_ctx = options->network_ctx;
		tun_out_init(&far->tun);
		far->tun.loop = loop;
		far->tun.on_lost = on_tun_lost;
		far->tun.ctx = far;
		tcp_out_table_init(&far->tcp, loop, options->policy);
		resolver_init(&far->resolver, loop,
			      options->resolv_conf ? options->resolv_conf
						   : "/etc/resolv.conf",
			      options->dns_port ? options->dns_port : DNS_PORT);
		far->resolver.open_file = options->open_file;
		far->resolver.open_ctx = options->open_ctx;
		name_out_table_init(&far->names, &far->tcp, &far->resolver,
				    options->hosts ? options->hosts
						   : "/etc/hosts");
		r = far_assoc_table_init(&far->assocs, loop, options->policy);
	}
	if (r == 0) {
		/* Now, for later we may read nothing any more. */
		host_routes_read(&far->routes);
		r = fill_hello(far, options, &hello);
	}
	if (r < 0) {
		(void)carrier_free(carrier);
		(void)far_free(far);
		errno = -r;
		return NULL;
	}
	far->session = session_new(loop, SESSION_FAR, carrier, &session_ops,
				   far, &hello);
	if (!far->session) {
		(void)far_free(far);
		errno = ENOMEM;
		return NULL;
	}
	far->assocs.session = far->session;
	far->resolver.session = far->session;
	return far;
}

struct far *far_free(struct far *far)
{
	if (!far)
		return NULL;
	close_all(far);
	far->session = session_free(far->session);
	free(far);
	return NULL;
}

struct session *far_session(struct far *far)
{
	return far->session;
}

struct far_counts far_count(const struct far *far)
{
	return (struct far_counts){
		.tcp = far->tcp.n,
		.assocs = (uint32_t)far->assocs.by_id.n,
		.queries = far->resolver.n,
	};
}
