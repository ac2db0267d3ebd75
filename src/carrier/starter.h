/* SPDX-License-Identifier: MIT */
/*
 * starter: the process that starts ssh for one that must not start programs.
 *
 * Theory of operation
 *   It is forked off before anything from outside has been read, and stays out
 *   of the sandbox.  What it starts is settled by then (struct ssh_plan); asked
 *   for is only which of these ways, and the little that may differ
 *   (ssh_start.h).  It is ssh's parent: it reaps it, signals it, looks for its
 *   TCP connections, and keeps the place of its control socket.  When the one
 *   that asks has ended, every ssh is ended, and then it ends itself.
 *
 *   All calls wait for the answer, which takes microseconds, or as long as a
 *   program takes to start or a name to be looked up.
 *
 * Spec: doc/PROTOCOL.starter
 */
#ifndef ECSSH_STARTER_H
#define ECSSH_STARTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "loop.h"
#include "mux_dir.h"
#include "ssh_peers.h"
#include "ssh_start.h"

enum { STARTER_PEERS_MAX = 32 };

struct starter;

/*
 * Fork it, as who we are now.  What the plan points to is its own from then on.
 * Returns 0 or -errno with err.
 */
int starter_new(const struct ssh_plan *plan, struct starter **ret_starter,
		struct err *err);

/* Have on_gone called, from the loop, if it ends before it is told to: no ssh
 * is left then.  Returns 0 or -errno. */
int starter_watch(struct starter *s, struct loop *loop,
		  void (*on_gone)(void *ctx), void *ctx);

/* What it and an ssh print is read by nobody any more, and there is nobody to
 * be asked.  s may be NULL, as below. */
void starter_leave_terminal(struct starter *s);

/* Have it note what is told by on_note of the plan. */
void starter_note(struct starter *s, bool may_exec);

/* End it, and each ssh that is left.  Returns NULL. */
struct starter *starter_free(struct starter *s);

/* The addresses of the plan's proxy, at most STARTER_PEERS_MAX.  Returns how
 * many, or -errno with err, as addr_lookup. */
int starter_look_up(struct starter *s, struct endpoint *ret, size_t max,
		    struct err *err);

/* ---- an ssh ---- */

/* Descriptors are the caller's.  That of the end has an int to be read, the
 * status of waitpid(2), when ssh has ended; nothing if the starter has. */
struct starter_ssh {
	pid_t pid;
	int stdin_fd, stdout_fd, stderr_fd; /* non-blocking, see ssh_child.h */
	int end_fd;
};

/* Returns 0, or -errno with err. */
int starter_start(struct starter *s, const struct ssh_start *start,
		  struct starter_ssh *ret, struct err *err);

/* SIGTERM, and SIGCONT for one that is stopped; or SIGKILL. */
void starter_end(struct starter *s, pid_t pid, bool kills);

/* As ssh_peers_connections and ssh_peers_find.  At most STARTER_PEERS_MAX. */
int starter_connections(struct starter *s, pid_t pid,
			struct ssh_peer *ret_peers, size_t max);
int starter_find_peers(struct starter *s, pid_t pid, struct ip_addr *ret_addrs,
		       size_t max);

/* For struct ssh_lender: a descriptor of the TCP socket beneath an ssh.  ctx:
 * the starter. */
int starter_lend(void *ctx, pid_t pid, bool is_first);

/* ---- the place of a control socket ---- */

struct starter_place {
	uint32_t number; /* not 0 */
	char path[MUX_SOCK_PATH_MAX];
};

/* Returns a descriptor of inotify, for the caller, or -errno. */
int starter_place_new(struct starter *s, struct starter_place *ret);

/* As mux_dir_connect; and then mux_link_greet. */
int starter_place_connect(struct starter *s, uint32_t number);
/* As mux_dir_tidy and mux_dir_close. */
int starter_place_tidy(struct starter *s, uint32_t number);
void starter_place_free(struct starter *s, uint32_t number);

/* ---- forwardings ---- */

/*
 * Ask the ssh of that place for all forwardings of the plan, after clearing
 * where it is to listen.  Returns a descriptor for mux_forward_new, or -errno.
 */
int starter_forward(struct starter *s, uint32_t number);

/* Of forwarding i, which is -L with a path here: remove what is left there, of
 * this tunnel or of one that was killed; a socket in use, and what is no
 * socket, stays. */
void starter_listener_clear(struct starter *s, uint32_t i);

/* What is there now is ssh's. */
void starter_listener_note(struct starter *s, uint32_t i);

#endif
