/* SPDX-License-Identifier: MIT */
/* proxy_internal: what the files of proxy/ share. */
#ifndef ECSSH_PROXY_INTERNAL_H
#define ECSSH_PROXY_INTERNAL_H

#include "htab.h"
#include "names.h"
#include "proxy.h"
#include "socks_msg.h"
#include "stream_sock.h"
#include "unix_path.h"

enum {
	PROXY_DEFAULT_TTL = 64,
	/* A datagram with its header, as a client sends it. */
	PROXY_DGRAM_BUF = 65536,
};

struct proxy {
	struct loop *loop;	 /* borrowed */
	struct session *session; /* borrowed; NULL: none */
	uint32_t capabilities;	 /* enum frame_capability; of the far end */
	struct list doors;	 /* struct door; owned */
	struct list conns;	 /* struct door_conn; owned */
	struct list dead;	 /* those to be freed at the end of the turn */
	struct loop_task bury;	 /* posted while dead has members */
	size_t n_conns;
	struct names names;
	struct htab assocs; /* struct door_leg by id */
	size_t n_assocs;
	uint32_t next_assoc_id;
	uint8_t dgram_buf[PROXY_DGRAM_BUF]; /* for the call */
};

/* ---- door.c: a listening socket, or two ---- */

struct door;

struct door_listener {
	struct door *door; /* borrowed */
	struct loop_io io; /* fd is owned, or -1 */
};

struct door {
	struct proxy *proxy; /* borrowed */
	struct list link;    /* proxy->doors */
	struct door_listener listeners[DOOR_LISTENERS_MAX];
	struct door_options options; /* with the ports in use */
	struct timer pause;	     /* armed: no connection is accepted */
	bool is_full;		     /* neither, until one ends */
	struct unix_path_id id;	     /* of the socket at options.path */
	uint32_t conns, assocs;
	uint64_t accepted, opened, refused;
};

int door_new(struct proxy *p, const struct door_options *options,
	     struct door **ret_door, struct err *err);
struct door *door_free(struct door *d);
/* A connection has ended: there may be room again. */
void door_on_room(struct door *d);
void door_format(const struct door *d, char *out, size_t cap);

/* ---- door_conn.c: one connection that came in ---- */

struct door_conn;

/* Takes fd.  Returns 0 or -errno. */
int door_conn_new(struct door *d, int fd);
void door_conn_free(struct door_conn *c);
struct door_conn *door_conn_of(struct list *link);
/* The session is gone. */
void door_conn_on_down(struct door_conn *c);
/* Reset both sides. */
void door_conn_abort(struct door_conn *c);

#endif
