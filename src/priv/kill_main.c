/* SPDX-License-Identifier: MIT */
/*
 * ecssh-kill: puts kill switches in force and lifts them, for the broker that
 * has started it: one order, one answer.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker_process.h"
#include "kill.h"
#include "log.h"

/* The broker has read the request, but who has it done reads it. */
static int obey(const struct brokermsg_kill_order *order, struct err *err)
{
	struct brokermsg_request request;
	struct kill_place place;
	uint32_t type = order->request.type;

	if (type != BROKERMSG_KILL_ON && type != BROKERMSG_KILL_OFF &&
	    type != BROKERMSG_KILL_LOOK)
		return err_set(err, -EPROTO, "no order has the number %u",
			       type);
	int r = brokermsg_read(&order->request, &request, err);
	if (r < 0)
		return r;
	kill_open(&place, order->asks_uid);
	if (type == BROKERMSG_KILL_ON)
		r = kill_on(&place, &request.kill, err);
	else if (type == BROKERMSG_KILL_OFF)
		r = kill_off(&place, request.kill.name, err);
	else
		r = kill_look(&place, request.kill.name, err);
	kill_close(&place);
	return r;
}

static void run(int sock)
{
	struct brokermsg_kill_order order;
	struct brokermsg_reply reply = {0};
	struct err err = {{0}};

	(void)prctl(PR_SET_NAME, "ecssh-kill", 0, 0, 0);
	if (recv(sock, &order, sizeof(order), MSG_TRUNC) != sizeof(order))
		return;
	reply.type = order.request.type;
	reply.result = obey(&order, &err);
	memcpy(reply.text, err.text, sizeof(reply.text));
	(void)send(sock, &reply, sizeof(reply), MSG_NOSIGNAL);
}

int main(void)
{
	log_init("ecssh-kill", LOG_LEVEL_WARN);
	_exit(broker_process(run)); /* there is nothing to flush */
}
