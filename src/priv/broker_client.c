/* SPDX-License-Identifier: MIT */
/*
 * broker_client: the engine's side of the broker's protocol.
 *
 * Spec: doc/PROTOCOL.broker
 */
#include "broker_client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "brokermsg.h"
#include "clock.h"
#include "fd.h"
#include "fd_msg.h"

static_assert((int)BROKER_CLIENT_NAME_MAX == (int)BROKERMSG_NAME_MAX, "");

struct broker_client {
	int sock;  /* owned */
	int pidfd; /* owned; of the child; -1 on kernels before 5.3 */
	pid_t pid; /* the broker, or sudo or pkexec above it */
};

/* How long to wait for something: until a moment, or for ever. */
static int left_ms(mono_us_t until_us)
{
	mono_us_t now_us = clock_mono_us();

	if (until_us == UINT64_MAX)
		return -1;
	return now_us >= until_us
		       ? 0
		       : (int)((until_us - now_us + US_PER_MS - 1) / US_PER_MS);
}

static mono_us_t in_ms(uint32_t timeout_ms)
{
	return clock_mono_us() + timeout_ms * US_PER_MS;
}

/*
 * One request, one reply
 */

static int died(struct err *err)
{
	return err_set(err, -EPIPE,
		       "ecssh-broker has ended, and with it the tunnel device");
}

/* along: a descriptor to be lent, or -1. */
static int send_request(int sock, const void *request, size_t len, int along,
			struct err *err)
{
	int r = fd_msg_send(sock, request, len, along);

	if (r == 0)
		return 0;
	if (r == -EPIPE || r == -ECONNRESET)
		return died(err);
	return err_set(err, r, "cannot speak to ecssh-broker: %s",
		       strerror(-r));
}

/* Wait for something on the socket.  Returns 0 or -errno. */
static int await_reply(int sock, mono_us_t until_us, struct err *err)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	int n;

	do {
		n = poll(&p, 1, left_ms(until_us));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(err, -errno, "cannot wait for ecssh-broker: %s",
			       strerror(errno));
	if (n == 0)
		return err_set(err, -ETIMEDOUT, "ecssh-broker does not answer");
	return 0;
}

/*
 * Receive the reply that is there.  *ret_fd: the descriptor with it, or -1.
 * Returns 0 or -errno, the reply's result included, with err.
 */
static int receive_reply(int sock, uint32_t type,
			 struct brokermsg_reply *ret_reply, int *ret_fd,
			 struct err *err)
{
	ssize_t n = fd_msg_receive(sock, ret_reply, sizeof(*ret_reply), ret_fd);

	if (n == 0 || n == -ECONNRESET)
		return died(err);
	if (n < 0)
		return err_set(err, (int)n, "cannot hear ecssh-broker: %s",
			       strerror((int)-n));
	if (n != sizeof(*ret_reply) || *ret_fd == FD_MSG_OTHER ||
	    ret_reply->type != type || ret_reply->result > 0) {
		fd_close(ret_fd);
		return err_set(err, -EPROTO,
			       "ecssh-broker answers in another version of "
			       "its protocol than %d: it and ecssh are not of "
			       "one installation",
			       BROKERMSG_VERSION);
	}
	ret_reply->name[sizeof(ret_reply->name) - 1] = '\0';
	ret_reply->text[sizeof(ret_reply->text) - 1] = '\0';
	if (ret_reply->result < 0) {
		fd_close(ret_fd);
		return err_set(err, ret_reply->result, "%s", ret_reply->text);
	}
	return 0;
}

static int call_fd(struct broker_client *c, const void *request, size_t len,
		   struct brokermsg_reply *ret_reply, int *ret_fd,
		   uint32_t timeout_ms, struct err *err)
{
	uint32_t type;
	int r = send_request(c->sock, request, len, -1, err);

	if (r >= 0)
		r = await_reply(c->sock, in_ms(timeout_ms), err);
	if (r < 0)
		return r;
	memcpy(&type, request, sizeof(type));
	return receive_reply(c->sock, type, ret_reply, ret_fd, err);
}

/* For requests whose answer is yes or no. */
static int call(struct broker_client *c, const void *request, size_t len,
		struct err *err)
{
	struct brokermsg_reply reply;
	int fd CLEANUP_FD = -1;

	return call_fd(c, request, len, &reply, &fd,
		       BROKER_CLIENT_CALL_TIMEOUT_MS, err);
}

/*
 * The start
 */

/* A terminal on which sudo can ask, with us in the foreground. */
static bool has_terminal(void)
{
	int fd CLEANUP_FD = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	return fd >= 0 && tcgetpgrp(fd) == getpgrp();
}

