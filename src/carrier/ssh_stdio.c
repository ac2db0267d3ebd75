/* SPDX-License-Identifier: MIT */
/*
 * ssh_stdio: from a destination to a running helper, over the user's own ssh.
 *
 * Theory of operation
 *   One struct, one process, three descriptors.  The hello is written at once;
 *   ssh takes it when the server has accepted the command, so an empty pipe
 *   means that the login is over and the answer is due (STAGE_LOGIN ->
 *   STAGE_ANSWER).  Then stdout goes through boot_feed until the helper is
 *   ready; the upload is written as the pipe takes it.
 *
 *   What is to be told is told from a task at the end of the loop's turn, so
 *   that the receiver may free us, and nothing of ours is on the stack then.
 *   An outcome is decided once: verdict() and is_ready are final.
 *
 *   When ssh ends, what is left in its two output pipes is read first: the
 *   reason is in there.
 *
 * Ownership
 *   Until on_ready all three descriptors are the child's; then stdin and
 *   stdout are the receiver's, and stderr and the process stay here.
 */
#include "ssh_stdio.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "boot_script.h"
#include "escape.h"
#include "fd.h"
#include "ssh_child.h"
#include "ssh_words.h"

enum {
	READ_BYTES = 64 * 1024,
	UPLOAD_CHUNK_BYTES = 256 * 1024,
	DEFAULT_ANSWER_TIMEOUT_MS = 60000,
	LOGIN_POLL_MS = 100, /* only until the login is over */
	/* A line on stderr waits so long for ssh's end: see ssh_words.h. */
	WORDS_HOLD_MS = 200,
	/* After ssh's end, this much more may be read of a stderr that others,
	 * such as a ProxyCommand, still write to. */
	LAST_WORDS_BYTES = 64 * 1024,
};

enum stage {
	STAGE_LOGIN,  /* ssh has not taken the hello: no deadline */
	STAGE_ANSWER, /* deadline: answer_timer */
	STAGE_READY,  /* stdin and stdout are given, or about to be */
	STAGE_OVER    /* the verdict is spoken */
};

struct ssh_stdio {
	struct loop *loop;		 /* borrowed */
	const struct ssh_stdio_ops *ops; /* borrowed */
	void *ctx;			 /* borrowed */
	enum stage stage;
	struct ssh_child child;
	struct loop_io stdin_io, stdout_io, stderr_io;
	bool is_stdin_watched, is_stdout_watched, is_stderr_watched;
	bool is_bare;
	struct timer login_timer, answer_timer, words_timer;
	struct loop_task tell_task;
	struct boot boot;
	const struct helper_file *helper; /* borrowed; NULL if is_bare */
	size_t n_sent;			  /* bytes of it */
	struct ssh_words words;
	char host[SSH_DEST_HOST_MAX + 1];     /* escaping is not needed: see
						 ssh_dest.h */
	char user[4 * SSH_DEST_USER_MAX + 1]; /* escaped */
	uint32_t answer_timeout_ms;
	bool is_ready_untold, is_end_untold; /* for the task */
	int exit_code;			     /* both valid if is_end_untold */
	struct err err;
	size_t leftover_at, leftover_len; /* in buf, while is_ready_untold */
	uint8_t buf[READ_BYTES];
};

static struct ssh_verdict_who who(const struct ssh_stdio *s)
{
	return (struct ssh_verdict_who){.host = s->host, .user = s->user};
}

/* ---- descriptors ---- */

static void unwatch(struct ssh_stdio *s, struct loop_io *io, bool *is_watched)
{
	if (*is_watched)
		loop_io_del(s->loop, io);
	*is_watched = false;
}

static int watch(struct ssh_stdio *s, struct loop_io *io, bool *is_watched,
		 uint32_t events)
{
	int r = loop_io_add(s->loop, io, events);

	*is_watched = r == 0;
	return r;
}

static void unwatch_boot(struct ssh_stdio *s)
{
	unwatch(s, &s->stdin_io, &s->is_stdin_watched);
	unwatch(s, &s->stdout_io, &s->is_stdout_watched);
	timer_disarm(s->loop, &s->login_timer);
	timer_disarm(s->loop, &s->answer_timer);
}

static void unwatch_words(struct ssh_stdio *s)
{
	unwatch(s, &s->stderr_io, &s->is_stderr_watched);
	timer_disarm(s->loop, &s->words_timer);
}

/* ---- telling ---- */

