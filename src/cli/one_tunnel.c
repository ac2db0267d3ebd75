/* SPDX-License-Identifier: MIT */
/* one_tunnel: a command that says one word to one running tunnel. */
#include "one_tunnel.h"

#include <stddef.h>
#include <string.h>

#include "client.h"
#include "ctl_client.h"
#include "escape.h"
#include "log.h"

enum { TUNNELS_MAX = 256 };

/* The tunnel meant, or NULL after having said why there is none. */
static const struct ctl_tunnel *choose(const struct ctl_tunnel *tunnels,
				       size_t n, const char *name)
{
	char shown[128];

	if (!name && n == 1)
		return &tunnels[0];
	if (!name) {
		log_err(n == 0 ? "no tunnel is up"
			       : "several tunnels are up: say which; \"ecssh "
				 "status\" shows their names");
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		if (strcmp(tunnels[i].name, name) == 0)
			return &tunnels[i];
	escape_text(name, strlen(name), shown, sizeof(shown));
	log_err("no tunnel named \"%s\" is up", shown);
	return NULL;
}

int one_tunnel_ask(const struct cmd *cmd, int argc, char **argv,
		   const char *request, char **ret_answer)
{
	static struct ctl_tunnel tunnels[TUNNELS_MAX];
	enum cmd_parse parse = cmd_parse_options(cmd, NULL, argc, argv, &argc);
	struct err err;

	*ret_answer = NULL;
	if (parse != CMD_PARSE_RUN)
		return parse == CMD_PARSE_HELP ? CLIENT_EXIT_OK
					       : CLIENT_EXIT_USAGE;
	if (argc > 1) {
		log_err("one name at most; see: ecssh %s --help", cmd->name);
		return CLIENT_EXIT_USAGE;
	}
	size_t n = ctl_client_list(tunnels, TUNNELS_MAX);
	const char *name = argc > 0 ? argv[0] : NULL;
	const struct ctl_tunnel *tunnel = choose(tunnels, n, name);

	if (!tunnel)
		return !name && n > 1 ? CLIENT_EXIT_USAGE
				      : CLIENT_EXIT_NOT_RUNNING;
	if (ctl_client_ask(tunnel, request, ret_answer, &err) == 0)
		return CLIENT_EXIT_OK;
	log_err("%s", err.text);
	return CLIENT_EXIT_RUNTIME;
}
