/* SPDX-License-Identifier: MIT */
/*
 * starter_run: see starter.h; here, the process itself.
 *
 * It believes nothing that it is asked for: kinds, numbers and addresses are
 * checked, a pid has to be that of a child, and a place one of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "addr_lookup.h"
#include "clock.h"
#include "fd.h"
#include "fd_msg.h"
#include "mux_link.h"
#include "ssh_socket.h"
#include "ssh_spawn.h"
#include "starter_msg.h"
#include "unix_path.h"

enum { GRACE_MS = 500 };

/* An ssh. */
struct started {
	pid_t pid;  /* 0: this is free */
	int pidfd;  /* owned, as the next */
	int end_fd; /* its status is written there */
	struct ssh_held socket;
};

struct place {
	bool is_used;
	struct mux_dir dir;
};

/* What ssh answers goes to the engine, and nothing comes from there. */
struct relay {
	bool is_used;
	int ssh_fd, out_fd; /* owned */
};

struct process {
	const struct ssh_plan *plan; /* borrowed */
	int sock;
	struct started all[STARTER_SSH_MAX];
	struct place places[STARTER_PLACES_MAX]; /* number - 1 */
	/* What ssh has made at the paths of the plan. */
	struct unix_path_id listeners[MUX_FORWARDS_MAX];
	struct relay relays[STARTER_RELAYS_MAX];
};

/* What an answer comes with; owned until it is sent. */
struct fds {
	int at[STARTER_FDS_MAX];
	uint32_t n;
};

static void put_fd(struct fds *fds, int fd)
{
	fds->at[fds->n++] = fd;
}

/* ---- each ssh ---- */

static struct started *find(struct process *p, pid_t pid)
{
	for (size_t i = 0; pid > 0 && i < STARTER_SSH_MAX; i++)
		if (p->all[i].pid == pid)
			return &p->all[i];
	return NULL;
}

static struct started *free_entry(struct process *p)
{
	for (size_t i = 0; i < STARTER_SSH_MAX; i++)
		if (p->all[i].pid == 0)
			return &p->all[i];
	return NULL;
}

static struct place *find_place(struct process *p, uint32_t number)
{
	return number > 0 && number <= STARTER_PLACES_MAX &&
			       p->places[number - 1].is_used
		       ? &p->places[number - 1]
		       : NULL;
}

/* Returns false as long as it is not to be reaped. */
static bool reap(struct started *s)
{
	int status;

	if (waitpid(s->pid, &status, WNOHANG) != s->pid)
		return false;
	/* The pipe is empty; nobody reads it if the engine has gone. */
	(void)!write(s->end_fd, &status, sizeof(status));
	fd_close(&s->end_fd);
	fd_close(&s->pidfd);
	*s = (struct started){.pid = 0};
	return true;
}

/* Returns 0 or -errno with err. */
static int take_child(struct started *s, const struct ssh_spawn *spawned,
		      struct fds *fds, struct err *err)
{
	int end[2];

	if (pipe2(end, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(err, -errno, "cannot wait for ssh: %m");
	*s = (struct started){.pid = spawned->pid, .end_fd = end[1]};
	put_fd(fds, end[0]);
	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	if (s->pidfd >= 0)
		return 0;
	return err_set(err, -errno, "cannot wait for ssh: %m");
}

static void give_up(pid_t pid, struct started *s)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	fd_close(&s->end_fd);
	*s = (struct started){.pid = 0};
}

static int start(struct process *p, const struct ssh_start *start,
		 struct starter_answer *answer, struct fds *fds)
{
	struct place *place = find_place(p, start->place);
	struct started *s = free_entry(p);
	struct ssh_start_cmd cmd;
	struct ssh_spawn spawned;
	bool is_background =
		p->plan->is_background || start->kind == SSH_START_JOIN;

