/* SPDX-License-Identifier: MIT */
/*
 * mux_msg: what is said on the control socket of an ssh.
 *
 * Builders write a whole message to out, which has room for MUX_MSG_FIXED_MAX
 * bytes unless cap is given, and return its length; those with cap return 0 if
 * it does not fit.  There is a builder for each message that may be sent and
 * for no other: ssh passes on to the server whatever it is given.
 *
 * Parsers take a whole body and return 0, or -EBADMSG if it does not fit its
 * type; pointers in the result borrow the body.
 *
 * Spec: doc/PROTOCOL.mux; RFC 4254
 */
#ifndef ECSSH_MUX_MSG_H
#define ECSSH_MUX_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MUX_MSG_VERSION = 4,
	MUX_MSG_HEADER_LEN = 4,
	MUX_MSG_BODY_MAX = (256 << 10) + 64,
	MUX_MSG_FIXED_MAX = 64,
	MUX_MSG_PORT_PATH = 0xfffffffe, /* the host is the path of a socket */
	/* Header of DATA, and the most data behind it: with the rest of the
	 * header twice what ssh reads at once. */
	MUX_MSG_DATA_OVERHEAD = 14,
	MUX_MSG_DATA_MAX = 32758,
	MUX_MSG_TUN_OVERHEAD = 4, /* address family before the packet */
};

/*
 * The body of the message at in.  Returns the bytes of the whole message, 0 if
 * it is not complete yet, or -EBADMSG if it is longer than MUX_MSG_BODY_MAX.
 */
int mux_msg_split(const uint8_t *in, size_t len, const uint8_t **ret_body,
		  size_t *ret_body_len);

/* ---- control messages ---- */

enum mux_msg_control_type {
	MUX_MSG_HELLO = 0x00000001,
	MUX_MSG_S_OK = 0x80000001,
	MUX_MSG_S_PERMISSION_DENIED = 0x80000002,
	MUX_MSG_S_FAILURE = 0x80000003,
	MUX_MSG_S_REMOTE_PORT = 0x80000007,
	MUX_MSG_S_PROXY = 0x8000000f,
	MUX_MSG_S_EXTENSIONS = 0x90000000, /* from here on: announcements */
};

struct mux_msg_control {
	uint32_t type;
	uint32_t version;    /* HELLO */
	uint32_t request;    /* of all others */
	uint32_t port;	     /* REMOTE_PORT */
	const uint8_t *text; /* PERMISSION_DENIED, FAILURE; not escaped */
	size_t text_len;
};

enum mux_msg_forward_kind {
	MUX_MSG_FORWARD_LOCAL = 1,
	MUX_MSG_FORWARD_REMOTE = 2,
};

struct mux_msg_forward {
	enum mux_msg_forward_kind kind;
	const char *listen_host, *connect_host;
	uint32_t listen_port, connect_port;
};

size_t mux_msg_build_hello(uint8_t *out);
size_t mux_msg_build_proxy(uint8_t *out, uint32_t request);
size_t mux_msg_build_forward(uint8_t *out, size_t cap, uint32_t request,
			     const struct mux_msg_forward *f);

/* Only the type is set for one that is none of the enum above. */
int mux_msg_parse_control(const uint8_t *body, size_t len,
			  struct mux_msg_control *ret);

/* ---- proxy mode: RFC 4254 ---- */

enum mux_msg_type {
	MUX_MSG_OPEN = 90,
	MUX_MSG_OPEN_CONFIRMATION = 91,
	MUX_MSG_OPEN_FAILURE = 92,
	MUX_MSG_WINDOW_ADJUST = 93,
	MUX_MSG_DATA = 94,
	MUX_MSG_EXTENDED_DATA = 95,
	MUX_MSG_EOF = 96,
	MUX_MSG_CLOSE = 97,
	MUX_MSG_REQUEST = 98,
	MUX_MSG_SUCCESS = 99,
	MUX_MSG_FAILURE = 100,
};

struct mux_msg {
	uint8_t type;	     /* enum mux_msg_type */
	uint32_t channel;    /* recipient */
	uint32_t sender;     /* OPEN_CONFIRMATION */
	uint32_t window;     /* OPEN_CONFIRMATION, WINDOW_ADJUST */
	uint32_t packet_max; /* OPEN_CONFIRMATION */
	uint32_t reason;     /* OPEN_FAILURE */
	bool wants_reply;    /* REQUEST */
	/* DATA, EXTENDED_DATA; text of OPEN_FAILURE; name of REQUEST. */
	const uint8_t *bytes;
	size_t len;
};

/* -ENOMSG: a type that is not one of 91 to 100. */
int mux_msg_parse(const uint8_t *body, size_t len, struct mux_msg *ret);

/* Ours, in an OPEN. */
struct mux_msg_end {
	uint32_t channel, window, packet_max;
};

size_t mux_msg_build_open_session(uint8_t *out, const struct mux_msg_end *ours);
size_t mux_msg_build_open_tcpip(uint8_t *out, size_t cap,
				const struct mux_msg_end *ours,
				const char *host, uint32_t port,
				const char *origin, uint32_t origin_port);
size_t mux_msg_build_open_streamlocal(uint8_t *out, size_t cap,
				      const struct mux_msg_end *ours,
				      const char *path);
size_t mux_msg_build_open_tun(uint8_t *out, const struct mux_msg_end *ours,
			      uint32_t unit);

size_t mux_msg_build_adjust(uint8_t *out, uint32_t channel, uint32_t n);

/* Header of DATA; len bytes follow. */
size_t mux_msg_build_data(uint8_t *out, uint32_t channel, size_t len);

/* Header of DATA with one IP packet of ip_len bytes, which follow; version: 4
 * or 6.  MUX_MSG_DATA_OVERHEAD + MUX_MSG_TUN_OVERHEAD bytes. */
size_t mux_msg_build_tun(uint8_t *out, uint32_t channel, unsigned version,
			 size_t ip_len);

size_t mux_msg_build_eof(uint8_t *out, uint32_t channel);
size_t mux_msg_build_close(uint8_t *out, uint32_t channel);
size_t mux_msg_build_failure(uint8_t *out, uint32_t channel);
size_t mux_msg_build_exec(uint8_t *out, size_t cap, uint32_t channel,
			  const char *command);
/* A request that every server answers. */
size_t mux_msg_build_probe(uint8_t *out, uint32_t channel);

#endif
