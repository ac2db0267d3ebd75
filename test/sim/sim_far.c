/* SPDX-License-Identifier: MIT */
/* sim_far: a far engine whose "network" is a script. */
#include "sim_far.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "pattern.h"

enum {
	READ_TICK_US = 2000,
	VIOLATION_MAX = 200,
};

static void complain(struct sim_far *far, const char *what, uint64_t at)
{
	if (!far->violation[0])
		(void)snprintf(far->violation, VIOLATION_MAX, "far: %s at %llu",
			       what, (unsigned long long)at);
}

static void check_bytes(struct sim_far_stream *fs, const uint8_t *bytes,
			size_t len)
{
	size_t good = pattern_match(fs->key_up, fs->received, bytes, len);

	if (good < len)
		complain(fs->far, "wrong byte received", fs->received + good);
	fs->received += len;
}

/* ---- sending ---- */

static bool may_send(const struct sim_far_stream *fs)
{
	return !fs->rule.sends_after_eof || fs->has_eof;
}

static void send_pattern(struct sim_far_stream *fs)
{
	struct iovec parts[2];
	uint64_t left = fs->rule.send_total - fs->sent;
	size_t room = stream_tx_room(fs->stream);
	size_t n = left < room ? (size_t)left : room;

	if (n == 0)
		return;
	int n_parts = stream_tx_reserve(fs->stream, n, parts);

	assert_always(n_parts > 0);
	for (int i = 0; i < n_parts; i++) {
		pattern_fill(fs->key_down, fs->sent, parts[i].iov_base,
			     parts[i].iov_len);
		fs->sent += parts[i].iov_len;
	}
	stream_tx_commit(fs->stream, n);
}

static void send_what_is_due(struct sim_far_stream *fs)
{
	const struct sim_rule *rule = &fs->rule;

	if (!fs->stream || fs->stream->state != STREAM_OPEN || !may_send(fs))
		return;
	if (!rule->is_echo && fs->sent < rule->send_total)
		send_pattern(fs);
	bool is_done = rule->is_echo
			       ? fs->has_eof
			       : fs->sent == rule->send_total &&
					 (fs->has_eof || !rule->fin_after_eof);
	if (is_done && !rule->never_fins)
		stream_write_fin(fs->stream);
}

/* ---- receiving ---- */

/* What may be read now. */
static size_t appetite(const struct sim_far_stream *fs)
{
	size_t n = fs->rule.read_bytes_per_s ? (size_t)fs->read_budget
					     : SIZE_MAX / 2;
	size_t room = stream_tx_room(fs->stream);

	if (fs->is_paused)
		return 0;
	return fs->rule.is_echo && room < n ? room : n;
}

static void take(struct sim_far_stream *fs, const uint8_t *bytes, size_t n)
{
	check_bytes(fs, bytes, n);
	if (fs->rule.is_echo && n > 0)
		assert_always(stream_write(fs->stream, bytes, n) == 0);
	if (fs->rule.read_bytes_per_s)
		fs->read_budget -= n;
}

static void maybe_reset(struct sim_far_stream *fs)
{
	if (!fs->rule.reset_after || fs->received < fs->rule.reset_after)
		return;
	stream_reset(fs->stream, FRAME_REASON_RESET);
	fs->stream = NULL;
	fs->is_reset = true;
}

static void read_some(struct sim_far_stream *fs)
{
	struct iovec parts[2];
	struct stream *s = fs->stream;

	if (!s)
		return;
	size_t n = ring_len(&s->rx);
	if (n > appetite(fs))
		n = appetite(fs);
	int n_parts = stream_rx_peek(s, s->rx.start, n, parts);
	for (int i = 0; i < n_parts; i++)
		take(fs, parts[i].iov_base, parts[i].iov_len);
	stream_consume(s, s->rx.start + n);
	if (s->rx_fin && ring_len(&s->rx) == 0 && !fs->has_eof &&
	    !fs->is_paused) {
		fs->has_eof = true;
		stream_consume_fin(s);
	}
	if (fs->stream)
		maybe_reset(fs);
	send_what_is_due(fs);
}

static size_t on_data(struct stream *s, const uint8_t *bytes, size_t len)
{
	struct sim_far_stream *fs = s->owner;
	size_t n = rng_below(fs->far->rng, len + 1);

	if (fs->rule.reset_after)
		return 0; /* resetting is up to read_some */
	if (n > appetite(fs))
		n = appetite(fs);
	take(fs, bytes, n);
	return n;
}

static void on_readable(struct stream *s)
{
	read_some(s->owner);
}

static void on_writable(struct stream *s)
{
	read_some(s->owner);
}

static void on_timer(void *ctx)
{
	struct sim_far_stream *fs = ctx;

	if (!fs->stream)
		return;
	if (!fs->is_accepted && fs->rule.verdict == SIM_REFUSE) {
		session_refuse(fs->stream, &fs->rule.refused);
		fs->stream = NULL;
		return;
	}
	if (!fs->is_accepted) {
		fs->is_accepted = true;
		session_accept(fs->stream);
	}
	if (fs->rule.read_bytes_per_s) {
		uint64_t earned =
			fs->rule.read_bytes_per_s * READ_TICK_US / US_PER_SEC;

		fs->read_budget = earned ? earned : 1;
		timer_arm(fs->far->loop, &fs->timer, READ_TICK_US);
	}
	read_some(fs);
}

/* ---- the session's calls ---- */

