/* SPDX-License-Identifier: MIT */
/* ssh_log: what "ssh -v" tells about a connection. */
#include "ssh_log.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Copy up to a character of `ends`, or the end. */
static void copy_until(const char *text, const char *ends, char *out)
{
	size_t len = strcspn(text, ends);

	if (len >= SSH_LOG_WORD_MAX)
		len = SSH_LOG_WORD_MAX - 1;
	memcpy(out, text, len);
	out[len] = '\0';
}

/* What follows `part` at the start of the line; NULL if it is not there. */
static const char *after(const char *line, const char *part)
{
	size_t len = strlen(part);

	return strncmp(line, part, len) == 0 ? line + len : NULL;
}

/* Authenticated to gw ([10.9.0.1]:22) using "publickey". */
static void take_method(struct ssh_log *l, const char *line)
{
	static const char using[] = " using \"";
	const char *at = strstr(line, using);

	if (at)
		copy_until(at + strlen(using), "\"", l->method);
}

static void take_debug(struct ssh_log *l, const char *line)
{
	static const char software[] = "remote software version ";
	const char *at;

	if (after(line, "Remote protocol version ") &&
	    (at = strstr(line, software)))
		copy_until(at + strlen(software), "", l->server);
	else if ((at = after(line, "kex: algorithm: ")))
		copy_until(at, " ", l->kex);
	else if ((at = after(line, "kex: server->client cipher: ")))
		copy_until(at, " ", l->cipher_down);
	else if ((at = after(line, "kex: client->server cipher: ")))
		copy_until(at, " ", l->cipher_up);
	else if ((at = after(line, "Authentications that can continue: ")))
		copy_until(at, " ", l->offered);
	else if ((at = after(line, "Authentication succeeded (")))
		copy_until(at, ")", l->method);
}

void ssh_log_take(struct ssh_log *l, const char *line)
{
	const char *debug = after(line, "debug1: ");
	const char *at;

	if (debug && (at = after(debug, "Remote: "))) {
		if (after(at, "Server has rejected tunnel device forwarding"))
			l->rejected_tun = true;
	} else if (debug) {
		take_debug(l, debug);
	} else if (after(line, "OpenSSH_") && l->local[0] == '\0') {
		copy_until(line, ",", l->local);
	} else if (after(line, "Authenticated to ")) {
		take_method(l, line);
	}
}

unsigned ssh_log_version(const char *text)
{
	const char *at = after(text, "OpenSSH_");
	char *end;

	/* "OpenSSH_for_Windows_9.5" */
	if (at && after(at, "for_Windows_"))
		at += strlen("for_Windows_");
	if (!at || *at < '0' || *at > '9')
		return 0;
	unsigned long major = strtoul(at, &end, 10);
	if (*end != '.' || end[1] < '0' || end[1] > '9' || major > 999)
		return 0;
	unsigned long minor = strtoul(end + 1, NULL, 10);
	return minor > 99 ? 0 : (unsigned)(100 * major + minor);
}
