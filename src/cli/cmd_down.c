/* SPDX-License-Identifier: MIT */
/* cmd_down: ecssh down [NAME] */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "ctl_client.h"
#include "kill_notes.h"
#include "kill_switch.h"
#include "log.h"
#include "one_tunnel.h"

enum { TUNNELS_MAX = 256 };

static const struct option_entry options[] = {
	{0, NULL, NULL, NULL, NULL},
};

/* Lift a kill switch that is in force without its tunnel. */
static int lift(const char *name)
{
	struct err err;
	int r = kill_switch_lift(name, &err);

	if (r == 0) {
		log_notice("the kill switch of %s is lifted", name);
		return CLIENT_EXIT_OK;
	}
	log_err("%s", err.text);
	return r == -EPERM || r == -EACCES ? CLIENT_EXIT_PRIVILEGE
					   : CLIENT_EXIT_RUNTIME;
}

/* The tunnel that is up and meant; without a name the only one.  Returns its
 * name in out, or false. */
static bool find_up(const char *name, char out[CTL_NAME_MAX + 1])
{
	static struct ctl_tunnel tunnels[TUNNELS_MAX];
	size_t n = ctl_client_list(tunnels, TUNNELS_MAX);

	for (size_t i = 0; i < n; i++) {
		if (name ? strcmp(tunnels[i].name, name) != 0 : n != 1)
			continue;
		(void)snprintf(out, CTL_NAME_MAX + 1, "%s", tunnels[i].name);
		return true;
	}
	return false;
}

/* The kill switch that is meant where no tunnel is up; without a name the only
 * one. */
static bool find_switch(const char *name, struct killnote *ret_note)
{
	struct killnote notes[2];

	if (name)
		return kill_notes_find(name, ret_note);
	if (kill_notes_load(notes, 2) != 1)
		return false;
	*ret_note = notes[0];
	return true;
}

static int run(const struct cmd *cmd, int argc, char **argv)
{
	const char *name = argc == 2 && argv[1][0] != '-' ? argv[1] : NULL;
	char up[CTL_NAME_MAX + 1];
	struct killnote note;
	bool is_up = find_up(name, up);
	char *answer;

	if (!is_up && argc == 1 + (name != NULL) && find_switch(name, &note))
		return lift(note.name);
	/* The answer is the end of the connection: everything is undone. */
	int exit_code = one_tunnel_ask(cmd, argc, argv, "down", &answer);

	/* One that this tunnel had not put in force itself. */
	if (answer && exit_code == CLIENT_EXIT_OK && is_up &&
	    kill_notes_find(up, &note))
		exit_code = lift(up);
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
