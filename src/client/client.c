/* SPDX-License-Identifier: MIT */
/*
 * client: the near engine, from a command line to a tunnel and back.
 *
 * Theory of operation
 *   1. The broker is started while we still are who the user started: that may
 *      ask for a password.  Then, under sudo, we become the user for good.
 *   2. ssh is started and brings up the helper; prompts are the terminal's.
 *   3. Once the helper has greeted, and not before, this machine is changed:
 * device, addresses, routes.
 *   4. Any of these ends it: a signal, "ecssh down", the end of ssh, of the
 * session or of the broker.  Teardown runs from a posted task, never from
 * inside a callback.
 *
 * Ownership: struct client owns all parts; see client_internal.h.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client_internal.h"
#include "fd.h"
#include "fd_carrier.h"
#include "invoker.h"
#include "log.h"

enum {
	ENDING_US = 1500000,
	SSH_CONFIG_TIMEOUT_MS = 30000,
};

/* ---- the end ---- */

/* The first reason counts. */
static void end_because(struct client *c, int exit_code, const struct err *why)
{
	if (!c->has_said_why) {
		c->has_said_why = true;
		c->exit_code = exit_code;
		c->why = *why;
	}
	loop_post(c->loop, &c->stop);
}

/* Ended by whoever started it: not a failure once the tunnel was up. */
static void end_on_request(struct client *c)
{
	struct err why;
	bool was_up = c->state == CLIENT_CONNECTED;

	(void)err_set(&why, 0, "%s",
		      was_up ? "" : "stopped before the tunnel was up");
	end_because(c, was_up ? CLIENT_EXIT_OK : CLIENT_EXIT_RUNTIME, &why);
}

static void say_ready(struct client *c, int exit_code)
{
	uint8_t byte = (uint8_t)exit_code;

	if (c->config->ready_fd >= 0)
		(void)!write(c->config->ready_fd, &byte, 1);
}

/* Undo everything, in the order that tells applications and gateway first. */
static void on_stop(void *ctx)
{
	struct client *c = ctx;
	struct err err;
	bool was_connected = c->state == CLIENT_CONNECTED;

	c->state = CLIENT_DOWN;
	c->since_s = clock_wall_s();
	if (c->why.text[0] != '\0')
		log_err("%s", c->why.text);
	if (c->plane && flowplane_session(c->plane))
		session_bye(flowplane_session(c->plane), FRAME_BYE_DONE,
			    "the user ended the tunnel");
	c->plane = flowplane_free(c->plane);
	c->tun = tun_port_free(c->tun);
	c->ssh = ssh_stdio_free(c->ssh);
	if (c->broker)
		loop_io_del(c->loop, &c->broker_io);
	/* A broker that died was the reason, and needs no second line. */
	if (broker_client_stop(c->broker, &err) < 0 && !c->is_broker_dead)
		log_warn("%s", err.text);
	c->broker = NULL;
	if (was_connected && c->exit_code == CLIENT_EXIT_OK)
		log_notice("tunnel %s is down", c->config->name);
	loop_stop(c->loop);
}

static void on_ending_timeout(void *ctx)
{
	struct client *c = ctx;

	end_because(c, CLIENT_EXIT_RUNTIME, &c->why);
}

/* ---- what may happen ---- */

static void on_signal(void *ctx, int signo)
{
	struct client *c = ctx;

	log_debug("signal %d", signo);
	end_on_request(c);
}

static void on_ctl_down(void *ctx)
{
	end_on_request(ctx);
}

static void on_ctl_status(void *ctx, enum ctl_status kind, FILE *out)
{
	struct client *c = ctx;

	status_print(c, kind, out);
	/* For who asks next: a fresh round trip costs one small frame. */
	if (c->plane && flowplane_session(c->plane))
		session_ping(flowplane_session(c->plane));
}

static const struct ctl_server_ops ctl_ops = {
	.on_status = on_ctl_status,
	.on_down = on_ctl_down,
};

static void on_broker_event(void *ctx, uint32_t events)
{
	struct client *c = ctx;
	struct err why;

	(void)events;
	c->is_broker_dead = true;
	loop_io_del(c->loop, &c->broker_io);
	(void)err_set(&why, 0,
		      "ecssh-broker has ended, and the device and routes with "
		      "it");
	end_because(c, CLIENT_EXIT_RUNTIME, &why);
}

void client_on_tun_gone(void *ctx)
{
	struct client *c = ctx;
	struct err why;

	(void)err_set(&why, 0, "somebody deleted the device %s",
		      c->device.name);
	end_because(c, CLIENT_EXIT_RUNTIME, &why);
}

static int plane_tun_write(void *ctx, const struct iovec *iov, int n)
{
	struct client *c = ctx;

	return c->tun ? tun_port_write(c->tun, iov, n) : -ENETDOWN;
}

