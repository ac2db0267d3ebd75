/* SPDX-License-Identifier: MIT */
/*
 * assoc: UDP sources and pings, each one association of the session.
 *
 * Mapping is endpoint-independent (RFC 4787 section 4.1): one association, and
 * one far socket, per source address and port (for pings: identifier), whatever
 * it sends to.  It ends after ASSOC_IDLE_US without a datagram either way
 * (REQ-5 of RFC 4787: at least two minutes).
 */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "flow_internal.h"

enum {
	ASSOC_IDLE_US = 180000000, /* UDP */
	DNS_PORT = 53,
	DNS_IDLE_US = 20000000,	 /* all to port 53: REQ-5's exception */
	ECHO_IDLE_US = 60000000, /* RFC 5508 REQ-2: at least 60 s */
};

struct assoc {
	struct flow flow;
	struct htab_node id_node; /* among the plane's assocs */
	struct dgram_queue queue;
	struct peer_set peers; /* who was sent to, and may answer */
	bool is_dns_only;      /* nothing went to another port than 53 */
	struct timer idle;
};

/* What a peer is known by: a port means nothing to an echo. */
static struct endpoint peer_of(const struct assoc *a,
			       const struct ip_addr *addr, uint16_t port)
{
	return (struct endpoint){*addr,
				 a->flow.key.proto == PKT_PROTO_UDP ? port : 0};
}

static struct assoc *from_flow(struct flow *f)
{
	return container_of(f, struct assoc, flow);
}

static uint64_t idle_us(const struct assoc *a)
{
	if (a->flow.key.proto != PKT_PROTO_UDP)
		return ECHO_IDLE_US;
	return a->is_dns_only ? DNS_IDLE_US : ASSOC_IDLE_US;
}

static void assoc_kill(struct assoc *a)
{
	if (a->flow.is_dead)
		return;
	htab_del(&a->flow.plane->assocs, &a->id_node);
	timer_disarm(a->flow.plane->loop, &a->idle);
	flow_kill(&a->flow);
}

static void on_idle(void *ctx)
{
	struct assoc *a = ctx;
	struct session *session = a->flow.plane->session;

	if (session)
		session_send_assoc_close(session, a->queue.id,
					 FRAME_REASON_NONE);
	assoc_kill(a);
}

static struct assoc *assoc_new(struct flowplane *p, const struct flow_key *key)
{
	struct assoc *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->flow.key = *key;
	dgram_queue_init(&a->queue, p->next_assoc_id);
	peer_set_init(&a->peers, p->peer_seed);
	a->is_dns_only = true;
	a->idle = (struct timer){.on_fire = on_idle, .ctx = a};
	a->id_node.hash = htab_hash_u32(a->queue.id);
	if (htab_add(&p->assocs, &a->id_node) < 0)
		goto fail;
	if (flow_add(p, &a->flow) < 0) {
		htab_del(&p->assocs, &a->id_node);
		goto fail;
	}
	/* An id comes again only after 2^31 associations. */
	if (++p->next_assoc_id >= FLOWPLANE_FOREIGN_ID)
		p->next_assoc_id = 1;
	return a;
fail:
	peer_set_fini(&a->peers);
	free(a);
	return NULL;
}

static struct assoc *find_by_id(struct flowplane *p, uint32_t id)
{
	struct htab_node *node = htab_find(&p->assocs, htab_hash_u32(id));

	return node ? container_of(node, struct assoc, id_node) : NULL;
}

/* ---- up ---- */

static void make_key(const struct pkt *pkt, struct flow_key *key)
{
	memset(key, 0, sizeof(*key));
	key->proto = pkt->proto;
	key->near.addr = pkt->src;
	key->near.port =
		pkt->proto == PKT_PROTO_UDP ? pkt->udp.src_port : pkt->icmp.id;
}

/* One datagram for the far end, or each of a UDP super-packet's. */
static enum drop_reason send_all(struct flowplane *p, struct assoc *a,
				 const struct pkt *pkt)
{
	struct frame_dgram d = {
		.proto = pkt->proto,
		.ttl = (uint8_t)(pkt->ttl - 1),
		.tos = pkt->tos,
		.df = pkt->df,
		.remote = {pkt->dst, pkt->proto == PKT_PROTO_UDP
					     ? pkt->udp.dst_port
					     : pkt->icmp.seq},
	};
	size_t step = pkt->gso_bytes ? pkt->gso_bytes : pkt->payload_len;
	size_t at = 0;

	do {
		size_t left = pkt->payload_len - at;

		d.payload = pkt->payload + at;
		d.payload_len = left < step ? left : step;
		at += d.payload_len;
		enum drop_reason reason =
			session_send_dgram(p->session, &a->queue, &d);
		if (reason != DROP_NONE)
			return flow_drop(p, reason);
	} while (at < pkt->payload_len);
	return DROP_NONE;
}

/* hop up 5/11 (datagrams): an association for its source, new if need be */
enum drop_reason assoc_on_datagram(struct flowplane *p, const struct pkt *pkt)
{
	struct flow_key key;

	make_key(pkt, &key);
	struct flow *f = flow_find(p, &key);
	struct assoc *a = f ? from_flow(f) : assoc_new(p, &key);

