/* SPDX-License-Identifier: MIT */
/* cmd_down: ecssh down [NAME] */
#include <stdlib.h>

#include "cmd.h"
#include "one_tunnel.h"

static const struct option_entry options[] = {
	{0, NULL, NULL, NULL, NULL},
};

static int run(const struct cmd *cmd, int argc, char **argv)
{
	char *answer;
	/* The answer is the end of the connection: everything is undone. */
	int exit_code = one_tunnel_ask(cmd, argc, argv, "down", &answer);

	free(answer);
	return exit_code;
}

const struct cmd cmd_down = {
	.name = "down",
	.args = "[NAME]",
	.summary = "end a tunnel and undo what it changed",
	.options = options,
	.run = run,
};
