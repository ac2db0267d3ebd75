/* SPDX-License-Identifier: MIT */
/* starter: see starter.h; here, its start and what is said to it. */
#include "starter.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "child.h"
#include "fd.h"
#include "fd_msg.h"
#include "starter_msg.h"

enum {
	PATIENCE_S = 120, /* name servers that are silent take some time */
	END_MS = 3000,
};

struct starter {
	struct child process;
	struct loop_io io; /* fd -1: it has ended */
	struct loop *loop; /* borrowed; NULL: not watched */
	void (*on_gone)(void *ctx);
	void *ctx; /* borrowed */
};

/* ---- its start ---- */

static void be_starter(int sock_fd, const struct ssh_plan *plan)
{
	enum { SOCK_FD = 3 };
	/* Of a terminal they are meant for the engine, which tells us. */
	static const int ignored[] = {SIGINT,  SIGQUIT, SIGHUP, SIGTERM,
				      SIGPIPE, SIGTSTP, SIGTTOU};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)prctl(PR_SET_NAME, "ecssh-starter");
	/* The broker's socket is among these: it must end with the engine. */
	if (dup2(sock_fd, SOCK_FD) < 0 ||
	    syscall(SYS_close_range, SOCK_FD + 1, ~0U, 0) < 0)
		_exit(1);
	(void)fd_set_cloexec(SOCK_FD, 1);
	starter_run(SOCK_FD, plan);
	_exit(0);
}

int starter_new(const struct ssh_plan *plan, struct starter **ret_starter,
		struct err *err)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	struct starter *s = calloc(1, sizeof(*s));
	int socks[2];

	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0) {
		free(s);
		return err_set(err, -errno, "cannot make a socket: %m");
	}
	s->process.pid = fork();
	if (s->process.pid == 0)
		be_starter(socks[1], plan);
	int r = s->process.pid < 0 ? -errno : 0;
	fd_close(&socks[1]);
	s->io.fd = socks[0];
	if (r == 0 && setsockopt(s->io.fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
				 sizeof(patience)) < 0)
		r = -errno;
	if (r < 0) {
		(void)starter_free(s);
		return err_set(err, r, "cannot fork: %s", strerror(-r));
	}
	*ret_starter = s;
	return 0;
}

static void on_readable(void *ctx, uint32_t events)
{
	struct starter *s = ctx;

	(void)events; /* nothing is sent that was not asked for */
	loop_io_del(s->loop, &s->io);
	s->loop = NULL;
	s->on_gone(s->ctx);
}

int starter_watch(struct starter *s, struct loop *loop,
		  void (*on_gone)(void *ctx), void *ctx)
{
	s->on_gone = on_gone;
	s->ctx = ctx;
	s->io.on_event = on_readable;
	s->io.ctx = s;
	int r = loop_io_add(loop, &s->io, EPOLLIN);
	if (r == 0)
		s->loop = loop;
	return r;
}

struct starter *starter_free(struct starter *s)
{
	if (!s)
		return NULL;
	if (s->loop)
		loop_io_del(s->loop, &s->io);
	fd_close(&s->io.fd); /* this is what tells it */
	child_await(&s->process, END_MS);
	free(s);
	return NULL;
}

/* ---- asking ---- */

/* Returns 0, or -errno if there is none. */
static int receive(int sock, struct starter_answer *ret,
		   int fds[STARTER_FDS_MAX])
{
	int n_fds;

	if (fd_msg_receive_all(sock, ret, sizeof(*ret), 0, fds, &n_fds) !=
	    sizeof(*ret))
		return -EPIPE;
	if (n_fds == (int)ret->n_fds)
		return 0;
	/* We have no descriptors left. */
	while (n_fds > 0)
		fd_close(&fds[--n_fds]);
	return -EMFILE;
}

/* Returns the result. */
static int ask(struct starter *s, const struct starter_request *request,
	       struct starter_answer *ret, int fds[STARTER_FDS_MAX])
{
	int none[STARTER_FDS_MAX];

	if (!s || s->io.fd < 0)
		return -EPIPE;
	int r = send(s->io.fd, request, sizeof(*request), MSG_NOSIGNAL) < 0
			? -EPIPE
			: receive(s->io.fd, ret, fds ? fds : none);
	/* An answer that comes late would be taken for the next one's. */
	if (r == -EPIPE)
		(void)shutdown(s->io.fd, SHUT_RDWR);
	return r < 0 ? r : ret->result;
}

/* For answers with one descriptor: returns it. */
static int ask_for_fd(struct starter *s, const struct starter_request *request,
		      struct starter_answer *ret)
{
	int fds[STARTER_FDS_MAX];
	int r = ask(s, request, ret, fds);

	if (r < 0)
		return r;
	return ret->n_fds == 1 ? fds[0] : -EBADMSG;
}

void starter_leave_terminal(struct starter *s)
{
	struct starter_request request = {.type = STARTER_LEAVE};
	struct starter_answer answer;

	(void)ask(s, &request, &answer, NULL);
}

