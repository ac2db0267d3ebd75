/* SPDX-License-Identifier: MIT */
/*
 * flowplane: packets of the TUN <-> streams and datagrams of the session.
 *
 * Theory of operation
 *   Each packet is parsed (wire/), put together from fragments if it came in
 *   several and goes on as a flow, checked for a legal destination and a TTL
 * that reaches beyond the gateway, and handed to the code of its protocol. What
 * cannot be carried is answered as a router would: with the ICMP error that
 * says why.
 *
 *   Seen from the application's host the tunnel is one hop, the gateway.
 *
 *   TCP endpoints do not answer segment by segment: they are put on `due` and
 * the flush at the end of the turn sends what has come together, large segments
 * and one ACK.
 *
 * Ownership: the plane owns flows and session.  Flows die in handlers and are
 * freed by the flush.
 */
#include "flowplane.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "flow_internal.h"
#include "iov.h"

enum {
	ICMP_BURST = 200,
	ICMP_PER_SEC = 1000,
	CHALLENGE_BURST = 100,
	CHALLENGE_PER_SEC = 100, /* RFC 5961 section 7 suggests a limit */
	ICMP_OUT_MAX = PKT_VNET_LEN + 1280,
	ICMP_TTL = 64,
	DNS_PORT = 53,
};

/* ---- the table ---- */

/* SipHash over the fields alone: padding has no defined value. */
uint64_t flow_hash(const struct flowplane *p, const struct flow_key *key)
{
	uint8_t in[2 * sizeof(key->near.addr) + 5];
	uint64_t hash;

	static_assert(sizeof(hash) == crypto_shorthash_BYTES, "SipHash-2-4");
	memcpy(in, &key->near.addr, sizeof(key->near.addr));
	memcpy(in + sizeof(key->near.addr), &key->far.addr,
	       sizeof(key->far.addr));
	uint8_t *rest = in + 2 * sizeof(key->near.addr);
	bytes_put_u16(rest, key->near.port);
	bytes_put_u16(rest + 2, key->far.port);
	rest[4] = key->proto;
	(void)crypto_shorthash((uint8_t *)&hash, in, sizeof(in), p->hash_key);
	return hash;
}

static bool is_same_key(const struct flow_key *a, const struct flow_key *b)
{
	return a->proto == b->proto && endpoint_equal(&a->near, &b->near) &&
	       endpoint_equal(&a->far, &b->far);
}

struct flow *flow_find(struct flowplane *p, const struct flow_key *key)
{
	struct htab_node *node = htab_find(&p->flows, flow_hash(p, key));

	for (; node; node = htab_next(node)) {
		struct flow *f = container_of(node, struct flow, node);

		if (is_same_key(&f->key, key))
			return f;
	}
	return NULL;
}

static uint32_t *count_of(struct flowplane *p, uint8_t proto)
{
	return proto == PKT_PROTO_TCP	? &p->stats.tcp_flows
	       : proto == PKT_PROTO_UDP ? &p->stats.udp_flows
					: &p->stats.echo_flows;
}

int flow_add(struct flowplane *p, struct flow *f)
{
	if (p->flows.n >= FLOWPLANE_FLOWS_MAX)
		return -ENOSPC;
	f->plane = p;
	f->node.hash = flow_hash(p, &f->key);
	list_init(&f->link);
	if (htab_add(&p->flows, &f->node) < 0)
		return -ENOMEM;
	(*count_of(p, f->key.proto))++;
	return 0;
}

void flow_kill(struct flow *f)
{
	struct flowplane *p = f->plane;

	if (f->is_dead)
		return;
	f->is_dead = true;
	htab_del(&p->flows, &f->node);
	(*count_of(p, f->key.proto))--;
	list_del(&f->link);
	list_push(&p->dead, &f->link);
	flow_want_flush(p);
}

enum drop_reason flow_drop(struct flowplane *p, enum drop_reason reason)
{
	p->stats.drops[reason]++;
	return reason;
}