	if (!a)
		return flow_drop(p, DROP_FLOW_LIMIT);
	struct endpoint remote = peer_of(a, &pkt->dst, pkt->udp.dst_port);
	if (peer_set_add(&a->peers, &remote) < 0)
		return flow_drop(p, DROP_NO_MEMORY);
	a->is_dns_only &= remote.port == DNS_PORT;
	timer_arm(p->loop, &a->idle, idle_us(a));
	return send_all(p, a, pkt);
}

/* ---- down ---- */

/* hop down 8/9 (datagrams): headers here, payload in the carrier's buffer */
static void write_payload(struct flowplane *p, uint8_t *head, size_t head_len,
			  const struct frame_dgram *d)
{
	struct iovec iov[2] = {
		{head, head_len},
		{(void *)(uintptr_t)d->payload, d->payload_len},
	};

	flow_tun_write(p, iov, 2);
}

/* The far end is not trusted: what it sends must be about somebody to whom this
 * association has sent. */
static bool is_expected(const struct assoc *a, uint8_t proto,
			const struct endpoint *remote)
{
	struct endpoint peer = peer_of(a, &remote->addr, remote->port);

	return proto == a->flow.key.proto && peer_set_has(&a->peers, &peer);
}

/* hop down 7/9 (datagrams): a datagram becomes a packet */
void assoc_on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct flowplane *p = ctx;
	struct assoc *a = find_by_id(p, id);
	uint8_t head[PKT_VNET_LEN + PKT_HEADERS_MAX];

	if (!a || !is_expected(a, d->proto, &d->remote)) {
		session_count_drop(p->session, DROP_STALE_FRAME);
		return;
	}
	const struct endpoint *near = &a->flow.key.near;
	struct pkt_ip_params ip = {
		.src = d->remote.addr,
		.dst = near->addr,
		.ttl = d->ttl ? d->ttl : 1,
		.tos = d->tos,
		.id = p->next_ip_id++, /* it may be fragmented later on */
	};
	size_t max =
		near->addr.version == IPV4 ? PKT_IP_MAX - 28 : FRAME_DGRAM_MAX;

	if (d->payload_len > max) {
		(void)flow_drop(p, DROP_BAD_LENGTH);
		return;
	}
	timer_arm(p->loop, &a->idle, idle_us(a));
	size_t n = d->proto == PKT_PROTO_UDP
			   ? pkt_build_udp(head, &ip, d->remote.port,
					   near->port, d->payload_len)
			   : pkt_build_echo_reply(head, &ip, near->port,
						  d->remote.port, d->payload,
						  d->payload_len);
	write_payload(p, head, n, d);
}

/* Rebuild the first bytes of the datagram that an ICMP error is about: all that
 * hosts look at is addresses and the first eight bytes behind them. */
static size_t rebuild_quote(uint8_t *out, const struct assoc *a,
			    const struct frame_icmp_error *e)
{
	const struct endpoint *near = &a->flow.key.near;
	struct pkt_ip_params ip = {
		.src = near->addr, .dst = e->remote.addr, .ttl = 1};
	size_t l4_len = 8 + (size_t)e->payload_len;

	if (l4_len > PKT_IP_MAX - 40)
		l4_len = PKT_IP_MAX - 40;
	size_t at = pkt_build_ip(out, &ip, e->proto, l4_len);
	uint8_t *l4 = out + at;

	memset(l4, 0, 8);
	if (e->proto == PKT_PROTO_UDP) {
		bytes_put_u16(l4, near->port);
		bytes_put_u16(l4 + 2, e->remote.port);
		bytes_put_u16(l4 + 4, (uint16_t)l4_len);
	} else {
		l4[0] = e->proto == PKT_PROTO_ICMP ? 8 : 128;
		bytes_put_u16(l4 + 4, near->port);
		bytes_put_u16(l4 + 6, e->remote.port);
	}
	return at + 8;
}

void assoc_on_icmp_error(void *ctx, uint32_t id,
			 const struct frame_icmp_error *e)
{
	struct flowplane *p = ctx;
	struct assoc *a = find_by_id(p, id);
	struct icmp_error error = {e->type, e->code, e->info};
	uint8_t quote[PKT_HEADERS_MAX];

	if (!a || !is_expected(a, e->proto, &e->remote) ||
	    !icmp_error_is_valid(e->remote.addr.version, &error)) {
		session_count_drop(p->session, DROP_STALE_FRAME);
		return;
	}
	size_t n = rebuild_quote(quote, a, e);

	flow_icmp_error(p, &error, &e->offender, &a->flow.key.near.addr,
			&e->remote.addr, quote, n);
}

void assoc_on_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	struct flowplane *p = ctx;
	struct assoc *a = find_by_id(p, id);

	if (!a)
		return;
	if (reason != FRAME_REASON_NONE)
		(void)flow_drop(p, DROP_FLOW_LIMIT);
	assoc_kill(a);
}

bool assoc_has_peer(struct flow *f, const struct ip_addr *far)
{
	return peer_set_has_addr(&from_flow(f)->peers, far);
}

void assoc_abort(struct flow *f)
{
	assoc_kill(from_flow(f));
}

void assoc_free(struct flow *f)
{
	struct assoc *a = from_flow(f);

	dgram_queue_fini(&a->queue);
	peer_set_fini(&a->peers);
	free(a);
}
