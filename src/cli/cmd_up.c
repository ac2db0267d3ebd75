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
#include "log.h"
#include "mux_link.h"
#include "up_opts.h"

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

static int take_subnets(struct client_config *config, int argc, char **argv,
			struct err *err)
{
	int r = 0;

	for (int i = 0; i < argc && r == 0; i++) {
		r = up_opts_take_subnet(argv[i], &config->subnets,
					&config->n_subnets, err);
		if (r == 0)
			r = check_subnet(
				&config->subnets[config->n_subnets - 1], err);
	}
	if (r < 0)
		return r;
	merge_subnets(config);
	return check_mtu(config, err);
}

/* The destination, unless there is none. */
static int take_dest(struct client_config *config, int argc, char **argv,
		     struct err *err)
{
	if (config->via.host[0] != '\0') {
		(void)snprintf(config->dest.host, sizeof(config->dest.host),
			       "%s", config->via.host);
		config->dest_text = config->dest.host;
		return 0;
	}
	if (argc < 1)
		return err_set(err, -EINVAL,
			       "where to?  Write: ecssh up [user@]host "
			       "SUBNET...");
	config->dest_text = argv[0];
	return ssh_dest_parse(argv[0], &config->dest, err);
}

/* Doors instead of routes. */
static int take_no_subnets(struct client_config *config, int argc, char **argv,
			   struct err *err)
{
	if (argc > 0)
		return err_set(
			err, -EINVAL,
			"in mode socks nothing is routed: leave out %.64s",
			argv[0]);
	if (config->n_doors > 0)
		return 0;
	return door_options_parse("1080", &config->doors[config->n_doors++],
				  err);
}

static int take_words(struct client_config *config, int argc, char **argv,
		      struct err *err)
{
	int r = take_dest(config, argc, argv, err);
	int n_dest = config->via.host[0] == '\0';

	if (r < 0)
		return r;
	argc -= n_dest;
	argv += n_dest;
	default_name(config);
	if (config->mode == RUNG_MODE_SOCKS)
		return take_no_subnets(config, argc, argv, err);
	if (argc < 1)
		return err_set(err, -EINVAL,
			       "what is to go through %s?  Add subnets, such "
			       "as 10.0.0.0/8, or --mode socks for a proxy "
			       "alone",
			       config->dest.host);
	return take_subnets(config, argc, argv, err);
}

/* ---- options that contradict each other ---- */

/* An option of those that need the packet plane, or NULL. */
static const char *packet_option(const struct client_config *config)
{
	return config->plane == FLOWPLANE_PLANE_PACKET ? "--plane packet"
	       : config->no_nat			       ? "--no-nat"
	       : config->n_announced > 0	       ? "--announce"
	       : config->allow_inbound		       ? "--allow-inbound"
						       : NULL;
}

static int check_options(const struct client_config *config, struct err *err)
{
	const char *packets = packet_option(config);
	bool is_via = config->via.host[0] != '\0';
	bool has_no_helper = config->mode == RUNG_MODE_TUN ||
			     config->mode == RUNG_MODE_DIRECT;

	if (config->connections > 1 && (is_via || has_no_helper))
		return err_set(
			err, -EINVAL,
			"--connections %u needs a helper on the gateway, "
			"and %s%s uses none",
			config->connections, is_via ? "--via" : "--mode ",
			is_via ? "" : rung_mode_name(config->mode));
	if (config->connections > 1 && config->channels > 0)
		return err_set(
			err, -EINVAL,
			"--connections %u and --channels %d are two ways "
			"to the same end: leave one out",
			config->connections, config->channels);

	if (is_via && config->n_forwards > 0)
		return err_set(err, -EINVAL,
			       "-L and -R are carried by ssh, and --via uses "
			       "none");
	if (is_via && config->mode != RUNG_MODE_AUTO &&
	    config->mode != RUNG_MODE_SOCKS)
		return err_set(err, -EINVAL,
			       "--mode %s needs an SSH server, and --via uses "
			       "none",
			       rung_mode_name(config->mode));
	if (!packets)
		return 0;
	if (is_via || config->mode == RUNG_MODE_DIRECT ||
	    config->mode == RUNG_MODE_SOCKS)
		return err_set(
			err, -EINVAL,
			"%s needs whole packets, which %s does not carry",
			packets,
			is_via ? "--via" : rung_mode_name(config->mode));
	if (config->plane == FLOWPLANE_PLANE_FLOW)
		return err_set(err, -EINVAL,
			       "%s needs whole packets, and --plane flow "
			       "forbids them",
			       packets);
	return 0;
}

/* ---- the command ---- */

static int run_in_background(struct client_config *config)
{
	int exit_code = background_fork(&config->ready_fd);

	return exit_code >= 0 ? exit_code : client_run(config);
}

static int run(const struct cmd *cmd, int argc, char **argv)
{
	struct client_config config = {
		.mtu_bytes = CLIENT_MTU_DEFAULT,
		.channels = -1,
		.connections = 1,
		.ready_fd = -1,
		.tun_unit = MUX_TUN_ANY,
	};
	struct err err;
	int exit_code = CLIENT_EXIT_USAGE;
	enum cmd_parse parse =
		cmd_parse_options(cmd, &config, argc, argv, &argc);

	if (parse == CMD_PARSE_HELP) {
		exit_code = CLIENT_EXIT_OK;
	} else if (parse == CMD_PARSE_RUN) {
		if (check_options(&config, &err) < 0 ||
		    take_words(&config, argc, argv, &err) < 0)
			log_err("%s", err.text);
		else
			exit_code = config.is_background
					    ? run_in_background(&config)
					    : client_run(&config);
	}
	free(config.subnets);
	free(config.excludes);
	free(config.announced);
	via_wipe(&config.via);
	return exit_code;
}

const struct cmd cmd_up = {
	.name = "up",
	.args = "[OPTION...] [USER@]HOST[:PORT] SUBNET...",
	.summary = "route subnets through an SSH server",
	.options = up_opts,
	.run = run,
};
