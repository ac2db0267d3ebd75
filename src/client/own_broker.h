/* SPDX-License-Identifier: MIT */
/* own_broker: the broker that was installed with this program. */
#ifndef ECSSH_OWN_BROKER_H
#define ECSSH_OWN_BROKER_H

#include "broker_client.h"

/* Find and start it.  Returns as broker_client_start, or -ENOENT with err: it
 * is missing. */
int own_broker_start(struct broker_client **ret_client, enum broker_via via,
		     struct err *err);

#endif
