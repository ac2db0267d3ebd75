/* SPDX-License-Identifier: MIT */
/* broker_kernel: a broker that really does what it is asked for. */
#include "broker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dnshost_msg.h"
#include "fd.h"
#include "fd_msg.h"
#include "journal_file.h"
#include "keeper.h"
#include "killnote.h"
#include "log.h"
#include "mate.h"
#include "nft_near.h"
#include "nft_run.h"
#include "privdrop.h"
#include "rtnl.h"
#include "sysctl.h"
#include "tcp_conn.h"
#include "tun.h"

enum {
	/* Packets, of up to 64 KiB: what a burst of small ones needs. */
	TXQUEUELEN = 2048,
	TABLES_TEXT_MAX = 64 * 1024, /* some 2,000 tables */
};

static_assert((int)TUN_NAME_MAX == (int)BROKERMSG_NAME_MAX, "");
static_assert((int)TUN_OFFLOAD_CSUM == (int)BROKERMSG_OFFLOAD_CSUM, "");
static_assert((int)TUN_OFFLOAD_TSO == (int)BROKERMSG_OFFLOAD_TSO, "");
static_assert((int)TUN_OFFLOAD_USO == (int)BROKERMSG_OFFLOAD_USO, "");
static_assert((int)TUN_OFFLOAD_ALL == (int)BROKERMSG_OFFLOAD_ALL, "");

struct kernel {
	int control_fd;	   /* owned; -1: used up */
	int keeper_fd;	   /* owned */
	struct rtnl *rtnl; /* owned */
	struct mate dns;   /* owned; runs as root, if it runs */
	bool has_dns;	   /* it has something to undo */
	struct mate kill;  /* owned; runs as we do, for an order */
	uint32_t asks_uid; /* who made the engine's socket */
	bool has_replayed; /* it was asked what the dead have left */
	struct journal_file journal;
};

/* Where what is to be taken back after a crash is written down. */
static const char state_dir[] = "/var/lib/ecssh";

/* They vanish with the device.  Failing is not fatal: not everywhere is
 * /proc/sys writable. */
static void set_sysctls(const char *name)
{
	char all = sysctl_get_if("ipv4", "all", "rp_filter");
	char ours = sysctl_get_if("ipv4", name, "rp_filter");

	/* ICMP errors come from routers on the way, which need not be inside
	 * the subnets routed here: a strict filter (1) would drop them.  The
	 * higher of the two values counts, and loose is 2. */
	if ((all > ours ? all : ours) == '1')
		(void)sysctl_set_if("ipv4", name, "rp_filter", '2');
	/* Nobody in the tunnel may announce routers. */
	(void)sysctl_set_if("ipv6", name, "accept_ra", '0');
}

static int kernel_tun_create(void *ctx, const struct brokermsg_tun *tun,
			     struct journal_link *ret_link,
			     uint32_t *ret_offloads, int *ret_fd,
			     struct err *err)
{
	struct kernel *k = ctx;
	struct journal_link link = {0};
	uint32_t offloads;
	int fd CLEANUP_FD = -1;
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
	set_sysctls(link.name);
	r = rtnl_link_configure(k->rtnl, link.ifindex, tun->mtu_bytes,
				TXQUEUELEN, err);
	if (r < 0)
		return r;
	*ret_link = link;
	*ret_offloads = offloads;
	*ret_fd = fd_take(&fd);
	return 0;
}

static int kernel_link_up(void *ctx, const struct journal_link *link,
			  struct err *err)
{
	return rtnl_link_up(((struct kernel *)ctx)->rtnl, link->ifindex, err);
}

static bool kernel_link_is_ours(void *ctx, const struct journal_link *link)
{
	char name[IF_NAMESIZE];

	(void)ctx;
	return if_indextoname(link->ifindex, name) &&
	       strcmp(name, link->name) == 0;
}

