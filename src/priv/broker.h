/* SPDX-License-Identifier: MIT */
/*
 * broker: the process that may configure the network, and its rules.
 *
 * Answers the typed requests of an engine it does not trust, keeps a journal of
 * inverses, and undoes everything at the end.  What it does to the kernel goes
 * through struct broker_ops, so that the rules can be tested without one.
 *
 * Spec: doc/PROTOCOL.broker
 */
#ifndef ECSSH_BROKER_H
#define ECSSH_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "brokermsg.h"
#include "err.h"

/* A device, as the broker made it. */
struct broker_link {
	uint32_t ifindex;
	char name[BROKERMSG_NAME_MAX];
};

/* The kernel.  All return 0, or -errno with err. */
struct broker_ops {
	/* Make a device that is down; *ret_fd is the caller's to close. */
	int (*tun_create)(void *ctx, const char *name, uint32_t mtu_bytes,
			  uint32_t want_offloads, struct broker_link *ret_link,
			  uint32_t *ret_offloads, int *ret_fd, struct err *err);
	int (*link_up)(void *ctx, uint32_t ifindex, struct err *err);
	int (*link_del)(void *ctx, uint32_t ifindex, struct err *err);
	/* True if the device is there under the same index and name. */
	bool (*link_is_ours)(void *ctx, const struct broker_link *link);
	int (*addr_add)(void *ctx, uint32_t ifindex, const struct ip_addr *addr,
			struct err *err);
	int (*addr_del)(void *ctx, uint32_t ifindex, const struct ip_addr *addr,
			struct err *err);
	int (*route_add)(void *ctx, uint32_t ifindex, const struct subnet *dst,
			 struct err *err);
	int (*route_del)(void *ctx, uint32_t ifindex, const struct subnet *dst,
			 struct err *err);
};

enum broker_verdict {
	BROKER_GO_ON,
	BROKER_END, /* send the reply, then no more */
};

struct broker;

/*
 * ops and ctx are borrowed until broker_free.  ready: 0, or the negative errno
 * for which this broker can do nothing, with its sentence; HELLO is answered by
 * that.  Returns NULL if memory is out.
 */
struct broker *broker_new(const struct broker_ops *ops, void *ctx, int ready,
			  const struct err *why_not);

/* Accepts NULL; returns NULL.  Undoes nothing. */
struct broker *broker_free(struct broker *broker);

/*
 * Answer one request of len bytes.  *ret_fd becomes a descriptor to be sent
 * along and closed, or -1.
 */
enum broker_verdict broker_handle(struct broker *broker, const void *request,
				  size_t len, bool has_ancillary_data,
				  struct brokermsg_reply *ret_reply,
				  int *ret_fd);

/* Undo all that is recorded, newest first.  Returns 0, or the first -errno with
 * err; the rest is undone nevertheless. */
int broker_undo(struct broker *broker, struct err *err);

/* Answer requests on a socket until it closes or one of them ends it, then undo
 * everything; failures of that are logged. */
void broker_serve(struct broker *broker, int sock);

/*
 * All that a broker process does: open the TUN device, give up every privilege
 * but CAP_NET_ADMIN, serve the socket.  Returns when everything is undone.
 */
void broker_run(int sock);

#endif
