/* SPDX-License-Identifier: MIT */
/*
 * relay_rig: a relay_ssh between a near session and links that the test plays.
 *
 * The functions of mux_link.h are implemented here: a channel keeps what it was
 * asked, and says what the test wants.
 */
#ifndef ECSSH_UNIT_RELAY_RIG_H
#define ECSSH_UNIT_RELAY_RIG_H

#include "mux_link.h"
#include "relay.h"
#include "session.h"

struct mux_channel {
	struct list link; /* mux_link.channels, oldest first */
	struct mux_link *mux;
	const struct mux_channel_ops *ops;
	void *owner;
	enum mux_channel_kind kind;
	char host[300];
	uint32_t port;
	struct endpoint origin;
	uint32_t window_bytes;
	size_t room; /* of send */
	size_t consumed;
	uint8_t *sent; /* owned: all that was */
	size_t sent_len;
	size_t n_packets; /* of the sent bytes */
	size_t packet_lens[64];
	bool has_eof;
};

struct mux_link {
	struct list channels;
	uint32_t n_channels, n_failures;
	uint32_t n_opened; /* ever */
	bool is_full;	   /* opens nothing more */
	bool is_governed;
};

struct relay_rig {
	struct loop *loop;
	struct mux_link links[4];
	struct session *near;
	struct relay *relay;
	struct frame_hello hello; /* the relay's */
	struct {
		unsigned opened, refused, readable, reset, closed, icmp, dgram,
			resolved, packets, states, down, worn, retired;
	} n;
	enum frame_reason reason; /* of the last refusal or reset */
	struct frame_icmp_error icmp;
	struct frame_dgram dgram;
	uint32_t id;
	uint8_t payload[70000]; /* of the last datagram, answer or packet */
	size_t payload_len;
	enum frame_reason status;
	struct frame_network_state state;
	struct frame_packet packet;
	struct mux_link *retired;
	bool renews; /* on_worn gives links in turn */
	unsigned n_renewed;
};

/* config->link is set here. */
struct relay_rig *relay_rig_new(const struct relay_ssh_config *config);
struct relay_rig *relay_rig_free(struct relay_rig *rig);

void relay_rig_settle(struct relay_rig *rig);
void relay_rig_advance(struct relay_rig *rig, uint64_t us);

/* Open a stream to 10.77.0.2:port, or to a name. */
struct stream *relay_rig_open(struct relay_rig *rig, const char *name,
			      uint16_t port);

/* The newest channel of a link. */
struct mux_channel *relay_rig_newest(struct mux_link *l);

/* What a server says. */
void relay_rig_confirm(struct relay_rig *rig, struct mux_channel *ch);
void relay_rig_refuse(struct relay_rig *rig, struct mux_channel *ch,
		      uint32_t reason, const char *text);
void relay_rig_data(struct relay_rig *rig, struct mux_channel *ch,
		    const void *bytes, size_t len);
void relay_rig_eof(struct relay_rig *rig, struct mux_channel *ch);
void relay_rig_close(struct relay_rig *rig, struct mux_channel *ch);
void relay_rig_room(struct relay_rig *rig, struct mux_channel *ch, size_t room);

#endif
