/* SPDX-License-Identifier: MIT */
/*
 * port_range: TCP ports of this host that connections of ours alone begin at,
 * so that they can be told from all others before they exist.
 */
#ifndef ECSSH_PORT_RANGE_H
#define ECSSH_PORT_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/* Both belong to it; zeros: no range, that is any port. */
struct port_range {
	uint16_t first;
	uint16_t last;
};

static inline bool port_range_equal(const struct port_range *a,
				    const struct port_range *b)
{
	return a->first == b->first && a->last == b->last;
}

static inline bool port_range_is_sound(const struct port_range *r)
{
	return r->first == 0 ? r->last == 0 : r->first <= r->last;
}

/*
 * Choose 512 ports in a row, somewhere at random, which are none of those that
 * the kernel gives to who does not care (ip_local_port_range), as far as that
 * leaves room.  Returns 0 or -errno: -ERANGE: there are not so many; or there
 * is no randomness.
 */
int port_range_choose(struct port_range *ret);

/* The same, with that setting given. */
int port_range_choose_beside(uint16_t local_first, uint16_t local_last,
			     struct port_range *ret);

#endif
