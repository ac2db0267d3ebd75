/* SPDX-License-Identifier: MIT */
/*
 * setup: the blocking part of getting a device for the packet plane.
 *
 * Theory of operation
 *   Ways, best first: a broker as root; a broker by the capability of our own
 *   file; a broker by `sudo -n`, which is tried only where it may work, since
 *   sudo reports those whom it refuses to the administrator; a persistent TUN
 *   device that belongs to the account, which leaves addresses, forwarding and
 *   translation to whoever made it.
 */
#include "setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "broker_client.h"
#include "brokermsg.h"
#include "err.h"
#include "fd.h"
#include "fd_msg.h"
#include "own_tun.h"
#include "tun.h"

enum {
	MTU_DEFAULT = 1500,
	GROUPS_MAX = 1024,
};

struct setup {
	const struct frame_network *network; /* borrowed */
	struct setup_result result;
	int tun_fd, broker_fd; /* owned; -1: none */
};

static void say(struct setup *s, int error, const char *text)
{
	s->result.error = error;
	(void)snprintf(s->result.text, sizeof(s->result.text), "%.*s",
		       FRAME_TEXT_MAX, text);
}

/*
 * With a broker
 */

static uint16_t pick_mtu(const struct frame_network *network)
{
	uint16_t least = network->near6.version ? BROKERMSG_MTU_MIN_V6
						: BROKERMSG_MTU_MIN;

	return network->mtu_bytes >= least ? network->mtu_bytes : MTU_DEFAULT;
}

/* A host without IPv6 serves IPv4 nevertheless. */
static int add_routes(struct broker_client *c,
		      const struct frame_network *network, bool *ret_lacks_v6,
		      struct err *err)
{
	int r = 0;

	if (network->near4.version) {
		struct subnet net = subnet_of_addr(&network->near4);
		r = broker_client_route_add(c, &net, err);
	}
	if (r == 0 && network->near6.version) {
		struct subnet net = subnet_of_addr(&network->near6);
		int r6 = broker_client_route_add(c, &net, err);

		*ret_lacks_v6 = r6 < 0 && network->near4.version &&
				r6 != -EEXIST && r6 != -EPERM;
		r = *ret_lacks_v6 ? 0 : r6;
	}
	for (size_t i = 0; r == 0 && i < network->n_announced; i++)
		r = broker_client_route_add(c, &network->announced[i], err);
	return r;
}

static uint32_t forward_flags(const struct frame_network *network)
{
	uint32_t flags = 0;

	if (!(network->flags & FRAME_NETWORK_NO_NAT))
		flags |= BROKERMSG_FORWARD_NAT;
	if (network->flags & FRAME_NETWORK_ALLOW_INBOUND)
		flags |= BROKERMSG_FORWARD_INBOUND;
	return flags;
}

void setup_tell_tune(int r, const char *text, char out[SETUP_TUNED_MAX])
{
	(void)snprintf(out, SETUP_TUNED_MAX, "%s%.200s",
		       r == 0 || r == -EALREADY ? "sshd sends by "
						: "sshd is left alone: ",
		       text);
}

static void tune(struct setup *s, struct broker_client *c)
{
	struct err text;

	if (s->network->flags & FRAME_NETWORK_NO_TUNE)
		return;
	int r = broker_client_tune(c, &text);
	s->result.may_tune = r == 0;
	setup_tell_tune(r, text.text, s->result.tuned);
}

/* Have the broker do all there is to do.  Returns 0 or -errno with err. */
static int configure(struct setup *s, struct broker_client *c, const char *how,
		     struct err *err)
{
	const struct frame_network *network = s->network;
	struct broker_tun tun;
	bool lacks_v6 = false;
	char text[FRAME_TEXT_MAX];
	int r = broker_client_tun_create(c, "", pick_mtu(network),
					 TUN_OFFLOAD_ALL, &tun, err);

	if (r < 0)
		return r;
	s->tun_fd = tun.fd;
	s->result.mtu_bytes = pick_mtu(network);
	r = broker_client_link_up(c, err);
	if (r == 0)
		r = add_routes(c, network, &lacks_v6, err);
	if (r == 0)
		tune(s, c);
	if (r == 0)
		r = broker_client_forward(c, forward_flags(network), err);
	if (r < 0) {
		fd_close(&s->tun_fd);
		return r;
	}
	(void)snprintf(text, sizeof(text), "%s, device %s%s%s", how, tun.name,
		       network->flags & FRAME_NETWORK_NO_NAT ? ", routed"
							     : ", translated",
		       lacks_v6 ? "; the far host has no IPv6" : "");
	say(s, 0, text);
	return 0;
}

