/* SPDX-License-Identifier: MIT */
/*
 * brokermsg: what the engine and the broker say to each other.
 *
 * One message is one datagram of an AF_UNIX SOCK_SEQPACKET socket, exactly one
 * of these structs, in host byte order: both ends run on one machine.
 *
 * Spec: doc/PROTOCOL.broker
 */
#ifndef ECSSH_BROKERMSG_H
#define ECSSH_BROKERMSG_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"

enum {
	BROKERMSG_VERSION = 1,
	BROKERMSG_NAME_MAX = 16,
	BROKERMSG_TEXT_MAX = 512,
	BROKERMSG_ROUTES_MAX = 4096,
	BROKERMSG_ADDRS_MAX = 8,
	BROKERMSG_RULES_MAX = 40,
	BROKERMSG_MTU_MIN = 576, /* RFC 791; IPv6 addresses need MTU_MIN_V6 */
	BROKERMSG_MTU_MIN_V6 = 1280,
	BROKERMSG_MTU_MAX = 65535,
	BROKERMSG_DNS_SERVERS_MAX = 3, /* what resolv.conf(5) has room for */
	BROKERMSG_DNS_DOMAINS_MAX = 16,
	BROKERMSG_DOMAIN_MAX = 256, /* a name of up to 253, and NULs */
	BROKERMSG_TUNNEL_MAX = 48,  /* name of a tunnel, with its NUL */
	BROKERMSG_GATEWAYS_MAX = 16,
	BROKERMSG_LANS_MAX = 32,
};

/*
 * Where tunnels stand in this host's routing.  All have their routes in one
 * table, so that the longest prefix decides between them; each has rules of its
 * own, at a place that follows from its device.  They precede those of main
 * (32766), of wg-quick (from 32765 down) and Tailscale (5210 to 5270).
 */
enum brokermsg_routing {
	BROKERMSG_TABLE = 60501, /* 0xEC55 */
	BROKERMSG_RULES_N = 64,
	BROKERMSG_EXEMPT_PRIORITY = 5000, /* the first of RULES_N */
	BROKERMSG_TUNNEL_PRIORITY = 5100, /* likewise */
	/* Of packets that no tunnel is to have.  Bits that nobody else tests:
	 * not 0x4000 and 0x8000 of kube-proxy, nor 0xff0000 of Tailscale. */
	BROKERMSG_MARK_VALUE = 0xec,
};

enum brokermsg_type {
	BROKERMSG_HELLO = 1,
	BROKERMSG_TUN_CREATE = 2,
	BROKERMSG_ADDR_ADD = 3,
	BROKERMSG_LINK_UP = 4,
	BROKERMSG_ROUTE_ADD = 5,
	BROKERMSG_ROUTE_DEL = 6,
	BROKERMSG_BYE = 7,
	BROKERMSG_FORWARD = 8,
	BROKERMSG_TUNE = 9,
	BROKERMSG_EXEMPT_ADD = 10,
	BROKERMSG_EXEMPT_DEL = 11,
	BROKERMSG_MARK = 12,
	BROKERMSG_CLEANUP = 13,
	BROKERMSG_KILL_ON = 14,
	BROKERMSG_KILL_OFF = 15,
	BROKERMSG_GUARD = 16,
	BROKERMSG_DNS_SET = 17,
	BROKERMSG_DNS_CLEAR = 18,
	BROKERMSG_KILL_LOOK = 19,
	BROKERMSG__N,
};

/* Equal to enum tun_offload. */
enum brokermsg_offload {
	BROKERMSG_OFFLOAD_CSUM = 1 << 0,
	BROKERMSG_OFFLOAD_TSO = 1 << 1,
	BROKERMSG_OFFLOAD_USO = 1 << 2,
	BROKERMSG_OFFLOAD_ALL = (1 << 3) - 1,
};

enum brokermsg_forward_flag {
	BROKERMSG_FORWARD_NAT = 1 << 0,
	BROKERMSG_FORWARD_INBOUND = 1 << 1,
	BROKERMSG_FORWARD_ALL = (1 << 2) - 1,
};

