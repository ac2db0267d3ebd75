/* SPDX-License-Identifier: MIT */
/* cmd_down: ecssh down [NAME] */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "ctl_client.h"
#include "escape.h"
#include "log.h"

enum { TUNNELS_MAX = 256 };

static const struct option_entry options[] = {
	{0, NULL, NULL, NULL, NULL},
};

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

static int run(const struct cmd *cmd, int argc, char **argv)
{
	static struct ctl_tunnel tunnels[TUNNELS_MAX];
	enum cmd_parse parse = cmd_parse_options(cmd, NULL, argc, argv, &argc);
	char *answer;
	struct err err;

	if (parse != CMD_PARSE_RUN)
		return parse == CMD_PARSE_HELP ? CLIENT_EXIT_OK
					       : CLIENT_EXIT_USAGE;
	if (argc > 1) {
		log_err("one name at most; see: ecssh down --help");
		return CLIENT_EXIT_USAGE;
	}
	size_t n = ctl_client_list(tunnels, TUNNELS_MAX);
	const char *name = argc > 0 ? argv[0] : NULL;
	const struct ctl_tunnel *tunnel = choose(tunnels, n, name);

	if (!tunnel)
		return !name && n > 1 ? CLIENT_EXIT_USAGE
				      : CLIENT_EXIT_NOT_RUNNING;
	/* The answer is the end of the connection: everything is undone. */
	if (ctl_client_ask(tunnel, "down", &answer, &err) < 0) {
		log_err("%s", err.text);
		return CLIENT_EXIT_RUNTIME;
	}
	free(answer);
	return CLIENT_EXIT_OK;
}

const struct cmd cmd_down = {
	.name = "down",
	.args = "[NAME]",
	.summary = "end a tunnel and undo what it changed",
	.options = options,
	.run = run,
};
