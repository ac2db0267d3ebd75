/* SPDX-License-Identifier: MIT */
/* outside_run: see outside.h; here, the process itself. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd.h"
#include "fd_msg.h"
#include "outside.h"
#include "setup.h"

static const char socket_name[] = "/s";

/* A place where further links of the helper may connect. */
struct place {
	char dir[BOND_PATH_MAX - 2]; /* empty: none; socket_name fits, too */
	struct bond_offer offer;
};

struct process {
	struct place place;
	bool may_make_device; /* not yet asked for, nor forbidden */
};

/* ---- files ---- */

static int open_for_reading(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- the place for links ---- */

static void leave(struct place *p)
{
	if (p->dir[0] != '\0') {
		(void)unlink(p->offer.path);
		(void)rmdir(p->dir);
	}
	explicit_bzero(p, sizeof(*p));
}

static int make_dir(struct place *p, const char *parent)
{
	int n;

	if (!parent || parent[0] != '/')
		return -ENOENT;
	n = snprintf(p->dir, sizeof(p->dir), "%s/ecssh-XXXXXX", parent);
	if (n < 0 || (size_t)n >= sizeof(p->dir) ||
	    !bond_path_is_valid(p->dir) || !mkdtemp(p->dir)) {
		p->dir[0] = '\0';
		return -EINVAL;
	}
	(void)snprintf(p->offer.path, sizeof(p->offer.path), "%s%s", p->dir,
		       socket_name);
	return 0;
}

/* The helper's own file, if it can be started again under a harmless name. */
static void find_self(char ret_path[BOND_PATH_MAX + 1])
{
	ssize_t n = readlink("/proc/self/exe", ret_path, BOND_PATH_MAX);

	ret_path[n > 0 ? n : 0] = '\0';
	if (!bond_path_is_valid(ret_path) || access(ret_path, X_OK) < 0)
		ret_path[0] = '\0';
}

/* Returns the listener, or -errno. */
static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	CLEANUP_FD int fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	_Static_assert(sizeof(addr.sun_path) > BOND_PATH_MAX, "it fits");
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, BOND_LINKS_MAX) < 0)
		return -errno;
	return fd_take(&fd);
}

static int open_place(struct place *p)
{
	leave(p);
	int r = make_dir(p, getenv("XDG_RUNTIME_DIR"));

	if (r < 0)
		r = make_dir(p, "/tmp");
	if (r == 0 && getrandom(p->offer.token, sizeof(p->offer.token), 0) !=
			      (ssize_t)sizeof(p->offer.token))
		r = -EIO;
	if (r == 0)
		r = listen_at(p->offer.path);
	if (r >= 0)
		find_self(p->offer.helper);
	else
		leave(p);
	return r;
}

/* ---- the device ---- */

/* In the fork: be nothing but the set-up, and end with who forked it. */
static void be_setup(int sock, pid_t parent,
		     const struct frame_network *network)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, "ecssh-setup", 0, 0, 0);
	if (getppid() != parent || dup2(sock, STDIN_FILENO) < 0 ||
	    close_range(3, ~0U, 0) < 0)
		_exit(1);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGHUP, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	setup_run(STDIN_FILENO, network);
	_exit(0);
}

/* Returns the socket for its result, or -errno. */
static int start_setup(struct process *p, const struct frame_network *network)
{
	pid_t parent = getpid();
	int pair[2];

	if (!p->may_make_device)
		return -EPERM;
	p->may_make_device = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0, pair) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		be_setup(pair[1], parent, network);
	int r = pid < 0 ? -errno : 0;
	fd_close(&pair[1]);
	if (r < 0)
		fd_close(&pair[0]);
	return r < 0 ? r : pair[0];
}

/* ---- requests ---- */

static bool is_address_or_none(const struct ip_addr *a)
{
	return a->version == 0 || a->version == IPV4 || a->version == IPV6;
}

/* As a NETWORK that has been parsed is. */
static bool is_sound(const struct frame_network *n)
{
	if (!is_address_or_none(&n->near4) || !is_address_or_none(&n->near6) ||
	    n->n_announced > FRAME_SUBNETS_MAX)
		return false;
	for (size_t i = 0; i < n->n_announced; i++) {
		const struct subnet *net = &n->announced[i];

		if (!is_address_or_none(&net->addr) ||
		    net->prefix_len > (net->addr.version == IPV4 ? 32 : 128))
			return false;
	}
	return true;
}

/* Returns a descriptor to be handed over, 0 if there is none, or -errno. */
static int handle(struct process *p, const struct outside_request *request)
{
	switch ((enum outside_request_type)request->type) {
	case OUTSIDE_OPEN_RESOLV_CONF:
		return open_for_reading("/etc/resolv.conf");
	case OUTSIDE_OPEN_HOSTS:
		return open_for_reading("/etc/hosts");
	case OUTSIDE_LISTEN:
		return open_place(&p->place);
	case OUTSIDE_UNLISTEN:
		leave(&p->place);
		return 0;
	case OUTSIDE_NETWORK:
		return is_sound(&request->network)
			       ? start_setup(p, &request->network)
			       : -EINVAL;
	}
	return -EINVAL;
}

void outside_run(int sock, bool may_make_device)
{
	struct process p = {.may_make_device = may_make_device};
	struct outside_request request;
	ssize_t n;

	/* It ends when the helper does, and not before: something may have to
	 * be removed. */
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGCHLD, SIG_IGN); /* they are not waited for */
	for (;;) {
		struct outside_reply reply = {.result = 0};

		n = recv(sock, &request, sizeof(request), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(request))
			break;
		CLEANUP_FD int fd = handle(&p, &request);
		if (fd < 0)
			reply.result = fd;
		if (request.type == OUTSIDE_LISTEN)
			reply.offer = p.place.offer;
		(void)fd_msg_send(sock, &reply, sizeof(reply),
				  fd > STDERR_FILENO ? fd : FD_MSG_NOTHING);
		if (fd == STDIN_FILENO)
			(void)fd_take(&fd);
	}
	leave(&p.place);
}
