/* SPDX-License-Identifier: MIT */
/*
 * relay_socks: a far end whose sockets are a SOCKS 5 server's.
 *
 * Theory of operation
 *   Before the session begins the server is tried: each of its addresses in
 *   turn is asked for a UDP association.  That tells whether it is there,
 *   whether it takes user and password, and whether it carries datagrams, which
 *   the greeting has to say; one that does not answer that has no UDP.
 * Afterwards it is asked once more with all messages at once: if it answers
 * that too, nobody has to wait for one reply before the next message from then
 * on.
 *
 *   A stream is a connection to the server.  When the server has replied the
 *   rest is tcp_out's, as if it had connected itself.
 *
 * Ownership: a dial belongs to the relay and borrows its stream, which has it
 * for owner until tcp_out takes over.
 *
 * Spec: RFC 1928, RFC 1929
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "fd.h"
#include "relay_internal.h"
#include "socks_assoc.h"
#include "socks_dial.h"
#include "tcp_out.h"

enum {
	HOST_TEXT_MAX = 300,
	/* No other host has a part in the reply to a request for UDP. */
	PROBE_US = 5 * 1000000,
	/* A server that answers what comes all at once does so soon. */
	PIPELINE_US = 5 * 1000000,
};

struct relay_socks {
	struct relay base;
	struct carrier *carrier; /* owned until the session begins */
	struct socks_proxy proxy;
	char host[HOST_TEXT_MAX]; /* escaped, with the port; for errors */
	struct endpoint addrs[RELAY_SOCKS_ADDRS_MAX];
	size_t n_addrs, n_tried;
	struct socks_dial probe;
	bool is_probing;       /* probe is under way */
	struct timer pipeline; /* how long the second one may take */
	struct loop_task fail; /* posted with down_why */
	struct err down_why;
	struct list dials; /* struct stream_dial */
	struct tcp_out_table tcp;
	struct socks_assoc_table assocs;
};

/* A stream whose connection is being made. */
struct stream_dial {
	struct relay_socks *relay; /* borrowed */
	struct stream *stream;	   /* borrowed */
	struct list link;
	struct socks_dial dial;
};

static struct relay_socks *from_base(struct relay *r)
{
	return container_of(r, struct relay_socks, base);
}

/* ---- streams ---- */

static void free_dial(struct stream_dial *d)
{
	socks_dial_stop(&d->dial);
	list_del(&d->link);
	d->stream->owner = NULL;
	free(d);
}

static void on_dialed(struct socks_dial *dial, const struct socks_result *why)
{
	struct stream_dial *d = container_of(dial, struct stream_dial, dial);
	struct relay_socks *r = d->relay;
	struct stream *s = d->stream;
	enum frame_reason reason = socks_result_reason(why);
	int fd = socks_dial_take(dial);

	free_dial(d);
	if (reason == FRAME_REASON_NONE)
		tcp_out_adopt(&r->tcp, s, r->proxy.at.addr.version, fd);
	else
		relay_refuse(s, reason);
}

/* The near end has lost its patience. */
static void on_dial_reset(struct stream *s, enum frame_reason reason)
{
	(void)reason;
	if (s->owner)
		free_dial(s->owner);
}

/* Until it is accepted nothing else can be told of a stream. */
static const struct stream_ops dial_ops = {
	.on_reset = on_dial_reset,
};

static void on_open(void *ctx, struct stream *s, const struct frame_open *open)
{
	struct relay_socks *r = from_base(ctx);
	struct socks_addr dst = {.at = open->dst};
	struct stream_dial *d;

	if (open->proto != PKT_PROTO_TCP) {
		relay_refuse(s, FRAME_REASON_OTHER);
		return;
	}
	(void)snprintf(dst.name, sizeof(dst.name), "%s", open->name);
	d = calloc(1, sizeof(*d));
	if (!d) {
		relay_refuse(s, FRAME_REASON_NO_RESOURCES);
		return;
	}
	d->relay = r;
	d->stream = s;
	d->dial.on_done = on_dialed;
	int error = socks_dial_start(&d->dial, r->base.loop, &r->proxy,
				     SOCKS_CONNECT, &dst);
	if (error < 0) {
		struct socks_result why = {.end = SOCKS_DIAL_UNREACHED,
					   .errnum = -error};
		free(d);
		relay_refuse(s, socks_result_reason(&why));
		return;
	}
	list_push(&r->dials, &d->link);
	s->owner = d;
	s->ops = &dial_ops;
}

