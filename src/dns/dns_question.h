/* SPDX-License-Identifier: MIT */
/* dns_question: what is being asked of the gateway's resolvers, and for whom.
 */
#ifndef ECSSH_DNS_QUESTION_H
#define ECSSH_DNS_QUESTION_H

#include "dns_build.h"
#include "dns_cache.h"
#include "frame.h"
#include "loop.h"

enum {
	DNS_QUESTIONS_MAX = 1024, /* different ones */
	/* Of these asked at a time: the helper takes 256, and other doors of
	 * the tunnel ask, too.  The rest waits here. */
	DNS_QUESTIONS_ASKED_MAX = 192,
	DNS_ASKERS_MAX = 4096,	    /* who wait, in all */
	DNS_ASKERS_OF_ONE_MAX = 64, /* for one question */
	DNS_TRY_US = 5000000,
	DNS_TRIES = 2,
	/* Ids of RESOLVE are below this. */
	DNS_QUESTION_IDS = 1 << 30,
};

/* Somebody who asked.  On the heap; owned by whoever has it last: the question,
 * then on_answer. */
struct dns_asker {
	struct list link;     /* of the question's */
	struct dns_msg query; /* of which bytes are those below: up to and with
				 the question */
	uint8_t bytes[DNS_HEADER_LEN + DNS_NAME_MAX + 4];
	size_t max_bytes; /* of a response */
	/* By UDP. */
	struct ip_addr local; /* version 0: by TCP */
	struct endpoint from;
	/* By TCP. */
	struct dns_conn *conn; /* borrowed; NULL: is closed */
	struct list conn_link;
};

struct dns_questions_ops {
	/* Ask the far end's resolvers.  Returns 0, or -errno: there is none. */
	int (*ask)(void *ctx, uint32_t id, const uint8_t *query, size_t len);
	/* It is answered, or is not going to be: NULL.  Told before the askers
	 * are, once. */
	void (*on_known)(void *ctx, const struct dns_key *key,
			 const struct dns_msg *answer);
	/* The same to each; the asker is the callee's. */
	void (*on_answer)(void *ctx, struct dns_asker *asker,
			  const struct dns_msg *answer);
};

/* Storage is the caller's. */
struct dns_questions {
	struct loop *loop; /* borrowed */
	const struct dns_questions_ops *ops;
	void *ctx; /* borrowed */
	struct htab by_key, by_id;
	struct list waiting; /* not asked yet, the oldest first */
	uint32_t next_id;
	unsigned n_asked, n_askers;
	uint64_t asked, again; /* ever */
};

void dns_questions_init(struct dns_questions *q, struct loop *loop,
			const struct dns_questions_ops *ops, void *ctx);
/* Nobody is told. */
void dns_questions_fini(struct dns_questions *q);

/*
 * Ask for the sake of somebody (owned from now on if 0 is returned).  What is
 * being asked already is not asked again, and who asks again by UDP what he
 * waits for goes on waiting: -EALREADY.  hash: of the key.  Returns 0, that,
 * -ENOBUFS: too many, or -ENOMEM.
 */
int dns_question_add(struct dns_questions *q, const struct dns_key *key,
		     uint64_t hash, struct dns_asker *asker);

/* Callback of the session.  Returns false if nobody waits for that. */
bool dns_question_on_resolved(struct dns_questions *q, uint32_t id,
			      enum frame_reason status, const uint8_t *answer,
			      size_t len);

#endif
