/* SPDX-License-Identifier: MIT */
/* cmd: commands and their options, each one entry of a table. */
#include "cmd.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "escape.h"
#include "log.h"

enum {
	OPTIONS_MAX = 80,
	LONG_ONLY = 256, /* value of an option without a letter: this + index */
	HELP = 255,
};

static void print_option(const struct option_entry *o)
{
	char left[64];
	const char *comma = o->letter && o->long_name ? ", " : "";
	char letter[3] = {'-', o->letter, '\0'};

	(void)snprintf(left, sizeof(left), "%s%s%s%s%s%s",
		       o->letter ? letter : "    ", comma,
		       o->long_name ? "--" : "",
		       o->long_name ? o->long_name : "", o->arg ? " " : "",
		       o->arg ? o->arg : "");
	(void)printf("  %-26s %s\n", left, o->help);
}

void cmd_print_help(const struct cmd *cmd)
{
	(void)printf("usage: ecssh %s %s\n\n%s\n\n", cmd->name, cmd->args,
		     cmd->summary);
	for (const struct option_entry *o = cmd->options; o->help; o++)
		print_option(o);
	(void)printf("  %-26s %s\n", "    --help", "print this");
}

/* getopt's two tables, from ours. */
struct tables {
	char letters[2 * OPTIONS_MAX + 2];
	struct option longs[OPTIONS_MAX + 2];
};

static void make_tables(const struct cmd *cmd, struct tables *t)
{
	size_t at = 0;
	int n_longs = 0;

	t->letters[at++] = ':';
	for (int i = 0; cmd->options[i].help; i++) {
		const struct option_entry *o = &cmd->options[i];

		assert_always(i < OPTIONS_MAX);
		if (o->letter) {
			t->letters[at++] = o->letter;
			if (o->arg)
				t->letters[at++] = ':';
		}
		if (o->long_name)
			t->longs[n_longs++] = (struct option){
				o->long_name,
				o->arg ? required_argument : no_argument, NULL,
				LONG_ONLY + i};
	}
	t->letters[at] = '\0';
	t->longs[n_longs++] = (struct option){"help", no_argument, NULL, HELP};
	t->longs[n_longs] = (struct option){0};
}

static const struct option_entry *find(const struct cmd *cmd, int c)
{
	if (c >= LONG_ONLY)
		return &cmd->options[c - LONG_ONLY];
	for (const struct option_entry *o = cmd->options; o->help; o++)
		if (o->letter == c)
			return o;
	return NULL;
}

static enum cmd_parse say_bad(const struct cmd *cmd, int c, const char *word)
{
	char shown[128];

	escape_text(word, strlen(word), shown, sizeof(shown));
	log_err(c == ':' ? "option \"%s\" needs a value; see: ecssh %s --help"
			 : "unknown option \"%s\"; see: ecssh %s --help",
		shown, cmd->name);
	return CMD_PARSE_BAD;
}

enum cmd_parse cmd_parse_options(const struct cmd *cmd, void *target, int argc,
				 char **argv, int *ret_argc)
{
	struct tables t;
	struct err err;
	int c;

	make_tables(cmd, &t);
	opterr = 0;
	while ((c = getopt_long(argc, argv, t.letters, t.longs, NULL)) != -1) {
		if (c == HELP) {
			cmd_print_help(cmd);
			return CMD_PARSE_HELP;
		}
		if (c == '?' || c == ':')
			return say_bad(cmd, c, argv[optind - 1]);
		const struct option_entry *o = find(cmd, c);
		if (o->apply(target, o, o->arg ? optarg : NULL, &err) < 0) {
			log_err("%s", err.text);
			return CMD_PARSE_BAD;
		}
	}
	*ret_argc = argc - optind;
	memmove(argv, argv + optind, (size_t)*ret_argc * sizeof(*argv));
	return CMD_PARSE_RUN;
}
