/* SPDX-License-Identifier: MIT */
/* line: one direction of an emulated link, on the caller's clock. */
#include "line.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

#define NS_PER_MS 1e6

/* Stands for an unlimited rate where a queue needs one: during blackouts. */
#define UNLIMITED_MBIT 1000.0

int pool_init(struct pool *pool)
{
	void *room = mmap(NULL, POOL_PACKETS * sizeof(struct packet),
			  PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED)
		return -ENOMEM;
	*pool = (struct pool){.packets = room};
	return 0;
}

void pool_fini(struct pool *pool)
{
	(void)munmap(pool->packets, POOL_PACKETS * sizeof(struct packet));
}

struct packet *pool_get(struct pool *pool)
{
	struct packet *p = pool->unused;

	if (p)
		pool->unused = p->next;
	else if (pool->n_fresh < POOL_PACKETS)
		p = &pool->packets[pool->n_fresh++];
	return p;
}

void pool_put(struct pool *pool, struct packet *p)
{
	p->next = pool->unused;
	pool->unused = p;
}

static void list_append(struct packet_list *list, struct packet *p)
{
	p->next = NULL;
	if (list->head)
		list->tail->next = p;
	else
		list->head = p;
	list->tail = p;
}

static struct packet *list_shift(struct packet_list *list)
{
	struct packet *p = list->head;

	list->head = p->next;
	return p;
}

/* The next of a row of numbers in [0, 1): splitmix64. */
static double draw(struct line *l)
{
	uint64_t z = l->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return (double)(z >> 11) * 0x1p-53;
}

/* Gilbert's model: every packet is lost in one state, and none in the other. */
static bool is_lost(struct line *l, double luck)
{
	double loss = l->conf.loss_percent / 100, burst = l->conf.burst;

	if (burst <= 1 || loss >= 1)
		return luck < loss;
	if (l->is_losing)
		l->is_losing = luck >= 1 / burst;
	else
		l->is_losing = luck < loss / (burst * (1 - loss));
	return l->is_losing;
}

/* A packet has passed the wire.  It has as many draws as any other, so that
 * what happens to those after it hangs on nothing but the seed. */
static void depart(struct line *l, struct packet *p, int64_t at_ns)
{
	double loss_luck = draw(l), reorder_luck = draw(l);
	double twin_luck = draw(l), jitter = 2 * draw(l) - 1;
	double delay_ms = l->conf.delay_ms + jitter * l->conf.jitter_ms;

	if (is_lost(l, loss_luck)) {
		l->stats.lost++;
		pool_put(l->pool, p);
		return;
	}
	p->has_twin = twin_luck * 100 < l->conf.duplicate_percent;
	l->stats.duplicated += p->has_twin;
	if (reorder_luck * 100 < l->conf.reorder_percent) {
		l->stats.reordered++;
		p->due_ns = at_ns;
		list_append(&l->hasty, p);
		return;
	}
	p->due_ns = at_ns;
	if (delay_ms > 0)
		p->due_ns += llround(delay_ms * NS_PER_MS);
	if (p->due_ns < l->last_due_ns)
		p->due_ns = l->last_due_ns;
	l->last_due_ns = p->due_ns;
	list_append(&l->delayed, p);
}

/* When the head of the queue has passed the wire. */
static int64_t head_done_ns(const struct line *l)
{
	double bits_per_ns = l->conf.rate_mbit / 1000;

	if (!l->queue.head || l->is_blocked)
		return LINE_NEVER;
	if (l->conf.rate_mbit <= 0)
		return l->head_from_ns;
	return l->head_from_ns + llround(l->head_bits / bits_per_ns);
}

static void start_head(struct line *l, int64_t at_ns)
{
	l->head_from_ns = at_ns;
	l->head_bits = l->queue.head ? l->queue.head->len_bytes * 8.0 : 0;
}