/* ---- datagrams ---- */

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	socks_assoc_on_dgram(&from_base(ctx)->assocs, id, d);
}

static void on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	(void)reason;
	socks_assoc_on_close(&from_base(ctx)->assocs, id);
}

static const struct session_ops session_ops = {
	.on_up = relay_on_up,
	.on_open = on_open,
	.on_dgram = on_dgram,
	.on_assoc_close = on_assoc_close,
	.on_down = relay_on_down,
};

/* ---- life ---- */

static void stop_probe(struct relay_socks *r)
{
	timer_disarm(r->base.loop, &r->pipeline);
	if (r->is_probing)
		socks_dial_stop(&r->probe);
	r->is_probing = false;
}

static void close_all(struct relay *base)
{
	struct relay_socks *r = from_base(base);
	struct list *link;

	stop_probe(r);
	loop_unpost(&r->fail);
	while ((link = list_pop(&r->dials)))
		free_dial(container_of(link, struct stream_dial, link));
	tcp_out_table_fini(&r->tcp);
	socks_assoc_table_fini(&r->assocs);
}

static void free_relay(struct relay *base)
{
	struct relay_socks *r = from_base(base);

	r->carrier = carrier_free(r->carrier);
	explicit_bzero(&r->proxy.auth, sizeof(r->proxy.auth));
	free(r);
}

static const struct relay_kind kind = {
	.close = close_all,
	.free = free_relay,
};

static void on_fail(void *ctx)
{
	struct relay_socks *r = ctx;

	if (r->base.ops->on_down)
		r->base.ops->on_down(r->base.ctx, &r->down_why);
}

/* ---- trying the server ---- */

static void begin_session(struct relay_socks *r, bool has_udp)
{
	struct frame_hello hello = {
		.capabilities = FRAME_CAP_TCP | FRAME_CAP_NAMES |
				FRAME_CAP_IPV4 | FRAME_CAP_IPV6 |
				(has_udp ? FRAME_CAP_UDP : 0),
		.software = "SOCKS proxy",
	};
	struct carrier *carrier = r->carrier;

	r->carrier = NULL;
	r->assocs.has_udp = has_udp;
	int error = relay_init(&r->base, &kind, r->base.loop, carrier,
			       &session_ops, &hello, r->base.ops, r->base.ctx);
	if (error < 0) {
		(void)err_set(&r->down_why, 0,
			      "the session through the SOCKS proxy %s could "
			      "not begin: %s",
			      r->host, strerror(-error));
		loop_post(r->base.loop, &r->fail);
	}
}

static void on_second_probed(struct socks_dial *d,
			     const struct socks_result *why)
{
	struct relay_socks *r = container_of(d, struct relay_socks, probe);
	int fd = socks_dial_take(d);

	fd_close(&fd);
	stop_probe(r);
	r->proxy.may_pipeline = why->end == SOCKS_DIAL_REPLIED;
}

static void on_pipeline_timer(void *ctx)
{
	stop_probe(ctx);
}

/* Ask once more, all at once. */
static void try_pipeline(struct relay_socks *r)
{
	static const struct socks_addr anywhere = {.at.port = 0};

	r->probe.on_done = on_second_probed;
	r->proxy.may_pipeline = true; /* for this one */
	if (socks_dial_start(&r->probe, r->base.loop, &r->proxy,
			     SOCKS_UDP_ASSOCIATE, &anywhere) == 0) {
		r->is_probing = true;
		timer_arm(r->base.loop, &r->pipeline, PIPELINE_US);
	}
	r->proxy.may_pipeline = false;
}

static void give_up(struct relay_socks *r, const struct socks_result *why)
{
	struct err *e = &r->down_why;

	switch (why->end) {
	case SOCKS_DIAL_NO_METHOD:
		(void)err_set(e, 0,
			      r->proxy.has_auth
				      ? "the SOCKS proxy %s accepts neither a "
					"password nor going without one"
				      : "the SOCKS proxy %s wants a user and a "
					"password: give socks5://USER:"
					"PASSWORD@HOST:PORT",
			      r->host);
		break;
	case SOCKS_DIAL_NO_AUTH:
		(void)err_set(e, 0,
			      "the SOCKS proxy %s does not accept this user "
			      "and password",
			      r->host);
		break;
	case SOCKS_DIAL_UNREACHED:
		(void)err_set(e, 0, "the SOCKS proxy %s cannot be reached: %s",
			      r->host, strerror(why->errnum));
		break;
	case SOCKS_DIAL_SILENT:
		(void)err_set(e, 0, "the SOCKS proxy %s does not answer",
			      r->host);
		break;
	case SOCKS_DIAL_REPLIED:
	case SOCKS_DIAL_UNANSWERED:
	case SOCKS_DIAL_BROKEN:
		(void)err_set(e, 0, "what answers at %s is no SOCKS 5 proxy",
			      r->host);
		break;
	}
	loop_post(r->base.loop, &r->fail);
}

