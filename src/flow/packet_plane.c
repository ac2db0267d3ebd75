/* SPDX-License-Identifier: MIT */
/*
 * packet_plane: whole packets between the TUN and the far end's device.
 *
 * Theory of operation
 *   What streams and associations do not carry goes as it is, super-packets
 *   whole.  On the way up this end is a router: one hop, with an MTU that may
 * be smaller behind it.  On the way down it is none, the far host has already
 *   been one; but it is a firewall: the far end is not trusted to send only
 * what belongs here.
 *
 *   A packet from there must be sound (vnet_view), be for an address of this
 *   end, and answer something: packet_track.c.  With allow_inbound it may also
 *   begin something, if it comes from a subnet that was asked for.  Routers on
 *   the way have any address, so an ICMP error needs only quote what was sent.
 *
 *   Too long a packet is answered with "too big" even if it might be cut (IPv4
 *   without DF): Linux learns from that, too, and cuts it itself from then on.
 *
 * Spec: doc/PROTOCOL.session section 7; RFC 1812, 1191, 8201.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flow_internal.h"
#include "mss_clamp.h"
#include "pkt_edit.h"
#include "vnet.h"

enum {
	MTU_MIN_BYTES = 576, /* less is no MTU, whoever says so */
	HEAD_MAX = 256,	     /* of a SYN that is changed on its way down */
};

/* ---- life ---- */

void packet_plane_init(struct flowplane *p)
{
	list_init(&p->packets.tracks_by_age);
	packet_queues_init(&p->packets.queues, p->loop, p->peer_seed);
}

static void free_network(struct flowplane_network *n)
{
	free((void *)(uintptr_t)n->announced);
	free((void *)(uintptr_t)n->asked);
}

void packet_plane_fini(struct flowplane *p)
{
	packet_queues_fini(&p->packets.queues);
	packet_track_clear(p);
	htab_fini(&p->packets.tracks);
	free_network(&p->packets.network);
}

void flowplane_set_plane(struct flowplane *p, enum flowplane_plane plane)
{
	p->packets.mode = plane;
}

static int copy_subnets(const struct subnet **ret, const struct subnet *from,
			size_t n)
{
	struct subnet *copy = NULL;

	if (n > 0 && !(copy = malloc(n * sizeof(*copy))))
		return -ENOMEM;
	if (n > 0)
		memcpy(copy, from, n * sizeof(*copy));
	*ret = copy;
	return 0;
}

int flowplane_set_network(struct flowplane *p,
			  const struct flowplane_network *n)
{
	struct flowplane_network copy = *n;

	copy.announced = copy.asked = NULL;
	if (copy_subnets(&copy.announced, n->announced, n->n_announced) < 0 ||
	    copy_subnets(&copy.asked, n->asked, n->n_asked) < 0) {
		free_network(&copy);
		return -ENOMEM;
	}
	free_network(&p->packets.network);
	p->packets.network = copy;
	return 0;
}

void flowplane_request_network(struct flowplane *p,
			       const struct frame_network *n)
{
	p->packets.is_asked = true;
	session_send_network(p->session, n);
}

const struct frame_network_state *flowplane_network_state(
	const struct flowplane *p)
{
	return p->packets.state.status ? &p->packets.state : NULL;
}

void packet_plane_on_state(void *ctx, const struct frame_network_state *state)
{
	struct flowplane *p = ctx;
	uint32_t mtu = state->mtu_bytes;

	if (!p->packets.is_asked) {
		session_count_drop(p->session, DROP_STALE_FRAME);
		return;
	}
	p->packets.state = *state;
	p->packets.is_up = state->status == FRAME_NETWORK_UP;
	p->packets.far_mtu_bytes = mtu < MTU_MIN_BYTES ? MTU_MIN_BYTES : mtu;
	if (!p->packets.is_up)
		packet_track_clear(p);
	if (p->ops->on_network_state)
		p->ops->on_network_state(p->ctx, state);
}

/* ---- which packets ---- */

static bool is_icmp(const struct pkt *pkt)
{
	return pkt->proto ==
	       (pkt->src.version == IPV4 ? PKT_PROTO_ICMP : PKT_PROTO_ICMP6);
}

static bool is_echo_request(const struct pkt *pkt)
{
	return pkt->icmp.type == (pkt->src.version == IPV4 ? 8 : 128);
}

