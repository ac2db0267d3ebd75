/* SPDX-License-Identifier: MIT */
/*
 * rtnl: links, addresses, routes and rules by rtnetlink(7).
 *
 * Every request is built in the buffer of struct rtnl, sent, and its answer
 * awaited before the call returns; there is never more than one under way.
 */
#include "rtnl.h"

#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "link_name.h"

enum {
	DUMP_TRIES = 5,	 /* a dump is repeated if something changed meanwhile */
	IPV6_METRIC = 1, /* IPv6 takes 0 for 1024, behind everything else */
	/* Who made a rule: a number that nobody has in rt_protos. */
	RULE_PROTOCOL = 0xec,
	/* Of kernels since 6.15: FRA_SPORT_MASK, FRA_DPORT_MASK. */
	SPORT_MASK = 28,
	DPORT_MASK = 29,
};

static_assert((int)RTNL_TABLE_MAIN == (int)RT_TABLE_MAIN, "");

struct rtnl {
	struct mnl_socket *nl; /* owned */
	uint32_t seq;	       /* of the last request */
	/* Why the kernel refused the last request, if it said so. */
	char kernel_text[160];
	_Alignas(struct nlmsghdr) char buf[32 * 1024];
};

/* Called for each message of a dump.  Returns 0 or -errno. */
typedef int (*on_msg_fn)(const struct nlmsghdr *nlh, void *ctx);

/* Not as libmnl does it: a sandbox may have no raw sockets, which for netlink
 * are the same. */
static struct mnl_socket *open_route(void)
{
	CLEANUP_FD int fd =
		socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct mnl_socket *nl = fd < 0 ? NULL : mnl_socket_fdopen(fd);

	if (nl)
		(void)fd_take(&fd);
	return nl;
}

int rtnl_open(struct rtnl **ret_rtnl, struct err *err)
{
	struct rtnl *rtnl = calloc(1, sizeof(*rtnl));
	int on = 1;

	if (!rtnl)
		return err_set(err, -ENOMEM, "out of memory");
	rtnl->nl = open_route();
	if (!rtnl->nl || mnl_socket_bind(rtnl->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;

		(void)rtnl_close(rtnl);
		return err_set(err, r, "cannot open a netlink socket: %s",
			       strerror(-r));
	}
	/* Older kernels: then errors come without an explanation. */
	(void)mnl_socket_setsockopt(rtnl->nl, NETLINK_EXT_ACK, &on, sizeof(on));
	(void)mnl_socket_setsockopt(rtnl->nl, NETLINK_CAP_ACK, &on, sizeof(on));
	*ret_rtnl = rtnl;
	return 0;
}

struct rtnl *rtnl_close(struct rtnl *rtnl)
{
	if (rtnl && rtnl->nl)
		(void)mnl_socket_close(rtnl->nl);
	free(rtnl);
	return NULL;
}

/* Begin a request with its fixed part, zeroed, behind the header. */
static struct nlmsghdr *begin(struct rtnl *rtnl, uint16_t type, int flags,
			      size_t fixed_bytes, void **ret_fixed)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(rtnl->buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nlh->nlmsg_seq = ++rtnl->seq;
	*ret_fixed = mnl_nlmsg_put_extra_header(nlh, fixed_bytes);
	return nlh;
}

/* The attribute at this place of the message, or NULL behind the last. */
static const struct nlattr *attr_at(const struct nlmsghdr *nlh, const void *at)
{
	const char *tail = mnl_nlmsg_get_payload_tail(nlh);

	return mnl_attr_ok(at, (int)(tail - (const char *)at)) ? at : NULL;
}

static const struct nlattr *attr_first(const struct nlmsghdr *nlh,
				       size_t fixed_bytes)
{
	return attr_at(nlh, mnl_nlmsg_get_payload_offset(nlh, fixed_bytes));
}

static const struct nlattr *attr_next(const struct nlmsghdr *nlh,
				      const struct nlattr *attr)
{
	return attr_at(nlh, mnl_attr_next(attr));
}

/* Take what NLMSG_ERROR says: its errno, and the text among its attributes. */
static int read_error(struct rtnl *rtnl, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	size_t fixed = sizeof(*e);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*e))
		return -EPROTO;
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return e->error;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		fixed += mnl_nlmsg_get_payload_len(&e->msg);
	if (mnl_nlmsg_get_payload_len(nlh) < fixed)
		return e->error;
	for (const struct nlattr *attr = attr_first(nlh, fixed); attr;
	     attr = attr_next(nlh, attr)) {
		if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
			(void)snprintf(rtnl->kernel_text,
				       sizeof(rtnl->kernel_text), "%.*s",
				       (int)mnl_attr_get_payload_len(attr),
				       mnl_attr_get_str(attr));
	}
	return e->error;
}

