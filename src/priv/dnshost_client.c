/* SPDX-License-Identifier: MIT */
/*
 * dnshost_client: starting ecssh-dns, and asking it.
 *
 * Spec: doc/PROTOCOL.broker section 8
 */
#include "dnshost_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "beside.h"
#include "clock.h"
#include "dnshost_msg.h"
#include "fd.h"

static void become(const char *path, int sock)
{
	static const char *const environment[] = {NULL};
	const char *const argv[] = {path, NULL};

	if (dup2(sock, STDIN_FILENO) >= 0 && close_range(3, ~0U, 0) == 0)
		(void)execve(path, (char *const *)(uintptr_t)argv,
			     (char *const *)(uintptr_t)environment);
	_exit(EXIT_FAILURE);
}

int dnshost_client_start(int *ret_fd, struct err *err)
{
	char path[PATH_MAX];
	int pair[2];

	/* One that has its capability from its file must not start what lies
	 * beside it, and could do nothing for it. */
	if (getuid() != 0 || geteuid() != 0)
		return err_set(err, -EPERM,
			       "the resolver of this host is root's to change, "
			       "and the broker was not started by root");
	int r = beside_find("ecssh-dns", path, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, -errno, "cannot make a socket pair: %s",
			       strerror(errno));
	pid_t pid = fork();
	if (pid == 0)
		become(path, pair[1]);
	r = pid < 0 ? -errno : 0;
	fd_close(&pair[1]);
	if (r < 0) {
		fd_close(&pair[0]);
		return err_set(err, r, "cannot start %s: %s", path,
			       strerror(-r));
	}
	*ret_fd = pair[0];
	return 0;
}

/* Returns 0 or -errno with err. */
static int await(int fd, struct err *err)
{
	mono_us_t until_us =
		clock_mono_us() + DNSHOST_CLIENT_TIMEOUT_MS * US_PER_MS;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (;;) {
		mono_us_t now_us = clock_mono_us();

		if (now_us >= until_us)
			return err_set(err, -ETIMEDOUT,
				       "ecssh-dns does not answer");
		if (poll(&p, 1, (int)((until_us - now_us) / US_PER_MS) + 1) > 0)
			return 0;
	}
}

static int ask(int fd, const struct dnshost_msg_request *request,
	       struct dnshost_msg_reply *reply, struct err *err)
{
	ssize_t n;

	if (send(fd, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		return err_set(err, -EPIPE, "ecssh-dns has ended");
	do {
		int r = await(fd, err);

		if (r < 0)
			return r;
		n = recv(fd, reply, sizeof(*reply), MSG_TRUNC | MSG_DONTWAIT);
		/* One to a request that was given up. */
	} while ((n == sizeof(*reply) && reply->type != request->type) ||
		 (n < 0 && (errno == EINTR || errno == EAGAIN)));
	if (n != sizeof(*reply))
		return err_set(err, -EPIPE, "ecssh-dns has ended");
	reply->way[sizeof(reply->way) - 1] = '\0';
	reply->text[sizeof(reply->text) - 1] = '\0';
	return reply->result < 0
		       ? err_set(err, reply->result, "%s", reply->text)
		       : 0;
}

int dnshost_client_set(int fd, const struct broker_link *link,
		       const struct brokermsg_dns_set *dns,
		       char ret_way[BROKERMSG_NAME_MAX], struct err *err)
{
	struct dnshost_msg_request request = {
		.type = DNSHOST_MSG_SET, .ifindex = link->ifindex, .dns = *dns};
	struct dnshost_msg_reply reply;

	memcpy(request.name, link->name, sizeof(request.name));
	int r = ask(fd, &request, &reply, err);
	if (r == 0)
		memcpy(ret_way, reply.way, sizeof(reply.way));
	return r;
}

int dnshost_client_clear(int fd, struct err *err)
{
	struct dnshost_msg_request request = {.type = DNSHOST_MSG_CLEAR};
	struct dnshost_msg_reply reply;

	return ask(fd, &request, &reply, err);
}

int dnshost_client_replay(int fd, char ret_text[BROKERMSG_TEXT_MAX],
			  struct err *err)
{
	struct dnshost_msg_request request = {.type = DNSHOST_MSG_REPLAY};
	struct dnshost_msg_reply reply;
	int r = ask(fd, &request, &reply, err);

	if (r == 0)
		memcpy(ret_text, reply.text, sizeof(reply.text));
	return r;
}
