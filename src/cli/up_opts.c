/* SPDX-License-Identifier: MIT */
/* up_opts: the options of "ecssh up". */
#include "up_opts.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "confirm.h"
#include "escape.h"
#include "hook.h"
#include "log.h"
#include "ssh_opts.h"
#include "via.h"

static int apply_ssh(void *target, const struct option_entry *entry,
		     const char *value, struct err *err)
{
	struct client_config *config = target;

	return ssh_opts_take(&config->ssh_options, entry, value, err);
}

int up_opts_add_subnet(const struct subnet *s, struct subnet **list, size_t *n,
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

int up_opts_take_subnet(const char *text, struct subnet **list, size_t *n,
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
	return up_opts_add_subnet(&s, list, n, err);
}

static int apply_exclude(void *target, const struct option_entry *entry,
			 const char *value, struct err *err)
{
	struct client_config *config = target;

	(void)entry;
	return up_opts_take_subnet(value, &config->excludes,
				   &config->n_excludes, err);
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

static int apply_confirm(void *target, const struct option_entry *entry,
			 const char *value, struct err *err)
{
	struct client_config *config = target;
	char shown[64];
	char *end;
	unsigned long s = strtoul(value, &end, 10);

	(void)entry;
	if (*value < '0' || *value > '9' || *end != '\0' || s < CONFIRM_MIN_S ||
	    s > CONFIRM_MAX_S) {
		escape_text(value, strlen(value), shown, sizeof(shown));
		return err_set(err, -EINVAL,
			       "\"%s\" is not a time to confirm within: %d to "
			       "%d seconds",
			       shown, CONFIRM_MIN_S, CONFIRM_MAX_S);
	}
	config->confirm_s = (unsigned)s;
	return 0;
}

static int apply_flag(void *target, const struct option_entry *entry,
		      const char *value, struct err *err)
{
	static const struct {
		const char *name;
		size_t offset;
	} flags[] = {
		{"background", offsetof(struct client_config, is_background)},
		{"full", offsetof(struct client_config, is_full)},
		{"allow-lan", offsetof(struct client_config, allow_lan)},
		{"dry-run", offsetof(struct client_config, is_dry_run)},
		{"auto-nets", offsetof(struct client_config, auto_nets)},
		{"allow-link-local",
		 offsetof(struct client_config, allow_link_local)},
		{"kill-switch", offsetof(struct client_config, kill_switch)},
		{"block-only", offsetof(struct client_config, block_only)},
		{"no-nat", offsetof(struct client_config, no_nat)},
		{"allow-inbound",
		 offsetof(struct client_config, allow_inbound)},
		{"sudo", offsetof(struct client_config, far_sudo)},
		{"reconnect", offsetof(struct client_config, reconnects)},
	};

	(void)value;
	(void)err;
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (strcmp(flags[i].name, entry->long_name) == 0)
			*(bool *)((char *)target + flags[i].offset) = true;
	return 0;
}

static int apply_script(void *target, const struct option_entry *entry,
			const char *value, struct err *err)
{
	struct client_config *config = target;
	char *path;
	int r = hook_find(value, &path, err);

	(void)entry;
	if (r < 0)
		return r;
	free(config->script);
	config->script = path;
	return 0;
}

/* ---- ways and planes ---- */

/* "VALUE" is none of what it can be. */
static int no_such(const char *value, const char *what, const char *choice,
		   struct err *err)
{
	char shown[64];

	escape_text(value, strlen(value), shown, sizeof(shown));
	return err_set(err, -EINVAL, "\"%s\" is not a %s: choose %s", shown,
		       what, choice);
}

static int apply_mode(void *target, const struct option_entry *entry,
		      const char *value, struct err *err)
{
	struct client_config *config = target;

	(void)entry;
	return rung_mode_parse(value, &config->mode) == 0
		       ? 0
		       : no_such(value, "mode",
				 "auto, helper, tun, direct or socks", err);
}

static int apply_plane(void *target, const struct option_entry *entry,
		       const char *value, struct err *err)
{
	static const char *const names[] = {
		[FLOWPLANE_PLANE_AUTO] = "auto",
		[FLOWPLANE_PLANE_FLOW] = "flow",
		[FLOWPLANE_PLANE_PACKET] = "packet",
	};
	struct client_config *config = target;

	(void)entry;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], value) != 0)
			continue;
		config->plane = (enum flowplane_plane)i;
		return 0;
	}
	return no_such(value, "plane", "auto, flow or packet", err);
}

static int apply_announce(void *target, const struct option_entry *entry,
			  const char *value, struct err *err)
{
	struct client_config *config = target;

	(void)entry;
	if (config->n_announced == FRAME_SUBNETS_MAX)
		return err_set(err, -E2BIG, "more than %d subnets to announce",
			       FRAME_SUBNETS_MAX);
	return up_opts_take_subnet(value, &config->announced,
				   &config->n_announced, err);
}