/* The end of a dump may bring an error as well. */
static int read_done(const struct nlmsghdr *nlh)
{
	int32_t r;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(r))
		return 0;
	memcpy(&r, mnl_nlmsg_get_payload(nlh), sizeof(r));
	return r < 0 ? r : 0;
}

/*
 * Send the request in the buffer and take the answers until the last one.
 * Returns 0, -errno of the kernel or of on_msg, or -EINTR: complete, but the
 * kernel's tables changed during the dump.
 */
static int transact(struct rtnl *rtnl, const struct nlmsghdr *request,
		    on_msg_fn on_msg, void *ctx)
{
	uint32_t seq = request->nlmsg_seq;
	int result = 0;

	rtnl->kernel_text[0] = '\0';
	if (mnl_socket_sendto(rtnl->nl, request, request->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(rtnl->nl, rtnl->buf,
						sizeof(rtnl->buf));
		int len = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (const struct nlmsghdr *nlh = (void *)rtnl->buf;
		     mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
			if (nlh->nlmsg_seq != seq)
				continue; /* of a call that was given up */
			if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
				result = result ? result : -EINTR;
			if (nlh->nlmsg_type == NLMSG_ERROR)
				return read_error(rtnl, nlh);
			if (nlh->nlmsg_type == NLMSG_DONE) {
				int r = read_done(nlh);

				return r < 0 ? r : result;
			}
			if (on_msg && (result == 0 || result == -EINTR)) {
				int r = on_msg(nlh, ctx);

				result = r < 0 ? r : result;
			}
		}
	}
}

/* Put "cannot <what>: <why>" into err. */
static int __attribute__((format(printf, 4, 5)))
explain(const struct rtnl *rtnl, int r, struct err *err, const char *what, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, what);
	(void)vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	if (rtnl->kernel_text[0] == '\0')
		return err_set(err, r, "cannot %s: %s", text, strerror(-r));
	return err_set(err, r, "cannot %s: %s (%s)", text, strerror(-r),
		       rtnl->kernel_text);
}

static const char *link_name(uint32_t ifindex, char out[IF_NAMESIZE])
{
	if (!link_name_find(ifindex, out))
		(void)snprintf(out, IF_NAMESIZE, "#%u", ifindex);
	return out;
}

static unsigned char family_of(const struct ip_addr *addr)
{
	return addr->version == IPV4 ? AF_INET : AF_INET6;
}

static void put_addr(struct nlmsghdr *nlh, uint16_t type,
		     const struct ip_addr *addr)
{
	mnl_attr_put(nlh, type, addr_len_bytes(addr), addr->bytes);
}

/* Kernels without IPv6, or with it switched off, know no such setting and need
 * none. */
static void set_no_auto_addr(struct rtnl *rtnl, uint32_t ifindex)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin(rtnl, RTM_NEWLINK, NLM_F_ACK, sizeof(*ifi),
				     (void **)&ifi);

	ifi->ifi_index = (int)ifindex;
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(nlh, AF_INET6);
	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
	(void)transact(rtnl, nlh, NULL, NULL);
}

