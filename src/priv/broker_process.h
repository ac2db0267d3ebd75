/* SPDX-License-Identifier: MIT */
/* broker_process: hygiene before anything is believed, then the broker. */
#ifndef ECSSH_BROKER_PROCESS_H
#define ECSSH_BROKER_PROCESS_H

/*
 * Be a broker from now on: tidy descriptors and environment, check that
 * descriptor 0 is an engine's socket, run.  Returns the exit status, for
 * _exit(2).
 */
int broker_process(void (*run)(int sock));

#endif
