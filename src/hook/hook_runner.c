/* SPDX-License-Identifier: MIT */
/*
 * hook_runner: the process that runs the user's script.
 *
 * Theory of operation
 *   It is forked off before the engine has read anything from outside, so the
 *   engine itself need not be able to start programs any more, and it outlives
 *   an engine that is killed by long enough to say goodbye to the script.
 *   One script runs at a time; one order waits.  A script is a process group,
 *   so that what it has started goes with it when its time is over.  What a
 *   script that ended by itself has left running may stay.
 */
#include "hook_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "fd.h"

struct runner {
	const struct hook_plan *plan; /* borrowed */
	pid_t engine;
	int sock_fd; /* -1: the engine has gone */
	int null_fd;
	/* The script that runs. */
	pid_t pid; /* 0: none */
	int pidfd;
	enum hook_reason reason;
	mono_us_t end_us;	/* when to send the next signal */
	bool is_asked;		/* SIGTERM was sent */
	enum hook_end ended_by; /* us: HURRY, TIMEOUT; else EXIT */
	/* What is to be run next. */
	bool has_next;
	struct hook_order next;
	/* The last word the script has heard. */
	bool owes_goodbye;
	struct hook_facts facts;
};

static void tell(const struct runner *r, enum hook_reason reason,
		 enum hook_end end, int value)
{
	struct hook_report report = {
		.reason = reason, .end = end, .value = value};

