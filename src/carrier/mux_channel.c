/* SPDX-License-Identifier: MIT */
/*
 * mux_channel: one channel of a mux_link, from OPEN to both CLOSEs.
 *
 * A channel stays in the link's table until the server has answered OPEN, and
 * CLOSE if it was open: ssh and the server still know its number, whether or
 * not its owner wants it (is_detached).  Nothing is sent behind our CLOSE.
 *
 * Spec: doc/PROTOCOL.mux sections 3 and 4; RFC 4254 section 5
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "mux_internal.h"

enum {
	PACKET_MAX = 32 << 10,	   /* that we announce */
	OPEN_TEXT_MAX = 128 << 10, /* of a name, path or command */
	REFUSAL_TEXT_MAX = 256,
};

void *mux_channel_owner(const struct mux_channel *ch)
{
	return ch->owner;
}

static bool is_dead(const struct mux_channel *ch)
{
	return ch->is_gone || ch->is_detached ||
	       ch->link->state >= MUX_LINK_FAILED;
}

static void put(struct mux_channel *ch, const uint8_t *msg, size_t len)
{
	mux_link_put(ch->link, msg, len);
}

void mux_channel_consume(struct mux_channel *ch, size_t len)
{
	if (is_dead(ch))
		return;
	assert_always(len <= ch->held);
	ch->held -= (uint32_t)len;
	mux_window_grant(ch);
}

/* ---- opening ---- */

static size_t build_open(uint8_t *out, size_t cap, const struct mux_msg_end *us,
			 const struct mux_channel_open *o)
{
	char origin[ADDR_TEXT_MAX] = "127.0.0.1";

	switch (o->kind) {
	case MUX_DIRECT_TCPIP:
		if (o->origin.addr.version != 0)
			(void)addr_format(&o->origin.addr, origin);
		return mux_msg_build_open_tcpip(out, cap, us, o->host, o->port,
						origin, o->origin.port);
	case MUX_DIRECT_STREAMLOCAL:
		return mux_msg_build_open_streamlocal(out, cap, us, o->host);
	case MUX_TUN:
		return mux_msg_build_open_tun(out, us, o->port);
	case MUX_EXEC:
		return mux_msg_build_open_session(out, us);
	}
	return 0;
}

static int send_open(struct mux_channel *ch, const struct mux_channel_open *o)
{
	size_t text_len = o->kind == MUX_TUN ? 0 : strlen(o->host);
	size_t cap = 4 * (size_t)MUX_MSG_FIXED_MAX + text_len;
	struct mux_msg_end us = {ch->id, ch->rx_window, PACKET_MAX};

	if (text_len > OPEN_TEXT_MAX)
		return -ENAMETOOLONG;
	uint8_t *msg = malloc(cap);
	size_t len = msg ? build_open(msg, cap, &us, o) : 0;
	if (len > 0)
		put(ch, msg, len);
	free(msg);
	return len > 0 ? 0 : -ENOMEM;
}

static int add_to_link(struct mux_channel *ch)
{
	struct mux_link *l = ch->link;

	do
		ch->id = ++l->last_id;
	while (htab_find(&l->channels, htab_hash_u32(ch->id)));
	ch->node.hash = htab_hash_u32(ch->id);
	if (htab_add(&l->channels, &ch->node) < 0)
		return -ENOMEM;
	l->n_channels++;
	return 0;
}

static struct mux_channel *new_channel(struct mux_link *l,
				       const struct mux_channel_open *o)
{
	struct mux_channel *ch = calloc(1, sizeof(*ch));

	if (!ch)
		return NULL;
	ch->link = l;
	ch->kind = o->kind;
	ch->rx_asked = o->window_bytes;
	if (ch->rx_asked > MUX_CHANNEL_WINDOW_MAX_BYTES)
		ch->rx_asked = MUX_CHANNEL_WINDOW_MAX_BYTES;
	if (ch->rx_asked < MUX_WINDOW_MIN_BYTES)
		ch->rx_asked = MUX_WINDOW_MIN_BYTES;
	ch->epoch_us = loop_now_us(l->loop);
	sched_flow_init(&ch->waiting, SCHED_STREAM);
	sched_flow_init(&ch->granting, SCHED_STREAM);
	list_init(&ch->bulk);
	list_init(&ch->gone);
	if (o->kind == MUX_EXEC) {
		ch->command = strdup(o->host);
		if (!ch->command) {
			free(ch);
			return NULL;
		}
	}
	return ch;
}

