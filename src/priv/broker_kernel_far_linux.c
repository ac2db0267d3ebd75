/* SPDX-License-Identifier: MIT */
/*
 * broker_kernel_far: the broker of the far side, which forwards packets too.
 *
 * Uses ioctl(2) and /proc instead of a netlink library, since it is part of the
 * helper, which brings everything along that it needs.
 */
#include "broker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dev.h"
#include "fd.h"
#include "fd_msg.h"
#include "forwarding.h"
#include "keeper.h"
#include "log.h"
#include "nft.h"
#include "nft_run.h"
#include "privdrop.h"
#include "sshd_socket.h"
#include "sysctl.h"
#include "tcp_tune.h"
#include "tun.h"

enum {
	/* Packets, of up to 64 KiB: what a burst of small ones needs. */
	TXQUEUELEN = 2048,
	/* Nothing is behind a near end that is larger. */
	PREFIX_MIN_4 = 8,
	PREFIX_MIN_6 = 16,
};

static_assert((int)TUN_NAME_MAX == (int)BROKERMSG_NAME_MAX, "");
static_assert((int)TCP_CONN_NAME_MAX == (int)BROKERMSG_NAME_MAX, "");

struct kernel {
	int control_fd;		       /* owned; -1: used up */
	int keeper_fd;		       /* owned */
	int lock_fd;		       /* owned; -1: between changes */
	int events_fd;		       /* owned; of nftables; -1: not yet */
	char name[BROKERMSG_NAME_MAX]; /* of the device */
	struct broker_forward forward; /* once there is a plan */
	int sshd_fd;		       /* owned: a copy of sshd's socket */
	struct err sshd_why;	       /* sshd_fd is -1: why */
	struct tcp_tune tune;	       /* of it */
	bool is_for_root; /* who started us is root, and not by sudo */
};

static int kernel_tun_create(void *ctx, const struct brokermsg_tun *tun,
			     struct journal_link *ret_link,
			     uint32_t *ret_offloads, int *ret_fd,
			     struct err *err)
{
	struct kernel *k = ctx;
	struct journal_link link = {0};
	uint32_t offloads;
	int fd CLEANUP_FD = -1;

	/* Tables are named after the device: "guard4-ecssh0" would be that of
	 * another's. */
	if (strcmp(tun->name, "ecssh%d") != 0)
		return err_set(err, -EPERM,
			       "on the far host names of devices are chosen by "
			       "the broker");
	int r = tun_create(k->control_fd, tun->name, tun->offloads, link.name,
			   &offloads, err);

	if (r < 0)
		return r;
	/* From here on a failure closes the descriptor, and that deletes the
	 * device. */
	fd = fd_take(&k->control_fd);
	link.ifindex = if_nametoindex(link.name);
	if (link.ifindex == 0)
		return err_set(err, -errno, "%s has disappeared", link.name);
	/* No address of the kernel's choice, no routers.  Failing is not
	 * fatal: not everywhere is /proc/sys writable. */
	(void)sysctl_set_if("ipv6", link.name, "addr_gen_mode", '1');
	(void)sysctl_set_if("ipv6", link.name, "accept_ra", '0');
	r = dev_configure(link.name, tun->mtu_bytes, TXQUEUELEN, err);
	if (r < 0)
		return r;
	memcpy(k->name, link.name, sizeof(k->name));
	*ret_link = link;
	*ret_offloads = offloads;
	*ret_fd = fd_take(&fd);
	return 0;
}

static bool kernel_link_is_ours(void *ctx, const struct journal_link *link)
{
	char name[IF_NAMESIZE];

	(void)ctx;
	return if_indextoname(link->ifindex, name) &&
	       strcmp(name, link->name) == 0;
}

/* Writes the name of a device to out.  Returns 0 or -ENODEV with err. */
static int name_of(const struct journal_link *link, char out[IF_NAMESIZE],
		   struct err *err)
{
	if (if_indextoname(link->ifindex, out))
		return 0;
	return err_set(err, -ENODEV, "the device has disappeared");
}

static int kernel_link_up(void *ctx, const struct journal_link *link,
			  struct err *err)
{
	char name[IF_NAMESIZE];
	int r = name_of(link, name, err);

	(void)ctx;
	return r < 0 ? r : dev_up(name, err);
}

static bool is_private(const struct subnet *dst)
{
	static const struct subnet nets[] = {
		{{IPV4, {10}}, 8},	  {{IPV4, {172, 16}}, 12},
		{{IPV4, {192, 168}}, 16}, {{IPV4, {100, 64}}, 10},
		{{IPV4, {198, 18}}, 15},  {{IPV6, {0xfc}}, 7},
	};

	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
		if (subnet_covers(&nets[i], dst))
			return true;
	return false;
}

/* The host's own traffic is not to be taken over, least of all by an account
 * that has nothing but our capability. */