int rtnl_link_configure(struct rtnl *rtnl, uint32_t ifindex, uint32_t mtu_bytes,
			uint32_t txqueuelen, struct err *err)
{
	struct ifinfomsg *ifi;
	char name[IF_NAMESIZE];

	/* First: the kernel forgets IPv6 on a device of a small MTU. */
	set_no_auto_addr(rtnl, ifindex);

	struct nlmsghdr *nlh = begin(rtnl, RTM_NEWLINK, NLM_F_ACK, sizeof(*ifi),
				     (void **)&ifi);
	ifi->ifi_index = (int)ifindex;
	ifi->ifi_change = IFF_MULTICAST;
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu_bytes);
	mnl_attr_put_u32(nlh, IFLA_TXQLEN, txqueuelen);
	int r = transact(rtnl, nlh, NULL, NULL);
	if (r < 0)
		return explain(rtnl, r, err, "set the MTU of %s to %u",
			       link_name(ifindex, name), mtu_bytes);
	return 0;
}

int rtnl_link_up(struct rtnl *rtnl, uint32_t ifindex, struct err *err)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin(rtnl, RTM_NEWLINK, NLM_F_ACK, sizeof(*ifi),
				     (void **)&ifi);
	char name[IF_NAMESIZE];

	ifi->ifi_index = (int)ifindex;
	ifi->ifi_change = ifi->ifi_flags = IFF_UP;
	int r = transact(rtnl, nlh, NULL, NULL);
	if (r < 0)
		return explain(rtnl, r, err, "set %s up",
			       link_name(ifindex, name));
	return 0;
}

int rtnl_link_del(struct rtnl *rtnl, uint32_t ifindex, struct err *err)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh = begin(rtnl, RTM_DELLINK, NLM_F_ACK, sizeof(*ifi),
				     (void **)&ifi);
	char name[IF_NAMESIZE];

	ifi->ifi_index = (int)ifindex;
	int r = transact(rtnl, nlh, NULL, NULL);
	if (r < 0)
		return explain(rtnl, r, err, "delete %s",
			       link_name(ifindex, name));
	return 0;
}

static int change_addr(struct rtnl *rtnl, uint16_t type, int flags,
		       uint32_t ifindex, const struct ip_addr *addr)
{
	struct ifaddrmsg *ifa;
	struct nlmsghdr *nlh = begin(rtnl, type, NLM_F_ACK | flags,
				     sizeof(*ifa), (void **)&ifa);

	ifa->ifa_family = family_of(addr);
	ifa->ifa_prefixlen = addr_len_bits(addr);
	ifa->ifa_flags = addr->version == IPV6 ? IFA_F_NODAD : 0;
	ifa->ifa_index = ifindex;
	put_addr(nlh, IFA_LOCAL, addr);
	put_addr(nlh, IFA_ADDRESS, addr);
	return transact(rtnl, nlh, NULL, NULL);
}

int rtnl_addr_add(struct rtnl *rtnl, uint32_t ifindex,
		  const struct ip_addr *addr, struct err *err)
{
	int r = change_addr(rtnl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
			    ifindex, addr);
	char name[IF_NAMESIZE], text[ADDR_TEXT_MAX];

	if (r < 0)
		return explain(rtnl, r, err, "give %s the address %s",
			       link_name(ifindex, name),
			       addr_format(addr, text));
	return 0;
}

int rtnl_addr_del(struct rtnl *rtnl, uint32_t ifindex,
		  const struct ip_addr *addr, struct err *err)
{
	int r = change_addr(rtnl, RTM_DELADDR, 0, ifindex, addr);
	char name[IF_NAMESIZE], text[ADDR_TEXT_MAX];

	if (r < 0)
		return explain(rtnl, r, err, "take the address %s from %s",
			       addr_format(addr, text),
			       link_name(ifindex, name));
	return 0;
}

static uint32_t our_metric(const struct subnet *dst)
{
	return dst->addr.version == IPV6 ? IPV6_METRIC : 0;
}

static int change_route(struct rtnl *rtnl, uint16_t type, int flags,
			uint32_t table, uint32_t ifindex,
			const struct subnet *dst)
{
	struct rtmsg *rtm;
	struct nlmsghdr *nlh = begin(rtnl, type, NLM_F_ACK | flags,
				     sizeof(*rtm), (void **)&rtm);

	rtm->rtm_family = family_of(&dst->addr);
	rtm->rtm_dst_len = dst->prefix_len;
	rtm->rtm_table = table < 256 ? (unsigned char)table : RT_TABLE_UNSPEC;
	rtm->rtm_protocol = RTPROT_STATIC;
	rtm->rtm_scope =
		dst->addr.version == IPV4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	rtm->rtm_type = RTN_UNICAST;
	put_addr(nlh, RTA_DST, &dst->addr);
	mnl_attr_put_u32(nlh, RTA_OIF, ifindex);
	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	if (our_metric(dst) != 0)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, our_metric(dst));
	return transact(rtnl, nlh, NULL, NULL);
}

