/* SPDX-License-Identifier: MIT */
/* brokermsg_read: see brokermsg_read.h. */
#include "brokermsg_read.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "dnshost_msg.h"
#include "escape.h"

size_t brokermsg_size(uint32_t type)
{
	static const uint16_t sizes[BROKERMSG__N] = {
		[BROKERMSG_HELLO] = sizeof(struct brokermsg_hello),
		[BROKERMSG_TUN_CREATE] = sizeof(struct brokermsg_tun_create),
		[BROKERMSG_ADDR_ADD] = sizeof(struct brokermsg_addr),
		[BROKERMSG_LINK_UP] = sizeof(struct brokermsg_head),
		[BROKERMSG_ROUTE_ADD] = sizeof(struct brokermsg_route),
		[BROKERMSG_ROUTE_DEL] = sizeof(struct brokermsg_route),
		[BROKERMSG_BYE] = sizeof(struct brokermsg_head),
		[BROKERMSG_FORWARD] = sizeof(struct brokermsg_forward),
		[BROKERMSG_TUNE] = sizeof(struct brokermsg_head),
		[BROKERMSG_EXEMPT_ADD] = sizeof(struct brokermsg_exempt),
		[BROKERMSG_EXEMPT_DEL] = sizeof(struct brokermsg_exempt),
		[BROKERMSG_MARK] = sizeof(struct brokermsg_mark),
		[BROKERMSG_CLEANUP] = sizeof(struct brokermsg_head),
		[BROKERMSG_KILL_ON] = sizeof(struct brokermsg_kill_on),
		[BROKERMSG_KILL_OFF] = sizeof(struct brokermsg_kill_off),
		[BROKERMSG_KILL_LOOK] = sizeof(struct brokermsg_kill_off),
		[BROKERMSG_GUARD] = sizeof(struct brokermsg_guard),
		[BROKERMSG_DNS_SET] = sizeof(struct brokermsg_dns_set),
		[BROKERMSG_DNS_CLEAR] = sizeof(struct brokermsg_head),
	};

	return type < BROKERMSG__N ? sizes[type] : 0;
}

/*
 * Names
 */

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* what: whose name it is.  Letters, digits and some marks, of which only
 * may_begin may be the first (0: none), and zeros behind. */
static int check_name(const char *name, size_t cap, char may_begin,
		      const char *what, struct err *err)
{
	char shown[4 * BROKERMSG_TUNNEL_MAX + 1];
	size_t len = strnlen(name, cap);
	bool good = len > 0 && len < cap &&
		    (is_alnum(name[0]) || name[0] == may_begin) &&
		    brokermsg_is_zero(name + len, cap - len);

	for (size_t i = 0; i < len; i++)
		good = good && (is_alnum(name[i]) || name[i] == '_' ||
				name[i] == '.' || name[i] == '-');
	if (good)
		return 0;
	escape_text(name, len, shown, sizeof(shown));
	return err_set(err, -EINVAL,
		       "\"%s\" cannot be the name of a %s: take up to %zu "
		       "letters, digits, '_', '.' and '-'",
		       shown, what, cap - 1);
}

static int read_tun(const struct brokermsg_tun_create *m,
		    struct brokermsg_tun *ret, struct err *err)
{
	static const char any[BROKERMSG_NAME_MAX] = "ecssh%d";
	bool is_any = brokermsg_is_zero(m->name, sizeof(m->name)) ||
		      memcmp(m->name, any, sizeof(any)) == 0;
	int r = is_any ? 0
		       : check_name(m->name, sizeof(m->name), '\0', "device",
				    err);

	if (r < 0)
		return r;
	/* The kernel has these directories beside those of devices. */
	if (strcmp(m->name, "all") == 0 || strcmp(m->name, "default") == 0)
		return err_set(err, -EINVAL,
			       "\"%s\" cannot be the name of a device",
			       m->name);
	if (m->mtu_bytes < BROKERMSG_MTU_MIN ||
	    m->mtu_bytes > BROKERMSG_MTU_MAX)
		return err_set(
			err, -EINVAL, "the MTU must be from %d to %d, not %u",
			BROKERMSG_MTU_MIN, BROKERMSG_MTU_MAX, m->mtu_bytes);
	if (m->offloads & ~(uint32_t)BROKERMSG_OFFLOAD_ALL)
		return err_set(err, -EINVAL, "unknown offloads %#x",
			       m->offloads);
	memcpy(ret->name, is_any ? any : m->name, sizeof(ret->name));
	ret->mtu_bytes = m->mtu_bytes;
	ret->offloads = m->offloads;
	return 0;
}

/*
 * Addresses
 */

static int check_version(uint32_t version, struct err *err)
{
	return version == IPV4 || version == IPV6
		       ? 0
		       : err_set(err, -EINVAL, "there is no IP version %u",
				 version);
}

static int read_subnet(uint32_t version, uint32_t prefix_len,
		       const uint8_t bytes[16], struct subnet *ret,
		       struct err *err)
{
	struct subnet net = {0};
	char text[SUBNET_TEXT_MAX];
	int r = brokermsg_read_addr(version, bytes, &net.addr, err);

