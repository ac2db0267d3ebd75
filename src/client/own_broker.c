/* SPDX-License-Identifier: MIT */
/* own_broker: see own_broker.h. */
#include "own_broker.h"

#include <limits.h>

#include "beside.h"

int own_broker_start(struct broker_client **ret_client, enum broker_via via,
		     struct err *err)
{
	char path[PATH_MAX];
	struct broker_start how = {.path = path, .via = via};
	int r = beside_find("ecssh-broker", path, err);

	return r < 0 ? r : broker_client_start(ret_client, &how, err);
}
