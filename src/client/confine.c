/* SPDX-License-Identifier: MIT */
/*
 * confine: see confine.h.
 *
 * By then all is forked off that starts programs, and open what is written.
 * What stays is what a running tunnel reads, and its sockets, to be removed at
 * the end.
 */
#include "confine.h"

#include <string.h>

#include "client_internal.h"
#include "killnote.h"
#include "log.h"
#include "sandbox.h"

/* The directory of a path, which has one. */
static const char *dir_of(const char *path, char out[DOOR_PATH_MAX])
{
	size_t len = (size_t)(strrchr(path, '/') - path);

	(void)snprintf(out, DOOR_PATH_MAX, "%.*s", len > 0 ? (int)len : 1,
		       path);
	return out;
}

void confine(struct client *c)
{
	char ctl_dir[DOOR_PATH_MAX];
	struct sandbox_path paths[5 + PROXY_DOORS_MAX] = {
		{dir_of(ctl_server_path(c->ctl), ctl_dir), SANDBOX_REMOVE},
		{KILLNOTE_DIR, SANDBOX_READ},
		{"/etc/machine-id", SANDBOX_READ},
		{"/etc/localtime", SANDBOX_READ},
		{"/usr/share/zoneinfo", SANDBOX_READ},
	};
	char dirs[PROXY_DOORS_MAX][DOOR_PATH_MAX];
	size_t n = 5;
	struct err err;

	if (c->is_confined)
		return;
	c->is_confined = true;
	for (size_t i = 0; i < c->config->n_doors; i++)
		if (c->config->doors[i].path[0] != '\0')
			paths[n++] = (struct sandbox_path){
				dir_of(c->config->doors[i].path, dirs[i]),
				SANDBOX_REMOVE};
	if (sandbox_enter(&sandbox_engine, paths, n, &c->sandbox, &err) < 0)
		log_warn("%s, ignoring", err.text);
}