static int apply_tun(void *target, const struct option_entry *entry,
		     const char *value, struct err *err)
{
	struct client_config *config = target;
	char *end;
	unsigned long unit = strtoul(value, &end, 10);

	(void)entry;
	if (*value < '0' || *value > '9' || *end != '\0' || unit > 9999)
		return no_such(value, "number of a TUN device",
			       "the N of the server's tunN", err);
	config->tun_unit = (uint32_t)unit;
	return 0;
}

static int apply_channels(void *target, const struct option_entry *entry,
			  const char *value, struct err *err)
{
	struct client_config *config = target;

	(void)entry;
	if (value[0] < '0' || value[0] > '8' || value[1] != '\0')
		return no_such(value, "number of channels", "0 to 8", err);
	config->channels = value[0] - '0';
	return 0;
}

static int apply_connections(void *target, const struct option_entry *entry,
			     const char *value, struct err *err)
{
	struct client_config *config = target;

	(void)entry;
	if (strcmp(value, "auto") == 0) {
		config->connections = 1;
		return 0;
	}
	if (value[0] < '1' || value[0] > '8' || value[1] != '\0')
		return no_such(value, "number of connections",
			       "1 to 8, or auto", err);
	config->connections = (unsigned)(value[0] - '0');
	return 0;
}

static int apply_tune(void *target, const struct option_entry *entry,
		      const char *value, struct err *err)
{
	struct client_config *config = target;

	(void)entry;
	config->no_tune = strcmp(value, "off") == 0;
	if (config->no_tune || strcmp(value, "auto") == 0)
		return 0;
	return no_such(value, "way to tune", "auto or off", err);
}

static int apply_kill_allow(void *target, const struct option_entry *entry,
			    const char *value, struct err *err)
{
	struct client_config *config = target;
	struct endpoint *e = &config->kill_allowed[config->n_kill_allowed];
	struct ssh_dest dest;

	(void)entry;
	if (config->n_kill_allowed == CLIENT_GATEWAYS_MAX)
		return err_set(err, -E2BIG,
			       "more than %d endpoints for the kill switch",
			       CLIENT_GATEWAYS_MAX);
	if (ssh_dest_parse(value, &dest, err) < 0 || dest.user[0] != '\0' ||
	    dest.port == 0 || addr_parse(dest.host, &e->addr) < 0)
		return no_such(value, "TCP endpoint",
			       "an address and a port, such as "
			       "192.0.2.1:22 or [2001:db8::1]:22",
			       err);
	e->port = dest.port;
	config->n_kill_allowed++;
	return 0;
}

static int apply_dns_server(void *target, const struct option_entry *entry,
			    const char *value, struct err *err)
{
	struct client_config *config = target;

	(void)entry;
	config->dns_server.port = 53;
	if (addr_parse(value, &config->dns_server.addr) == 0)
		return 0;
	return no_such(value, "resolver", "the IP address of one", err);
}

/* Whoever runs ps sees our arguments: put x in the place of user and password
 * (the words of argv may be written to). */
static void hide_secrets(const char *url)
{
	char *from = strstr((char *)(uintptr_t)url, "://");
	const char *at = strrchr(url, '@');

	from = from ? from + 3 : (char *)(uintptr_t)url;
	if (at && at > from)
		memset(from, 'x', (size_t)(at - from));
}

static int apply_via(void *target, const struct option_entry *entry,
		     const char *value, struct err *err)
{
	struct client_config *config = target;
	int r = via_parse(value, &config->via, err);

	(void)entry;
	hide_secrets(value);
	return r;
}

/* ---- doors and forwardings ---- */

static int apply_door(void *target, const struct option_entry *entry,
		      const char *value, struct err *err)
{
	struct client_config *config = target;
	struct door_options *door = &config->doors[config->n_doors];
	struct err why;

	(void)entry;
	if (config->n_doors == PROXY_DOORS_MAX)
		return err_set(err, -E2BIG, "more than %d doors",
			       PROXY_DOORS_MAX);
	int r = door_options_parse(value, door, err);
	if (r < 0)
		return r;
	if (door_options_is_wide(door, &why))
		log_warn("%s", why.text);
	config->n_doors++;
	return 0;
}

static int apply_dns(void *target, const struct option_entry *entry,
		     const char *value, struct err *err)
{
	static const char *const names[] = {
		[CLIENT_DNS_AUTO] = "auto",
		[CLIENT_DNS_OFF] = "off",
		[CLIENT_DNS_ALL] = "all",
		[CLIENT_DNS_SPLIT] = "split",
	};
	struct client_config *config = target;

	(void)entry;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], value) != 0)
			continue;
		config->dns = (enum client_dns)i;
		return 0;
	}
	return no_such(value, "choice for --dns", "auto, off, all or split",
		       err);
}

int up_opts_add_domain(struct client_config *config, const char *name,
		       struct err *err)
{
	for (size_t i = 0; i < config->n_domains; i++)
		if (strcmp(config->domains[i], name) == 0)
			return 0;
	if (config->n_domains == CLIENT_DOMAINS_MAX)
		return err_set(err, -E2BIG, "more than %d domains",
			       CLIENT_DOMAINS_MAX);
	(void)snprintf(config->domains[config->n_domains++], DOMAIN_TEXT_MAX,
		       "%s", name);
	return 0;
}

