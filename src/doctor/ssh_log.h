/* SPDX-License-Identifier: MIT */
/*
 * ssh_log: what "ssh -v" tells about a connection.
 *
 * Pure: lines in, words out.  The lines are meant for people and change with
 * the versions of ssh; what is not recognised stays "", which means unknown.  A
 * server's banner comes the same way, so all of this may be a claim of its.
 */
#ifndef ECSSH_SSH_LOG_H
#define ECSSH_SSH_LOG_H

#include <stdbool.h>

enum { SSH_LOG_WORD_MAX = 128 };

struct ssh_log {
	char local[SSH_LOG_WORD_MAX];	/* "OpenSSH_9.2p1 Debian-2" */
	char server[SSH_LOG_WORD_MAX];	/* the same of the server */
	char method[SSH_LOG_WORD_MAX];	/* "publickey" */
	char offered[SSH_LOG_WORD_MAX]; /* methods the server would take */
	char cipher_up[SSH_LOG_WORD_MAX], cipher_down[SSH_LOG_WORD_MAX];
	char kex[SSH_LOG_WORD_MAX];
	bool rejected_tun; /* PermitTunnel is not for us */
};

/* Take one line, escaped, without newline.  Jump hosts log first: the last word
 * counts. */
void ssh_log_take(struct ssh_log *l, const char *line);

/* "OpenSSH_9.2p1 ...": 902.  0 if it is not OpenSSH, or cannot be told. */
unsigned ssh_log_version(const char *text);

#endif