	if (!s)
		return err_set(&answer->err, -EAGAIN,
			       "cannot run ssh: so many of them run already");
	if (start->place != 0 && !place)
		return err_set(&answer->err, -EPERM,
			       "there is no such place for a control socket");
	int r = ssh_start_build(p->plan, start, place ? place->dir.path : NULL,
				&cmd, &answer->err);
	if (r == 0)
		r = ssh_spawn(cmd.cmd.argv, is_background, &spawned,
			      &answer->err);
	if (r < 0)
		return r;
	put_fd(fds, spawned.stdin_fd);
	put_fd(fds, spawned.stdout_fd);
	put_fd(fds, spawned.stderr_fd);
	s->end_fd = -1;
	r = take_child(s, &spawned, fds, &answer->err);
	if (r < 0)
		give_up(spawned.pid, s);
	answer->pid = spawned.pid;
	return r;
}

static int terminate(const struct started *s)
{
	(void)kill(s->pid, SIGTERM); /* a zombie does not mind */
	(void)kill(s->pid, SIGCONT); /* a stopped one must see it */
	return 0;
}

/* ---- its connections ---- */

static int connections(const struct started *s, struct starter_answer *answer)
{
	int n = ssh_peers_connections(s->pid, answer->peers, STARTER_PEERS_MAX);

	answer->n_peers = n > 0 ? (uint32_t)n : 0;
	return n;
}

static int lend(struct started *s, bool is_first, struct fds *fds)
{
	int fd = ssh_held_lend(&s->socket, s->pid, is_first);

	if (fd >= 0)
		put_fd(fds, fd);
	return fd < 0 ? fd : 0;
}

/* ---- places ---- */

static int place_new(struct process *p, struct starter_answer *answer,
		     struct fds *fds)
{
	for (uint32_t i = 0; i < STARTER_PLACES_MAX; i++) {
		struct place *place = &p->places[i];

		if (place->is_used)
			continue;
		int fd = mux_dir_open(&place->dir);
		if (fd < 0)
			return fd;
		place->is_used = true;
		put_fd(fds, fd);
		answer->place = i + 1;
		memcpy(answer->path, place->dir.path, sizeof(answer->path));
		return 0;
	}
	return -EAGAIN;
}

static int place_connect(struct place *place, struct fds *fds)
{
	CLEANUP_FD int fd = mux_dir_connect(&place->dir);
	int r = fd < 0 ? fd : mux_link_greet(fd);

	if (r == 0)
		put_fd(fds, fd_take(&fd));
	return r;
}

static int place_free(struct place *place)
{
	mux_dir_close(&place->dir);
	place->is_used = false;
	return 0;
}

/* ---- sockets that ssh listens at ---- */

static const char *listen_path(const struct process *p, uint32_t i)
{
	const struct mux_forward_spec *f = &p->plan->forwards[i];

	return i < p->plan->n_forwards && f->kind == MUX_FORWARD_LOCAL &&
			       f->listen.is_path
		       ? f->listen.host
		       : NULL;
}

static void remove_listener(struct process *p, uint32_t i)
{
	const char *path = listen_path(p, i);

	if (path && p->listeners[i].ino)
		unix_path_remove(path, p->listeners[i]);
	if (path)
		p->listeners[i].ino = 0;
}

static int listener_clear(struct process *p, uint32_t i)
{
	const char *path = listen_path(p, i);

	if (!path)
		return -ENOENT;
	remove_listener(p, i);
	return unix_path_remove_stale(path);
}

static int listener_note(struct process *p, uint32_t i)
{
	const char *path = listen_path(p, i);

	if (!path)
		return -ENOENT;
	p->listeners[i] = unix_path_identify(path);
	return 0;
}

/* ---- forwardings ---- */

static struct relay *free_relay(struct process *p)
{
	for (size_t i = 0; i < STARTER_RELAYS_MAX; i++)
		if (!p->relays[i].is_used)
			return &p->relays[i];
	return NULL;
}

static void relay_close(struct relay *r)
{
	fd_close(&r->ssh_fd);
	fd_close(&r->out_fd);
	r->is_used = false;
}

/* Answers are short and few: if the pipe is full, nobody reads it. */
static void relay_pass(struct relay *r)
{
	char bytes[4096];
	ssize_t n = read(r->ssh_fd, bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || write(r->out_fd, bytes, (size_t)n) != n)
		relay_close(r);
}

static int ask_for_all(struct process *p, int ssh_fd)
{
	int r = mux_forward_greet(ssh_fd);

	for (uint32_t i = 0; i < p->plan->n_forwards && r == 0; i++) {
		/* If that fails so does ssh, and says why. */
		(void)listener_clear(p, i);
		r = mux_forward_send(ssh_fd, i, &p->plan->forwards[i]);
	}
	return r;
}

static int forward(struct process *p, struct place *place, struct fds *fds)
{
	struct relay *relay = free_relay(p);
	int out[2];

	if (!relay)
		return -EAGAIN;
	CLEANUP_FD int ssh_fd = mux_dir_connect(&place->dir);
	int r = ssh_fd < 0 ? ssh_fd : ask_for_all(p, ssh_fd);
	if (r < 0)
		return r;
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	put_fd(fds, out[0]);
	*relay = (struct relay){true, fd_take(&ssh_fd), out[1]};
	return 0;
}

/* ---- requests ---- */

static int leave_terminal(void)
{
	CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setsid();
	for (int fd = 0; null_fd >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null_fd, fd);
	return 0;
}

static int look_up(const struct ssh_plan *plan, struct starter_answer *answer)
{
	struct endpoint found[STARTER_PEERS_MAX];

	if (!plan->proxy_host || plan->proxy_host[0] == '\0')
		return err_set(&answer->err, -EPERM, "is none");
	int n = addr_lookup(plan->proxy_host, plan->proxy_port, found,
			    STARTER_PEERS_MAX, &answer->err);
	for (int i = 0; i < n; i++)
		answer->peers[i].remote = found[i];
	answer->n_peers = n > 0 ? (uint32_t)n : 0;
	return n;
}

static int note(const struct process *p, bool may_exec)
{
	if (p->plan->on_note)
		p->plan->on_note(p->plan->ctx, may_exec);
	return 0;
}

static int handle(struct process *p, const struct starter_request *request,
		  struct starter_answer *answer, struct fds *fds)
{
	struct started *s = find(p, request->pid);
	struct place *place = find_place(p, request->place);

