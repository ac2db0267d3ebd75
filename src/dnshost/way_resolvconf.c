/* SPDX-License-Identifier: MIT */
/*
 * way_resolvconf: the program resolvconf, openresolv's or Debian's.
 *
 * It keeps what each interface has told it, and makes resolv.conf out of that.
 * Whether it does is seen from what it makes: one that is installed but not in
 * charge of resolv.conf is told to forget, and is no way.
 *
 * What others tell it while the tunnel is up it weighs itself.  What others
 * write past it, it writes over when it is told again; if not, it has lost its
 * charge, and the file is taken as where there is no resolvconf.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dns_way.h"
#include "fd.h"
#include "program.h"

enum { IFACE_MAX = 48 };

/* A program of that name; systemd's is another one, by its link. */
static const char *find(const struct dns_host *host)
{
	char real[PATH_MAX];

	for (const char *const *p = host->resolvconf; *p; p++) {
		if (access(*p, X_OK) < 0 || !realpath(*p, real))
			continue;
		const char *name = strrchr(real, '/') + 1;
		if (strcmp(name, "resolvconf") == 0)
			return *p;
	}
	return NULL;
}

/*
 * What our entry is called.  Debian's takes entries in the order of a file,
 * in which tunnels of this name come before the interfaces beneath them.
 */
static void name_entry(const struct dns_host *host, const char *device,
		       char out[IFACE_MAX])
{
	int dir_fd CLEANUP_FD = dns_way_open_etc(host);
	bool is_ordered =
		dir_fd >= 0 &&
		faccessat(dir_fd, "resolvconf/interface-order", R_OK, 0) == 0;

	(void)snprintf(out, IFACE_MAX, "%s%s.ecssh", is_ordered ? "tun." : "",
		       device);
}

static int tell(const char *path, const char *entry,
		const struct dns_wish *wish, struct err *err)
{
	/* Of these Debian's takes no notice. */
	const char *const argv[] = {path, "-a", entry, "-m", "0", "-x", NULL};
	char text[RESOLV_TEXT_MAX];

	(void)resolv_text_build(wish->dns, wish->device, text);
	return program_run(argv, text, NULL, 0, DNS_WAY_TIMEOUT_MS, err);
}

static int forget(const char *path, const char *entry, struct err *err)
{
	const char *const argv[] = {path, "-d", entry, NULL};

	return program_run(argv, "", NULL, 0, DNS_WAY_TIMEOUT_MS, err);
}

/* True if resolv.conf begins with our server, or with one on this host that can
 * have been told. */
static bool has_taken_effect(const struct dns_host *host,
			     const struct brokermsg_dns_set *dns)
{
	char text[RESOLV_TEXT_MAX];
	struct ip_addr first,
		ours = addr_make((enum ip_version)dns->servers[0].version,
				 dns->servers[0].bytes);
	int len = dns_way_read_conf(host, text, sizeof(text));

	return len > 0 &&
	       resolv_text_servers(text, (size_t)len, &first, 1) == 1 &&
	       (addr_equal(&first, &ours) ||
		(addr_is_loopback(&first) &&
		 !resolv_text_is_resolved(text, (size_t)len)));
}

static int set(struct dns_host *host, const struct dns_store *store,
	       const struct dns_wish *wish, struct dns_record *record,
	       struct dns_record_entry *entry, struct err *err)
{
	char name[IFACE_MAX];
	const char *path = find(host);

	/* It has no word for "only these names" that all of its programs
	 * understand. */
	if (!path || wish->dns->mode == BROKERMSG_DNS_SPLIT)
		return err_set(err, -ENOENT, "there is no resolvconf here");
	name_entry(host, wish->device, name);
	int r = dns_store_save(store, entry, record, err);
	if (r < 0)
		return r;
	r = tell(path, name, wish, err);
	if (r == 0 && has_taken_effect(host, wish->dns))
		return 0;
	(void)forget(path, name, NULL);
	return r < 0 ? r
		     : err_set(err, -ENOENT,
			       "%s is not in charge of %s/resolv.conf", path,
			       host->etc);
}

/* ---- while it is up ---- */

static bool is_ours(struct dns_host *host, const struct dns_wish *wish,
		    const struct dns_record *record)
{
	char text[RESOLV_TEXT_MAX];
	int len = dns_way_read_conf(host, text, sizeof(text));

	(void)record;
	return has_taken_effect(host, wish->dns) ||
	       (len > 0 && resolv_text_is_resolvconf(text, (size_t)len));
}

/* The record of the new way takes the place of ours once it is on disk. */
static int become_file(struct dns_host *host, const struct dns_store *store,
		       const struct dns_wish *wish, struct dns_record *record,
		       struct dns_record_entry *entry, struct err *err)
{
	struct dns_record *newer = malloc(sizeof(*newer));
	struct dns_record_entry before = *entry;

	if (!newer)
		return err_set(err, -ENOMEM, "out of memory");
	dns_record_init(newer, DNS_WAY_FILE, wish->ifindex, wish->device);
	int r = dns_way_file.set(host, store, wish, newer, entry, err);
	if (strcmp(before.file, entry->file) != 0)
		*record = *newer;
	free(newer);
	return r;
}

/* What it has been told already changes nothing for it. */
static int tell_again(const char *path, const char *entry,
		      const struct dns_wish *wish)
{
	const char *const argv[] = {path, "-u", NULL};
	int r = tell(path, entry, wish, NULL);

	return r < 0 ? r
		     : program_run(argv, "", NULL, 0, DNS_WAY_TIMEOUT_MS, NULL);
}

static int renew(struct dns_host *host, const struct dns_store *store,
		 const struct dns_wish *wish, struct dns_record *record,
		 struct dns_record_entry *entry, struct err *err)
{
	char name[IFACE_MAX];
	const char *path = find(host);

	if (path) {
		name_entry(host, wish->device, name);
		if (tell_again(path, name, wish) == 0 &&
		    has_taken_effect(host, wish->dns))
			return 0;
		(void)forget(path, name, NULL);
	}
	return become_file(host, store, wish, record, entry, err);
}

static int undo(struct dns_host *host, const struct dns_record *record,
		struct err *err)
{
	char name[IFACE_MAX];
	const char *path = find(host);

	if (!path)
		return err_set(err, -ENOENT,
			       "resolvconf is gone, which knows of the tunnel "
			       "%s",
			       record->device.name);
	name_entry(host, record->device.name, name);
	return forget(path, name, err);
}

const struct dns_way dns_way_resolvconf = {
	.name = "resolvconf",
	.set = set,
	.undo = undo,
	.is_ours = is_ours,
	.renew = renew,
};
