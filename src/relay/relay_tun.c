/* SPDX-License-Identifier: MIT */
/*
 * relay_tun: the packet plane as a tun channel of ssh.
 *
 * Theory of operation
 *   The server opens a tun device and moves single packets; address, routes and
 *   translation there are its administrator's, or if the account is root
 *   tun_root's.  Up: super-packets are cut, and
 *   each packet is one message.  What the channel has no room for waits, a
 *   little and not for long, as before any narrow link.  Down: what arrives in
 *   one turn of the loop is put together again where it is one TCP
 * connection's, and goes on at the end of the turn.
 *
 *   Of which device it is nobody says if it is left to the server, and then
 * only root gets one; so unless the user names it the first few are tried:
 * those an account may own, or for root those that hardly anybody has made.
 *
 *   A server may close a channel that was idle (ChannelTimeout).  Then it is
 *   opened again, a few times, since the device may be busy for a moment.
 *
 *   When the link has been replaced the channel stays where it is as long as
 *   others do, and then moves.
 */
#include "relay_tun.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "vnet.h"

enum {
	WINDOW_BYTES = 2 << 20,
};

static void open_channel(struct relay_tun *t);

/* ---- what the near end is told ---- */

static void tell(struct relay_tun *t, enum frame_network_status status,
		 const char *text)
{
	struct frame_network_state state = {.status = status};

	if (status == FRAME_NETWORK_UP)
		state.mtu_bytes = RELAY_TUN_MTU_BYTES;
	(void)snprintf(state.text, sizeof(state.text), "%s", text);
	session_send_network_state(t->relay->session, &state);
}

/* The commands that the device needs there.  If a shell of root's was to run
 * them, why it did not: in words that are a comment to a shell. */
static void tell_commands(struct relay_tun *t, const struct tun_setup *setup)
{
	char text[FRAME_TEXT_MAX + 1];
	bool has_reason = t->root.state == TUN_ROOT_FAILED &&
			  (t->is_root || t->root.is_root);
	size_t n = tun_setup_commands(setup, text, sizeof(text));

	/* What of the reason there is no room for can be missed. */
	if (has_reason && n < sizeof(text))
		(void)snprintf(text + n, sizeof(text) - n,
			       "  # to be run there, since we cannot: %s",
			       t->root.why);
	tell(t, FRAME_NETWORK_UP, text);
}

static void tell_up(struct relay_tun *t)
{
	char text[FRAME_TEXT_MAX + 1], dev[TUN_SETUP_NAME_MAX],
		ours[TUN_SETUP_NAME_MAX];
	struct tun_setup setup = {
		.unit = t->unit, .near4 = t->near4, .near6 = t->near6};

	if (t->root.state != TUN_ROOT_READY) {
		tell_commands(t, &setup);
		return;
	}
	tun_setup_device(&t->root.setup, dev);
	tun_setup_our_device(&t->root.setup, ours);
	(void)snprintf(text, sizeof(text),
		       "sshd's device %s, set up by us as root and named %s "
		       "for as long",
		       dev, ours);
	tell(t, FRAME_NETWORK_UP, text);
}

/* An account that is not root's was told at once what is to be done. */
static void on_root_change(void *ctx)
{
	struct relay_tun *t = ctx;

	if (t->state == RELAY_TUN_UP && (t->is_root || t->root.is_root))
		tell_up(t);
}

/* Have the device set up, if that is possible; and say how it stands, for root
 * when it is known. */
static void set_up(struct relay_tun *t)
{
	struct tun_setup setup = {
		.unit = t->unit, .near4 = t->near4, .near6 = t->near6};

	if (!t->may_exec || getrandom(&setup.tag, sizeof(setup.tag), 0) < 0) {
		tell_up(t);
		return;
	}
	if (!t->is_root)
		tell_up(t);
	tun_root_start(&t->root, t->link, &setup);
}

/* A server says hardly more than no, whatever the cause. */
static void tell_refused(struct relay_tun *t, uint32_t reason, const char *why)
{
	const struct tun_setup setup = {.unit = t->asked_unit};
	char text[FRAME_TEXT_MAX + 1], dev[TUN_SETUP_NAME_MAX] = "tunN";

	if (t->asked_unit != MUX_TUN_ANY)
		tun_setup_device(&setup, dev);
	if (reason == MUX_REFUSED_UNKNOWN_TYPE)
		(void)snprintf(text, sizeof(text),
			       "the server knows no tun channels");
	else
		(void)snprintf(
			text, sizeof(text),
			"the server opens no tun device (%.80s): it takes "
			"\"PermitTunnel point-to-point\" in sshd_config, and "
			"root or an unused device of the account's own, %s",
			*why ? why : "no reason given", dev);
	tell(t, t->was_up ? FRAME_NETWORK_LOST : FRAME_NETWORK_LACKING, text);
}

/* ---- down ---- */

static void send_down(struct relay_tun *t, const struct frame_packet *p)
{
	enum drop_reason drop =
		session_send_packet(t->relay->session, &t->queue, p);

	if (drop != DROP_NONE)
		session_count_drop(t->relay->session, drop);
}

