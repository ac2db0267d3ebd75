/* SPDX-License-Identifier: MIT */
/*
 * killnote: the note that says which kill switch is in force, and why.
 *
 * A broker writes one for each switch, for everybody to read; the rules
 * themselves only the privileged can see.
 *
 * Spec: doc/PROTOCOL.broker
 */
#ifndef ECSSH_KILLNOTE_H
#define ECSSH_KILLNOTE_H

#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "brokermsg.h"
#include "port_range.h"

#define KILLNOTE_DIR "/run/ecssh-kill"

enum {
	KILLNOTE_TEXT_MAX = 2048,
	KILLNOTE_FILE_MAX = BROKERMSG_TUNNEL_MAX + 24, /* name of its file */
};

struct killnote {
	char name[BROKERMSG_TUNNEL_MAX]; /* of the tunnel */
	uint32_t uid; /* who had it put in force, and may lift it */
	int64_t since_s;
	/* When it was found that its rules are not there; 0: not. */
	int64_t gone_s;
	struct endpoint gateways[BROKERMSG_GATEWAYS_MAX];
	size_t n_gateways;
	struct port_range from; /* as in a KILL_ON */
};

/* Name the file of a tunnel's note: each network namespace, told apart by the
 * inode of its file in /proc, has its own. */
void killnote_file(uint64_t netns, const char *tunnel,
		   char ret_file[KILLNOTE_FILE_MAX]);

/* Write all but the name.  Returns the length. */
size_t killnote_format(const struct killnote *note,
		       char out[KILLNOTE_TEXT_MAX]);

/*
 * Read a note of this network namespace.  Returns 0, -ENOENT if the file's name
 * is not that of one, or -EBADMSG.
 */
int killnote_parse(uint64_t netns, const char *file, const char *text,
		   size_t len, struct killnote *ret_note);

#endif