void flow_tun_write(struct flowplane *p, const struct iovec *iov, int n)
{
	size_t len = iov_total(iov, n);

	if (p->ops->tun_write(p->ctx, iov, n) < 0) {
		(void)flow_drop(p, DROP_TUN_WRITE);
		return;
	}
	p->stats.tun_tx_packets++;
	p->stats.tun_tx_bytes += len - PKT_VNET_LEN;
}

void flow_want_flush(struct flowplane *p)
{
	loop_post(p->loop, &p->flush);
}

static void flow_free(struct flow *f)
{
	if (f->key.proto == PKT_PROTO_TCP)
		tcp_endpoint_free(f);
	else
		assoc_free(f);
}

static void on_flush(void *ctx)
{
	struct flowplane *p = ctx;
	struct list *link;

	while ((link = list_pop(&p->due)))
		tcp_endpoint_flush(container_of(link, struct flow, link));
	while ((link = list_pop(&p->dead)))
		flow_free(container_of(link, struct flow, link));
}

/* ---- limits on what is sent unasked ---- */

static bool take_token(mono_us_t now_us, mono_us_t *refilled_us,
		       uint32_t *tokens, uint32_t burst, uint32_t per_sec)
{
	uint64_t earned = (now_us - *refilled_us) * per_sec / US_PER_SEC;

	if (earned > 0) {
		*tokens = earned + *tokens > burst
				  ? burst
				  : (uint32_t)(earned + *tokens);
		*refilled_us = now_us;
	}
	if (*tokens == 0)
		return false;
	(*tokens)--;
	return true;
}

bool flow_may_send_challenge(struct flowplane *p)
{
	return take_token(loop_now_us(p->loop), &p->challenge_refilled_us,
			  &p->challenge_tokens, CHALLENGE_BURST,
			  CHALLENGE_PER_SEC);
}

/* ---- ICMP errors ---- */

/* A host's address, and not one of this machine alone. */
static bool is_unicast(const struct ip_addr *a)
{
	return !addr_is_multicast(a) && !addr_is_loopback(a);
}

void flow_icmp_error(struct flowplane *p, const struct icmp_error *error,
		     const struct ip_addr *src, const struct ip_addr *near,
		     const struct ip_addr *far, const uint8_t *quoted,
		     size_t quoted_len)
{
	uint8_t out[ICMP_OUT_MAX];
	struct pkt_ip_params ip = {.dst = *near, .ttl = ICMP_TTL};

	if (!take_token(loop_now_us(p->loop), &p->icmp_refilled_us,
			&p->icmp_tokens, ICMP_BURST, ICMP_PER_SEC)) {
		(void)flow_drop(p, DROP_ICMP_RATE);
		return;
	}
	ip.src = near->version == IPV4 ? p->gateway4 : p->gateway6;
	if (src && src->version == near->version && is_unicast(src))
		ip.src = *src;
	if (!ip.src.version)
		ip.src = *far; /* a gateway without address in this family */
	struct iovec iov = {
		out, pkt_build_icmp_error(out, &ip, error, quoted, quoted_len)};
	flow_tun_write(p, &iov, 1);
}

bool flow_is_icmp(const struct pkt *pkt)
{
	return pkt->proto ==
	       (pkt->dst.version == IPV4 ? PKT_PROTO_ICMP : PKT_PROTO_ICMP6);
}

bool flow_is_icmp_echo(const struct pkt *pkt)
{
	return pkt->icmp.type == (pkt->dst.version == IPV4 ? 8 : 128) &&
	       pkt->icmp.code == 0;
}

/* RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e): no error about an error,
 * and none about a later fragment. */
static bool may_have_error(const struct pkt *pkt)
{
	if (pkt->is_fragment)
		return pkt->frag_offset == 0 && !flow_is_icmp(pkt);
	if (!flow_is_icmp(pkt))
		return true;
	return pkt->dst.version == IPV4
		       ? pkt->icmp.type == 0 || pkt->icmp.type == 8 ||
				 pkt->icmp.type >= 13
		       : pkt->icmp.type >= 128;
}