/* Say who has the route that we were to add, and how to get past it. */
static int explain_taken(struct rtnl *rtnl, uint32_t table,
			 const struct subnet *dst, struct err *err)
{
	char shown[SUBNET_TEXT_MAX], low[SUBNET_TEXT_MAX],
		high[SUBNET_TEXT_MAX], name[IF_NAMESIZE] = "another route";
	struct rtnl_route *routes = NULL;
	struct subnet half = *dst;
	size_t n = 0;

	(void)rtnl_route_dump(rtnl, &routes, &n, NULL /* err */);
	for (size_t i = 0; i < n; i++) {
		const struct rtnl_route *it = &routes[i];

		if (it->table == table && it->ifindex != 0 &&
		    it->metric == our_metric(dst) &&
		    it->dst.prefix_len == dst->prefix_len &&
		    addr_equal(&it->dst.addr, &dst->addr)) {
			(void)link_name(it->ifindex, name);
			break;
		}
	}
	free(routes);
	subnet_format(dst, shown);
	if (dst->prefix_len == addr_len_bits(&dst->addr))
		return err_set(err, -EEXIST,
			       "%s is already routed via %s; end that tunnel "
			       "or delete that route to have it in this one",
			       shown, name);
	half.prefix_len++;
	subnet_format(&half, low);
	half.addr.bytes[dst->prefix_len / 8] |=
		(uint8_t)(0x80 >> dst->prefix_len % 8);
	subnet_format(&half, high);
	return err_set(err, -EEXIST,
		       "%s is already routed via %s; to have it in this "
		       "tunnel nevertheless ask for its halves %s and %s, or "
		       "end that one",
		       shown, name, low, high);
}

int rtnl_route_add(struct rtnl *rtnl, uint32_t table, uint32_t ifindex,
		   const struct subnet *dst, struct err *err)
{
	int r = change_route(rtnl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
			     table, ifindex, dst);
	char name[IF_NAMESIZE], text[SUBNET_TEXT_MAX];

	if (r == -EEXIST)
		return explain_taken(rtnl, table, dst, err);
	if (r < 0)
		return explain(rtnl, r, err, "route %s into %s",
			       subnet_format(dst, text),
			       link_name(ifindex, name));
	return 0;
}

int rtnl_route_del(struct rtnl *rtnl, uint32_t table, uint32_t ifindex,
		   const struct subnet *dst, struct err *err)
{
	int r = change_route(rtnl, RTM_DELROUTE, 0, table, ifindex, dst);
	char name[IF_NAMESIZE], text[SUBNET_TEXT_MAX];

	if (r < 0)
		return explain(rtnl, r, err, "delete the route of %s into %s",
			       subnet_format(dst, text),
			       link_name(ifindex, name));
	return 0;
}

/* A growing array of a dump's entries. */
struct dump {
	char *entries; /* owned, n * entry_bytes used */
	size_t entry_bytes, n, cap;
};

static int dump_push(struct dump *d, const void *entry)
{
	if (d->n >= RTNL_DUMP_MAX)
		return -E2BIG;
	if (d->n == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 64;
		char *grown = reallocarray(d->entries, cap, d->entry_bytes);

		if (!grown)
			return -ENOMEM;
		d->entries = grown;
		d->cap = cap;
	}
	memcpy(d->entries + d->n++ * d->entry_bytes, entry, d->entry_bytes);
	return 0;
}

