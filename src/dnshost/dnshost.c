/* SPDX-License-Identifier: MIT */
/* dnshost: this host's resolver, pointed at servers in a tunnel and back. */
#include "dnshost.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fd.h"

static const char *const usual_resolvconf[] = {"/usr/sbin/resolvconf",
					       "/sbin/resolvconf", NULL};

const struct dns_host dnshost_usual = {
	.etc = "/etc",
	.state = "/var/lib/ecssh",
	.resolvconf = usual_resolvconf,
};

int dnshost_init(struct dnshost *d, const struct dns_host *host,
		 struct err *err)
{
	*d = (struct dnshost){.host = *host, .entry = {.fd = -1}};
	d->record = malloc(sizeof(*d->record));
	return d->record ? 0 : err_set(err, -ENOMEM, "out of memory");
}

void dnshost_fini(struct dnshost *d)
{
	dns_way_resolved_close(&d->host);
	fd_close(&d->entry.fd);
	free(d->record);
	d->record = NULL;
}

/* The wish in force. */
static struct dns_wish wish_of(const struct dnshost *d)
{
	return (struct dns_wish){.device = d->wish.name,
				 .ifindex = d->wish.ifindex,
				 .dns = &d->wish.dns};
}

/* ---- set ---- */

static int check(const struct dnshost_msg_request *wish, struct err *err)
{
	int r = dnshost_msg_check(&wish->dns, err);

	if (r < 0)
		return r;
	if (!dns_record_is_device(wish->name))
		return err_set(err, -EINVAL, "not the name of a device");
	struct dns_record_device device = {.ifindex = wish->ifindex};

	memcpy(device.name, wish->name, sizeof(device.name));
	return dns_way_has_device(&device)
		       ? 0
		       : err_set(err, -ENODEV, "there is no device %s",
				 wish->name);
}

/* Try one way.  Its record is gone again if it fails. */
static int try_way(struct dnshost *d, const struct dns_store *store,
		   enum dns_way_kind kind, const struct dns_wish *wish,
		   struct err *err)
{
	const struct dns_way *way = dns_ways[kind];

	dns_record_init(d->record, kind, wish->ifindex, wish->device);
	int r = way->set(&d->host, store, wish, d->record, &d->entry, err);
	if (r < 0 && d->entry.file[0] != '\0') {
		(void)way->undo(&d->host, d->record, NULL);
		dns_store_remove(store, &d->entry);
	}
	return r;
}

int dnshost_set(struct dnshost *d, const struct dnshost_msg_request *request,
		char ret_way[BROKERMSG_NAME_MAX], struct err *err)
{
	struct dns_store store;
	int r = check(request, err);

	if (r < 0)
		return r;
	if (d->is_set)
		return err_set(err, -EEXIST,
			       "the resolver of this host is pointed at the "
			       "tunnel already");
	r = dns_store_open(&store, d->host.state, err);
	if (r < 0)
		return r;
	d->wish = *request;
	const struct dns_wish wish = wish_of(d);
	r = -ENOENT;
	for (int kind = 1; kind < DNS_WAY__N && r == -ENOENT; kind++) {
		r = try_way(d, &store, (enum dns_way_kind)kind, &wish, err);
		if (r == 0)
			(void)snprintf(ret_way, BROKERMSG_NAME_MAX, "%s",
				       dns_ways[kind]->name);
	}
	dns_store_close(&store);
	d->is_set = r == 0;
	return r;
}

/* ---- while it is in force ---- */

bool dnshost_can_renew(const struct dnshost *d)
{
	return d->is_set && dns_ways[d->record->way]->renew;
}

bool dnshost_is_ours(struct dnshost *d)
{
	const struct dns_wish wish = wish_of(d);

	return dns_ways[d->record->way]->is_ours(&d->host, &wish, d->record);
}

int dnshost_renew(struct dnshost *d, struct err *err)
{
	const struct dns_wish wish = wish_of(d);
	struct dns_store store;
	int r = dns_store_open(&store, d->host.state, err);

	if (r < 0)
		return r;
	r = dns_ways[d->record->way]->renew(&d->host, &store, &wish, d->record,
					    &d->entry, err);
	dns_store_close(&store);
	return r;
}

/* ---- clear ---- */

int dnshost_clear(struct dnshost *d, struct err *err)
{
	struct dns_store store;

	if (!d->is_set)
		return 0;
	int r = dns_store_open(&store, d->host.state, err);
	if (r < 0)
		return r;
	r = dns_ways[d->record->way]->undo(&d->host, d->record, err);
	/* What failed is tried again by whoever finds the record. */
	if (r == 0 || r == -ESTALE || r == -ENOENT)
		dns_store_remove(&store, &d->entry);
	fd_close(&d->entry.fd);
	dns_store_close(&store);
	d->is_set = false;
	return r;
}

/* ---- replay ---- */

struct replay {
	struct dnshost *d;
	int result;
	struct err why;
};

static void say(struct dnshost *d, const struct dns_record *record, int r)
{
	size_t len = strlen(d->restored.text);
	bool is_file = record->way == DNS_WAY_FILE;

	/* What was told to resolved about a device has gone with it. */
	if (record->way == DNS_WAY_RESOLVED)
		return;
	(void)snprintf(d->restored.text + len, sizeof(d->restored.text) - len,
		       "%s%s, which the tunnel %s had changed and not put "
		       "back, %s",
		       len > 0 ? "; " : "",
		       is_file ? "resolv.conf" : "what resolvconf knows",
		       record->device.name,
		       r == -ESTALE ? "was changed again by somebody else and "
				      "is left alone"
				    : "is restored");
}

static bool on_record(void *ctx, const struct dns_record *record, bool is_live)
{
	struct replay *replay = ctx;

	if (is_live)
		return false;
	int r = dns_ways[record->way]->undo(&replay->d->host, record,
					    &replay->why);
	if (r < 0 && r != -ESTALE && r != -ENOENT) {
		replay->result = r;
		return false;
	}
	say(replay->d, record, r);
	return true;
}

int dnshost_replay(struct dnshost *d, struct err *err)
{
	struct replay replay = {.d = d};
	struct dns_store store;
	int r = dns_store_open(&store, d->host.state, err);

	if (r < 0)
		return r;
	dns_store_each(&store, on_record, &replay);
	dns_store_close(&store);
	return replay.result < 0
		       ? err_set(err, replay.result, "%s", replay.why.text)
		       : 0;
}