void starter_note(struct starter *s, bool may_exec)
{
	struct starter_request request = {
		.type = may_exec ? STARTER_NOTE_EXEC : STARTER_NOTE_NO_EXEC};
	struct starter_answer answer;

	(void)ask(s, &request, &answer, NULL);
}

int starter_look_up(struct starter *s, struct endpoint *ret, size_t max,
		    struct err *err)
{
	struct starter_request request = {.type = STARTER_LOOK_UP};
	struct starter_answer answer;
	size_t n = 0;
	int r = ask(s, &request, &answer, NULL);

	if (r == -EPIPE)
		return err_set(err, r,
			       "is not looked up: ecssh-starter has ended");
	if (r < 0)
		return err_set(err, r, "%s", answer.err.text);
	for (; n < answer.n_peers && n < max; n++)
		ret[n] = answer.peers[n].remote;
	return (int)n;
}

int starter_start(struct starter *s, const struct ssh_start *start,
		  struct starter_ssh *ret, struct err *err)
{
	struct starter_request request = {.type = STARTER_START,
					  .start = *start};
	struct starter_answer answer;
	int fds[STARTER_FDS_MAX];
	int r = ask(s, &request, &answer, fds);

	if (r == -EPIPE)
		return err_set(err, r,
			       "cannot run ssh: ecssh-starter has ended");
	if (r == -EMFILE)
		return err_set(err, r, "cannot run ssh: %s", strerror(-r));
	if (r < 0)
		return err_set(err, r, "%s", answer.err.text);
	assert_always(answer.n_fds == STARTER_FDS_MAX);
	*ret = (struct starter_ssh){
		.pid = answer.pid,
		.stdin_fd = fds[0],
		.stdout_fd = fds[1],
		.stderr_fd = fds[2],
		.end_fd = fds[3],
	};
	return 0;
}

void starter_end(struct starter *s, pid_t pid, bool kills)
{
	struct starter_request request = {
		.type = kills ? STARTER_KILL : STARTER_TERMINATE, .pid = pid};
	struct starter_answer answer;

	(void)ask(s, &request, &answer, NULL);
}

int starter_connections(struct starter *s, pid_t pid,
			struct ssh_peer *ret_peers, size_t max)
{
	struct starter_request request = {.type = STARTER_CONNECTIONS,
					  .pid = pid};
	struct starter_answer answer;
	int r = pid > 0 ? ask(s, &request, &answer, NULL) : 0;

	if (r < 0 || pid <= 0)
		return r;
	size_t n = answer.n_peers < max ? answer.n_peers : max;
	memcpy(ret_peers, answer.peers, n * sizeof(*ret_peers));
	return (int)n;
}

int starter_find_peers(struct starter *s, pid_t pid, struct ip_addr *ret_addrs,
		       size_t max)
{
	struct ssh_peer peers[STARTER_PEERS_MAX];
	int n = starter_connections(s, pid, peers, STARTER_PEERS_MAX);

	return n < 0 ? n : ssh_peers_addrs(peers, (size_t)n, ret_addrs, max);
}

int starter_lend(void *ctx, pid_t pid, bool is_first)
{
	struct starter_request request = {
		.type = is_first ? STARTER_FIND_SOCKET : STARTER_LEND_SOCKET,
		.pid = pid};
	struct starter_answer answer;

	return ask_for_fd(ctx, &request, &answer);
}

/* ---- forwardings and places ---- */

int starter_forward(struct starter *s, uint32_t number)
{
	struct starter_request request = {.type = STARTER_FORWARD,
					  .place = number};
	struct starter_answer answer;

	return ask_for_fd(s, &request, &answer);
}

static void ask_about_listener(struct starter *s,
			       enum starter_request_type type, uint32_t i)
{
	struct starter_request request = {.type = type, .listener = i};
	struct starter_answer answer;

	(void)ask(s, &request, &answer, NULL);
}

void starter_listener_clear(struct starter *s, uint32_t i)
{
	ask_about_listener(s, STARTER_LISTENER_CLEAR, i);
}

void starter_listener_note(struct starter *s, uint32_t i)
{
	ask_about_listener(s, STARTER_LISTENER_NOTE, i);
}

int starter_place_new(struct starter *s, struct starter_place *ret)
{
	struct starter_request request = {.type = STARTER_PLACE_NEW};
	struct starter_answer answer;
	int fd = ask_for_fd(s, &request, &answer);

	if (fd < 0)
		return fd;
	ret->number = answer.place;
	memcpy(ret->path, answer.path, sizeof(ret->path));
	return fd;
}

int starter_place_connect(struct starter *s, uint32_t number)
{
	struct starter_request request = {.type = STARTER_PLACE_CONNECT,
					  .place = number};
	struct starter_answer answer;

	return ask_for_fd(s, &request, &answer);
}

int starter_place_tidy(struct starter *s, uint32_t number)
{
	struct starter_request request = {.type = STARTER_PLACE_TIDY,
					  .place = number};
	struct starter_answer answer;

	return ask(s, &request, &answer, NULL);
}

void starter_place_free(struct starter *s, uint32_t number)
{
	struct starter_request request = {.type = STARTER_PLACE_FREE,
					  .place = number};
	struct starter_answer answer;

	(void)ask(s, &request, &answer, NULL);
}
