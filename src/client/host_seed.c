/* SPDX-License-Identifier: MIT */
/* host_seed: bytes that are always the same for a tunnel of this host. */
#include "host_seed.h"

#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

enum { MACHINE_ID_MAX = 64, TEXT_MAX = MACHINE_ID_MAX + HOST_NAME_MAX + 256 };

void host_seed(const char *tunnel_name, uint8_t ret_seed[HOST_SEED_LEN])
{
	char id[MACHINE_ID_MAX] = "", name[HOST_NAME_MAX + 1] = "";
	char text[TEXT_MAX];
	FILE *f = fopen("/etc/machine-id", "re");

	if (f && !fgets(id, sizeof(id), f))
		id[0] = '\0';
	if (f)
		(void)fclose(f);
	/* Copies of one machine may share the id, and are mostly renamed. */
	(void)gethostname(name, sizeof(name) - 1);
	int n = snprintf(text, sizeof(text), "%s\n%s\n%u\n%s", id, name,
			 (unsigned)getuid(), tunnel_name);
	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	(void)crypto_generichash(ret_seed, HOST_SEED_LEN, (uint8_t *)text,
				 (size_t)n, NULL, 0);
}
