/* SPDX-License-Identifier: MIT */
/* cmd_doctor: ecssh doctor [user@]host[:port] [SUBNET...] */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "doctor.h"
#include "log.h"
#include "ssh_opts.h"

static int apply_ssh(void *target, const struct option_entry *entry,
		     const char *value, struct err *err)
{
	struct doctor_config *config = target;

	if (entry->letter == 'v')
		config->is_verbose = true;
	if (entry->letter == 'q')
		config->is_quiet = true;
	return ssh_opts_take(&config->ssh_options, entry, value, err);
}

static int apply_json(void *target, const struct option_entry *entry,
		      const char *value, struct err *err)
{
	struct doctor_config *config = target;

	(void)entry;
	(void)value;
	(void)err;
	config->is_json = true;
	return 0;
}

static int apply_sudo(void *target, const struct option_entry *entry,
		      const char *value, struct err *err)
{
	struct doctor_config *config = target;

	(void)entry;
	(void)value;
	(void)err;
	config->try_sudo = true;
	return 0;
}

static const struct option_entry options[] = {
	{0, "json", NULL, "print the report as JSON", apply_json},
	{0, "sudo", NULL, "try sudo on the server, whoever the account is",
	 apply_sudo},
	SSH_OPTS_ENTRIES(apply_ssh),
	{0, NULL, NULL, NULL, NULL},
};

/* Take the words; *ret_subnets has room for as many as there are. */
static int take_words(struct doctor_config *config, int argc, char **argv,
		      struct subnet *subnets, struct err *err)
{
	if (argc < 1)
		return err_set(err, -EINVAL,
			       "which server?  Write: ecssh doctor "
			       "[user@]host");
	if (argc - 1 > CLIENT_SUBNETS_MAX)
		return err_set(err, -E2BIG, "more than %d subnets",
			       CLIENT_SUBNETS_MAX);
	config->dest_text = argv[0];
	int r = ssh_dest_parse(argv[0], &config->dest, err);
	for (int i = 1; i < argc && r == 0; i++)
		r = subnet_parse(argv[i], &subnets[i - 1], NULL, err);
	config->subnets = subnets;
	config->n_subnets = argc > 1 ? (size_t)argc - 1 : 0;
	return r;
}

static int run(const struct cmd *cmd, int argc, char **argv)
{
	struct doctor_config config = {.is_json = false};
	struct err err;
	int exit_code = CLIENT_EXIT_USAGE;
	enum cmd_parse parse =
		cmd_parse_options(cmd, &config, argc, argv, &argc);

	if (parse == CMD_PARSE_HELP)
		return CLIENT_EXIT_OK;
	if (parse != CMD_PARSE_RUN)
		return exit_code;
	struct subnet *subnets = calloc((size_t)argc + 1, sizeof(*subnets));
	if (!subnets)
		(void)err_set(&err, -ENOMEM, "out of memory");
	if (!subnets || take_words(&config, argc, argv, subnets, &err) < 0)
		log_err("%s", err.text);
	else
		exit_code = doctor_run(&config);
	free(subnets);
	return exit_code;
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.args = "[OPTION...] [USER@]HOST[:PORT] [SUBNET...]",
	.summary = "tell what works between this host and an SSH server",
	.options = options,
	.run = run,
};