static void on_open(void *ctx, struct stream *s, const struct frame_open *open)
{
	static const struct sim_rule closed_port = {
		.verdict = SIM_REFUSE,
		.refused = {.reason = FRAME_REASON_REFUSED}};
	struct sim_far *far = ctx;
	struct sim_far_stream *fs = calloc(1, sizeof(*fs));
	const struct sim_rule *rule = far->rules;

	assert_always(fs != NULL);
	while (rule->port && rule->port != open->dst.port)
		rule++;
	fs->far = far;
	fs->stream = s;
	fs->rule = rule->port ? *rule : closed_port;
	fs->open = *open;
	fs->key_up = pattern_key_up(open->src.port, open->dst.port);
	fs->key_down = pattern_key_down(open->src.port, open->dst.port);
	fs->timer = (struct timer){.on_fire = on_timer, .ctx = fs};
	s->owner = fs;
	list_push(&far->streams, &fs->link);
	far->n_opened++;
	if (fs->rule.verdict != SIM_SILENT)
		timer_arm(far->loop, &fs->timer, fs->rule.delay_us);
}

static void let_go(struct sim_far_stream *fs)
{
	timer_disarm(fs->far->loop, &fs->timer);
	fs->stream = NULL;
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	struct sim_far_stream *fs = s->owner;

	fs->reset_reason = reason;
	fs->is_reset = true;
	let_go(fs);
}

static void on_closed(struct stream *s)
{
	struct sim_far_stream *fs = s->owner;

	fs->is_closed = true;
	let_go(fs);
}

static void on_dgram(void *ctx, uint32_t id, const struct frame_dgram *d)
{
	struct sim_far *far = ctx;

	far->n_dgrams++;
	far->last_dgram = *d;
	if (d->payload_len > 0)
		memcpy(far->last_payload, d->payload, d->payload_len);
	far->last_dgram.payload = far->last_payload;
	far->last_dgram_id = id;
	far->dgrams.id = id;
	if (far->echo_dgrams)
		(void)session_send_dgram(far->session, &far->dgrams, d);
}

static void on_assoc_close(void *ctx, uint32_t id, enum frame_reason reason)
{
	struct sim_far *far = ctx;

	(void)id;
	(void)reason;
	far->n_assoc_closed++;
}

static void on_up(void *ctx, const struct frame_hello *peer)
{
	(void)ctx;
	(void)peer;
}

static void on_down(void *ctx, const struct err *why)
{
	struct sim_far *far = ctx;

	far->is_down = true;
	far->down_why = *why;
	list_for_each (link, &far->streams) {
		struct sim_far_stream *fs =
			container_of(link, struct sim_far_stream, link);

		let_go(fs);
	}
}

static void on_resolve(void *ctx, uint32_t id, const uint8_t *query, size_t len)
{
	struct sim_far *far = ctx;

	session_send_resolved(far->session, id, FRAME_REASON_NONE, query, len);
}

static const struct stream_ops far_stream_ops = {
	.on_data = on_data,
	.on_readable = on_readable,
	.on_writable = on_writable,
	.on_reset = on_reset,
	.on_closed = on_closed,
};

static void on_packet(void *ctx, const struct frame_packet *p)
{
	struct sim_far *far = ctx;

	far->n_packets++;
	far->last_packet = *p;
	memcpy(far->last_packet_ip, p->ip, p->ip_len);
	far->last_packet.ip = far->last_packet_ip;
}

static void on_network(void *ctx, const struct frame_network *n)
{
	struct sim_far *far = ctx;

	far->n_networks++;
	far->network = *n;
}

static const struct session_ops far_ops = {
	.on_up = on_up,
	.on_open = on_open,
	.stream = &far_stream_ops,
	.on_dgram = on_dgram,
	.on_assoc_close = on_assoc_close,
	.on_resolve = on_resolve,
	.on_packet = on_packet,
	.on_network = on_network,
	.on_down = on_down,
};

void sim_far_init(struct sim_far *far, struct loop *loop, struct rng *rng,
		  struct carrier *carrier, const struct sim_rule *rules,
		  const struct frame_hello *hello, char *violation)
{
	*far = (struct sim_far){.loop = loop,
				.rng = rng,
				.violation = violation,
				.rules = rules};
	list_init(&far->streams);
	dgram_queue_init(&far->dgrams, 0);
	dgram_queue_init(&far->packets, 0);
	far->session =
		session_new(loop, SESSION_FAR, carrier, &far_ops, far, hello);
	assert_always(far->session != NULL);
}

void sim_far_fini(struct sim_far *far)
{
	struct list *link;

	dgram_queue_fini(&far->dgrams);
	dgram_queue_fini(&far->packets);
	while ((link = list_pop(&far->streams))) {
		struct sim_far_stream *fs =
			container_of(link, struct sim_far_stream, link);

		timer_disarm(far->loop, &fs->timer);
		free(fs);
	}
	far->session = session_free(far->session);
}

struct sim_far_stream *sim_far_find(struct sim_far *far, uint16_t near_port)
{
	struct sim_far_stream *found = NULL;

	list_for_each (link, &far->streams) {
		struct sim_far_stream *fs =
			container_of(link, struct sim_far_stream, link);

		if (fs->open.src.port == near_port)
			found = fs;
	}
	return found;
}

void sim_far_poke(struct sim_far_stream *fs)
{
	read_some(fs);
}

void sim_far_pause(struct sim_far_stream *fs, bool is_paused)
{
	fs->is_paused = is_paused;
	if (!is_paused)
		read_some(fs);
}

size_t sim_far_ring_bytes(const struct sim_far *far)
{
	size_t bytes = 0;

	list_for_each (link, &far->streams) {
		const struct sim_far_stream *fs =
			container_of(link, struct sim_far_stream, link);

		if (fs->stream)
			bytes += fs->stream->tx.cap + fs->stream->rx.cap;
	}
	return bytes;
}
