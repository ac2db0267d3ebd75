/* SPDX-License-Identifier: MIT */
/* ctl_client: asking a running tunnel, from another process. */
#ifndef ECSSH_CTL_CLIENT_H
#define ECSSH_CTL_CLIENT_H

#include <stddef.h>

#include "ctl_path.h"
#include "err.h"

/* Find the tunnels that are up and may be asked: name and socket path. */
struct ctl_tunnel {
	char name[CTL_NAME_MAX + 1];
	char path[CTL_PATH_MAX];
};

/* Returns how many, at most max. */
size_t ctl_client_list(struct ctl_tunnel *ret_tunnels, size_t max);

/*
 * Remove the sockets of ours that nobody listens on any more, as killed tunnels
 * leave them.  on_removed is told the path of each.  Returns how many.
 */
size_t ctl_client_tidy(void (*on_removed)(const char *path));

/*
 * Send one line to a tunnel and wait until it closes the connection.
 * *ret_answer is for free(), NUL-terminated.  Returns 0 or -errno with err:
 * -ETIMEDOUT if nothing came for 10 s.
 */
int ctl_client_ask(const struct ctl_tunnel *tunnel, const char *request,
		   char **ret_answer, struct err *err);

#endif