/* Let the wire work until now. */
static void advance(struct line *l, int64_t now_ns)
{
	int64_t done_ns;

	while ((done_ns = head_done_ns(l)) <= now_ns) {
		struct packet *p = list_shift(&l->queue);
		l->queue_bytes -= p->len_bytes;
		start_head(l, done_ns);
		depart(l, p, done_ns);
	}
}

/* The same, and the head's part that is sent is sent, at the rate until now. */
static void settle(struct line *l, int64_t now_ns)
{
	advance(l, now_ns);
	if (l->queue.head && !l->is_blocked)
		l->head_bits -= (double)(now_ns - l->head_from_ns) *
				l->conf.rate_mbit / 1000;
	l->head_from_ns = now_ns;
}

void line_init(struct line *l, struct pool *pool, const struct line_conf *conf,
	       uint64_t seed)
{
	*l = (struct line){.conf = *conf, .pool = pool, .random = seed};
}

void line_set_conf(struct line *l, const struct line_conf *conf, int64_t now_ns)
{
	settle(l, now_ns);
	l->conf = *conf;
}

void line_set_blocked(struct line *l, bool is_blocked, int64_t now_ns)
{
	settle(l, now_ns);
	l->is_blocked = is_blocked;
}

static double bytes_per_ms(const struct line *l)
{
	double mbit = l->conf.rate_mbit;

	return (mbit > 0 ? mbit : UNLIMITED_MBIT) * 1000 / 8;
}

/* Packets of any length pass a queue that is empty. */
static bool is_full(const struct line *l, size_t len_bytes)
{
	return l->queue.head && (double)(l->queue_bytes + len_bytes) >
					l->conf.queue_ms * bytes_per_ms(l);
}

void line_push(struct line *l, struct packet *p, int64_t now_ns)
{
	advance(l, now_ns);
	l->stats.packets++;
	l->stats.bytes += p->len_bytes;
	if (is_full(l, p->len_bytes)) {
		l->stats.dropped++;
		pool_put(l->pool, p);
		return;
	}
	l->queue_bytes += p->len_bytes;
	list_append(&l->queue, p);
	if (l->queue.head == p)
		start_head(l, now_ns);
	double wait_ms = line_queue_ms(l, now_ns);
	if (wait_ms > l->stats.queue_ms_max)
		l->stats.queue_ms_max = wait_ms;
}

struct packet *line_pop(struct line *l, int64_t now_ns)
{
	struct packet_list *from = &l->delayed;

	advance(l, now_ns);
	if (l->hasty.head && (!l->delayed.head ||
			      l->hasty.head->due_ns < l->delayed.head->due_ns))
		from = &l->hasty;
	if (!from->head || from->head->due_ns > now_ns)
		return NULL;
	l->stats.delivered++;
	l->stats.delivered_bytes += from->head->len_bytes;
	return list_shift(from);
}

int64_t line_next_ns(const struct line *l)
{
	int64_t next_ns = head_done_ns(l);
	double least_ms = l->conf.delay_ms - l->conf.jitter_ms;

	/* Nothing has to be done when a packet leaves the wire, but later. */
	if (next_ns != LINE_NEVER && l->conf.reorder_percent <= 0 &&
	    least_ms > 0)
		next_ns += llround(least_ms * NS_PER_MS);
	if (l->delayed.head && l->delayed.head->due_ns < next_ns)
		next_ns = l->delayed.head->due_ns;
	if (l->hasty.head && l->hasty.head->due_ns < next_ns)
		next_ns = l->hasty.head->due_ns;
	return next_ns;
}

double line_queue_ms(struct line *l, int64_t now_ns)
{
	advance(l, now_ns);
	if (!l->queue.head || (l->conf.rate_mbit <= 0 && !l->is_blocked))
		return 0;
	double sent_bits = l->queue.head->len_bytes * 8.0 - l->head_bits;
	if (!l->is_blocked)
		sent_bits += (double)(now_ns - l->head_from_ns) *
			     l->conf.rate_mbit / 1000;
	return ((double)l->queue_bytes - sent_bits / 8) / bytes_per_ms(l);
}
