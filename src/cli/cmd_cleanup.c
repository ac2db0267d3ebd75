/* SPDX-License-Identifier: MIT */
/* cmd_cleanup: ecssh cleanup */
#include "cleanup.h"
#include "client.h"
#include "cmd.h"
#include "kill_notes.h"
#include "log.h"

static const struct option_entry options[] = {
	{0, NULL, NULL, NULL, NULL},
};

/* These are not left: they are wanted until somebody says otherwise. */
static void say_kill_switches(void)
{
	struct killnote notes[KILL_NOTES_MAX];
	char text[KILL_NOTES_TEXT_MAX];
	size_t n = kill_notes_load(notes, KILL_NOTES_MAX);

	for (size_t i = 0; i < n; i++)
		log_notice("%s", kill_notes_describe(&notes[i], text));
}

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
	int exit_code = cleanup_run();

	say_kill_switches();
	return exit_code;
}

const struct cmd cmd_cleanup = {
	.name = "cleanup",
	.args = "",
	.summary = "undo what killed tunnels have left",
	.options = options,
	.run = run,
};
