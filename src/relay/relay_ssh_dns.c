/* SPDX-License-Identifier: MIT */
/*
 * relay_ssh_dns: questions to name servers, asked through channels of ssh.
 *
 * Theory of operation
 *   A datagram to port 53 is asked by TCP of the very server that it was for.
 *   RESOLVE is for the server that the far host itself asks.  Nobody tells us
 *   which that is; the usual ones are tried in turn when it is first needed,
 *   and the one that answered comes first from then on.
 *
 * Ownership: dns_tcp closes every channel it was given; a struct resolve lives
 * until RESOLVED is sent.
 */
#include "relay_ssh_dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mux_link.h"
#include "pkt.h"

enum {
	DNS_PORT = 53,
	WINDOW_BYTES = 256 << 10,
};

/* In a tag: the rest is the id of a RESOLVE, not of an association. */
static const uint64_t tag_resolve = UINT64_C(1) << 32;

/* A byte stream of dns_tcp. */
struct dns_channel {
	struct relay_ssh_dns *dns;   /* borrowed */
	struct dns_tcp_conn *conn;   /* borrowed; whom to tell */
	struct mux_channel *channel; /* owned */
	struct mux_link *mux;	     /* borrowed; the channel's */
	struct list link;	     /* relay_ssh_dns.channels */
	struct endpoint server;
};

/* A RESOLVE under way. */
struct resolve {
	struct list link;
	uint32_t id;
	unsigned n_tried, server; /* index of the one being asked */
	size_t len;
	uint8_t message[];
};

/* ---- byte streams ---- */

/* Its channel is dead, or closed here. */
static void free_channel(struct dns_channel *c)
{
	list_del(&c->link);
	free(c);
}

/* The same, and dns_tcp is told. */
static void end_channel(struct dns_channel *c, enum frame_reason reason)
{
	struct dns_tcp_conn *conn = c->conn;

	free_channel(c);
	dns_tcp_on_closed(conn, reason);
}

static void on_channel_open(struct mux_channel *ch)
{
	struct dns_channel *c = mux_channel_owner(ch);

	dns_tcp_on_open(c->conn);
}

static void on_channel_refused(struct mux_channel *ch, uint32_t reason,
			       const char *text)
{
	struct dns_channel *c = mux_channel_owner(ch);
	struct relay_ssh_dns *d = c->dns;
	enum frame_reason why = relay_refusal_meaning(reason, text);

	relay_refusal_add(d->refusals, &c->server, "", why,
			  loop_now_us(d->tcp.loop));
	end_channel(c, why);
	relay_link_note_failure(d->links);
}

static void on_channel_data(struct mux_channel *ch, const uint8_t *bytes,
			    size_t len)
{
	struct dns_channel *c = mux_channel_owner(ch);

	mux_channel_consume(ch, len);
	dns_tcp_on_data(c->conn, bytes, len);
}

static void on_channel_writable(struct mux_channel *ch)
{
	struct dns_channel *c = mux_channel_owner(ch);

	dns_tcp_on_writable(c->conn);
}

static void on_channel_closed(struct mux_channel *ch)
{
	end_channel(mux_channel_owner(ch), FRAME_REASON_RESET);
}

/* A server that says no more is of no use. */
static void on_channel_eof(struct mux_channel *ch)
{
	mux_channel_close(ch);
	on_channel_closed(ch);
}

static const struct mux_channel_ops channel_ops = {
	.on_open = on_channel_open,
	.on_refused = on_channel_refused,
	.on_data = on_channel_data,
	.on_eof = on_channel_eof,
	.on_writable = on_channel_writable,
	.on_closed = on_channel_closed,
};

/* The reason if the server was refused just now. */
static enum frame_reason known_refusal(const struct relay_ssh_dns *d,
				       const struct endpoint *server)
{
	return relay_refusal_find(d->refusals, server, "",
				  loop_now_us(d->tcp.loop));
}

static int stream_open(void *ctx, struct dns_tcp_conn *conn,
		       const struct endpoint *server, void **ret_stream)
{
	struct relay_ssh_dns *d = ctx;
	char address[ADDR_TEXT_MAX];
	struct mux_channel_open what = {
		.kind = MUX_DIRECT_TCPIP,
		.host = addr_format(&server->addr, address),
		.port = server->port,
		.window_bytes = WINDOW_BYTES,
	};
	struct dns_channel *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->dns = d;
	c->conn = conn;
	c->server = *server;
	c->mux = d->links->current;
	c->channel = relay_link_open(d->links, &what, &channel_ops, c);
	if (!c->channel) {
		int errnum = errno;

		free(c);
		return -errnum;
	}
	list_push(&d->channels, &c->link);
	*ret_stream = c;
	return 0;
}