static void on_flush(void *ctx)
{
	struct relay_tun *t = ctx;
	struct frame_packet p;

	if (gro_take(&t->gro, &p))
		send_down(t, &p);
}

/* As the helper does with its device: a packet of the server's device */
static void on_channel_data(struct mux_channel *ch, const uint8_t *bytes,
			    size_t len)
{
	struct relay_tun *t = mux_channel_owner(ch);
	struct frame_packet p = {.ip = bytes, .ip_len = len};
	enum drop_reason drop = vnet_check(&p);

	mux_channel_consume(ch, len);
	if (drop != DROP_NONE) {
		session_count_drop(t->relay->session, drop);
		return;
	}
	if (gro_push(&t->gro, bytes, len)) {
		loop_post(t->loop, &t->flush);
		return;
	}
	on_flush(t);
	if (gro_push(&t->gro, bytes, len))
		loop_post(t->loop, &t->flush);
	else
		send_down(t, &p);
}

/* ---- up ---- */

/* What stands before a packet that waits. */
struct head {
	mono_us_t since_us;
	size_t len;
};

static void count(struct relay_tun *t, enum drop_reason drop)
{
	session_count_drop(t->relay->session, drop);
}

static void keep(struct relay_tun *t, size_t len)
{
	struct head h = {.since_us = loop_now_us(t->loop), .len = len};
	struct iovec iov[2];

	if (ring_len(&t->waiting) + sizeof(h) + len > RELAY_TUN_QUEUE_BYTES) {
		count(t, DROP_QUEUE_FULL);
		return;
	}
	if (ring_reserve(&t->waiting, sizeof(h) + len, iov) < 0) {
		count(t, DROP_NO_MEMORY);
		return;
	}
	(void)ring_push(&t->waiting, &h, sizeof(h));
	(void)ring_push(&t->waiting, t->packet, len);
}

static void copy_out(const struct ring *r, uint64_t from, void *out, size_t n)
{
	struct iovec iov[2];
	int parts = ring_peek(r, from, n, iov);

	for (int i = 0; i < parts; i++) {
		memcpy(out, iov[i].iov_base, iov[i].iov_len);
		out = (uint8_t *)out + iov[i].iov_len;
	}
}

/* Send what waits while there is room.  What has waited for long is dropped
 * first: that tells a sender sooner than the end of the queue would. */
static void send_waiting(struct relay_tun *t)
{
	struct ring *r = &t->waiting;

	while (ring_len(r) > 0) {
		struct head h = {0};

		copy_out(r, r->start, &h, sizeof(h));
		if (loop_now_us(t->loop) - h.since_us > RELAY_TUN_QUEUE_US) {
			count(t, DROP_STALE_DATAGRAM);
		} else {
			copy_out(r, r->start + sizeof(h), t->packet, h.len);
			if (!mux_channel_send_packet(t->channel, t->packet,
						     h.len))
				return;
		}
		ring_drop(r, r->start + sizeof(h) + h.len);
	}
}

static void on_channel_writable(struct mux_channel *ch)
{
	send_waiting(mux_channel_owner(ch));
}

/* As the helper does with its device: a packet is handed to the channel */
void relay_tun_on_packet(struct relay_tun *t, const struct frame_packet *p)
{
	struct gso_cut cut;
	size_t len;

	if (t->state != RELAY_TUN_UP) {
		count(t, DROP_NO_CHANNEL);
		return;
	}
	enum drop_reason drop = gso_cut_init(&cut, p);
	if (drop == DROP_NONE && gso_cut_longest(&cut) > MUX_CHANNEL_PACKET_MAX)
		drop = DROP_BAD_LENGTH;
	if (drop != DROP_NONE) {
		count(t, drop);
		return;
	}
	/* They may have become too old, and nobody said that there is room. */
	send_waiting(t);
	while ((len = gso_cut_next(&cut, t->packet)))
		if (ring_len(&t->waiting) > 0 ||
		    !mux_channel_send_packet(t->channel, t->packet, len))
			keep(t, len);
}

/* ---- the channel ---- */

static void wait_for_retry(struct relay_tun *t)
{
	t->state = RELAY_TUN_WAITING;
	timer_arm(t->loop, &t->retry, RELAY_TUN_RETRY_US);
}

static void on_channel_open(struct mux_channel *ch)
{
	struct relay_tun *t = mux_channel_owner(ch);

	t->state = RELAY_TUN_UP;
	ring_drop(&t->waiting, t->waiting.end);
	t->was_up = true;
	t->up_us = loop_now_us(t->loop);
	set_up(t);
}

/*
 * "Any" would do for root only, and which it was the server never says: so
 * numbers are tried.  Returns false after the last.
 */
static bool next_unit(struct relay_tun *t)
{
	if (t->asked_unit != MUX_TUN_ANY ||
	    t->unit + 1 == t->first_unit + RELAY_TUN_UNITS)
		return false;
	t->unit++;
	return true;
}

