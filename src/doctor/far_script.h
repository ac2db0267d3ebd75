/* SPDX-License-Identifier: MIT */
/* far_script: what the doctor has /bin/sh find out on the gateway. */
#ifndef ECSSH_FAR_SCRIPT_H
#define ECSSH_FAR_SCRIPT_H

/*
 * For boot_script_params.script.  Prints the lines of far_facts.h and ends; an
 * argument "--sudo" has it try sudo whatever groups the account is in.  It
 * leaves nothing behind, also if the connection is lost meanwhile.
 */
extern const char far_script[];

#endif