/* A reply to what the far side has begun.  A connection of the flow plane with
 * the same ports goes before. */
static bool is_reply(struct flowplane *p, const struct pkt *pkt)
{
	struct flow_key key;

	if (p->packets.n_inbound == 0)
		return false;
	packet_track_key(pkt, PACKET_TRACK_UP, &key);
	if (!pkt->is_fragment && pkt->proto == PKT_PROTO_TCP &&
	    ((pkt->tcp.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) ==
		     TCP_SYN ||
	     flow_find(p, &key)))
		return false;
	return packet_track_is_inbound(p, &key);
}

static bool is_in(const struct subnet *nets, size_t n, const struct ip_addr *a)
{
	size_t i = 0;

	while (i < n && !subnet_contains(&nets[i], a))
		i++;
	return i < n;
}

/* A host behind this one.  Segments and datagrams get lost on the way to us and
 * from us, as they do not from our own system: ends that can mend that, and cut
 * what is too long, are its own and the far host's. */
static bool is_from_behind(const struct flowplane *p, const struct pkt *pkt)
{
	const struct flowplane_network *n = &p->packets.network;

	return is_in(n->announced, n->n_announced, &pkt->src);
}

bool packet_plane_takes(struct flowplane *p, const struct pkt *pkt)
{
	if (!p->packets.is_up || p->packets.mode == FLOWPLANE_PLANE_FLOW ||
	    flow_local_owns(p, &pkt->dst))
		return false;
	if (p->packets.mode == FLOWPLANE_PLANE_PACKET ||
	    !flow_is_served(p, pkt) || is_from_behind(p, pkt))
		return true;
	if (is_icmp(pkt) && !pkt->is_fragment)
		return !is_echo_request(pkt);
	return is_reply(p, pkt);
}

/* ICMP that hosts tell each other, and errors about what has passed.  All else
 * is for one link only, or would change routes. */
static enum drop_reason check_icmp(struct flowplane *p, const struct pkt *pkt,
				   enum packet_track_way way,
				   bool *ret_is_error)
{
	uint8_t type = pkt->icmp.type;
	struct flow_key key;

	*ret_is_error = false;
	if (pkt->src.version == IPV4
		    ? type == 0 || type == 8 || type == 13 || type == 14
		    : type == 128 || type == 129)
		return DROP_NONE;
	if (!packet_track_key_quoted(pkt, way, &key))
		return DROP_ICMP_OTHER;
	*ret_is_error = true;
	return packet_track_has_quoted(p, &key) ? DROP_NONE : DROP_UNSOLICITED;
}

/* ---- up ---- */

/* The longest packet that will pass the far device. */
static size_t longest(const struct frame_packet *packet, const struct pkt *pkt)
{
	if (packet->gso_type == VNET_TYPE_NONE)
		return packet->ip_len;
	return (size_t)(pkt->payload - pkt->ip) + packet->gso_size;
}

/* ip: the bytes that packet and pkt borrow. */
static enum drop_reason send_up(struct flowplane *p, uint8_t *ip,
				const struct frame_packet *packet,
				const struct pkt *pkt)
{
	uint32_t mtu = p->packets.far_mtu_bytes;
	enum drop_reason reason = DROP_NONE;
	bool is_error = false;
	struct flow_key key;

	if (is_icmp(pkt) && !pkt->is_fragment)
		reason = check_icmp(p, pkt, PACKET_TRACK_UP, &is_error);
	if (reason != DROP_NONE)
		return flow_drop(p, DROP_ICMP_OTHER);
	if (longest(packet, pkt) > mtu)
		return flow_reject(p, pkt, ICMP_MEANS_TOO_BIG, mtu,
				   DROP_TOO_BIG);
	(void)mss_clamp(ip, pkt, mtu < p->mtu_bytes ? mtu : p->mtu_bytes);
	pkt_edit_take_hop(ip);
	packet_track_key(pkt, PACKET_TRACK_UP, &key);
	if (!is_error)
		packet_track_note(p, &key, PACKET_TRACK_UP, pkt);
	reason = packet_queues_send(&p->packets.queues, p->session, pkt, packet,
				    session_frame_bytes(p->session));
	if (reason != DROP_NONE)
		return flow_drop(p, reason);
	p->stats.plane_up_packets++;
	p->stats.plane_up_bytes += packet->ip_len;
	return DROP_NONE;
}