static void on_channel_refused(struct mux_channel *ch, uint32_t reason,
			       const char *text)
{
	struct relay_tun *t = mux_channel_owner(ch);

	t->channel = NULL;
	relay_link_note_failure(t->links);
	/* A server that knows none of them, or of which one was ours. */
	if (reason != MUX_REFUSED_UNKNOWN_TYPE && !t->was_up && next_unit(t)) {
		open_channel(t);
		return;
	}
	if (--t->tries > 0) {
		wait_for_retry(t);
		return;
	}
	t->state = RELAY_TUN_OFF;
	tell_refused(t, reason, text);
}

static void on_channel_closed(struct mux_channel *ch)
{
	struct relay_tun *t = mux_channel_owner(ch);
	bool was_stable =
		t->state == RELAY_TUN_UP &&
		loop_now_us(t->loop) - t->up_us >= RELAY_TUN_STABLE_US;

	t->channel = NULL;
	tun_root_stop(&t->root);
	if (!was_stable) {
		t->state = RELAY_TUN_OFF;
		tell(t, FRAME_NETWORK_LOST,
		     "the server has closed the tun channel soon after it was "
		     "opened");
		return;
	}
	tell(t, FRAME_NETWORK_LOST,
	     "the server has closed the tun channel (a ChannelTimeout in its "
	     "sshd_config?); it is asked for another one");
	t->tries = RELAY_TUN_TRIES;
	wait_for_retry(t);
}

/* Packets have no end: a server that says so is about to close. */
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

static void open_channel(struct relay_tun *t)
{
	struct mux_channel_open what = {
		.kind = MUX_TUN,
		.port = t->unit,
		.window_bytes = WINDOW_BYTES,
	};

	t->link = t->links->current;
	t->channel = relay_link_open(t->links, &what, &channel_ops, t);
	t->state = t->channel ? RELAY_TUN_OPENING : RELAY_TUN_OFF;
	if (!t->channel) {
		session_count_drop(t->relay->session, DROP_NO_CHANNEL);
		tell(t, t->was_up ? FRAME_NETWORK_LOST : FRAME_NETWORK_LACKING,
		     errno == EMFILE ? "ssh has no room for another channel"
				     : "ssh opens no channel now");
	}
}

static void on_retry(void *ctx)
{
	open_channel(ctx);
}

void relay_tun_leave_old(struct relay_tun *t)
{
	uint32_t n_ours = t->root.channel ? 2 : 1;

	if (t->state == RELAY_TUN_UP && t->link != t->links->current &&
	    mux_link_n_channels(t->link) <= n_ours)
		relay_tun_forget(t, t->link);
}

void relay_tun_forget(struct relay_tun *t, const struct mux_link *link)
{
	if (!t->channel || t->link != link)
		return;
	tun_root_stop(&t->root);
	mux_channel_close(t->channel);
	t->channel = NULL;
	t->tries = RELAY_TUN_TRIES;
	/* The server needs a moment to let go of the device. */
	wait_for_retry(t);
}

void relay_tun_on_network(struct relay_tun *t, const struct frame_network *n)
{
	t->near4 = n->near4;
	t->near6 = n->near6;
	if (t->state == RELAY_TUN_UP && !tun_root_is_busy(&t->root))
		tell_up(t);
	if (t->state != RELAY_TUN_OFF)
		return;
	if (!t->is_wanted) {
		tell(t, FRAME_NETWORK_LACKING,
		     "no tun device of the server's is to be used");
		return;
	}
	t->tries = 1;
	t->unit = t->asked_unit == MUX_TUN_ANY ? t->first_unit : t->asked_unit;
	open_channel(t);
}

/* ---- life ---- */

void relay_tun_init(struct relay_tun *t, struct relay *relay, struct loop *loop,
		    struct relay_links *links,
		    const struct relay_ssh_config *config)
{
	t->relay = relay;
	t->loop = loop;
	t->links = links;
	t->is_wanted = config->has_tun;
	t->asked_unit = config->tun_unit;
	t->unit = config->tun_unit;
	t->is_root = config->is_root;
	t->may_exec = config->may_exec;
	tun_root_init(&t->root, loop, on_root_change, t);
	t->first_unit = config->is_root ? RELAY_TUN_ROOTS_UNIT : 0;
	t->retry = (struct timer){.on_fire = on_retry, .ctx = t};
	t->flush = (struct loop_task){.on_run = on_flush, .ctx = t};
	list_init(&t->flush.link);
	dgram_queue_init(&t->queue, 0);
	gro_init(&t->gro);
}

void relay_tun_fini(struct relay_tun *t)
{
	timer_disarm(t->loop, &t->retry);
	loop_unpost(&t->flush);
	tun_root_stop(&t->root);
	if (t->channel)
		mux_channel_close(t->channel);
	t->channel = NULL;
	t->state = RELAY_TUN_OFF;
	ring_fini(&t->waiting);
	t->waiting = (struct ring){0};
	dgram_queue_fini(&t->queue);
}
