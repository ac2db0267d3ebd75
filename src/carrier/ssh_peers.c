/* SPDX-License-Identifier: MIT */
/*
 * ssh_peers: where the tunnel's own connection goes.
 *
 * Theory of operation
 *   ssh may hold the connection itself, or its child does: the inner ssh of a
 *   ProxyJump, the nc of a ProxyCommand.  So: all descendants; their
 *   sockets, by the links in /proc/PID/fd; and what
 *   /proc/PID/net/tcp and tcp6 say about those.  The tables are ssh's own, for
 *   it may be in another network namespace than we.
 */
#include "ssh_peers.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proc.h"

enum {
	TREE_MAX = 64,	   /* processes, ssh included */
	SOCKETS_MAX = 256, /* of all of them */
	PATH_TEXT_MAX = 64,
};

/* /proc/net/tcp: states in which a connection is or will be. */
enum tcp_state {
	TCP_STATE_ESTABLISHED = 1,
	TCP_STATE_SYN_SENT = 2,
};

struct sockets {
	uint64_t inodes[SOCKETS_MAX];
	size_t n_inodes;
};

static void add_sockets(pid_t pid, struct sockets *s)
{
	char path[PATH_TEXT_MAX + 256], target[64];
	const struct dirent *e;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	if (!dir)
		return; /* gone, or somebody else's */
	while ((e = readdir(dir)) != NULL && s->n_inodes < SOCKETS_MAX) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid,
			       e->d_name);
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		uint64_t inode;
		if (sscanf(target, "socket:[%" SCNu64 "]", &inode) == 1)
			s->inodes[s->n_inodes++] = inode;
	}
	(void)closedir(dir);
}

static bool has_inode(const struct sockets *s, uint64_t inode)
{
	for (size_t i = 0; i < s->n_inodes; i++)
		if (s->inodes[i] == inode)
			return true;
	return false;
}

/*
 * Parse the hexadecimal form of an address: 32-bit words, each printed as a
 * number in the byte order of the machine, so that its bytes in memory are in
 * network order.
 */
static bool parse_hex_addr(const char *hex, struct ip_addr *ret_addr)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	size_t n_words = strlen(hex) / 8;
	uint32_t words[4];

	if ((n_words != 1 && n_words != 4) || strlen(hex) % 8 != 0)
		return false;
	for (size_t i = 0; i < n_words; i++)
		if (sscanf(hex + 8 * i, "%8" SCNx32, &words[i]) != 1)
			return false;
	const uint8_t *bytes = (const uint8_t *)words;
	if (n_words == 1)
		*ret_addr = addr_make(IPV4, bytes);
	else if (memcmp(bytes, mapped, sizeof(mapped)) == 0)
		*ret_addr = addr_make(IPV4, bytes + sizeof(mapped));
	else
		*ret_addr = addr_make(IPV6, bytes);
	return true;
}

/* Parse "0100007F:0016". */
static bool parse_hex_endpoint(char *text, struct endpoint *ret)
{
	char *colon = strchr(text, ':');
	unsigned port;

	if (!colon || sscanf(colon + 1, "%4x", &port) != 1)
		return false;
	*colon = '\0';
	ret->port = (uint16_t)port;
	return parse_hex_addr(text, &ret->addr);
}

/* The list being made. */
struct found {
	struct ssh_peer *peers;
	size_t n, max;
};

/* A line of the tables: sl local:port remote:port st tx:rx tr:when retr uid
 * timeout inode. */
static bool parse_table_line(const char *line, struct ssh_peer *ret_peer,
			     unsigned *ret_state, uint64_t *ret_inode)
{
	char local[38], remote[38];

	return sscanf(line,
		      " %*d: %37[0-9A-F:] %37[0-9A-F:] %x %*x:%*x %*x:%*x "
		      "%*x %*d %*d %" SCNu64,
		      local, remote, ret_state, ret_inode) == 4 &&
	       parse_hex_endpoint(local, &ret_peer->local) &&
	       parse_hex_endpoint(remote, &ret_peer->remote);
}

static void take_table_line(const char *line, const struct sockets *s,
			    struct found *found)
{
	unsigned state;
	uint64_t inode;
	struct ssh_peer peer;

	if (!parse_table_line(line, &peer, &state, &inode) ||
	    (state != TCP_STATE_ESTABLISHED && state != TCP_STATE_SYN_SENT))
		return;
	if (has_inode(s, inode) && !addr_is_loopback(&peer.remote.addr) &&
	    found->n < found->max)
		found->peers[found->n++] = peer;
}

static void scan_table(pid_t pid, const char *table, const struct sockets *s,
		       struct found *found)
{
	char path[PATH_TEXT_MAX], line[512];

	(void)snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid, table);
	FILE *f = fopen(path, "re");
	if (!f)
		return; /* gone, or no IPv6 */
	while (fgets(line, sizeof(line), f))
		take_table_line(line, s, found);
	(void)fclose(f);
}

int ssh_peers_connections(pid_t pid, struct ssh_peer *ret_peers, size_t max)
{
	pid_t tree[TREE_MAX];
	struct sockets sockets = {.n_inodes = 0};
	struct found found = {.peers = ret_peers, .max = max};
	int n = proc_tree(pid, tree, TREE_MAX);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		add_sockets(tree[i], &sockets);
	if (sockets.n_inodes == 0)
		return 0;
	scan_table(pid, "tcp", &sockets, &found);
	scan_table(pid, "tcp6", &sockets, &found);
	return (int)found.n;
}

int ssh_peers_addrs(const struct ssh_peer *peers, size_t n,
		    struct ip_addr *ret_addrs, size_t max)
{
	size_t n_addrs = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < n_addrs &&
		       !addr_equal(&ret_addrs[k], &peers[i].remote.addr))
			k++;
		if (k == n_addrs && k < max)
			ret_addrs[n_addrs++] = peers[i].remote.addr;
	}
	return (int)n_addrs;
}

bool ssh_peers_is_connected(const struct endpoint *local,
			    const struct endpoint *remote)
{
	static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
	bool is_there = false;

	for (size_t i = 0; i < 2; i++) {
		FILE *f = fopen(tables[i], "re");
		struct ssh_peer peer;
		char line[512];
		unsigned state;
		uint64_t inode;

		while (f && !is_there && fgets(line, sizeof(line), f))
			is_there =
				parse_table_line(line, &peer, &state, &inode) &&
				state == TCP_STATE_ESTABLISHED &&
				endpoint_equal(&peer.local, local) &&
				endpoint_equal(&peer.remote, remote);
		if (f)
			(void)fclose(f);
	}
	return is_there;
}