static size_t stream_send(void *stream, const uint8_t *bytes, size_t len)
{
	struct dns_channel *c = stream;

	return mux_channel_send(c->channel, bytes, len);
}

static void stream_close(void *stream)
{
	struct dns_channel *c = stream;

	mux_channel_close(c->channel);
	free_channel(c);
}

/* ---- RESOLVE ---- */

static struct resolve *resolve_find(const struct relay_ssh_dns *d, uint32_t id)
{
	list_for_each (pos, &d->resolves) {
		struct resolve *r = container_of(pos, struct resolve, link);

		if (r->id == id)
			return r;
	}
	return NULL;
}

static void finish(struct relay_ssh_dns *d, struct resolve *r,
		   enum frame_reason status, const uint8_t *answer, size_t len)
{
	session_send_resolved(d->relay->session, r->id, status, answer, len);
	list_del(&r->link);
	d->n_resolves--;
	free(r);
}

/* Ask the next server that can be asked, or give up because of reason. */
static void ask_next(struct relay_ssh_dns *d, struct resolve *r,
		     enum frame_reason reason)
{
	while (r->n_tried < d->n_servers) {
		r->server = (d->first + r->n_tried++) % d->n_servers;
		struct dns_tcp_query q = {
			.tag = tag_resolve | r->id,
			.server = d->servers[r->server],
			.remote = d->servers[r->server],
			.message = r->message,
			.len = r->len,
			.answer_max = DNS_TCP_ANSWER_MAX,
		};

		enum frame_reason known = known_refusal(d, &q.server);

		if (known != FRAME_REASON_NONE)
			reason = known;
		else if (dns_tcp_ask(&d->tcp, &q) == DROP_NONE)
			return;
	}
	finish(d, r, reason, r->message, 0);
}

void relay_ssh_dns_on_resolve(struct relay_ssh_dns *d, uint32_t id,
			      const uint8_t *query, size_t len)
{
	struct resolve *r = d->n_resolves < RELAY_SSH_DNS_RESOLVES_MAX &&
					    !resolve_find(d, id)
				    ? calloc(1, sizeof(*r) + len)
				    : NULL;

	if (!r) {
		session_send_resolved(d->relay->session, id,
				      FRAME_REASON_NO_RESOURCES, query, 0);
		return;
	}
	r->id = id;
	r->len = len;
	if (len > 0)
		memcpy(r->message, query, len);
	list_push(&d->resolves, &r->link);
	d->n_resolves++;
	ask_next(d, r, FRAME_REASON_OTHER);
}

/* ---- datagrams ---- */

static void answer_dgram(struct relay_ssh_dns *d, uint32_t id,
			 const struct endpoint *remote, const uint8_t *message,
			 size_t len)
{
	struct frame_dgram dgram = {
		.proto = PKT_PROTO_UDP,
		.ttl = 64,
		.remote = *remote,
		.payload = message,
		.payload_len = len,
	};
	struct dgram_queue *q = &d->answers;
	enum drop_reason drop;

	q->id = id;
	drop = session_send_dgram(d->relay->session, q, &dgram);
	if (drop != DROP_NONE)
		session_count_drop(d->relay->session, drop);
}

/* What a host would say whose name server cannot be reached. */
static void fail_dgram(struct relay_ssh_dns *d, uint32_t id,
		       const struct endpoint *remote, size_t len,
		       enum frame_reason reason)
{
	struct frame_dgram dgram = {
		.proto = PKT_PROTO_UDP, .remote = *remote, .payload_len = len};

	if (reason == FRAME_REASON_PROHIBITED)
		relay_prohibit(d->relay, id, &dgram);
	else if (reason == FRAME_REASON_REFUSED)
		relay_send_icmp(d->relay, id, &dgram, ICMP_MEANS_PORT_UNREACH,
				0);
	else if (reason == FRAME_REASON_NET_UNREACH)
		relay_send_icmp(d->relay, id, &dgram, ICMP_MEANS_NET_UNREACH,
				0);
	else if (reason == FRAME_REASON_HOST_UNREACH)
		relay_send_icmp(d->relay, id, &dgram, ICMP_MEANS_HOST_UNREACH,
				0);
}