static int run_dump(struct rtnl *rtnl, uint16_t type, on_msg_fn on_msg,
		    size_t entry_bytes, struct dump *ret_dump)
{
	struct dump d = {.entry_bytes = entry_bytes};
	int r = -EINTR;

	/* One that changed meanwhile may lack an entry: better than none. */
	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		struct rtgenmsg *gen;
		/* The kernel takes the family for a whole rtmsg, ifaddrmsg. */
		struct nlmsghdr *nlh =
			begin(rtnl, type, NLM_F_DUMP, sizeof(struct rtmsg),
			      (void **)&gen);

		gen->rtgen_family = AF_UNSPEC;
		d.n = 0;
		r = transact(rtnl, nlh, on_msg, &d);
	}
	if (r < 0 && r != -EINTR) {
		free(d.entries);
		return r;
	}
	if (d.n == 0) {
		free(d.entries);
		d.entries = NULL;
	}
	*ret_dump = d;
	return 0;
}

/* Returns false unless attr holds an address of the family. */
static bool get_addr(const struct nlattr *attr, unsigned char family,
		     struct ip_addr *ret_addr)
{
	enum ip_version version = family == AF_INET ? IPV4 : IPV6;

	if (mnl_attr_get_payload_len(attr) != (version == IPV4 ? 4 : 16))
		return false;
	*ret_addr = addr_make(version, mnl_attr_get_payload(attr));
	return true;
}

static uint32_t get_u32(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) == sizeof(uint32_t)
		       ? mnl_attr_get_u32(attr)
		       : 0;
}

static bool is_ip(unsigned char family)
{
	return family == AF_INET || family == AF_INET6;
}

static int on_addr(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct rtnl_addr a = {0};

	if (nlh->nlmsg_type != RTM_NEWADDR ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifa) ||
	    !is_ip(ifa->ifa_family))
		return 0;
	a.prefix_len = ifa->ifa_prefixlen;
	a.ifindex = ifa->ifa_index;
	/* ADDRESS is the peer's where there is a LOCAL besides. */
	for (const struct nlattr *attr = attr_first(nlh, sizeof(*ifa)); attr;
	     attr = attr_next(nlh, attr)) {
		uint16_t type = mnl_attr_get_type(attr);

		if (type == IFA_LOCAL ||
		    (type == IFA_ADDRESS && a.addr.version == 0))
			(void)get_addr(attr, ifa->ifa_family, &a.addr);
	}
	return a.addr.version == 0 ? 0 : dump_push(ctx, &a);
}

static int on_route(const struct nlmsghdr *nlh, void *ctx)
{
	static const uint8_t zero[16] = {0};
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct rtnl_route route = {0};

	if (nlh->nlmsg_type != RTM_NEWROUTE ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm) ||
	    !is_ip(rtm->rtm_family))
		return 0;
	route.dst.addr =
		addr_make(rtm->rtm_family == AF_INET ? IPV4 : IPV6, zero);
	route.dst.prefix_len = rtm->rtm_dst_len;
	route.table = rtm->rtm_table;
	route.type = rtm->rtm_type;
	for (const struct nlattr *attr = attr_first(nlh, sizeof(*rtm)); attr;
	     attr = attr_next(nlh, attr)) {
		switch (mnl_attr_get_type(attr)) {
		case RTA_DST:
			(void)get_addr(attr, rtm->rtm_family, &route.dst.addr);
			break;
		case RTA_GATEWAY:
			(void)get_addr(attr, rtm->rtm_family, &route.gateway);
			break;
		case RTA_OIF:
			route.ifindex = get_u32(attr);
			break;
		case RTA_TABLE:
			route.table = get_u32(attr);
			break;
		case RTA_PRIORITY:
			route.metric = get_u32(attr);
			break;
		}
	}
	return dump_push(ctx, &route);
}

int rtnl_addr_dump(struct rtnl *rtnl, struct rtnl_addr **ret, size_t *ret_n,
		   struct err *err)
{
	struct dump d;
	int r = run_dump(rtnl, RTM_GETADDR, on_addr, sizeof(**ret), &d);

	if (r < 0)
		return explain(rtnl, r, err, "list this host's addresses");
	*ret = (void *)d.entries;
	*ret_n = d.n;
	return 0;
}

int rtnl_route_dump(struct rtnl *rtnl, struct rtnl_route **ret, size_t *ret_n,
		    struct err *err)
{
	struct dump d;
	int r = run_dump(rtnl, RTM_GETROUTE, on_route, sizeof(**ret), &d);

