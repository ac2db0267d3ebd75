/* SPDX-License-Identifier: MIT */
/*
 * dns_question: what is being asked of the gateway's resolvers, and for whom.
 *
 * Theory of operation
 *   The same question of several askers is asked once.  It is given DNS_TRIES
 *   times DNS_TRY_US, waiting for its turn included; an answer to the first try
 *   is as good as one to the second, which has the same id.  Then, or when the
 *   far end says that its resolvers do not answer, the askers are told that it
 *   failed.
 *
 *   A resolver that knows no EDNS (RFC 6891 section 7) is asked again without.
 *
 *   What the far end says is not trusted: an answer that is not sound, or not
 *   to this question, is none.
 */
#include "dns_question.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

struct question {
	struct dns_questions *of; /* borrowed */
	struct htab_node key_node, id_node;
	struct dns_key key;
	struct list link; /* waiting */
	struct list askers;
	unsigned n_askers;
	struct timer timer;
	uint32_t id;
	unsigned tries; /* whose time has begun */
	bool is_asked;
	enum dns_build_edns edns;
	struct dns_msg query; /* of the first asker; bytes are ours */
	uint8_t bytes[DNS_HEADER_LEN + DNS_NAME_MAX + 4];
};

/* ---- the end of a question ---- */

static void free_question(struct question *qu)
{
	struct dns_questions *q = qu->of;

	timer_disarm(q->loop, &qu->timer);
	htab_del(&q->by_key, &qu->key_node);
	htab_del(&q->by_id, &qu->id_node);
	list_del(&qu->link);
	q->n_asked -= qu->is_asked;
	q->n_askers -= qu->n_askers;
	free(qu);
}

/* answer: NULL if there is none. */
static void tell(struct question *qu, const struct dns_msg *answer)
{
	struct dns_questions *q = qu->of;
	struct dns_key key = qu->key;
	struct list askers, *link;

	list_init(&askers);
	while ((link = list_pop(&qu->askers)))
		list_push(&askers, link);
	free_question(qu);
	q->ops->on_known(q->ctx, &key, answer);
	while ((link = list_pop(&askers)))
		q->ops->on_answer(q->ctx,
				  container_of(link, struct dns_asker, link),
				  answer);
}

/* ---- asking ---- */

static int send_query(struct question *qu)
{
	struct dns_questions *q = qu->of;
	uint8_t out[DNS_BUILD_SHORT_MAX];
	/* The helper changes it, so it need not be hard to guess. */
	size_t n =
		dns_build_upstream(out, &qu->query, (uint16_t)qu->id, qu->edns);

	return q->ops->ask(q->ctx, qu->id, out, n);
}

static void ask_next(struct dns_questions *q)
{
	struct list *link;

	while (q->n_asked < DNS_QUESTIONS_ASKED_MAX &&
	       (link = list_pop(&q->waiting))) {
		struct question *qu = container_of(link, struct question, link);

		qu->is_asked = true;
		q->n_asked++;
		q->asked++;
		if (send_query(qu) < 0)
			tell(qu, NULL);
	}
}

static void conclude(struct question *qu, const struct dns_msg *answer)
{
	struct dns_questions *q = qu->of;

	tell(qu, answer);
	ask_next(q);
}

static void ask_again(struct question *qu)
{
	qu->of->again++;
	if (send_query(qu) < 0)
		conclude(qu, NULL);
}

static void on_timer(void *ctx)
{
	struct question *qu = ctx;

	if (qu->tries == DNS_TRIES) {
		conclude(qu, NULL);
		return;
	}
	qu->tries++;
	timer_arm(qu->of->loop, &qu->timer, DNS_TRY_US);
	if (qu->is_asked)
		ask_again(qu);
}

/* ---- a new one ---- */

static struct question *find(const struct dns_questions *q,
			     const struct dns_key *key, uint64_t hash)
{
	struct htab_node *node = htab_find(&q->by_key, hash);

	for (; node; node = htab_next(node)) {
		struct question *qu =
			container_of(node, struct question, key_node);

		if (dns_key_equal(&qu->key, key))
			return qu;
	}
	return NULL;
}

static int enter(struct dns_questions *q, struct question *qu, uint64_t hash)
{
	qu->key_node.hash = hash;
	qu->id_node.hash = htab_hash_u32(qu->id);
	if (htab_add(&q->by_key, &qu->key_node) < 0)
		return -ENOMEM;
	if (htab_add(&q->by_id, &qu->id_node) < 0) {
		htab_del(&q->by_key, &qu->key_node);
		return -ENOMEM;
	}
	return 0;
}