/* Leave the terminal; from here on nobody sees what we print. */
static void go_to_background(struct client *c)
{
	CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	say_ready(c, CLIENT_EXIT_OK);
	(void)setsid();
	if (null_fd >= 0) {
		(void)dup2(null_fd, STDIN_FILENO);
		(void)dup2(null_fd, STDOUT_FILENO);
		(void)dup2(null_fd, STDERR_FILENO);
	}
}

static void say_connected(const struct client *c)
{
	char subnets[400];
	const char *missing;

	log_notice("connected to %s as %s (helper %s %s, %.1f s); %s via %s",
		   c->config->dest.host, c->ssh_config->user, c->helper_version,
		   boot_origin_name(c->helper_origin),
		   (double)(clock_mono_us() - c->started_us) / US_PER_SEC,
		   status_subnets(c, subnets, sizeof(subnets)), c->device.name);
	for (int i = 0; (missing = status_missing(c, i)); i++)
		log_warn("not carried: %s", missing);
}

static void on_session_up(void *ctx, const struct frame_hello *peer)
{
	struct client *c = ctx;
	struct err err;

	c->peer = *peer;
	if (network_up(c, &err) < 0) {
		end_because(c, CLIENT_EXIT_RUNTIME, &err);
		return;
	}
	c->state = CLIENT_CONNECTED;
	c->since_s = clock_wall_s();
	say_connected(c);
	if (c->config->is_background)
		go_to_background(c);
}

/* The session ended: mostly because ssh did, whose own words are better. */
static void on_session_down(void *ctx, const struct err *why)
{
	struct client *c = ctx;

	if (c->state == CLIENT_DOWN || c->state == CLIENT_ENDING)
		return;
	c->state = CLIENT_ENDING;
	(void)err_set(&c->why, 0, "lost the connection to %s: %s",
		      c->config->dest.host, why->text);
	switch (session_end(flowplane_session(c->plane))) {
	case SESSION_END_SAID:
		end_because(c, CLIENT_EXIT_RUNTIME, &c->why);
		return;
	case SESSION_END_SILENCE:
		end_because(c, CLIENT_EXIT_SSH, &c->why);
		return;
	case SESSION_END_CARRIER:
		timer_arm(c->loop, &c->ending, ENDING_US);
		return;
	}
}

static const struct flowplane_ops plane_ops = {
	.tun_write = plane_tun_write,
	.on_up = on_session_up,
	.on_down = on_session_down,
};

/* ---- ssh ---- */

static void on_ssh_ready(void *ctx, const struct ssh_stdio_ready *ready)
{
	struct client *c = ctx;
	struct carrier *carrier =
		fd_carrier_new(c->loop, ready->rfd, ready->wfd, ready->leftover,
			       ready->leftover_len);
	struct err why;

	c->helper_origin = ready->origin;
	(void)snprintf(c->helper_version, sizeof(c->helper_version), "%s",
		       ready->helper_version);
	c->plane = flowplane_new(c->loop, c->config->mtu_bytes, &plane_ops, c);
	if (!c->plane)
		carrier = carrier_free(carrier);
	if (!carrier || flowplane_attach(c->plane, carrier) < 0) {
		(void)err_set(&why, 0, "out of memory or descriptors");
		end_because(c, CLIENT_EXIT_RUNTIME, &why);
	}
}

static void on_ssh_failed(void *ctx, int exit_code, const struct err *err)
{
	end_because(ctx, exit_code, err);
}

static void on_ssh_exited(void *ctx, int exit_code, const struct err *err)
{
	struct client *c = ctx;
	struct err why;

	timer_disarm(c->loop, &c->ending);
	(void)err_set(&why, 0, "lost the connection to %s: %.400s",
		      c->config->dest.host, err->text);
	/* Never "ok": nobody asked for it. */
	end_because(c, exit_code ? exit_code : CLIENT_EXIT_RUNTIME, &why);
}

static void on_ssh_message(void *ctx, const char *line)
{
	(void)ctx;
	(void)fprintf(stderr, "%s\n", line);
}

static const struct ssh_stdio_ops ssh_ops = {
	.on_ready = on_ssh_ready,
	.on_failed = on_ssh_failed,
	.on_exited = on_ssh_exited,
	.on_message = on_ssh_message,
};

/* ---- setting up ---- */

/* A program that was built or installed beside this one. */
static int find_program(const char *name, char ret_path[PATH_MAX],
			struct err *err)
{
	static const char *const places[] = {"", "/../libexec/ecssh",
					     "/../lib/ecssh"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_set(err, -errno, "cannot read /proc/self/exe: %m");
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		int len = snprintf(ret_path, PATH_MAX, "%s%s/%s", self,
				   places[i], name);
		if (len < PATH_MAX && access(ret_path, X_OK) == 0)
			return 0;
	}
	return err_set(err, -ENOENT,
		       "%s is missing: it belongs beside %s/ecssh", name, self);
}

