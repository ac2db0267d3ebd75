/* SPDX-License-Identifier: MIT */
/*
 * resolv_text: the text of resolv.conf(5), ours and others'.
 */
#ifndef ECSSH_RESOLV_TEXT_H
#define ECSSH_RESOLV_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"
#include "brokermsg.h"

enum {
	RESOLV_TEXT_MAX = 8192, /* of ours */
};

/*
 * Write what has the resolver ask these servers and look in these domains, and
 * says on whose behalf.  dns has passed dnshost_msg_check; device is the
 * tunnel's.  Returns the length, below RESOLV_TEXT_MAX.
 */
size_t resolv_text_build(const struct brokermsg_dns_set *dns,
			 const char *device, char out[RESOLV_TEXT_MAX]);

/*
 * The numeric name servers in text of len bytes, as far as there is room; a
 * scope ("%eth0") is left out.  Returns their number.
 */
size_t resolv_text_servers(const char *text, size_t len,
			   struct ip_addr *ret_servers, size_t max);

/* True if the text begins with a line that says that resolvconf made it. */
bool resolv_text_is_resolvconf(const char *text, size_t len);

/* True if all servers of the text are the stub of systemd-resolved. */
bool resolv_text_is_resolved(const char *text, size_t len);

#endif