struct mux_channel *mux_channel_open(struct mux_link *l,
				     const struct mux_channel_open *o,
				     const struct mux_channel_ops *ops,
				     void *owner)
{
	int r;

	if (l->state != MUX_LINK_READY) {
		errno = EAGAIN;
		return NULL;
	}
	if (l->n_failures >= MUX_LINK_FAILURES_MAX ||
	    l->n_channels >= MUX_LINK_CHANNELS_MAX) {
		errno = EMFILE;
		return NULL;
	}
	struct mux_channel *ch = new_channel(l, o);
	if (!ch || add_to_link(ch) < 0) {
		r = -ENOMEM;
		goto fail;
	}
	ch->ops = ops;
	ch->owner = owner;
	mux_window_begin(ch);
	r = send_open(ch, o);
	if (r == 0)
		return ch;
	mux_channel_bury(ch);
	errno = -r;
	return NULL;
fail:
	if (ch)
		mux_channel_free(ch);
	errno = -r;
	return NULL;
}

void mux_channel_bury(struct mux_channel *ch)
{
	struct mux_link *l = ch->link;

	htab_del(&l->channels, &ch->node);
	l->n_channels--;
	mux_window_end(ch);
	mux_link_forget_channel(l, ch);
	ch->is_gone = true;
	list_push(&l->gone, &ch->gone);
	mux_link_post(l);
}

void mux_channel_free(struct mux_channel *ch)
{
	free(ch->command);
	free(ch);
}

/* ---- sending ---- */

static bool may_send(const struct mux_channel *ch)
{
	return !is_dead(ch) && ch->is_open && !ch->eof_sent && !ch->close_sent;
}

size_t mux_channel_room(const struct mux_channel *ch)
{
	struct mux_link *l = ch->link;
	size_t room;

	if (!may_send(ch))
		return 0;
	if (l->served == ch)
		room = l->turn_left;
	else if (l->served || mux_link_has_waiting(l))
		return 0; /* it is the turn of others */
	else
		room = mux_link_room(l);
	return room < ch->tx_window ? room : ch->tx_window;
}

/* It will be told of room, by the link or when its window opens. */
static void wait_for_room(struct mux_channel *ch)
{
	ch->wants_room = true;
	if (ch->tx_window > 0)
		mux_link_wait(ch->link, ch);
}

/* n bytes, with n_more that only the server's window counts. */
static void count_sent(struct mux_channel *ch, size_t n, size_t n_more)
{
	struct mux_link *l = ch->link;

	ch->tx_window -= (uint32_t)(n + n_more);
	if (l->served == ch)
		l->turn_left -= n < l->turn_left ? n : l->turn_left;
	mux_link_count_sent(l, ch, n + n_more);
}

size_t mux_channel_send(struct mux_channel *ch, const uint8_t *bytes,
			size_t len)
{
	size_t room = mux_channel_room(ch), n = len < room ? len : room;
	size_t most = mux_link_frame_bytes(ch->link);
	uint8_t head[MUX_MSG_FIXED_MAX];

	if (most > ch->chunk_max)
		most = ch->chunk_max;
	for (size_t done = 0; done < n;) {
		size_t part = n - done < most ? n - done : most;

		mux_link_put_data(ch->link, head,
				  mux_msg_build_data(head, ch->remote_id, part),
				  bytes + done, part);
		done += part;
	}
	if (n > 0)
		count_sent(ch, n, 0);
	if (n < len && may_send(ch))
		wait_for_room(ch);
	return n;
}

/* While its window is too small for it, the link's room is of no use. */
static void wait_for_packet_room(struct mux_channel *ch, size_t n)
{
	if (!may_send(ch))
		return;
	if (ch->tx_window >= n)
		wait_for_room(ch);
	else
		ch->wants_room = true;
}

