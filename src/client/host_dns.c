/* SPDX-License-Identifier: MIT */
/* host_dns: whether, and for which names, this host asks in the tunnel. */
#include "host_dns.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "escape.h"
#include "log.h"

static_assert((int)CLIENT_DOMAINS_MAX == (int)BROKERMSG_DNS_DOMAINS_MAX, "");
static_assert((int)DOMAIN_TEXT_MAX <= (int)BROKERMSG_DOMAIN_MAX, "");

enum client_dns host_dns_mode(const struct client_config *config)
{
	if (config->dns != CLIENT_DNS_AUTO)
		return config->dns;
	if (config->is_full)
		return CLIENT_DNS_ALL;
	return config->n_domains > 0 ? CLIENT_DNS_SPLIT : CLIENT_DNS_OFF;
}

static void fill_in(struct brokermsg_dns_set *set, enum client_dns mode,
		    const struct client_config *config,
		    const struct ip_addr *servers, size_t n)
{
	memset(set, 0, sizeof(*set));
	set->type = BROKERMSG_DNS_SET;
	set->mode = mode == CLIENT_DNS_ALL ? BROKERMSG_DNS_ALL
					   : BROKERMSG_DNS_SPLIT;
	for (size_t i = 0; i < n && i < BROKERMSG_DNS_SERVERS_MAX; i++) {
		struct brokermsg_dns_server *s =
			&set->servers[set->n_servers++];

		s->version = servers[i].version;
		memcpy(s->bytes, servers[i].bytes, sizeof(s->bytes));
	}
	for (size_t i = 0; i < config->n_domains; i++)
		memcpy(set->domains[set->n_domains++], config->domains[i],
		       strlen(config->domains[i]));
}

static int ask(struct host_dns *dns, enum client_dns mode,
	       const struct client_config *config, struct broker_client *broker,
	       const struct ip_addr *servers, size_t n, struct err *err)
{
	if (n == 0)
		return err_set(err, -EOPNOTSUPP,
			       "no name server is known that the tunnel "
			       "reaches; name one by --dns-server");
	fill_in(&dns->set, mode, config, servers, n);
	int r = broker_client_dns_set(broker, &dns->set, dns->way, err);
	if (r == 0)
		dns->mode = mode;
	return r;
}

/* Rejected by the broker's rules in mode all. */
static bool is_port_of_dns(uint16_t port)
{
	return port == 53 || port == 853 || port == 5355;
}

int host_dns_up(struct host_dns *dns, const struct client_config *config,
		struct broker_client *broker, const struct ip_addr *servers,
		size_t n, uint16_t ssh_port, struct err *err)
{
	enum client_dns mode = host_dns_mode(config);
	bool is_auto = config->dns == CLIENT_DNS_AUTO;
	struct err why;
	int r;

	*dns = (struct host_dns){.mode = CLIENT_DNS_OFF};
	if (mode == CLIENT_DNS_OFF)
		return 0;
	if (mode == CLIENT_DNS_ALL && is_port_of_dns(ssh_port))
		r = err_set(&why, -EOPNOTSUPP,
			    "ssh itself uses port %u, which with --dns all "
			    "nothing may use outside the tunnel",
			    ssh_port);
	else
		r = ask(dns, mode, config, broker, servers, n, &why);
	if (r == -EOPNOTSUPP && is_auto && mode == CLIENT_DNS_SPLIT && n > 0) {
		r = ask(dns, CLIENT_DNS_ALL, config, broker, servers, n, &why);
		if (r == 0)
			log_notice("all names are asked for in the tunnel, for "
				   "this host cannot split them without "
				   "systemd-resolved; --dns off would have "
				   "none");
	}
	if (r == 0)
		return 0;
	dns->why_not = why;
	if (!is_auto || r == -EPIPE)
		return err_set(err, r, "%s", why.text);
	/* With --full nobody expects it. */
	if (config->is_full)
		log_warn("names are looked up outside the tunnel, although "
			 "everything else goes into it: %s (--dns all would "
			 "make an error of this)",
			 why.text);
	else
		log_warn("names are asked for where they were before: %s",
			 why.text);
	return 0;
}

/* ---- for the status ---- */

static const char *mode_name(const struct host_dns *dns)
{
	switch (dns->mode) {
	case CLIENT_DNS_ALL:
		return "all";
	case CLIENT_DNS_SPLIT:
		return "split";
	case CLIENT_DNS_AUTO: /* not up yet */
	case CLIENT_DNS_OFF:
	case CLIENT_DNS__N:
		break;
	}
	return "off";
}

static const char *server_text(const struct host_dns *dns, uint32_t i,
			       char text[ADDR_TEXT_MAX])
{
	const struct brokermsg_dns_server *s = &dns->set.servers[i];
	struct ip_addr addr = addr_make((enum ip_version)s->version, s->bytes);

	return addr_format(&addr, text);
}

void host_dns_print_json(const struct host_dns *dns, FILE *out)
{
	char why[2 * sizeof(dns->why_not.text)], text[ADDR_TEXT_MAX];
	bool is_on = dns->mode > CLIENT_DNS_OFF;

	(void)escape_json(dns->why_not.text, strlen(dns->why_not.text), why,
			  sizeof(why));
	(void)fprintf(out,
		      ", \"dns\": {\"mode\": \"%s\", \"way\": \"%s\", "
		      "\"servers\": [",
		      mode_name(dns), is_on ? dns->way : "");
	for (uint32_t i = 0; is_on && i < dns->set.n_servers; i++)
		(void)fprintf(out, "%s\"%s\"", i ? ", " : "",
			      server_text(dns, i, text));
	(void)fputs("], \"domains\": [", out);
	for (uint32_t i = 0; is_on && i < dns->set.n_domains; i++)
		(void)fprintf(out, "%s\"%s\"", i ? ", " : "",
			      dns->set.domains[i]);
	(void)fprintf(out, "], \"why_not\": \"%s\"}", why);
}

void host_dns_print_text(const struct host_dns *dns, FILE *out)
{
	char text[ADDR_TEXT_MAX];

	if (dns->why_not.text[0] != '\0')
		(void)fprintf(out, "  names       outside the tunnel: %s\n",
			      dns->why_not.text);
	if (dns->mode <= CLIENT_DNS_OFF)
		return;
	(void)fprintf(out, "  names       %s",
		      dns->mode == CLIENT_DNS_ALL ? "all" : "those in");
	for (uint32_t i = 0;
	     dns->mode == CLIENT_DNS_SPLIT && i < dns->set.n_domains; i++)
		(void)fprintf(out, " %s", dns->set.domains[i]);
	for (uint32_t i = 0; i < dns->set.n_servers; i++)
		(void)fprintf(out, "%s%s", i ? ", " : " from ",
			      server_text(dns, i, text));
	(void)fprintf(out, " (%s)\n", dns->way);
}
