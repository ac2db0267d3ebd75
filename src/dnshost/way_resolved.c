/* SPDX-License-Identifier: MIT */
/*
 * way_resolved: systemd-resolved, which knows for each link what its servers
 * are and which domains they know best.
 *
 * A name goes to the link with the longest domain that it ends in.  All names
 * end in the root, so "." makes ours the link of all names that no other link
 * claims more exactly; those are kept from leaving by the broker's rules.
 * What is set for a link ends with the link.
 *
 * Spec: org.freedesktop.resolve1(5)
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "clock.h"
#include "dns_way.h"
#include "escape.h"

#define SERVICE	  "org.freedesktop.resolve1"
#define OBJECT	  "/org/freedesktop/resolve1"
#define INTERFACE "org.freedesktop.resolve1.Manager"

struct dns_way_resolved {
	sd_bus *bus;	    /* owned; NULL: lost, to be found again */
	bool has_forgotten; /* it was started anew */
};

enum {
	RETRY_MS = 1000, /* after the bus itself has gone */
};

/* ---- the bus ---- */

static int on_owner_changed(sd_bus_message *m, void *ctx, sd_bus_error *error)
{
	struct dns_way_resolved *resolved = ctx;
	const char *name, *old_owner, *new_owner;

	(void)error;
	if (sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner) >= 0 &&
	    new_owner[0] != '\0')
		resolved->has_forgotten = true;
	return 0;
}

static int connect_bus(struct dns_way_resolved *resolved)
{
	int r = sd_bus_open_system(&resolved->bus);

	if (r < 0)
		return r;
	(void)sd_bus_set_method_call_timeout(resolved->bus,
					     DNS_WAY_TIMEOUT_MS * US_PER_MS);
	/* Calls that are not allowed are answered, not asked about. */
	(void)sd_bus_set_allow_interactive_authorization(resolved->bus, false);
	r = sd_bus_match_signal(resolved->bus, NULL, "org.freedesktop.DBus",
				"/org/freedesktop/DBus", "org.freedesktop.DBus",
				"NameOwnerChanged", on_owner_changed, resolved);
	if (r < 0)
		resolved->bus = sd_bus_close_unref(resolved->bus);
	return r;
}

/* Returns 0 or -errno. */
static int open_bus(struct dns_host *host)
{
	if (!host->bus)
		host->bus = calloc(1, sizeof(*host->bus));
	if (!host->bus)
		return -ENOMEM;
	return host->bus->bus ? 0 : connect_bus(host->bus);
}

void dns_way_resolved_close(struct dns_host *host)
{
	if (host->bus)
		(void)sd_bus_flush_close_unref(host->bus->bus);
	free(host->bus);
	host->bus = NULL;
}

/* Is somebody there?  It is not started for our sake. */
static bool has_owner(sd_bus *bus)
{
	sd_bus_message *reply = NULL;
	int answer = 0;
	int r = sd_bus_call_method(bus, "org.freedesktop.DBus",
				   "/org/freedesktop/DBus",
				   "org.freedesktop.DBus", "NameHasOwner", NULL,
				   &reply, "s", SERVICE);

	if (r >= 0)
		r = sd_bus_message_read(reply, "b", &answer);
	(void)sd_bus_message_unref(reply);
	return r >= 0 && answer;
}

/* ---- calls ---- */

static int begin(sd_bus *bus, const char *member, uint32_t ifindex,
		 sd_bus_message **ret_m)
{
	int r = sd_bus_message_new_method_call(bus, ret_m, SERVICE, OBJECT,
					       INTERFACE, member);

	return r < 0 || ifindex == 0
		       ? r
		       : sd_bus_message_append(*ret_m, "i", (int32_t)ifindex);
}

/* Send what was put together (r so far) and wait for its answer. */
static int finish(sd_bus *bus, sd_bus_message *m, int r, const char *member,
		  struct err *err)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char shown[200] = "";

	if (r >= 0)
		r = sd_bus_call(bus, m, 0, &error, NULL);
	if (error.message)
		escape_text(error.message, strlen(error.message), shown,
			    sizeof(shown));
	/* From an old one, which cannot and need not. */
	if (sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_METHOD))
		r = -ENOSYS;
	sd_bus_error_free(&error);
	(void)sd_bus_message_unref(m);
	return r >= 0 ? 0
		      : err_set(err, r, "systemd-resolved refuses %s: %s",
				member, shown[0] ? shown : strerror(-r));
}

static int set_servers(sd_bus *bus, const struct dns_wish *wish,
		       struct err *err)
{
	sd_bus_message *m = NULL;
	int r = begin(bus, "SetLinkDNS", wish->ifindex, &m);

	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(iay)");
	for (uint32_t i = 0; i < wish->dns->n_servers && r >= 0; i++) {
		const struct brokermsg_dns_server *s = &wish->dns->servers[i];
		bool is_v4 = s->version == 4;

		r = sd_bus_message_open_container(m, 'r', "iay");
		if (r >= 0)
			r = sd_bus_message_append(m, "i",
						  is_v4 ? AF_INET : AF_INET6);
		if (r >= 0)
			r = sd_bus_message_append_array(m, 'y', s->bytes,
							is_v4 ? 4 : 16);
		if (r >= 0)
			r = sd_bus_message_close_container(m);
	}
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return finish(bus, m, r, "SetLinkDNS", err);
}

static int set_domains(sd_bus *bus, const struct dns_wish *wish,
		       struct err *err)
{
	sd_bus_message *m = NULL;
	int r = begin(bus, "SetLinkDomains", wish->ifindex, &m);

	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(sb)");
	if (r >= 0 && wish->dns->mode == BROKERMSG_DNS_ALL)
		r = sd_bus_message_append(m, "(sb)", ".", 1);
	for (uint32_t i = 0; i < wish->dns->n_domains && r >= 0; i++)
		r = sd_bus_message_append(m, "(sb)", wish->dns->domains[i], 0);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return finish(bus, m, r, "SetLinkDomains", err);
}

