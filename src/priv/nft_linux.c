/* SPDX-License-Identifier: MIT */
/*
 * nft: the host's program of that name, run with rules that we made.
 *
 * Theory of operation
 *   The text consists of our own words, of addresses that addr_format wrote,
 *   and of the name of a device of ours, which broker.c let through: letters,
 *   digits and "_.-".  No shell sees it.
 *
 *   Packets meet the chains in this order: `source` drops what comes out of
 *   the device with a source that is not behind it, whoever it is for; `pass`
 *   decides what is forwarded from and to the device; `translate` comes last.
 *   A verdict "accept" is not final: tables of others may still drop.
 */
#include "nft.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "clock.h"
#include "escape.h"
#include "fd.h"
#include "text.h"

static int finish(const struct text *t)
{
	return t->len >= t->cap - 1 ? -E2BIG : (int)t->len;
}

/* An interval set must not name an address twice. */
static bool is_redundant(const struct nft_rules *r, size_t i)
{
	for (size_t k = 0; k < r->n; k++)
		if (k != i && subnet_covers(&r->nets[k], &r->nets[i]) &&
		    (r->nets[k].prefix_len < r->nets[i].prefix_len || k < i))
			return true;
	return false;
}

static bool has_family(const struct nft_rules *r, enum ip_version version)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->nets[i].addr.version == version)
			return true;
	return false;
}

static void put_set(struct text *t, const struct nft_rules *r,
		    enum ip_version version)
{
	const char *comma = "";

	text_put(t,
		 "\tset near%d {\n\t\ttype %s; flags interval;\n\t\telements = "
		 "{",
		 version, version == IPV4 ? "ipv4_addr" : "ipv6_addr");
	for (size_t i = 0; i < r->n; i++) {
		char net[SUBNET_TEXT_MAX];

		if (r->nets[i].addr.version != version || is_redundant(r, i))
			continue;
		text_put(t, "%s %s", comma, subnet_format(&r->nets[i], net));
		comma = ",";
	}
	text_put(t, " }\n\t}\n");
}

static void put_source_chain(struct text *t, const struct nft_rules *r)
{
	text_put(t, "\tchain source {\n"
		    "\t\ttype filter hook prerouting priority -300;\n");
	text_put(t,
		 has_family(r, IPV4)
			 ? "\t\tiifname \"%s\" ip saddr != @near4 drop\n"
			 : "\t\tiifname \"%s\" meta nfproto ipv4 drop\n",
		 r->name);
	text_put(t,
		 has_family(r, IPV6)
			 ? "\t\tiifname \"%s\" ip6 saddr != @near6 drop\n"
			 : "\t\tiifname \"%s\" meta nfproto ipv6 drop\n",
		 r->name);
	text_put(t, "\t}\n");
}

static void put_pass_chains(struct text *t, const struct nft_rules *r)
{
	const char *established = r->flags & BROKERMSG_FORWARD_INBOUND
					  ? ""
					  : "ct state established,related ";

	text_put(t,
		 "\tchain pass {\n"
		 "\t\ttype filter hook forward priority 0;\n"
		 "\t\tiifname \"%s\" oifname \"%s\" drop\n"
		 "\t\tiifname \"%s\" jump from_near\n"
		 "\t\toifname \"%s\" jump to_near\n"
		 "\t}\n",
		 r->name, r->name, r->name, r->name);
	/* What connection tracking does not know is not translated either:
	 * it would leave with the near end's own address. */
	text_put(t, "\tchain from_near {\n"
		    "\t\tct state invalid drop\n"
		    "\t\ttcp flags & (syn|rst) == syn "
		    "tcp option maxseg size set rt mtu\n"
		    "\t\taccept\n"
		    "\t}\n"
		    "\tchain to_near {\n"
		    "\t\tct state invalid drop\n"
		    "\t\ttcp flags & (syn|rst) == syn "
		    "tcp option maxseg size set rt mtu\n");
	for (int v = IPV4; v <= IPV6; v += IPV6 - IPV4)
		if (has_family(r, (enum ip_version)v))
			text_put(t, "\t\t%s daddr @near%d %saccept\n",
				 v == IPV4 ? "ip" : "ip6", v, established);
	text_put(t, "\t\tdrop\n\t}\n");
}

