/* SPDX-License-Identifier: MIT */
/*
 * names: addresses of names as the far end knows them, for a while.
 *
 * Theory of operation
 *   A fixed number of entries.  For each name two questions go out, A and
 *   AAAA, unless the far end has one family only; whoever asks for the name
 *   meanwhile waits with the first.  The answer is kept as long as it says,
 *   within bounds, a failure for a few seconds.  The entry unused for longest
 *   makes room for a new name; one that is waited for does not.
 *
 *   The id of a query is made of the entry's number, the family, and how often
 *   the entry was used, so that a late answer meets no other name.
 */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy.h"

enum {
	TTL_MIN_S = 5,
	TTL_MAX_S = 300,
	FAILED_TTL_S = 5,
	PATIENCE_US = 15000000,
	ID_SLOT_BITS = 8,
	FAMILIES = 2, /* 0: IPv6, 1: IPv4 */
};

_Static_assert(PROXY_NAMES_MAX == 1 << ID_SLOT_BITS, "slots fit into ids");

struct name_query {
	uint32_t id; /* 0: answered, or not asked */
	uint8_t bytes[DNS_QUERY_MAX];
	size_t len;
	struct dns_answer answer;
};

struct name_entry {
	struct names *names;		   /* borrowed */
	char name[FRAME_NAME_MAX + 1];	   /* "": free */
	struct name_query query[FAMILIES]; /* by family */
	struct name_addrs known;
	uint32_t generation;
	mono_us_t used_us, expires_us;
	struct timer patience; /* armed: it is waited for */
	struct list waiters;   /* struct name_waiter */
};

static unsigned slot_of(const struct name_entry *e)
{
	return (unsigned)(e - e->names->entries);
}

/* ---- the end of a question ---- */

static void tell(struct name_entry *e)
{
	struct list waiters, *link;
	struct name_addrs known = e->known;

	/* Who is told may ask again. */
	list_init(&waiters);
	while ((link = list_pop(&e->waiters)))
		list_push(&waiters, link);
	while ((link = list_pop(&waiters))) {
		struct name_waiter *w =
			container_of(link, struct name_waiter, link);

		w->on_known(w->ctx, &known);
	}
}

static void conclude(struct name_entry *e, enum frame_reason reason)
{
	uint32_t ttl_s = TTL_MAX_S;

	timer_disarm(e->names->loop, &e->patience);
	e->known = (struct name_addrs){.reason = reason};
	for (int f = 0; f < FAMILIES; f++) {
		const struct dns_answer *a = &e->query[f].answer;

		e->query[f].id = 0;
		for (size_t i = 0; i < a->n_addrs; i++)
			e->known.addrs[e->known.n++] = a->addrs[i];
		if (a->n_addrs > 0 && a->ttl_s < ttl_s)
			ttl_s = a->ttl_s;
	}
	if (ttl_s < TTL_MIN_S)
		ttl_s = TTL_MIN_S;
	if (e->known.n == 0)
		ttl_s = FAILED_TTL_S;
	e->expires_us = loop_now_us(e->names->loop) + ttl_s * US_PER_SEC;
	tell(e);
}

static void on_patience_over(void *ctx)
{
	conclude(ctx, FRAME_REASON_TIMED_OUT);
}

/* ---- asking ---- */

static void ask(struct name_entry *e, int family)
{
	struct names *n = e->names;
	struct name_query *q = &e->query[family];

	q->answer.n_addrs = 0;
	q->id = PROXY_ID_FIRST | e->generation << (ID_SLOT_BITS + 1) |
		slot_of(e) << 1 | (unsigned)family;
	/* The helper changes the DNS id, so it need not be hard to guess. */
	int len = dns_build_query(q->bytes, (uint16_t)e->generation, e->name,
				  family ? DNS_A : DNS_AAAA);

	q->len = (size_t)len;
	session_send_resolve(n->session, q->id, q->bytes, q->len);
}

static void start(struct name_entry *e, const char *name)
{
	struct names *n = e->names;
	uint32_t families = n->capabilities & (FRAME_CAP_IPV4 | FRAME_CAP_IPV6);

	memcpy(e->name, name, strlen(name) + 1);
	e->generation = (e->generation + 1) & 0x3fffff;
	e->query[0].id = e->query[1].id = 0;
	e->query[0].answer.n_addrs = e->query[1].answer.n_addrs = 0;
	timer_arm(n->loop, &e->patience, PATIENCE_US);
	if (families != FRAME_CAP_IPV4)
		ask(e, 0);
	if (families != FRAME_CAP_IPV6)
		ask(e, 1);
}

