/* SPDX-License-Identifier: MIT */
/*
 * ssh_stdio: from a destination to a running helper, over the user's own ssh.
 *
 * Starts ssh, brings the helper up on the far side (doc/PROTOCOL.boot) and
 * hands out the two descriptors on which the session protocol is then spoken.
 */
#ifndef ECSSH_SSH_STDIO_H
#define ECSSH_SSH_STDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "boot.h"
#include "err.h"
#include "helper_file.h"
#include "loop.h"
#include "ssh_config.h"
#include "ssh_dest.h"
#include "ssh_verdict.h"
#include "starter.h"

/* Pointers are borrowed for the call of ssh_stdio_start, but for two. */
struct ssh_stdio_config {
	struct starter *starter; /* borrowed for the life of the object */
	const struct ssh_dest *dest;
	const struct ssh_config *config; /* from ssh_config_query */
	/* To be uploaded; of the starter's plan; borrowed for the life of the
	 * object.  NULL: is_bare. */
	const struct helper_file *helper;
	/*
	 * Run nothing there: no helper, on_ready never comes, and the fields
	 * about it are not used.  ssh is of use by its control socket; tell
	 * ssh_stdio_on_login when that has shown itself.
	 */
	bool is_bare;
	/* These as in struct ssh_start. */
	uint32_t flags;
	uint32_t place;
	const struct dialer_pins *pins; /* NULL: none */
	uint32_t answer_timeout_ms;	/* 0: 60 s */
};

/* What on_ready is told. */
struct ssh_stdio_ready {
	int rfd, wfd; /* pipes from and to the helper, non-blocking; owned by
			 the receiver from now on */
	const uint8_t *leftover; /* bytes that followed the ready line already:
				    the first of the session; borrowed for the
				    call */
	size_t leftover_len;
	enum boot_origin origin;
	const char *helper_version; /* printable; borrowed for the call */
};

/*
 * Exactly one of on_ready and on_failed is called; on_exited follows on_ready
 * once, when ssh is gone.  exit_code is an enum ssh_stdio_exit, err one
 * sentence with ssh's own words where it had some.  Bytes may still be unread
 * in rfd when on_exited comes: read on to the end of file.  The object may be
 * freed in these three, and not in on_message.
 */
struct ssh_stdio_ops {
	void (*on_ready)(void *ctx, const struct ssh_stdio_ready *ready);
	void (*on_failed)(void *ctx, int exit_code, const struct err *err);
	void (*on_exited)(void *ctx, int exit_code, const struct err *err);
	/* ssh or the helper wrote this line to stderr: show it.  Escaped, no
	 * newline.  A line that err repeats does not come here as well. */
	void (*on_message)(void *ctx, const char *line);
};

struct ssh_stdio;

/*
 * Start ssh.  Prompts appear on the terminal of the starter; ssh ends when that
 * does, which is then told by the starter alone.  The process must ignore
 * SIGPIPE.  ops and ctx are borrowed for the life of the object.  Returns NULL
 * with err if not even ssh can be started.
 */
struct ssh_stdio *ssh_stdio_start(struct loop *loop,
				  const struct ssh_stdio_config *config,
				  const struct ssh_stdio_ops *ops, void *ctx,
				  struct err *err);

/* True if a shell there has answered, whatever became of the helper then. */
bool ssh_stdio_has_shell(const struct ssh_stdio *s);

/* A bare ssh is through with the login: its end is told by on_exited from now
 * on, not by on_failed. */
void ssh_stdio_on_login(struct ssh_stdio *s);

/* The process of ssh, for the starter; 0 once it has ended. */
pid_t ssh_stdio_pid(const struct ssh_stdio *s);

/*
 * Send SIGTERM to ssh, if it is still there, and wait for its end: 10 ms as a
 * rule, at most half a second before it is killed.  No callback is called any
 * more.  Descriptors handed out are left alone: close them before.  Accepts
 * NULL; returns NULL.
 */
struct ssh_stdio *ssh_stdio_free(struct ssh_stdio *s);

#endif
