/* SPDX-License-Identifier: MIT */
/* cmd: commands and their options, each one entry of a table. */
#ifndef ECSSH_CMD_H
#define ECSSH_CMD_H

#include "err.h"

struct option_entry {
	char letter;	       /* 0: none */
	const char *long_name; /* NULL: none */
	const char *arg;       /* name of its value, NULL: takes none */
	const char *help;      /* one line */
	/* Take it; value is NULL if it takes none.  Returns 0, or -errno with
	 * err. */
	int (*apply)(void *target, const struct option_entry *entry,
		     const char *value, struct err *err);
};

struct cmd {
	const char *name;
	const char *args;    /* what follows the options, for the usage line */
	const char *summary; /* one line */
	const struct option_entry *options; /* NULL-terminated by help */
	/* argv[0] is the command's name.  Returns the exit code. */
	int (*run)(const struct cmd *cmd, int argc, char **argv);
};

enum cmd_parse {
	CMD_PARSE_RUN,
	CMD_PARSE_HELP, /* --help: the help has been printed */
	CMD_PARSE_BAD,	/* said what is wrong: exit with 2 */
};

/* Apply the options among argv and move the other words to the front, their
 * number to *ret_argc. */
enum cmd_parse cmd_parse_options(const struct cmd *cmd, void *target, int argc,
				 char **argv, int *ret_argc);

/* Print usage and all options of a command. */
void cmd_print_help(const struct cmd *cmd);

extern const struct cmd cmd_up, cmd_down, cmd_confirm, cmd_status, cmd_cleanup,
	cmd_doctor;

#endif