static bool has_file_capability(const char *path)
{
	return getxattr(path, "security.capability", NULL, 0) > 0;
}

/* The ways to try, in this order.  Returns their number. */
static size_t choose_ways(const struct broker_start *how,
			  enum broker_via ret_ways[BROKER_VIA__N])
{
	size_t n = 0;

	if (how->via != BROKER_VIA_AUTO) {
		ret_ways[n++] = how->via;
		return n;
	}
	if (geteuid() == 0) {
		ret_ways[n++] = BROKER_VIA_DIRECT;
		return n;
	}
	if (has_file_capability(how->path))
		ret_ways[n++] = BROKER_VIA_DIRECT;
	ret_ways[n++] =
		has_terminal() ? BROKER_VIA_SUDO : BROKER_VIA_SUDO_QUIET;
	ret_ways[n++] = BROKER_VIA_PKEXEC;
	return n;
}

/* True if a way that ended so says nothing about the next one.  Whoever
 * has refused at sudo's prompt is not asked again by another program. */
static bool is_next_worth_trying(enum broker_via via, int r)
{
	return r == -ENOENT ||
	       ((r == -EPERM || r == -EACCES) && via != BROKER_VIA_SUDO);
}

/* Descriptors 0, 1, 2 of the child.  Returns 0 or an errno. */
static int prepare_files(posix_spawn_file_actions_t *files, int sock,
			 bool is_silent)
{
	int e = posix_spawn_file_actions_adddup2(files, sock, STDIN_FILENO);

	if (e == 0)
		e = posix_spawn_file_actions_addopen(files, STDOUT_FILENO,
						     "/dev/null", O_WRONLY, 0);
	if (e == 0 && is_silent)
		e = posix_spawn_file_actions_addopen(files, STDERR_FILENO,
						     "/dev/null", O_WRONLY, 0);
	return e;
}

/* The child is to find signals as our parent left them to us, whatever
 * our own loop does with them.  Returns 0 or an errno. */
static int prepare_signals(posix_spawnattr_t *attr)
{
	sigset_t set;

	(void)sigemptyset(&set);
	int e = posix_spawnattr_setsigmask(attr, &set);
	(void)sigfillset(&set);
	if (e == 0)
		e = posix_spawnattr_setsigdefault(attr, &set);
	if (e == 0)
		e = posix_spawnattr_setflags(
			attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	return e;
}

/* Run argv, to be found in PATH, with sock as its descriptor 0, in our process
 * group, so that it may use the terminal.  Returns 0 or -errno. */
static int spawn(const char *const argv[], int sock, bool is_silent,
		 pid_t *ret_pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int e = posix_spawn_file_actions_init(&files);

	if (e != 0)
		return -e;
	e = posix_spawnattr_init(&attr);
	if (e != 0)
		goto out_files;
	e = prepare_files(&files, sock, is_silent);
	if (e == 0)
		e = prepare_signals(&attr);
	if (e == 0)
		e = posix_spawnp(ret_pid, argv[0], &files, &attr,
				 (char *const *)(uintptr_t)argv, environ);
	(void)posix_spawnattr_destroy(&attr);
out_files:
	(void)posix_spawn_file_actions_destroy(&files);
	return -e;
}

/* Start the child and fill c.  Returns 0 or -errno; -ENOENT: no such program.
 */
static int start_child(const struct broker_start *how, enum broker_via via,
		       struct broker_client *c)
{
	const char *path = how->path, *option = how->option;
	const char *direct[] = {path, option, NULL};
	const char *sudo[] = {"sudo", "--", path, option, NULL};
	const char *sudo_quiet[] = {"sudo", "-n", "--", path, option, NULL};
	const char *pkexec[] = {"pkexec", path, option, NULL};
	const char *const *argvs[] = {
		[BROKER_VIA_AUTO] = direct,
		[BROKER_VIA_DIRECT] = direct,
		[BROKER_VIA_SUDO] = sudo,
		[BROKER_VIA_SUDO_QUIET] = sudo_quiet,
		[BROKER_VIA_PKEXEC] = pkexec,
	};
	int pair[2];

	static_assert(sizeof(argvs) / sizeof(argvs[0]) == BROKER_VIA__N, "");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	int r = spawn(argvs[via], pair[1], via == BROKER_VIA_SUDO_QUIET,
		      &c->pid);
	fd_close(&pair[1]);
	/* A directory of PATH that we may not enter is not worth a word. */
	if (r == -EACCES && via != BROKER_VIA_DIRECT)
		r = -ENOENT;
	if (r < 0) {
		fd_close(&pair[0]);
		return r;
	}
	c->sock = pair[0];
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	return 0;
}

/*
 * Wait until the child has ended, and reap it.  After a fork(2) of ours it may
 * no longer be our child, but its pidfd still tells.  Returns 0 or
 * -ETIMEDOUT.
 */
static int await_end(struct broker_client *c, mono_us_t until_us)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

	for (;;) {
		int ms = left_ms(until_us);
		bool has_ended = c->pidfd >= 0
					 ? poll(&p, 1, ms) > 0
					 : waitpid(c->pid, NULL, WNOHANG) != 0;

		if (has_ended) {
			(void)waitpid(c->pid, NULL, WNOHANG);
			return 0;
		}
		if (ms == 0)
			return -ETIMEDOUT;
		if (c->pidfd < 0) /* look again soon */
			(void)poll(NULL, 0, 10);
	}
}

