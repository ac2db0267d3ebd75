/* SPDX-License-Identifier: MIT */
/* near_checks: what this host has to offer. */
#include "near_checks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beside.h"
#include "broker_client.h"
#include "fd.h"
#include "brokermsg.h"
#include "rtnl.h"

enum {
	UNICAST = 1, /* RTN_UNICAST */
	LISTED_MAX = 3,
};

/* ---- privilege ---- */

static bool is_in_path(const char *program)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	for (const char *at = path ? path : ""; *at;) {
		size_t len = strcspn(at, ":");
		int n = snprintf(file, sizeof(file), "%.*s/%s", (int)len, at,
				 program);

		if (len > 0 && n < (int)sizeof(file) && access(file, X_OK) == 0)
			return true;
		at += len + (at[len] == ':');
	}
	return false;
}

static bool has_terminal(void)
{
	CLEANUP_FD int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	return fd >= 0;
}

/* Start it and end it: nothing has been asked of it. */
static bool starts(const char *path, enum broker_via via, struct err *err)
{
	struct broker_start how = {.path = path, .via = via};
	struct broker_client *client = NULL;

	if (broker_client_start(&client, &how, err) < 0)
		return false;
	(void)broker_client_stop(client, NULL);
	return true;
}

static void no_privilege(struct report *r, const char *fact)
{
	report_fact(r, RUNG_NEAR_TUN, RUNG_NO);
	report_bad(r, "privilege", REPORT_MISSING,
		   "%s\tstart ecssh with sudo, or have the administrator allow "
		   "you ecssh-broker",
		   fact);
}

/* Neither root nor a capability of the file. */
static void check_sudo(struct report *r, const char *path)
{
	struct err err;

	if (is_in_path("sudo") && starts(path, BROKER_VIA_SUDO_QUIET, &err))
		report_ok(r, "privilege", "sudo, without a password");
	else if (is_in_path("sudo") && has_terminal())
		report_bad(r, "privilege", REPORT_DEGRADED,
			   "sudo will ask for a password, if it allows "
			   "it\tsudoers(5) can allow ecssh-broker without one");
	else if (is_in_path("pkexec"))
		report_bad(r, "privilege", REPORT_DEGRADED,
			   "pkexec will ask, if it allows it\tsudoers(5) can "
			   "allow ecssh-broker without a password");
	else if (is_in_path("sudo"))
		no_privilege(r, "sudo wants a password, and there is no "
				"terminal to ask on");
	else
		no_privilege(r, "neither root nor sudo nor pkexec");
}

static void check_privilege(struct report *r)
{
	char path[PATH_MAX];
	struct err err;

	if (beside_find("ecssh-broker", path, &err) < 0) {
		report_fact(r, RUNG_NEAR_TUN, RUNG_NO);
		report_bad(r, "privilege", REPORT_MISSING,
			   "%s\tinstall ecssh completely", err.text);
	} else if (starts(path, BROKER_VIA_DIRECT, &err)) {
		report_ok(r, "privilege", "%s",
			  geteuid() == 0 ? "root"
					 : "a capability of ecssh-broker");
	} else if (geteuid() == 0) {
		report_fact(r, RUNG_NEAR_TUN, RUNG_NO);
		report_bad(r, "privilege", REPORT_MISSING,
			   "%s\tgive root CAP_NET_ADMIN here", err.text);
	} else {
		check_sudo(r, path);
	}
}

static void check_tun(struct report *r)
{
	struct stat st;

	/* Not opened: that would load the driver. */
	if (stat("/dev/net/tun", &st) == 0 && S_ISCHR(st.st_mode)) {
		report_ok(r, "tun", "/dev/net/tun");
		return;
	}
	report_fact(r, RUNG_NEAR_TUN, RUNG_NO);
	report_bad(r, "tun", REPORT_MISSING,
		   "no /dev/net/tun on this host\tload the module tun, or give "
		   "the container the device");
}

void near_checks_privilege(struct report *r)
{
	report_fact(r, RUNG_NEAR_TUN, RUNG_YES);
	check_privilege(r);
	check_tun(r);
}

/* ---- subnets ---- */

/* What is in the way of one subnet, as a list for people. */
struct conflicts {
	char text[REPORT_TEXT_MAX - 200];
	size_t len;
	size_t n;
};

static void note(struct conflicts *c, const struct subnet *s, const char *how)
{
	char shown[SUBNET_TEXT_MAX];

	if (c->n++ >= LISTED_MAX)
		return;
	int n = snprintf(c->text + c->len, sizeof(c->text) - c->len, "%s%s %s",
			 c->len ? ", " : "", subnet_format(s, shown), how);
	if (n > 0 && (size_t)n < sizeof(c->text) - c->len)
		c->len += (size_t)n;
}

static bool is_equal(const struct subnet *a, const struct subnet *b)
{
	return a->prefix_len == b->prefix_len && subnet_covers(a, b);
}

/* Routes of other tunnels share a table with ours; all others are looked up
 * later, and what this host is connected to is left out of larger subnets. */
static void compare(const struct subnet *s, const struct rtnl_route *routes,
		    size_t n, struct conflicts *same, struct conflicts *inside)
{
	for (size_t i = 0; i < n; i++) {
		const struct subnet *dst = &routes[i].dst;
		bool is_tunnels = routes[i].table == BROKERMSG_TABLE;
		bool is_link = routes[i].table == RTNL_TABLE_MAIN &&
			       routes[i].gateway.version == 0;
		char name[IF_NAMESIZE] = "another device", how[64];

		if (routes[i].type != UNICAST || !subnet_covers(s, dst) ||
		    addr_is_link_local(&dst->addr) ||
		    !(is_tunnels || (is_link && !is_equal(s, dst))))
			continue;
		(void)if_indextoname(routes[i].ifindex, name);
		(void)snprintf(how, sizeof(how), "(%s)", name);
		note(is_equal(s, dst) ? same : inside, dst, how);
	}
}

static void tell(struct report *r, const struct conflicts *same,
		 const struct conflicts *inside)
{
	if (same->n > 0)
		report_bad(r, "subnets", REPORT_MISSING,
			   "in another tunnel already: %s\task for a smaller "
			   "subnet, or end that tunnel",
			   same->text);
	if (inside->n > 0)
		report_bad(r, "subnets", REPORT_DEGRADED,
			   "%s stay%s as now%s\task for subnets as small as "
			   "these if they are meant",
			   inside->text, inside->n == 1 ? "s" : "",
			   inside->n > LISTED_MAX ? " (and more of them)" : "");
	if (same->n + inside->n == 0)
		report_ok(r, "subnets", "no conflict with routes of this host");
}

void near_checks_subnets(struct report *r, const struct subnet *subnets,
			 size_t n)
{
	struct conflicts same = {.n = 0}, inside = {.n = 0};
	struct rtnl_route *routes = NULL;
	struct rtnl *rtnl = NULL;
	size_t n_routes = 0;
	struct err err;

	if (n == 0)
		return;
	if (rtnl_open(&rtnl, &err) < 0 ||
	    rtnl_route_dump(rtnl, &routes, &n_routes, &err) < 0) {
		report_bad(r, "subnets", REPORT_DEGRADED,
			   "%s\tlook at \"ip route\" yourself", err.text);
	} else {
		for (size_t i = 0; i < n; i++)
			compare(&subnets[i], routes, n_routes, &same, &inside);
		tell(r, &same, &inside);
	}
	free(routes);
	(void)rtnl_close(rtnl);
}
