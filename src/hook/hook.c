/* SPDX-License-Identifier: MIT */
/* hook: the user's script, run as the tunnel comes and goes. */
#include "hook.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "escape.h"
#include "fd.h"
#include "hook_runner.h"
#include "log.h"

enum { SHOWN_MAX = 200 };

struct hook {
	const struct hook_plan *plan; /* borrowed */
	struct child runner;
	struct loop *loop; /* borrowed; NULL: not watched */
	struct loop_io io; /* fd -1: the runner has ended */
	void (*on_done)(void *ctx, enum hook_reason reason);
	void *ctx;
	unsigned n_running;	 /* scripts asked for that have not ended */
	enum hook_reason reason; /* of the last of them */
	bool owes_goodbye;	 /* connect was said, disconnect not */
};

/* ---- which script ---- */

static bool is_executable(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       access(path, X_OK) == 0;
}

/* dir/word, if that can be executed; else NULL. */
static char *executable_in(const char *dir, size_t dir_len, const char *word)
{
	char *path = NULL;

	if (asprintf(&path, "%.*s/%s", (int)dir_len, dir, word) < 0)
		return NULL;
	if (path[0] == '/' && is_executable(path))
		return path;
	free(path);
	return NULL;
}

static char *find_in_path(const char *word)
{
	const char *at = getenv("PATH");
	char *path = NULL;

	while (at && !path) {
		size_t len = strcspn(at, ":");

		path = executable_in(at, len, word);
		at = at[len] ? at + len + 1 : NULL;
	}
	return path;
}

static int no_script(const char *word, struct err *err)
{
	char shown[SHOWN_MAX];
	struct stat st;

	escape_text(word, strlen(word), shown, sizeof(shown));
	if (strchr(word, '/') && stat(word, &st) == 0 && S_ISREG(st.st_mode))
		return err_set(err, -ENOENT,
			       "the script \"%s\" cannot be run: you may not "
			       "execute it; chmod +x makes it executable",
			       shown);
	return err_set(err, -ENOENT,
		       "the script \"%s\" cannot be run: give the name of one "
		       "executable file, without arguments",
		       shown);
}

int hook_find(const char *word, char **ret_path, struct err *err)
{
	char cwd[PATH_MAX];
	char *path = NULL;

	if (word[0] == '/')
		path = executable_in("", 0, word + 1);
	else if (!strchr(word, '/'))
		path = word[0] ? find_in_path(word) : NULL;
	else if (getcwd(cwd, sizeof(cwd)))
		path = executable_in(cwd, strlen(cwd), word);
	if (path) {
		*ret_path = path;
		return 0;
	}
	return no_script(word, err);
}

/* ---- the runner ---- */

int hook_new(const struct hook_plan *plan, struct hook **ret_hook,
	     struct err *err)
{
	int socks[2];
	pid_t engine = getpid();
	struct hook *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(err, -ENOMEM, "out of memory");
	if (!is_executable(plan->script)) {
		free(h);
		return no_script(plan->script, err);
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0) {
		free(h);
		return err_set(err, -errno, "cannot make a socket: %m");
	}
	h->plan = plan;
	h->runner.pid = fork();
	if (h->runner.pid == 0)
		hook_runner(socks[1], plan, engine);
	fd_close(&socks[1]);
	h->io.fd = socks[0];
	if (h->runner.pid < 0) {
		int r = err_set(err, -errno, "cannot fork: %m");

		(void)hook_free(h);
		return r;
	}
	*ret_hook = h;
	return 0;
}

static void warn(const struct hook *h, const struct hook_report *report)
{
	const char *when = hook_reason_name((enum hook_reason)report->reason);
	char shown[SHOWN_MAX];

	escape_text(h->plan->script, strlen(h->plan->script), shown,
		    sizeof(shown));
	switch ((enum hook_end)report->end) {
	case HOOK_END_EXIT:
		if (report->value != 0)
			log_warn("%s failed at %s, ignoring: exit status %d",
				 shown, when, report->value);
		return;
	case HOOK_END_SIGNAL:
		log_warn("%s failed at %s, ignoring: killed by signal %d",
			 shown, when, report->value);
		return;
	case HOOK_END_TIMEOUT:
		log_warn("%s was ended at %s, ignoring: it took longer than "
			 "%d s",
			 shown, when, report->value);
		return;
	case HOOK_END_HURRY:
		log_warn("%s was ended at %s: the tunnel ends", shown, when);
		return;
	case HOOK_END_NOT_STARTED:
		log_warn("%s cannot be run at %s, ignoring: %s", shown, when,
			 strerror(report->value));
		return;
	}
}

static void on_runner_gone(struct hook *h)
{
	bool was_running = h->n_running > 0;

	loop_io_del(h->loop, &h->io);
	fd_close(&h->io.fd);
	h->n_running = 0;
	log_warn("the process that runs the script has ended, ignoring");
	if (was_running)
		h->on_done(h->ctx, h->reason);
}

static void on_report(void *ctx, uint32_t events)
{
	struct hook *h = ctx;
	struct hook_report report;
	ssize_t n = recv(h->io.fd, &report, sizeof(report), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(report)) {
		on_runner_gone(h);
		return;
	}
	warn(h, &report);
	if (h->n_running > 0)
		h->n_running--;
	h->on_done(h->ctx, (enum hook_reason)report.reason);
}

int hook_watch(struct hook *h, struct loop *loop,
	       void (*on_done)(void *ctx, enum hook_reason reason), void *ctx)
{
	h->on_done = on_done;
	h->ctx = ctx;
	h->io.on_event = on_report;
	h->io.ctx = h;
	int r = loop_io_add(loop, &h->io, EPOLLIN);
	if (r == 0)
		h->loop = loop;
	return r;
}

static bool order(struct hook *h, const struct hook_order *order)
{
	return h && h->io.fd >= 0 &&
	       send(h->io.fd, order, sizeof(*order),
		    MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(*order);
}

bool hook_run(struct hook *h, enum hook_reason reason,
	      const struct hook_facts *facts)
{
	struct hook_order run = {
		.word = HOOK_WORD_RUN, .reason = reason, .facts = *facts};

	if (!h || (reason == HOOK_DISCONNECT && !h->owes_goodbye))
		return false;
	if (reason == HOOK_CONNECT)
		h->owes_goodbye = true;
	if (reason == HOOK_DISCONNECT) {
		h->owes_goodbye = false;
		hook_hurry(h);
	}
	if (!order(h, &run))
		return false;
	h->n_running++;
	h->reason = reason;
	return true;
}

void hook_hurry(struct hook *h)
{
	struct hook_order hurry = {.word = HOOK_WORD_HURRY};

	(void)order(h, &hurry);
}

void hook_leave_terminal(struct hook *h)
{
	struct hook_order leave = {.word = HOOK_WORD_LEAVE};

	(void)order(h, &leave);
}

struct hook *hook_free(struct hook *h)
{
	enum { END_MS = (HOOK_GRACE_S + 1) * 1000 };

	if (!h)
		return NULL;
	if (h->loop && h->io.fd >= 0)
		loop_io_del(h->loop, &h->io);
	fd_close(&h->io.fd); /* this is what tells it */
	child_await(&h->runner, END_MS);
	free(h);
	return NULL;
}