bool mux_channel_send_packet(struct mux_channel *ch, const uint8_t *ip,
			     size_t len)
{
	size_t string_len = len + MUX_MSG_TUN_OVERHEAD;
	size_t counted = string_len + 4; /* the server counts its length, too */
	uint8_t head[MUX_MSG_FIXED_MAX];

	if (len == 0 || len > MUX_CHANNEL_PACKET_MAX ||
	    string_len > ch->chunk_max)
		return false;
	/* It may exceed the turn, as every turn has one packet at least. */
	if (mux_channel_room(ch) == 0 || ch->tx_window < counted) {
		wait_for_packet_room(ch, counted);
		return false;
	}
	mux_link_put_data(
		ch->link, head,
		mux_msg_build_tun(head, ch->remote_id, ip[0] >> 4, len), ip,
		len);
	count_sent(ch, string_len, counted - string_len);
	return true;
}

void mux_channel_send_eof(struct mux_channel *ch)
{
	uint8_t msg[MUX_MSG_FIXED_MAX];

	if (!may_send(ch))
		return;
	ch->eof_sent = true;
	sched_remove(&ch->waiting);
	put(ch, msg, mux_msg_build_eof(msg, ch->remote_id));
}

static void send_close(struct mux_channel *ch)
{
	uint8_t msg[MUX_MSG_FIXED_MAX];

	if (ch->close_sent)
		return;
	ch->close_sent = true;
	mux_window_stop(ch);
	sched_remove(&ch->waiting);
	put(ch, msg, mux_msg_build_close(msg, ch->remote_id));
}

void mux_channel_close(struct mux_channel *ch)
{
	if (is_dead(ch)) {
		ch->is_detached = true;
		return;
	}
	ch->is_detached = true;
	if (ch->is_confirmed)
		send_close(ch);
}

void mux_channel_serve(struct mux_channel *ch)
{
	ch->wants_room = false;
	if (may_send(ch) && ch->ops->on_writable)
		ch->ops->on_writable(ch);
}

/* ---- receiving ---- */

/* A text of the server's for people. */
static void tell_refused(struct mux_channel *ch, uint32_t reason,
			 const uint8_t *text, size_t len)
{
	char shown[REFUSAL_TEXT_MAX];

	(void)escape_text((const char *)text, len, shown, sizeof(shown));
	if (!ch->is_detached && ch->ops->on_refused)
		ch->ops->on_refused(ch, reason, shown);
}

static void tell_open(struct mux_channel *ch)
{
	ch->is_open = true;
	if (!ch->is_detached && ch->ops->on_open)
		ch->ops->on_open(ch);
}

static void send_exec(struct mux_channel *ch)
{
	size_t cap = MUX_MSG_FIXED_MAX + strlen(ch->command);
	uint8_t *msg = malloc(cap);

	if (msg)
		put(ch, msg,
		    mux_msg_build_exec(msg, cap, ch->remote_id, ch->command));
	else
		mux_link_fail(ch->link,
			      "not enough memory for a remote command");
	free(msg);
	free(ch->command);
	ch->command = NULL;
}

/* With what the server had to do meanwhile: the least is near the truth. */
static void count_round_trip(struct mux_channel *ch)
{
	mono_us_t now = loop_now_us(ch->link->loop);
	uint64_t took_us = now - ch->epoch_us;

	if (took_us < ch->link->rtt_us)
		ch->link->rtt_us = took_us;
	ch->epoch_us = now;
}

static void receive_confirmation(struct mux_channel *ch,
				 const struct mux_msg *m)
{
	if (m->packet_max == 0) {
		mux_link_fail(ch->link, "the server opened a channel for "
					"packets of no length");
		return;
	}
	count_round_trip(ch);
	ch->is_confirmed = true;
	ch->remote_id = m->sender;
	ch->tx_window = m->window;
	ch->chunk_max = m->packet_max < MUX_MSG_DATA_MAX ? m->packet_max
							 : MUX_MSG_DATA_MAX;
	if (ch->is_detached)
		send_close(ch);
	else if (ch->kind == MUX_EXEC)
		send_exec(ch);
	else
		tell_open(ch);
}

static void receive_refusal(struct mux_channel *ch, const struct mux_msg *m)
{
	count_round_trip(ch);
	ch->link->n_failures++;
	mux_channel_bury(ch);
	tell_refused(ch, m->reason, m->bytes, m->len);
}

