/* SPDX-License-Identifier: MIT */
/*
 * print_dns: what ecssh-dns would do to this host's resolver, as lines for a
 * shell.
 *
 * Which way this host goes is told by what everybody may look at; the process
 * itself asks the bus, and sees what resolvconf makes of what it is told.
 */
#ifndef ECSSH_PRINT_DNS_H
#define ECSSH_PRINT_DNS_H

#include "brokermsg.h"
#include "err.h"

enum print_dns_way {
	PRINT_DNS_RESOLVED,
	PRINT_DNS_RESOLVCONF,
	PRINT_DNS_FILE,	   /* replaced */
	PRINT_DNS_WRITTEN, /* into: something is mounted on it */
	PRINT_DNS_ABSENT,  /* there was no file */
};

/* What was printed, for its inverse. */
struct print_dns {
	enum print_dns_way way;
	char tool[64];	/* the program resolvconf */
	char entry[48]; /* how it calls the tunnel's */
};

/* Returns 0 with the name of the way, or -EOPNOTSUPP with err. */
int print_dns_set(struct print_dns *p, const char *device,
		  const struct brokermsg_dns_set *dns,
		  char ret_way[BROKERMSG_NAME_MAX], struct err *err);

void print_dns_undo(const struct print_dns *p, const char *device);

#endif