enum drop_reason flow_reject(struct flowplane *p, const struct pkt *pkt,
			     enum icmp_meaning meaning, uint32_t info,
			     enum drop_reason reason)
{
	struct icmp_error error =
		icmp_error_make(pkt->src.version, meaning, info);

	if (may_have_error(pkt))
		flow_icmp_error(p, &error, NULL, &pkt->src, &pkt->dst, pkt->ip,
				pkt->ip_len);
	return flow_drop(p, reason);
}

/* ---- packets from the TUN ---- */

static bool is_destination_legal(const struct ip_addr *a)
{
	/* IPv4 link-local is for the far end's policy to decide; IPv6 needs a
	 * scope, which nothing can carry. */
	return is_unicast(a) && (a->version == IPV4 || !addr_is_link_local(a));
}

bool flow_is_served(const struct flowplane *p, const struct pkt *pkt)
{
	uint32_t cap = pkt->proto == PKT_PROTO_TCP   ? FRAME_CAP_TCP
		       : pkt->proto == PKT_PROTO_UDP ? FRAME_CAP_UDP
		       : !flow_is_icmp(pkt)	     ? 0
		       : pkt->dst.version == IPV4    ? FRAME_CAP_ECHO
						     : FRAME_CAP_ECHO6;

	return (p->capabilities & cap) ||
	       (pkt->proto == PKT_PROTO_UDP && !pkt->is_fragment &&
		pkt->udp.dst_port == DNS_PORT);
}

/* The far host has no address of this family to send from. */
static bool lacks_family(const struct flowplane *p, const struct pkt *pkt)
{
	uint32_t cap =
		pkt->dst.version == IPV4 ? FRAME_CAP_IPV4 : FRAME_CAP_IPV6;

	return !(p->capabilities & cap);
}

/* To the code of its protocol, or the error that says why not. */
static enum drop_reason to_flow(struct flowplane *p, const struct pkt *pkt)
{
	if (p->packets.mode == FLOWPLANE_PLANE_PACKET)
		return flow_reject(p, pkt, ICMP_MEANS_NET_UNREACH, 0,
				   DROP_NO_PACKET_PLANE);
	if (lacks_family(p, pkt))
		return flow_reject(p, pkt, ICMP_MEANS_NET_UNREACH, 0,
				   DROP_POLICY);
	if (flow_is_icmp(pkt))
		return assoc_on_datagram(p, pkt);
	if (pkt->proto != PKT_PROTO_TCP && pkt->proto != PKT_PROTO_UDP)
		return flow_reject(p, pkt, ICMP_MEANS_PROTO_UNREACH,
				   (uint32_t)pkt->proto_offset, DROP_PROTOCOL);
	if (!flow_is_served(p, pkt))
		return flow_reject(p, pkt, ICMP_MEANS_ADMIN_PROHIBITED, 0,
				   DROP_POLICY);
	return pkt->proto == PKT_PROTO_TCP ? tcp_input_on_segment(p, pkt)
					   : assoc_on_datagram(p, pkt);
}

/* hop up 4/11: which plane carries it, or why none does.  buf: what the TUN
 * delivered, if it was this packet whole. */
static enum drop_reason flowplane_dispatch(struct flowplane *p,
					   const struct pkt *pkt, uint8_t *buf,
					   size_t len)
{
	if (!is_destination_legal(&pkt->dst))
		return flow_drop(p, DROP_BAD_DESTINATION);
	if (flow_local_owns(p, &pkt->dst))
		return flow_local_on_packet(p, pkt);
	bool is_packet = packet_plane_takes(p, pkt);
	if (!is_packet && flow_is_icmp(pkt) && !flow_is_icmp_echo(pkt))
		return flow_drop(p, DROP_ICMP_OTHER);
	if (!p->session || !session_is_up(p->session))
		return flow_reject(p, pkt, ICMP_MEANS_NET_UNREACH, 0,
				   DROP_NO_SESSION);
	if (pkt->ttl <= 1)
		return flow_reject(p, pkt, ICMP_MEANS_TTL_EXCEEDED, 0,
				   DROP_TTL_EXCEEDED);
	if (!is_packet)
		return to_flow(p, pkt);
	return buf ? packet_plane_on_tun(p, buf, len)
		   : packet_plane_on_whole(p, pkt);
}

