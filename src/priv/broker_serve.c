/* SPDX-License-Identifier: MIT */
/* broker_serve: the broker's socket, and what else may end it. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "broker.h"
#include "fd.h"
#include "fd_msg.h"
#include "log.h"

enum { ALARMS_MAX = 4 };

/* Say why this is the end, though nobody asked. */
static void send_last_words(int sock, int why, const struct err *err)
{
	struct brokermsg_reply reply = {.result = why};

	memcpy(reply.text, err->text, sizeof(reply.text));
	(void)fd_msg_send(sock, &reply, sizeof(reply), FD_MSG_NOTHING);
}

/* Wait for a request.  Returns false if an alarm went off instead. */
static bool await_request(int sock, const struct broker_alarm *alarms, size_t n)
{
	struct pollfd p[1 + ALARMS_MAX] = {{.fd = sock, .events = POLLIN}};
	struct err err;

	assert_always(n <= ALARMS_MAX);
	while (n > 0) {
		for (size_t i = 0; i < n; i++)
			p[1 + i] = (struct pollfd){.fd = *alarms[i].fd,
						   .events = POLLIN};
		if (poll(p, 1 + n, -1) < 0 && errno != EINTR)
			return false;
		for (size_t i = 0; i < n; i++) {
			int r = p[1 + i].revents == 0
					? 0
					: alarms[i].on_input(alarms[i].ctx,
							     &err);
			if (r < 0) {
				send_last_words(sock, r, &err);
				return false;
			}
		}
		if (p[0].revents != 0)
			break;
	}
	return true;
}

void broker_ignore_signals(void)
{
	static const int signals[] = {SIGINT,  SIGTERM, SIGHUP, SIGQUIT,
				      SIGPIPE, SIGTSTP, SIGTTOU};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_IGN);
}

void broker_serve(struct broker *b, int sock, const struct broker_alarm *alarms,
		  size_t n_alarms)
{
	enum broker_verdict verdict = BROKER_GO_ON;
	struct err err;

	while (verdict == BROKER_GO_ON &&
	       await_request(sock, alarms, n_alarms)) {
		_Alignas(uint64_t)
			uint8_t request[sizeof(struct brokermsg_dns_set)];
		struct brokermsg_reply reply;
		int along CLEANUP_FD = -1, fd CLEANUP_FD = -1;
		ssize_t n =
			fd_msg_receive(sock, request, sizeof(request), &along);

		if (n <= 0)
			break;
		verdict = broker_handle(b, request, (size_t)n, along, &reply,
					&fd);
		if (fd_msg_send(sock, &reply, sizeof(reply), fd) < 0)
			break;
	}
	if (broker_undo(b, &err) < 0)
		log_warn("%s, ignoring", err.text);
}
