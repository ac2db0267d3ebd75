/* SPDX-License-Identifier: MIT */
/* admin: the SSH connection by which whoever started us reaches this host. */
#include "admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc.h"
#include "ssh_peers.h"

enum {
	ANCESTORS_MAX = 32,
	ENVIRON_MAX_BYTES = 256 * 1024,
};

bool admin_parse(const char *text, struct endpoint *ret_local,
		 struct endpoint *ret_remote)
{
	char remote[ADDR_TEXT_MAX], local[ADDR_TEXT_MAX];
	struct endpoint l, r;
	int end = 0;

	if (sscanf(text, "%45s %5hu %45s %5hu%n", remote, &r.port, local,
		   &l.port, &end) != 4 ||
	    text[end] != '\0' || addr_parse(remote, &r.addr) < 0 ||
	    addr_parse(local, &l.addr) < 0 ||
	    l.addr.version != r.addr.version || l.port == 0 || r.port == 0)
		return false;
	*ret_local = l;
	*ret_remote = r;
	return true;
}

/* What the nearest process above us says. */
static bool ask_ancestors(struct endpoint *ret_local,
			  struct endpoint *ret_remote)
{
	char *buf = malloc(ENVIRON_MAX_BYTES);
	pid_t pid = getppid();
	bool is_found = false;

	for (int i = 0; buf && i < ANCESTORS_MAX && pid > 1 && !is_found; i++) {
		const char *text =
			proc_env(pid, "SSH_CONNECTION", buf, ENVIRON_MAX_BYTES);

		is_found = text && admin_parse(text, ret_local, ret_remote);
		pid = proc_parent(pid);
	}
	free(buf);
	return is_found;
}

bool admin_find(struct endpoint *ret_local, struct endpoint *ret_remote)
{
	const char *own = getenv("SSH_CONNECTION");
	struct endpoint local, remote;

	if (!(own && admin_parse(own, &local, &remote)) &&
	    !ask_ancestors(&local, &remote))
		return false;
	/* That of a terminal multiplexer may be long over. */
	if (!ssh_peers_is_connected(&local, &remote))
		return false;
	*ret_local = local;
	*ret_remote = remote;
	return true;
}
