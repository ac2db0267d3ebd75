/* SPDX-License-Identifier: MIT */
/*
 * broker_print: a broker that changes nothing and says what it would do.
 *
 * A request that is new in struct broker_ops gets its lines here; without them
 * it is refused, as by a broker that cannot do it.
 */
#include "broker_print.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker.h"
#include "fd.h"
#include "log.h"
#include "nft_kill.h"
#include "nft_near.h"
#include "print_dns.h"
#include "sysctl.h"

enum {
	DEVICES_MAX = 1000,
	TXQUEUELEN = 2048,
	PROTOCOL = 236, /* of our rules */
};

struct print {
	int tun_fd; /* owned: the end of the engine's that we keep */
	struct print_dns dns;
	bool is_undoing;
};

/* What follows takes back what came before. */
static void begin_undo(struct print *p)
{
	if (!p->is_undoing)
		(void)puts("# at the end:");
	p->is_undoing = true;
}

/* ---- the device ---- */

/* As the near broker's: a strict filter would drop ICMP errors of routers on
 * the way, and nobody in the tunnel may announce routers. */
static void print_settings(const char *device)
{
	char all = sysctl_get_if("ipv4", "all", "rp_filter");
	char ours = sysctl_get_if("ipv4", "default", "rp_filter");

	if ((all > ours ? all : ours) == '1')
		(void)printf("sysctl -q -w net.ipv4.conf.%s.rp_filter=2\n",
			     device);
	if (access("/proc/sys/net/ipv6", F_OK) == 0)
		(void)printf("sysctl -q -w net.ipv6.conf.%s.accept_ra=0\n",
			     device);
}

static int tun_create(void *ctx, const struct brokermsg_tun *tun,
		      struct journal_link *ret_link, uint32_t *ret_offloads,
		      int *ret_fd, struct err *err)
{
	struct print *p = ctx;
	struct journal_link link = {.ifindex = 1};
	int pair[2];

	memcpy(link.name, tun->name, sizeof(link.name));
	for (int i = 0; strcmp(tun->name, "ecssh%d") == 0 && i < DEVICES_MAX;
	     i++) {
		(void)snprintf(link.name, sizeof(link.name), "ecssh%d", i);
		if (if_nametoindex(link.name) == 0)
			break;
	}
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       pair) < 0)
		return err_set(err, -errno, "cannot make a socket: %s",
			       strerror(errno));
	p->tun_fd = pair[0];
	(void)printf("ip tuntap add dev %s mode tun vnet_hdr\n", link.name);
	print_settings(link.name);
	(void)printf("ip link set dev %s addrgenmode none\n"
		     "ip link set dev %s mtu %u txqueuelen %d multicast off\n",
		     link.name, link.name, tun->mtu_bytes, TXQUEUELEN);
	*ret_link = link;
	*ret_offloads = 0;
	*ret_fd = pair[1];
	return 0;
}

static int link_up(void *ctx, const struct journal_link *link, struct err *err)
{
	(void)ctx;
	(void)err;
	(void)printf("ip link set dev %s up\n", link->name);
	return 0;
}

static bool link_is_ours(void *ctx, const struct journal_link *link)
{
	(void)ctx;
	(void)link;
	return true;
}

/* ---- addresses and routes ---- */

static void print_addr(const char *verb, const char *device,
		       const struct ip_addr *addr)
{
	char text[ADDR_TEXT_MAX];

	(void)printf("ip addr %s %s/%u dev %s%s\n", verb,
		     addr_format(addr, text), addr_len_bits(addr), device,
		     addr->version == IPV6 && *verb == 'a' ? " nodad" : "");
}

/* "-6 " where ip(8) cannot tell the family. */
static const char *family(uint8_t version)
{
	return version == IPV6 ? "-6 " : "";
}

static void print_route(const char *verb, const char *device,
			const struct subnet *dst)
{
	bool is_6 = dst->addr.version == IPV6;
	char text[SUBNET_TEXT_MAX];

	(void)printf("ip %sroute %s %s dev %s table %d proto static%s\n",
		     family(dst->addr.version), verb, subnet_format(dst, text),
		     device, BROKERMSG_TABLE,
		     is_6 ? " metric 1" : " scope link");
}

/* ---- rules ---- */

static void print_exemption(const struct journal_rule *rule)
{
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];

	if (rule->local.version)
		(void)printf(" from %s", addr_format(&rule->local, local));
	(void)printf(" to %s ipproto tcp dport %u",
		     addr_format(&rule->remote.addr, remote),
		     rule->remote.port);
	if (rule->from.first)
		(void)printf(" sport %u", rule->from.first);
	if (rule->from.first != rule->from.last)
		(void)printf("-%u", rule->from.last);
	if (rule->has_uid)
		(void)printf(" uidrange %u-%u", rule->uid, rule->uid);
	(void)printf(" lookup main");
}

