/* SPDX-License-Identifier: MIT */
/* broker_process: hygiene before anything is believed, then the broker. */
#include "broker_process.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "log.h"

enum {
	EXIT_USAGE = 2,
};

static bool is_our_kind_of_socket(int fd)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		return false;
	len = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       domain == AF_UNIX && type == SOCK_SEQPACKET;
}

int broker_process(void (*run)(int sock))
{
	/* Something at 0, 1 and 2, so that nothing we open gets these numbers,
	 * and nothing beyond. */
	if (fd_open_stdio() < 0 ||
	    (close_range(3, ~0U, 0) < 0 && errno != ENOSYS)) {
		log_err("cannot tidy up descriptors: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (!is_our_kind_of_socket(STDIN_FILENO)) {
		log_err("this program is started by ecssh and speaks to it on "
			"a socket at descriptor 0, which is missing here; run "
			"\"ecssh up\" instead");
		return EXIT_USAGE;
	}
	(void)clearenv();
	run(STDIN_FILENO);
	return EXIT_SUCCESS;
}