/* Runs at the end of a turn.  Each call may free s. */
static void on_tell(void *ctx)
{
	struct ssh_stdio *s = ctx;

	if (s->is_ready_untold) {
		struct ssh_stdio_ready ready = {
			.rfd = fd_take(&s->child.stdout_fd),
			.wfd = fd_take(&s->child.stdin_fd),
			.leftover = s->buf + s->leftover_at,
			.leftover_len = s->leftover_len,
			.origin = s->boot.origin,
			.helper_version = s->boot.version,
		};
		s->is_ready_untold = false;
		if (s->is_end_untold)
			loop_post(s->loop, &s->tell_task);
		s->ops->on_ready(s->ctx, &ready);
		return;
	}
	if (!s->is_end_untold)
		return;
	s->is_end_untold = false;
	if (s->stage == STAGE_READY)
		s->ops->on_exited(s->ctx, s->exit_code, &s->err);
	else
		s->ops->on_failed(s->ctx, s->exit_code, &s->err);
}

/* The dialogue is over; s->err has been written. */
static void verdict(struct ssh_stdio *s, int exit_code)
{
	s->stage = STAGE_OVER;
	s->exit_code = exit_code;
	s->is_end_untold = true;
	unwatch_boot(s);
	unwatch_words(s);
	ssh_words_show(&s->words);
	ssh_child_terminate(&s->child);
	loop_post(s->loop, &s->tell_task);
}

static void become_ready(struct ssh_stdio *s, size_t at, size_t len)
{
	s->stage = STAGE_READY;
	s->is_ready_untold = true;
	s->leftover_at = at;
	s->leftover_len = len;
	unwatch_boot(s);
	ssh_words_forget(&s->words);
	loop_post(s->loop, &s->tell_task);
}

/* ---- the end of the login ---- */

static void await_answer(struct ssh_stdio *s)
{
	s->stage = STAGE_ANSWER;
	ssh_words_end_prompts(&s->words);
	timer_disarm(s->loop, &s->login_timer);
	timer_arm(s->loop, &s->answer_timer, s->answer_timeout_ms * US_PER_MS);
}

/* ssh takes the hello when the server has accepted the command. */
static void check_login(struct ssh_stdio *s)
{
	int n_unread = 0;

	if (!s->is_bare && s->stage == STAGE_LOGIN &&
	    ioctl(s->child.stdin_fd, FIONREAD, &n_unread) == 0 && n_unread == 0)
		await_answer(s);
}

static void on_login_timer(void *ctx)
{
	struct ssh_stdio *s = ctx;

	check_login(s);
	if (s->stage == STAGE_LOGIN)
		timer_arm(s->loop, &s->login_timer, LOGIN_POLL_MS * US_PER_MS);
}

/* ---- stderr ---- */

static void on_line(void *ctx, const char *line)
{
	struct ssh_stdio *s = ctx;

	s->ops->on_message(s->ctx, line);
}

static void on_words_timer(void *ctx)
{
	struct ssh_stdio *s = ctx;

	ssh_words_show(&s->words);
	if (s->stage == STAGE_READY)
		ssh_words_forget(&s->words);
}

/* Returns the number of bytes read, 0 if there are none now or ever. */
static size_t read_words(struct ssh_stdio *s)
{
	char bytes[4096];
	ssize_t n = read(s->child.stderr_fd, bytes, sizeof(bytes));

	if (n > 0) {
		ssh_words_feed(&s->words, bytes, (size_t)n);
		return (size_t)n;
	}
	/* A pty says EIO when the other side is closed. */
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		unwatch(s, &s->stderr_io, &s->is_stderr_watched);
	return 0;
}

static void on_stderr(void *ctx, uint32_t events)
{
	struct ssh_stdio *s = ctx;

	(void)events;
	check_login(s);
	if (read_words(s) > 0 && ssh_words_has_held(&s->words) &&
	    !timer_is_armed(&s->words_timer))
		timer_arm(s->loop, &s->words_timer, WORDS_HOLD_MS * US_PER_MS);
}

static void read_last_words(struct ssh_stdio *s)
{
	size_t n_total = 0, n;

	while (n_total < LAST_WORDS_BYTES && (n = read_words(s)) > 0)
		n_total += n;
}

/* ---- stdin and stdout, until the helper is ready ---- */

static void on_answer_timer(void *ctx)
{
	struct ssh_stdio *s = ctx;
	struct ssh_verdict_who w = who(s);

	verdict(s, ssh_verdict_timeout(&w, &s->boot, s->answer_timeout_ms,
				       &s->err));
}

