/* SPDX-License-Identifier: MIT */
/* main: which command. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "escape.h"
#include "fd.h"
#include "log.h"

static const struct cmd *const cmds[] = {
	&cmd_up,      &cmd_down,   &cmd_confirm, &cmd_status,
	&cmd_cleanup, &cmd_doctor, NULL};

static void print_usage(FILE *out)
{
	(void)fputs("usage: ecssh COMMAND ...\n\n", out);
	for (int i = 0; cmds[i]; i++)
		(void)fprintf(out, "  %-8s %s\n", cmds[i]->name,
			      cmds[i]->summary);
	(void)fputs(
		"\n\"ecssh COMMAND --help\" tells more; --version prints "
		"the version.\n\n"
		"  ecssh up alice@gateway 10.0.0.0/8    all of 10/8 through "
		"gateway\n",
		out);
}

int main(int argc, char **argv)
{
	char shown[128];

	if (fd_open_stdio() < 0)
		return CLIENT_EXIT_RUNTIME;
	log_init("ecssh", LOG_LEVEL_NOTICE);
	if (sodium_init() < 0) {
		log_err("the system gives no random numbers");
		return CLIENT_EXIT_RUNTIME;
	}
	if (argc < 2) {
		print_usage(stderr);
		return CLIENT_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return CLIENT_EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		(void)puts("ecssh " ECSSH_VERSION);
		return CLIENT_EXIT_OK;
	}
	for (int i = 0; cmds[i]; i++)
		if (strcmp(argv[1], cmds[i]->name) == 0)
			return cmds[i]->run(cmds[i], argc - 1, argv + 1);
	escape_text(argv[1], strlen(argv[1]), shown, sizeof(shown));
	log_err("there is no command \"%s\"; the commands are up, down, "
		"confirm, status, cleanup and doctor",
		shown);
	return CLIENT_EXIT_USAGE;
}
