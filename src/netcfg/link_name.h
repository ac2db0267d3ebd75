/* SPDX-License-Identifier: MIT */
/* link_name: what a network device is called. */
#ifndef ECSSH_LINK_NAME_H
#define ECSSH_LINK_NAME_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The name of a device now.  Returns false if there is none.  As
 * if_indextoname(3), which makes a Unix socket for it: a sandbox may have none
 * of these.
 */
bool link_name_find(uint32_t ifindex, char ret_name[IF_NAMESIZE]);

#endif