/* The pipe takes more of the upload. */
static void on_stdin(void *ctx, uint32_t events)
{
	struct ssh_stdio *s = ctx;
	size_t left = s->helper->len - s->n_sent;
	ssize_t n = 0;

	(void)events;
	if (left > 0)
		n = write(s->child.stdin_fd, s->helper->bytes + s->n_sent,
			  left < UPLOAD_CHUNK_BYTES ? left
						    : UPLOAD_CHUNK_BYTES);
	if (n < 0) {
		/* Nobody reads any more: the reason comes in another way. */
		if (errno != EAGAIN && errno != EINTR)
			unwatch(s, &s->stdin_io, &s->is_stdin_watched);
		return;
	}
	s->n_sent += (size_t)n;
	if (s->n_sent == s->helper->len)
		unwatch(s, &s->stdin_io, &s->is_stdin_watched);
	await_answer(s);
}

static void upload(struct ssh_stdio *s)
{
	struct ssh_verdict_who w = who(s);

	if (!helper_file_fits(s->helper, s->boot.os, s->boot.machine)) {
		verdict(s, ssh_verdict_wrong_machine(
				   &w, &s->boot, s->helper->machine, &s->err));
		return;
	}
	int r = watch(s, &s->stdin_io, &s->is_stdin_watched, EPOLLOUT);
	if (r < 0)
		verdict(s, err_set(&s->err, SSH_STDIO_EXIT_RUNTIME,
				   "cannot wait for ssh: %s", strerror(-r)));
}

static void take_event(struct ssh_stdio *s, enum boot_event event)
{
	struct ssh_verdict_who w = who(s);

	switch (event) {
	case BOOT_NOTHING:
	case BOOT_RUN:
	case BOOT_READY:
		break;
	case BOOT_NEED:
		upload(s);
		break;
	case BOOT_FAILED:
		verdict(s, ssh_verdict_boot_failed(&w, &s->boot, s->helper->len,
						   &s->err));
		break;
	case BOOT_NOISE_LIMIT:
		verdict(s, ssh_verdict_noise(&w, &s->err));
		break;
	case BOOT_BAD:
		verdict(s, ssh_verdict_nonsense(&w, &s->err));
		break;
	}
}

/* Read once.  Returns true if there may be more for the bootstrap. */
static bool read_answer(struct ssh_stdio *s)
{
	ssize_t n = read(s->child.stdout_fd, s->buf, sizeof(s->buf));
	enum boot_event event = BOOT_NOTHING;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) { /* the verdict waits for ssh's end */
		unwatch(s, &s->stdout_io, &s->is_stdout_watched);
		return false;
	}
	if (s->stage == STAGE_LOGIN && !s->is_bare)
		await_answer(s);
	for (size_t at = 0; at < (size_t)n && s->stage == STAGE_ANSWER;) {
		at += boot_feed(&s->boot, s->buf + at, (size_t)n - at, &event);
		if (event == BOOT_READY)
			become_ready(s, at, (size_t)n - at);
		else
			take_event(s, event);
		if (event == BOOT_NEED || event == BOOT_RUN)
			if (s->stage == STAGE_ANSWER)
				await_answer(s);
	}
	return s->stage == STAGE_ANSWER;
}

static void on_stdout(void *ctx, uint32_t events)
{
	(void)events;
	(void)read_answer(ctx);
}

/* ---- the end of ssh ---- */

static void on_exit_of_ssh(void *ctx, int wait_status)
{
	struct ssh_stdio *s = ctx;
	struct ssh_verdict_who w = who(s);
	char cause[SSH_WORDS_LINE_MAX];

	if (s->stage == STAGE_OVER)
		return;
	while (s->stage < STAGE_READY && read_answer(s))
		;
	if (s->stage == STAGE_OVER)
		return;
	read_last_words(s);
	enum ssh_words_rank rank =
		ssh_words_take_cause(&s->words, cause, sizeof(cause));
	unwatch_words(s);
	ssh_words_show(&s->words);
	if (s->stage == STAGE_READY) {
		s->exit_code = s->is_bare ? ssh_verdict_lost(&w, cause, &s->err)
					  : ssh_verdict_ended(&w, wait_status,
							      cause, &s->err);
		s->is_end_untold = true;
		loop_post(s->loop, &s->tell_task);
		return;
	}
	boot_feed_end(&s->boot);
	verdict(s, ssh_verdict_ended_early(&w, &s->boot, wait_status, cause,
					   rank, &s->err));
}

/* ---- start and end ---- */

static int make_marker(char marker[BOOT_MARKER_LEN + 1])
{
	uint8_t bytes[BOOT_MARKER_LEN / 2];

	if (getentropy(bytes, sizeof(bytes)) < 0)
		return -errno;
	(void)sodium_bin2hex(marker, BOOT_MARKER_LEN + 1, bytes, sizeof(bytes));
	return 0;
}

static int open_child(struct ssh_stdio *s, const struct ssh_stdio_config *c,
		      struct err *err)
{
	struct ssh_start start = {
		.kind = c->is_bare ? SSH_START_BARE : SSH_START_HELPER,
		.flags = c->flags,
		.place = c->place,
	};

