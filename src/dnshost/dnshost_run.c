/* SPDX-License-Identifier: MIT */
/*
 * dnshost_run: the process ecssh-dns, and the one beside it.
 *
 * Theory of operation
 *   The worker answers the broker and holds the lock of its record.  Its
 *   guardian does nothing but wait for the worker's end, by a socket whose
 *   other end only the worker has; then it undoes what a record says that
 *   nobody locks, which is nothing if the worker has done it.  A guardian that
 *   is killed is replaced.  If both are killed at once the record stays, and
 *   the next ecssh-dns finds it.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "confine.h"
#include "dnshost.h"
#include "fd.h"
#include "fd_msg.h"
#include "keep.h"
#include "log.h"

struct worker {
	struct dnshost d;
	struct keep keep;
	int sock;	 /* borrowed: to the broker */
	int guardian_fd; /* owned; at its end if the guardian is; -1: none */
	bool is_confined;
	bool is_over;
};

/* ---- the guardian ---- */

static void guard(int fd, const struct dns_host *host)
{
	struct dnshost d;
	struct err err;
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	if (dnshost_init(&d, host, &err) < 0 || dnshost_replay(&d, &err) < 0)
		log_warn("%s, ignoring", err.text);
	dnshost_fini(&d);
}

static int start_guardian(struct worker *w, struct err *err)
{
	pid_t pid = fd_msg_fork(&w->guardian_fd);

	if (pid < 0)
		return err_set(err, pid, "cannot start a guardian: %s",
			       strerror(-pid));
	if (pid == 0) {
		struct dns_host host = w->d.host;

		host.bus = NULL; /* the worker's */
		if (dup2(w->guardian_fd, STDIN_FILENO) < 0 ||
		    close_range(3, ~0U, 0) < 0)
			_exit(EXIT_FAILURE);
		(void)prctl(PR_SET_NAME, "ecssh-dns-keep", 0, 0, 0);
		guard(STDIN_FILENO, &host);
		_exit(EXIT_SUCCESS);
	}
	return 0;
}

static void replace_guardian(struct worker *w)
{
	struct err err;

	fd_close(&w->guardian_fd);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	if (start_guardian(w, &err) < 0)
		log_warn("%s, ignoring", err.text);
}

/* ---- the worker ---- */

/*
 * Before the first record is read or written.  Where there is no directory for
 * them nothing has to be done until somebody wants something: most tunnels
 * leave the resolver alone.
 */
static int get_ready(struct worker *w, struct err *err)
{
	static const char *const writable[] = {"/etc", "/run", "/var/lib/ecssh",
					       "/dev/null", NULL};
	struct dns_store store;

	if (w->is_confined)
		return 0;
	/* Makes it, which is not possible any more afterwards. */
	int r = dns_store_open(&store, w->d.host.state, err);
	if (r < 0)
		return r;
	dns_store_close(&store);
	r = confine_writing(writable, err);
	w->is_confined = r == 0;
	return r;
}

static int handle(struct worker *w, const struct dnshost_msg_request *request,
		  struct brokermsg_reply *reply, struct err *err)
{
	struct dnshost *d = &w->d;
	int r = get_ready(w, err);

	if (r == 0 && w->guardian_fd < 0)
		r = start_guardian(w, err);
	if (r < 0)
		return r;
	switch ((enum dnshost_msg_type)request->type) {
	case DNSHOST_MSG_SET:
		r = dnshost_set(d, request, reply->name, err);
		if (r == 0)
			keep_start(&w->keep, d);
		return r;
	case DNSHOST_MSG_CLEAR:
		keep_stop(&w->keep);
		return dnshost_clear(d, err);
	case DNSHOST_MSG_REPLAY:
		r = dnshost_replay(d, err);
		if (r == 0)
			*err = d->restored;
		return r;
	}
	return err_set(err, -EPROTO, "no request has the number %u",
		       request->type);
}

static void on_request(struct worker *w)
{
	struct dnshost_msg_request request;
	struct brokermsg_reply reply = {0};
	struct err err = {{0}};
	ssize_t n = recv(w->sock, &request, sizeof(request), MSG_TRUNC);

	if (n < 0 && errno == EINTR)
		return;
	if (n != sizeof(request)) {
		w->is_over = true;
		return;
	}
	reply.type = request.type;
	reply.result = handle(w, &request, &reply, &err);
	memcpy(reply.text, err.text, sizeof(reply.text));
	if (send(w->sock, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
		w->is_over = true;
}

/* Wait for something and deal with it. */
static void turn(struct worker *w)
{
	const struct dns_wish wish = {.device = w->d.wish.name,
				      .ifindex = w->d.wish.ifindex,
				      .dns = &w->d.wish.dns};
	struct err err;
	short events = 0;
	int timeout_ms, keep_ms = keep_timeout_ms(&w->keep, clock_mono_us());
	int bus_fd = dns_way_resolved_fd(&w->d.host, &events, &timeout_ms);
	struct pollfd p[] = {{.fd = w->sock, .events = POLLIN},
			     {.fd = w->guardian_fd, .events = POLLIN},
			     {.fd = bus_fd, .events = events},
			     {.fd = w->keep.watch.fd, .events = POLLIN}};

	if (keep_ms >= 0 && (timeout_ms < 0 || keep_ms < timeout_ms))
		timeout_ms = keep_ms;
	if (poll(p, 4, timeout_ms) < 0 && errno != EINTR) {
		w->is_over = true;
		return;
	}
	if (p[1].revents)
		replace_guardian(w);
	if (p[0].revents)
		on_request(w);
	else if (dns_way_resolved_turn(&w->d.host, w->d.is_set ? &wish : NULL,
				       &err) < 0)
		log_warn("%s, ignoring", err.text);
	keep_turn(&w->keep, &w->d, clock_mono_us());
}

static void serve(struct worker *w)
{
	struct err err;

	while (!w->is_over)
		turn(w);
	keep_stop(&w->keep);
	if (dnshost_clear(&w->d, &err) < 0)
		log_warn("%s", err.text);
}

/* Answer every request by the reason for which none can be granted. */
static void refuse(int sock, int why, const struct err *err)
{
	struct dnshost_msg_request request;
	struct brokermsg_reply reply = {.result = why};

	memcpy(reply.text, err->text, sizeof(reply.text));
	while (recv(sock, &request, sizeof(request), MSG_TRUNC) ==
	       sizeof(request)) {
		reply.type = request.type;
		if (send(sock, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			return;
	}
}

/* What earlier tunnels have left, if there has been one; REPLAY tells. */
static int tidy_up(struct worker *w, struct err *err)
{
	int r;

	if (access(w->d.host.state, F_OK) < 0)
		return 0;
	r = get_ready(w, err);
	if (r == 0 && dnshost_replay(&w->d, err) < 0)
		log_warn("%s, ignoring", err->text);
	return r;
}

void dnshost_run(int sock)
{
	struct worker w = {.sock = sock, .guardian_fd = -1, .keep = KEEP_NONE};
	struct err err;

	broker_ignore_signals();
	int r = dnshost_init(&w.d, &dnshost_usual, &err);
	if (r == 0)
		r = confine_privilege(&err);
	if (r == 0)
		r = tidy_up(&w, &err);
	if (r < 0) {
		refuse(sock, r, &err);
		return;
	}
	serve(&w);
	dnshost_fini(&w.d);
}