	if (r->sock_fd >= 0)
		(void)!send(r->sock_fd, &report, sizeof(report),
			    MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ---- the script ---- */

static int spawn(struct runner *r, const struct hook_order *order)
{
	const char *const argv[] = {r->plan->script, NULL};
	char **env = hook_env_new(r->plan, &order->facts,
				  (enum hook_reason)order->reason, r->engine,
				  environ);
	struct child_spec spec = {
		.argv = argv,
		.fds = {r->null_fd, STDERR_FILENO, STDERR_FILENO},
		.env = env,
		.leads_group = true,
	};
	int ret = env ? child_spawn(&spec, &r->pid) : -ENOMEM;

	(void)hook_env_free(env);
	if (ret < 0)
		return ret;
	r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	if (r->pidfd >= 0)
		return 0;
	ret = -errno;
	(void)kill(-r->pid, SIGKILL);
	(void)waitpid(r->pid, NULL, 0);
	return ret;
}

static void start_next(struct runner *r)
{
	struct hook_order order = r->next;

	r->has_next = false;
	r->reason = (enum hook_reason)order.reason;
	if (r->reason != HOOK_PRE_INIT)
		r->owes_goodbye = r->reason != HOOK_DISCONNECT;
	r->facts = order.facts;
	int ret = spawn(r, &order);
	if (ret < 0) {
		r->pid = 0;
		tell(r, r->reason, HOOK_END_NOT_STARTED, -ret);
		return;
	}
	r->ended_by = HOOK_END_EXIT;
	r->is_asked = false;
	r->end_us = clock_mono_us() + HOOK_TIME_S * US_PER_SEC;
}

static void on_script_end(struct runner *r)
{
	int status = 0;

	/* What it has started goes, too; until it is reaped its number is its
	 * own. */
	if (r->ended_by != HOOK_END_EXIT)
		(void)kill(-r->pid, SIGKILL);
	if (waitpid(r->pid, &status, WNOHANG) != r->pid)
		return;
	fd_close(&r->pidfd);
	r->pid = 0;
	if (r->ended_by != HOOK_END_EXIT)
		tell(r, r->reason, r->ended_by, HOOK_TIME_S);
	else if (WIFSIGNALED(status))
		tell(r, r->reason, HOOK_END_SIGNAL, WTERMSIG(status));
	else
		tell(r, r->reason, HOOK_END_EXIT, WEXITSTATUS(status));
}

static void end_script(struct runner *r, enum hook_end why)
{
	if (r->pid == 0 || r->is_asked)
		return;
	r->ended_by = why;
	r->is_asked = true;
	r->end_us = clock_mono_us() + HOOK_GRACE_S * US_PER_SEC;
	(void)kill(-r->pid, SIGTERM);
	(void)kill(-r->pid, SIGCONT);
}

static void on_time_over(struct runner *r)
{
	if (!r->is_asked) {
		end_script(r, HOOK_END_TIMEOUT);
		return;
	}
	(void)kill(-r->pid, SIGKILL);
	r->end_us = clock_mono_us() + US_PER_SEC;
}

/* ---- the engine ---- */

/* Its own memory, once; whether it still is what it was is another question. */
static bool is_sane_addr(const struct ip_addr *a, enum ip_version version)
{
	return !a->version || a->version == version;
}

static bool are_sane_subnets(const struct hook_facts *f)
{
	for (size_t i = 0; i < f->n_told && i < HOOK_TOLD_MAX; i++) {
		const struct subnet *s = &f->told[i];

		if ((s->addr.version != IPV4 && s->addr.version != IPV6) ||
		    s->prefix_len > (s->addr.version == IPV4 ? 32 : 128))
			return false;
	}
	return f->n_told <= HOOK_TOLD_MAX;
}

static bool is_sane(const struct hook_order *order)
{
	const struct hook_facts *f = &order->facts;
	const char *p = f->device;

	if (order->reason >= HOOK_REASON__N ||
	    !memchr(f->device, '\0', sizeof(f->device)))
		return false;
	for (; *p; p++)
		if (!strchr("_.-", *p) && !(*p >= '0' && *p <= '9') &&
		    !(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z'))
			return false;
	return (is_sane_addr(&f->gateway, IPV4) ||
		is_sane_addr(&f->gateway, IPV6)) &&
	       is_sane_addr(&f->address4, IPV4) &&
	       is_sane_addr(&f->address6, IPV6) &&
	       is_sane_addr(&f->dns4, IPV4) && is_sane_addr(&f->dns6, IPV6) &&
	       are_sane_subnets(f);
}

static void leave_terminal(const struct runner *r)
{
	(void)setsid();
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		(void)dup2(r->null_fd, fd);
}

static void on_engine_gone(struct runner *r)
{
	fd_close(&r->sock_fd);
	/* A goodbye has its time; all else is of no use any more. */
	if (r->pid && r->reason != HOOK_DISCONNECT)
		end_script(r, HOOK_END_HURRY);
	if (r->has_next && r->next.reason != HOOK_DISCONNECT)
		r->has_next = false;
	if (r->has_next || !r->owes_goodbye)
		return;
	r->has_next = true;
	r->next = (struct hook_order){.reason = HOOK_DISCONNECT,
				      .facts = r->facts};
}

static void on_order(struct runner *r)
{
	struct hook_order order;
	ssize_t n = recv(r->sock_fd, &order, sizeof(order), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(order)) {
		on_engine_gone(r);
		return;
	}
	if (order.word == HOOK_WORD_HURRY) {
		end_script(r, HOOK_END_HURRY);
	} else if (order.word == HOOK_WORD_LEAVE) {
		leave_terminal(r);
	} else if (order.word == HOOK_WORD_RUN && is_sane(&order)) {
		r->next = order;
		r->has_next = true;
	}
}

/* Returns a time for poll(2): -1 if nothing is to end. */
static int time_left_ms(const struct runner *r)
{
	mono_us_t now_us = clock_mono_us();

	if (r->pid == 0)
		return -1;
	if (now_us >= r->end_us)
		return 0;
	return (int)((r->end_us - now_us) / US_PER_MS) + 1;
}

static void run(struct runner *r)
{
	while (r->sock_fd >= 0 || r->pid || r->has_next) {
		struct pollfd p[] = {
			{.fd = r->sock_fd, .events = POLLIN},
			{.fd = r->pid ? r->pidfd : -1, .events = POLLIN}};

		if (r->pid == 0 && r->has_next) {
			start_next(r);
			continue;
		}
		int n = poll(p, 2, time_left_ms(r));
		if (n == 0 && r->pid)
			on_time_over(r);
		if (n > 0 && p[1].revents)
			on_script_end(r);
		if (n > 0 && p[0].revents)
			on_order(r);
	}
}

void hook_runner(int sock_fd, const struct hook_plan *plan, pid_t engine)
{
	enum { SOCK_FD = 3 };
	/* Of a terminal they are meant for the engine, which tells us. */
	static const int ignored[] = {SIGINT,  SIGQUIT, SIGHUP, SIGTERM,
				      SIGPIPE, SIGTSTP, SIGTTOU};
	struct runner r = {.plan = plan,
			   .engine = engine,
			   .sock_fd = SOCK_FD,
			   .pidfd = -1};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)prctl(PR_SET_NAME, "ecssh-script");
	/* The broker's socket is among these: it must end with the engine. */
	if (dup2(sock_fd, SOCK_FD) < 0 ||
	    syscall(SYS_close_range, SOCK_FD + 1, ~0U, 0) < 0)
		_exit(1);
	(void)fd_set_cloexec(SOCK_FD, 1);
	r.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (r.null_fd >= 0)
		run(&r);
	_exit(0);
}
