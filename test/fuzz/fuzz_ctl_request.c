/* SPDX-License-Identifier: MIT */
/*
 * fuzz_ctl_request: what comes at a control socket.
 *
 * Input: the bytes of a connection.  However they are cut, the answer is the
 * same: as long as there is no line more is waited for, and then never again.
 */
#include <errno.h>
#include <string.h>

#include "ctl_request.h"
#include "err.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	const char *newline = memchr(bytes, '\n', size);
	enum ctl_request request, first = CTL_REQUEST__N;
	int r = -EAGAIN;

	for (size_t len = 0; len <= size && len <= CTL_REQUEST_MAX; len++) {
		request = CTL_REQUEST__N;
		int again = ctl_request_parse(bytes, len, &request);

		assert_always(again == 0 || again == -EAGAIN ||
			      again == -EPROTO);
		assert_always((again == 0) == (request < CTL_REQUEST__N));
		/* Decided once. */
		assert_always(r == -EAGAIN || (again == r && request == first));
		r = again;
		first = request;
	}
	if (newline && newline - bytes < CTL_REQUEST_MAX)
		assert_always(r != -EAGAIN);
	if (r == 0)
		assert_always(!memchr(bytes, '\0', (size_t)(newline - bytes)));
	return 0;
}
