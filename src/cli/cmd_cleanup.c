/* SPDX-License-Identifier: MIT */
/* cmd_cleanup: ecssh cleanup */
#include "cleanup.h"
#include "client.h"
#include "cmd.h"
#include "log.h"

static const struct option_entry options[] = {
	{0, NULL, NULL, NULL, NULL},
};

static int run(const struct cmd *cmd, int argc, char **argv)
{
	switch (cmd_parse_options(cmd, NULL, argc, argv, &argc)) {
	case CMD_PARSE_RUN:
		break;
	case CMD_PARSE_HELP:
		return CLIENT_EXIT_OK;
	case CMD_PARSE_BAD:
		return CLIENT_EXIT_USAGE;
	}
	if (argc > 0) {
		log_err("\"ecssh cleanup\" takes no name: it is for all "
			"tunnels that are no more");
		return CLIENT_EXIT_USAGE;
	}
	return cleanup_run();
}

const struct cmd cmd_cleanup = {
	.name = "cleanup",
	.args = "",
	.summary = "undo what killed tunnels have left",
	.options = options,
	.run = run,
};
