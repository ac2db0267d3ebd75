/* SPDX-License-Identifier: MIT */
/* doctor: what works between this host and a server, without changing either.
 */
#ifndef ECSSH_DOCTOR_H
#define ECSSH_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "addr.h"
#include "ssh_cmd.h"
#include "ssh_dest.h"

enum doctor_exit {
	DOCTOR_EXIT_OK = 0, /* the helper works, or better */
	DOCTOR_EXIT_RUNTIME = 1,
	DOCTOR_EXIT_LACKING = 5,
	DOCTOR_EXIT_SSH = 255,
};

/* All borrowed. */
struct doctor_config {
	const char *dest_text; /* as typed */
	struct ssh_dest dest;
	struct ssh_options ssh_options;
	const struct subnet *subnets; /* that are to be routed; may be none */
	size_t n_subnets;
	bool is_json;
	bool try_sudo;	 /* there, whatever the account's groups are */
	bool is_verbose; /* show what ssh -v tells */
	bool is_quiet;	 /* show nothing that ssh says */
};

/* Find out, print the report on standard output.  Returns an exit code; what
 * kept it from reporting has been logged. */
int doctor_run(const struct doctor_config *config);

#endif
