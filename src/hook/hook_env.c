/* SPDX-License-Identifier: MIT */
/*
 * hook_env: what a script is told, in the variables of vpnc-script.
 *
 * The names are those that vpnc began with and OpenConnect has added to, so
 * that scripts written for them work.  Values are numbers, addresses in our own
 * spelling, and names that were checked: none needs a quote in a shell.
 */
#include "hook_env.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct env {
	char **vars; /* owned, with a NULL at the end */
	size_t n, cap;
	bool has_failed;
};

static void add(struct env *env, char *var)
{
	if (!var || env->n + 1 >= env->cap) {
		env->has_failed = true;
		free(var);
		return;
	}
	env->vars[env->n++] = var;
}

static void __attribute__((format(printf, 2, 3)))
put(struct env *env, const char *fmt, ...)
{
	char *var = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&var, fmt, ap) < 0)
		var = NULL;
	va_end(ap);
	add(env, var);
}

const char *hook_reason_name(enum hook_reason reason)
{
	switch (reason) {
	case HOOK_PRE_INIT:
		return "pre-init";
	case HOOK_CONNECT:
		return "connect";
	case HOOK_RECONNECT:
		return "reconnect";
	case HOOK_DISCONNECT:
		return "disconnect";
	case HOOK_REASON__N:
		break;
	}
	return "";
}

/* What a script would take for our word. */
static bool is_ours(const char *var)
{
	static const char *const names[] = {
		"reason=",     "VPNGATEWAY=", "VPNPID=",
		"TUNDEV=",     "TUNIDX=",     "CISCO_",
		"INTERNAL_IP", "LOG_LEVEL=",  "IDLE_TIMEOUT=",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncmp(var, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static const char *mask_format(uint8_t prefix_len, char out[ADDR_TEXT_MAX])
{
	uint32_t bits = prefix_len ? UINT32_MAX << (32 - prefix_len) : 0;

	(void)snprintf(out, ADDR_TEXT_MAX, "%u.%u.%u.%u", bits >> 24,
		       bits >> 16 & 255, bits >> 8 & 255, bits & 255);
	return out;
}

static void put_addr(struct env *env, const char *name, const struct ip_addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (a->version)
		put(env, "%s=%s", name, addr_format(a, text));
}

static void put_subnet(struct env *env, const char *list, size_t i,
		       const struct subnet *s)
{
	char text[ADDR_TEXT_MAX];

	put(env, "%s_%zu_ADDR=%s", list, i, addr_format(&s->addr, text));
	if (s->addr.version == IPV4)
		put(env, "%s_%zu_MASK=%s", list, i,
		    mask_format(s->prefix_len, text));
	put(env, "%s_%zu_MASKLEN=%u", list, i, s->prefix_len);
	put(env, "%s_%zu_PROTOCOL=0", list, i); /* all of them */
	put(env, "%s_%zu_SPORT=0", list, i);
	put(env, "%s_%zu_DPORT=0", list, i);
}

/* Those of one family, after the first n_put of the list.  Returns how many it
 * has now. */
static size_t put_subnets(struct env *env, const char *list, size_t n_put,
			  enum ip_version version, const struct subnet *subnets,
			  size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (subnets[i].addr.version == version)
			put_subnet(env, list, n_put++, &subnets[i]);
	return n_put;
}

/* Without any subnet there is no list, which means all. */
static void put_lists(struct env *env, enum ip_version version,
		      const struct hook_plan *plan,
		      const struct hook_facts *facts)
{
	const char *infix = version == IPV4 ? "" : "IPV6_";
	char list[32];
	size_t n;

	(void)snprintf(list, sizeof(list), "CISCO_%sSPLIT_INC", infix);
	n = put_subnets(env, list, 0, version, plan->subnets, plan->n_subnets);
	n = put_subnets(env, list, n, version, facts->told, facts->n_told);
	if (n)
		put(env, "%s=%zu", list, n);
	(void)snprintf(list, sizeof(list), "CISCO_%sSPLIT_EXC", infix);
	n = put_subnets(env, list, 0, version, plan->excludes,
			plan->n_excludes);
	if (n)
		put(env, "%s=%zu", list, n);
}

static void put_list(struct env *env, const char *name,
		     const struct hook_plan *plan, const char *between)
{
	struct text var = {.cap = strlen(name) + 1};

	if (plan->n_domains == 0)
		return;
	for (size_t i = 0; i < plan->n_domains; i++)
		var.cap += strlen(plan->domains[i]) + strlen(between);
	var.out = malloc(var.cap);
	if (var.out)
		text_put(&var, "%s", name);
	for (size_t i = 0; var.out && i < plan->n_domains; i++)
		text_put(&var, "%s%s", i ? between : "", plan->domains[i]);
	add(env, var.out);
}

static void put_domains(struct env *env, const struct hook_plan *plan)
{
	put_list(env, "CISCO_DEF_DOMAIN=", plan, " ");
	put_list(env, "CISCO_SPLIT_DNS=", plan, ",");
}

static void put_addresses(struct env *env, const struct hook_plan *plan,
			  const struct hook_facts *facts)
{
	char text[ADDR_TEXT_MAX];

	if (facts->address4.version) {
		put_addr(env, "INTERNAL_IP4_ADDRESS", &facts->address4);
		put_addr(env, "INTERNAL_IP4_NETADDR", &facts->address4);
		put(env, "INTERNAL_IP4_NETMASK=%s", mask_format(32, text));
		put(env, "INTERNAL_IP4_NETMASKLEN=32");
	}
	if (facts->address6.version) {
		put_addr(env, "INTERNAL_IP6_ADDRESS", &facts->address6);
		put(env, "INTERNAL_IP6_NETMASK=%s/128",
		    addr_format(&facts->address6, text));
	}
	put(env, "INTERNAL_IP4_MTU=%u", plan->mtu_bytes);
	put_addr(env, "INTERNAL_IP4_DNS", &facts->dns4);
	put_addr(env, "INTERNAL_IP6_DNS", &facts->dns6);
}

char **hook_env_new(const struct hook_plan *plan,
		    const struct hook_facts *facts, enum hook_reason reason,
		    pid_t engine, char *const *base)
{
	enum { VARS_MAX = 32, SUBNET_VARS = 6 };
	struct env env = {.cap = VARS_MAX + SUBNET_VARS * (plan->n_subnets +
							   plan->n_excludes +
							   facts->n_told)};

	for (size_t i = 0; base[i]; i++)
		env.cap++;
	env.vars = calloc(env.cap, sizeof(*env.vars));
	if (!env.vars)
		return NULL;
	for (size_t i = 0; base[i]; i++)
		if (!is_ours(base[i]))
			add(&env, strdup(base[i]));
	put(&env, "reason=%s", hook_reason_name(reason));
	put_addr(&env, "VPNGATEWAY", &facts->gateway);
	put(&env, "VPNPID=%d", (int)engine);
	put(&env, "LOG_LEVEL=%d", plan->is_verbose ? 2 : 1);
	if (facts->device[0] != '\0')
		put(&env, "TUNDEV=%s", facts->device);
	put_addresses(&env, plan, facts);
	put_domains(&env, plan);
	put_lists(&env, IPV4, plan, facts);
	put_lists(&env, IPV6, plan, facts);
	return env.has_failed ? hook_env_free(env.vars) : env.vars;
}

char **hook_env_free(char **env)
{
	for (size_t i = 0; env && env[i]; i++)
		free(env[i]);
	free(env);
	return NULL;
}
