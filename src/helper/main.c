/* SPDX-License-Identifier: MIT */
/*
 * ecssh-helper: the program on the far side.
 *
 * Theory of operation
 *   Run by the near side through ssh, or by a forced command.  It announces
 *   itself on standard output, then speaks the session protocol on standard
 *   input and output until one of them ends, a BYE comes, the near side is
 *   silent for too long, or a signal tells it to stop.  It does so within a
 *   sandbox; what it may not do there is done by the process outside.
 *   Everything it has are sockets, so nothing is left behind; a network device
 *   for packets is made and undone by another process, the broker (--broker).
 *
 * Spec: doc/PROTOCOL.boot section 6, doc/PROTOCOL.session
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bond_carrier.h"
#include "boot_far.h"
#include "broker.h"
#include "broker_process.h"
#include "capless.h"
#include "far.h"
#include "fd.h"
#include "join.h"
#include "log.h"
#include "network.h"
#include "outside.h"
#include "sandbox.h"
#include "session.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
};

_Static_assert((int)SANDBOX_SECCOMP == (int)FRAME_SANDBOX_SECCOMP &&
		       (int)SANDBOX_LANDLOCK == (int)FRAME_SANDBOX_LANDLOCK,
	       "what is told is what is done");

struct helper {
	struct loop *loop; /* owned */
	struct far *far;   /* owned */
	struct outside outside;
	struct network network;
	struct join *join; /* owned; NULL: one link it is */
	struct loop_io signals;
	char marker[BOOT_MARKER_LEN + 1];
	bool is_forced; /* run by a forced command: the hello is to be read */
	bool is_broker;
	bool has_no_packets; /* whatever our privilege */
	unsigned policy;
	const char *join_path; /* --join; NULL: not */
};

/* ---- options ---- */

enum option_id {
	OPTION_MARKER,
	OPTION_ALLOW_LOOPBACK,
	OPTION_ALLOW_LINK_LOCAL,
	OPTION_NO_PACKETS,
	OPTION_BROKER,
	OPTION_JOIN,
	OPTION_HELP,
	OPTION_VERSION,
};

struct option_entry {
	const char *name;
	const char *argument; /* NULL: takes none */
	const char *help;
	enum option_id id;
};

static const struct option_entry options[] = {
	{"--marker", "HEX", "32 digits that precede the line \"ready\"",
	 OPTION_MARKER},
	{"--allow-loopback", NULL,
	 "let the near side reach what listens on this host's loopback address",
	 OPTION_ALLOW_LOOPBACK},
	{"--allow-link-local", NULL,
	 "let it reach link-local addresses and cloud metadata services",
	 OPTION_ALLOW_LINK_LOCAL},
	{"--no-packets", NULL,
	 "make no TUN device for the near side, whatever the privilege",
	 OPTION_NO_PACKETS},
	{"--broker", NULL, "for ecssh-helper itself: configure the network",
	 OPTION_BROKER},
	{"--join", "PATH", "be a further link of a helper that listens there",
	 OPTION_JOIN},
	{"--help", NULL, "show this", OPTION_HELP},
	{"--version", NULL, "show version and protocol", OPTION_VERSION},
};

static void print_help(void)
{
	(void)printf("usage: ecssh-helper [OPTION...]\n\n"
		     "The far end of ecssh, which starts it through ssh.\n\n");
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		const struct option_entry *o = &options[i];
		char head[40];

		(void)snprintf(head, sizeof(head), "%s %s", o->name,
			       o->argument ? o->argument : "");
		(void)printf("  %-20s %s\n", head, o->help);
	}
}

static const struct option_entry *option_find(const char *name)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static int take_marker(struct helper *h, const char *marker)
{
	if (!boot_far_marker_is_valid(marker)) {
		log_err("--marker takes %d lower-case hex digits, not \"%s\"",
			BOOT_MARKER_LEN, marker);
		return -EINVAL;
	}
	memcpy(h->marker, marker, sizeof(h->marker));
	return 0;
}

/* Returns 0 to go on, 1 if all is done, -EINVAL if the user got it wrong (which
 * has been said). */
static int apply_option(struct helper *h, enum option_id id, const char *value)
{
	switch (id) {
	case OPTION_MARKER:
		return take_marker(h, value);
	case OPTION_ALLOW_LOOPBACK:
		h->policy |= POLICY_ALLOW_LOOPBACK;
		return 0;
	case OPTION_ALLOW_LINK_LOCAL:
		h->policy |= POLICY_ALLOW_LINK_LOCAL;
		return 0;
	case OPTION_NO_PACKETS:
		h->has_no_packets = true;
		return 0;
	case OPTION_BROKER:
		h->is_broker = true;
		return 0;
	case OPTION_JOIN:
		h->join_path = value;
		return 0;
	case OPTION_HELP:
		print_help();
		return 1;
	case OPTION_VERSION:
		(void)printf("ecssh-helper %s protocol %d\n", ECSSH_VERSION,
			     FRAME_VERSION_HIGHEST);
		return 1;
	}
	return -EINVAL;
}

/* Returns as apply_option. */
static int parse_options(struct helper *h, char **argv)
{
	while (*++argv) {
		const struct option_entry *o = option_find(*argv);

		if (!o) {
			log_err("unknown option \"%s\"; see ecssh-helper "
				"--help",
				*argv);
			return -EINVAL;
		}
		const char *value = o->argument ? *++argv : "";
		if (!value) {
			log_err("%s takes an argument: %s", o->name,
				o->argument);
			return -EINVAL;
		}
		int r = apply_option(h, o->id, value);
		if (r != 0)
			return r;
	}
	return 0;
}

