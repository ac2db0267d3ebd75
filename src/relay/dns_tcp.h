/* SPDX-License-Identifier: MIT */
/*
 * dns_tcp: DNS messages that came as datagrams, asked over byte streams.
 *
 * For relays that have byte streams but no datagrams.  There is one stream for
 * each server, opened when something is asked and closed when nothing has been
 * for a while.  The byte streams are the user's.
 *
 * Spec: RFC 1035 section 4.2, RFC 7766, RFC 6891 section 6.2.3
 */
#ifndef ECSSH_DNS_TCP_H
#define ECSSH_DNS_TCP_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "drop.h"
#include "frame.h"
#include "list.h"
#include "loop.h"

enum {
	DNS_TCP_CONNS_MAX = 16,	  /* servers at a time */
	DNS_TCP_WAITING_MAX = 64, /* questions to one server */
	DNS_TCP_QUERY_MAX = 4096,
	DNS_TCP_ANSWER_MAX = 65535,
	DNS_TCP_QUERY_US = 10 * 1000000, /* until a question is given up */
	DNS_TCP_IDLE_US = 10 * 1000000,
};

struct dns_tcp_conn;

struct dns_tcp_ops {
	/*
	 * Begin a byte stream to server.  Returns 0 and *ret_stream, the user's
	 * own handle, or -errno.  How it went is told in a later turn, or later
	 * task, by dns_tcp_on_open or dns_tcp_on_closed.
	 */
	int (*open)(void *ctx, struct dns_tcp_conn *conn,
		    const struct endpoint *server, void **ret_stream);
	/* Take some bytes; returns how many.  If that is not all of them
	 * dns_tcp_on_writable follows. */
	size_t (*send)(void *stream, const uint8_t *bytes, size_t len);
	/* Close it; nothing may be told of it any more.  May be called from
	 * within any of the functions below. */
	void (*close)(void *stream);
	/* The answer to a question; message is borrowed for the call. */
	void (*on_answer)(void *ctx, uint64_t tag,
			  const struct endpoint *remote, const uint8_t *message,
			  size_t len);
	/* There will be none.  len: of the question. */
	void (*on_failed)(void *ctx, uint64_t tag,
			  const struct endpoint *remote, size_t len,
			  enum frame_reason reason);
};

/* Storage is the caller's. */
struct dns_tcp {
	struct loop *loop;	       /* borrowed */
	const struct dns_tcp_ops *ops; /* borrowed */
	void *ctx;		       /* borrowed; for ops */
	struct list conns;	       /* struct dns_tcp_conn */
	unsigned n;
};

struct dns_tcp_query {
	uint64_t tag;		/* the user's, comes back with the answer */
	struct endpoint server; /* whom to ask */
	struct endpoint remote; /* whom the application asked; comes back */
	const uint8_t *message; /* copied */
	size_t len;
	/* Longest answer wanted: a longer one comes cut off and marked so. 0:
	 * what the question allows of datagrams. */
	size_t answer_max;
};

void dns_tcp_init(struct dns_tcp *t, struct loop *loop,
		  const struct dns_tcp_ops *ops, void *ctx);

/* Close all streams and forget all questions: no callback follows. */
void dns_tcp_fini(struct dns_tcp *t);

/* Ask.  Returns DROP_NONE, and then one of on_answer and on_failed follows,
 * never from within this call; or DROP_TRUNCATED, DROP_BAD_LENGTH,
 * DROP_QUEUE_FULL, DROP_FLOW_LIMIT, DROP_NO_MEMORY. */
enum drop_reason dns_tcp_ask(struct dns_tcp *t, const struct dns_tcp_query *q);

/* Nobody waits for the answers to questions with this tag any more. */
void dns_tcp_forget(struct dns_tcp *t, uint64_t tag);

/* ---- what the user tells of a stream ---- */

void dns_tcp_on_open(struct dns_tcp_conn *c);
void dns_tcp_on_writable(struct dns_tcp_conn *c);
/* Bytes from the server, in pieces of any size.  c may be gone afterwards: its
 * stream is closed then. */
void dns_tcp_on_data(struct dns_tcp_conn *c, const uint8_t *bytes, size_t len);
/* The stream failed or ended and is closed already; ops.close is not called.
 * c is gone afterwards, or has opened another one. */
void dns_tcp_on_closed(struct dns_tcp_conn *c, enum frame_reason reason);

#endif