static int check_route(const struct kernel *k, const struct subnet *dst,
		       struct err *err)
{
	char text[SUBNET_TEXT_MAX];
	int least = dst->addr.version == IPV4 ? PREFIX_MIN_4 : PREFIX_MIN_6;

	subnet_format(dst, text);
	if (dst->prefix_len < least)
		return err_set(err, -EPERM,
			       "%s is too large to be behind a near end: at "
			       "least /%d",
			       text, least);
	if (addr_is_link_local(&dst->addr))
		return err_set(err, -EPERM, "%s cannot be routed", text);
	if (!k->is_for_root && !is_private(dst))
		return err_set(err, -EPERM,
			       "%s is no private subnet, and only root may "
			       "route others on the far host",
			       text);
	return 0;
}

static int add_route(struct kernel *k, const struct journal_change *change,
		     struct err *err)
{
	char name[IF_NAMESIZE];
	int r = check_route(k, &change->net, err);

	if (r == 0 && !k->is_for_root)
		r = dev_route_is_free(&change->net, err);
	if (r == 0)
		r = name_of(&change->link, name, err);
	return r < 0 ? r : dev_route_add(name, &change->net, err);
}

/*
 * Forwarding
 */

static int kernel_forward_plan(void *ctx, const struct journal_link *link,
			       uint8_t families, struct err *err)
{
	struct kernel *k = ctx;

	/* The last step: who did not ask for it by now will not. */
	if (k->tune.congestion[0] == '\0')
		fd_close(&k->sshd_fd);
	k->lock_fd = forwarding_lock();
	memset(&k->forward, 0, sizeof(k->forward));
	memcpy(k->forward.name, link->name, sizeof(k->forward.name));
	int r = forwarding_plan(families, &k->forward, err);
	if (r < 0)
		fd_close(&k->lock_fd);
	return r;
}

/* A socket that says whose tables are deleted.  Failing is not fatal: then it
 * goes unnoticed. */
static int open_events(void)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK};
	int group = NFNLGRP_NFTABLES;
	int fd CLEANUP_FD =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       NETLINK_NETFILTER);

	if (fd < 0 ||
	    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
		       sizeof(group)) < 0)
		return -1;
	return fd_take(&fd);
}

static int kernel_forward_add(void *ctx, uint32_t flags,
			      const struct subnet *nets, size_t n,
			      struct err *err)
{
	struct kernel *k = ctx;
	const struct broker_forward *forward = &k->forward;
	struct nft_rules rules = {.name = forward->name,
				  .flags = flags,
				  .guarded = forward->switched,
				  .forward = forward,
				  .nets = nets,
				  .n = n};
	char *text = malloc(NFT_TEXT_MAX);
	int r = text ? nft_build(&rules, text, NFT_TEXT_MAX) : -ENOMEM;

	if (r < 0)
		r = err_set(err, r, "the rules for %zu subnets do not fit", n);
	else
		r = nft_run(text, NULL, 0, err);
	free(text);
	/* Only now that the guards stand. */
	if (r == 0)
		r = forwarding_on(forward, err);
	fd_close(&k->lock_fd);
	if (r == 0)
		k->events_fd = open_events();
	return r;
}

static int unforward(struct kernel *k, struct err *err)
{
	const struct broker_forward *forward = &k->forward;
	char text[1024];

	k->lock_fd = forwarding_lock();
	fd_close(&k->events_fd);
	int r = forwarding_off(forward, err);
	if (nft_build_removal(forward->name, text, sizeof(text)) > 0) {
		int r_nft = nft_run(text, NULL, 0, r < 0 ? NULL : err);

		r = r < 0 ? r : r_nft;
	}
	fd_close(&k->lock_fd);
	return r;
}

static int kernel_apply(void *ctx, const struct journal_change *change,
			bool is_undo, struct err *err)
{
	switch (change->kind) {
	case CHANGE_LINK:
		return dev_del(change->link.ifindex, err);
	case CHANGE_ROUTE:
		return is_undo ? dev_route_del(change->link.name, &change->net,
					       err)
			       : add_route(ctx, change, err);
	case CHANGE_FORWARD:
		return unforward(ctx, err);
	case CHANGE_ADDR:
	case CHANGE_RULE:
	case CHANGE_DNS:
	case CHANGE_NAMES:
	case CHANGE_GUARD:
	case CHANGE__N:
		break;
	}
	return 0; /* the near side's */
}

static int kernel_tune(void *ctx, char name[BROKERMSG_NAME_MAX],
		       struct err *err)
{
	struct kernel *k = ctx;
	char text[TCP_TUNE_TEXT_MAX];

	if (k->sshd_fd < 0)
		return err_set(err, -ENOENT, "%s", k->sshd_why.text);
	int r = tcp_tune_look(&k->tune, k->sshd_fd, clock_mono_us());
	memcpy(name, k->tune.congestion, sizeof(k->tune.congestion));
	if (r < 0)
		(void)err_set(err, r, "sshd's connection cannot be seen: %s",
			      strerror(-r));
	else
		(void)err_set(err, 0, "%s", tcp_tune_tell(&k->tune, text));
	if (r == 0 && k->tune.state != TCP_TUNE_WATCHES)
		r = -EALREADY;
	if (r < 0) {
		fd_close(&k->sshd_fd);
		k->sshd_why = *err;
	}
	return r;
}