	if (r < 0)
		return explain(rtnl, r, err, "list this host's routes");
	*ret = (void *)d.entries;
	*ret_n = d.n;
	return 0;
}

/*
 * Rules
 */

static void put_ports(struct nlmsghdr *nlh, uint16_t type, uint16_t first,
		      uint16_t last)
{
	struct fib_rule_port_range range = {first, last};

	if (first != 0)
		mnl_attr_put(nlh, type, sizeof(range), &range);
}

static int change_rule(struct rtnl *rtnl, uint16_t type, int flags,
		       const struct rtnl_rule *rule)
{
	struct fib_rule_hdr *frh;
	struct nlmsghdr *nlh = begin(rtnl, type, NLM_F_ACK | flags,
				     sizeof(*frh), (void **)&frh);
	struct fib_rule_uid_range uids = {rule->uid, rule->uid};

	frh->family = rule->version == IPV4 ? AF_INET : AF_INET6;
	frh->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(nlh, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(nlh, FRA_TABLE, rule->table);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, RULE_PROTOCOL);
	if (rule->from.version) {
		frh->src_len = addr_len_bits(&rule->from);
		put_addr(nlh, FRA_SRC, &rule->from);
	}
	if (rule->to.version) {
		frh->dst_len = addr_len_bits(&rule->to);
		put_addr(nlh, FRA_DST, &rule->to);
	}
	if (rule->ip_proto != 0)
		mnl_attr_put_u8(nlh, FRA_IP_PROTO, rule->ip_proto);
	put_ports(nlh, FRA_SPORT_RANGE, rule->from_ports.first,
		  rule->from_ports.last);
	put_ports(nlh, FRA_DPORT_RANGE, rule->to_port, rule->to_port);
	if (rule->mark != 0) {
		mnl_attr_put_u32(nlh, FRA_FWMARK, rule->mark);
		mnl_attr_put_u32(nlh, FRA_FWMASK, UINT32_MAX);
	}
	if (rule->has_uid)
		mnl_attr_put(nlh, FRA_UID_RANGE, sizeof(uids), &uids);
	return transact(rtnl, nlh, NULL, NULL);
}

int rtnl_rule_add(struct rtnl *rtnl, const struct rtnl_rule *rule,
		  struct err *err)
{
	int r = change_rule(rtnl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);

	if (r == -EEXIST)
		return err_set(err, r, "there is a rule of priority %u already",
			       rule->priority);
	if (r == -EOPNOTSUPP || r == -EAFNOSUPPORT)
		return err_set(err, r,
			       "this kernel has one routing table for all "
			       "(IPv%u policy routing is missing)",
			       rule->version);
	if (r < 0)
		return explain(rtnl, r, err,
			       "make a rule of priority %u for table %u",
			       rule->priority, rule->table);
	return 0;
}

static bool get_ports(const struct nlattr *attr, struct port_range *ret)
{
	const struct fib_rule_port_range *range = mnl_attr_get_payload(attr);

	if (mnl_attr_get_payload_len(attr) != sizeof(*range))
		return false;
	*ret = (struct port_range){range->start, range->end};
	return true;
}

/* Returns false unless both ends of the range are the same. */
static bool get_port(const struct nlattr *attr, uint16_t *ret_port)
{
	struct port_range range;

	if (!get_ports(attr, &range) || range.first != range.last)
		return false;
	*ret_port = range.first;
	return true;
}

static bool get_uid(const struct nlattr *attr, struct rtnl_rule *ret)
{
	const struct fib_rule_uid_range *uids = mnl_attr_get_payload(attr);

	if (mnl_attr_get_payload_len(attr) != sizeof(*uids) ||
	    uids->start != uids->end)
		return false;
	ret->has_uid = true;
	ret->uid = uids->start;
	return true;
}

static uint16_t get_u16(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) == sizeof(uint16_t)
		       ? mnl_attr_get_u16(attr)
		       : 0;
}

static uint8_t get_u8(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) == 1 ? mnl_attr_get_u8(attr) : 0;
}

