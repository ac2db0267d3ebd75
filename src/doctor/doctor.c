/* SPDX-License-Identifier: MIT */
/*
 * doctor: what works between this host and a server, without changing either.
 *
 * Theory of operation
 *   1. What this host offers is looked at, as whoever started us; then, under
 *      sudo, we become the user for good, as `up` does.
 *   2. ssh logs in and runs nothing (-N); it listens at a control socket of
 *      ours, and what is tried are channels there.  So there is one login,
 *      and it stands when the server refuses to run commands.
 *   3. What ssh -v says on the way tells about versions and ciphers.
 *
 * Ownership: struct doctor owns all parts.  The link goes before ssh, which it
 * may take along, and the probe, which has channels in it, after the link.
 */
#include "doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "beside.h"
#include "boot_script.h"
#include "escape.h"
#include "far_checks.h"
#include "far_script.h"
#include "frame.h"
#include "invoker.h"
#include "link_probe.h"
#include "log.h"
#include "mux_sock.h"
#include "near_checks.h"
#include "sig.h"
#include "ssh_config.h"
#include "ssh_log.h"
#include "ssh_stdio.h"

enum {
	SSH_CONFIG_TIMEOUT_MS = 30000,
	PROBE_TIMEOUT_MS = 30000,
	/* After the login the control socket is there in no time. */
	SOCKET_TIMEOUT_US = 5000000,
	/* What ssh logs comes by another way than what it opens, and is held
	 * back for a moment: see ssh_words.h. */
	LAST_WORDS_US = 300000,
};

struct doctor {
	const struct doctor_config *config; /* borrowed */
	struct report report;
	struct ssh_config ssh_config;
	struct loop *loop; /* owned, as all below */
	struct sig sig;
	struct starter *starter;
	struct mux_sock *sock;
	struct ssh_stdio *ssh;
	struct mux_link *link;
	struct link_probe *probe;
	struct helper_file helper;
	bool has_helper;
	struct ssh_log log;
	struct far_facts facts;
	struct far_probes probes;
	char command[BOOT_SCRIPT_LINE_MAX];
	struct timer socket_timer, last_words;
	bool has_login;
	bool is_stopped; /* by a signal */
	int exit_code;	 /* of ssh's failure; 0: none */
	struct err why;
};

/* ---- ssh ---- */

static void on_ready(void *ctx, const struct ssh_stdio_ready *ready)
{
	(void)ctx; /* it never is: no helper is started */
	(void)ready;
}

static void on_ssh_ended(void *ctx, int exit_code, const struct err *err)
{
	struct doctor *d = ctx;

	if (!d->has_login) {
		d->exit_code = exit_code;
		d->why = *err;
	}
	loop_stop(d->loop);
}

static void on_starter_gone(void *ctx)
{
	struct err why;

	(void)err_set(&why, 0, "ecssh-starter has ended, and ssh with it");
	on_ssh_ended(ctx, DOCTOR_EXIT_RUNTIME, &why);
}

