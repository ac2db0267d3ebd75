/* SPDX-License-Identifier: MIT */
/* cmd_status: ecssh status [NAME] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "client.h"
#include "cmd.h"
#include "ctl_client.h"
#include "escape.h"
#include "kill_notes.h"
#include "log.h"

enum { TUNNELS_MAX = 256 };

struct status_options {
	bool is_json, is_drops, is_verbose;
};

static int apply(void *target, const struct option_entry *entry,
		 const char *value, struct err *err)
{
	struct status_options *o = target;

	(void)value;
	(void)err;
	if (strcmp(entry->long_name, "json") == 0)
		o->is_json = true;
	else if (strcmp(entry->long_name, "drops") == 0)
		o->is_drops = true;
	else
		o->is_verbose = true;
	return 0;
}

static const struct option_entry options[] = {
	{0, "json", NULL, "for programs; see ecssh(1) for the fields", apply},
	{0, "drops", NULL, "packets that were refused, by reason", apply},
	{'v', "verbose", NULL, "the SSH connection, too", apply},
	{0, NULL, NULL, NULL, NULL},
};

enum { PART_MAX = 1000 };

/* A length of at most PART_MAX that does not end within a character. */
static size_t utf8_cut(const char *text)
{
	size_t n = PART_MAX;

	while (n > PART_MAX - 4 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* A tunnel may be somebody else's, if we are root: print no control bytes. */
static void print_lines(const char *answer)
{
	char part[4 * PART_MAX + 1];

	while (*answer) {
		size_t len = strcspn(answer, "\n");
		/* In parts, so that none is cut: \xNN takes four bytes. */
		size_t n = len <= PART_MAX ? len : utf8_cut(answer);

		(void)escape_text(answer, n, part, sizeof(part));
		(void)fputs(part, stdout);
		answer += n;
		if (*answer == '\n') {
			(void)putchar('\n');
			answer++;
		}
	}
}

/* Ask all that match.  Returns how many answered. */
static int ask_all(const struct ctl_tunnel *tunnels, size_t n, const char *name,
		   const struct status_options *o)
{
	const char *request = o->is_json      ? "status json"
			      : o->is_drops   ? "status drops"
			      : o->is_verbose ? "status verbose"
					      : "status text";
	int answered = 0;

	for (size_t i = 0; i < n; i++) {
		char *answer;
		struct err err;

		if (name && strcmp(tunnels[i].name, name) != 0)
			continue;
		if (ctl_client_ask(&tunnels[i], request, &answer, &err) < 0) {
			log_warn("%s, ignoring it", err.text);
			continue;
		}
		if (o->is_json && answered > 0)
			(void)fputs(", ", stdout);
		print_lines(answer);
		free(answer);
		answered++;
	}
	return answered;
}

/* Of kill switches too, for without a tunnel they matter most. */
static size_t print_kill_switches(bool is_json)
{
	struct killnote notes[KILL_NOTES_MAX];
	char text[KILL_NOTES_TEXT_MAX];

	cleanup_refresh_notes();
	size_t n = kill_notes_load(notes, KILL_NOTES_MAX);

	if (is_json && n > 0)
		(void)fputs("], \"kill_switches\": [", stdout);
	for (size_t i = 0; i < n; i++) {
		if (is_json)
			(void)printf("%s{\"name\": \"%s\", \"since\": %lld, "
				     "\"gone\": %lld}",
				     i > 0 ? ", " : "", notes[i].name,
				     (long long)notes[i].since_s,
				     (long long)notes[i].gone_s);
		else
			(void)printf("%s\n",
				     kill_notes_describe(&notes[i], text));
	}
	return n;
}

static int run(const struct cmd *cmd, int argc, char **argv)
{
	struct status_options o = {0};
	static struct ctl_tunnel tunnels[TUNNELS_MAX];
	enum cmd_parse parse = cmd_parse_options(cmd, &o, argc, argv, &argc);

	if (parse != CMD_PARSE_RUN)
		return parse == CMD_PARSE_HELP ? CLIENT_EXIT_OK
					       : CLIENT_EXIT_USAGE;
	if (argc > 1) {
		log_err("one name at most; see: ecssh status --help");
		return CLIENT_EXIT_USAGE;
	}
	const char *name = argc > 0 ? argv[0] : NULL;
	size_t n = ctl_client_list(tunnels, TUNNELS_MAX);

	if (o.is_json)
		(void)fputs("{\"version\": 1, \"tunnels\": [", stdout);
	int answered = ask_all(tunnels, n, name, &o);
	size_t n_switches = o.is_drops ? 0 : print_kill_switches(o.is_json);
	if (o.is_json)
		(void)puts("]}");
	if (answered > 0)
		return CLIENT_EXIT_OK;
	char shown[128];
	escape_text(name ? name : "", name ? strlen(name) : 0, shown,
		    sizeof(shown));
	if (name)
		log_err("no tunnel named \"%s\" is up", shown);
	else if (n_switches == 0 || o.is_json)
		log_err("no tunnel is up");
	return CLIENT_EXIT_NOT_RUNNING;
}

const struct cmd cmd_status = {
	.name = "status",
	.args = "[OPTION...] [NAME]",
	.summary = "show what is up",
	.options = options,
	.run = run,
};
