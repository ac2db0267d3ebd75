/* SPDX-License-Identifier: MIT */
/* host_seed: bytes that are always the same for a tunnel of this host. */
#ifndef ECSSH_HOST_SEED_H
#define ECSSH_HOST_SEED_H

#include <stdint.h>

enum { HOST_SEED_LEN = 16 };

/*
 * Bytes that depend on this host (its machine id and name), on the user and on
 * the name of the tunnel, and tell nobody what these are.
 */
void host_seed(const char *tunnel_name, uint8_t ret_seed[HOST_SEED_LEN]);

#endif
