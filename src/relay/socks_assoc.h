/* SPDX-License-Identifier: MIT */
/* socks_assoc: associations of the session as UDP associations of a SOCKS 5
 * server. */
#ifndef ECSSH_SOCKS_ASSOC_H
#define ECSSH_SOCKS_ASSOC_H

#include "dns_tcp.h"
#include "htab.h"
#include "relay_internal.h"
#include "socks_dial.h"

enum {
	/* Each holds a connection and a socket.  Then the one idle longest
	 * ends. */
	SOCKS_ASSOC_MAX = 1024,
	SOCKS_ASSOC_IDLE_US = 300 * 1000000,
	/* Datagrams that wait while an association is being made. */
	SOCKS_ASSOC_WAITING_MAX = 32,
	SOCKS_ASSOC_WAITING_BYTES = 64 << 10,
};

/* Storage is the caller's. */
struct socks_assoc_table {
	struct relay *relay;	   /* borrowed */
	struct socks_proxy *proxy; /* borrowed */
	/* Without it only what goes to port 53 goes on, by TCP. */
	bool has_udp;
	struct htab by_id;  /* struct socks_assoc */
	struct list by_use; /* struct socks_assoc, latest used at the end */
	struct timer idle;  /* armed while there is any */
	struct dns_tcp dns;
	struct list dns_streams; /* struct dns_stream */
	uint64_t seed;		 /* random; for peer_set */
	uint8_t *buf;		 /* owned; one datagram */
};

/* Returns 0 or -errno. */
int socks_assoc_table_init(struct socks_assoc_table *t, struct relay *relay,
			   struct socks_proxy *proxy);

/* Close all.  Accepts a table of zeros; may be called again. */
void socks_assoc_table_fini(struct socks_assoc_table *t);

/* Callbacks of the session. */
void socks_assoc_on_dgram(struct socks_assoc_table *t, uint32_t id,
			  const struct frame_dgram *d);
void socks_assoc_on_close(struct socks_assoc_table *t, uint32_t id);

#endif
