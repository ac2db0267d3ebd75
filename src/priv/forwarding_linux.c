/* SPDX-License-Identifier: MIT */
/*
 * forwarding: the host's settings that make it a router, on and back.
 *
 * Theory of operation
 *   The two switches have side effects, which have to be undone too: each sets
 *   the setting of the same name of every device; that of IPv4 also sets
 *   conf/all/accept_redirects to its own opposite.  IPv6 forgets the default
 *   routes learnt from router advertisements and ignores later ones, unless
 *   accept_ra is 2.
 *
 *   A guard table "ecssh-guardV-NAME" of a device that is there says that
 *   forwarding of version V is on for the sake of that device.  Its sets
 *   "forwards" and "accepts_ra" name the devices to be put back in the end:
 *   who comes while forwarding is on takes that over, since who switched it on
 *   may leave first.
 */
#include "forwarding.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "fd.h"
#include "nft_run.h"
#include "sysctl.h"

enum {
	LOCK_TRIES = 100,
	LOCK_TRY_MS = 20,
	TABLES_MAX_BYTES = 64 * 1024,
};

static const char *const switch4 = "ipv4/ip_forward";
static const char *const switch6 = "ipv6/conf/all/forwarding";
static const char *const redirects4 = "ipv4/conf/all/accept_redirects";

int forwarding_lock(void)
{
	/* One file for each network namespace. */
	int fd = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			break;
		(void)poll(NULL, 0, LOCK_TRY_MS);
	}
	return fd;
}

/* True if the line of `nft list tables` is about a guard of another device, and
 * that is there. */
static bool is_other_guard(const char *line, int version, const char *ours,
			   char name[IF_NAMESIZE])
{
	char head[40];
	size_t len;

	(void)snprintf(head, sizeof(head), "table inet ecssh-guard%d-",
		       version);
	if (strncmp(line, head, strlen(head)) != 0)
		return false;
	line += strlen(head);
	len = strcspn(line, " \n");
	if (len == 0 || len >= IF_NAMESIZE)
		return false;
	memcpy(name, line, len);
	name[len] = '\0';
	return strcmp(name, ours) != 0 && if_nametoindex(name) != 0;
}

static int remember(struct broker_forward *plan, const char *name,
		    uint8_t flags)
{
	for (uint32_t i = 0; i < plan->n_ifs; i++)
		if (strcmp(plan->ifs[i].name, name) == 0) {
			plan->ifs[i].flags |= flags;
			return 0;
		}
	if (plan->n_ifs >= BROKER_IFS_MAX)
		return -E2BIG;
	(void)snprintf(plan->ifs[plan->n_ifs].name, BROKERMSG_NAME_MAX, "%s",
		       name);
	plan->ifs[plan->n_ifs++].flags = flags;
	return 0;
}

/* Take over the names between the quotes of a listed set. */
static void take_over_set(struct broker_forward *plan, const char *table,
			  const char *set, uint8_t flag)
{
	char head[32];
	const char *end;

	(void)snprintf(head, sizeof(head), "set %s {", set);
	table = strstr(table, head);
	end = table ? strstr(table, "\n\t}") : NULL;
	while (end && (table = strchr(table, '"')) && table < end) {
		size_t len = strcspn(++table, "\"");
		char name[BROKERMSG_NAME_MAX];

		if (len > 0 && len < sizeof(name)) {
			memcpy(name, table, len);
			name[len] = '\0';
			(void)remember(plan, name, flag);
		}
		table += len + 1;
	}
}

/* Take over what the guard of another device remembers. */
static void take_over(struct broker_forward *plan, int version,
		      const char *other, char *buf)
{
	char command[64];

	(void)snprintf(command, sizeof(command),
		       "list table inet ecssh-guard%d-%.15s\n", version, other);
	if (nft_run(command, buf, TABLES_MAX_BYTES, NULL) < 0)
		return;
	take_over_set(plan, buf, "forwards",
		      version == IPV4 ? BROKER_IF_FORWARDS_4
				      : BROKER_IF_FORWARDS_6);
	take_over_set(plan, buf, "accepts_ra", BROKER_IF_ACCEPTS_RA);
}

/* The families that are forwarded for other devices of ours; the name of one
 * such device for each goes to others[0] and [1], which may be NULL. */
static uint8_t find_other_guards(const char *ours, char others[2][IF_NAMESIZE])
{
	char *tables = calloc(1, TABLES_MAX_BYTES), name[IF_NAMESIZE];
	uint8_t families = 0;

	if (tables &&
	    nft_run("list tables inet\n", tables, TABLES_MAX_BYTES, NULL) == 0)
		for (const char *line = tables; line && *line;) {
			for (int i = 0; i < 2; i++) {
				if (!is_other_guard(line, i ? IPV6 : IPV4, ours,
						    name))
					continue;
				families |=
					i ? BROKER_FAMILY_6 : BROKER_FAMILY_4;
				if (others)
					memcpy(others[i], name, IF_NAMESIZE);
			}
			line = strchr(line, '\n');
			line = line ? line + 1 : NULL;
		}
	free(tables);
	return families;
}

/* Forwarding is on: find out for whose sake.  Returns the families for which it
 * is us alone; the plan takes over what is to be restored then. */
static uint8_t share(struct broker_forward *plan, uint8_t families)
{
	char others[2][IF_NAMESIZE] = {"", ""};
	char *buf = calloc(1, TABLES_MAX_BYTES);

	families &= find_other_guards(plan->name, others);
	if (buf && (families & BROKER_FAMILY_4))
		take_over(plan, IPV4, others[0], buf);
	if (buf && (families & BROKER_FAMILY_6))
		take_over(plan, IPV6, others[1], buf);
	free(buf);
	return families;
}

