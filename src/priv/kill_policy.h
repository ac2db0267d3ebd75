/* SPDX-License-Identifier: MIT */
/* kill_policy: what the broker lets pass of a request for a kill switch. */
#ifndef ECSSH_KILL_POLICY_H
#define ECSSH_KILL_POLICY_H

#include "broker.h"

/* Check and read a request.  Returns 0, or -EINVAL, -EPERM with err. */
int kill_policy_read(const struct brokermsg_kill_on *m,
		     struct broker_kill *ret_kill, struct err *err);

/* Check the name of a tunnel.  Returns 0, or -EINVAL with err. */
int kill_policy_check_name(const char name[BROKERMSG_TUNNEL_MAX],
			   struct err *err);

#endif