static int apply_domain(void *target, const struct option_entry *entry,
			const char *value, struct err *err)
{
	char name[DOMAIN_TEXT_MAX];
	int r = domain_parse(value, strlen(value), name, err);

	(void)entry;
	return r < 0 ? r : up_opts_add_domain(target, name, err);
}

static int apply_forward(void *target, const struct option_entry *entry,
			 const char *value, struct err *err)
{
	struct client_config *config = target;
	struct mux_forward_spec *spec = &config->forwards[config->n_forwards];

	if (config->n_forwards == CLIENT_FORWARDS_MAX)
		return err_set(err, -E2BIG, "more than %d forwardings",
			       CLIENT_FORWARDS_MAX);
	int r = mux_forward_parse(entry->letter == 'R' ? MUX_FORWARD_REMOTE
						       : MUX_FORWARD_LOCAL,
				  value, spec, err);
	if (r == 0)
		config->n_forwards++;
	return r;
}

const struct option_entry up_opts[] = {
	{'x', "exclude", "SUBNET", "do not route this into the tunnel",
	 apply_exclude},
	{0, "full", NULL, "route everything: 0.0.0.0/0 and ::/0", apply_flag},
	{0, "allow-lan", NULL,
	 "of everything not: private networks that this host is in",
	 apply_flag},
	{0, "auto-nets", NULL,
	 "route also the networks that the gateway has routes for", apply_flag},
	{0, "dry-run", NULL,
	 "log in, print the commands that would make the tunnel, do nothing",
	 apply_flag},
	{0, "commit-confirm", "SECONDS",
	 "take the tunnel down again unless \"ecssh confirm\" is run by then",
	 apply_confirm},
	{'f', "background", NULL, "go to the background once traffic flows",
	 apply_flag},
	{0, "reconnect", NULL,
	 "connect again when the connection is lost, until it works",
	 apply_flag},
	{0, "kill-switch", NULL,
	 "nothing leaves this host but by the tunnel, until the user ends it",
	 apply_flag},
	{0, "kill-switch-allow", "ADDR:PORT",
	 "kill switch: where ssh connects to, if that is not known",
	 apply_kill_allow},
	{0, "block-only", NULL, "put the kill switch in force, and no tunnel",
	 apply_flag},
	{0, "name", "NAME", "name of the tunnel (default: the host)",
	 apply_name},
	{0, "mode", "MODE",
	 "auto, helper, tun, direct: what carries it; socks: no device here",
	 apply_mode},
	{0, "plane", "PLANE",
	 "auto, flow, packet: what goes as whole packets (with privilege "
	 "there)",
	 apply_plane},
	{'D', "socks", "[ADDR:]PORT",
	 "a SOCKS5 and HTTP proxy into the tunnel (or a socket's path)",
	 apply_door},
	{'L', NULL, "FORWARD", "ssh: local forwarding", apply_forward},
	{'R', NULL, "FORWARD", "ssh: remote forwarding", apply_forward},
	{0, "via", "URL",
	 "through socks5://[USER:PASSWORD@]HOST[:PORT], no ssh", apply_via},
	{0, "no-nat", NULL, "the gateway leaves this end's addresses alone",
	 apply_flag},
	{0, "announce", "SUBNET", "have the gateway route this subnet to us",
	 apply_announce},
	{0, "allow-inbound", NULL, "let far hosts begin connections to us",
	 apply_flag},
	{0, "sudo", NULL, "try sudo on the gateway whoever we are there",
	 apply_flag},
	{0, "tun", "N", "mode tun: use the server's device tunN", apply_tun},
	{0, "dns-server", "ADDR", "the resolver that the gateway asks for us",
	 apply_dns_server},
	{0, "dns", "WHAT",
	 "auto, off, all, split: which names are asked for in the tunnel",
	 apply_dns},
	{0, "domain", "NAME", "a domain whose names are, and which is searched",
	 apply_domain},
	{0, "channels", "N",
	 "further channels to the helper, 0 to 8 (default: as the line needs)",
	 apply_channels},
	{0, "connections", "N",
	 "logins to share the load, 1 to 8 (default: auto, which is 1)",
	 apply_connections},
	{0, "tune", "WHAT",
	 "auto, off: how the SSH connection sends (default: auto)", apply_tune},
	{0, "mtu", "BYTES", "MTU of the device (default: 1500)", apply_mtu},
	{0, "address", "ADDR", "address of this end (default: chosen)",
	 apply_address},
	{0, "script", "FILE",
	 "run this as the tunnel comes and goes, as vpnc-script is",
	 apply_script},
	{0, "allow-link-local", NULL,
	 "let 169.254.0.0/16 be reached from the gateway", apply_flag},
	SSH_OPTS_ENTRIES(apply_ssh),
	{0, NULL, NULL, NULL, NULL},
};