	if (c->pins)
		start.pins = *c->pins;
	memcpy(start.marker, s->boot.marker, sizeof(start.marker));
	return ssh_child_open(&s->child, c->starter, &start, err);
}

/* The pipe is new and empty: the hello fits. */
static int send_hello(struct ssh_stdio *s)
{
	int r = fd_write_all(s->child.stdin_fd, BOOT_SCRIPT_HELLO,
			     strlen(BOOT_SCRIPT_HELLO));

	return r == -EPIPE ? 0 : r; /* ended already: its status tells why */
}

static void init_handlers(struct ssh_stdio *s)
{
	struct ssh_child *c = &s->child;

	s->stdin_io = (struct loop_io){
		.fd = c->stdin_fd, .on_event = on_stdin, .ctx = s};
	s->stdout_io = (struct loop_io){
		.fd = c->stdout_fd, .on_event = on_stdout, .ctx = s};
	s->stderr_io = (struct loop_io){
		.fd = c->stderr_fd, .on_event = on_stderr, .ctx = s};
	c->on_exit = on_exit_of_ssh;
	c->ctx = s;
	s->login_timer = (struct timer){.on_fire = on_login_timer, .ctx = s};
	s->answer_timer = (struct timer){.on_fire = on_answer_timer, .ctx = s};
	s->words_timer = (struct timer){.on_fire = on_words_timer, .ctx = s};
}

static int watch_child(struct ssh_stdio *s, struct err *err)
{
	int r;

	init_handlers(s);
	if ((!s->is_bare && (r = send_hello(s)) < 0) ||
	    (r = watch(s, &s->stdout_io, &s->is_stdout_watched, EPOLLIN)) < 0 ||
	    (r = watch(s, &s->stderr_io, &s->is_stderr_watched, EPOLLIN)) < 0 ||
	    (r = ssh_child_watch(s->loop, &s->child)) < 0)
		return err_set(err, r, "cannot wait for ssh: %s", strerror(-r));
	if (!s->is_bare)
		timer_arm(s->loop, &s->login_timer, LOGIN_POLL_MS * US_PER_MS);
	return 0;
}

static int start(struct ssh_stdio *s, const struct ssh_stdio_config *c,
		 struct err *err)
{
	char marker[BOOT_MARKER_LEN + 1];
	const char *user = c->config->user;

	memcpy(s->host, c->dest->host, sizeof(s->host));
	(void)escape_text(user, strlen(user), s->user, sizeof(s->user));
	s->answer_timeout_ms = c->answer_timeout_ms ? c->answer_timeout_ms
						    : DEFAULT_ANSWER_TIMEOUT_MS;
	ssh_words_init(&s->words, on_line, s);
	int r = make_marker(marker);
	if (r < 0)
		return err_set(err, r, "no random numbers: %s", strerror(-r));
	boot_init(&s->boot, marker);
	s->is_bare = c->is_bare;
	s->helper = c->helper;
	r = open_child(s, c, err);
	if (r < 0)
		return r;
	return watch_child(s, err);
}

struct ssh_stdio *ssh_stdio_start(struct loop *loop,
				  const struct ssh_stdio_config *config,
				  const struct ssh_stdio_ops *ops, void *ctx,
				  struct err *err)
{
	struct ssh_stdio *s = calloc(1, sizeof(*s));

	if (!s) {
		(void)err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	s->loop = loop;
	s->ops = ops;
	s->ctx = ctx;
	s->child = (struct ssh_child)SSH_CHILD_NONE;
	list_init(&s->tell_task.link);
	s->tell_task.on_run = on_tell;
	s->tell_task.ctx = s;
	if (start(s, config, err) < 0)
		return ssh_stdio_free(s);
	return s;
}

bool ssh_stdio_has_shell(const struct ssh_stdio *s)
{
	return s->boot.has_need || s->boot.has_run || s->boot.has_failed;
}

void ssh_stdio_on_login(struct ssh_stdio *s)
{
	if (s->stage != STAGE_LOGIN)
		return;
	s->stage = STAGE_READY;
	ssh_words_end_prompts(&s->words);
	unwatch_boot(s);
	ssh_words_forget(&s->words);
}

pid_t ssh_stdio_pid(const struct ssh_stdio *s)
{
	return s->child.pid;
}

struct ssh_stdio *ssh_stdio_free(struct ssh_stdio *s)
{
	if (!s)
		return NULL;
	loop_unpost(&s->tell_task);
	unwatch_boot(s);
	unwatch_words(s);
	ssh_child_close(&s->child);
	free(s);
	return NULL;
}
