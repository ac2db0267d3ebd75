/* SPDX-License-Identifier: MIT */
/* far_checks: what the facts of the gateway mean.  Pure. */
#ifndef ECSSH_FAR_CHECKS_H
#define ECSSH_FAR_CHECKS_H

#include <stdint.h>

#include "far_facts.h"
#include "helper_file.h"
#include "report.h"
#include "ssh_log.h"

/* What became of a channel that was tried. */
enum far_probe {
	FAR_PROBE_UNKNOWN,    /* no answer, or none that tells */
	FAR_PROBE_OPENED,     /* or refused by what it leads to */
	FAR_PROBE_PROHIBITED, /* the server does not do it for us */
	FAR_PROBE_FAILED,     /* it would, but cannot */
	FAR_PROBE_NOT_TRIED,
};

struct far_probes {
	enum far_probe exec, forwarding, streamlocal, tunnel;
	char exec_text[FAR_FACTS_TEXT_MAX]; /* the server's, escaped */
};

/* Versions and ciphers of the connection. */
void far_checks_connection(struct report *r, const struct ssh_log *log);

/* What the account can run and do there.  helper: ours, NULL: none here. */
void far_checks_account(struct report *r, const struct far_facts *f,
			const struct far_probes *probes,
			const struct helper_file *helper);

/* What the server opens. */
void far_checks_channels(struct report *r, const struct far_facts *f,
			 const struct far_probes *probes);

/*
 * What a refused tun channel means: sshd gives one reason for all, but logs
 * whether it was PermitTunnel; and a device of the account's own needs no
 * trying.
 */
enum far_probe far_checks_tunnel(enum far_probe tried,
				 const struct far_facts *f,
				 const struct ssh_log *log);

/* True if a helper runs there already, or can be stored and will run. */
bool far_checks_has_helper(const struct far_facts *f,
			   const struct helper_file *helper);

#endif