static int refused(enum broker_via via, const char *path, struct err *err)
{
	if (via == BROKER_VIA_DIRECT)
		return err_set(err, -EPIPE, "%s ended before it said anything",
			       path);
	return err_set(err, -EPERM,
		       "making the tunnel device needs root, and %s did not "
		       "let us have it; run ecssh itself with sudo, or have "
		       "the administrator allow you %s",
		       via == BROKER_VIA_PKEXEC ? "pkexec" : "sudo", path);
}

/*
 * Say hello and wait until somebody answers or the child ends; sudo may be
 * asking for a password.  Returns 0 or -errno with err.
 */
static int greet(struct broker_client *c, const char *path, enum broker_via via,
		 struct err *err)
{
	struct brokermsg_hello hello = {.type = BROKERMSG_HELLO,
					.version = BROKERMSG_VERSION};
	struct brokermsg_reply reply;
	struct pollfd p[] = {{.fd = c->sock, .events = POLLIN},
			     {.fd = c->pidfd, .events = POLLIN}};
	mono_us_t until_us = UINT64_MAX;
	int fd CLEANUP_FD = -1;
	int n = 0, r = send_request(c->sock, &hello, sizeof(hello), -1, err);

	/* Only where nobody has to type a password time tells something. */
	if (via == BROKER_VIA_DIRECT)
		until_us = in_ms(BROKER_CLIENT_CALL_TIMEOUT_MS);
	while (r >= 0 && n <= 0) {
		n = poll(p, 2, left_ms(until_us));
		if (n < 0 && errno != EINTR)
			r = err_set(err, -errno, "cannot wait: %s",
				    strerror(errno));
		if (n == 0)
			r = err_set(err, -ETIMEDOUT, "%s does not answer",
				    path);
	}
	/* An ended child may have answered before. */
	if (r >= 0 && (p[0].revents & POLLIN))
		r = receive_reply(c->sock, BROKERMSG_HELLO, &reply, &fd, err);
	else if (r >= 0)
		r = -EPIPE;
	return r == -EPIPE ? refused(via, path, err) : r;
}

static void close_all(struct broker_client *c)
{
	fd_close(&c->sock);
	fd_close(&c->pidfd);
}

/* Start by one of the ways.  Returns 0 or -errno with err. */
static int start_via(struct broker_client *c, const struct broker_start *how,
		     enum broker_via via, struct err *err)
{
	const char *path = how->path;
	int r = start_child(how, via, c);

	if (r < 0)
		return err_set(err, r, "cannot start %s: %s", path,
			       strerror(-r));
	r = greet(c, path, via, err);
	if (r < 0) {
		fd_close(&c->sock);
		(void)await_end(c, in_ms(BROKER_CLIENT_STOP_TIMEOUT_MS));
		close_all(c);
	}
	return r;
}

int broker_client_start(struct broker_client **ret_client,
			const struct broker_start *how, struct err *err)
{
	enum broker_via ways[BROKER_VIA__N];
	size_t n = choose_ways(how, ways);
	struct err why;
	int result = -ENOENT;

	if (access(how->path, X_OK) < 0)
		return err_set(err, -errno, "cannot run %s: %s", how->path,
			       strerror(errno));
	struct broker_client *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->sock = c->pidfd = -1;
	for (size_t i = 0; i < n; i++) {
		struct err now;
		int r = start_via(c, how, ways[i], &now);

		if (r == 0) {
			*ret_client = c;
			return 0;
		}
		/* A program that is not there hides no earlier refusal. */
		if (r != -ENOENT) {
			result = r;
			why = now;
		}
		if (!is_next_worth_trying(ways[i], r))
			break;
	}
	free(c);
	if (result == -ENOENT)
		return err_set(err, -EPERM,
			       "making the tunnel device needs root, and there "
			       "is neither sudo nor pkexec here; run ecssh as "
			       "root");
	return err_set(err, result, "%s", why.text);
}

