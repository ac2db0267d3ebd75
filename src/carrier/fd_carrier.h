/* SPDX-License-Identifier: MIT */
/* fd_carrier: frames over a pair of byte streams, such as ssh's stdio. */
#ifndef ECSSH_FD_CARRIER_H
#define ECSSH_FD_CARRIER_H

#include <stddef.h>

#include "carrier.h"
#include "loop.h"

/*
 * Make a carrier that reads frames from rfd and writes them to wfd, both owned
 * from now on (also on failure) and set to O_NONBLOCK; they may be the same.
 * leftover is what has been read from rfd already.  Pipes are enlarged where
 * the system allows it.  Returns NULL with errno set.
 */
struct carrier *fd_carrier_new(struct loop *loop, int rfd, int wfd,
			       const void *leftover, size_t leftover_len);

#endif