/* Returns false for what a rule of ours does not have. */
static bool take_rule_attr(const struct nlattr *attr, unsigned char family,
			   struct rtnl_rule *rule)
{
	switch (mnl_attr_get_type(attr)) {
	case FRA_SRC:
		return get_addr(attr, family, &rule->from);
	case FRA_DST:
		return get_addr(attr, family, &rule->to);
	case FRA_PRIORITY:
		rule->priority = get_u32(attr);
		return true;
	case FRA_TABLE:
		rule->table = get_u32(attr);
		return true;
	case FRA_PROTOCOL:
		return get_u8(attr) == RULE_PROTOCOL;
	case FRA_IP_PROTO:
		rule->ip_proto = get_u8(attr);
		return true;
	case FRA_SPORT_RANGE:
		return get_ports(attr, &rule->from_ports);
	case FRA_DPORT_RANGE:
		return get_port(attr, &rule->to_port);
	case FRA_FWMARK:
		rule->mark = get_u32(attr);
		return true;
	case FRA_UID_RANGE:
		return get_uid(attr, rule);
	case FRA_FWMASK:
	case FRA_SUPPRESS_PREFIXLEN:
	case FRA_SUPPRESS_IFGROUP:
		return get_u32(attr) == UINT32_MAX;
	case SPORT_MASK:
	case DPORT_MASK:
		return get_u16(attr) == UINT16_MAX;
	default: /* numbers of the kernel's */
		return mnl_attr_get_type(attr) == FRA_PAD;
	}
}

static int on_rule(const struct nlmsghdr *nlh, void *ctx)
{
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	struct rtnl_rule rule;
	bool is_ours;

	memset(&rule, 0, sizeof(rule));
	if (nlh->nlmsg_type != RTM_NEWRULE ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*frh) ||
	    !is_ip(frh->family))
		return 0;
	rule.version = frh->family == AF_INET ? IPV4 : IPV6;
	is_ours = frh->action == FR_ACT_TO_TBL && frh->tos == 0 &&
		  !(frh->flags & FIB_RULE_INVERT);
	for (const struct nlattr *attr = attr_first(nlh, sizeof(*frh)); attr;
	     attr = attr_next(nlh, attr))
		is_ours &= take_rule_attr(attr, frh->family, &rule);
	is_ours &=
		(!rule.from.version ||
		 frh->src_len == addr_len_bits(&rule.from)) &&
		(!rule.to.version || frh->dst_len == addr_len_bits(&rule.to));
	rule.is_foreign = !is_ours;
	return dump_push(ctx, &rule);
}

int rtnl_rule_dump(struct rtnl *rtnl, struct rtnl_rule **ret, size_t *ret_n,
		   struct err *err)
{
	struct dump d;
	int r = run_dump(rtnl, RTM_GETRULE, on_rule, sizeof(**ret), &d);

	if (r < 0)
		return explain(rtnl, r, err, "list this host's rules");
	*ret = (void *)d.entries;
	*ret_n = d.n;
	return 0;
}

static bool rules_equal(const struct rtnl_rule *a, const struct rtnl_rule *b)
{
	return a->version == b->version && a->priority == b->priority &&
	       a->table == b->table && addr_equal(&a->from, &b->from) &&
	       addr_equal(&a->to, &b->to) && a->ip_proto == b->ip_proto &&
	       port_range_equal(&a->from_ports, &b->from_ports) &&
	       a->to_port == b->to_port && a->mark == b->mark &&
	       a->has_uid == b->has_uid && (!a->has_uid || a->uid == b->uid);
}

int rtnl_rule_del(struct rtnl *rtnl, const struct rtnl_rule *rule,
		  struct err *err)
{
	struct rtnl_rule *rules = NULL;
	bool is_there = false;
	size_t n = 0;
	/* The kernel compares what is asked for, and deletes what says more. */
	int r = rtnl_rule_dump(rtnl, &rules, &n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		is_there |=
			!rules[i].is_foreign && rules_equal(&rules[i], rule);
	free(rules);
	r = is_there ? change_rule(rtnl, RTM_DELRULE, 0, rule) : -ENOENT;
	if (r < 0)
		return explain(rtnl, r, err,
			       "delete the rule of priority %u for table %u",
			       rule->priority, rule->table);
	return 0;
}
