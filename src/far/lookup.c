/* SPDX-License-Identifier: MIT */
/*
 * lookup: the addresses of a name, as the programs of this host would find
 * them.
 *
 * Theory of operation
 *   Not by the C library: it blocks, and the helper is a static program that
 *   has no plug-ins for it.  So it is the hosts file, and then the resolvers,
 *   for the name itself and the name within the domains of the search list, in
 *   the order that resolv.conf(5) gives.  A and AAAA are asked for together;
 *   the first of these names that has an address ends it.
 *
 * Spec: hosts(5); resolv.conf(5); RFC 6761 section 6.3
 */
#include "lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hosts.h"

enum { FAMILY4, FAMILY6, FAMILIES };

enum {
	LINE_MAX_BYTES = 2048,
	NDOTS_DEFAULT = 1,
	NDOTS_MAX = 15,
};

/* ---- addresses ---- */

static void add(struct lookup *l, const struct ip_addr *a)
{
	int family = a->version == IPV4 ? FAMILY4 : FAMILY6;

	if (l->n_addrs[family] < DNS_ADDRS_MAX)
		l->addrs[family][l->n_addrs[family]++] = *a;
}

static bool has_any(const struct lookup *l)
{
	return l->n_addrs[FAMILY4] + l->n_addrs[FAMILY6] > 0;
}

size_t lookup_addrs(const struct lookup *l,
		    struct ip_addr ret_addrs[LOOKUP_ADDRS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < DNS_ADDRS_MAX; i++) {
		if (i < l->n_addrs[FAMILY6])
			ret_addrs[n++] = l->addrs[FAMILY6][i];
		if (i < l->n_addrs[FAMILY4])
			ret_addrs[n++] = l->addrs[FAMILY4][i];
	}
	return n;
}

/* ---- without asking anybody ---- */

static bool is_localhost(const char *name)
{
	size_t len = strlen(name);

	return hosts_is_same_name(name, "localhost") ||
	       (len > 10 &&
		hosts_is_same_name(name + len - 10, ".localhost")) ||
	       (len > 11 && hosts_is_same_name(name + len - 11, ".localhost."));
}

static void look_here(struct lookup *l, const char *hosts_path,
		      const char *name)
{
	static const struct ip_addr loopback4 = {IPV4, {127, 0, 0, 1}};
	static const struct ip_addr loopback6 = {IPV6, {[15] = 1}};
	struct hosts_addrs h;
	struct ip_addr a;

	if (addr_parse(name, &a) == 0) {
		add(l, &a);
		return;
	}
	hosts_find(l->resolver, hosts_path, name, &h);
	for (int family = 0; family < FAMILIES; family++)
		for (size_t i = 0; i < h.n[family]; i++)
			add(l, &h.addrs[family][i]);
	if (!has_any(l) && is_localhost(name)) {
		add(l, &loopback6);
		add(l, &loopback4);
	}
}

/* ---- which names to ask for ---- */

struct search {
	char domains[LOOKUP_SEARCH_MAX][FRAME_NAME_MAX + 1];
	int n;
	int ndots;
};

static void take_domains(struct search *s, char **rest)
{
	const char *word;

	s->n = 0; /* the last line counts */
	while (s->n < LOOKUP_SEARCH_MAX &&
	       (word = strtok_r(NULL, " \t\r\n", rest))) {
		size_t len = strlen(word);

		if (!frame_name_is_valid(word, len))
			continue;
		memcpy(s->domains[s->n++], word, len + 1);
	}
}

static void take_options(struct search *s, char **rest)
{
	const char *word;

	while ((word = strtok_r(NULL, " \t\r\n", rest)))
		if (strncmp(word, "ndots:", 6) == 0) {
			long n = strtol(word + 6, NULL, 10);

			s->ndots = n < 0	   ? 0
				   : n > NDOTS_MAX ? NDOTS_MAX
						   : (int)n;
		}
}

static void read_search(const struct resolver *r, struct search *s)
{
	char line[LINE_MAX_BYTES];
	FILE *f = resolver_open_file(r, r->conf_path);

	*s = (struct search){.ndots = NDOTS_DEFAULT};
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		char *rest = NULL;
		const char *word = strtok_r(line, " \t\r\n", &rest);

		if (!word)
			continue;
		if (strcmp(word, "search") == 0 || strcmp(word, "domain") == 0)
			take_domains(s, &rest);
		else if (strcmp(word, "options") == 0)
			take_options(s, &rest);
	}
	(void)fclose(f);
}

static void add_name(struct lookup *l, const char *name, const char *domain)
{
	char *out = l->names[l->n_names];
	int n = snprintf(out, sizeof(l->names[0]), *domain ? "%s.%s" : "%s",
			 name, domain);

	if (n > 0 && (size_t)n < sizeof(l->names[0]))
		l->n_names++;
}