static void print_rule(const char *verb, const struct journal_rule *rule)
{
	(void)printf("ip %srule %s pref %u", family(rule->version), verb,
		     rule->priority);
	switch (rule->kind) {
	case JOURNAL_RULE_TUNNEL:
		(void)printf(" lookup %d", BROKERMSG_TABLE);
		break;
	case JOURNAL_RULE_EXEMPT:
		print_exemption(rule);
		break;
	case JOURNAL_RULE_MARK:
		(void)printf(" fwmark %#x lookup main", BROKERMSG_MARK_VALUE);
		break;
	case JOURNAL_RULE__N:
		break;
	}
	(void)printf(" protocol %d\n", PROTOCOL);
}

static int mark(void *ctx, int fd, struct err *err)
{
	(void)ctx;
	(void)fd;
	(void)err;
	(void)printf("# the socket of ssh is given the mark %#x\n",
		     BROKERMSG_MARK_VALUE);
	return 0;
}

static int print_rules(const struct text *rules, struct err *err)
{
	if (rules->len >= rules->cap)
		return err_set(err, -E2BIG, "the rules do not fit");
	(void)printf("nft -f - <<'END'\n%sEND\n", rules->out);
	return 0;
}

/* ---- names ---- */

static int dns_set(void *ctx, const struct journal_link *link,
		   const struct brokermsg_dns_set *dns,
		   char ret_way[BROKERMSG_NAME_MAX], struct err *err)
{
	struct print *p = ctx;

	return print_dns_set(&p->dns, link->name, dns, ret_way, err);
}

/* ---- filters ---- */

static int kill_switch(void *ctx, const struct brokermsg_request *request,
		       struct err *err)
{
	char out[NFT_KILL_TEXT_MAX];
	struct text rules = {.out = out, .cap = sizeof(out)};

	if (request->type == BROKERMSG_KILL_LOOK)
		return 0;
	if (request->type == BROKERMSG_KILL_ON) {
		(void)puts("# the kill switch, and a note about it for who "
			   "starts the next tunnel:");
		nft_kill_put(&rules, &request->kill);
	} else {
		begin_undo(ctx);
		nft_kill_put_removal(&rules, request->kill.name);
	}
	return print_rules(&rules, err);
}

/* ---- changes ---- */

static int print_filter(const struct journal_change *change, bool is_undo,
			struct err *err)
{
	char out[NFT_NEAR_TEXT_MAX];
	struct text rules = {.out = out, .cap = sizeof(out)};

	nft_near_put(&rules, change, is_undo);
	return print_rules(&rules, err);
}

static int apply(void *ctx, const struct journal_change *change, bool is_undo,
		 struct err *err)
{
	const char *verb = is_undo ? "del" : "add", *device = change->link.name;

	if (is_undo)
		begin_undo(ctx);
	switch (change->kind) {
	case CHANGE_ADDR:
		print_addr(verb, device, &change->net.addr);
		break;
	case CHANGE_ROUTE:
		print_route(verb, device, &change->net);
		break;
	case CHANGE_RULE:
		print_rule(verb, &change->rule);
		break;
	case CHANGE_DNS:
	case CHANGE_GUARD:
		return print_filter(change, is_undo, err);
	case CHANGE_LINK:
		(void)printf("ip link del dev %s\n", device);
		break;
	case CHANGE_NAMES:
		print_dns_undo(&((struct print *)ctx)->dns, device);
		break;
	case CHANGE_FORWARD:
	case CHANGE__N:
		break;
	}
	return 0;
}

static int cleanup(void *ctx, struct err *said)
{
	(void)ctx;
	return err_set(said, -EOPNOTSUPP, "this broker keeps no records");
}

/* ---- the loop ---- */

static const struct broker_ops print_ops = {
	.requests = broker_near_requests,
	.tun_create = tun_create,
	.link_up = link_up,
	.link_is_ours = link_is_ours,
	.apply = apply,
	.mark = mark,
	.dns_set = dns_set,
	.kill = kill_switch,
	.cleanup = cleanup,
};

void broker_print_run(int sock)
{
	struct print p = {.tun_fd = -1};
	struct broker *b = broker_new(&print_ops, &p, 0, NULL);

	broker_ignore_signals();
	if (b)
		broker_serve(b, sock, NULL, 0);
	else
		log_err("out of memory");
	(void)broker_free(b);
	fd_close(&p.tun_fd);
	if (fflush(stdout) != 0)
		log_err("cannot write what would be done: %s", strerror(errno));
}