static void receive_adjust(struct mux_channel *ch, uint32_t n)
{
	if (n > UINT32_MAX - ch->tx_window) {
		mux_link_fail(ch->link, "the server granted a channel more "
					"than a window can hold");
		return;
	}
	ch->tx_window += n;
	mux_link_count_returned(ch->link, ch, n);
	if (ch->wants_room && may_send(ch))
		wait_for_room(ch);
}

/* Data that nobody holds is free again at once. */
static void receive_data(struct mux_channel *ch, const struct mux_msg *m)
{
	const uint8_t *bytes = m->bytes;
	size_t len = m->len;

	if (len > ch->rx_window) {
		mux_link_fail(ch->link, "the server sent more on a channel "
					"than its window allowed");
		return;
	}
	mux_window_use(ch, len);
	if (ch->kind == MUX_TUN) {
		size_t skip =
			len < MUX_MSG_TUN_OVERHEAD ? len : MUX_MSG_TUN_OVERHEAD;

		bytes += skip;
		len -= skip;
	}
	if (m->type == MUX_MSG_DATA && len > 0 && !is_dead(ch) && ch->is_open &&
	    !ch->eof_seen && ch->ops->on_data) {
		ch->held += (uint32_t)len;
		ch->ops->on_data(ch, bytes, len);
	}
	if (!is_dead(ch))
		mux_window_grant(ch);
}

static void receive_eof(struct mux_channel *ch)
{
	if (ch->eof_seen)
		return;
	ch->eof_seen = true;
	mux_window_stop(ch);
	if (!is_dead(ch) && ch->is_open && ch->ops->on_eof)
		ch->ops->on_eof(ch);
}

static void receive_close(struct mux_channel *ch)
{
	bool was_open = ch->is_open;

	send_close(ch);
	mux_channel_bury(ch);
	if (ch->is_detached)
		return;
	if (!was_open)
		tell_refused(ch, MUX_REFUSED_RESOURCES, NULL, 0);
	else if (ch->ops->on_closed)
		ch->ops->on_closed(ch);
}

static void receive_request(struct mux_channel *ch, const struct mux_msg *m)
{
	uint8_t msg[MUX_MSG_FIXED_MAX];

	if (m->wants_reply && !ch->close_sent)
		put(ch, msg, mux_msg_build_failure(msg, ch->remote_id));
}

/* To exec, which is asked once and first, or to a probe. */
static void receive_answer(struct mux_channel *ch, bool is_success)
{
	if (ch->kind == MUX_EXEC && !ch->is_open) {
		if (is_success) {
			tell_open(ch);
			return;
		}
		send_close(ch);
		if (!ch->is_detached) {
			tell_refused(ch, MUX_REFUSED_PROHIBITED, NULL, 0);
			ch->is_detached = true;
		}
		return;
	}
	if (!mux_link_count_answer(ch->link, ch))
		mux_link_fail(ch->link,
			      "the server answered what it was not asked");
}

void mux_channel_receive(struct mux_channel *ch, const struct mux_msg *m)
{
	bool is_answer = m->type == MUX_MSG_OPEN_CONFIRMATION ||
			 m->type == MUX_MSG_OPEN_FAILURE;

	if (is_answer == ch->is_confirmed) {
		mux_link_fail(ch->link,
			      is_answer ? "the server opened a channel twice"
					: "the server used a channel that is "
					  "not open");
		return;
	}
	switch ((enum mux_msg_type)m->type) {
	case MUX_MSG_OPEN_CONFIRMATION:
		receive_confirmation(ch, m);
		break;
	case MUX_MSG_OPEN_FAILURE:
		receive_refusal(ch, m);
		break;
	case MUX_MSG_WINDOW_ADJUST:
		receive_adjust(ch, m->window);
		break;
	case MUX_MSG_DATA:
	case MUX_MSG_EXTENDED_DATA:
		receive_data(ch, m);
		break;
	case MUX_MSG_EOF:
		receive_eof(ch);
		break;
	case MUX_MSG_CLOSE:
		receive_close(ch);
		break;
	case MUX_MSG_REQUEST:
		receive_request(ch, m);
		break;
	case MUX_MSG_SUCCESS:
	case MUX_MSG_FAILURE:
		receive_answer(ch, m->type == MUX_MSG_SUCCESS);
		break;
	case MUX_MSG_OPEN: /* not parsed */
		break;
	}
}
