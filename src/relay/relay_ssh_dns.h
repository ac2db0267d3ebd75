/* SPDX-License-Identifier: MIT */
/* relay_ssh_dns: questions to name servers, asked through channels of ssh. */
#ifndef ECSSH_RELAY_SSH_DNS_H
#define ECSSH_RELAY_SSH_DNS_H

#include "dns_tcp.h"
#include "relay_internal.h"
#include "relay_link.h"
#include "relay_refusal.h"

enum {
	RELAY_SSH_DNS_SERVERS_MAX = 3,
	RELAY_SSH_DNS_RESOLVES_MAX = 256,
};

/* Storage is the caller's. */
struct relay_ssh_dns {
	struct relay *relay;		 /* borrowed */
	struct relay_links *links;	 /* borrowed */
	struct relay_refusals *refusals; /* borrowed */
	struct dns_tcp tcp;
	/* Where RESOLVE goes; the first that answered is asked first. */
	struct endpoint servers[RELAY_SSH_DNS_SERVERS_MAX];
	unsigned n_servers, first;
	struct list resolves; /* struct resolve: under way */
	unsigned n_resolves;
	struct list channels;	    /* struct dns_channel */
	struct dgram_queue answers; /* of all associations */
};

/* relay: its session may follow later.  config: which servers. */
void relay_ssh_dns_init(struct relay_ssh_dns *d, struct relay *relay,
			struct loop *loop, struct relay_links *links,
			struct relay_refusals *refusals,
			const struct relay_ssh_config *config);
void relay_ssh_dns_fini(struct relay_ssh_dns *d);

/* What is left on this link is closed; questions may be asked again. */
void relay_ssh_dns_forget(struct relay_ssh_dns *d, const struct mux_link *link);

/* Callbacks of the session.  A datagram is one to a name server. */
void relay_ssh_dns_on_dgram(struct relay_ssh_dns *d, uint32_t id,
			    const struct frame_dgram *dgram);
void relay_ssh_dns_on_assoc_close(struct relay_ssh_dns *d, uint32_t id);
void relay_ssh_dns_on_resolve(struct relay_ssh_dns *d, uint32_t id,
			      const uint8_t *query, size_t len);

#endif
