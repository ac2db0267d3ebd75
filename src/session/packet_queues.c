/* SPDX-License-Identifier: MIT */
/*
 * packet_queues: packets that wait for the carrier, each flow in a queue of its
 * own.
 *
 * Theory of operation
 *   The session serves queues in turn and drops from one that stands, so who
 *   shares a queue shares its fate.  Keys are compared, not only hashed: two
 *   flows meet only in the shared queue, when there are too many.
 *
 *   A queue that is empty and that the scheduler has forgotten can go: what is
 *   left of it is CoDel's memory, of no use after IDLE_US.
 */
#include "packet_queues.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum {
	/* Looked at for an empty one to be used again. */
	LOOKED_AT_MAX = 16,
	PROTO_DCCP = 33,
	PROTO_ESP = 50,
	PROTO_AH = 51,
	PROTO_SCTP = 132,
	PROTO_UDPLITE = 136,
};

struct packet_key {
	struct ip_addr src, dst;
	uint8_t proto;
	uint32_t id; /* two ports, an SPI, an identifier; or 0 */
};

struct packet_queue {
	struct htab_node node;
	struct list by_use;
	struct packet_key key;
	struct dgram_queue queue;
	mono_us_t used_us;
};

/* ---- keys ---- */

static bool is_echo(const struct pkt *pkt)
{
	if (pkt->src.version == IPV4)
		return pkt->proto == PKT_PROTO_ICMP &&
		       (pkt->icmp.type == 0 || pkt->icmp.type == 8);
	return pkt->proto == PKT_PROTO_ICMP6 &&
	       (pkt->icmp.type == 128 || pkt->icmp.type == 129);
}

/* What tells apart the flows between two hosts. */
static uint32_t flow_id(const struct pkt *pkt)
{
	size_t at = 0;

	if (pkt->is_fragment)
		return 0;
	switch (pkt->proto) {
	case PKT_PROTO_ICMP:
	case PKT_PROTO_ICMP6:
		return is_echo(pkt) ? (uint32_t)pkt->icmp.id + 1 : 0;
	case PROTO_AH:
		at = 4;
		break;
	case PKT_PROTO_TCP:
	case PKT_PROTO_UDP:
	case PROTO_DCCP:
	case PROTO_ESP:
	case PROTO_SCTP:
	case PROTO_UDPLITE:
		break;
	default:
		return 0;
	}
	return pkt->l4_len >= at + 4 ? bytes_get_u32(pkt->l4 + at) : 0;
}

static struct packet_key key_of(const struct pkt *pkt)
{
	return (struct packet_key){
		.src = pkt->src,
		.dst = pkt->dst,
		.proto = pkt->proto,
		.id = flow_id(pkt),
	};
}

static bool is_same(const struct packet_key *a, const struct packet_key *b)
{
	return a->id == b->id && a->proto == b->proto &&
	       addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst);
}

static uint64_t mix(uint64_t h, uint64_t value)
{
	h = (h ^ value) * UINT64_C(0x9fb21c651e98df25);
	return h ^ h >> 32;
}

static uint64_t mix_addr(uint64_t h, const struct ip_addr *a)
{
	uint64_t half[2];

	memcpy(half, a->bytes, sizeof(half));
	return mix(mix(h, half[0]), half[1]);
}

static uint64_t hash(const struct packet_queues *q, const struct packet_key *k)
{
	uint64_t h = mix_addr(mix_addr(q->seed, &k->src), &k->dst);

	/* The table looks at the upper half. */
	return mix(h, (uint64_t)k->proto << 32 | k->id) *
	       UINT64_C(0x9e3779b97f4a7c15);
}

/* ---- life ---- */

static void on_idle(void *ctx);

void packet_queues_init(struct packet_queues *q, struct loop *loop,
			uint64_t seed)
{
	*q = (struct packet_queues){.loop = loop, .seed = seed};
	q->budget.max_bytes = PACKET_QUEUES_TOTAL_BYTES;
	list_init(&q->by_use);
	dgram_queue_init(&q->shared, 0);
	q->shared.max_bytes = PACKET_QUEUES_BYTES;
	q->shared.budget = &q->budget;
	q->idle = (struct timer){.on_fire = on_idle, .ctx = q};
}

static void queue_free(struct packet_queues *q, struct packet_queue *p)
{
	dgram_queue_fini(&p->queue);
	htab_del(&q->by_key, &p->node);
	list_del(&p->by_use);
	free(p);
}

static struct packet_queue *by_use(struct list *link)
{
	return container_of(link, struct packet_queue, by_use);
}

void packet_queues_fini(struct packet_queues *q)
{
	timer_disarm(q->loop, &q->idle);
	list_for_each_safe (link, &q->by_use)
		queue_free(q, by_use(link));
	htab_fini(&q->by_key);
	dgram_queue_fini(&q->shared);
}

/* Nothing waits in it, and it owes nobody a turn. */
static bool is_free(const struct packet_queue *p)
{
	return p->queue.n == 0 && list_is_empty(&p->queue.flow.link);
}

/* Give back those that have been idle. */
static void on_idle(void *ctx)
{
	struct packet_queues *q = ctx;
	mono_us_t now_us = loop_now_us(q->loop);

	list_for_each_safe (link, &q->by_use) {
		struct packet_queue *p = by_use(link);

		if (now_us - p->used_us < PACKET_QUEUES_IDLE_US)
			break;
		if (is_free(p))
			queue_free(q, p);
	}
	if (!list_is_empty(&q->by_use))
		timer_arm(q->loop, &q->idle, PACKET_QUEUES_IDLE_US);
}

/* ---- finding ---- */

static struct packet_queue *find(const struct packet_queues *q,
				 const struct packet_key *key, uint64_t h)
{
	struct htab_node *node = htab_find(&q->by_key, h);

	for (; node; node = htab_next(node)) {
		struct packet_queue *p =
			container_of(node, struct packet_queue, node);

		if (is_same(&p->key, key))
			return p;
	}
	return NULL;
}

/* There may be one more, or an empty one has been given back for it. */
static bool make_room(struct packet_queues *q)
{
	int n = 0;

	if (q->by_key.n < PACKET_QUEUES_MAX)
		return true;
	list_for_each (link, &q->by_use) {
		if (is_free(by_use(link))) {
			queue_free(q, by_use(link));
			return true;
		}
		if (++n == LOOKED_AT_MAX)
			break;
	}
	return false;
}

/* Returns NULL if there are too many, or memory runs out. */
static struct packet_queue *queue_new(struct packet_queues *q,
				      const struct packet_key *key, uint64_t h)
{
	if (!make_room(q))
		return NULL;
	struct packet_queue *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->key = *key;
	p->node.hash = h;
	if (htab_add(&q->by_key, &p->node) < 0) {
		free(p);
		return NULL;
	}
	list_init(&p->by_use);
	dgram_queue_init(&p->queue, 0);
	p->queue.max_bytes = PACKET_QUEUES_BYTES;
	p->queue.budget = &q->budget;
	return p;
}

struct dgram_queue *packet_queues_of(struct packet_queues *q,
				     const struct pkt *pkt)
{
	struct packet_key key = key_of(pkt);
	uint64_t h = hash(q, &key);
	struct packet_queue *p = find(q, &key, h);

	if (!p)
		p = queue_new(q, &key, h);
	if (!p)
		return &q->shared;
	p->used_us = loop_now_us(q->loop);
	list_del(&p->by_use);
	list_push(&q->by_use, &p->by_use);
	if (!timer_is_armed(&q->idle))
		timer_arm(q->loop, &q->idle, PACKET_QUEUES_IDLE_US);
	return &p->queue;
}
