/* SPDX-License-Identifier: MIT */
/*
 * packet_track: who has sent whole packets to whom, and so may be answered.
 *
 * Theory of operation
 *   The table is a firewall's: a packet that goes up makes an entry, or keeps
 *   it, and what comes down must have one.  With allow_inbound the far side
 * makes entries, too, which tell the replies to them from the flow plane's
 * traffic. Fragments have no ports, so beside each entry with ports there is
 * one of the addresses and the protocol alone.
 *
 *   All is bounded: of FLOWPLANE_TRACKS_MAX entries the one unused for longest
 *   gives way, and an entry unused for its lifetime counts as none.
 *
 * Spec: RFC 5382 REQ-5 (TCP), RFC 4787 REQ-5 (UDP), RFC 5508 REQ-2 (echo).
 */
#include <stdlib.h>
#include <string.h>

#include "flow_internal.h"
#include "pkt_edit.h"

#define LIFETIME_TCP_US	      UINT64_C(7440000000) /* established */
#define LIFETIME_TCP_SHORT_US UINT64_C(240000000)
#define LIFETIME_UDP_US	      UINT64_C(180000000)
#define LIFETIME_ECHO_US      UINT64_C(60000000)
#define LIFETIME_OTHER_US     UINT64_C(600000000)
/* How stale the entry without ports may get beside one with. */
#define LOOSE_US UINT64_C(1000000)

struct packet_track {
	struct htab_node node;
	struct list by_age;
	struct flow_key key;
	mono_us_t used_us;
	mono_us_t loose_us; /* when the entry without ports was last noted */
	bool is_inbound;    /* the far side began */
	bool has_up, has_down, is_ending; /* TCP */
	bool has_fragments;		  /* whose ports were not seen */
};

/* ---- keys ---- */

enum { ECHO_PORT = 1 /* beside the identifier: no other has it */ };

static bool is_icmp_of(const struct pkt *pkt)
{
	return pkt->proto ==
	       (pkt->src.version == IPV4 ? PKT_PROTO_ICMP : PKT_PROTO_ICMP6);
}

static bool is_echo(const struct pkt *pkt)
{
	return pkt->src.version == IPV4
		       ? pkt->icmp.type == 0 || pkt->icmp.type == 8
		       : pkt->icmp.type == 128 || pkt->icmp.type == 129;
}

static void swap(struct flow_key *key)
{
	struct endpoint near = key->near;

	key->near = key->far;
	key->far = near;
}

void packet_track_key(const struct pkt *pkt, enum packet_track_way way,
		      struct flow_key *ret)
{
	bool is_echo_of = !pkt->is_fragment && is_icmp_of(pkt) && is_echo(pkt);

	memset(ret, 0, sizeof(*ret));
	ret->proto = pkt->proto;
	ret->near.addr = pkt->src;
	ret->far.addr = pkt->dst;
	if (!pkt->is_fragment && pkt->proto == PKT_PROTO_TCP) {
		ret->near.port = pkt->tcp.src_port;
		ret->far.port = pkt->tcp.dst_port;
	} else if (!pkt->is_fragment && pkt->proto == PKT_PROTO_UDP) {
		ret->near.port = pkt->udp.src_port;
		ret->far.port = pkt->udp.dst_port;
	}
	if (way == PACKET_TRACK_DOWN)
		swap(ret);
	if (is_echo_of) {
		ret->near.port = pkt->icmp.id;
		ret->far.port = ECHO_PORT;
	}
}

bool packet_track_key_quoted(const struct pkt *pkt, enum packet_track_way way,
			     struct flow_key *ret)
{
	struct pkt_quote q;

	if (pkt->is_fragment || !is_icmp_of(pkt) ||
	    !pkt_edit_parse_quote(pkt, &q))
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->proto = q.proto;
	ret->near.addr = q.src;
	ret->far.addr = q.dst;
	if (q.has_ports) {
		ret->near.port = q.src_port;
		ret->far.port = q.dst_port;
	}
	/* What is quoted travelled the other way. */
	if (way == PACKET_TRACK_UP)
		swap(ret);
	if (q.has_echo) {
		ret->near.port = q.echo_id;
		ret->far.port = ECHO_PORT;
	}
	return true;
}

static bool has_ports(const struct flow_key *key)
{
	return key->near.port || key->far.port;
}

/* ---- the table ---- */

static uint64_t lifetime_us(const struct packet_track *t)
{
	switch (t->key.proto) {
	case PKT_PROTO_TCP:
		return t->has_up && t->has_down && !t->is_ending
			       ? LIFETIME_TCP_US
			       : LIFETIME_TCP_SHORT_US;
	case PKT_PROTO_UDP:
		return LIFETIME_UDP_US;
	case PKT_PROTO_ICMP:
	case PKT_PROTO_ICMP6:
		return LIFETIME_ECHO_US;
	default:
		return LIFETIME_OTHER_US;
	}
}

