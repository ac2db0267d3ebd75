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

#include "text.h"

bool dialer_is_possible(const struct ssh_config *config)
{
	return !ssh_config_is_set(config->proxy_jump) &&
	       !ssh_config_is_set(config->proxy_command) &&
	       !config->has_way_to_connect;
}

/* A shell runs it, and before that ssh replaces what % begins. */
static void put_program(struct text *t, const char *program)
{
	text_put(t, "ProxyCommand='");
	for (const char *p = program; *p; p++)
		text_put(t, "%s%c", *p == '%' ? "%" : "", *p);
	text_put(t, "'");
}

int dialer_add(struct ssh_options *o, const char *program,
	       const struct dialer_pins *pins, char text[DIALER_TEXT_MAX],
	       struct err *err)
{
	struct text t = {.out = text, .cap = DIALER_TEXT_MAX};

	if (strchr(program, '\''))
		return err_set(err, -EINVAL,
			       "the path of ecssh-dial must have no ' in it");
	put_program(&t, program);
	if (pins->from.first != 0)
		text_put(&t, " --from %u-%u", pins->from.first,
			 pins->from.last);
	for (size_t i = 0; i < pins->n && i < DIALER_ENDPOINTS_MAX; i++) {
		char addr[ADDR_TEXT_MAX];

		text_put(&t, " %s %u", addr_format(&pins->to[i].addr, addr),
			 pins->to[i].port);
	}
	if (t.len >= t.cap - 1)
		return err_set(err, -E2BIG,
			       "the path of ecssh-dial is too long");
	int r = ssh_options_add(o, 'o', text, err);
	return r < 0 ? r : ssh_options_add(o, 'o', "ProxyUseFdpass=yes", err);
}