static struct rtnl_rule kernel_rule(const struct journal_rule *rule)
{
	bool is_tunnel = rule->kind == JOURNAL_RULE_TUNNEL;
	bool is_exempt = rule->kind == JOURNAL_RULE_EXEMPT;
	bool is_mark = rule->kind == JOURNAL_RULE_MARK;

	return (struct rtnl_rule){
		.version = rule->version,
		.priority = rule->priority,
		.table = is_tunnel ? BROKERMSG_TABLE : RTNL_TABLE_MAIN,
		.from = rule->local, /* none, but of an exemption */
		.from_ports = rule->from,
		.to = rule->remote.addr,
		.to_port = rule->remote.port,
		.ip_proto = is_exempt ? IPPROTO_TCP : 0,
		.has_uid = rule->has_uid,
		.uid = rule->uid,
		.mark = is_mark ? BROKERMSG_MARK_VALUE : 0,
	};
}

static int kernel_mark(void *ctx, int fd, struct err *err)
{
	uint32_t mark = BROKERMSG_MARK_VALUE;
	struct tcp_conn conn;

	(void)ctx;
	if (tcp_conn_read(fd, &conn) < 0)
		return err_set(err, -EINVAL, "this is no TCP connection");
	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return err_set(err, -errno, "cannot mark a connection: %s",
			       strerror(errno));
	return 0;
}

static void kernel_note(void *ctx, const struct broker_note *note)
{
	struct kernel *k = ctx;
	struct journal_record record;
	int r = 0;

	if (k->journal.fd >= 0 && journal_build_change(&note->change, &record))
		r = note->is_strike
			    ? journal_file_strike(k->journal.fd, &record)
			    : journal_file_add(&k->journal, &record);
	if (r < 0)
		log_warn("cannot write to %s/journal: %s, ignoring", state_dir,
			 strerror(-r));
	keeper_note(k->keeper_fd, note, NULL, 0);
}

static int kernel_reopen(void *ctx, struct err *err)
{
	struct kernel *k = ctx;

	/* A copy of the broker's own, with its lock. */
	if (k->journal.fd >= 0)
		k->journal.fd = KEEPER_FD;
	k->dns.sock = -1; /* the broker's; ecssh-dns has its own guardian */
	return rtnl_open(&k->rtnl, err);
}

static int on_keeper(void *ctx, struct err *err)
{
	(void)ctx; /* it never says a word, so this is its end */
	return err_set(err, -ESRCH,
		       "the process that was to clean up has been killed, so "
		       "the tunnel had to end");
}

static int kernel_dns_set(void *ctx, const struct journal_link *link,
			  const struct brokermsg_dns_set *dns,
			  char ret_way[BROKERMSG_NAME_MAX], struct err *err)
{
	struct kernel *k = ctx;
	struct dnshost_msg_request request = {
		.type = DNSHOST_MSG_SET, .ifindex = link->ifindex, .dns = *dns};
	struct brokermsg_reply reply = {0};

	memcpy(request.name, link->name, sizeof(request.name));
	int r = mate_ask(&k->dns, &request, sizeof(request), &reply, err);
	memcpy(ret_way, reply.name, sizeof(reply.name));
	k->has_dns = r == 0;
	return r;
}

static int clear_dns(struct kernel *k, struct err *err)
{
	struct dnshost_msg_request request = {.type = DNSHOST_MSG_CLEAR};
	struct brokermsg_reply reply;

	k->has_dns = false;
	/* One that has ended has a guardian. */
	return k->dns.sock < 0 ? 0
			       : mate_ask(&k->dns, &request, sizeof(request),
					  &reply, err);
}

/* ecssh-dns says nothing unasked: this is its end. */
static int on_dns_end(void *ctx, struct err *err)
{
	struct kernel *k = ctx;
	bool had_dns = k->has_dns;

	mate_stop(&k->dns);
	k->has_dns = false;
	return had_dns ? err_set(err, -EPIPE,
				 "ecssh-dns has ended, so the tunnel had to "
				 "end")
		       : 0;
}

