/* SPDX-License-Identifier: MIT */
/* connected: the networks that this host's own devices are in. */
#include "connected.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "link_name.h"
#include "rtnl.h"

static_assert(CONNECTED_NAME_MAX == IF_NAMESIZE, "");

/* The network around an address; false if it has none that is of interest. */
static bool network_of(const struct rtnl_addr *a, struct subnet *ret_net)
{
	struct subnet net = {a->addr, a->prefix_len};

	if (a->prefix_len >= addr_len_bits(&a->addr) ||
	    addr_is_loopback(&a->addr) ||
	    (a->addr.version == IPV6 && addr_is_link_local(&a->addr)))
		return false;
	*ret_net = subnet_masked(&net);
	return true;
}

bool connected_has(const struct connected_list *list, const struct connected *c)
{
	for (size_t i = 0; i < list->n; i++)
		if (subnet_equal(&list->nets[i].net, &c->net) &&
		    strcmp(list->nets[i].device, c->device) == 0)
			return true;
	return false;
}

int connected_list(struct rtnl *rtnl, struct connected_list *ret_list,
		   struct err *err)
{
	struct connected_list list = {0};
	struct rtnl_addr *addrs = NULL;
	size_t n = 0;
	int r = rtnl_addr_dump(rtnl, &addrs, &n, err);

	if (r < 0)
		return r;
	list.nets = calloc(n + 1, sizeof(*list.nets));
	for (size_t i = 0; list.nets && i < n; i++) {
		struct connected *c = &list.nets[list.n];

		list.has_ipv6 |= addrs[i].addr.version == IPV6;
		if (!network_of(&addrs[i], &c->net))
			continue;
		if (!link_name_find(addrs[i].ifindex, c->device))
			continue; /* gone meanwhile */
		list.n += !connected_has(&list, c);
	}
	free(addrs);
	if (!list.nets)
		return err_set(err, -ENOMEM, "out of memory");
	*ret_list = list;
	return 0;
}

void connected_list_fini(struct connected_list *list)
{
	free(list->nets);
	*list = (struct connected_list){0};
}
