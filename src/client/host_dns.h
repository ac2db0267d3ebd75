/* SPDX-License-Identifier: MIT */
/* host_dns: whether, and for which names, this host asks in the tunnel. */
#ifndef ECSSH_HOST_DNS_H
#define ECSSH_HOST_DNS_H

#include <stdio.h>

#include "broker_client.h"
#include "brokermsg.h"
#include "client.h"

/* What is in force. */
struct host_dns {
	enum client_dns mode;	      /* OFF, ALL, SPLIT */
	char way[BROKERMSG_NAME_MAX]; /* how, unless OFF */
	struct brokermsg_dns_set set; /* unless OFF */
	struct err why_not;	      /* OFF, although it was wished for; "" */
};

/* What the configuration wishes for; never AUTO. */
enum client_dns host_dns_mode(const struct client_config *config);

/*
 * Do what the configuration says, once device and routes are there.  n servers
 * answer for the gateway; ssh_port is what carries the tunnel, 0 if that is not
 * known.  What only CLIENT_DNS_AUTO would have liked is
 * warned about and let be.  Returns 0 or -errno with err, to end the tunnel.
 */
int host_dns_up(struct host_dns *dns, const struct client_config *config,
		struct broker_client *broker, const struct ip_addr *servers,
		size_t n, uint16_t ssh_port, struct err *err);

/* For the status: ", "dns": {...}", and a line for people. */
void host_dns_print_json(const struct host_dns *dns, FILE *out);
void host_dns_print_text(const struct host_dns *dns, FILE *out);

#endif
