/* SPDX-License-Identifier: MIT */
/*
 * starter_msg: what is said to the starter, and what it answers.
 *
 * Both are the same program, forked, so each message is one of these structs.
 *
 * Spec: doc/PROTOCOL.starter
 */
#ifndef ECSSH_STARTER_MSG_H
#define ECSSH_STARTER_MSG_H

#include <stdint.h>

#include "err.h"
#include "mux_dir.h"
#include "starter.h"
#include "fd_msg.h"

enum starter_request_type {
	STARTER_START = 1,     /* four descriptors */
	STARTER_TERMINATE,     /* pid, as the next four */
	STARTER_KILL,	       /* */
	STARTER_CONNECTIONS,   /* peers */
	STARTER_FIND_SOCKET,   /* a descriptor */
	STARTER_LEND_SOCKET,   /* likewise: of the one that was found */
	STARTER_PLACE_NEW,     /* place and path, and a descriptor */
	STARTER_PLACE_CONNECT, /* place; a descriptor */
	STARTER_PLACE_TIDY,    /* place */
	STARTER_PLACE_FREE,    /* place */
	STARTER_LEAVE,	       /* the terminal */
	STARTER_NOTE_EXEC,     /* see starter_note */
	STARTER_NOTE_NO_EXEC,
	STARTER_LISTENER_CLEAR, /* listener, as the next */
	STARTER_LISTENER_NOTE,
	STARTER_FORWARD, /* place; a descriptor */
	STARTER_LOOK_UP, /* peers, of which the remote ends count */
};

enum {
	STARTER_FDS_MAX = FD_MSG_MAX, /* with an answer */
	STARTER_SSH_MAX = 32,
	STARTER_PLACES_MAX = 16,
	STARTER_RELAYS_MAX = 8,
};

struct starter_request {
	uint32_t type; /* enum starter_request_type */
	int32_t pid;   /* of an ssh that was started, and has not ended */
	uint32_t place;
	uint32_t listener;
	struct ssh_start start; /* of START */
};

struct starter_answer {
	int32_t result; /* -errno, or 0 or more */
	uint32_t n_fds;
	int32_t pid;
	uint32_t place;
	uint32_t n_peers;
	struct ssh_peer peers[STARTER_PEERS_MAX];
	char path[MUX_SOCK_PATH_MAX];
	struct err err; /* of START and LOOK_UP, if they failed */
};

/* Be it, until the other end of sock is closed.  The plan is borrowed. */
void starter_run(int sock, const struct ssh_plan *plan);

#endif
