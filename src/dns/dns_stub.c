/* SPDX-License-Identifier: MIT */
/*
 * dns_stub: a resolver for this host's programs that asks the gateway's.
 *
 * Theory of operation
 *   A query is answered from the cache, or becomes a question to the far end
 *   (dns_question.c) and waits.  Whatever becomes of that, who asked gets one
 *   response: the answer; that it is too long for UDP; or that there is none
 *   (SERVFAIL), which costs nobody else anything.
 *
 *   Types are not looked at, but for those that are no questions to a resolver.
 */
#include "dns_stub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "dns_internal.h"

enum {
	TYPE_META_FIRST = 249, /* TKEY, TSIG, IXFR, AXFR, MAILB, MAILA */
	TYPE_META_LAST = 254,
};

/* ---- responses ---- */

static void send_to(struct dns_stub *s, const struct dns_asker *asker,
		    size_t len)
{
	if (asker->local.version)
		s->ops->send(s->ctx, &asker->local, &asker->from, s->out, len);
	else if (asker->conn)
		dns_conn_send(asker->conn, s->out, len);
}

static void respond(struct dns_stub *s, const struct dns_asker *asker,
		    const struct dns_msg *answer, uint32_t age_s)
{
	size_t n = dns_build_response(s->out, &asker->query, answer, age_s,
				      asker->max_bytes);

	if ((bytes_get_u16(s->out + 2) & DNS_FLAG_TC) &&
	    !(answer->flags & DNS_FLAG_TC))
		s->stats.cut++;
	send_to(s, asker, n);
}

static void respond_error(struct dns_stub *s, const struct dns_asker *asker,
			  enum dns_rcode rcode)
{
	send_to(s, asker, dns_build_error(s->out, &asker->query, rcode));
}

/* ---- what the far end says ---- */

static int on_ask(void *ctx, uint32_t id, const uint8_t *query, size_t len)
{
	struct dns_stub *s = ctx;

	return s->ops->ask(s->ctx, id, query, len);
}

static void on_known(void *ctx, const struct dns_key *key,
		     const struct dns_msg *answer)
{
	struct dns_stub *s = ctx;

	if (!answer)
		return;
	dns_cache_add(&s->cache, key, answer, loop_now_us(s->loop));
	if (s->ops->on_answer)
		s->ops->on_answer(s->ctx, answer);
}

static void on_answer(void *ctx, struct dns_asker *asker,
		      const struct dns_msg *answer)
{
	struct dns_stub *s = ctx;
	if (answer) {
		respond(s, asker, answer, 0);
	} else {
		s->stats.failed++;
		respond_error(s, asker, DNS_SERVER_FAILURE);
	}
	dns_conn_del(asker);
	free(asker);
}

static const struct dns_questions_ops questions_ops = {
	.ask = on_ask,
	.on_known = on_known,
	.on_answer = on_answer,
};

/* ---- queries ---- */

/* Why we do not even ask; DNS_NO_ERROR: we do. */
static enum dns_rcode objection(const struct dns_msg *query)
{
	if ((query->flags & DNS_FLAGS_OPCODE) || query->is_signed)
		return DNS_NOT_IMPLEMENTED;
	if (query->opt_at && query->edns_version != 0)
		return DNS_BAD_VERSION;
	if (query->type == DNS_OPT ||
	    (query->type >= TYPE_META_FIRST && query->type <= TYPE_META_LAST))
		return DNS_REFUSED;
	return DNS_NO_ERROR;
}

static bool answer_from_cache(struct dns_stub *s, const struct dns_key *key,
			      const struct dns_asker *asker)
{
	mono_us_t now_us = loop_now_us(s->loop);
	const struct dns_entry *e = dns_cache_find(&s->cache, key, now_us);
	struct dns_msg answer;

	if (!e || dns_parse(e->answer, e->len, &answer) < 0)
		return false;
	s->stats.hits++;
	if (s->ops->on_answer)
		s->ops->on_answer(s->ctx, &answer);
	respond(s, asker, &answer,
		(uint32_t)((now_us - e->stored_us) / US_PER_SEC));
	return true;
}

/* Takes the asker, or tells it why not and leaves it. */
static bool take_query(struct dns_stub *s, struct dns_asker *asker)
{
	enum dns_rcode rcode = objection(&asker->query);
	struct dns_key key;

	if (rcode != DNS_NO_ERROR) {
		s->stats.refused++;
		respond_error(s, asker, rcode);
		return false;
	}
	dns_key_of(&key, &asker->query);
	if (answer_from_cache(s, &key, asker))
		return false;
	int r = dns_question_add(&s->questions, &key,
				 dns_cache_hash(&s->cache, &key), asker);
	if (r == 0)
		return true;
	if (r != -EALREADY) {
		s->stats.refused++;
		respond_error(s, asker, DNS_SERVER_FAILURE);
	}
	return false;
}