enum brokermsg_guard_flag {
	/* This host speaks with other sources, too, which the far end knows. */
	BROKERMSG_GUARD_ANNOUNCED = 1 << 0,
	BROKERMSG_GUARD_ALL = (1 << 1) - 1,
};

enum brokermsg_dns_mode {
	BROKERMSG_DNS_ALL = 1,	 /* all names are asked for by the tunnel */
	BROKERMSG_DNS_SPLIT = 2, /* only those in the domains */
};

/* LINK_UP, BYE, TUNE and DNS_CLEAR, and the head of all others. */
struct brokermsg_head {
	uint32_t type; /* 0: enum brokermsg_type */
};

struct brokermsg_hello {
	uint32_t type;	  /* 0: BROKERMSG_HELLO */
	uint32_t version; /* 4: BROKERMSG_VERSION */
};

struct brokermsg_tun_create {
	uint32_t type;		       /* 0: BROKERMSG_TUN_CREATE */
	uint32_t mtu_bytes;	       /* 4 */
	uint32_t offloads;	       /* 8: enum brokermsg_offload, wanted */
	char name[BROKERMSG_NAME_MAX]; /* 12: NUL-padded; empty: any */
};

struct brokermsg_addr {
	uint32_t type;	   /* 0: BROKERMSG_ADDR_ADD */
	uint32_t version;  /* 4: 4 or 6 */
	uint8_t bytes[16]; /* 8: network order; zeros behind the first 4 for
			      IPv4 */
};

struct brokermsg_route {
	uint32_t type;	     /* 0: BROKERMSG_ROUTE_ADD, BROKERMSG_ROUTE_DEL */
	uint32_t version;    /* 4: 4 or 6 */
	uint32_t prefix_len; /* 8 */
	uint8_t bytes[16];   /* 12: as above; zero beyond the prefix */
};

/* No user: a connection that is there says enough. */
#define BROKERMSG_NO_UID UINT32_MAX

struct brokermsg_exempt {
	uint32_t type;	     /* 0: BROKERMSG_EXEMPT_ADD, BROKERMSG_EXEMPT_DEL */
	uint32_t version;    /* 4: 4 or 6 */
	uint8_t local[16];   /* 8: as above; zeros: any */
	uint8_t remote[16];  /* 24 */
	uint32_t first_port; /* 40: of local; zeros: any */
	uint32_t last_port;  /* 44 */
	uint32_t remote_port; /* 48 */
	uint32_t uid;	      /* 52: of who connects, or BROKERMSG_NO_UID */
};

/* With it comes a connected TCP socket. */
struct brokermsg_mark {
	uint32_t type;	  /* 0: BROKERMSG_MARK */
	uint32_t version; /* 4: of its packets: 4 or 6 */
};

struct brokermsg_forward {
	uint32_t type;	/* 0: BROKERMSG_FORWARD */
	uint32_t flags; /* 4: enum brokermsg_forward_flag */
};

struct brokermsg_endpoint {
	uint32_t version;  /* 0: 4 or 6; 0 where none is allowed, too */
	uint32_t port;	   /* 4: 1 to 65535 */
	uint8_t bytes[16]; /* 8: as above */
};

struct brokermsg_subnet {
	uint32_t version;    /* 0: 4 or 6 */
	uint32_t prefix_len; /* 4 */
	uint8_t bytes[16];   /* 8: as above; zero beyond the prefix */
};

struct brokermsg_kill_on {
	uint32_t type;	     /* 0: BROKERMSG_KILL_ON */
	uint32_t uid;	     /* 4: whose ssh may reach the gateways */
	uint32_t n_gateways; /* 8: 1 to BROKERMSG_GATEWAYS_MAX */
	uint32_t n_lans;     /* 12: 0 to BROKERMSG_LANS_MAX */
	char name[BROKERMSG_TUNNEL_MAX]; /* 16: of the tunnel, NUL-padded */
	uint32_t first_port; /* 64: from which ports; zeros: from any */
	uint32_t last_port;  /* 68 */
	/* 72: a TCP connection that goes on: this end, the other */
	struct brokermsg_endpoint kept[2];
	/* 120, 504: those beyond the numbers are not looked at */
	struct brokermsg_endpoint gateways[BROKERMSG_GATEWAYS_MAX];
	struct brokermsg_subnet lans[BROKERMSG_LANS_MAX];
};

