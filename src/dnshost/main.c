/* SPDX-License-Identifier: MIT */
/* ecssh-dns: the process that may change this host's resolver, and no more. */
#include <unistd.h>

#include "broker_process.h"
#include "dnshost.h"
#include "log.h"

int main(void)
{
	log_init("ecssh-dns", LOG_LEVEL_WARN);
	_exit(broker_process(dnshost_run)); /* there is nothing to flush */
}
