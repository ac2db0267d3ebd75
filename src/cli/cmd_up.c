/* SPDX-License-Identifier: MIT */
/* cmd_up: ecssh up [user@]host[:port] SUBNET|DOMAIN... */
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

static bool is_given(const struct client_config *config,
		     const struct subnet *net, size_t before)
{
	for (size_t i = 0; i < before; i++)
		if (subnet_equal(&config->subnets[i], net))
			return true;
	return false;
}

/* Drop subnets that are given twice.  Those within others stay: they say what
 * is to become of a local network. */
static void drop_duplicates(struct client_config *config)
{
	char shown[SUBNET_TEXT_MAX];
	size_t kept = 0;

	for (size_t i = 0; i < config->n_subnets; i++) {
		if (is_given(config, &config->subnets[i], kept))
			log_notice("%s is given twice",
				   subnet_format(&config->subnets[i], shown));
		else
			config->subnets[kept++] = config->subnets[i];
	}
	config->n_subnets = kept;
}

/* All of IPv4 without IPv6 would be a leak that nobody asked for. */
static int take_full(struct client_config *config, struct err *err)
{
	static const struct subnet all[] = {{{IPV4, {0}}, 0}, {{IPV6, {0}}, 0}};
	int r = 0;

	if (!config->is_full && is_given(config, &all[0], config->n_subnets)) {
		config->is_full = true;
		if (!is_given(config, &all[1], config->n_subnets))
			log_notice("0.0.0.0/0 is taken as --full, which is "
				   "::/0, too; leave IPv6 out with -x ::/0");
	}
	for (size_t i = 0; i < 2 && config->is_full && r == 0; i++)
		if (!is_given(config, &all[i], config->n_subnets))
			r = up_opts_add_subnet(&all[i], &config->subnets,
					       &config->n_subnets, err);
	return r;
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

static bool is_excluded(const struct client_config *config,
			const struct subnet *net)
{
	for (size_t i = 0; i < config->n_excludes; i++)
		if (subnet_covers(&config->excludes[i], net))
			return true;
	return false;
}

static int check_mtu(const struct client_config *config, struct err *err)
{
	for (size_t i = 0; i < config->n_subnets; i++)
		if (config->subnets[i].addr.version == IPV6 &&
		    config->mtu_bytes < 1280 &&
		    !is_excluded(config, &config->subnets[i]))
			return err_set(err, -EINVAL,
				       "an MTU of %u is too small for IPv6, "
				       "which needs 1280",
				       config->mtu_bytes);
	return 0;
}

/* What names in it have is to be routed. */
static int take_domain(struct client_config *config, const char *text,
		       struct err *err)
{
	struct dns_domain *d =
		&config->routed_domains[config->n_routed_domains];

	if (config->n_routed_domains == CLIENT_ROUTED_DOMAINS_MAX)
		return err_set(err, -E2BIG, "more than %d domains",
			       CLIENT_ROUTED_DOMAINS_MAX);
	int r = dns_domain_parse(text, d, err);
	if (r < 0)
		return r;
	config->n_routed_domains++;
	/* Unless this host asks for them in the tunnel nothing is routed; with
	 * --dns off somebody else sees to that. */
	return config->dns == CLIENT_DNS_OFF
		       ? 0
		       : up_opts_add_domain(config, d->text, err);
}

static int take_subnets(struct client_config *config, int argc, char **argv,
			struct err *err)
{
	int r = 0;

	for (int i = 0; i < argc && r == 0; i++) {
		if (dns_domain_is_meant(argv[i])) {
			r = take_domain(config, argv[i], err);
			continue;
		}
		r = up_opts_take_subnet(argv[i], &config->subnets,
					&config->n_subnets, err);
		if (r == 0)
			r = check_subnet(
				&config->subnets[config->n_subnets - 1], err);
	}
	if (r == 0)
		r = take_full(config, err);
	if (r < 0)
		return r;
	drop_duplicates(config);
	return check_mtu(config, err);
}

/* The destination, unless there is none. */
static int take_dest(struct client_config *config, int argc, char **argv,
		     struct err *err)
{
	char shown[SUBNET_TEXT_MAX];
	struct subnet net;

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
	if (strchr(argv[0], '/') &&
	    subnet_parse(argv[0], &net, NULL, NULL) == 0)
		return err_set(err, -EINVAL,
			       "%s is a subnet, and the server comes before "
			       "them: ecssh up [user@]host SUBNET...",
			       subnet_format(&net, shown));
	return ssh_dest_parse(argv[0], &config->dest, err);
}

/* Doors instead of routes. */
static int take_no_subnets(struct client_config *config, int argc, char **argv,
			   struct err *err)
{
	if (config->is_dry_run)
		return err_set(err, -EINVAL,
			       "in mode socks nothing of this host is changed: "
			       "leave out --dry-run");
	if (argc > 0 || config->is_full || config->auto_nets)
		return err_set(
			err, -EINVAL,
			"in mode socks nothing is routed: leave out %.64s",
			argc > 0	  ? argv[0]
			: config->is_full ? "--full"
					  : "--auto-nets");
	if (config->n_doors > 0)
		return 0;
	return door_options_parse("1080", &config->doors[config->n_doors++],
				  err);
}

/* What can only be told once the words are known. */
static int check_words(const struct client_config *config, struct err *err)
{
	bool has_all = false;

	if (config->dns == CLIENT_DNS_SPLIT && config->n_domains == 0)
		return err_set(err, -EINVAL,
			       "--dns split needs to know which names: add "
			       "--domain");
	for (size_t i = 0; i < config->n_subnets; i++)
		has_all |= config->subnets[i].prefix_len == 0;
	if (!config->allow_lan || has_all)
		return 0;
	return err_set(err, -EINVAL,
		       "--allow-lan goes with --full: of smaller subnets the "
		       "local networks in them stay out anyway");
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
	if (argc < 1 && !config->is_full && !config->auto_nets &&
	    !config->block_only)
		return err_set(err, -EINVAL,
			       "what is to go through %s?  Add subnets, such "
			       "as 10.0.0.0/8, or domains, or --full for "
			       "everything, or --auto-nets for what it "
			       "reaches, or --mode socks for a proxy alone",
			       config->dest.host);
	r = take_subnets(config, argc, argv, err);
	return r == 0 ? check_words(config, err) : r;
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

static int check_dns(const struct client_config *config, struct err *err)
{
	bool is_wanted = config->dns == CLIENT_DNS_ALL ||
			 config->dns == CLIENT_DNS_SPLIT;

	if (config->mode == RUNG_MODE_SOCKS &&
	    (is_wanted || config->n_domains > 0))
		return err_set(err, -EINVAL,
			       "in mode socks this host's resolver stays as it "
			       "is: leave out %s",
			       is_wanted ? "--dns" : "--domain");
	if (config->dns == CLIENT_DNS_OFF && config->n_domains > 0)
		return err_set(
			err, -EINVAL,
			"--domain %s and --dns off contradict each other",
			config->domains[0]);
	return 0;
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
	if (config->auto_nets && (is_via || has_no_helper))
		return err_set(
			err, -EINVAL,
			"--auto-nets needs a helper on the gateway, and %s%s "
			"uses none",
			is_via ? "--via" : "--mode ",
			is_via ? "" : rung_mode_name(config->mode));
	if (config->connections > 1 && config->channels > 0)
		return err_set(
			err, -EINVAL,
			"--connections %u and --channels %d are two ways "
			"to the same end: leave one out",
			config->connections, config->channels);

	if (config->script && config->mode == RUNG_MODE_SOCKS)
		return err_set(err, -EINVAL,
			       "--script is told of a device, and --mode socks "
			       "makes none");
	if (config->kill_switch && config->mode == RUNG_MODE_SOCKS)
		return err_set(err, -EINVAL,
			       "--kill-switch lets pass what goes through the "
			       "tunnel's device, and --mode socks has none");
	if (config->block_only && config->confirm_s > 0)
		return err_set(err, -EINVAL,
			       "--block-only leaves no tunnel that could wait "
			       "for \"ecssh confirm\": leave out "
			       "--commit-confirm");
	if (config->n_kill_allowed > 0 && !config->kill_switch)
		return err_set(err, -EINVAL,
			       "--kill-switch-allow goes with --kill-switch");
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
		config.kill_switch |= config.block_only;
		if (check_options(&config, &err) < 0 ||
		    check_dns(&config, &err) < 0 ||
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
	free(config.script);
	via_wipe(&config.via);
	return exit_code;
}

const struct cmd cmd_up = {
	.name = "up",
	.args = "[OPTION...] [USER@]HOST[:PORT] SUBNET|DOMAIN...",
	.summary = "route subnets through an SSH server",
	.options = up_opts,
	.run = run,
};
