/* SPDX-License-Identifier: MIT */
/* hook_env: what a script is told, in the variables of vpnc-script. */
#ifndef ECSSH_HOOK_ENV_H
#define ECSSH_HOOK_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "addr.h"

enum hook_reason {
	HOOK_PRE_INIT,	 /* the far end is there, the device not yet */
	HOOK_CONNECT,	 /* device, addresses and routes are there */
	HOOK_RECONNECT,	 /* by another connection: the gateway's address may
			    be another, too */
	HOOK_DISCONNECT, /* they are about to go */
	HOOK_REASON__N,
};

enum {
	HOOK_DEVICE_MAX = 16, /* with its NUL */
	HOOK_TOLD_MAX = 128,
};

/* What the command line says: known before anything begins. */
struct hook_plan {
	const char *script;	       /* a path; borrowed, as the next three */
	const struct subnet *subnets;  /* that are to be routed */
	const struct subnet *excludes; /* and not */
	const char *const *domains;    /* of the network behind; letters,
					  digits, "-" and "." */
	size_t n_subnets, n_excludes, n_domains;
	uint32_t mtu_bytes;
	bool is_verbose;
};

/* What the tunnel has become.  No text but the device's name, and that is
 * checked: whoever gives these can say nothing else. */
struct hook_facts {
	struct ip_addr gateway; /* version 0: not known, as below */
	struct ip_addr address4, address6;
	struct ip_addr dns4, dns6;
	char device[HOOK_DEVICE_MAX]; /* "": none yet */
	/* Subnets that are routed besides: the gateway reaches them. */
	struct subnet told[HOOK_TOLD_MAX];
	uint32_t n_told;
};

/* "connect" etc. */
const char *hook_reason_name(enum hook_reason reason);

/*
 * The environment for a script: that of base, less all that has a name of
 * vpnc-script's, and what plan and facts say.  engine is VPNPID.  Returns an
 * array for hook_env_free, or NULL: out of memory.
 */
char **hook_env_new(const struct hook_plan *plan,
		    const struct hook_facts *facts, enum hook_reason reason,
		    pid_t engine, char *const *base);

/* Accepts NULL; returns NULL. */
char **hook_env_free(char **env);

#endif