struct brokermsg_kill_off {
	uint32_t type; /* 0: BROKERMSG_KILL_OFF, BROKERMSG_KILL_LOOK */
	char name[BROKERMSG_TUNNEL_MAX]; /* 4: NUL-padded */
};

/* To ecssh-kill, of a broker that has been asked that. */
struct brokermsg_kill_order {
	uint32_t asks_uid;		  /* 0: who made the engine's socket */
	struct brokermsg_kill_on request; /* 4: or brokermsg_kill_off, and
					     zeros */
};

struct brokermsg_guard {
	uint32_t type;	/* 0: BROKERMSG_GUARD */
	uint32_t flags; /* 4: enum brokermsg_guard_flag */
};

struct brokermsg_dns_server {
	uint32_t version;  /* 0: 4 or 6 */
	uint8_t bytes[16]; /* 4: as above */
};

struct brokermsg_dns_set {
	uint32_t type;	    /* 0: BROKERMSG_DNS_SET */
	uint32_t mode;	    /* 4: enum brokermsg_dns_mode */
	uint32_t n_servers; /* 8 */
	uint32_t n_domains; /* 12 */
	struct brokermsg_dns_server servers[BROKERMSG_DNS_SERVERS_MAX]; /* 16 */
	/* 76: as domain_parse makes them, NUL-padded; zeros beyond n_domains */
	char domains[BROKERMSG_DNS_DOMAINS_MAX][BROKERMSG_DOMAIN_MAX];
};

/* The answer to each request.  Type 0: not an answer, the last words.  With a
 * good answer to TUN_CREATE comes the device's descriptor (SCM_RIGHTS); never
 * with any other. */
struct brokermsg_reply {
	uint32_t type;	   /* 0: of the request */
	int32_t result;	   /* 4: 0 or negative errno */
	uint32_t version;  /* 8: HELLO: BROKERMSG_VERSION of the broker */
	uint32_t ifindex;  /* 12: TUN_CREATE */
	uint32_t offloads; /* 16: TUN_CREATE: those switched on */
	char name[BROKERMSG_NAME_MAX]; /* 20: TUN_CREATE, TUNE: NUL-terminated
					*/
	char text[BROKERMSG_TEXT_MAX]; /* 36: sentence, if result is not 0,
					  or of TUNE;
					  NUL-terminated */
};

static_assert(sizeof(struct brokermsg_head) == 4, "");
static_assert(sizeof(struct brokermsg_hello) == 8, "");
static_assert(sizeof(struct brokermsg_tun_create) == 28, "");
static_assert(sizeof(struct brokermsg_addr) == 24, "");
static_assert(sizeof(struct brokermsg_route) == 28, "");
static_assert(sizeof(struct brokermsg_exempt) == 56, "");
static_assert(sizeof(struct brokermsg_mark) == 8, "");
static_assert(sizeof(struct brokermsg_forward) == 8, "");
static_assert(sizeof(struct brokermsg_dns_set) == 4172, "");
static_assert(sizeof(struct brokermsg_kill_on) == 1272, "");
static_assert(sizeof(struct brokermsg_kill_off) == 52, "");
static_assert(sizeof(struct brokermsg_kill_order) == 1276, "");
static_assert(sizeof(struct brokermsg_guard) == 8, "");
static_assert(sizeof(struct brokermsg_reply) == 548, "");

/* What fields are filled up with. */
bool brokermsg_is_zero(const void *bytes, size_t len);

/* Make an address of the fields that stand for one.  Returns 0, or -EINVAL with
 * err: no such version, or more bytes than an address of it has. */
int brokermsg_read_addr(uint32_t version, const uint8_t bytes[16],
			struct ip_addr *ret_addr, struct err *err);

#endif
