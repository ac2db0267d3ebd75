/* SPDX-License-Identifier: MIT */
/* dnshost_client: starting ecssh-dns, and asking it. */
#ifndef ECSSH_DNSHOST_CLIENT_H
#define ECSSH_DNSHOST_CLIENT_H

#include "broker.h"
#include "brokermsg.h"
#include "err.h"

enum {
	/* Below what an engine waits for its broker. */
	DNSHOST_CLIENT_TIMEOUT_MS = 9000,
};

/*
 * Start it, as root and before root is given up.  *ret_fd (the caller's to
 * close, which undoes what it did) is at its end as soon as it has ended.
 * Returns 0 or -errno with err: -EPERM: we are not root; -ENOENT: there is no
 * such program beside ours.
 */
int dnshost_client_start(int *ret_fd, struct err *err);

/* Ask.  All return 0 or -errno with err; -EPIPE: it has ended. */
int dnshost_client_set(int fd, const struct broker_link *link,
		       const struct brokermsg_dns_set *dns,
		       char ret_way[BROKERMSG_NAME_MAX], struct err *err);
int dnshost_client_clear(int fd, struct err *err);

/*
 * Wait until it has undone what tunnels that were killed have left, and say in
 * ret_text what that was, or "".
 */
int dnshost_client_replay(int fd, char ret_text[BROKERMSG_TEXT_MAX],
			  struct err *err);

#endif