static void choose_names(struct lookup *l, const char *name)
{
	struct search s;
	size_t len = strlen(name);
	int dots = 0;

	read_search(l->resolver, &s);
	for (const char *p = name; *p; p++)
		dots += *p == '.';
	bool is_whole = len > 0 && name[len - 1] == '.';
	if (is_whole || dots >= s.ndots)
		add_name(l, name, "");
	for (int i = 0; i < s.n && !is_whole; i++)
		add_name(l, name, s.domains[i]);
	if (!is_whole && dots < s.ndots)
		add_name(l, name, "");
}

/* ---- asking ---- */

void lookup_stop(struct lookup *l)
{
	for (int i = 0; i < FAMILIES; i++) {
		resolver_cancel(l->queries[i]);
		l->queries[i] = NULL;
	}
	timer_disarm(l->resolver->loop, &l->timer);
}

static void finish(struct lookup *l, enum frame_reason reason)
{
	lookup_stop(l);
	l->on_done(l, has_any(l) ? FRAME_REASON_NONE : reason);
}

static void on_answer4(void *ctx, enum frame_reason reason,
		       const uint8_t *answer, size_t len);
static void on_answer6(void *ctx, enum frame_reason reason,
		       const uint8_t *answer, size_t len);

static void ask(struct lookup *l, int family, const char *name)
{
	enum frame_reason reason;
	int len = dns_build_query(l->messages[family], 0, name,
				  family == FAMILY4 ? DNS_A : DNS_AAAA);

	if (len < 0)
		return;
	l->lens[family] = (size_t)len;
	l->queries[family] = resolver_ask(
		l->resolver, l->messages[family], (size_t)len,
		family == FAMILY4 ? on_answer4 : on_answer6, l, &reason);
	if (!l->queries[family] && reason != FRAME_REASON_NO_NAME)
		l->failure = reason;
}

/* The next name that can be asked for, or the end. */
static void ask_next(struct lookup *l)
{
	while (l->n_tried < l->n_names && !l->failure) {
		const char *name = l->names[l->n_tried++];

		ask(l, FAMILY6, name);
		ask(l, FAMILY4, name);
		if (l->queries[FAMILY4] || l->queries[FAMILY6])
			return;
	}
	finish(l, l->failure ? l->failure : FRAME_REASON_NO_NAME);
}

static void on_answer(struct lookup *l, int family, enum frame_reason reason,
		      const uint8_t *answer, size_t len)
{
	struct dns_answer a;

	l->queries[family] = NULL; /* the resolver frees it */
	if (reason != FRAME_REASON_NONE) {
		/* "refused" would be said of the destination. */
		l->failure = reason == FRAME_REASON_REFUSED ? FRAME_REASON_OTHER
							    : reason;
	} else if (dns_parse_answer(answer, len, l->messages[family],
				    l->lens[family], &a) == 0) {
		for (size_t i = 0; i < a.n_addrs; i++)
			add(l, &a.addrs[i]);
		if (a.rcode != DNS_NO_ERROR && a.rcode != DNS_NO_NAME)
			l->failure = FRAME_REASON_OTHER;
	} else {
		l->failure = FRAME_REASON_OTHER;
	}
	bool is_last = !l->queries[FAMILY4] && !l->queries[FAMILY6];
	if (is_last && has_any(l))
		finish(l, FRAME_REASON_NONE);
	else if (is_last)
		ask_next(l);
	else if (has_any(l))
		timer_arm(l->resolver->loop, &l->timer, LOOKUP_OTHER_US);
}

static void on_answer4(void *ctx, enum frame_reason reason,
		       const uint8_t *answer, size_t len)
{
	on_answer(ctx, FAMILY4, reason, answer, len);
}

static void on_answer6(void *ctx, enum frame_reason reason,
		       const uint8_t *answer, size_t len)
{
	on_answer(ctx, FAMILY6, reason, answer, len);
}

/* The beginning, or one family has waited for the other. */
static void on_timer(void *ctx)
{
	struct lookup *l = ctx;

	if (has_any(l))
		finish(l, FRAME_REASON_NONE);
	else
		ask_next(l);
}

void lookup_start(struct lookup *l, struct resolver *r, const char *hosts_path,
		  const char *name)
{
	void (*on_done)(struct lookup * l, enum frame_reason reason) =
		l->on_done;

	*l = (struct lookup){.resolver = r, .on_done = on_done};
	l->timer = (struct timer){.on_fire = on_timer, .ctx = l};
	look_here(l, hosts_path, name);
	if (!has_any(l) && !is_localhost(name))
		choose_names(l, name);
	timer_arm(r->loop, &l->timer, 0);
}