static bool is_over(const struct flowplane *p, const struct packet_track *t)
{
	return loop_now_us(p->loop) - t->used_us > lifetime_us(t);
}

static void track_free(struct flowplane *p, struct packet_track *t)
{
	htab_del(&p->packets.tracks, &t->node);
	list_del(&t->by_age);
	p->packets.n_inbound -= t->is_inbound;
	p->stats.tracks--;
	free(t);
}

static struct packet_track *oldest(struct flowplane *p)
{
	return container_of(p->packets.tracks_by_age.next, struct packet_track,
			    by_age);
}

bool packet_track_has_far(const struct flowplane *p, const struct ip_addr *far)
{
	list_for_each (pos, &p->packets.tracks_by_age) {
		const struct packet_track *t =
			container_of(pos, struct packet_track, by_age);

		if (addr_equal(&t->key.far.addr, far) && !is_over(p, t))
			return true;
	}
	return false;
}

void packet_track_clear(struct flowplane *p)
{
	while (!list_is_empty(&p->packets.tracks_by_age))
		track_free(p, oldest(p));
}

static struct packet_track *find(struct flowplane *p,
				 const struct flow_key *key)
{
	struct htab_node *node =
		htab_find(&p->packets.tracks, flow_hash(p, key));

	for (; node; node = htab_next(node)) {
		struct packet_track *t =
			container_of(node, struct packet_track, node);

		if (t->key.proto != key->proto ||
		    !endpoint_equal(&t->key.near, &key->near) ||
		    !endpoint_equal(&t->key.far, &key->far))
			continue;
		if (!is_over(p, t))
			return t;
		track_free(p, t);
		return NULL;
	}
	return NULL;
}

bool packet_track_has(struct flowplane *p, const struct flow_key *key)
{
	return find(p, key) != NULL;
}

bool packet_track_has_quoted(struct flowplane *p, const struct flow_key *key)
{
	struct flow_key loose = *key;

	if (find(p, key))
		return true;
	loose.near.port = loose.far.port = 0;
	const struct packet_track *t = find(p, &loose);
	return t && t->has_fragments;
}

bool packet_track_is_inbound(struct flowplane *p, const struct flow_key *key)
{
	if (p->packets.n_inbound == 0)
		return false;
	const struct packet_track *t = find(p, key);

	return t && t->is_inbound;
}

/* Returns NULL if memory runs out. */
static struct packet_track *track_new(struct flowplane *p,
				      const struct flow_key *key,
				      enum packet_track_way way)
{
	struct packet_track *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	/* A few that are over, or one that is not. */
	for (int i = 0;
	     i < 2 && !list_is_empty(&p->packets.tracks_by_age) &&
	     (is_over(p, oldest(p)) || p->stats.tracks >= FLOWPLANE_TRACKS_MAX);
	     i++)
		track_free(p, oldest(p));
	t->key = *key;
	t->node.hash = flow_hash(p, key);
	list_init(&t->by_age);
	if (htab_add(&p->packets.tracks, &t->node) < 0) {
		free(t);
		return NULL;
	}
	t->is_inbound = way == PACKET_TRACK_DOWN;
	p->packets.n_inbound += t->is_inbound;
	p->stats.tracks++;
	return t;
}

/* Find or begin it, and mark it as used. */
static struct packet_track *use(struct flowplane *p, const struct flow_key *key,
				enum packet_track_way way)
{
	struct packet_track *t = find(p, key);

	if (!t)
		t = track_new(p, key, way);
	if (!t)
		return NULL;
	t->used_us = loop_now_us(p->loop);
	list_del(&t->by_age);
	list_push(&p->packets.tracks_by_age, &t->by_age);
	return t;
}

static void note_tcp(struct packet_track *t, enum packet_track_way way,
		     const struct pkt *pkt)
{
	t->has_up |= way == PACKET_TRACK_UP;
	t->has_down |= way == PACKET_TRACK_DOWN;
	if (pkt->tcp.flags & (TCP_FIN | TCP_RST))
		t->is_ending = true;
	else if (pkt->tcp.flags & TCP_SYN)
		t->is_ending = false; /* the ports are used again */
}

void packet_track_note(struct flowplane *p, const struct flow_key *key,
		       enum packet_track_way way, const struct pkt *pkt)
{
	struct packet_track *t = use(p, key, way);

	if (t)
		t->has_fragments |= pkt->is_fragment;
	if (!t || !has_ports(key))
		return;
	if (!pkt->is_fragment && key->proto == PKT_PROTO_TCP)
		note_tcp(t, way, pkt);
	if (t->loose_us && t->used_us - t->loose_us < LOOSE_US)
		return;
	t->loose_us = t->used_us;
	struct flow_key loose = *key;
	loose.near.port = loose.far.port = 0;
	(void)use(p, &loose,
		  t->is_inbound ? PACKET_TRACK_DOWN : PACKET_TRACK_UP);
}