int broker_client_fork(struct broker_client **ret_client, void (*run)(int sock),
		       struct err *err)
{
	struct broker_client *c = calloc(1, sizeof(*c));
	int pair[2];

	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		free(c);
		return err_set(err, -errno, "cannot make a socket: %m");
	}
	c->pid = fork();
	if (c->pid == 0) {
		(void)close(pair[0]);
		run(pair[1]);
		_exit(EXIT_SUCCESS);
	}
	(void)close(pair[1]);
	c->sock = pair[0];
	c->pidfd = c->pid > 0 ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
	int r = c->pid > 0 ? greet(c, "ecssh", BROKER_VIA_DIRECT, err)
			   : err_set(err, -EAGAIN, "cannot fork");
	if (r < 0) {
		close_all(c);
		free(c);
		return r;
	}
	*ret_client = c;
	return 0;
}

int broker_client_stop(struct broker_client *c, struct err *err)
{
	struct brokermsg_head bye = {.type = BROKERMSG_BYE};
	struct brokermsg_reply reply;
	int fd CLEANUP_FD = -1;

	if (!c)
		return 0;
	mono_us_t until_us = in_ms(BROKER_CLIENT_STOP_TIMEOUT_MS);
	int r = call_fd(c, &bye, sizeof(bye), &reply, &fd,
			BROKER_CLIENT_STOP_TIMEOUT_MS, err);
	fd_close(&c->sock);
	if (await_end(c, until_us) < 0 && r == 0)
		r = err_set(err, -ETIMEDOUT, "ecssh-broker has not ended yet");
	close_all(c);
	free(c);
	return r;
}

int broker_client_release(struct broker_client *c)
{
	int sock = fd_take(&c->sock);

	close_all(c);
	free(c);
	return sock;
}

int broker_client_fd(const struct broker_client *c)
{
	return c->sock;
}

/*
 * Requests
 */

int broker_client_tun_create(struct broker_client *c, const char *name,
			     uint32_t mtu_bytes, uint32_t want_offloads,
			     struct broker_tun *ret_tun, struct err *err)
{
	struct brokermsg_tun_create m = {.type = BROKERMSG_TUN_CREATE,
					 .mtu_bytes = mtu_bytes,
					 .offloads = want_offloads};
	struct brokermsg_reply reply;
	size_t len = strlen(name);
	int fd;

	if (len >= sizeof(m.name))
		return err_set(err, -EINVAL,
			       "\"%s\" is too long for the name of a device: "
			       "at most %zu characters",
			       name, sizeof(m.name) - 1);
	memcpy(m.name, name, len);
	int r = call_fd(c, &m, sizeof(m), &reply, &fd,
			BROKER_CLIENT_CALL_TIMEOUT_MS, err);
	if (r < 0)
		return r;
	if (fd < 0)
		return err_set(err, -EMFILE,
			       "ecssh-broker made %s, but no descriptor of it "
			       "reached us: too many open files",
			       reply.name);
	*ret_tun = (struct broker_tun){
		.fd = fd, .ifindex = reply.ifindex, .offloads = reply.offloads};
	memcpy(ret_tun->name, reply.name, sizeof(ret_tun->name));
	return 0;
}

int broker_client_addr_add(struct broker_client *c, const struct ip_addr *addr,
			   struct err *err)
{
	struct brokermsg_addr m = {.type = BROKERMSG_ADDR_ADD,
				   .version = addr->version};

	memcpy(m.bytes, addr->bytes, sizeof(m.bytes));
	return call(c, &m, sizeof(m), err);
}

int broker_client_link_up(struct broker_client *c, struct err *err)
{
	struct brokermsg_head m = {.type = BROKERMSG_LINK_UP};

	return call(c, &m, sizeof(m), err);
}

static int change_route(struct broker_client *c, enum brokermsg_type type,
			const struct subnet *dst, struct err *err)
{
	struct brokermsg_route m = {.type = type,
				    .version = dst->addr.version,
				    .prefix_len = dst->prefix_len};

	memcpy(m.bytes, dst->addr.bytes, sizeof(m.bytes));
	return call(c, &m, sizeof(m), err);
}

int broker_client_route_add(struct broker_client *c, const struct subnet *dst,
			    struct err *err)
{
	return change_route(c, BROKERMSG_ROUTE_ADD, dst, err);
}

int broker_client_route_del(struct broker_client *c, const struct subnet *dst,
			    struct err *err)
{
	return change_route(c, BROKERMSG_ROUTE_DEL, dst, err);
}

