/* SPDX-License-Identifier: MIT */
/* dnshost_msg: what the broker asks of ecssh-dns. */
#include "dnshost_msg.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "addr.h"
#include "domain.h"

static_assert((int)BROKERMSG_DOMAIN_MAX >= (int)DOMAIN_TEXT_MAX, "");

static int check_server(const struct brokermsg_dns_server *s, struct err *err)
{
	char text[ADDR_TEXT_MAX];

	struct ip_addr addr;
	int r = brokermsg_read_addr(s->version, s->bytes, &addr, err);

	if (r < 0)
		return r;
	if (addr_is_loopback(&addr) || addr_is_multicast(&addr) ||
	    addr_is_link_local(&addr))
		return err_set(err, -EINVAL,
			       "%s cannot be a name server in a tunnel",
			       addr_format(&addr, text));
	return 0;
}

/* A name as domain_parse makes them, and zeros. */
static int check_domain(const char field[BROKERMSG_DOMAIN_MAX], struct err *err)
{
	char name[DOMAIN_TEXT_MAX];
	size_t len = strnlen(field, BROKERMSG_DOMAIN_MAX);
	int r = domain_parse(field, len, name, err);

	if (r < 0)
		return r;
	if (strlen(name) != len || memcmp(name, field, len) != 0 ||
	    !brokermsg_is_zero(field + len, BROKERMSG_DOMAIN_MAX - len))
		return err_set(err, -EINVAL,
			       "the domain %s is not written as it is to be",
			       name);
	return 0;
}

int dnshost_msg_check(const struct brokermsg_dns_set *dns, struct err *err)
{
	int r = 0;

	if (dns->mode != BROKERMSG_DNS_ALL && dns->mode != BROKERMSG_DNS_SPLIT)
		return err_set(err, -EINVAL, "there is no DNS mode %u",
			       dns->mode);
	if (dns->n_servers < 1 || dns->n_servers > BROKERMSG_DNS_SERVERS_MAX)
		return err_set(err, -EINVAL, "1 to %d name servers, not %u",
			       BROKERMSG_DNS_SERVERS_MAX, dns->n_servers);
	if (dns->n_domains > BROKERMSG_DNS_DOMAINS_MAX)
		return err_set(err, -EINVAL, "at most %d domains, not %u",
			       BROKERMSG_DNS_DOMAINS_MAX, dns->n_domains);
	if (dns->mode == BROKERMSG_DNS_SPLIT && dns->n_domains == 0)
		return err_set(err, -EINVAL,
			       "names cannot be split without a domain");
	for (uint32_t i = 0; i < dns->n_servers && r == 0; i++)
		r = check_server(&dns->servers[i], err);
	for (uint32_t i = 0; i < dns->n_domains && r == 0; i++)
		r = check_domain(dns->domains[i], err);
	if (r == 0 && (!brokermsg_is_zero(&dns->servers[dns->n_servers],
					  sizeof(dns->servers[0]) *
						  (BROKERMSG_DNS_SERVERS_MAX -
						   dns->n_servers)) ||
		       !brokermsg_is_zero(&dns->domains[dns->n_domains],
					  sizeof(dns->domains[0]) *
						  (BROKERMSG_DNS_DOMAINS_MAX -
						   dns->n_domains))))
		r = err_set(err, -EINVAL,
			    "a DNS_SET with something behind its "
			    "last server or domain");
	return r;
}