static enum drop_reason on_fragment(struct flowplane *p,
				    const struct pkt *fragment)
{
	const uint8_t *ip;
	size_t len;
	unsigned timed_out = 0;
	struct pkt whole;
	enum drop_reason reason =
		reassembly_push(p->reassembly, fragment, loop_now_us(p->loop),
				&ip, &len, &timed_out);

	p->stats.drops[DROP_FRAGMENT_TIMEOUT] += timed_out;
	if (reason != DROP_NONE)
		return flow_drop(p, reason);
	if (!ip)
		return DROP_NONE;
	reason = pkt_parse_ip(ip, len, &whole);
	if (reason != DROP_NONE)
		return flow_drop(p, reason);
	if (whole.is_fragment)
		return flow_drop(p, DROP_FRAGMENT_OVERLAP);
	/* Its sender had it cut; the far host may do so too. */
	whole.df = false;
	return flowplane_dispatch(p, &whole, NULL, 0);
}

/* hop up 2/11: counted; fragments leave the path here until they are whole */
enum drop_reason flowplane_on_packet(struct flowplane *p, uint8_t *buf,
				     size_t len)
{
	struct pkt pkt;
	enum drop_reason reason = pkt_parse(buf, len, &pkt);

	p->stats.tun_rx_packets++;
	if (reason != DROP_NONE)
		return flow_drop(p, reason);
	p->stats.tun_rx_bytes += pkt.ip_len;
	if (pkt.is_fragment && !packet_plane_takes(p, &pkt))
		return on_fragment(p, &pkt);
	return flowplane_dispatch(p, &pkt, buf, len);
}

/* ---- the session ---- */

static void on_up(void *ctx, const struct frame_hello *peer)
{
	struct flowplane *p = ctx;

	if (is_unicast(&peer->gateway4))
		p->gateway4 = peer->gateway4;
	if (is_unicast(&peer->gateway6))
		p->gateway6 = peer->gateway6;
	p->capabilities = peer->capabilities;
	p->ops->on_up(p->ctx, peer);
}

/* Flows of a kind all at once; killing takes them out of the table. */
static void abort_flow(struct htab_node *node, void *ctx)
{
	struct flow *f = container_of(node, struct flow, node);

	(void)ctx;
	if (f->key.proto == PKT_PROTO_TCP)
		tcp_endpoint_abort(f);
	else
		assoc_abort(f);
}

static void on_down(void *ctx, const struct err *why)
{
	struct flowplane *p = ctx;

	htab_each(&p->flows, abort_flow, NULL);
	p->packets.is_up = false;
	p->ops->on_down(p->ctx, why);
}

/* Only the far end is asked for these. */
static void on_open(void *ctx, struct stream *s, const struct frame_open *open)
{
	(void)ctx;
	(void)s;
	(void)open;
}

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct flowplane *p = ctx;

	if (id < FLOWPLANE_FOREIGN_ID)
		assoc_on_dgram(p, id, d);
	else if (p->ops->on_dgram)
		p->ops->on_dgram(p->ctx, id, d);
	else
		session_count_drop(p->session, DROP_STALE_FRAME);
}

static void on_icmp_error(void *ctx, uint32_t id,
			  const struct frame_icmp_error *e)
{
	struct flowplane *p = ctx;

	if (id < FLOWPLANE_FOREIGN_ID)
		assoc_on_icmp_error(p, id, e);
	else if (p->ops->on_icmp_error)
		p->ops->on_icmp_error(p->ctx, id, e);
	else
		session_count_drop(p->session, DROP_STALE_FRAME);
}

static void on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	struct flowplane *p = ctx;

	if (id < FLOWPLANE_FOREIGN_ID)
		assoc_on_close(p, id, reason);
	else if (p->ops->on_assoc_close)
		p->ops->on_assoc_close(p->ctx, id, reason);
}

