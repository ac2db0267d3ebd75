/* SPDX-License-Identifier: MIT */
/*
 * tun_setup: what root has to do on a server for a tun device of sshd's: as
 * commands for a person, and as a script that runs them and undoes them.
 */
#ifndef ECSSH_TUN_SETUP_H
#define ECSSH_TUN_SETUP_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"

enum {
	TUN_SETUP_COMMANDS_MAX = 448, /* so that a reason fits beside them */
	TUN_SETUP_SCRIPT_MAX = 8192,
	TUN_SETUP_NAME_MAX = 16,
};

struct tun_setup {
	uint32_t unit;		     /* N of tunN */
	uint32_t tag;		     /* random: makes our name for the device */
	struct ip_addr near4, near6; /* version 0: none */
};

/* The device as sshd has named it, and as the script names it. */
void tun_setup_device(const struct tun_setup *s, char out[TUN_SETUP_NAME_MAX]);
void tun_setup_our_device(const struct tun_setup *s,
			  char out[TUN_SETUP_NAME_MAX]);

/* The commands, joined by "; ".  Returns their length, of which at most cap - 1
 * bytes were written. */
size_t tun_setup_commands(const struct tun_setup *s, char *out, size_t cap);

/*
 * A script for the standard input of /bin/sh, which stays open.  It prints one
 * line: "ready" when the commands have been run, or "failed " and why, all
 * undone.  Once ready it undoes everything at the end of its input, or at HUP,
 * INT or TERM.  A script that is cut off does nothing.  Length as above.
 */
size_t tun_setup_script(const struct tun_setup *s, char *out, size_t cap);

#endif