static bool is_chatter(const char *line)
{
	static const char *const starts[] = {
		"debug1: ",	      "debug2: ",	   "debug3: ",
		"OpenSSH_",	      "Authenticated to ", "Transferred: ",
		"Bytes per second: ",
	};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (strncmp(line, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

static void on_message(void *ctx, const char *line)
{
	struct doctor *d = ctx;
	bool is_ours = d->has_login || is_chatter(line);

	ssh_log_take(&d->log, line);
	if (d->config->is_verbose || (!is_ours && !d->config->is_quiet))
		(void)fprintf(stderr, "%s\n", line);
	/* No jump host before it: this is the login that counts. */
	if (d->log.method[0] && !d->has_login &&
	    d->ssh_config.proxy_jump[0] == '\0' &&
	    d->ssh_config.proxy_command[0] == '\0' &&
	    !timer_is_armed(&d->socket_timer))
		timer_arm(d->loop, &d->socket_timer, SOCKET_TIMEOUT_US);
}

static const struct ssh_stdio_ops ssh_ops = {
	.on_ready = on_ready,
	.on_failed = on_ssh_ended,
	.on_exited = on_ssh_ended,
	.on_message = on_message,
};

/* ---- the link ---- */

static void no_link(struct doctor *d)
{
	d->has_login = true;
	report_fact(&d->report, RUNG_MUX, RUNG_NO);
	timer_arm(d->loop, &d->last_words, LAST_WORDS_US);
}

/* For root a device would be made, for nothing if the helper makes a better
 * one. */
static bool may_try_tun(void *ctx)
{
	struct doctor *d = ctx;
	bool is_root = d->facts.has_uid && d->facts.uid == 0;

	return !is_root ||
	       !far_checks_has_helper(&d->facts,
				      d->has_helper ? &d->helper : NULL);
}

static void on_probed(void *ctx)
{
	struct doctor *d = ctx;

	timer_arm(d->loop, &d->last_words, LAST_WORDS_US);
}

static void on_last_words(void *ctx)
{
	struct doctor *d = ctx;

	loop_stop(d->loop);
}

static const struct link_probe_ops probe_ops = {
	.may_try_tun = may_try_tun,
	.on_done = on_probed,
};

static void on_link_ready(void *ctx)
{
	struct doctor *d = ctx;
	struct link_probe_config config = {
		.command = d->command,
		.facts = &d->facts,
		.probes = &d->probes,
		.timeout_ms = PROBE_TIMEOUT_MS,
	};

	report_fact(&d->report, RUNG_MUX, RUNG_YES);
	d->probe = link_probe_start(d->loop, d->link, &config, &probe_ops, d);
	if (!d->probe)
		loop_stop(d->loop);
}

static void on_link_closed(void *ctx, const struct err *why)
{
	(void)why; /* what is not known by now stays unknown */
	no_link(ctx);
}

static const struct mux_link_ops link_ops = {
	.on_ready = on_link_ready,
	.on_closed = on_link_closed,
};

static void on_connected(void *ctx, int fd)
{
	struct doctor *d = ctx;

	d->has_login = true;
	timer_disarm(d->loop, &d->socket_timer);
	ssh_stdio_on_login(d->ssh);
	if (fd >= 0)
		d->link = mux_link_new(d->loop, fd, &link_ops, d);
	if (!d->link)
		no_link(d);
}

static void on_no_socket(void *ctx)
{
	struct doctor *d = ctx;

	ssh_stdio_on_login(d->ssh);
	no_link(d);
}

static void on_signal(void *ctx, int signo)
{
	struct doctor *d = ctx;

	(void)signo;
	d->is_stopped = true;
	loop_stop(d->loop);
}

/* ---- setting up ---- */

static int make_marker(char marker[BOOT_MARKER_LEN + 1], struct err *err)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t bytes[BOOT_MARKER_LEN / 2];

	if (getentropy(bytes, sizeof(bytes)) < 0)
		return err_set(err, -errno, "no random numbers: %m");
	for (size_t i = 0; i < sizeof(bytes); i++) {
		marker[2 * i] = digits[bytes[i] >> 4];
		marker[2 * i + 1] = digits[bytes[i] & 15];
	}
	marker[BOOT_MARKER_LEN] = '\0';
	return 0;
}

static int make_command(struct doctor *d, struct err *err)
{
	/* Without a helper of ours none is found there, as none fits. */
	static const char no_hash[BOOT_SCRIPT_HASH_LEN + 1] =
		"00000000000000000000000000000000000000000000000000000000000000"
		"00";
	const char *args[] = {d->config->try_sudo ? "--sudo" : NULL, NULL};
	char marker[BOOT_MARKER_LEN + 1];
	struct boot_script_params params = {
		.marker = marker,
		.hash = d->has_helper ? d->helper.hash : no_hash,
		.size_bytes = d->helper.len,
		.protocol = FRAME_VERSION_HIGHEST,
		.helper_args = args,
		.script = far_script,
	};
	int r = make_marker(marker, err);

	if (r < 0)
		return r;
	far_facts_init(&d->facts, marker);
	return boot_script_build(&params, d->command, sizeof(d->command), err);
}

/* Ours may be missing; theirs may do. */
static void load_helper(struct doctor *d)
{
	char path[PATH_MAX];
	struct err err;

	d->has_helper = beside_find("ecssh-helper", path, &err) == 0 &&
			helper_file_load(path, &d->helper, &err) == 0;
	if (!d->has_helper)
		report_bad(&d->report, "near-helper", REPORT_DEGRADED,
			   "%s\tinstall ecssh completely", err.text);
}

static int start_ssh(struct doctor *d, struct err *err)
{
	const struct doctor_config *config = d->config;
	struct ssh_options options = config->ssh_options;
	int r = ssh_options_add(&options, 'v', NULL, err);

	if (r == 0)
		r = ssh_config_query(&config->dest, &config->ssh_options, NULL,
				     SSH_CONFIG_TIMEOUT_MS, &d->ssh_config,
				     err);
	if (r < 0)
		return r;
	/* Unless the server knows better. */
	(void)escape_text(d->ssh_config.user, strlen(d->ssh_config.user),
			  d->facts.user, sizeof(d->facts.user));
	struct ssh_plan plan = {
		.dest = &config->dest,
		.options = &options,
		.config = &d->ssh_config,
	};

	if ((r = starter_new(&plan, &d->starter, err)) < 0)
		return r;
	if (starter_watch(d->starter, d->loop, on_starter_gone, d) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	d->sock = mux_sock_new(d->loop, d->starter, on_connected, d, err);
	if (!d->sock)
		return -errno;
	struct ssh_stdio_config ssh = {
		.starter = d->starter,
		.dest = &config->dest,
		.config = &d->ssh_config,
		.is_bare = true,
		.place = mux_sock_place(d->sock),
	};
	d->ssh = ssh_stdio_start(d->loop, &ssh, &ssh_ops, d, err);
	return d->ssh ? 0 : -EIO;
}

static int become_user(struct err *err)
{
	struct invoker invoker;
	int r = invoker_find(&invoker, err);

	return r < 0 ? r : invoker_become(&invoker, err);
}

/* What has to work for there to be a report.  Returns 0 or -errno. */
static int set_up(struct doctor *d, struct err *err)
{
	const char *dest = d->config->dest_text;

	(void)escape_text(dest, strlen(dest), d->report.destination,
			  sizeof(d->report.destination));
	d->sig = (struct sig){.on_signal = on_signal, .ctx = d};
	d->socket_timer = (struct timer){.on_fire = on_no_socket, .ctx = d};
	d->last_words = (struct timer){.on_fire = on_last_words, .ctx = d};
	near_checks_privilege(&d->report);
	int r = become_user(err);
	if (r < 0)
		return r;
	load_helper(d);
	d->loop = loop_new(LOOP_TIME_REAL);
	if (!d->loop)
		return err_set(err, -errno, "cannot poll: %m");
	r = sig_open(d->loop, &d->sig);
	if (r < 0)
		return err_set(err, r, "cannot wait for signals: %s",
			       strerror(-r));
	return make_command(d, err);
}

/* ---- the outcome ---- */

/* What `up` would hope for, and try, is no finding. */
static bool is_sure(const struct report *r)
{
	return r->facts.state[RUNG_EXEC] == RUNG_YES &&
	       r->facts.state[RUNG_HELPER_FITS] == RUNG_YES;
}

static void tell_nothing_of_server(struct report *r)
{
	report_bad(r, "channels", REPORT_MISSING,
		   "ssh gives no channels of our own, so nothing more can be "
		   "told\tinstall OpenSSH 7.4 or later on this host");
	report_fact(r, RUNG_FAR_PRIVILEGE, RUNG_NO);
	r->facts.why[RUNG_FAR_PRIVILEGE] =
		"it is unknown whether a TUN device can be made there";
}

static int diagnose(struct doctor *d)
{
	struct report *r = &d->report;

	if (!d->has_login) {
		report_fact(r, RUNG_SSH, RUNG_NO);
		report_bad(r, "login", REPORT_MISSING,
			   "%s\tsee that \"ssh %s\" works", d->why.text,
			   r->destination);
		return d->exit_code;
	}
	far_checks_connection(r, &d->log);
	near_checks_subnets(r, d->config->subnets, d->config->n_subnets);
	if (r->facts.state[RUNG_MUX] == RUNG_NO && !d->probe)
		tell_nothing_of_server(r);
	else {
		d->probes.tunnel =
			far_checks_tunnel(d->probes.tunnel, &d->facts, &d->log);
		far_checks_account(r, &d->facts, &d->probes,
				   d->has_helper ? &d->helper : NULL);
		far_checks_channels(r, &d->facts, &d->probes);
	}
	return rung_choose(&r->facts) <= RUNG_HELPER && is_sure(r)
		       ? DOCTOR_EXIT_OK
		       : DOCTOR_EXIT_LACKING;
}

static int run(struct doctor *d, struct err *err)
{
	int r = start_ssh(d, err);

	if (r == 0)
		r = loop_run(d->loop);
	if (d->is_stopped)
		return err_set(err, DOCTOR_EXIT_RUNTIME, "stopped");
	if (r < 0) {
		d->why = *err;
		d->exit_code =
			r == -EIO ? DOCTOR_EXIT_SSH : DOCTOR_EXIT_LACKING;
	}
	r = diagnose(d);
	if (d->config->is_json)
		report_print_json(&d->report, stdout);
	else
		report_print(&d->report, stdout);
	err->text[0] = '\0';
	return r;
}

static void fini(struct doctor *d)
{
	d->link = mux_link_free(d->link);
	d->probe = link_probe_free(d->probe);
	d->ssh = ssh_stdio_free(d->ssh);
	d->sock = mux_sock_free(d->sock);
	d->starter = starter_free(d->starter);
	if (d->loop) {
		timer_disarm(d->loop, &d->socket_timer);
		timer_disarm(d->loop, &d->last_words);
		sig_close(&d->sig);
	}
	d->loop = loop_free(d->loop);
	helper_file_fini(&d->helper);
}

int doctor_run(const struct doctor_config *config)
{
	struct doctor *d = calloc(1, sizeof(*d));
	struct err err = {{0}};
	int exit_code = DOCTOR_EXIT_RUNTIME;

	if (!d) {
		log_err("out of memory");
		return exit_code;
	}
	d->config = config;
	if (set_up(d, &err) == 0)
		exit_code = run(d, &err);
	if (err.text[0] != '\0')
		log_err("%s", err.text);
	fini(d);
	free(d);
	return exit_code;
}