	if (r < 0)
		return r;
	if (prefix_len > addr_len_bits(&net.addr))
		return err_set(err, -EINVAL,
			       "an IPv%u prefix has at most %u bits, not %u",
			       version, addr_len_bits(&net.addr), prefix_len);
	net.prefix_len = (uint8_t)prefix_len;
	if (!subnet_contains(&net, &net.addr))
		return err_set(err, -EINVAL, "%s has bits behind its prefix",
			       subnet_format(&net, text));
	*ret = net;
	return 0;
}

static int read_own_addr(const struct brokermsg_addr *m, struct subnet *ret,
			 struct err *err)
{
	struct ip_addr addr;
	char text[ADDR_TEXT_MAX];
	int r = brokermsg_read_addr(m->version, m->bytes, &addr, err);

	if (r < 0)
		return r;
	*ret = subnet_of_addr(&addr);
	if (subnet_is_special(ret) || addr_is_link_local(&addr))
		return err_set(err, -EPERM,
			       "%s cannot be the address of a tunnel",
			       addr_format(&addr, text));
	return 0;
}

static int read_route(const struct brokermsg_route *m, struct subnet *ret,
		      struct err *err)
{
	char text[SUBNET_TEXT_MAX];
	int r = read_subnet(m->version, m->prefix_len, m->bytes, ret, err);

	if (r == 0 && subnet_is_special(ret))
		r = err_set(err, -EPERM, "%s cannot be routed",
			    subnet_format(ret, text));
	return r;
}

static int read_ports(uint32_t first, uint32_t last, struct port_range *ret,
		      struct err *err)
{
	*ret = (struct port_range){(uint16_t)first, (uint16_t)last};
	return first <= UINT16_MAX && last <= UINT16_MAX &&
			       port_range_is_sound(ret)
		       ? 0
		       : err_set(err, -EINVAL,
				 "the ports %u to %u are no range", first,
				 last);
}

/*
 * What goes past the tunnels.  A connection that is there is told from all
 * others by its four names; one that is to come by its user, and maybe by some
 * ports of this host.
 */
static int read_exempt(const struct brokermsg_exempt *m,
		       struct journal_rule *ret, struct err *err)
{
	struct journal_rule rule = {.kind = JOURNAL_RULE_EXEMPT,
				    .version = (uint8_t)m->version,
				    .has_uid = m->uid != BROKERMSG_NO_UID,
				    .uid = m->uid};
	struct ip_addr *remote = &rule.remote.addr;
	bool has_local = !brokermsg_is_zero(m->local, sizeof(m->local));
	int r = brokermsg_read_addr(m->version, m->remote, remote, err);

	if (r == 0 && has_local)
		r = brokermsg_read_addr(m->version, m->local, &rule.local, err);
	if (r == 0)
		r = read_ports(m->first_port, m->last_port, &rule.from, err);
	if (r < 0)
		return r;
	struct subnet net = subnet_of_addr(remote);
	if (m->remote_port == 0 || m->remote_port > UINT16_MAX ||
	    subnet_is_special(&net))
		return err_set(err, -EINVAL,
			       "an exemption needs the address of a host and a "
			       "port");
	if (!rule.has_uid && (!has_local || rule.from.first == 0 ||
			      rule.from.first != rule.from.last))
		return err_set(err, -EINVAL,
			       "an exemption is for one connection, or for the "
			       "next ones of one user");
	rule.remote.port = (uint16_t)m->remote_port;
	*ret = rule;
	return 0;
}

/*
 * The kill switch
 *
 * Everything named here is a hole in it.  That the gateways are holes is for
 * whoever asks to decide; a local network is one only if it is private.
 */

static int read_endpoint(const struct brokermsg_endpoint *m,
			 struct endpoint *ret, struct err *err)
{
	char text[ADDR_TEXT_MAX];
	int r = brokermsg_read_addr(m->version, m->bytes, &ret->addr, err);

	if (r < 0)
		return r;
	if (m->port == 0 || m->port > UINT16_MAX)
		return err_set(err, -EINVAL, "there is no port %u", m->port);
	if (addr_is_multicast(&ret->addr))
		return err_set(err, -EPERM, "%s is not one host",
			       addr_format(&ret->addr, text));
	ret->port = (uint16_t)m->port;
	return 0;
}

static bool is_private(const struct subnet *net)
{
	static const struct subnet nets[] = {
		{{IPV4, {10}}, 8},	    {{IPV4, {172, 16}}, 12},
		{{IPV4, {192, 168}}, 16},   {{IPV4, {100, 64}}, 10},
		{{IPV4, {169, 254}}, 16},   {{IPV6, {0xfc}}, 7},
		{{IPV6, {0xfe, 0x80}}, 10},
	};

	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
		if (subnet_covers(&nets[i], net))
			return true;
	return false;
}

static int read_lan(const struct brokermsg_subnet *m, struct subnet *ret,
		    struct err *err)
{
	char text[SUBNET_TEXT_MAX];
	int r = read_subnet(m->version, m->prefix_len, m->bytes, ret, err);

