/* SPDX-License-Identifier: MIT */
/* ctl_request: what is asked at a control socket. */
#include "ctl_request.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char *const lines[] = {
	[CTL_REQUEST_STATUS_JSON] = "status json\n",
	[CTL_REQUEST_STATUS_TEXT] = "status text\n",
	[CTL_REQUEST_STATUS_VERBOSE] = "status verbose\n",
	[CTL_REQUEST_STATUS_DROPS] = "status drops\n",
	[CTL_REQUEST_DOWN] = "down\n",
	[CTL_REQUEST_CONFIRM] = "confirm\n",
};
static_assert(sizeof(lines) / sizeof(*lines) == CTL_REQUEST__N,
	      "a line for each");

int ctl_request_parse(const char *bytes, size_t len,
		      enum ctl_request *ret_request)
{
	const char *newline = memchr(bytes, '\n', len);

	if (!newline)
		return len < CTL_REQUEST_MAX ? -EAGAIN : -EPROTO;
	size_t line_len = (size_t)(newline - bytes) + 1;
	for (int i = 0; i < CTL_REQUEST__N; i++) {
		if (strlen(lines[i]) != line_len ||
		    memcmp(lines[i], bytes, line_len) != 0)
			continue;
		*ret_request = (enum ctl_request)i;
		return 0;
	}
	return -EPROTO;
}
