/* SPDX-License-Identifier: MIT */
/*
 * local: an address in the TUN that is this engine's own.
 *
 * Theory of operation
 *   Whoever sends to it reaches a service of this process: nothing listens on
 *   a socket of this host.  What comes from another address than the tunnel's
 *   own was forwarded by this host, from its local network perhaps, and is
 *   dropped: nobody off this host has a say there.  Datagrams to the one port
 *   are handed over as they come and have no flow.  TCP has an
 *   endpoint like any other, whose stream is one of a second session: its other
 *   end is the service, in this process.
 */
#include <errno.h>

#include "flow_internal.h"

enum { LOCAL_TTL = 64 };

bool flow_local_owns(const struct flowplane *p, const struct ip_addr *a)
{
	const struct flowplane_local *l = &p->local.config;

	return a->version &&
	       (addr_equal(a, &l->addr4) || addr_equal(a, &l->addr6));
}

struct session *flow_local_session_of(const struct flowplane *p,
				      const struct ip_addr *far)
{
	return flow_local_owns(p, far) ? p->local.session : p->session;
}

static struct pkt_ip_params ip_header(struct flowplane *p,
				      const struct ip_addr *src,
				      const struct ip_addr *dst)
{
	return (struct pkt_ip_params){
		.src = *src,
		.dst = *dst,
		.ttl = LOCAL_TTL,
		.id = p->next_ip_id++, /* it may be fragmented later on */
	};
}

static enum drop_reason answer_echo(struct flowplane *p, const struct pkt *pkt)
{
	uint8_t head[PKT_VNET_LEN + PKT_HEADERS_MAX];
	struct pkt_ip_params ip = ip_header(p, &pkt->dst, &pkt->src);
	size_t n = pkt_build_echo_reply(head, &ip, pkt->icmp.id, pkt->icmp.seq,
					pkt->payload, pkt->payload_len);
	struct iovec iov[2] = {
		{head, n},
		{(void *)(uintptr_t)pkt->payload, pkt->payload_len},
	};

	flow_tun_write(p, iov, 2);
	return DROP_NONE;
}

static enum drop_reason refuse_datagram(struct flowplane *p,
					const struct pkt *pkt,
					enum icmp_meaning meaning,
					uint32_t info)
{
	struct icmp_error error =
		icmp_error_make(pkt->src.version, meaning, info);

	flow_icmp_error(p, &error, &pkt->dst, &pkt->src, &pkt->dst, pkt->ip,
			pkt->ip_len);
	return flow_drop(p, DROP_PROTOCOL);
}

/* One datagram, or each of a super-packet's. */
static enum drop_reason take_datagrams(struct flowplane *p,
				       const struct pkt *pkt)
{
	const struct flowplane_local *l = &p->local.config;
	struct endpoint from = {pkt->src, pkt->udp.src_port};
	size_t step = pkt->gso_bytes ? pkt->gso_bytes : pkt->payload_len;
	size_t at = 0;

	do {
		size_t left = pkt->payload_len - at;
		size_t n = left < step ? left : step;

		l->on_datagram(l->ctx, &pkt->dst, &from, pkt->payload + at, n);
		at += n;
	} while (at < pkt->payload_len);
	return DROP_NONE;
}

static bool is_of_this_host(const struct flowplane *p, const struct ip_addr *a)
{
	const struct flowplane_local *l = &p->local.config;

	return addr_equal(a, &l->near4) || addr_equal(a, &l->near6);
}

enum drop_reason flow_local_on_packet(struct flowplane *p,
				      const struct pkt *pkt)
{
	uint16_t port = p->local.config.port;

	if (!is_of_this_host(p, &pkt->src))
		return flow_drop(p, DROP_NOT_THIS_HOST);
	if (flow_is_icmp(pkt))
		return flow_is_icmp_echo(pkt) ? answer_echo(p, pkt)
					      : flow_drop(p, DROP_ICMP_OTHER);
	if (pkt->proto == PKT_PROTO_UDP)
		return pkt->udp.dst_port == port
			       ? take_datagrams(p, pkt)
			       : refuse_datagram(p, pkt,
						 ICMP_MEANS_PORT_UNREACH, 0);
	if (pkt->proto == PKT_PROTO_TCP)
		return pkt->tcp.dst_port == port && p->local.session
			       ? tcp_input_on_segment(p, pkt)
			       : tcp_input_refuse(p, pkt);
	return refuse_datagram(p, pkt, ICMP_MEANS_PROTO_UNREACH,
			       (uint32_t)pkt->proto_offset);
}

void flowplane_send_local(struct flowplane *p, const struct ip_addr *local,
			  const struct endpoint *to, const uint8_t *payload,
			  size_t len)
{
	uint8_t head[PKT_VNET_LEN + PKT_HEADERS_MAX];
	struct pkt_ip_params ip = ip_header(p, local, &to->addr);
	size_t n =
		pkt_build_udp(head, &ip, p->local.config.port, to->port, len);
	struct iovec iov[2] = {
		{head, n},
		{(void *)(uintptr_t)payload, len},
	};

	flow_tun_write(p, iov, 2);
}

/* ---- the second session ---- */

static void on_up(void *ctx, const struct frame_hello *peer)
{
	(void)ctx;
	(void)peer;
}

/* Its streams are reset by then, which the endpoints were told. */
static void on_down(void *ctx, const struct err *why)
{
	(void)ctx;
	(void)why;
}

int flowplane_set_local(struct flowplane *p,
			const struct flowplane_local *local,
			struct carrier *streams)
{
	static const struct session_ops ops = {
		.on_up = on_up,
		.stream = &tcp_endpoint_stream_ops,
		.on_down = on_down,
	};
	struct frame_hello hello = {.software = ECSSH_VERSION};

	p->local.session =
		session_new(p->loop, SESSION_NEAR, streams, &ops, p, &hello);
	if (!p->local.session)
		return -ENOMEM;
	p->local.config = *local;
	return 0;
}

void flow_local_fini(struct flowplane *p)
{
	p->local.session = session_free(p->local.session);
}
