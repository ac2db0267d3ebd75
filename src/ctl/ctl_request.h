/* SPDX-License-Identifier: MIT */
/* ctl_request: what is asked at a control socket. */
#ifndef ECSSH_CTL_REQUEST_H
#define ECSSH_CTL_REQUEST_H

#include <stddef.h>

enum { CTL_REQUEST_MAX = 64 }; /* bytes, with the newline */

enum ctl_request {
	CTL_REQUEST_STATUS_JSON,
	CTL_REQUEST_STATUS_TEXT,
	CTL_REQUEST_STATUS_VERBOSE,
	CTL_REQUEST_STATUS_DROPS,
	CTL_REQUEST_DOWN,
	CTL_REQUEST_CONFIRM,
	CTL_REQUEST__N,
};

/*
 * Find the request in the first len bytes that have come.  What follows its
 * newline is ignored.  Returns 0; -EAGAIN: there is no whole line yet, and more
 * may come; -EPROTO: that is none.  Spec: doc/PROTOCOL.ctl
 */
int ctl_request_parse(const char *bytes, size_t len,
		      enum ctl_request *ret_request);

#endif
