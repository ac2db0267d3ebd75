/* SPDX-License-Identifier: MIT */
/* way_resolved_none: a build without libsystemd, which cannot speak to
 * systemd-resolved. */
#include <errno.h>

#include "dns_way.h"

static int set(struct dns_host *host, const struct dns_store *store,
	       const struct dns_wish *wish, struct dns_record *record,
	       struct dns_record_entry *entry, struct err *err)
{
	(void)host;
	(void)store;
	(void)wish;
	(void)record;
	(void)entry;
	return err_set(err, -ENOENT,
		       "this build cannot speak to systemd-resolved");
}

static int undo(struct dns_host *host, const struct dns_record *record,
		struct err *err)
{
	(void)host;
	(void)record;
	(void)err;
	return 0;
}

const struct dns_way dns_way_resolved = {
	.name = "resolved",
	.set = set,
	.undo = undo,
};

int dns_way_resolved_fd(struct dns_host *host, short *ret_events,
			int *ret_timeout_ms)
{
	(void)host;
	(void)ret_events;
	*ret_timeout_ms = -1;
	return -1;
}

int dns_way_resolved_turn(struct dns_host *host, const struct dns_wish *wish,
			  struct err *err)
{
	(void)host;
	(void)wish;
	(void)err;
	return 0;
}

void dns_way_resolved_close(struct dns_host *host)
{
	(void)host;
}
