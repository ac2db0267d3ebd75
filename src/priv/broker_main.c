/* SPDX-License-Identifier: MIT */
/* ecssh-broker: the process that may configure the network of the near side. */
#include <unistd.h>

#include "broker.h"
#include "broker_process.h"
#include "log.h"

int main(void)
{
	log_init("ecssh-broker", LOG_LEVEL_WARN);
	_exit(broker_process(broker_run)); /* there is nothing to flush */
}