static struct question *question_new(struct dns_questions *q,
				     const struct dns_key *key, uint64_t hash,
				     const struct dns_asker *first)
{
	struct question *qu = calloc(1, sizeof(*qu));

	if (!qu)
		return NULL;
	qu->of = q;
	qu->key = *key;
	qu->id = q->next_id;
	if (enter(q, qu, hash) < 0) {
		free(qu);
		return NULL;
	}
	q->next_id = (q->next_id + 1) % DNS_QUESTION_IDS;
	list_init(&qu->link);
	list_init(&qu->askers);
	qu->timer = (struct timer){.on_fire = on_timer, .ctx = qu};
	memcpy(qu->bytes, first->bytes, sizeof(qu->bytes));
	qu->query = first->query;
	qu->query.bytes = qu->bytes;
	qu->edns = first->query.opt_at ? DNS_BUILD_EDNS : DNS_BUILD_PLAIN;
	return qu;
}

/* The asker's own message once more: it waits for long. */
static bool is_waiting(const struct question *qu, const struct dns_asker *asker)
{
	if (!asker->local.version)
		return false;
	list_for_each (pos, &qu->askers) {
		const struct dns_asker *a =
			container_of(pos, struct dns_asker, link);

		if (a->query.id == asker->query.id &&
		    endpoint_equal(&a->from, &asker->from) &&
		    addr_equal(&a->local, &asker->local))
			return true;
	}
	return false;
}

int dns_question_add(struct dns_questions *q, const struct dns_key *key,
		     uint64_t hash, struct dns_asker *asker)
{
	struct question *qu = find(q, key, hash);
	bool is_new = !qu;

	if (qu && is_waiting(qu, asker))
		return -EALREADY;
	if (q->n_askers >= DNS_ASKERS_MAX ||
	    (qu ? qu->n_askers >= DNS_ASKERS_OF_ONE_MAX
		: q->by_key.n >= DNS_QUESTIONS_MAX))
		return -ENOBUFS;
	if (is_new)
		qu = question_new(q, key, hash, asker);
	if (!qu)
		return -ENOMEM;
	list_push(&qu->askers, &asker->link);
	qu->n_askers++;
	q->n_askers++;
	if (!is_new)
		return 0;
	qu->tries = 1;
	timer_arm(q->loop, &qu->timer, DNS_TRY_US);
	list_push(&q->waiting, &qu->link);
	ask_next(q);
	return 0;
}

/* ---- answers ---- */

static bool is_answer(const struct question *qu, const struct dns_msg *m)
{
	return m->id == (uint16_t)qu->id &&
	       (m->flags & (DNS_FLAG_QR | DNS_FLAGS_OPCODE)) == DNS_FLAG_QR &&
	       dns_parse_is_same_question(m, &qu->query);
}

/* As old as that: it may not even repeat the question. */
static bool knows_no_edns(const uint8_t *answer, size_t len)
{
	if (len < DNS_HEADER_LEN)
		return false;
	uint16_t rcode = bytes_get_u16(answer + 2) & DNS_FLAGS_RCODE;

	return rcode == DNS_FORMAT_ERROR || rcode == DNS_NOT_IMPLEMENTED;
}

bool dns_question_on_resolved(struct dns_questions *q, uint32_t id,
			      enum frame_reason status, const uint8_t *answer,
			      size_t len)
{
	struct htab_node *node = htab_find(&q->by_id, htab_hash_u32(id));
	struct dns_msg m;

	if (!node)
		return false;
	struct question *qu = container_of(node, struct question, id_node);

	/* It has too many to ask: later. */
	if (status == FRAME_REASON_NO_RESOURCES && qu->tries < DNS_TRIES)
		return true;
	if (status != FRAME_REASON_NONE) {
		conclude(qu, NULL);
		return true;
	}
	if (qu->edns == DNS_BUILD_EDNS && knows_no_edns(answer, len)) {
		qu->edns = DNS_BUILD_PLAIN;
		ask_again(qu);
		return true;
	}
	bool is_sound = dns_parse(answer, len, &m) == 0 && is_answer(qu, &m);

	conclude(qu, is_sound ? &m : NULL);
	return true;
}

/* ---- life ---- */

void dns_questions_init(struct dns_questions *q, struct loop *loop,
			const struct dns_questions_ops *ops, void *ctx)
{
	*q = (struct dns_questions){.loop = loop, .ops = ops, .ctx = ctx};
	list_init(&q->waiting);
}

void dns_questions_fini(struct dns_questions *q)
{
	struct htab_node *node;
	struct list *link;

	while ((node = htab_any(&q->by_id))) {
		struct question *qu =
			container_of(node, struct question, id_node);

		while ((link = list_pop(&qu->askers))) {
			struct dns_asker *a =
				container_of(link, struct dns_asker, link);

			list_del(&a->conn_link);
			free(a);
		}
		free_question(qu);
	}
	htab_fini(&q->by_key);
	htab_fini(&q->by_id);
}
