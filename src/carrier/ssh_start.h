/* SPDX-License-Identifier: MIT */
/*
 * ssh_start: what there is to say about an ssh to be started: the plan, which
 * is fixed before anything from outside is read, and the little that may differ
 * from one start to the next.
 *
 * Spec: doc/PROTOCOL.starter section 2
 */
#ifndef ECSSH_SSH_START_H
#define ECSSH_SSH_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "bond_msg.h"
#include "boot.h"
#include "boot_script.h"
#include "dialer.h"
#include "err.h"
#include "mux_forward.h"
#include "ssh_cmd.h"
#include "ssh_config.h"
#include "ssh_dest.h"
#include "ssh_jump.h"
#include "unix_path.h"

/* All pointers are borrowed for the life of the plan. */
struct ssh_plan {
	const struct ssh_dest *dest;
	const struct ssh_options *options; /* the user's; NULL: none */
	/* From ssh_config_query; NULL: no ssh is started. */
	const struct ssh_config *config;
	/* From ssh_jump_find; NULL: the rest of the way is ssh's business. */
	const struct ssh_jump *jump;
	const char *ssh_path;  /* NULL: "ssh", found in PATH */
	const char *dial_path; /* of ecssh-dial; NULL: no address is pinned */
	/* The helper; hash NULL: none is started. */
	const char *helper_hash;
	size_t helper_bytes;
	unsigned protocol; /* session protocol version */
	/*
	 * Arguments of the helper, NULL at the end; NULL: none.  Letters,
	 * digits and . _ - + = : , / % @ only.  A helper that the server's
	 * administrator runs by a forced command does not see them.
	 */
	const char *const *helper_args;
	/* The terminal may go away once the tunnel is up: ssh ignores SIGHUP
	 * and SIGQUIT too (SIGINT it never gets to obey, see ssh_child.h). */
	bool is_background;
	/* The user's -L and -R, at most MUX_FORWARDS_MAX. */
	const struct mux_forward_spec *forwards;
	size_t n_forwards;
	/* What a name is looked up for; NULL or "": none is. */
	const char *proxy_host;
	uint16_t proxy_port;
	/* Called in the starter when it is told that the account may run
	 * programs there, or may not; NULL: not. */
	void (*on_note)(void *ctx, bool may_exec);
	void *ctx;
	/* A socket to be removed at the end; ino 0: none. */
	const char *own_path;
	struct unix_path_id own_id;
};

enum ssh_start_kind {
	SSH_START_HELPER = 1, /* bring the helper up, and talk to it */
	SSH_START_BARE,	      /* run nothing there (-N) */
	SSH_START_JOIN,	      /* be one more connection to a helper */
};

enum ssh_start_flag {
	SSH_START_BATCH = 1,	 /* nobody is asked anything */
	SSH_START_IMPATIENT = 2, /* to connect takes 10 s at most */
	SSH_START_TALKATIVE = 4, /* ssh logs, unless the user says that it is
				    to be quiet */
	SSH_START_FLAGS_KNOWN = 7,
};

/* Of fixed size, and without pointers: it is handed to another process. */
struct ssh_start {
	uint32_t kind;	/* enum ssh_start_kind */
	uint32_t flags; /* enum ssh_start_flag */
	/* Of HELPER and BARE: where ssh listens for requests, a number of
	 * starter_place_new; 0: nowhere. */
	uint32_t place;
	struct dialer_pins pins; /* if any, ssh is connected by these */
	char marker[BOOT_MARKER_LEN + 1]; /* of HELPER: hex digits */
	/* Of JOIN: both as in an OFFER. */
	char join_helper[BOND_PATH_MAX + 1];
	char join_path[BOND_PATH_MAX + 1];
};

/* True if it is one that the plan provides for. */
bool ssh_start_is_sound(const struct ssh_plan *plan,
			const struct ssh_start *start);

/* A command line with the words that it borrows.  Do not copy. */
struct ssh_start_cmd {
	struct ssh_cmd cmd;
	struct ssh_options options;
	char remote[BOOT_SCRIPT_LINE_MAX];
	char dialer[DIALER_TEXT_MAX];
};

/*
 * Write the command line.  control_path is that of start->place, or NULL.
 * Returns 0, or -errno with err: -EPERM: it is not sound.
 */
int ssh_start_build(const struct ssh_plan *plan, const struct ssh_start *start,
		    const char *control_path, struct ssh_start_cmd *ret_cmd,
		    struct err *err);

#endif