static void try_next(struct relay_socks *r);

static void on_probed(struct socks_dial *d, const struct socks_result *why)
{
	struct relay_socks *r = container_of(d, struct relay_socks, probe);
	int fd = socks_dial_take(d);

	fd_close(&fd);
	r->is_probing = false;
	if (why->end == SOCKS_DIAL_REPLIED) {
		begin_session(r, why->reply.outcome == SOCKS_GRANTED);
		if (r->base.session)
			try_pipeline(r);
	} else if (why->end == SOCKS_DIAL_UNANSWERED) {
		/* So do servers that only know CONNECT, as that of ssh -D. */
		begin_session(r, false);
	} else if (r->n_tried < r->n_addrs &&
		   (why->end == SOCKS_DIAL_UNREACHED ||
		    why->end == SOCKS_DIAL_SILENT)) {
		try_next(r);
	} else {
		give_up(r, why);
	}
}

static void try_next(struct relay_socks *r)
{
	static const struct socks_addr anywhere = {.at.port = 0};
	struct socks_result why = {.end = SOCKS_DIAL_UNREACHED};
	int error = 0;

	r->probe.on_done = on_probed;
	r->probe.reply_us = PROBE_US;
	while (r->n_tried < r->n_addrs) {
		r->proxy.at = r->addrs[r->n_tried++];
		error = socks_dial_start(&r->probe, r->base.loop, &r->proxy,
					 SOCKS_UDP_ASSOCIATE, &anywhere);
		if (error == 0) {
			r->is_probing = true;
			return;
		}
	}
	why.errnum = -error;
	give_up(r, &why);
}

static void take_secrets(struct socks_proxy *p,
			 const struct relay_socks_config *config)
{
	if (!config->user)
		return;
	p->has_auth = true;
	p->auth.user_len = (uint8_t)strnlen(config->user, SOCKS_SECRET_MAX);
	memcpy(p->auth.user, config->user, p->auth.user_len);
	if (!config->password)
		return;
	p->auth.password_len =
		(uint8_t)strnlen(config->password, SOCKS_SECRET_MAX);
	memcpy(p->auth.password, config->password, p->auth.password_len);
}

struct relay *relay_socks_new(struct loop *loop, struct carrier *carrier,
			      const struct relay_socks_config *config,
			      const struct relay_ops *ops, void *ctx)
{
	char host[HOST_TEXT_MAX - 10];
	struct relay_socks *r = calloc(1, sizeof(*r));

	if (r)
		r->base = (struct relay){
			.kind = &kind, .loop = loop, .ops = ops, .ctx = ctx};
	if (!r || socks_assoc_table_init(&r->assocs, &r->base, &r->proxy) < 0) {
		(void)carrier_free(carrier);
		free(r);
		return NULL;
	}
	r->carrier = carrier;
	r->proxy.method = SOCKS_METHOD_REFUSED;
	r->fail = (struct loop_task){.on_run = on_fail, .ctx = r};
	r->pipeline = (struct timer){.on_fire = on_pipeline_timer, .ctx = r};
	list_init(&r->fail.link);
	list_init(&r->dials);
	tcp_out_table_init(&r->tcp, loop, 0);
	take_secrets(&r->proxy, config);
	escape_text(config->host, strlen(config->host), host, sizeof(host));
	(void)snprintf(r->host, sizeof(r->host),
		       strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
		       config->port);
	assert_always(config->n_addrs <= RELAY_SOCKS_ADDRS_MAX);
	memcpy(r->addrs, config->addrs, config->n_addrs * sizeof(r->addrs[0]));
	r->n_addrs = config->n_addrs;
	try_next(r);
	return &r->base;
}

const struct ip_addr *relay_socks_server(const struct relay *r)
{
	const struct relay_socks *socks = container_of(
		(struct relay *)(uintptr_t)r, struct relay_socks, base);

	return r->session ? &socks->proxy.at.addr : NULL;
}