/*
 * What ends us early
 */

static void kernel_note(void *ctx, const struct broker_note *note)
{
	const struct kernel *k = ctx;
	bool has_more = note->change.kind == CHANGE_FORWARD;

	keeper_note(k->keeper_fd, note, &k->forward,
		    has_more ? sizeof(k->forward) : 0);
}

static int on_keeper(void *ctx, struct err *err)
{
	(void)ctx; /* it never says a word, so this is its end */
	return err_set(err, -ESRCH,
		       "the process that was to clean up has been killed, so "
		       "the packet plane had to end");
}

/* True if the message says that a table of this name is gone. */
static bool is_deletion(const struct nlmsghdr *m, const char *table)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	const uint8_t *bytes = (const uint8_t *)m;
	size_t pos = head;

	if (m->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE))
		return false;
	while (pos + NLA_HDRLEN <= m->nlmsg_len) {
		struct nlattr attr;

		memcpy(&attr, bytes + pos, sizeof(attr));
		if (attr.nla_len < NLA_HDRLEN ||
		    attr.nla_len > m->nlmsg_len - pos)
			return false;
		if (attr.nla_type == NFTA_TABLE_NAME)
			return attr.nla_len == NLA_HDRLEN + strlen(table) + 1 &&
			       memcmp(bytes + pos + NLA_HDRLEN, table,
				      strlen(table)) == 0;
		pos += NLA_ALIGN(attr.nla_len);
	}
	return false;
}

static int on_nft_event(void *ctx, struct err *err)
{
	const struct kernel *k = ctx;
	char table[64];
	_Alignas(struct nlmsghdr) uint8_t buf[16384];
	ssize_t n = recv(k->events_fd, buf, sizeof(buf), 0);

	(void)snprintf(table, sizeof(table), "ecssh-%s", k->name);
	/* Lost events (ENOBUFS) may have been of other tables. */
	for (size_t pos = 0, len = n > 0 ? (size_t)n : 0;
	     pos + sizeof(struct nlmsghdr) <= len;) {
		const struct nlmsghdr *m =
			(const struct nlmsghdr *)(const void *)(buf + pos);

		if (m->nlmsg_len < sizeof(*m) || m->nlmsg_len > len - pos)
			break;
		if (is_deletion(m, table))
			return err_set(err, -ESTALE,
				       "somebody has deleted our rules (nft "
				       "table inet %s) on the far host",
				       table);
		pos += NLMSG_ALIGN(m->nlmsg_len);
	}
	return 0;
}

static const struct broker_ops far_ops = {
	.requests = broker_far_requests,
	.tun_create = kernel_tun_create,
	.link_up = kernel_link_up,
	.link_is_ours = kernel_link_is_ours,
	.apply = kernel_apply,
	.note = kernel_note,
	.forward_plan = kernel_forward_plan,
	.forward_add = kernel_forward_add,
	.tune = kernel_tune,
};

static void serve(struct broker *b, struct kernel *k, int sock)
{
	struct broker_alarm alarms[] = {
		{.on_input = on_keeper},
		{.on_input = on_nft_event, .ctx = k},
	};

	alarms[0].fd = &k->keeper_fd;
	alarms[1].fd = &k->events_fd;
	broker_serve(b, sock, alarms, sizeof(alarms) / sizeof(alarms[0]));
}

void broker_far_run(int sock)
{
	struct kernel k = {.control_fd = -1,
			   .keeper_fd = -1,
			   .lock_fd = -1,
			   .events_fd = -1,
			   .sshd_fd = -1,
			   /* sudo hands the socket on; it was made by
			      who ran sudo. */
			   .is_for_root = fd_msg_maker(sock) == 0};
	const struct keeper_charge charge = {.ops = &far_ops,
					     .ctx = &k,
					     .fd = -1,
					     .more = &k.forward,
					     .more_bytes = sizeof(k.forward)};
	struct err err = {{0}};

	broker_ignore_signals();
	/* While we may look into the processes of others. */
	k.sshd_fd = sshd_socket_dup(&k.sshd_why);
	int r = tun_open_control(&k.control_fd, &err);
	if (r >= 0)
		r = privdrop_keep_net_admin(&err);
	if (r >= 0)
		r = keeper_start(&charge, &k.keeper_fd, &err);
	struct broker *b = broker_new(&far_ops, &k, r, &err);
	if (b)
		serve(b, &k, sock);
	else
		log_err("out of memory");
	(void)broker_free(b);
	fd_close(&k.sshd_fd);
	fd_close(&k.events_fd);
	fd_close(&k.keeper_fd);
	fd_close(&k.control_fd);
}
