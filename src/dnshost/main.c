/* SPDX-License-Identifier: MIT */
/* ecssh-dns: the process that may change this host's resolver, and no more. */
#include <sys/prctl.h>
#include <unistd.h>

#include "broker_process.h"
#include "dnshost.h"
#include "log.h"

int main(void)
{
	/* It is started by a descriptor, which has no name. */
	(void)prctl(PR_SET_NAME, "ecssh-dns", 0, 0, 0);
	log_init("ecssh-dns", LOG_LEVEL_WARN);
	_exit(broker_process(dnshost_run)); /* there is nothing to flush */
}