static void put_nat_chain(struct text *t, const struct nft_rules *r)
{
	text_put(t, "\tchain translate {\n"
		    "\t\ttype nat hook postrouting priority 100;\n");
	for (int v = IPV4; v <= IPV6; v += IPV6 - IPV4)
		if (has_family(r, (enum ip_version)v))
			text_put(t,
				 "\t\tiifname \"%s\" oifname != \"%s\" "
				 "%s saddr @near%d masquerade fully-random\n",
				 r->name, r->name, v == IPV4 ? "ip" : "ip6", v);
	text_put(t, "\t}\n");
}

/* A name that needs no care in a string of nft's. */
static bool is_plain(const char *name)
{
	return name[0] != '\0' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz"
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-@:") ==
		       strlen(name);
}

/* The devices whose settings the last broker has to restore, as a set that
 * nothing refers to. */
static void put_remembered(struct text *t, const struct broker_forward *f,
			   const char *set, uint8_t flag)
{
	const char *before = "\t\telements = {";

	text_put(t, "\tset %s {\n\t\ttype ifname;\n", set);
	for (uint32_t i = 0; f && i < f->n_ifs; i++) {
		if (!(f->ifs[i].flags & flag) || !is_plain(f->ifs[i].name))
			continue;
		text_put(t, "%s \"%s\"", before, f->ifs[i].name);
		before = ",";
	}
	text_put(t, "%s\t}\n", *before == ',' ? " }\n" : "");
}

/* A host that forwards for our sake only is no router for others. */
static void put_guard(struct text *t, const struct nft_rules *r, int version)
{
	text_put(t, "table inet ecssh-guard%d-%s {\n", version, r->name);
	put_remembered(t, r->forward, "forwards",
		       version == IPV4 ? BROKER_IF_FORWARDS_4
				       : BROKER_IF_FORWARDS_6);
	if (version == IPV6)
		put_remembered(t, r->forward, "accepts_ra",
			       BROKER_IF_ACCEPTS_RA);
	text_put(t,
		 "\tchain guard {\n"
		 "\t\ttype filter hook forward priority -1;\n"
		 "\t\tmeta nfproto ipv%d iifname != \"ecssh*\" "
		 "oifname != \"ecssh*\" iifname != \"%s\" oifname != \"%s\" "
		 "drop\n"
		 "\t}\n}\n",
		 version, r->name, r->name);
}

/* "add" makes "delete" succeed where there is nothing. */
static void put_removal(struct text *t, const char *name)
{
	static const char *const kinds[] = {"", "guard4-", "guard6-"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		text_put(t,
			 "add table inet ecssh-%s%s\n"
			 "delete table inet ecssh-%s%s\n",
			 kinds[i], name, kinds[i], name);
}

int nft_build(const struct nft_rules *r, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};

	put_removal(&t, r->name);
	text_put(&t, "table inet ecssh-%s {\n", r->name);
	if (has_family(r, IPV4))
		put_set(&t, r, IPV4);
	if (has_family(r, IPV6))
		put_set(&t, r, IPV6);
	put_source_chain(&t, r);
	put_pass_chains(&t, r);
	if (r->flags & BROKERMSG_FORWARD_NAT)
		put_nat_chain(&t, r);
	text_put(&t, "}\n");
	if (r->guarded & BROKER_FAMILY_4)
		put_guard(&t, r, IPV4);
	if (r->guarded & BROKER_FAMILY_6)
		put_guard(&t, r, IPV6);
	return finish(&t);
}

int nft_build_removal(const char *name, char *out, size_t cap)
{
	struct text t = {.out = out, .cap = cap};

	put_removal(&t, name);
	return finish(&t);
}

/*
 * Running it
 */

static const char *find_nft(void)
{
	static const char *const paths[] = {"/usr/sbin/nft", "/sbin/nft",
					    "/usr/bin/nft"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], X_OK) == 0)
			return paths[i];
	return NULL;
}