/* The plane itself asks for no names. */
static void on_resolved(void *ctx, uint32_t id, enum frame_reason status,
			const uint8_t *answer, size_t len)
{
	struct flowplane *p = ctx;

	if (p->ops->on_resolved)
		p->ops->on_resolved(p->ctx, id, status, answer, len);
	else
		session_count_drop(p->session, DROP_STALE_FRAME);
}

static void on_routes(void *ctx, const struct frame_routes *routes)
{
	struct flowplane *p = ctx;

	if (p->ops->on_routes)
		p->ops->on_routes(p->ctx, routes);
}

static const struct session_ops session_ops = {
	.on_up = on_up,
	.on_open = on_open,
	.stream = &tcp_endpoint_stream_ops,
	.on_dgram = on_dgram,
	.on_icmp_error = on_icmp_error,
	.on_assoc_close = on_assoc_close,
	.on_resolved = on_resolved,
	.on_packet = packet_plane_on_packet,
	.on_network_state = packet_plane_on_state,
	.on_routes = on_routes,
	.on_down = on_down,
};

int flowplane_attach(struct flowplane *p, struct carrier *carrier,
		     const struct ip_addr *resolver)
{
	struct frame_hello hello = {.software = ECSSH_VERSION};

	if (resolver)
		hello.resolver = *resolver;

	p->session = session_new(p->loop, SESSION_NEAR, carrier, &session_ops,
				 p, &hello);
	return p->session ? 0 : -ENOMEM;
}

struct session *flowplane_session(struct flowplane *p)
{
	return p->session;
}

struct search {
	struct ip_addr far;
	bool is_found;
};

static void look_at_flow(struct htab_node *node, void *ctx)
{
	struct flow *f = container_of(node, struct flow, node);
	struct search *s = ctx;

	s->is_found |= f->key.proto == PKT_PROTO_TCP
			       ? addr_equal(&f->key.far.addr, &s->far)
			       : assoc_has_peer(f, &s->far);
}

bool flowplane_is_in_use(struct flowplane *p, const struct ip_addr *far)
{
	struct search s = {.far = *far};

	htab_each(&p->flows, look_at_flow, &s);
	return s.is_found || packet_track_has_far(p, far);
}

const struct flowplane_stats *flowplane_stats(const struct flowplane *p)
{
	return &p->stats;
}

/* ---- life ---- */

struct flowplane *flowplane_new(struct loop *loop, uint32_t mtu_bytes,
				const struct flowplane_ops *ops, void *ctx)
{
	struct flowplane *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->loop = loop;
	p->mtu_bytes = mtu_bytes;
	p->ops = ops;
	p->ctx = ctx;
	p->next_assoc_id = 1;
	p->icmp_tokens = ICMP_BURST;
	p->challenge_tokens = CHALLENGE_BURST;
	p->icmp_refilled_us = p->challenge_refilled_us = loop_now_us(loop);
	list_init(&p->due);
	list_init(&p->dead);
	p->flush = (struct loop_task){.on_run = on_flush, .ctx = p};
	list_init(&p->flush.link);
	list_init(&p->opening);
	randombytes_buf(p->hash_key, sizeof(p->hash_key));
	randombytes_buf(&p->peer_seed, sizeof(p->peer_seed));
	packet_plane_init(p);
	p->reassembly = reassembly_new();
	if (!p->reassembly)
		return flowplane_free(p);
	return p;
}

struct flowplane *flowplane_free(struct flowplane *p)
{
	if (!p)
		return NULL;
	htab_each(&p->flows, abort_flow, NULL);
	on_flush(p);
	loop_unpost(&p->flush);
	packet_plane_fini(p);
	flow_local_fini(p);
	p->session = session_free(p->session);
	p->reassembly = reassembly_free(p->reassembly);
	htab_fini(&p->flows);
	htab_fini(&p->assocs);
	free(p);
	return NULL;
}
