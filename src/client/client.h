/* SPDX-License-Identifier: MIT */
/* client: the near engine, from a command line to a tunnel and back. */
#ifndef ECSSH_CLIENT_H
#define ECSSH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "ctl_path.h"
#include "dns_domain.h"
#include "domain.h"
#include "door_options.h"
#include "flowplane.h"
#include "mux_forward.h"
#include "proxy.h"
#include "rung.h"
#include "ssh_cmd.h"
#include "ssh_dest.h"
#include "via.h"

enum {
	CLIENT_SUBNETS_MAX = 1024, /* asked for or excluded, each */
	CLIENT_MTU_DEFAULT = 1500,
	CLIENT_FORWARDS_MAX = 64,
	CLIENT_GATEWAYS_MAX = 16,
	CLIENT_DOMAINS_MAX = 16,
	CLIENT_ROUTED_DOMAINS_MAX = 16,
};

/* Which names this host has resolved in the tunnel. */
enum client_dns {
	CLIENT_DNS_AUTO, /* all if everything goes there; else those in the
			    domains that are named */
	CLIENT_DNS_OFF,
	CLIENT_DNS_ALL,
	CLIENT_DNS_SPLIT,
	CLIENT_DNS__N,
};

enum client_exit {
	CLIENT_EXIT_OK = 0,
	CLIENT_EXIT_RUNTIME = 1,
	CLIENT_EXIT_USAGE = 2,
	CLIENT_EXIT_NOT_RUNNING = 3,
	CLIENT_EXIT_PRIVILEGE = 4,
	CLIENT_EXIT_LACKING = 5, /* the gateway lacks what we need */
	CLIENT_EXIT_SSH = 255,
};

struct client_config {
	const char *dest_text; /* as typed; borrowed, like all pointers here */
	struct ssh_dest dest;
	struct ssh_options ssh_options;
	char name[CTL_NAME_MAX + 1];
	struct subnet *subnets; /* owned by whoever filled it in */
	size_t n_subnets;
	struct subnet *excludes;
	size_t n_excludes;
	bool is_full;	    /* everything was asked for: 0.0.0.0/0, ::/0 */
	bool allow_lan;	    /* of is_full: but not private local networks */
	bool auto_nets;	    /* and what the gateway says that it reaches */
	bool is_dry_run;    /* say what would be done, do nothing */
	unsigned confirm_s; /* ends unless confirmed within; 0: does not */
	/* What names in these have is routed, too. */
	struct dns_domain routed_domains[CLIENT_ROUTED_DOMAINS_MAX];
	size_t n_routed_domains;
	struct ip_addr address4, address6; /* version 0: choose */
	uint32_t mtu_bytes;
	bool no_tune;	       /* leave the sockets of ssh and sshd alone */
	int channels;	       /* further ones to the helper; -1: as needed */
	unsigned connections;  /* of ssh, 1 to 8 */
	bool allow_link_local; /* of the gateway */
	enum rung_mode mode;
	enum flowplane_plane plane;
	/* Of the packet plane; any of these and --plane packet must have it. */
	bool no_nat, allow_inbound, far_sudo;
	struct subnet *announced;
	size_t n_announced;
	struct door_options doors[PROXY_DOORS_MAX];
	size_t n_doors;
	struct mux_forward_spec forwards[CLIENT_FORWARDS_MAX];
	size_t n_forwards;
	struct via via; /* a SOCKS5 server instead of ssh; host "": no */
	struct endpoint dns_server; /* version 0: the gateway's own */
	enum client_dns dns;
	char domains[CLIENT_DOMAINS_MAX][DOMAIN_TEXT_MAX];
	size_t n_domains;
	uint32_t tun_unit; /* N of the server's tunN; MUX_TUN_ANY */
	char *script;	   /* absolute path, or NULL; owned as the subnets */
	bool kill_switch;  /* nothing leaves this host but by the tunnel */
	bool block_only;   /* put that in force, and nothing more */
	/* Where what carries the tunnel goes, if it cannot be found out. */
	struct endpoint kill_allowed[CLIENT_GATEWAYS_MAX];
	size_t n_kill_allowed;
	bool is_background;
	bool reconnects; /* when the connection is lost */
	/* Written one byte, the exit code, when background work has begun or
	 * failed; -1 in the foreground. */
	int ready_fd;
};

/* Bring the tunnel up, run it until its end, take it down.  Returns the exit
 * code; what went wrong has been logged. */
int client_run(const struct client_config *config);

#endif
