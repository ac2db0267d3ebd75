/* SPDX-License-Identifier: MIT */
/* print_dns: what ecssh-dns would do to this host's resolver. */
#include "print_dns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "resolv_text.h"

static const char conf[] = "/etc/resolv.conf";

/* ---- which way ---- */

static size_t read_conf(char *out, size_t cap)
{
	int fd CLEANUP_FD = open(conf, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, cap);

	return n < 0 ? 0 : (size_t)n;
}

/* A program of that name; systemd's is another one, by its link. */
static bool find_resolvconf(struct print_dns *p)
{
	static const char *const paths[] = {"/usr/sbin/resolvconf",
					    "/sbin/resolvconf"};
	char real[PATH_MAX];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (access(paths[i], X_OK) < 0 || !realpath(paths[i], real) ||
		    strcmp(strrchr(real, '/'), "/resolvconf") != 0)
			continue;
		(void)snprintf(p->tool, sizeof(p->tool), "%s", paths[i]);
		return true;
	}
	return false;
}

/* openresolv writes the file itself; Debian's has it lead to its own. */
static bool is_in_charge(bool is_debians, const char *text, size_t len)
{
	char real[PATH_MAX] = "";

	if (!is_debians || resolv_text_is_resolvconf(text, len))
		return true;
	return realpath(conf, real) &&
	       strcmp(real, "/run/resolvconf/resolv.conf") == 0;
}

static enum print_dns_way file_way(void)
{
	struct statx st;

	if (statx(AT_FDCWD, conf, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) < 0)
		return errno == ENOENT ? PRINT_DNS_ABSENT : PRINT_DNS_FILE;
	return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) ? PRINT_DNS_WRITTEN
							   : PRINT_DNS_FILE;
}

static void choose(struct print_dns *p, const char *device, bool is_all)
{
	bool is_debians = access("/etc/resolvconf/interface-order", R_OK) == 0;
	char text[RESOLV_TEXT_MAX];
	size_t len = read_conf(text, sizeof(text));

	if (resolv_text_is_resolved(text, len) &&
	    access("/run/systemd/resolve", F_OK) == 0) {
		p->way = PRINT_DNS_RESOLVED;
		return;
	}
	if (is_all && find_resolvconf(p) &&
	    is_in_charge(is_debians, text, len)) {
		p->way = PRINT_DNS_RESOLVCONF;
		(void)snprintf(p->entry, sizeof(p->entry), "%s%s.ecssh",
			       is_debians ? "tun." : "", device);
		return;
	}
	p->way = file_way();
}

/* ---- lines ---- */

static void print_resolved(const char *device,
			   const struct brokermsg_dns_set *dns)
{
	static const char *const not_wanted[] = {"llmnr", "mdns", "dnsovertls"};
	bool is_all = dns->mode == BROKERMSG_DNS_ALL;
	char text[ADDR_TEXT_MAX];

	(void)printf("resolvectl dns %s", device);
	for (uint32_t i = 0; i < dns->n_servers; i++) {
		struct ip_addr a =
			addr_make((enum ip_version)dns->servers[i].version,
				  dns->servers[i].bytes);

		(void)printf(" %s", addr_format(&a, text));
	}
	(void)printf("\nresolvectl domain %s%s", device, is_all ? " '~.'" : "");
	for (uint32_t i = 0; i < dns->n_domains; i++)
		(void)printf(" '%s'", dns->domains[i]);
	(void)printf("\nresolvectl default-route %s %s\n", device,
		     is_all ? "yes" : "no");
	for (size_t i = 0; i < 3; i++)
		(void)printf("resolvectl %s %s no\n", not_wanted[i], device);
	(void)puts("resolvectl flush-caches");
}

static void print_text(const char *command, const char *device,
		       const struct brokermsg_dns_set *dns)
{
	char text[RESOLV_TEXT_MAX];
	size_t len = resolv_text_build(dns, device, text);

	(void)printf("%s <<'END'\n%.*sEND\n", command, (int)len, text);
}

int print_dns_set(struct print_dns *p, const char *device,
		  const struct brokermsg_dns_set *dns,
		  char ret_way[BROKERMSG_NAME_MAX], struct err *err)
{
	static const char *const names[] = {
		[PRINT_DNS_RESOLVED] = "resolved",
		[PRINT_DNS_RESOLVCONF] = "resolvconf",
		[PRINT_DNS_FILE] = "resolv.conf",
		[PRINT_DNS_WRITTEN] = "resolv.conf",
		[PRINT_DNS_ABSENT] = "resolv.conf",
	};
	bool is_all = dns->mode == BROKERMSG_DNS_ALL;
	char command[128];

	choose(p, device, is_all);
	if (p->way != PRINT_DNS_RESOLVED && !is_all)
		return err_set(err, -EOPNOTSUPP,
			       "nothing on this host can send the names of "
			       "some domains elsewhere than the rest: --dns "
			       "split needs systemd-resolved");
	(void)snprintf(ret_way, BROKERMSG_NAME_MAX, "%s", names[p->way]);
	switch (p->way) {
	case PRINT_DNS_RESOLVED:
		print_resolved(device, dns);
		return 0;
	case PRINT_DNS_RESOLVCONF:
		(void)snprintf(command, sizeof(command), "%s -a %s -m 0 -x",
			       p->tool, p->entry);
		print_text(command, device, dns);
		return 0;
	case PRINT_DNS_FILE:
		(void)printf("mv %s /etc/.resolv.conf.%s\n", conf, device);
		break;
	case PRINT_DNS_WRITTEN:
		(void)printf("cp %s /run/resolv.conf.%s\n", conf, device);
		break;
	case PRINT_DNS_ABSENT:
		break;
	}
	(void)snprintf(command, sizeof(command), "cat >%s", conf);
	print_text(command, device, dns);
	if (p->way != PRINT_DNS_WRITTEN)
		(void)printf("chmod 644 %s\n", conf);
	return 0;
}

void print_dns_undo(const struct print_dns *p, const char *device)
{
	switch (p->way) {
	case PRINT_DNS_RESOLVED:
		(void)printf("resolvectl revert %s\nresolvectl flush-caches\n",
			     device);
		break;
	case PRINT_DNS_RESOLVCONF:
		(void)printf("%s -d %s\n", p->tool, p->entry);
		break;
	case PRINT_DNS_FILE:
		(void)printf("mv /etc/.resolv.conf.%s %s\n", device, conf);
		break;
	case PRINT_DNS_WRITTEN:
		(void)printf("cat /run/resolv.conf.%s >%s\n"
			     "rm /run/resolv.conf.%s\n",
			     device, conf, device);
		break;
	case PRINT_DNS_ABSENT:
		(void)printf("rm %s\n", conf);
		break;
	}
}