	switch ((enum starter_request_type)request->type) {
	case STARTER_START:
		return start(p, &request->start, answer, fds);
	case STARTER_TERMINATE:
		return s ? terminate(s) : -ESRCH;
	case STARTER_KILL:
		return s && kill(s->pid, SIGKILL) == 0 ? 0 : -ESRCH;
	case STARTER_CONNECTIONS:
		return s ? connections(s, answer) : -ESRCH;
	case STARTER_FIND_SOCKET:
	case STARTER_LEND_SOCKET:
		return s ? lend(s, request->type == STARTER_FIND_SOCKET, fds)
			 : -ESRCH;
	case STARTER_PLACE_NEW:
		return place_new(p, answer, fds);
	case STARTER_PLACE_CONNECT:
		return place ? place_connect(place, fds) : -ENOENT;
	case STARTER_PLACE_TIDY:
		return place ? mux_dir_tidy(&place->dir) : -ENOENT;
	case STARTER_PLACE_FREE:
		return place ? place_free(place) : -ENOENT;
	case STARTER_LEAVE:
		return leave_terminal();
	case STARTER_NOTE_EXEC:
	case STARTER_NOTE_NO_EXEC:
		return note(p, request->type == STARTER_NOTE_EXEC);
	case STARTER_LISTENER_CLEAR:
		return listener_clear(p, request->listener);
	case STARTER_LISTENER_NOTE:
		return listener_note(p, request->listener);
	case STARTER_LOOK_UP:
		return look_up(p->plan, answer);
	case STARTER_FORWARD:
		return place ? forward(p, place, fds) : -ENOENT;
	}
	return -EINVAL;
}

static void send_answer(int sock, struct starter_answer *answer,
			const struct fds *fds)
{
	answer->n_fds = fds->n;
	(void)fd_msg_send_all(sock, answer, sizeof(*answer), fds->at, fds->n);
}

/* Returns false if there will be no more. */
static bool on_request(struct process *p)
{
	struct starter_request request;
	struct starter_answer answer = {.result = 0};
	struct fds fds = {.n = 0};
	ssize_t n = recv(p->sock, &request, sizeof(request), 0);

	if (n < 0 && errno == EINTR)
		return true;
	if (n != sizeof(request))
		return false;
	answer.result = handle(p, &request, &answer, &fds);
	/* None goes with what failed. */
	while (answer.result < 0 && fds.n > 0)
		(void)close(fds.at[--fds.n]);
	send_answer(p->sock, &answer, &fds);
	while (fds.n > 0)
		(void)close(fds.at[--fds.n]);
	return true;
}

/* ---- life ---- */

/* What is waited for: entries of poll(2), of which those that are -1 are passed
 * over. */
enum {
	AT_SOCK,
	AT_ENDS,
	AT_ANSWERS = AT_ENDS + STARTER_SSH_MAX,
	AT_READERS = AT_ANSWERS + STARTER_RELAYS_MAX, /* that they have gone */
	N_WAITING = AT_READERS + STARTER_RELAYS_MAX,
};

static void wait_for(const struct process *p, bool takes_requests,
		     struct pollfd fds[N_WAITING])
{
	fds[AT_SOCK] = (struct pollfd){.fd = takes_requests ? p->sock : -1,
				       .events = POLLIN};
	for (size_t i = 0; i < STARTER_SSH_MAX; i++)
		fds[AT_ENDS + i] = (struct pollfd){
			.fd = p->all[i].pid ? p->all[i].pidfd : -1,
			.events = POLLIN};
	for (size_t i = 0; i < STARTER_RELAYS_MAX; i++) {
		const struct relay *r = &p->relays[i];

		fds[AT_ANSWERS + i] = (struct pollfd){
			.fd = r->is_used ? r->ssh_fd : -1, .events = POLLIN};
		fds[AT_READERS + i] =
			(struct pollfd){.fd = r->is_used ? r->out_fd : -1};
	}
}

static bool has_ssh(const struct process *p)
{
	for (size_t i = 0; i < STARTER_SSH_MAX; i++)
		if (p->all[i].pid != 0)
			return true;
	return false;
}

/* Requests, if there are to be any, and the end of each ssh.  Returns false
 * once there is nothing to be waited for any more. */
static bool turn(struct process *p, bool takes_requests, int timeout_ms)
{
	struct pollfd fds[N_WAITING];
	bool goes_on = true;

	if (!takes_requests && !has_ssh(p))
		return false;
	wait_for(p, takes_requests, fds);
	if (poll(fds, N_WAITING, timeout_ms) <= 0)
		return takes_requests;
	for (size_t i = 0; i < STARTER_RELAYS_MAX; i++)
		if (fds[AT_READERS + i].revents)
			relay_close(&p->relays[i]);
		else if (fds[AT_ANSWERS + i].revents)
			relay_pass(&p->relays[i]);
	/* A request may be about one that has ended: that comes first. */
	if (fds[AT_SOCK].revents)
		goes_on = on_request(p);
	for (size_t i = 0; i < STARTER_SSH_MAX; i++)
		if (fds[AT_ENDS + i].revents)
			(void)reap(&p->all[i]);
	return goes_on;
}

/* Each ssh has a moment to restore the terminal, say. */
static void end_all(struct process *p)
{
	mono_us_t end_us = clock_mono_us() + GRACE_MS * US_PER_MS;

	for (size_t i = 0; i < STARTER_SSH_MAX; i++)
		if (p->all[i].pid != 0)
			(void)terminate(&p->all[i]);
	while (clock_mono_us() < end_us && turn(p, false, GRACE_MS))
		;
	for (size_t i = 0; i < STARTER_SSH_MAX; i++)
		if (p->all[i].pid != 0)
			(void)kill(p->all[i].pid, SIGKILL);
}

void starter_run(int sock, const struct ssh_plan *plan)
{
	struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return;
	assert_always(plan->n_forwards <= MUX_FORWARDS_MAX);
	p->plan = plan;
	p->sock = sock;
	while (turn(p, true, -1))
		;
	end_all(p);
	for (size_t i = 0; i < STARTER_PLACES_MAX; i++)
		if (p->places[i].is_used)
			(void)place_free(&p->places[i]);
	for (uint32_t i = 0; i < plan->n_forwards; i++)
		remove_listener(p, i);
	if (plan->own_path)
		unix_path_remove(plan->own_path, plan->own_id);
	for (size_t i = 0; i < STARTER_RELAYS_MAX; i++)
		if (p->relays[i].is_used)
			relay_close(&p->relays[i]);
	free(p);
}
