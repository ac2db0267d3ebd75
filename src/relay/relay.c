/* SPDX-License-Identifier: MIT */
/* relay: what all far ends on this side have in common. */
#include <errno.h>
#include <sys/random.h>

#include "relay_internal.h"

int relay_init(struct relay *r, const struct relay_kind *kind,
	       struct loop *loop, struct carrier *carrier,
	       const struct session_ops *session_ops,
	       const struct frame_hello *hello, const struct relay_ops *ops,
	       void *ctx)
{
	struct frame_hello h = *hello;

	*r = (struct relay){.kind = kind, .loop = loop, .ops = ops, .ctx = ctx};
	if (getrandom(h.session_id, sizeof(h.session_id), 0) < 0 ||
	    getrandom(h.resume_token, sizeof(h.resume_token), 0) < 0) {
		int error = errno;

		(void)carrier_free(carrier);
		return -error;
	}
	r->session =
		session_new(loop, SESSION_FAR, carrier, session_ops, r, &h);
	return r->session ? 0 : -ENOMEM;
}

struct relay *relay_free(struct relay *r)
{
	if (!r)
		return NULL;
	r->kind->close(r);
	r->session = session_free(r->session);
	r->kind->free(r);
	return NULL;
}

void relay_on_down(void *ctx, const struct err *why)
{
	struct relay *r = ctx;

	r->kind->close(r);
	if (r->ops->on_down)
		r->ops->on_down(r->ctx, why);
}

void relay_on_up(void *ctx, const struct frame_hello *peer)
{
	(void)ctx;
	(void)peer;
}

void relay_send_icmp(struct relay *r, uint32_t id, const struct frame_dgram *d,
		     enum icmp_meaning meaning, uint32_t mtu_bytes)
{
	struct icmp_error icmp =
		icmp_error_make(d->remote.addr.version, meaning, mtu_bytes);
	struct frame_icmp_error e = {
		.proto = d->proto,
		.type = icmp.type,
		.code = icmp.code,
		.info = icmp.info,
		.remote = d->remote,
		.payload_len = (uint16_t)d->payload_len,
	};

	session_send_icmp_error(r->session, id, &e);
}

void relay_prohibit(struct relay *r, uint32_t id, const struct frame_dgram *d)
{
	session_count_drop(r->session, DROP_POLICY);
	relay_send_icmp(r, id, d, ICMP_MEANS_ADMIN_PROHIBITED, 0);
}

void relay_refuse(struct stream *s, enum frame_reason reason)
{
	struct frame_refused why = {.reason = reason};

	session_refuse(s, &why);
}
