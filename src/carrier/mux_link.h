/* SPDX-License-Identifier: MIT */
/*
 * mux_link: channels of our own in the connection of a running ssh.
 *
 * Speaks to the control socket of an ssh that was started with ControlMaster,
 * in its proxy mode (OpenSSH 7.4 and later): the messages of RFC 4254, with our
 * own windows.  Channels do not share a window, so none waits for another.
 *
 * Spec: doc/PROTOCOL.mux; RFC 4254 section 5.
 */
#ifndef ECSSH_MUX_LINK_H
#define ECSSH_MUX_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "err.h"
#include "loop.h"

enum {
	/* ssh never frees a channel whose opening failed, and ends at 16,384
	 * of them: a link that has seen so many is worn out. */
	MUX_LINK_FAILURES_MAX = 12000,
	MUX_LINK_CHANNELS_MAX = 4096,
	MUX_CHANNEL_WINDOW_MAX_BYTES = 8 << 20,
	/* Longest packet that mux_channel_send_packet takes. */
	MUX_CHANNEL_PACKET_MAX = 16374 - 8,
};

/* RFC 4254 section 5.1. */
enum mux_refusal {
	MUX_REFUSED_PROHIBITED = 1,
	MUX_REFUSED_CONNECT = 2,
	MUX_REFUSED_UNKNOWN_TYPE = 3,
	MUX_REFUSED_RESOURCES = 4,
};

struct mux_link;
struct mux_channel;

struct mux_link_ops {
	/* Proxy mode is entered: channels may be opened. */
	void (*on_ready)(void *ctx);
	/* ssh has gone, or is not one that can do this; once.  All channels are
	 * dead and have been told.  Never within a call of a function below;
	 * the link may be freed here. */
	void (*on_closed)(void *ctx, const struct err *why);
};

/*
 * Ask for proxy mode on fd, a connection to the control socket: what is said on
 * it from then on goes to the server, and ssh itself takes no more requests.
 * Returns 0 or -errno.
 */
int mux_link_greet(int fd);

/*
 * Speak on fd, which has been greeted so; owned from now on.  ops and
 * ctx are borrowed for the life of the link.  Returns NULL with errno set.
 */
struct mux_link *mux_link_new(struct loop *loop, int fd,
			      const struct mux_link_ops *ops, void *ctx);

/* Ends ssh itself if a channel was ever refused or is being opened (a defect
 * of OpenSSH): do it when nothing else needs that ssh.  Channels are dead
 * without being told.  Not from within a channel's callback or on_ready.
 * Accepts NULL; returns NULL. */
struct mux_link *mux_link_free(struct mux_link *l);

bool mux_link_is_ready(const struct mux_link *l);

/* From now on keep no more in flight than the line needs, so that what waits
 * does so on our side and who sends little goes first.  For a link whose
 * channels have no such control of their own; once, and before any is opened.
 */
void mux_link_govern(struct mux_link *l);

/* Openings that have failed; see MUX_LINK_FAILURES_MAX. */
uint32_t mux_link_n_failures(const struct mux_link *l);

/* Channels now, with those that are being opened or closed. */
uint32_t mux_link_n_channels(const struct mux_link *l);

/* Members may be NULL.  A channel may be closed in any of them, and used again
 * in none that says it is dead. */
struct mux_channel_ops {
	void (*on_open)(struct mux_channel *ch);
	/* The channel is dead.  text: the server's, escaped, may be empty. */
	void (*on_refused)(struct mux_channel *ch, uint32_t reason,
			   const char *text);
	/* Take all of it; it counts against the window until
	 * mux_channel_consume.  MUX_TUN: one IP packet a call, without its
	 * address family; not looked at.  MUX_EXEC: standard output only. */
	void (*on_data)(struct mux_channel *ch, const uint8_t *bytes,
			size_t len);
	/* The other end sends no more. */
	void (*on_eof)(struct mux_channel *ch);
	/* After mux_channel_send took less than it was given. */
	void (*on_writable)(struct mux_channel *ch);
	/* Both ends have closed, or the link has; the channel is dead. */
	void (*on_closed)(struct mux_channel *ch);
};

/* What to open.  Strings are borrowed for the call. */
enum mux_channel_kind {
	MUX_DIRECT_TCPIP,	/* host, port; origin */
	MUX_DIRECT_STREAMLOCAL, /* host: the path of a socket there */
	MUX_TUN,		/* layer 3; port: unit, or MUX_TUN_ANY */
	MUX_EXEC,		/* host: the command; open when it is started */
};

enum { MUX_TUN_ANY = 0x7fffffff };

struct mux_channel_open {
	enum mux_channel_kind kind;
	const char *host;
	uint32_t port;
	struct endpoint origin; /* direct-tcpip; version 0: unknown */
	/* That the server may come to send us at most; where there are many
	 * channels it is less, and it begins with less. */
	uint32_t window_bytes;
};

/*
 * Open a channel; on_open or on_refused follows, never within this call.  ops
 * and owner are borrowed for its life.  Returns NULL with errno set: EAGAIN the
 * link is not ready, EMFILE it is worn out or has too many channels,
 * ENAMETOOLONG, ENOMEM.
 */
struct mux_channel *mux_channel_open(struct mux_link *l,
				     const struct mux_channel_open *open,
				     const struct mux_channel_ops *ops,
				     void *owner);

void *mux_channel_owner(const struct mux_channel *ch);

/*
 * Send bytes; returns how many were taken: as many as the server's window, and
 * what may wait in ssh, have room for.  If that is not all, on_writable
 * follows.
 */
size_t mux_channel_send(struct mux_channel *ch, const uint8_t *bytes,
			size_t len);

/* Room of mux_channel_send now. */
size_t mux_channel_room(const struct mux_channel *ch);

/* MUX_TUN: send one IP packet, not empty; its address family goes in front.
 * Returns false if it does not fit now; on_writable follows, unless it never
 * will fit: it is empty, or longer than MUX_CHANNEL_PACKET_MAX or what the
 * server takes. */
bool mux_channel_send_packet(struct mux_channel *ch, const uint8_t *ip,
			     size_t len);

/* We send no more. */
void mux_channel_send_eof(struct mux_channel *ch);

/* So many bytes that on_data gave are dealt with.  May be called in on_data. */
void mux_channel_consume(struct mux_channel *ch, size_t len);

/* Close it; no callback follows, and the channel must not be used. */
void mux_channel_close(struct mux_channel *ch);

#endif
