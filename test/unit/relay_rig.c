/* SPDX-License-Identifier: MIT */
/* relay_rig: a relay_ssh between a near session and links that the test plays.
 */
#include "relay_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem_carrier.h"

/* ---- mux_link.h ---- */

bool mux_link_is_ready(const struct mux_link *l)
{
	(void)l;
	return true;
}

void mux_link_govern(struct mux_link *l)
{
	l->is_governed = true;
}

uint32_t mux_link_n_failures(const struct mux_link *l)
{
	return l->n_failures;
}

uint32_t mux_link_n_channels(const struct mux_link *l)
{
	return l->n_channels;
}

struct mux_channel *mux_channel_open(struct mux_link *l,
				     const struct mux_channel_open *open,
				     const struct mux_channel_ops *ops,
				     void *owner)
{
	if (l->is_full || l->n_failures >= MUX_LINK_FAILURES_MAX) {
		errno = EMFILE;
		return NULL;
	}
	struct mux_channel *ch = calloc(1, sizeof(*ch));
	assert_always(ch != NULL);
	ch->mux = l;
	ch->ops = ops;
	ch->owner = owner;
	ch->kind = open->kind;
	(void)snprintf(ch->host, sizeof(ch->host), "%s",
		       open->host ? open->host : "");
	ch->port = open->port;
	ch->origin = open->origin;
	ch->window_bytes = open->window_bytes;
	ch->room = SIZE_MAX;
	list_push(&l->channels, &ch->link);
	l->n_channels++;
	l->n_opened++;
	return ch;
}

void *mux_channel_owner(const struct mux_channel *ch)
{
	return ch->owner;
}

static void keep(struct mux_channel *ch, const uint8_t *bytes, size_t len)
{
	ch->sent = realloc(ch->sent, ch->sent_len + len + 1);
	assert_always(ch->sent != NULL);
	memcpy(ch->sent + ch->sent_len, bytes, len);
	ch->sent_len += len;
	if (ch->room != SIZE_MAX)
		ch->room -= len;
}

size_t mux_channel_send(struct mux_channel *ch, const uint8_t *bytes,
			size_t len)
{
	size_t n = len < ch->room ? len : ch->room;

	assert_always(!ch->has_eof);
	keep(ch, bytes, n);
	return n;
}

bool mux_channel_send_packet(struct mux_channel *ch, const uint8_t *ip,
			     size_t len)
{
	if (len > ch->room)
		return false;
	keep(ch, ip, len);
	assert_always(ch->n_packets < 64);
	ch->packet_lens[ch->n_packets++] = len;
	return true;
}

size_t mux_channel_room(const struct mux_channel *ch)
{
	return ch->room;
}

void mux_channel_send_eof(struct mux_channel *ch)
{
	ch->has_eof = true;
}

void mux_channel_consume(struct mux_channel *ch, size_t len)
{
	ch->consumed += len;
}

static void bury(struct mux_channel *ch)
{
	list_del(&ch->link);
	ch->mux->n_channels--;
	free(ch->sent);
	free(ch);
}

void mux_channel_close(struct mux_channel *ch)
{
	bury(ch);
}

/* ---- the server ---- */

struct mux_channel *relay_rig_newest(struct mux_link *l)
{
	assert_always(!list_is_empty(&l->channels));
	return container_of(l->channels.prev, struct mux_channel, link);
}

void relay_rig_confirm(struct relay_rig *rig, struct mux_channel *ch)
{
	ch->ops->on_open(ch);
	relay_rig_settle(rig);
}

void relay_rig_refuse(struct relay_rig *rig, struct mux_channel *ch,
		      uint32_t reason, const char *text)
{
	ch->mux->n_failures++;
	ch->ops->on_refused(ch, reason, text);
	bury(ch);
	relay_rig_settle(rig);
}

void relay_rig_data(struct relay_rig *rig, struct mux_channel *ch,
		    const void *bytes, size_t len)
{
	ch->ops->on_data(ch, bytes, len);
	relay_rig_settle(rig);
}

void relay_rig_eof(struct relay_rig *rig, struct mux_channel *ch)
{
	ch->ops->on_eof(ch);
	relay_rig_settle(rig);
}

void relay_rig_close(struct relay_rig *rig, struct mux_channel *ch)
{
	ch->ops->on_closed(ch);
	bury(ch);
	relay_rig_settle(rig);
}

void relay_rig_room(struct relay_rig *rig, struct mux_channel *ch, size_t room)
{
	ch->room = room;
	ch->ops->on_writable(ch);
	relay_rig_settle(rig);
}

/* ---- the near engine ---- */

static void on_up(void *ctx, const struct frame_hello *peer)
{
	struct relay_rig *rig = ctx;

	rig->hello = *peer;
}

static void on_opened(struct stream *s)
{
	((struct relay_rig *)s->owner)->n.opened++;
}

static void on_refused(struct stream *s, const struct frame_refused *why)
{
	struct relay_rig *rig = s->owner;

	rig->n.refused++;
	rig->reason = why->reason;
}

static void on_readable(struct stream *s)
{
	((struct relay_rig *)s->owner)->n.readable++;
}

static void on_writable(struct stream *s)
{
	(void)s;
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	struct relay_rig *rig = s->owner;

	rig->n.reset++;
	rig->reason = reason;
}

