/* SPDX-License-Identifier: MIT */
/* cmd_confirm: ecssh confirm [NAME] */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "log.h"
#include "one_tunnel.h"

static const struct option_entry options[] = {
	{0, NULL, NULL, NULL, NULL},
};

static int run(const struct cmd *cmd, int argc, char **argv)
{
	char *answer;
	int exit_code = one_tunnel_ask(cmd, argc, argv, "confirm", &answer);

	if (answer && strcmp(answer, "confirmed") != 0)
		log_notice("the tunnel waits for no confirmation");
	free(answer);
	return exit_code;
}

const struct cmd cmd_confirm = {
	.name = "confirm",
	.args = "[NAME]",
	.summary = "let a tunnel of up --commit-confirm stay",
	.options = options,
	.run = run,
};