/* Remember a device whose settings will change. */
static int plan_if(struct broker_forward *plan, uint8_t fresh, const char *name,
		   struct err *err)
{
	uint8_t flags = 0;

	if (strlen(name) >= BROKERMSG_NAME_MAX || strcmp(name, "all") == 0)
		return 0;
	if ((fresh & BROKER_FAMILY_4) &&
	    sysctl_get_if("ipv4", name, "forwarding") == '1')
		flags |= BROKER_IF_FORWARDS_4;
	if ((fresh & BROKER_FAMILY_6) &&
	    sysctl_get_if("ipv6", name, "forwarding") == '1')
		flags |= BROKER_IF_FORWARDS_6;
	if ((fresh & BROKER_FAMILY_6) &&
	    sysctl_get_if("ipv6", name, "accept_ra") == '1')
		flags |= BROKER_IF_ACCEPTS_RA;
	if (flags == 0)
		return 0;
	if (remember(plan, name, flags) < 0)
		return err_set(err, -E2BIG,
			       "forwarding is off on the far host, and it has "
			       "more than %d network devices whose settings "
			       "would change; let its administrator switch "
			       "net.ipv4.ip_forward on",
			       BROKER_IFS_MAX);
	return 0;
}

static int plan_ifs(struct broker_forward *plan, uint8_t fresh, struct err *err)
{
	const char *path = fresh & BROKER_FAMILY_6 ? "/proc/sys/net/ipv6/conf"
						   : "/proc/sys/net/ipv4/conf";
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return err_set(err, -errno, "cannot list %s: %s", path,
			       strerror(errno));
	/* Our own device will be gone before its settings matter. */
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    strcmp(entry->d_name, plan->name) != 0)
			r = plan_if(plan, fresh, entry->d_name, err);
	(void)closedir(dir);
	return r;
}

int forwarding_plan(uint8_t families, struct broker_forward *plan,
		    struct err *err)
{
	uint8_t fresh = 0, shared = 0;

	plan->n_ifs = 0;
	if ((families & BROKER_FAMILY_4) && sysctl_get(switch4) == '0')
		fresh |= BROKER_FAMILY_4;
	if ((families & BROKER_FAMILY_6) && sysctl_get(switch6) == '0')
		fresh |= BROKER_FAMILY_6;
	/* On already, but only as long as another of us lives? */
	if (families & ~fresh)
		shared = share(plan, families & (uint8_t)~fresh);
	plan->switched = fresh | shared;
	plan->accept_redirects4 =
		fresh & BROKER_FAMILY_4 ? sysctl_get(redirects4) : '\0';
	return fresh ? plan_ifs(plan, fresh, err) : 0;
}

static int switch_on(const char *key, struct err *err)
{
	int r = sysctl_get(key) == '1' ? 0 : sysctl_set(key, '1');

	return r < 0 ? err_set(err, r,
			       "cannot switch forwarding on (/proc/sys/net/%s: "
			       "%s)",
			       key, strerror(-r))
		     : 0;
}

int forwarding_on(const struct broker_forward *plan, struct err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < plan->n_ifs; i++)
		if (plan->ifs[i].flags & BROKER_IF_ACCEPTS_RA)
			(void)sysctl_set_if("ipv6", plan->ifs[i].name,
					    "accept_ra", '2');
	if (plan->switched & BROKER_FAMILY_4)
		r = switch_on(switch4, err);
	if (r == 0 && (plan->switched & BROKER_FAMILY_4) &&
	    plan->accept_redirects4)
		r = sysctl_set(redirects4, plan->accept_redirects4);
	if (r == 0 && (plan->switched & BROKER_FAMILY_6))
		r = switch_on(switch6, err);
	return r;
}

static int switch_off(const char *key, struct err *err)
{
	int r = sysctl_set(key, '0');

	return r < 0 ? err_set(err, r,
			       "cannot switch forwarding off again "
			       "(/proc/sys/net/%s: %s)",
			       key, strerror(-r))
		     : 0;
}

static void restore_ifs(const struct broker_forward *plan, uint8_t families)
{
	for (uint32_t i = 0; i < plan->n_ifs; i++) {
		const char *name = plan->ifs[i].name;
		uint8_t flags = plan->ifs[i].flags;

		if ((families & BROKER_FAMILY_4) &&
		    (flags & BROKER_IF_FORWARDS_4))
			(void)sysctl_set_if("ipv4", name, "forwarding", '1');
		if ((families & BROKER_FAMILY_6) &&
		    (flags & BROKER_IF_FORWARDS_6))
			(void)sysctl_set_if("ipv6", name, "forwarding", '1');
		if ((families & BROKER_FAMILY_6) &&
		    (flags & BROKER_IF_ACCEPTS_RA) &&
		    sysctl_get_if("ipv6", name, "accept_ra") == '2')
			(void)sysctl_set_if("ipv6", name, "accept_ra", '1');
	}
}

int forwarding_off(const struct broker_forward *plan, struct err *err)
{
	uint8_t families = plan->switched;
	char redirects = sysctl_get(redirects4);
	int r = 0;

	if (families)
		families &= (uint8_t)~find_other_guards(plan->name, NULL);
	if ((families & BROKER_FAMILY_4) && sysctl_get(switch4) == '1')
		r = switch_off(switch4, err);
	/* As it is now, not as the switch leaves it behind. */
	if ((families & BROKER_FAMILY_4) && redirects)
		(void)sysctl_set(redirects4, redirects);
	if ((families & BROKER_FAMILY_6) && sysctl_get(switch6) == '1') {
		int r6 = switch_off(switch6, r < 0 ? NULL : err);

		r = r < 0 ? r : r6;
	}
	restore_ifs(plan, families);
	return r;
}