/* An ordinary tunnel has nothing to do with kill switches, so they are the
 * work of another program, which checks the request as we did. */
static int kernel_kill(void *ctx, const struct brokermsg_request *request,
		       struct err *err)
{
	struct kernel *k = ctx;
	struct brokermsg_kill_order order = {.asks_uid = k->asks_uid};
	struct brokermsg_reply reply;

	mate_start(&k->kill);
	memcpy(&order.request, request->bytes, brokermsg_size(request->type));
	int r = mate_ask(&k->kill, &order, sizeof(order), &reply, err);
	mate_stop(&k->kill);
	return r;
}

/* Those of the guard, and those for names. */
static int apply_rules(const struct journal_change *change, bool is_undo,
		       struct err *err)
{
	char out[NFT_NEAR_TEXT_MAX];
	struct text rules = {.out = out, .cap = sizeof(out)};

	nft_near_put(&rules, change, is_undo);
	return nft_run_rules(&rules, err);
}

static int kernel_apply(void *ctx, const struct journal_change *change,
			bool is_undo, struct err *err)
{
	struct kernel *k = ctx;
	uint32_t ifindex = change->link.ifindex;
	const struct subnet *net = &change->net;
	struct rtnl_rule rule;

	switch (change->kind) {
	case CHANGE_ADDR:
		return (is_undo ? rtnl_addr_del : rtnl_addr_add)(
			k->rtnl, ifindex, &net->addr, err);
	case CHANGE_ROUTE:
		return (is_undo ? rtnl_route_del : rtnl_route_add)(
			k->rtnl, BROKERMSG_TABLE, ifindex, net, err);
	case CHANGE_RULE:
		rule = kernel_rule(&change->rule);
		return (is_undo ? rtnl_rule_del : rtnl_rule_add)(k->rtnl, &rule,
								 err);
	case CHANGE_DNS:
		/* Of no use without who then answers. */
		if (!is_undo && k->dns.sock < 0)
			return mate_why_not(&k->dns, err);
		return apply_rules(change, is_undo, err);
	case CHANGE_GUARD:
		return apply_rules(change, is_undo, err);
	case CHANGE_LINK:
		return rtnl_link_del(k->rtnl, ifindex, err);
	case CHANGE_NAMES:
		return clear_dns(k, err);
	case CHANGE_FORWARD:
	case CHANGE__N:
		break;
	}
	return 0; /* the far side's */
}

/*
 * What the dead have left
 */

/* False only if there certainly is none: the record was written, and the rules
 * never were. */
static bool has_table(const struct journal_change *change)
{
	char name[40], list[TABLES_TEXT_MAX];

	(void)snprintf(name, sizeof(name), " ecssh-%s-%s\n",
		       change->kind == CHANGE_GUARD ? "guard" : "dns",
		       change->link.name);
	bool is_known =
		nft_run("list tables\n", list, sizeof(list), NULL) == 0 &&
		strlen(list) < sizeof(list) - 1;
	return !is_known || strstr(list, name);
}

/* Returns 0 with said; -ENOENT: it is not there. */
static int undo_record(struct kernel *k, const struct journal_record *record,
		       struct err *said)
{
	struct journal_change change;

	if (journal_parse_change(record, &change) < 0)
		return err_set(said, -EBADMSG,
			       "a record in %s/journal is of another version "
			       "of ecssh, and was left alone",
			       state_dir);
	if (change.kind != CHANGE_RULE) {
		uint32_t now = if_nametoindex(change.link.name);

		/* Another tunnel may have taken its name over. */
		if ((now != 0 && now != change.link.ifindex) ||
		    !has_table(&change))
			return -ENOENT;
	}
	int r = kernel_apply(k, &change, true, said);
	return r < 0 ? r : journal_tell(&change, said);
}