static int set_default(sd_bus *bus, const struct dns_wish *wish,
		       struct err *err)
{
	static const char member[] = "SetLinkDefaultRoute";
	sd_bus_message *m = NULL;
	int r = begin(bus, member, wish->ifindex, &m);

	if (r >= 0)
		r = sd_bus_message_append(m, "b",
					  wish->dns->mode == BROKERMSG_DNS_ALL);
	r = finish(bus, m, r, member, err);
	return r == -ENOSYS ? 0 : r;
}

/* Not asked of the far network by multicast, nor by TLS. */
static int switch_off(sd_bus *bus, const char *member, uint32_t ifindex,
		      struct err *err)
{
	sd_bus_message *m = NULL;
	int r = begin(bus, member, ifindex, &m);

	if (r >= 0)
		r = sd_bus_message_append(m, "s", "no");
	r = finish(bus, m, r, member, err);
	return r == -ENOSYS ? 0 : r;
}

static int call_plain(sd_bus *bus, const char *member, uint32_t ifindex,
		      struct err *err)
{
	sd_bus_message *m = NULL;
	int r = begin(bus, member, ifindex, &m);

	return finish(bus, m, r, member, err);
}

static int tell(sd_bus *bus, const struct dns_wish *wish, struct err *err)
{
	static const char *const not_wanted[] = {
		"SetLinkLLMNR", "SetLinkMulticastDNS", "SetLinkDNSOverTLS"};
	int r = set_servers(bus, wish, err);

	if (r == 0)
		r = set_domains(bus, wish, err);
	if (r == 0)
		r = set_default(bus, wish, err);
	for (size_t i = 0; i < 3 && r == 0; i++)
		r = switch_off(bus, not_wanted[i], wish->ifindex, err);
	/* What was not found without the tunnel may be there now. */
	return r < 0 ? r : call_plain(bus, "FlushCaches", 0, err);
}

/* ---- the way ---- */

static int set(struct dns_host *host, const struct dns_store *store,
	       const struct dns_wish *wish, struct dns_record *record,
	       struct dns_record_entry *entry, struct err *err)
{
	char text[RESOLV_TEXT_MAX];
	int len = dns_way_read_conf(host, text, sizeof(text));

	if (len < 0 || !resolv_text_is_resolved(text, (size_t)len) ||
	    open_bus(host) < 0 || !has_owner(host->bus->bus)) {
		dns_way_resolved_close(host);
		return err_set(err, -ENOENT, "systemd-resolved is not in use");
	}
	int r = dns_store_save(store, entry, record, err);
	if (r < 0)
		return r;
	host->bus->has_forgotten = false;
	r = tell(host->bus->bus, wish, err);
	if (r < 0)
		(void)call_plain(host->bus->bus, "RevertLink", wish->ifindex,
				 NULL);
	/* It is the one in charge: no other way would do. */
	return r == -ENOENT ? -EIO : r;
}

static int undo(struct dns_host *host, const struct dns_record *record,
		struct err *err)
{
	/* It has been forgotten with the device. */
	if (!dns_way_has_device(&record->device))
		return 0;
	int r = open_bus(host);
	if (r < 0)
		return err_set(err, r, "cannot reach systemd-resolved: %s",
			       strerror(-r));
	if (!has_owner(host->bus->bus))
		return 0;
	r = call_plain(host->bus->bus, "RevertLink", record->device.ifindex,
		       err);
	(void)call_plain(host->bus->bus, "FlushCaches", 0, NULL);
	/* The device may have gone while we asked. */
	return r < 0 && !dns_way_has_device(&record->device) ? 0 : r;
}

const struct dns_way dns_way_resolved = {
	.name = "resolved",
	.set = set,
	.undo = undo,
};

/* ---- started anew ---- */

int dns_way_resolved_fd(struct dns_host *host, short *ret_events,
			int *ret_timeout_ms)
{
	uint64_t until_us = UINT64_MAX;

	*ret_timeout_ms = -1;
	if (!host->bus)
		return -1;
	if (!host->bus->bus) {
		*ret_timeout_ms = RETRY_MS;
		return -1;
	}
	int events = sd_bus_get_events(host->bus->bus);
	*ret_events = (short)(events < 0 ? POLLIN : events);
	if (sd_bus_get_timeout(host->bus->bus, &until_us) >= 0 &&
	    until_us != UINT64_MAX) {
		mono_us_t now_us = clock_mono_us();

		*ret_timeout_ms =
			until_us <= now_us
				? 0
				: (int)((until_us - now_us) / US_PER_MS) + 1;
	}
	return sd_bus_get_fd(host->bus->bus);
}

int dns_way_resolved_turn(struct dns_host *host, const struct dns_wish *wish,
			  struct err *err)
{
	struct dns_way_resolved *resolved = host->bus;
	int r = 0;

	if (!resolved)
		return 0;
	if (!resolved->bus) {
		if (connect_bus(resolved) < 0 || !has_owner(resolved->bus)) {
			resolved->bus = sd_bus_close_unref(resolved->bus);
			return 0;
		}
		resolved->has_forgotten = true;
	}
	do {
		r = sd_bus_process(resolved->bus, NULL);
	} while (r > 0);
	if (r < 0) { /* the bus has gone: found again by and by */
		resolved->bus = sd_bus_close_unref(resolved->bus);
		return 0;
	}
	if (!resolved->has_forgotten || !wish)
		return 0;
	resolved->has_forgotten = false;
	return tell(resolved->bus, wish, err);
}