static void on_closed(struct stream *s)
{
	((struct relay_rig *)s->owner)->n.closed++;
}

static void keep_payload(struct relay_rig *rig, const uint8_t *bytes, size_t n)
{
	assert_always(n <= sizeof(rig->payload));
	if (n > 0)
		memcpy(rig->payload, bytes, n);
	rig->payload_len = n;
}

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct relay_rig *rig = ctx;

	rig->n.dgram++;
	rig->id = id;
	rig->dgram = *d;
	keep_payload(rig, d->payload, d->payload_len);
}

static void on_icmp_error(void *ctx, uint32_t id,
			  const struct frame_icmp_error *e)
{
	struct relay_rig *rig = ctx;

	rig->n.icmp++;
	rig->id = id;
	rig->icmp = *e;
}

static void on_resolved(void *ctx, uint32_t id, enum frame_reason status,
			const uint8_t *answer, size_t len)
{
	struct relay_rig *rig = ctx;

	rig->n.resolved++;
	rig->id = id;
	rig->status = status;
	keep_payload(rig, answer, len);
}

static void on_packet(void *ctx, const struct frame_packet *p)
{
	struct relay_rig *rig = ctx;

	rig->n.packets++;
	rig->packet = *p;
	keep_payload(rig, p->ip, p->ip_len);
}

static void on_network_state(void *ctx, const struct frame_network_state *state)
{
	struct relay_rig *rig = ctx;

	rig->n.states++;
	rig->state = *state;
}

static void on_near_down(void *ctx, const struct err *why)
{
	(void)ctx;
	assert_failed(why->text, __FILE__, __LINE__);
}

static const struct stream_ops stream_ops = {
	.on_opened = on_opened,
	.on_refused = on_refused,
	.on_readable = on_readable,
	.on_writable = on_writable,
	.on_reset = on_reset,
	.on_closed = on_closed,
};

static const struct session_ops session_ops = {
	.on_up = on_up,
	.stream = &stream_ops,
	.on_dgram = on_dgram,
	.on_icmp_error = on_icmp_error,
	.on_resolved = on_resolved,
	.on_packet = on_packet,
	.on_network_state = on_network_state,
	.on_down = on_near_down,
};

/* ---- the relay's owner ---- */

static void on_relay_down(void *ctx, const struct err *why)
{
	struct relay_rig *rig = ctx;

	(void)why;
	rig->n.down++;
}

static void on_retired(void *ctx, struct mux_link *link)
{
	struct relay_rig *rig = ctx;

	rig->n.retired++;
	rig->retired = link;
}

static void on_worn(void *ctx)
{
	struct relay_rig *rig = ctx;

	rig->n.worn++;
	if (rig->renews)
		relay_ssh_renew(rig->relay, &rig->links[++rig->n_renewed],
				on_retired);
}

static const struct relay_ops relay_ops = {
	.on_down = on_relay_down,
	.on_worn = on_worn,
};

/* ---- the rig ---- */

void relay_rig_settle(struct relay_rig *rig)
{
	while (loop_poll(rig->loop))
		;
}

void relay_rig_advance(struct relay_rig *rig, uint64_t us)
{
	loop_advance_us(rig->loop, us);
	relay_rig_settle(rig);
}

struct stream *relay_rig_open(struct relay_rig *rig, const char *name,
			      uint16_t port)
{
	struct frame_open open = {.proto = IPPROTO_TCP, .ttl = 64};
	struct stream *s;

	open.dst.port = port;
	if (*name) {
		(void)snprintf(open.name, sizeof(open.name), "%s", name);
	} else {
		(void)addr_parse("10.77.0.2", &open.dst.addr);
		(void)addr_parse("10.9.0.2", &open.src.addr);
		open.src.port = 4000;
	}
	s = session_open(rig->near, rig, &open);
	assert_always(s != NULL);
	relay_rig_settle(rig);
	return s;
}

struct relay_rig *relay_rig_new(const struct relay_ssh_config *config)
{
	struct relay_rig *rig = calloc(1, sizeof(*rig));
	struct relay_ssh_config c = *config;
	bool has_command = !c.is_exec_unwanted;
	struct frame_hello hello = {.software = "near"};
	struct carrier *pair[2];

	assert_always(rig != NULL);
	rig->loop = loop_new(LOOP_TIME_VIRTUAL);
	assert_always(rig->loop && mem_carrier_pair(rig->loop, pair) == 0);
	for (int i = 0; i < 4; i++)
		list_init(&rig->links[i].channels);
	rig->near = session_new(rig->loop, SESSION_NEAR, pair[0], &session_ops,
				rig, &hello);
	c.link = &rig->links[0];
	rig->relay = relay_ssh_new(rig->loop, pair[1], &c, &relay_ops, rig);
	assert_always(rig->near && rig->relay);
	relay_rig_settle(rig);
	assert_always(session_is_up(rig->near));
	assert_always(rig->links[0].is_governed);
	assert_always(rig->links[0].n_channels == has_command);
	return rig;
}

struct relay_rig *relay_rig_free(struct relay_rig *rig)
{
	rig->relay = relay_free(rig->relay);
	for (int i = 0; i < 4; i++)
		assert_always(rig->links[i].n_channels == 0);
	rig->near = session_free(rig->near);
	rig->loop = loop_free(rig->loop);
	free(rig);
	return NULL;
}