	if (r == 0 && !is_private(ret))
		r = err_set(err, -EPERM, "%s is no private network",
			    subnet_format(ret, text));
	return r;
}

static int read_tunnel(const char name[BROKERMSG_TUNNEL_MAX],
		       struct brokermsg_kill *ret, struct err *err)
{
	*ret = (struct brokermsg_kill){0};
	memcpy(ret->name, name, sizeof(ret->name));
	return check_name(name, BROKERMSG_TUNNEL_MAX, '_', "tunnel", err);
}

static int read_kill(const struct brokermsg_kill_on *m,
		     struct brokermsg_kill *ret, struct err *err)
{
	int r = read_tunnel(m->name, ret, err);

	if (r < 0)
		return r;
	if (m->n_gateways < 1 || m->n_gateways > BROKERMSG_GATEWAYS_MAX ||
	    m->n_lans > BROKERMSG_LANS_MAX)
		return err_set(err, -EINVAL,
			       "a kill switch has 1 to %d gateways and up to "
			       "%d local networks, not %u and %u",
			       BROKERMSG_GATEWAYS_MAX, BROKERMSG_LANS_MAX,
			       m->n_gateways, m->n_lans);
	ret->uid = m->uid;
	r = read_ports(m->first_port, m->last_port, &ret->from, err);
	for (; ret->n_gateways < m->n_gateways && r == 0; ret->n_gateways++)
		r = read_endpoint(&m->gateways[ret->n_gateways],
				  &ret->gateways[ret->n_gateways], err);
	for (; ret->n_lans < m->n_lans && r == 0; ret->n_lans++)
		r = read_lan(&m->lans[ret->n_lans], &ret->lans[ret->n_lans],
			     err);
	for (size_t i = 0; i < 2 && r == 0; i++)
		if (m->kept[0].version != 0)
			r = read_endpoint(&m->kept[i], &ret->kept[i], err);
	if (r == 0 && ret->kept[0].addr.version != ret->kept[1].addr.version)
		r = err_set(err, -EINVAL,
			    "no connection is of two IP versions");
	return r;
}

/*
 * All of them
 */

static int read_flags(uint32_t flags, uint32_t known, uint32_t *ret,
		      struct err *err)
{
	*ret = flags;
	return flags & ~known
		       ? err_set(err, -EINVAL, "unknown flags %#x", flags)
		       : 0;
}

int brokermsg_read(const void *bytes, struct brokermsg_request *ret,
		   struct err *err)
{
	uint32_t type = ((const struct brokermsg_head *)bytes)->type;
	const union {
		struct brokermsg_hello hello;
		struct brokermsg_tun_create tun;
		struct brokermsg_addr addr;
		struct brokermsg_route route;
		struct brokermsg_exempt exempt;
		struct brokermsg_mark mark;
		struct brokermsg_forward forward;
		struct brokermsg_guard guard;
		struct brokermsg_kill_on kill_on;
		struct brokermsg_kill_off kill_off;
		struct brokermsg_dns_set dns;
	} *m = bytes;

	memset(ret, 0, sizeof(*ret));
	ret->type = (enum brokermsg_type)type;
	ret->bytes = bytes;
	switch (ret->type) {
	case BROKERMSG_HELLO:
		ret->version = m->hello.version;
		return 0;
	case BROKERMSG_TUN_CREATE:
		return read_tun(&m->tun, &ret->tun, err);
	case BROKERMSG_ADDR_ADD:
		return read_own_addr(&m->addr, &ret->net, err);
	case BROKERMSG_ROUTE_ADD:
	case BROKERMSG_ROUTE_DEL:
		return read_route(&m->route, &ret->net, err);
	case BROKERMSG_EXEMPT_ADD:
	case BROKERMSG_EXEMPT_DEL:
		return read_exempt(&m->exempt, &ret->rule, err);
	case BROKERMSG_MARK:
		ret->version = m->mark.version;
		return check_version(m->mark.version, err);
	case BROKERMSG_FORWARD:
		return read_flags(m->forward.flags, BROKERMSG_FORWARD_ALL,
				  &ret->flags, err);
	case BROKERMSG_GUARD:
		return read_flags(m->guard.flags, BROKERMSG_GUARD_ALL,
				  &ret->flags, err);
	case BROKERMSG_KILL_ON:
		return read_kill(&m->kill_on, &ret->kill, err);
	case BROKERMSG_KILL_OFF:
	case BROKERMSG_KILL_LOOK:
		return read_tunnel(m->kill_off.name, &ret->kill, err);
	case BROKERMSG_DNS_SET:
		ret->dns = m->dns;
		return dnshost_msg_check(&m->dns, err);
	case BROKERMSG_LINK_UP:
	case BROKERMSG_BYE:
	case BROKERMSG_TUNE:
	case BROKERMSG_CLEANUP:
	case BROKERMSG_DNS_CLEAR:
		return 0;
	case BROKERMSG__N:
		break;
	}
	return err_set(err, -EINVAL, "there is no request %u", type);
}
