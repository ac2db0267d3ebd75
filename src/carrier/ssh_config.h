/* SPDX-License-Identifier: MIT */
/* ssh_config: what the user's ssh_config makes of a destination. */
#ifndef ECSSH_SSH_CONFIG_H
#define ECSSH_SSH_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "ssh_dest.h"

struct ssh_options;

enum {
	SSH_CONFIG_VALUE_MAX = 2048, /* longest value kept, with its NUL */
};

/*
 * Options that would break our connection if the user's configuration set
 * them, and that an older ssh rejects as unknown.  ssh -G shows which are
 * there: those only are overridden.
 */
enum ssh_config_newer {
	SSH_CONFIG_REMOTE_COMMAND,  /* OpenSSH 7.6; shown only if set */
	SSH_CONFIG_FORK_AFTER_AUTH, /* 8.7, like the next two */
	SSH_CONFIG_SESSION_TYPE,
	SSH_CONFIG_STDIN_NULL,
	SSH_CONFIG_NEWER__N,
};

/* The effective configuration, as far as we care. */
struct ssh_config {
	char user[SSH_DEST_USER_MAX + 1];
	char hostname[SSH_CONFIG_VALUE_MAX]; /* what ssh will look up */
	uint16_t port;
	char proxy_jump[SSH_CONFIG_VALUE_MAX];	  /* "": none */
	char proxy_command[SSH_CONFIG_VALUE_MAX]; /* "": none */
	/* It says more of how to connect than where: from which address or
	 * device, or by which family alone. */
	bool has_way_to_connect;
	char ciphers[SSH_CONFIG_VALUE_MAX]; /* in order of preference */
	bool has_chosen_ciphers; /* somebody configured them: leave them */
	uint32_t server_alive_interval_s;    /* 0: off */
	bool has_newer[SSH_CONFIG_NEWER__N]; /* ssh -G printed it */
};

/* False for "" and "none", as which ssh prints what is not set. */
bool ssh_config_is_set(const char *value);

/* Parse the output of ssh -G.  has_chosen_ciphers is left false.  Lines that
 * are not understood are skipped. */
void ssh_config_parse(const char *text, size_t len,
		      struct ssh_config *ret_config);

/*
 * Ask ssh -G, twice: with the user's configuration and with none.  Blocks for
 * some 20 ms, at most for timeout_ms (name look-ups and "Match exec" of the
 * user's configuration may take their time).  Returns 0, -ETIMEDOUT, -EIO if
 * ssh fails (err has its own message), or -errno if it cannot be run; all with
 * err.
 */
int ssh_config_query(const struct ssh_dest *dest, const struct ssh_options *o,
		     const char *ssh_path, uint32_t timeout_ms,
		     struct ssh_config *ret_config, struct err *err);

#endif
