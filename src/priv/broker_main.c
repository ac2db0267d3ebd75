/* SPDX-License-Identifier: MIT */
/* ecssh-broker: hygiene before anything is believed, then the broker. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker.h"
#include "log.h"

enum {
	EXIT_USAGE = 2,
};

/* Have something at 0, 1 and 2, so that nothing we open gets these numbers,
 * and nothing beyond. */
static bool tidy_descriptors(void)
{
	for (;;) {
		int fd = open("/dev/null", O_RDWR);

		if (fd < 0)
			return false;
		if (fd > STDERR_FILENO)
			return close_range(3, ~0U, 0) == 0 || errno == ENOSYS;
	}
}

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

int main(void)
{
	log_init("ecssh-broker", LOG_LEVEL_WARN);
	if (!tidy_descriptors()) {
		log_err("cannot open /dev/null");
		return EXIT_FAILURE;
	}
	if (!is_our_kind_of_socket(STDIN_FILENO)) {
		log_err("this program is started by ecssh and speaks to it on "
			"a socket at descriptor 0, which is missing here; run "
			"\"ecssh up\" instead");
		return EXIT_USAGE;
	}
	(void)clearenv();
	broker_run(STDIN_FILENO);
	_exit(EXIT_SUCCESS); /* there is nothing to flush */
}
