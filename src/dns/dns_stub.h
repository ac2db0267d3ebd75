/* SPDX-License-Identifier: MIT */
/*
 * dns_stub: a resolver for this host's programs that asks the gateway's.
 *
 * It has no socket.  Messages come as datagrams of the flow plane's local
 * address and as streams of a session within this process; questions go out as
 * RESOLVE.
 *
 * Spec: RFC 1035; RFC 6891; RFC 7766; doc/DNS.md
 */
#ifndef ECSSH_DNS_STUB_H
#define ECSSH_DNS_STUB_H

#include "addr.h"
#include "carrier.h"
#include "dns_parse.h"
#include "frame.h"
#include "loop.h"

enum {
	DNS_STUB_PORT = 53,
	DNS_STUB_UDP_MAX = 4096, /* of a response, whatever one would take */
	DNS_STUB_CONNS_MAX = 32,
	DNS_STUB_PIPELINED_MAX = 16, /* questions of one connection */
	DNS_STUB_IDLE_US = 10000000, /* of a connection */
};

struct dns_stub_ops {
	/* Ask the far end's resolvers; ids are below DNS_QUESTION_IDS. Returns
	 * 0, or -errno: there is nobody to ask. */
	int (*ask)(void *ctx, uint32_t id, const uint8_t *query, size_t len);
	/* Send a datagram from the local address that was asked. */
	void (*send)(void *ctx, const struct ip_addr *local,
		     const struct endpoint *to, const uint8_t *message,
		     size_t len);
	/* This is about to be told to somebody.  May be NULL. */
	void (*on_answer)(void *ctx, const struct dns_msg *answer);
};

struct dns_stub_stats {
	uint64_t queries;	/* that came */
	uint64_t tcp;		/* of these, by TCP */
	uint64_t hits;		/* answered at once: it was known */
	uint64_t asked;		/* of the far end: questions */
	uint64_t again;		/* asked a second time */
	uint64_t failed;	/* queries told that there is no answer */
	uint64_t refused;	/* that mean nothing to us, or are too many */
	uint64_t cut;		/* responses too long for UDP */
	uint32_t waiting;	/* who wait, now */
	uint32_t cached, conns; /* now */
	uint64_t cached_bytes;	/* now */
};

struct dns_stub;

/* Returns NULL if memory runs out. */
struct dns_stub *dns_stub_new(struct loop *loop, const struct dns_stub_ops *ops,
			      void *ctx);

/* Nobody is told.  Accepts NULL; returns NULL. */
struct dns_stub *dns_stub_free(struct dns_stub *s);

/* Serve the streams of this carrier (owned from now on), once.  Returns 0 or
 * -ENOMEM. */
int dns_stub_attach(struct dns_stub *s, struct carrier *carrier);

/* A datagram came for a local address. */
void dns_stub_on_datagram(struct dns_stub *s, const struct ip_addr *local,
			  const struct endpoint *from, const uint8_t *message,
			  size_t len);

/* RESOLVED came.  Returns false if nobody waits for that. */
bool dns_stub_on_resolved(struct dns_stub *s, uint32_t id,
			  enum frame_reason status, const uint8_t *answer,
			  size_t len);

struct dns_stub_stats dns_stub_stats(const struct dns_stub *s);

#endif
