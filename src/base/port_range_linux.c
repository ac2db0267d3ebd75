/* SPDX-License-Identifier: MIT */
/* port_range: see port_range.h. */
#include "port_range.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum {
	SIZE = 512,    /* each keeps its port for a minute after its end */
	PLACES = 8192, /* so far from the kernel's, at most */
	PRIVILEGED_LAST = 1023,
};

int port_range_choose_beside(uint16_t local_first, uint16_t local_last,
			     struct port_range *ret)
{
	uint32_t first = local_first, last = local_last, at;

	if (local_first > PRIVILEGED_LAST + SIZE) {
		first = local_first > PRIVILEGED_LAST + PLACES
				? (uint32_t)local_first - PLACES
				: PRIVILEGED_LAST + 1;
		last = (uint32_t)local_first - 1;
	} else if (UINT16_MAX - local_last >= SIZE) {
		first = (uint32_t)local_last + 1;
		last = UINT16_MAX;
	}
	if (last < first + SIZE - 1)
		return -ERANGE;
	if (getentropy(&at, sizeof(at)) < 0)
		return -errno;
	at = first + at % (last - first + 1 - (SIZE - 1));
	*ret = (struct port_range){(uint16_t)at, (uint16_t)(at + SIZE - 1)};
	return 0;
}

int port_range_choose(struct port_range *ret)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	char line[32];
	unsigned first, last;
	bool is_known = f && fgets(line, sizeof(line), f) &&
			sscanf(line, "%u %u", &first, &last) == 2 &&
			first <= last && last <= UINT16_MAX;

	if (f)
		(void)fclose(f);
	return is_known ? port_range_choose_beside((uint16_t)first,
						   (uint16_t)last, ret)
			: port_range_choose_beside(32768, 60999, ret);
}
