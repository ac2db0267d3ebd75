/* SPDX-License-Identifier: MIT */
/* resolver: queries of the session for the resolvers of this host. */
#ifndef ECSSH_RESOLVER_H
#define ECSSH_RESOLVER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "addr.h"
#include "list.h"
#include "loop.h"
#include "session.h"

enum {
	RESOLVER_SERVERS_MAX = 3, /* as many as the C library looks at */
	RESOLVER_QUERIES_MAX = 256,
	RESOLVER_TRIES = 3,
	RESOLVER_TRY_US = 2000000,
	RESOLVER_TCP_US = 5000000,
};

struct query;

/* Storage is the caller's. */
struct resolver {
	struct loop *loop;	 /* borrowed */
	struct session *session; /* borrowed; set by the owner */
	const char *conf_path;	 /* borrowed */
	uint16_t port;
	/* Set by the owner if this process may open no files; else NULL. */
	FILE *(*open_file)(void *ctx, const char *path);
	void *open_ctx;	      /* borrowed */
	struct ip_addr only;  /* asked instead; version 0: no such */
	bool is_only_allowed; /* even if conf_path does not name it */
	struct list queries;  /* struct query */
	uint32_t n;
};

/* conf_path: /etc/resolv.conf or the like, read at each query.  port: where the
 * servers named there listen, 53. */
void resolver_init(struct resolver *r, struct loop *loop, const char *conf_path,
		   uint16_t port);

/* Forget all queries. */
void resolver_fini(struct resolver *r);

/* Open conf_path or another file of this host for reading.  NULL if that
 * fails. */
FILE *resolver_open_file(const struct resolver *r, const char *path);

/* Ask that server alone from now on; if it is not allowed, only if it is one of
 * those that conf_path names. */
void resolver_use_only(struct resolver *r, const struct ip_addr *server,
		       bool is_allowed);

/* Fill in the addresses of the servers to be asked: that one, or those that
 * conf_path names.  Returns how many there are, at most RESOLVER_SERVERS_MAX.
 */
int resolver_servers(const struct resolver *r,
		     struct sockaddr_storage ret_servers[RESOLVER_SERVERS_MAX]);

/*
 * Ask for a message of our own (copied; its id is replaced on the way). on_done
 * is called once, in a later turn: with the answer, which repeats id and
 * question, or with a reason and len 0.  Returns what resolver_cancel takes, or
 * NULL with *ret_reason: no server, or too many queries.
 */
struct query *resolver_ask(struct resolver *r, const uint8_t *message,
			   size_t len,
			   void (*on_done)(void *ctx, enum frame_reason reason,
					   const uint8_t *answer, size_t len),
			   void *ctx, enum frame_reason *ret_reason);

/* on_done will not be called.  Accepts NULL. */
void resolver_cancel(struct query *q);

/* Callback of the session: ask for query (copied) and send RESOLVED with id. */
void resolver_on_resolve(struct resolver *r, uint32_t id, const uint8_t *query,
			 size_t len);

#endif
