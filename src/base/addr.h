/* SPDX-License-Identifier: MIT */
/* addr: IP addresses, endpoints and subnets of both families. */
#ifndef ECSSH_ADDR_H
#define ECSSH_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "err.h"

enum ip_version {
	IPV4 = 4,
	IPV6 = 6,
};

/*
 * An IP address.  Bytes beyond the family's length are zero, so that two
 * addresses are equal exactly if their memory is.
 */
struct ip_addr {
	uint8_t version;   /* enum ip_version, or 0: no address */
	uint8_t bytes[16]; /* network order; the first 4 for IPv4 */
};

/* A transport endpoint. */
struct endpoint {
	struct ip_addr addr;
	uint16_t port; /* host order */
};

/* A prefix; the bits of addr beyond prefix_len are zero. */
struct subnet {
	struct ip_addr addr;
	uint8_t prefix_len; /* 0..32 or 0..128 */
};

enum {
	ADDR_TEXT_MAX = 46,	/* longest address, with its NUL */
	SUBNET_TEXT_MAX = 50,	/* with "/128" */
	ENDPOINT_TEXT_MAX = 54, /* with "[]:65535" */
};

/* 4 or 16 bytes, 32 or 128 bits. */
static inline size_t addr_len_bytes(const struct ip_addr *a)
{
	return a->version == IPV4 ? 4 : 16;
}

static inline uint8_t addr_len_bits(const struct ip_addr *a)
{
	return a->version == IPV4 ? 32 : 128;
}

bool addr_equal(const struct ip_addr *a, const struct ip_addr *b);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* Make an address of bytes in network order (4 or 16 of them by version). */
struct ip_addr addr_make(enum ip_version version, const void *bytes);

/* Parse a numeric address without scope.  Returns 0 or -EINVAL. */
int addr_parse(const char *text, struct ip_addr *ret_addr);

/*
 * Parse "ADDR" or "ADDR/LEN"; "0/0", "10/8" and the like have the missing bytes
 * of an IPv4 address filled with zeros.  Host bits are cleared, and
 * *ret_had_host_bits says so (it may be NULL).  Returns 0, or -EINVAL with err.
 */
int subnet_parse(const char *text, struct subnet *ret_subnet,
		 bool *ret_had_host_bits, struct err *err);

/* True if a lies in net; false across families. */
bool subnet_contains(const struct subnet *net, const struct ip_addr *a);

/* True if all of inner lies in outer. */
bool subnet_covers(const struct subnet *outer, const struct subnet *inner);

/* True if all of it means something on one link or host only, or many hosts at
 * once, or IPv4 in IPv6's clothes. */
bool subnet_is_special(const struct subnet *net);

bool subnet_overlaps(const struct subnet *a, const struct subnet *b);

bool subnet_equal(const struct subnet *a, const struct subnet *b);

/* The same with the bits beyond the prefix cleared. */
struct subnet subnet_masked(const struct subnet *s);

/* The subnet of exactly one address. */
struct subnet subnet_of_addr(const struct ip_addr *a);

/*
 * Take `hole` out of the n subnets in *nets (malloc'd, owned by the caller; may
 * be moved), replacing a subnet that covers the hole by the largest subnets
 * that do not.  Returns the new count, or -ENOMEM, -E2BIG beyond max_nets.
 */
int subnet_subtract(struct subnet **nets, size_t n, size_t max_nets,
		    const struct subnet *hole);

/* True for addresses that mean something on one link or host only, or many
 * hosts at once. */
bool addr_is_loopback(const struct ip_addr *a);	  /* also 0/8, :: */
bool addr_is_link_local(const struct ip_addr *a); /* also 169.254/16 */
bool addr_is_multicast(const struct ip_addr *a);  /* also 255.255.255.255 */

/* Write as text (RFC 5952 for IPv6).  Returns out. */
const char *addr_format(const struct ip_addr *a, char out[ADDR_TEXT_MAX]);
const char *subnet_format(const struct subnet *s, char out[SUBNET_TEXT_MAX]);
const char *endpoint_format(const struct endpoint *e,
			    char out[ENDPOINT_TEXT_MAX]);

/* To and from the kernel's form.  endpoint_to_sockaddr returns the length used;
 * endpoint_from_sockaddr returns 0, or -EAFNOSUPPORT; a v4-mapped IPv6
 * address becomes IPv4. */
socklen_t endpoint_to_sockaddr(const struct endpoint *e,
			       struct sockaddr_storage *ret_ss);
int endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *ret_e);

#endif