static size_t udp_max(const struct dns_msg *query)
{
	if (!query->opt_at || query->edns_udp_bytes < DNS_UDP_MIN)
		return DNS_UDP_MIN;
	return query->edns_udp_bytes < DNS_STUB_UDP_MAX ? query->edns_udp_bytes
							: DNS_STUB_UDP_MAX;
}

/* What came from somebody, whose whereabouts are in asker. */
static void take_message(struct dns_stub *s, const struct dns_asker *who,
			 const uint8_t *message, size_t len)
{
	struct dns_asker *asker;
	struct dns_msg query;

	s->stats.queries++;
	/* No response to a response: two such would go on for ever. */
	if (len < DNS_HEADER_LEN ||
	    (bytes_get_u16(message + 2) & DNS_FLAG_QR)) {
		s->stats.refused++;
		return;
	}
	if (dns_parse(message, len, &query) < 0) {
		bool is_query =
			!(bytes_get_u16(message + 2) & DNS_FLAGS_OPCODE);

		s->stats.refused++;
		send_to(s, who,
			dns_build_refusal(s->out, message,
					  is_query ? DNS_FORMAT_ERROR
						   : DNS_NOT_IMPLEMENTED));
		return;
	}
	asker = malloc(sizeof(*asker));
	if (!asker)
		return;
	*asker = *who;
	list_init(&asker->link);
	list_init(&asker->conn_link);
	memcpy(asker->bytes, message, DNS_HEADER_LEN + query.name_len + 4);
	asker->query = query;
	asker->query.bytes = asker->bytes;
	asker->max_bytes =
		asker->local.version ? udp_max(&query) : DNS_MESSAGE_MAX;
	/* First: it may be answered within the next call. */
	if (asker->conn)
		dns_conn_add(asker->conn, asker);
	if (take_query(s, asker))
		return;
	dns_conn_del(asker);
	free(asker);
}

void dns_stub_on_datagram(struct dns_stub *s, const struct ip_addr *local,
			  const struct endpoint *from, const uint8_t *message,
			  size_t len)
{
	const struct dns_asker who = {.local = *local, .from = *from};

	take_message(s, &who, message, len);
}

void dns_stub_on_message(struct dns_stub *s, struct dns_conn *conn,
			 const uint8_t *message, size_t len)
{
	const struct dns_asker who = {.conn = conn};

	s->stats.tcp++;
	take_message(s, &who, message, len);
}

bool dns_stub_on_resolved(struct dns_stub *s, uint32_t id,
			  enum frame_reason status, const uint8_t *answer,
			  size_t len)
{
	return dns_question_on_resolved(&s->questions, id, status, answer, len);
}

struct dns_stub_stats dns_stub_stats(const struct dns_stub *s)
{
	struct dns_stub_stats stats = s->stats;

	stats.asked = s->questions.asked;
	stats.again = s->questions.again;
	stats.waiting = s->questions.n_askers;
	stats.cached = (uint32_t)s->cache.entries.n;
	stats.cached_bytes = s->cache.bytes;
	stats.conns = s->n_conns;
	return stats;
}

/* ---- life ---- */

static void on_up(void *ctx, const struct frame_hello *peer)
{
	(void)ctx;
	(void)peer;
}

/* The other end is the plane, which ends before we do. */
static void on_down(void *ctx, const struct err *why)
{
	(void)why;
	dns_conn_end_all(ctx);
}

int dns_stub_attach(struct dns_stub *s, struct carrier *carrier)
{
	static const struct session_ops ops = {
		.on_up = on_up,
		.on_open = dns_conn_on_open,
		.stream = NULL, /* each sets its own */
		.on_down = on_down,
	};
	struct frame_hello hello = {.capabilities = FRAME_CAP_TCP,
				    .software = ECSSH_VERSION};

	dns_conn_free_all(s);
	s->session = session_free(s->session);
	s->session =
		session_new(s->loop, SESSION_FAR, carrier, &ops, s, &hello);
	return s->session ? 0 : -ENOMEM;
}

struct dns_stub *dns_stub_new(struct loop *loop, const struct dns_stub_ops *ops,
			      void *ctx)
{
	struct dns_stub *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	s->ops = ops;
	s->ctx = ctx;
	list_init(&s->conns);
	dns_cache_init(&s->cache);
	dns_questions_init(&s->questions, loop, &questions_ops, s);
	return s;
}

struct dns_stub *dns_stub_free(struct dns_stub *s)
{
	if (!s)
		return NULL;
	dns_questions_fini(&s->questions);
	dns_conn_free_all(s);
	s->session = session_free(s->session);
	dns_cache_fini(&s->cache);
	free(s);
	return NULL;
}
