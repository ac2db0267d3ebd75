/* SPDX-License-Identifier: MIT */
/*
 * broker: the process that may configure the network, and its rules.
 *
 * Theory of operation: a side's table of requests (broker_near.c, broker_far.c)
 * is the whole attack surface.  A request that has the right size and comes in
 * the right phase is read (brokermsg_read.h) and reaches its handler, which
 * checks against policy what only the state can tell, records the change
 * (record.h), and asks the kernel.  There is one exception: the device is
 * recorded after it was made, because only then it has an index; until then its
 * descriptor is ours alone, and it disappears with that.
 *
 * Not here: the socket (broker_serve.c), what reaches the kernel
 * (broker_kernel_linux.c), giving up privileges (privdrop.h).
 *
 * Spec: doc/PROTOCOL.broker
 */
#include "broker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker_requests.h"
#include "fd_msg.h"

static_assert(sizeof(((struct err *)0)->text) == BROKERMSG_TEXT_MAX, "");

struct broker *broker_new(const struct broker_ops *ops, void *ctx, int ready,
			  const struct err *why_not)
{
	struct broker *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->ops = b->record.ops = ops;
	b->ctx = b->record.ctx = ctx;
	b->ready = ready;
	if (ready < 0)
		b->why_not = *why_not;
	b->phase = PHASE_START;
	return b;
}

struct broker *broker_free(struct broker *b)
{
	free(b);
	return NULL;
}

int broker_undo(struct broker *b, struct err *err)
{
	return record_undo(&b->record, err);
}

/* Returns 0 if a request may be read, or -errno with err. */
static int check_request(const struct broker *b, uint32_t type, size_t len,
			 int along, struct err *err)
{
	const struct broker_request *q =
		&b->ops->requests[type < BROKERMSG__N ? type : 0];
	/* The other side's is out of order at the beginning and the end. */
	unsigned phases = q->handle ? q->phases : (unsigned)PHASES_ALL;
	const char *crime = NULL;

	if (along == FD_MSG_OTHER || (along >= 0 && type != BROKERMSG_MARK))
		crime = "with a descriptor";
	else if (brokermsg_size(type) == 0)
		crime = "of unknown type";
	else if (len != brokermsg_size(type))
		crime = "of wrong size";
	else if (!(phases & b->phase))
		crime = "out of order";
	if (crime)
		return err_set(err, -EPROTO, "request %u %s (%zu bytes)", type,
			       crime, len);
	if (!q->handle)
		return err_set(err, -EOPNOTSUPP,
			       "the broker of this side does not answer "
			       "request %u",
			       type);
	return 0;
}

enum broker_verdict broker_handle(struct broker *b, const void *request,
				  size_t len, int along,
				  struct brokermsg_reply *ret_reply,
				  int *ret_fd)
{
	struct broker_call call = {
		.reply = ret_reply, .along = along, .fd = -1};
	struct brokermsg_head head = {0};

	memset(ret_reply, 0, sizeof(*ret_reply));
	if (len >= sizeof(head))
		memcpy(&head, request, sizeof(head));
	ret_reply->type = head.type;
	int r = check_request(b, head.type, len, along, &call.err);
	bool is_crime = r == -EPROTO;
	if (r == 0)
		r = brokermsg_read(request, &call.request, &call.err);
	if (r == 0) {
		const struct broker_request *q = &b->ops->requests[head.type];

		r = q->handle(b, &call);
		if (r == 0 && q->next != 0)
			b->phase = (enum broker_phase)q->next;
	}
	if (r < 0)
		memcpy(ret_reply->text, call.err.text, sizeof(ret_reply->text));
	ret_reply->result = r;
	*ret_fd = call.fd;
	/* A broker that said no to HELLO, and one that said goodbye, has
	 * nothing more to say, whatever came of it. */
	if (is_crime || b->phase == PHASE_START || head.type == BROKERMSG_BYE)
		b->phase = PHASE_END;
	return b->phase == PHASE_END ? BROKER_END : BROKER_GO_ON;
}