enum drop_reason packet_plane_on_tun(struct flowplane *p, uint8_t *buf,
				     size_t len)
{
	struct frame_packet packet;
	struct pkt pkt;
	enum drop_reason reason = vnet_parse(buf, len, &packet, &pkt);

	if (reason != DROP_NONE)
		return flow_drop(p, reason);
	return send_up(p, buf + PKT_VNET_LEN, &packet, &pkt);
}

enum drop_reason packet_plane_on_whole(struct flowplane *p,
				       const struct pkt *whole)
{
	struct frame_packet packet = {.ip = p->packets.whole,
				      .ip_len = whole->ip_len};
	struct pkt pkt;

	memcpy(p->packets.whole, whole->ip, whole->ip_len);
	enum drop_reason reason = vnet_view(&packet, &pkt);
	if (reason != DROP_NONE)
		return flow_drop(p, reason);
	return send_up(p, p->packets.whole, &packet, &pkt);
}

/* ---- down ---- */

/* An address of this end. */
static bool is_ours(const struct flowplane *p, const struct ip_addr *a)
{
	const struct flowplane_network *n = &p->packets.network;

	return addr_equal(a, &n->near4) || addr_equal(a, &n->near6) ||
	       is_in(n->announced, n->n_announced, a);
}

/* May it come in?  Notes it if so. */
static enum drop_reason admit(struct flowplane *p, const struct pkt *pkt)
{
	const struct flowplane_network *n = &p->packets.network;
	enum drop_reason reason = DROP_NONE;
	bool is_error = false;
	struct flow_key key;

	if (!is_ours(p, &pkt->dst))
		return DROP_FOREIGN_DESTINATION;
	if (is_ours(p, &pkt->src) || addr_is_link_local(&pkt->src))
		return DROP_FOREIGN_SOURCE;
	if (is_icmp(pkt) && !pkt->is_fragment)
		reason = check_icmp(p, pkt, PACKET_TRACK_DOWN, &is_error);
	if (reason != DROP_NONE || is_error)
		return reason;
	packet_track_key(pkt, PACKET_TRACK_DOWN, &key);
	if (!packet_track_has(p, &key)) {
		if (!is_in(n->asked, n->n_asked, &pkt->src))
			return DROP_FOREIGN_SOURCE;
		if (!n->allow_inbound)
			return DROP_UNSOLICITED;
	}
	packet_track_note(p, &key, PACKET_TRACK_DOWN, pkt);
	return DROP_NONE;
}

/* The headers may be changed, so they are copied; what follows is not. */
static void write_down(struct flowplane *p, const struct frame_packet *packet,
		       const struct pkt *pkt)
{
	uint32_t mtu = p->packets.far_mtu_bytes;
	uint8_t head[PKT_VNET_LEN + HEAD_MAX];
	size_t n = packet->ip_len < HEAD_MAX ? packet->ip_len : HEAD_MAX;

	vnet_build(head, packet);
	memcpy(head + PKT_VNET_LEN, packet->ip, n);
	if (!pkt->is_fragment && pkt->proto == PKT_PROTO_TCP &&
	    (size_t)(pkt->payload - pkt->ip) <= n)
		(void)mss_clamp(head + PKT_VNET_LEN, pkt,
				mtu < p->mtu_bytes ? mtu : p->mtu_bytes);
	struct iovec iov[2] = {
		{head, PKT_VNET_LEN + n},
		{(void *)(uintptr_t)(packet->ip + n), packet->ip_len - n},
	};
	flow_tun_write(p, iov, packet->ip_len > n ? 2 : 1);
	p->stats.plane_down_packets++;
	p->stats.plane_down_bytes += packet->ip_len;
}

void packet_plane_on_packet(void *ctx, const struct frame_packet *packet)
{
	struct flowplane *p = ctx;
	enum drop_reason reason;
	struct pkt pkt;

	if (!p->packets.is_up) {
		(void)flow_drop(p, DROP_NO_PACKET_PLANE);
		return;
	}
	reason = vnet_view(packet, &pkt);
	if (reason == DROP_NONE)
		reason = admit(p, &pkt);
	if (reason != DROP_NONE) {
		(void)flow_drop(p, reason);
		return;
	}
	write_down(p, packet, &pkt);
}