void relay_ssh_dns_on_dgram(struct relay_ssh_dns *d, uint32_t id,
			    const struct frame_dgram *dgram)
{
	struct dns_tcp_query q = {
		.tag = id,
		.server = dgram->remote,
		.remote = dgram->remote,
		.message = dgram->payload,
		.len = dgram->payload_len,
	};
	enum frame_reason known = known_refusal(d, &q.server);

	if (known != FRAME_REASON_NONE) {
		fail_dgram(d, id, &q.remote, q.len, known);
		return;
	}
	enum drop_reason drop = dns_tcp_ask(&d->tcp, &q);
	if (drop != DROP_NONE)
		session_count_drop(d->relay->session, drop);
}

void relay_ssh_dns_on_assoc_close(struct relay_ssh_dns *d, uint32_t id)
{
	dns_tcp_forget(&d->tcp, id);
}

/* ---- what dns_tcp tells ---- */

static void on_answer(void *ctx, uint64_t tag, const struct endpoint *remote,
		      const uint8_t *message, size_t len)
{
	struct relay_ssh_dns *d = ctx;
	struct resolve *r;

	if (!(tag & tag_resolve)) {
		answer_dgram(d, (uint32_t)tag, remote, message, len);
		return;
	}
	r = resolve_find(d, (uint32_t)tag);
	if (!r)
		return;
	d->first = r->server;
	finish(d, r, FRAME_REASON_NONE, message, len);
}

static void on_failed(void *ctx, uint64_t tag, const struct endpoint *remote,
		      size_t len, enum frame_reason reason)
{
	struct relay_ssh_dns *d = ctx;
	struct resolve *r;

	if (!(tag & tag_resolve)) {
		fail_dgram(d, (uint32_t)tag, remote, len, reason);
		return;
	}
	r = resolve_find(d, (uint32_t)tag);
	if (r)
		ask_next(d, r, reason);
}

static const struct dns_tcp_ops tcp_ops = {
	.open = stream_open,
	.send = stream_send,
	.close = stream_close,
	.on_answer = on_answer,
	.on_failed = on_failed,
};

/* ---- life ---- */

static void add_server(struct relay_ssh_dns *d, const struct ip_addr *addr)
{
	d->servers[d->n_servers++] =
		(struct endpoint){.addr = *addr, .port = DNS_PORT};
}

/* systemd-resolved's, any other of the host's own, its network's. */
static void choose_servers(struct relay_ssh_dns *d,
			   const struct relay_ssh_config *config)
{
	static const uint8_t stub[4] = {127, 0, 0, 53}, own[4] = {127, 0, 0, 1};
	struct ip_addr a;

	if (config->dns_server.addr.version) {
		d->servers[d->n_servers++] = config->dns_server;
		return;
	}
	a = addr_make(IPV4, stub);
	add_server(d, &a);
	a = addr_make(IPV4, own);
	add_server(d, &a);
	if (config->gateway.version)
		add_server(d, &config->gateway);
}

void relay_ssh_dns_init(struct relay_ssh_dns *d, struct relay *relay,
			struct loop *loop, struct relay_links *links,
			struct relay_refusals *refusals,
			const struct relay_ssh_config *config)
{
	*d = (struct relay_ssh_dns){
		.relay = relay, .links = links, .refusals = refusals};
	list_init(&d->resolves);
	list_init(&d->channels);
	dgram_queue_init(&d->answers, 0);
	choose_servers(d, config);
	dns_tcp_init(&d->tcp, loop, &tcp_ops, d);
}

/* dns_tcp may open new ones meanwhile, at the end of the list. */
void relay_ssh_dns_forget(struct relay_ssh_dns *d, const struct mux_link *link)
{
	list_for_each_safe (pos, &d->channels) {
		struct dns_channel *c =
			container_of(pos, struct dns_channel, link);

		if (c->mux != link)
			continue;
		mux_channel_close(c->channel);
		end_channel(c, FRAME_REASON_RESET);
	}
}

void relay_ssh_dns_fini(struct relay_ssh_dns *d)
{
	struct list *link;

	dns_tcp_fini(&d->tcp);
	while ((link = list_pop(&d->resolves)))
		free(container_of(link, struct resolve, link));
	d->n_resolves = 0;
	dgram_queue_fini(&d->answers);
}
