/* SPDX-License-Identifier: MIT */
/* dns_internal: what the files of dns/ share. */
#ifndef ECSSH_DNS_INTERNAL_H
#define ECSSH_DNS_INTERNAL_H

#include "dns_cache.h"
#include "dns_question.h"
#include "dns_stub.h"
#include "session.h"

struct dns_stub {
	struct loop *loop; /* borrowed */
	const struct dns_stub_ops *ops;
	void *ctx; /* borrowed */
	struct dns_cache cache;
	struct dns_questions questions;
	struct session *session; /* owned; NULL before attach */
	struct list conns;	 /* struct dns_conn */
	uint32_t n_conns;
	struct dns_stub_stats stats; /* those that only grow */
	uint8_t out[DNS_MESSAGE_MAX];
};

/* ---- dns_stub.c ---- */

/* A message came by TCP. */
void dns_stub_on_message(struct dns_stub *s, struct dns_conn *conn,
			 const uint8_t *message, size_t len);

/* ---- dns_conn.c ---- */

/* Callback of the session. */
void dns_conn_on_open(void *ctx, struct stream *stream,
		      const struct frame_open *open);

/* Somebody of this connection waits. */
void dns_conn_add(struct dns_conn *conn, struct dns_asker *asker);
/* Not any more.  Whoever waits by UDP, or of what is closed, did not. */
void dns_conn_del(struct dns_asker *asker);

/* Send a message. */
void dns_conn_send(struct dns_conn *conn, const uint8_t *message, size_t len);

/* The session ends, and all streams with it; the stub does. */
void dns_conn_end_all(struct dns_stub *s);
void dns_conn_free_all(struct dns_stub *s);

#endif
