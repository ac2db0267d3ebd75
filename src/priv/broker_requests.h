/* SPDX-License-Identifier: MIT */
/* broker_requests: the requests of both sides, and what all handlers share. */
#ifndef ECSSH_BROKER_REQUESTS_H
#define ECSSH_BROKER_REQUESTS_H

#include "broker.h"
#include "record.h"

enum broker_phase {
	PHASE_START = 1 << 0, /* no HELLO yet */
	PHASE_IDLE = 1 << 1,  /* no device */
	PHASE_DOWN = 1 << 2,  /* the device is there, and down */
	PHASE_UP = 1 << 3,
	PHASE_FORWARDING = 1 << 4, /* routes are final */
	PHASE_END = 1 << 5,	   /* nothing is allowed any more */
	PHASES_DEVICE = PHASE_DOWN | PHASE_UP,
	PHASES_ALL = PHASE_IDLE | PHASES_DEVICE | PHASE_FORWARDING,
};

struct broker {
	const struct broker_ops *ops; /* borrowed, like ctx */
	void *ctx;
	int ready; /* 0, or why nothing can be done, with: */
	struct err why_not;
	enum broker_phase phase;
	struct journal_link link; /* valid in PHASES_DEVICE, PHASE_FORWARDING */
	uint32_t mtu_bytes;	  /* likewise */
	struct record record;
};

/* What a handler is given and gives. */
struct broker_call {
	struct brokermsg_request request;
	struct brokermsg_reply *reply; /* its result and a refusal's text are
					  filled in later */
	int along;		       /* the descriptor that came with it */
	int fd;			       /* to be sent back, or -1 */
	struct err err;
};

/* Of both sides.  Return 0, or -errno with call->err, like all handlers. */
int broker_on_hello(struct broker *b, struct broker_call *call);
int broker_on_tun_create(struct broker *b, struct broker_call *call);
int broker_on_link_up(struct broker *b, struct broker_call *call);
int broker_on_route_add(struct broker *b, struct broker_call *call);
int broker_on_route_del(struct broker *b, struct broker_call *call);
int broker_on_bye(struct broker *b, struct broker_call *call);

/* Record a change and make it, unless there are max of its kind.  what: for
 * -E2BIG. */
int broker_make(struct broker *b, const struct journal_change *change,
		size_t max, const char *what, struct err *err);

/* Undo what the record has of the same meaning.  what: for -ENOENT. */
int broker_unmake(struct broker *b, const struct journal_change *like,
		  const char *what, struct err *err);

#endif