static int kernel_cleanup(void *ctx, struct err *said)
{
	struct kernel *k = ctx;
	struct journal_record record;
	int fd, r;

	while ((fd = journal_file_next_dead(&k->journal, &record)) >= 0) {
		r = undo_record(k, &record, said);
		if (r == 0 || r == -ENOENT)
			(void)journal_file_strike(fd, &record);
		if (r != -ENOENT)
			return r;
	}
	journal_file_forget_dead(&k->journal);
	if (k->dns.sock >= 0 && !k->has_replayed) {
		struct dnshost_msg_request request = {
			.type = DNSHOST_MSG_REPLAY};
		struct brokermsg_reply reply;

		k->has_replayed = true;
		r = mate_ask(&k->dns, &request, sizeof(request), &reply, said);
		if (r < 0 || reply.text[0] != '\0')
			return r < 0 ? r : err_set(said, 0, "%s", reply.text);
	}
	return err_set(said, -ENOENT, "there is nothing to clean up");
}

static const struct broker_ops kernel_ops = {
	.requests = broker_near_requests,
	.tun_create = kernel_tun_create,
	.link_up = kernel_link_up,
	.link_is_ours = kernel_link_is_ours,
	.apply = kernel_apply,
	.note = kernel_note,
	.reopen = kernel_reopen,
	.mark = kernel_mark,
	.dns_set = kernel_dns_set,
	.kill = kernel_kill,
	.cleanup = kernel_cleanup,
};

/* The directory of notes about kill switches is nobody's, as ecssh-kill will
 * be.  What is refused here shows when a note is to be written. */
static void make_kill_dir(void)
{
	(void)mkdir(KILLNOTE_DIR, 0755);
	int fd CLEANUP_FD = open(KILLNOTE_DIR, O_RDONLY | O_DIRECTORY |
						       O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fchmod(fd, 0755); /* whatever the umask was */
	(void)!fchown(fd, PRIVDROP_NOBODY, PRIVDROP_NOBODY);
}

void broker_run(int sock)
{
	struct kernel k = {.control_fd = -1,
			   .keeper_fd = -1,
			   .asks_uid = fd_msg_maker(sock)};
	const struct broker_alarm alarms[] = {
		{.fd = &k.keeper_fd, .on_input = on_keeper},
		{.fd = &k.dns.sock, .on_input = on_dns_end, .ctx = &k},
	};
	struct err err = {{0}};

	broker_ignore_signals();
	/* The first, while we still are root and have nothing open. */
	mate_init(&k.dns, "ecssh-dns");
	mate_start(&k.dns);
	fd_close(&k.dns.program_fd); /* once is enough */
	mate_init(&k.kill, "ecssh-kill");
	make_kill_dir();
	int r = journal_file_open(&k.journal, state_dir, &err);
	/* By a file capability alone there never is one. */
	if (r < 0 && geteuid() == 0)
		log_warn("%s; what is left if broker and keeper are killed at "
			 "once cannot be cleaned up, ignoring",
			 err.text);
	r = tun_open_control(&k.control_fd, &err);
	if (r >= 0)
		r = privdrop_keep_net_admin(&err);
	if (r >= 0)
		r = keeper_start(&(struct keeper_charge){.ops = &kernel_ops,
							 .ctx = &k,
							 .fd = k.journal.fd},
				 &k.keeper_fd, &err);
	if (r >= 0)
		r = rtnl_open(&k.rtnl, &err);
	/* Not ready: the engine is told so when it says hello. */
	struct broker *b = broker_new(&kernel_ops, &k, r, &err);
	if (b)
		broker_serve(b, sock, alarms, 2);
	else
		log_err("out of memory");
	(void)broker_free(b);
	(void)rtnl_close(k.rtnl);
	journal_file_close(&k.journal);
	fd_close(&k.keeper_fd);
	mate_fini(&k.dns);
	mate_fini(&k.kill);
	fd_close(&k.control_fd);
}
