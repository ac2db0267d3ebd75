/* SPDX-License-Identifier: MIT */
/*
 * dialer: see dialer.h.
 *
 * By ProxyCommand and ProxyUseFdpass: a program connects and hands the socket
 * to ssh.  To set HostName instead would change what "Match host", %h and the
 * names in certificates mean.
 */
#include "dialer.h"

#include <errno.h>
#include <string.h>

bool dialer_is_possible(const struct ssh_config *config)
{
	return !ssh_config_is_set(config->proxy_jump) &&
	       !ssh_config_is_set(config->proxy_command) &&
	       !config->has_way_to_connect;
}

void dialer_put_path(struct text *t, const char *path, unsigned n_expanded)
{
	for (const char *p = path; *p; p++)
		for (unsigned n = *p == '%' ? 1U << n_expanded : 1; n > 0; n--)
			text_put(t, "%c", *p);
}

/* A shell runs it, and before that ssh replaces what % begins. */
void dialer_put_command(struct text *t, const char *program,
			const struct dialer_pins *pins, unsigned n_expanded)
{
	text_put(t, "ProxyCommand='");
	dialer_put_path(t, program, n_expanded);
	text_put(t, "'");
	if (pins->from.first != 0)
		text_put(t, " --from %u-%u", pins->from.first, pins->from.last);
	for (size_t i = 0; i < pins->n && i < DIALER_ENDPOINTS_MAX; i++) {
		char addr[ADDR_TEXT_MAX];

		text_put(t, " %s %u", addr_format(&pins->to[i].addr, addr),
			 pins->to[i].port);
	}
}

int dialer_add(struct ssh_options *o, const char *program,
	       const struct dialer_pins *pins, char text[DIALER_TEXT_MAX],
	       struct err *err)
{
	struct text t = {.out = text, .cap = DIALER_TEXT_MAX};

	if (strchr(program, '\''))
		return err_set(err, -EINVAL,
			       "the path of ecssh-dial must have no ' in it");
	dialer_put_command(&t, program, pins, 1);
	if (t.len >= t.cap - 1)
		return err_set(err, -E2BIG,
			       "the path of ecssh-dial is too long");
	int r = ssh_options_add(o, 'o', text, err);
	return r < 0 ? r : ssh_options_add(o, 'o', "ProxyUseFdpass=yes", err);
}