static void become_nft(const char *path, pid_t parent, int in, int out,
		       int error)
{
	static const char *const environment[] = {"LC_ALL=C", NULL};
	const char *const argv[] = {path, "-f", "-", NULL};

	/* Or what it makes could come after it was taken back. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
	    dup2(error, STDERR_FILENO) >= 0)
		(void)execve(path, (char *const *)(uintptr_t)argv,
			     (char *const *)(uintptr_t)environment);
	_exit(127);
}

/* A pipe with both ends close-on-exec, and beyond the standard ones. */
static int open_pipe(int ret_ends[2])
{
	return pipe2(ret_ends, O_CLOEXEC) < 0 ? -errno : 0;
}

/* Read what has come into buf, or let it go if there is no room.  Returns false
 * at the end. */
static bool drain(int fd, char *buf, size_t cap, size_t *len)
{
	char scrap[4096];
	bool has_room = *len + 1 < cap;
	ssize_t n = has_room ? read(fd, buf + *len, cap - 1 - *len)
			     : read(fd, scrap, sizeof(scrap));

	if (n > 0 && has_room)
		*len += (size_t)n;
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Write the input and collect both outputs until they end.  Returns 0 or
 * -ETIMEDOUT. */
static int converse(int *in, int out, int error, const char *text, char *said,
		    size_t said_cap, char *complaint, size_t complaint_cap)
{
	mono_us_t until_us = clock_mono_us() + NFT_TIMEOUT_MS * US_PER_MS;
	size_t left = strlen(text), said_len = 0, complaint_len = 0;

	while (out >= 0 || error >= 0) {
		mono_us_t now_us = clock_mono_us();
		struct pollfd p[] = {
			{.fd = out, .events = POLLIN},
			{.fd = error, .events = POLLIN},
			{.fd = *in, .events = POLLOUT},
		};

		if (now_us >= until_us)
			return -ETIMEDOUT;
		(void)poll(p, 3, (int)((until_us - now_us) / US_PER_MS) + 1);
		if (p[0].revents && !drain(out, said, said_cap, &said_len))
			out = -1;
		if (p[1].revents &&
		    !drain(error, complaint, complaint_cap, &complaint_len))
			error = -1;
		if (p[2].revents) {
			ssize_t n = write(*in, text, left);

			if (n > 0) {
				text += n;
				left -= (size_t)n;
			}
			if (left == 0 || (n < 0 && errno != EAGAIN))
				fd_close(in);
		}
	}
	said[said_len] = complaint[complaint_len] = '\0';
	return 0;
}

static int refused(const char *path, char *complaint, struct err *err)
{
	char shown[256];

	complaint[strcspn(complaint, "\n")] = '\0';
	escape_text(complaint, strlen(complaint), shown, sizeof(shown));
	return err_set(err, -EPROTO, "%s refuses our rules: %s", path,
		       shown[0] ? shown : "it says nothing");
}

int nft_run(const char *text, char *out, size_t cap, struct err *err)
{
	const char *path = find_nft();
	char complaint[1024] = "", nothing[1];
	int ends[6] = {-1, -1, -1, -1, -1, -1}, status = -1, r = 0;

	if (!path)
		return err_set(err, -ENOENT,
			       "there is no nft here, which makes the rules of "
			       "forwarding: install the package nftables");
	if (open_pipe(ends) < 0 || open_pipe(ends + 2) < 0 ||
	    open_pipe(ends + 4) < 0 || fd_set_nonblock(ends[1]) < 0) {
		r = err_set(err, -errno, "cannot make pipes to nft: %s",
			    strerror(errno));
		goto out;
	}
	pid_t self = getpid();
	pid_t pid = fork();
	if (pid < 0) {
		r = err_set(err, -errno, "cannot run %s: %s", path,
			    strerror(errno));
		goto out;
	}
	if (pid == 0)
		become_nft(path, self, ends[0], ends[3], ends[5]);
	fd_close(&ends[0]);
	fd_close(&ends[3]);
	fd_close(&ends[5]);
	r = converse(&ends[1], ends[2], ends[4], text, out ? out : nothing,
		     out ? cap : 1, complaint, sizeof(complaint));
	if (r < 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		r = err_set(err, r, "%s does not come to an end", path);
	else if (status != 0)
		r = refused(path, complaint, err);
out:
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		fd_close(&ends[i]);
	return r;
}
