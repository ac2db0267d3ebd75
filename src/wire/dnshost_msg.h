/* SPDX-License-Identifier: MIT */
/*
 * dnshost_msg: what the broker asks of ecssh-dns.  Packed by hand, host byte
 * order: both ends run on one machine and are of one installation.
 *
 * Spec: doc/PROTOCOL.broker section 8
 */
#ifndef ECSSH_DNSHOST_MSG_H
#define ECSSH_DNSHOST_MSG_H

#include <assert.h>
#include <stdint.h>

#include "brokermsg.h"
#include "err.h"

enum dnshost_msg_type {
	DNSHOST_MSG_SET = 1,
	DNSHOST_MSG_CLEAR = 2,
	DNSHOST_MSG_REPLAY = 3,
};

/* All requests have this size, and all are answered by a brokermsg_reply: its
 * name is how a SET was done, its text what a REPLAY has restored. */
struct dnshost_msg_request {
	uint32_t type;		       /* 0: enum dnshost_msg_type */
	uint32_t ifindex;	       /* 4: SET */
	char name[BROKERMSG_NAME_MAX]; /* 8: of that device, NUL-padded */
	struct brokermsg_dns_set dns;  /* 24: SET */
};

static_assert(sizeof(struct dnshost_msg_request) == 4196, "");

/*
 * Check what a DNS_SET says, as far as that can be told from itself.  Returns
 * 0, or -EINVAL with err.
 */
int dnshost_msg_check(const struct brokermsg_dns_set *dns, struct err *err);

#endif
