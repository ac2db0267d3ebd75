/* SPDX-License-Identifier: MIT */
/*
 * ssh_start: see ssh_start.h.
 *
 * A start comes from a process that may be in the hands of an enemy.  So each
 * of its fields is a number, an address, or a text of harmless letters, and
 * none of them becomes an argument of ssh by itself.
 */
#include "ssh_start.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- is it one of ours? ---- */

static bool is_marker(const char marker[BOOT_MARKER_LEN + 1])
{
	return memchr(marker, '\0', BOOT_MARKER_LEN + 1) ==
		       marker + BOOT_MARKER_LEN &&
	       strspn(marker, "0123456789abcdef") == BOOT_MARKER_LEN;
}

static bool is_path(const char path[BOND_PATH_MAX + 1])
{
	return memchr(path, '\0', BOND_PATH_MAX + 1) &&
	       bond_path_is_valid(path);
}

static bool are_pins_sound(const struct ssh_plan *plan,
			   const struct ssh_start *start)
{
	const struct dialer_pins *pins = &start->pins;

	if (pins->n == 0)
		return true;
	if (!plan->dial_path ||
	    !dialer_is_possible(plan->jump ? &plan->jump->config
					   : plan->config) ||
	    pins->n > DIALER_ENDPOINTS_MAX || !port_range_is_sound(&pins->from))
		return false;
	for (size_t i = 0; i < pins->n; i++) {
		const struct endpoint *e = &pins->to[i];

		if ((e->addr.version != IPV4 && e->addr.version != IPV6) ||
		    e->port == 0)
			return false;
	}
	return true;
}

bool ssh_start_is_sound(const struct ssh_plan *plan,
			const struct ssh_start *start)
{
	if (!plan->config || start->flags & ~(uint32_t)SSH_START_FLAGS_KNOWN ||
	    !are_pins_sound(plan, start))
		return false;
	switch ((enum ssh_start_kind)start->kind) {
	case SSH_START_HELPER:
		return plan->helper_hash && is_marker(start->marker);
	case SSH_START_BARE:
		return true;
	case SSH_START_JOIN:
		return start->place == 0 && is_path(start->join_helper) &&
		       is_path(start->join_path);
	}
	return false;
}

/* ---- the command line ---- */

/* -v that is not the user's. */
static bool is_talkative(const struct ssh_options *user,
			 const struct ssh_start *start)
{
	return (start->flags & SSH_START_TALKATIVE) &&
	       ssh_options_count(user, 'v') == 0 &&
	       ssh_options_count(user, 'q') == 0;
}

/* How ssh is connected, if not by itself. */
static int add_way(const struct ssh_plan *plan, const struct ssh_start *start,
		   const struct ssh_options *user, struct ssh_start_cmd *c,
		   struct err *err)
{
	const struct ssh_jump_use use = {
		.ssh_path = plan->ssh_path,
		.n_verbose = ssh_options_count(user, 'v') +
			     (is_talkative(user, start) ? 1 : 0),
		.is_batch = start->kind == SSH_START_JOIN ||
			    (start->flags & SSH_START_BATCH),
		.program = plan->dial_path,
		.pins = &start->pins,
	};

	if (plan->jump)
		return ssh_jump_add(&c->options, plan->jump, &use, c->dialer,
				    err);
	if (start->pins.n > 0)
		return dialer_add(&c->options, plan->dial_path, &start->pins,
				  c->dialer, err);
	return 0;
}

/* The first value that ssh meets counts: behind these the user's has no say.
 * But -J beside a ProxyCommand is an error to it. */
static int begin_options(const struct ssh_plan *plan,
			 const struct ssh_start *start,
			 const struct ssh_options *user,
			 struct ssh_start_cmd *c, struct err *err)
{
	struct ssh_options *o = &c->options;
	int r = 0;

	o->n_words = 0;
	if (start->kind == SSH_START_JOIN)
		r = ssh_options_add(o, 'o', "BatchMode=yes", err);
	if (r == 0)
		r = add_way(plan, start, user, c, err);
	bool is_led = plan->jump || start->pins.n > 0;
	return r < 0 ? r
		     : ssh_options_append(o, user, is_led ? 'J' : '\0', err);
}

static int end_options(const struct ssh_start *start,
		       const struct ssh_options *user, struct ssh_options *o,
		       struct err *err)
{
	int r = 0;

	if (start->flags & SSH_START_BATCH)
		r = ssh_options_add(o, 'o', "BatchMode=yes", err);
	/* With so many options that it has no room, it takes longer. */
	if (start->flags & SSH_START_IMPATIENT)
		(void)ssh_options_add(o, 'o', "ConnectTimeout=10", NULL);
	if (r == 0 && is_talkative(user, start))
		r = ssh_options_add(o, 'v', NULL, err);
	return r;
}

static int build_remote(const struct ssh_plan *plan,
			const struct ssh_start *start, struct ssh_start_cmd *c,
			struct err *err)
{
	struct boot_script_params params = {
		.marker = start->marker,
		.hash = plan->helper_hash,
		.size_bytes = plan->helper_bytes,
		.protocol = plan->protocol,
		.helper_args = plan->helper_args,
	};

	switch ((enum ssh_start_kind)start->kind) {
	case SSH_START_HELPER:
		return boot_script_build(&params, c->remote, sizeof(c->remote),
					 err);
	case SSH_START_BARE:
		return 0;
	case SSH_START_JOIN:
		/* Both have harmless letters only. */
		(void)snprintf(c->remote, sizeof(c->remote),
			       "exec %s --join %s", start->join_helper,
			       start->join_path);
		return 0;
	}
	return -EPERM;
}

int ssh_start_build(const struct ssh_plan *plan, const struct ssh_start *start,
		    const char *control_path, struct ssh_start_cmd *ret_cmd,
		    struct err *err)
{
	struct ssh_cmd_use use = {
		.control_path = control_path,
		.remote_command =
			start->kind == SSH_START_BARE ? NULL : ret_cmd->remote,
	};
	static const struct ssh_options none = {.n_words = 0};
	const struct ssh_options *user = plan->options ? plan->options : &none;
	int r;

	if (!ssh_start_is_sound(plan, start))
		return err_set(
			err, -EPERM,
			"this is no way to start ssh that was asked for");
	if ((r = begin_options(plan, start, user, ret_cmd, err)) < 0 ||
	    (r = end_options(start, user, &ret_cmd->options, err)) < 0 ||
	    (r = build_remote(plan, start, ret_cmd, err)) < 0)
		return r;
	return ssh_cmd_build(plan->dest, &ret_cmd->options, plan->config,
			     plan->ssh_path, &use, &ret_cmd->cmd, err);
}