/* As whoever we were started as; may ask for a password. */
static int start_broker(struct client *c, struct err *err)
{
	char path[PATH_MAX];
	struct broker_start how = {.path = path, .via = BROKER_VIA_AUTO};
	int r = find_program("ecssh-broker", path, err);

	return r < 0 ? r : broker_client_start(&c->broker, &how, err);
}

static int become_user(struct err *err)
{
	struct invoker invoker;
	int r = invoker_find(&invoker, err);

	return r < 0 ? r : invoker_become(&invoker, err);
}

static int watch_broker(struct client *c, struct err *err)
{
	c->broker_io = (struct loop_io){
		.fd = broker_client_fd(c->broker),
		.on_event = on_broker_event,
		.ctx = c,
	};
	int r = loop_io_add(c->loop, &c->broker_io, EPOLLIN);

	return r < 0 ? err_set(err, r, "cannot watch the broker: %s",
			       strerror(-r))
		     : 0;
}

static int start_ssh(struct client *c, struct err *err)
{
	const struct client_config *config = c->config;
	char helper_path[PATH_MAX];
	const char *helper_args[2] = {NULL};
	int r = find_program("ecssh-helper", helper_path, err);

	if (r < 0)
		return r;
	if (config->allow_link_local)
		helper_args[0] = "--allow-link-local";
	c->ssh_config = calloc(1, sizeof(*c->ssh_config));
	if (!c->ssh_config)
		return err_set(err, -ENOMEM, "out of memory");
	r = ssh_config_query(&config->dest, &config->ssh_options, NULL,
			     SSH_CONFIG_TIMEOUT_MS, c->ssh_config, err);
	if (r < 0)
		return r;
	struct ssh_stdio_config ssh = {
		.dest = &config->dest,
		.options = &config->ssh_options,
		.config = c->ssh_config,
		.helper_path = helper_path,
		.protocol = FRAME_VERSION_HIGHEST,
		.helper_args = helper_args,
		.is_background = config->is_background,
	};
	c->ssh = ssh_stdio_start(c->loop, &ssh, &ssh_ops, c, err);
	return c->ssh ? 0 : -EIO;
}

/* Everything up to the first turn of the loop.  Returns an exit code. */
static int set_up(struct client *c, struct err *err)
{
	int r = start_broker(c, err);

	if (r == -EPERM || r == -EACCES)
		return CLIENT_EXIT_PRIVILEGE;
	if (r == 0)
		r = become_user(err);
	if (r == 0) {
		c->loop = loop_new(LOOP_TIME_REAL);
		r = c->loop ? 0 : err_set(err, -errno, "cannot poll: %m");
	}
	if (r == 0)
		r = sig_open(c->loop, &c->sig);
	if (r == 0)
		r = watch_broker(c, err);
	if (r == 0)
		r = ctl_server_new(c->loop, c->config->name, &ctl_ops, c,
				   &c->ctl, err);
	if (r < 0)
		return CLIENT_EXIT_RUNTIME;
	r = start_ssh(c, err);
	return r == 0	   ? CLIENT_EXIT_OK
	       : r == -EIO ? CLIENT_EXIT_SSH
			   : CLIENT_EXIT_RUNTIME;
}

static void client_init(struct client *c, const struct client_config *config)
{
	*c = (struct client){
		.config = config,
		.state = CLIENT_CONNECTING,
		.started_us = clock_mono_us(),
		.since_s = clock_wall_s(),
		.sig = {.on_signal = on_signal, .ctx = c},
		.ending = {.on_fire = on_ending_timeout, .ctx = c},
		.stop = {.on_run = on_stop, .ctx = c},
		.device = {.fd = -1},
	};
	list_init(&c->stop.link);
}

/* What on_stop has not done already. */
static void client_fini(struct client *c)
{
	c->ssh = ssh_stdio_free(c->ssh);
	(void)broker_client_stop(c->broker, NULL);
	sig_close(&c->sig);
	/* Last of all: who ran "ecssh down" waits for this. */
	c->ctl = ctl_server_free(c->ctl);
	c->loop = loop_free(c->loop);
	free(c->ssh_config);
	free(c->routes);
}

int client_run(const struct client_config *config)
{
	struct client c;
	struct err err = {{0}};

	client_init(&c, config);
	c.exit_code = set_up(&c, &err);
	if (c.exit_code == CLIENT_EXIT_OK) {
		int r = loop_run(c.loop);

		if (r < 0)
			log_err("waiting for events failed: %s", strerror(-r));
	} else {
		log_err("%s", err.text);
	}
	say_ready(&c, c.exit_code);
	client_fini(&c);
	return c.exit_code;
}
