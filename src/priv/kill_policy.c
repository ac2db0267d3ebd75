/* SPDX-License-Identifier: MIT */
/*
 * kill_policy: what the broker lets pass of a request for a kill switch.
 *
 * Everything named here is a hole in the switch.  That the gateways are holes
 * is for whoever asks to decide; a local network is one only if it is private.
 */
#include "kill_policy.h"

#include <errno.h>
#include <string.h>

#include "escape.h"

int kill_policy_check_name(const char name[BROKERMSG_TUNNEL_MAX],
			   struct err *err)
{
	char shown[4 * BROKERMSG_TUNNEL_MAX + 1];
	size_t len = strnlen(name, BROKERMSG_TUNNEL_MAX);

	if (len > 0 && len < BROKERMSG_TUNNEL_MAX && name[0] != '.' &&
	    name[0] != '-' &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789_.-") == len &&
	    brokermsg_is_zero(name + len, BROKERMSG_TUNNEL_MAX - len))
		return 0;
	escape_text(name, len, shown, sizeof(shown));
	return err_set(err, -EINVAL,
		       "\"%s\" cannot be the name of a tunnel: take up to %d "
		       "letters, digits, '_', '.' and '-'",
		       shown, BROKERMSG_TUNNEL_MAX - 1);
}

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
	int r = brokermsg_read_addr(m->version, m->bytes, &ret->addr, err);

	if (r < 0)
		return r;
	if (m->prefix_len > addr_len_bits(&ret->addr))
		return err_set(err, -EINVAL,
			       "an IPv%u prefix has at most %u bits, not %u",
			       m->version, addr_len_bits(&ret->addr),
			       m->prefix_len);
	ret->prefix_len = (uint8_t)m->prefix_len;
	subnet_format(ret, text);
	if (!subnet_contains(ret, &ret->addr))
		return err_set(err, -EINVAL, "%s has bits behind its prefix",
			       text);
	if (!is_private(ret))
		return err_set(err, -EPERM, "%s is no private network", text);
	return 0;
}

int kill_policy_read(const struct brokermsg_kill_on *m,
		     struct broker_kill *ret_kill, struct err *err)
{
	struct broker_kill kill = {.uid = m->uid};
	int r = kill_policy_check_name(m->name, err);

	if (r < 0)
		return r;
	if (m->n_gateways < 1 || m->n_gateways > BROKERMSG_GATEWAYS_MAX ||
	    m->n_lans > BROKERMSG_LANS_MAX)
		return err_set(err, -EINVAL,
			       "a kill switch has 1 to %d gateways and up to "
			       "%d local networks, not %u and %u",
			       BROKERMSG_GATEWAYS_MAX, BROKERMSG_LANS_MAX,
			       m->n_gateways, m->n_lans);
	memcpy(kill.name, m->name, sizeof(kill.name));
	for (; kill.n_gateways < m->n_gateways && r == 0; kill.n_gateways++)
		r = read_endpoint(&m->gateways[kill.n_gateways],
				  &kill.gateways[kill.n_gateways], err);
	for (; kill.n_lans < m->n_lans && r == 0; kill.n_lans++)
		r = read_lan(&m->lans[kill.n_lans], &kill.lans[kill.n_lans],
			     err);
	for (size_t i = 0; i < 2 && r == 0; i++)
		if (m->kept[0].version != 0)
			r = read_endpoint(&m->kept[i], &kill.kept[i], err);
	if (r == 0 && kill.kept[0].addr.version != kill.kept[1].addr.version)
		r = err_set(err, -EINVAL,
			    "no connection is of two IP versions");
	if (r == 0)
		*ret_kill = kill;
	return r;
}