/* Returns 0, or -errno: -EPERM if another way may do. */
static int try_broker(struct setup *s, enum broker_via via, const char *how)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	struct broker_start start = {
		.path = path, .option = "--broker", .via = via};
	struct broker_client *c = NULL;
	struct err err;

	path[len > 0 ? len : 0] = '\0';
	int r = broker_client_start(&c, &start, &err);
	if (r == 0) {
		r = configure(s, c, how, &err);
		/* Not for want of the privilege, nor of a broker: of nft. */
		if (r == -EPERM || r == -ENOENT)
			r = -EACCES;
	}
	if (r == 0)
		s->broker_fd = broker_client_release(c);
	else {
		(void)broker_client_stop(c, NULL);
		say(s, r, err.text);
	}
	return r;
}

/* True if one of the account's groups is one that usually has sudo. */
static bool is_in_sudo_group(void)
{
	gid_t groups[GROUPS_MAX];
	int n = getgroups(GROUPS_MAX, groups);
	FILE *f = fopen("/etc/group", "re");
	char line[4096], name[64];
	unsigned gid;
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^:]:%*[^:]:%u", name, &gid) != 2 ||
		    (strcmp(name, "sudo") != 0 && strcmp(name, "wheel") != 0 &&
		     strcmp(name, "admin") != 0))
			continue;
		for (int i = 0; i < n; i++)
			found = found || groups[i] == gid;
		found = found || getgid() == gid;
	}
	if (f)
		(void)fclose(f);
	return found;
}

static bool has_file_capability(void)
{
	return getxattr("/proc/self/exe", "security.capability", NULL, 0) > 0;
}

/*
 * With a device of the account's
 */

static int try_own_tun(struct setup *s)
{
	struct own_tun tun;
	struct err err;
	int r = own_tun_open(s->network, &tun, &err);

	if (r == -ENOENT)
		return r;
	if (r == 0) {
		s->tun_fd = tun.fd;
		s->result.mtu_bytes = tun.mtu_bytes;
		say(s, 0, tun.text);
	} else {
		say(s, r, err.text);
	}
	return r;
}

static void say_what_is_missing(struct setup *s, bool was_sudo_tried)
{
	const char *user = getenv("USER");
	char near[ADDR_TEXT_MAX], text[512];
	const struct frame_network *n = s->network;

	addr_format(n->near4.version ? &n->near4 : &n->near6, near);
	(void)snprintf(text, sizeof(text),
		       "%s; the administrator may help by: ip tuntap add "
		       "tun9 mode tun user %.32s; ip link set tun9 up; "
		       "ip route add %s dev tun9",
		       was_sudo_tried
			       ? "the account is not root, and sudo -n says no"
			       : "the account is not root and in no group of "
				 "sudo",
		       user ? user : "ACCOUNT", near);
	say(s, -EPERM, text);
}

static void make_device(struct setup *s)
{
	bool may_sudo =
		(s->network->flags & FRAME_NETWORK_SUDO) || is_in_sudo_group();

	if (geteuid() == 0) {
		(void)try_broker(s, BROKER_VIA_DIRECT, "as root");
		return;
	}
	int r = -EPERM;
	if (has_file_capability())
		r = try_broker(s, BROKER_VIA_DIRECT, "by file capability");
	if (r == -EPERM && may_sudo)
		r = try_broker(s, BROKER_VIA_SUDO_QUIET, "by sudo");
	/* With the privilege, and something else was wrong: that is the news.
	 */
	if (r == 0 || (r != -EPERM && r != -ENOENT))
		return;
	if (try_own_tun(s) == -ENOENT)
		say_what_is_missing(s, may_sudo);
}

/*
 * The result
 */

static void send_result(int sock, const struct setup *s)
{
	int fds[] = {s->tun_fd, s->broker_fd};
	size_t n = s->tun_fd < 0 ? 0 : s->broker_fd < 0 ? 1 : 2;

	(void)fd_msg_send_all(sock, &s->result, sizeof(s->result), fds, n);
}

void setup_run(int sock, const struct frame_network *network)
{
	struct setup s = {.network = network, .tun_fd = -1, .broker_fd = -1};

	make_device(&s);
	send_result(sock, &s);
	fd_close(&s.tun_fd);
	fd_close(&s.broker_fd);
}

int setup_receive(int sock, struct setup_result *ret, int *ret_tun_fd,
		  int *ret_broker_fd)
{
	int fds[FD_MSG_MAX] = {-1, -1}, n_fds;
	ssize_t n = fd_msg_receive_all(sock, ret, sizeof(*ret), MSG_DONTWAIT,
				       fds, &n_fds);

	if (n == -EAGAIN)
		return -EAGAIN;
	if (n != sizeof(*ret))
		return -EPIPE;
	*ret_tun_fd = fds[0];
	*ret_broker_fd = fds[1];
	ret->text[sizeof(ret->text) - 1] = '\0';
	ret->tuned[sizeof(ret->tuned) - 1] = '\0';
	return ret->error == 0 && fds[0] < 0 ? -EPIPE : 0;
}