static bool is_old(const struct name_entry *e)
{
	return !timer_is_armed(&e->patience) &&
	       e->expires_us <= loop_now_us(e->names->loop);
}

/* The entry of the name, or one to be used for it; NULL: all are in use. */
static struct name_entry *find(struct names *n, const char *name)
{
	struct name_entry *oldest = NULL;

	for (unsigned i = 0; i < PROXY_NAMES_MAX; i++) {
		struct name_entry *e = &n->entries[i];

		if (strcasecmp(e->name, name) == 0)
			return e;
		if (!timer_is_armed(&e->patience) &&
		    (!oldest || e->used_us < oldest->used_us))
			oldest = e;
	}
	return oldest;
}

static int make_entries(struct names *n)
{
	n->entries = calloc(PROXY_NAMES_MAX, sizeof(*n->entries));
	if (!n->entries)
		return -ENOMEM;
	for (unsigned i = 0; i < PROXY_NAMES_MAX; i++) {
		struct name_entry *e = &n->entries[i];

		e->names = n;
		e->patience =
			(struct timer){.on_fire = on_patience_over, .ctx = e};
		list_init(&e->waiters);
	}
	return 0;
}

int names_find(struct names *n, const char *name, struct name_waiter *w,
	       const struct name_addrs **ret_known)
{
	uint8_t query[DNS_QUERY_MAX];

	if (!n->session || !session_is_up(n->session))
		return -ENOTCONN;
	if (!(n->capabilities & FRAME_CAP_RESOLVE))
		return -EOPNOTSUPP;
	if (!frame_name_is_valid(name, strlen(name)) ||
	    dns_build_query(query, 0, name, DNS_A) < 0)
		return -EINVAL;
	if (!n->entries && make_entries(n) < 0)
		return -ENOMEM;
	struct name_entry *e = find(n, name);

	if (!e)
		return -ENOBUFS;
	e->used_us = loop_now_us(n->loop);
	if (strcasecmp(e->name, name) != 0 || is_old(e))
		start(e, name);
	if (timer_is_armed(&e->patience)) {
		list_push(&e->waiters, &w->link);
		return -EAGAIN;
	}
	*ret_known = &e->known;
	return 0;
}

/* ---- answers ---- */

/* What the failure of one family means for the name. */
static enum frame_reason reason_of(const struct name_entry *e, int family,
				   enum frame_reason status)
{
	if (status != FRAME_REASON_NONE)
		return status;
	switch (e->query[family].answer.rcode) {
	case DNS_NO_ERROR:
	case DNS_NO_NAME:
		return FRAME_REASON_NO_NAME;
	default:
		return FRAME_REASON_OTHER;
	}
}

void names_on_resolved(struct names *n, uint32_t id, enum frame_reason status,
		       const uint8_t *answer, size_t len)
{
	int family = (int)(id & 1);

	if (!n->entries)
		return;
	struct name_entry *e = &n->entries[id >> 1 & (PROXY_NAMES_MAX - 1)];
	struct name_query *q = &e->query[family];

	if (q->id != id) {
		session_count_drop(n->session, DROP_STALE_FRAME);
		return;
	}
	q->id = 0;
	q->answer = (struct dns_answer){.rcode = DNS_NO_ERROR};
	if (status == FRAME_REASON_NONE &&
	    dns_parse_answer(answer, len, q->bytes, q->len, &q->answer) < 0)
		status = FRAME_REASON_OTHER;
	if (e->query[!family].id == 0)
		conclude(e, reason_of(e, family, status));
}

/* ---- life ---- */

void names_init(struct names *n, struct loop *loop)
{
	*n = (struct names){.loop = loop};
}

void names_set_session(struct names *n, struct session *s,
		       uint32_t capabilities)
{
	n->session = NULL;
	for (unsigned i = 0; n->entries && i < PROXY_NAMES_MAX; i++) {
		struct name_entry *e = &n->entries[i];

		if (timer_is_armed(&e->patience)) {
			e->query[0].answer.n_addrs = 0;
			e->query[1].answer.n_addrs = 0;
			conclude(e, FRAME_REASON_OTHER);
		}
		e->name[0] = '\0';
	}
	n->session = s;
	n->capabilities = capabilities;
}

void names_fini(struct names *n)
{
	names_set_session(n, NULL, 0);
	free(n->entries);
	n->entries = NULL;
}
