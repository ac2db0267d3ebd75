/* SPDX-License-Identifier: MIT */
/* cmd_up: ecssh up [user@]host[:port] SUBNET... */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "background.h"
#include "client.h"
#include "cmd.h"
#include "escape.h"
#include "log.h"
#include "ssh_opts.h"

/* ---- options ---- */

static int apply_ssh(void *target, const struct option_entry *entry,
		     const char *value, struct err *err)
{
	struct client_config *config = target;

	return ssh_opts_take(&config->ssh_options, entry, value, err);
}

static int append(struct subnet **list, size_t *n, const struct subnet *s,
		  struct err *err)
{
	if (*n == CLIENT_SUBNETS_MAX)
		return err_set(err, -E2BIG, "more than %d subnets",
			       CLIENT_SUBNETS_MAX);
	struct subnet *grown = reallocarray(*list, *n + 1, sizeof(*grown));
	if (!grown)
		return err_set(err, -ENOMEM, "out of memory");
	grown[(*n)++] = *s;
	*list = grown;
	return 0;
}

/* Take a subnet, saying what was made of it if it is not what was written. */
static int take_subnet(const char *text, struct subnet **list, size_t *n,
		       struct err *err)
{
	struct subnet s;
	bool had_host_bits;
	char shown[SUBNET_TEXT_MAX];
	int r = subnet_parse(text, &s, &had_host_bits, err);

	if (r < 0)
		return r;
	if (had_host_bits)
		log_notice("%s is taken as %s", text, subnet_format(&s, shown));
	return append(list, n, &s, err);
}

static int apply_exclude(void *target, const struct option_entry *entry,
			 const char *value, struct err *err)
{
	struct client_config *config = target;

	(void)entry;
	return take_subnet(value, &config->excludes, &config->n_excludes, err);
}

static int apply_name(void *target, const struct option_entry *entry,
		      const char *value, struct err *err)
{
	struct client_config *config = target;
	char shown[128];

	(void)entry;
	if (!ctl_name_is_valid(value)) {
		escape_text(value, strlen(value), shown, sizeof(shown));
		return err_set(err, -EINVAL,
			       "\"%s\" cannot name a tunnel: up to %d letters, "
			       "digits and _ . - can",
			       shown, CTL_NAME_MAX);
	}
	(void)snprintf(config->name, sizeof(config->name), "%s", value);
	return 0;
}

static int apply_mtu(void *target, const struct option_entry *entry,
		     const char *value, struct err *err)
{
	struct client_config *config = target;
	char shown[64];
	char *end;
	unsigned long mtu = strtoul(value, &end, 10);

	(void)entry;
	if (*value < '0' || *value > '9' || *end != '\0' || mtu < 576 ||
	    mtu > 65535) {
		escape_text(value, strlen(value), shown, sizeof(shown));
		return err_set(err, -EINVAL,
			       "\"%s\" is not an MTU: 576 to 65535 bytes, and "
			       "at least 1280 for IPv6",
			       shown);
	}
	config->mtu_bytes = (uint32_t)mtu;
	return 0;
}

static int apply_address(void *target, const struct option_entry *entry,
			 const char *value, struct err *err)
{
	struct client_config *config = target;
	struct ip_addr a;
	char shown[64];

	(void)entry;
	if (addr_parse(value, &a) < 0 || addr_is_loopback(&a) ||
	    addr_is_multicast(&a) || addr_is_link_local(&a)) {
		escape_text(value, strlen(value), shown, sizeof(shown));
		return err_set(err, -EINVAL,
			       "\"%s\" is not an address for this end of the "
			       "tunnel",
			       shown);
	}
	if (a.version == IPV4)
		config->address4 = a;
	else
		config->address6 = a;
	return 0;
}

static int apply_flag(void *target, const struct option_entry *entry,
		      const char *value, struct err *err)
{
	struct client_config *config = target;

	(void)value;
	(void)err;
	if (entry->letter == 'f')
		config->is_background = true;
	else
		config->allow_link_local = true;
	return 0;
}

static const struct option_entry options[] = {
	{'x', "exclude", "SUBNET", "do not route this into the tunnel",
	 apply_exclude},
	{'f', "background", NULL, "go to the background once traffic flows",
	 apply_flag},
	{0, "name", "NAME", "name of the tunnel (default: the host)",
	 apply_name},
	{0, "mtu", "BYTES", "MTU of the device (default: 1500)", apply_mtu},
	{0, "address", "ADDR", "address of this end (default: chosen)",
	 apply_address},
	{0, "allow-link-local", NULL,
	 "let 169.254.0.0/16 be reached from the gateway", apply_flag},
	SSH_OPTS_ENTRIES(apply_ssh),
	{0, NULL, NULL, NULL, NULL},
};