/* Without --marker we may stand in for the command that brought one. */
static int find_marker(struct helper *h)
{
	const char *command = getenv("SSH_ORIGINAL_COMMAND");

	if (h->marker[0])
		return 0;
	h->is_forced = true;
	if (command && boot_far_marker_of_command(command, h->marker) == 0)
		return 0;
	log_err(command ? "this account serves ecssh only: run \"ecssh up\" "
			  "on your own machine"
			: "this is the far end of ecssh, which starts it "
			  "through ssh; run \"ecssh up\" on your own machine");
	return -EINVAL;
}

/* ---- the process ---- */

static void prepare_process(void)
{

	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
	/* Not to keep anything from being unmounted.  "/" can be entered. */
	if (chdir("/") < 0)
		log_debug("cannot enter /, ignoring");
	/* One socket for each flow. */
	fd_raise_limit();
}

static void on_signal(void *ctx, uint32_t events)
{
	struct helper *h = ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(h->signals.fd, &info, sizeof(info)) != sizeof(info))
		return;
	session_bye(far_session(h->far), FRAME_BYE_DONE,
		    "the helper was told to stop");
	loop_stop(h->loop);
}

static int watch_signals(struct helper *h)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	h->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (h->signals.fd < 0)
		return -errno;
	h->signals.on_event = on_signal;
	h->signals.ctx = h;
	return loop_io_add(h->loop, &h->signals, EPOLLIN);
}

/* Skip the near side's hello, byte by byte: what follows is not ours yet. */
static int skip_hello(void)
{
	for (int i = 0; i < BOOT_FAR_HELLO_MAX; i++) {
		char c;
		ssize_t n = read(STDIN_FILENO, &c, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		if (c == '\n')
			return 0;
	}
	return -EPROTO;
}

static int announce(const struct helper *h)
{
	char line[BOOT_FAR_READY_MAX];
	size_t len = boot_far_build_ready(h->marker, ECSSH_VERSION, line);

	return fd_write_all(STDOUT_FILENO, line, len);
}

static void on_down(void *ctx, const struct err *why)
{
	struct helper *h = ctx;

	log_debug("%s", why->text);
	loop_stop(h->loop);
}

static int start_engine(struct helper *h)
{
	const char *user = getenv("USER");
	struct far_options far_options = {
		.policy = h->policy,
		.ssh_connection = getenv("SSH_CONNECTION"),
		.user = user ? user : getenv("LOGNAME"),
		.network = h->has_no_packets ? NULL : network_ops(),
		.network_ctx = &h->network,
		.open_file = outside_open_file,
		.open_ctx = &h->outside,
		.sandbox = (uint8_t)sandbox_probe(),
		.on_down = on_down,
		.ctx = h,
	};
	struct carrier *carrier =
		bond_carrier_new(h->loop, STDIN_FILENO, STDOUT_FILENO, NULL, 0);

	if (!carrier)
		return -errno;
	h->far = far_new(h->loop, carrier, &far_options);
	if (!h->far)
		return -errno;
	h->network.loop = h->loop;
	h->network.far = h->far;
	h->network.outside = &h->outside;
	h->join = join_new(h->loop, carrier, &h->outside);
	return 0;
}

static int enter_sandbox(void)
{
	unsigned parts;
	struct err err;
	int r = sandbox_enter(&sandbox_helper, NULL, 0, &parts, &err);

	if (r < 0)
		log_err("%s", err.text);
	return r;
}

/* Returns 0 when the session is over, or -errno. */
static int serve(struct helper *h)
{
	int r = h->is_forced ? skip_hello() : 0;

	if (r == 0)
		r = announce(h);
	if (r < 0)
		return r;
	r = outside_start(&h->outside, !h->has_no_packets);
	if (r < 0)
		return r;
	capless_drop();
	h->loop = loop_new(LOOP_TIME_REAL);
	r = h->loop ? watch_signals(h) : -errno;
	if (r == 0)
		r = start_engine(h);
	/* What the near side has sent was not looked at before. */
	if (r == 0)
		r = enter_sandbox();
	if (r == 0)
		r = loop_run(h->loop);
	network_fini(&h->network);
	h->join = join_free(h->join);
	h->far = far_free(h->far);
	fd_close(&h->signals.fd);
	h->loop = loop_free(h->loop);
	outside_fini(&h->outside);
	return r;
}

int main(int argc, char **argv)
{
	struct helper h = {.outside.sock = -1, .signals.fd = -1};

	network_init(&h.network);
	log_init("ecssh-helper", LOG_LEVEL_NOTICE);
	int r = argc > 0 ? parse_options(&h, argv) : -EINVAL;
	if (r > 0)
		return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
	if (r == 0 && h.is_broker)
		_exit(broker_process(broker_far_run));
	if (r == 0 && !h.join_path)
		r = find_marker(&h);
	if (r < 0)
		return EXIT_USAGE;
	prepare_process();
	capless_drop_of_file();
	r = h.join_path ? join_bridge(h.join_path) : serve(&h);
	if (r < 0) {
		log_err("cannot serve: %s", strerror(-r));
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}