static int change_exempt(struct broker_client *c, enum brokermsg_type type,
			 const struct broker_exemption *it, struct err *err)
{
	struct brokermsg_exempt m = {.type = type,
				     .version = it->remote.addr.version,
				     .first_port = it->from.first,
				     .last_port = it->from.last,
				     .remote_port = it->remote.port,
				     .uid = it->uid};

	memcpy(m.local, it->local.bytes, sizeof(m.local));
	memcpy(m.remote, it->remote.addr.bytes, sizeof(m.remote));
	return call(c, &m, sizeof(m), err);
}

int broker_client_exempt_add(struct broker_client *c,
			     const struct broker_exemption *it, struct err *err)
{
	return change_exempt(c, BROKERMSG_EXEMPT_ADD, it, err);
}

int broker_client_exempt_del(struct broker_client *c,
			     const struct broker_exemption *it, struct err *err)
{
	return change_exempt(c, BROKERMSG_EXEMPT_DEL, it, err);
}

int broker_client_mark(struct broker_client *c, int fd, enum ip_version version,
		       struct err *err)
{
	struct brokermsg_mark m = {BROKERMSG_MARK, version};
	struct brokermsg_reply reply;
	int none CLEANUP_FD = -1;
	int r = send_request(c->sock, &m, sizeof(m), fd, err);

	if (r >= 0)
		r = await_reply(c->sock, in_ms(BROKER_CLIENT_CALL_TIMEOUT_MS),
				err);
	return r < 0 ? r
		     : receive_reply(c->sock, BROKERMSG_MARK, &reply, &none,
				     err);
}

int broker_client_guard(struct broker_client *c, uint32_t flags,
			struct err *err)
{
	struct brokermsg_guard m = {.type = BROKERMSG_GUARD, .flags = flags};

	return call(c, &m, sizeof(m), err);
}

int broker_client_kill_on(struct broker_client *c,
			  struct brokermsg_kill_on *kill, struct err *err)
{
	kill->type = BROKERMSG_KILL_ON;
	return call(c, kill, sizeof(*kill), err);
}

static int call_kill(struct broker_client *c, enum brokermsg_type type,
		     const char *name, struct err *err)
{
	struct brokermsg_kill_off m = {.type = type};

	memcpy(m.name, name, strnlen(name, sizeof(m.name)));
	return call(c, &m, sizeof(m), err);
}

int broker_client_kill_off(struct broker_client *c, const char *name,
			   struct err *err)
{
	return call_kill(c, BROKERMSG_KILL_OFF, name, err);
}

int broker_client_kill_look(struct broker_client *c, const char *name,
			    struct err *err)
{
	return call_kill(c, BROKERMSG_KILL_LOOK, name, err);
}

int broker_client_forward(struct broker_client *c, uint32_t flags,
			  struct err *err)
{
	struct brokermsg_forward m = {.type = BROKERMSG_FORWARD,
				      .flags = flags};

	return call(c, &m, sizeof(m), err);
}

/* A request that is answered by a sentence in any case. */
static int call_for_text(struct broker_client *c, enum brokermsg_type type,
			 struct err *text)
{
	struct brokermsg_head m = {.type = type};
	struct brokermsg_reply reply = {0};
	int fd CLEANUP_FD = -1;
	int r = call_fd(c, &m, sizeof(m), &reply, &fd,
			BROKER_CLIENT_CALL_TIMEOUT_MS, text);

	return r < 0 ? r : err_set(text, 0, "%s", reply.text);
}

int broker_client_dns_set(struct broker_client *c,
			  const struct brokermsg_dns_set *dns,
			  char ret_way[BROKER_CLIENT_NAME_MAX], struct err *err)
{
	struct brokermsg_dns_set m = *dns;
	struct brokermsg_reply reply;
	int fd CLEANUP_FD = -1;

	m.type = BROKERMSG_DNS_SET;
	int r = call_fd(c, &m, sizeof(m), &reply, &fd,
			BROKER_CLIENT_CALL_TIMEOUT_MS, err);
	if (r == 0)
		memcpy(ret_way, reply.name, sizeof(reply.name));
	return r;
}

int broker_client_dns_clear(struct broker_client *c, struct err *err)
{
	struct brokermsg_head m = {.type = BROKERMSG_DNS_CLEAR};

	return call(c, &m, sizeof(m), err);
}

int broker_client_tune(struct broker_client *c, struct err *text)
{
	return call_for_text(c, BROKERMSG_TUNE, text);
}

int broker_client_cleanup(struct broker_client *c, struct err *said)
{
	return call_for_text(c, BROKERMSG_CLEANUP, said);
}