/* ---- destination and subnets ---- */

/* The host's name, as far as it can name a tunnel. */
static void default_name(struct client_config *config)
{
	if (config->name[0] != '\0')
		return;
	(void)snprintf(config->name, sizeof(config->name), "%.*s", CTL_NAME_MAX,
		       config->dest.host);
	for (char *p = config->name; *p; p++)
		if (!strchr("_.-", *p) && !(*p >= '0' && *p <= '9') &&
		    !(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z'))
			*p = '-';
	if (!ctl_name_is_valid(config->name))
		(void)snprintf(config->name, sizeof(config->name), "tunnel");
}

/* Drop subnets that lie within others; they would make a route twice. */
static void merge_subnets(struct client_config *config)
{
	struct subnet *s = config->subnets;
	char inner[SUBNET_TEXT_MAX], outer[SUBNET_TEXT_MAX];

	for (size_t i = 0; i < config->n_subnets;) {
		size_t j = 0;

		while (j < config->n_subnets &&
		       (j == i || !subnet_covers(&s[j], &s[i])))
			j++;
		if (j == config->n_subnets) {
			i++;
			continue;
		}
		if (s[i].prefix_len == s[j].prefix_len)
			log_notice("%s is given twice",
				   subnet_format(&s[i], inner));
		else
			log_notice("%s is within %s already",
				   subnet_format(&s[i], inner),
				   subnet_format(&s[j], outer));
		memmove(&s[i], &s[i + 1],
			(--config->n_subnets - i) * sizeof(*s));
	}
}

/* The kernel would answer these itself, or nobody would. */
static int check_subnet(const struct subnet *s, struct err *err)
{
	char shown[SUBNET_TEXT_MAX];

	bool is_scoped =
		s->addr.version == IPV6 && addr_is_link_local(&s->addr);

	if (s->prefix_len == 0 || (!addr_is_loopback(&s->addr) &&
				   !addr_is_multicast(&s->addr) && !is_scoped))
		return 0;
	return err_set(err, -EINVAL, "%s cannot be routed into a tunnel",
		       subnet_format(s, shown));
}

static int check_mtu(const struct client_config *config, struct err *err)
{
	for (size_t i = 0; i < config->n_subnets; i++)
		if (config->subnets[i].addr.version == IPV6 &&
		    config->mtu_bytes < 1280)
			return err_set(err, -EINVAL,
				       "an MTU of %u is too small for IPv6, "
				       "which needs 1280",
				       config->mtu_bytes);
	return 0;
}

static int take_words(struct client_config *config, int argc, char **argv,
		      struct err *err)
{
	int r;

	if (argc < 1)
		return err_set(err, -EINVAL,
			       "where to?  Write: ecssh up [user@]host "
			       "SUBNET...");
	r = ssh_dest_parse(argv[0], &config->dest, err);
	if (r < 0)
		return r;
	config->dest_text = argv[0];
	default_name(config);
	if (argc < 2)
		return err_set(err, -EINVAL,
			       "what is to go through %s?  Add subnets, such "
			       "as 10.0.0.0/8",
			       config->dest.host);
	for (int i = 1; i < argc && r == 0; i++) {
		r = take_subnet(argv[i], &config->subnets, &config->n_subnets,
				err);
		if (r == 0)
			r = check_subnet(
				&config->subnets[config->n_subnets - 1], err);
	}
	if (r < 0)
		return r;
	merge_subnets(config);
	return check_mtu(config, err);
}

static int run_in_background(struct client_config *config)
{
	int exit_code = background_fork(&config->ready_fd);

	return exit_code >= 0 ? exit_code : client_run(config);
}

static int run(const struct cmd *cmd, int argc, char **argv)
{
	struct client_config config = {
		.mtu_bytes = CLIENT_MTU_DEFAULT,
		.ready_fd = -1,
	};
	struct err err;
	int exit_code = CLIENT_EXIT_USAGE;
	enum cmd_parse parse =
		cmd_parse_options(cmd, &config, argc, argv, &argc);

	if (parse == CMD_PARSE_HELP) {
		exit_code = CLIENT_EXIT_OK;
	} else if (parse == CMD_PARSE_RUN) {
		if (take_words(&config, argc, argv, &err) < 0)
			log_err("%s", err.text);
		else
			exit_code = config.is_background
					    ? run_in_background(&config)
					    : client_run(&config);
	}
	free(config.subnets);
	free(config.excludes);
	return exit_code;
}

const struct cmd cmd_up = {
	.name = "up",
	.args = "[OPTION...] [USER@]HOST[:PORT] SUBNET...",
	.summary = "route subnets through an SSH server",
	.options = options,
	.run = run,
};
