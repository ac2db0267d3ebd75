/* SPDX-License-Identifier: MIT */
/*
 * frame: the frames of doc/PROTOCOL.session as structs.
 *
 * Builders write header and body to out, which has room for FRAME_FIXED_MAX
 * bytes unless said otherwise, and return the length.  Parsers take a whole
 * body and return 0, or -EBADMSG if it does not fit its type; pointers in the
 * result borrow the body.
 */
#ifndef ECSSH_FRAME_H
#define ECSSH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "drop.h"

enum frame_type {
	FRAME_HELLO = 0x01,
	FRAME_BYE = 0x02,
	FRAME_PING = 0x03,
	FRAME_PONG = 0x04,
	FRAME_RECEIVED = 0x05,
	FRAME_OPEN = 0x10,
	FRAME_OPENED = 0x11,
	FRAME_REFUSED = 0x12,
	FRAME_DATA = 0x13,
	FRAME_FIN = 0x14,
	FRAME_ACK = 0x15,
	FRAME_RESET = 0x16,
	FRAME_DGRAM = 0x20,
	FRAME_ICMP_ERROR = 0x21,
	FRAME_ASSOC_CLOSE = 0x22,
	FRAME_RESOLVE = 0x30,
	FRAME_RESOLVED = 0x31,
	FRAME_PACKET = 0x40,
	FRAME_NETWORK = 0x41,
	FRAME_NETWORK_STATE = 0x42,
	FRAME_ROUTES_ASK = 0x43,
	FRAME_ROUTES = 0x44,
	FRAME_DROPS = 0x80,
	FRAME_OPTIONAL = 0x80, /* from here on: ignore what is not known */
};

enum {
	FRAME_MAGIC = 0x45435348,
	FRAME_VERSION_HIGHEST = 1,
	FRAME_VERSION_LOWEST = 1,
	FRAME_HEADER_LEN = 8,
	FRAME_BODY_MAX = 65599,
	FRAME_DATA_OVERHEAD = FRAME_HEADER_LEN + 8,
	/* With overhead this fits one read of ssh's 16 KiB channel buffer. */
	FRAME_DATA_MAX = 16374 - FRAME_DATA_OVERHEAD,
	FRAME_DGRAM_OVERHEAD = FRAME_HEADER_LEN + 24,
	FRAME_DGRAM_MAX = 65527,
	FRAME_PACKET_OVERHEAD = FRAME_HEADER_LEN + 10,
	FRAME_NAME_MAX = 253,	/* RFC 1035: a host's name as text */
	FRAME_SUBNETS_MAX = 64, /* announced by NETWORK */
	FRAME_ROUTES_MAX = 128, /* told by ROUTES */
	FRAME_TEXT_MAX = 512,
	FRAME_QUERY_MAX = 4096,
	FRAME_DROP_NAME_MAX = 64,
	FRAME_FIXED_MAX = 3072, /* no frame without payload is longer */
};

enum frame_capability {
	FRAME_CAP_ECHO = 1,
	FRAME_CAP_ECHO6 = 2,
	FRAME_CAP_IPV4 = 4,
	FRAME_CAP_IPV6 = 8,
	FRAME_CAP_RESOLVE = 16,
	FRAME_CAP_RESUME = 32,
	FRAME_CAP_TCP = 64,
	FRAME_CAP_UDP = 128,
	FRAME_CAP_NAMES = 256,
	FRAME_CAP_NETWORK = 512,
	FRAME_CAP_ROUTES = 1024,
};

/* Why a stream or association failed; PROTOCOL.session section 3. */
enum frame_reason {
	FRAME_REASON_NONE,
	FRAME_REASON_REFUSED,
	FRAME_REASON_NET_UNREACH,
	FRAME_REASON_HOST_UNREACH,
	FRAME_REASON_TIMED_OUT,
	FRAME_REASON_PROHIBITED,
	FRAME_REASON_NO_FAMILY,
	FRAME_REASON_NO_RESOURCES,
	FRAME_REASON_RESET,
	FRAME_REASON_OTHER,
	FRAME_REASON_NO_NAME,
	FRAME_REASON__N,
};

/* The reason that keeps the meaning of errno (positive) of a socket call. */
enum frame_reason frame_reason_from_errno(int errnum);

/* A few lower-case words.  Never NULL. */
const char *frame_reason_text(enum frame_reason reason);

enum frame_bye {
	FRAME_BYE_DONE,
	FRAME_BYE_PROTOCOL,
	FRAME_BYE_VERSION,
	FRAME_BYE_RESOURCES,
	FRAME_BYE_SILENCE,
};

struct frame_header {
	uint8_t type;
	uint32_t len; /* of the body */
	uint32_t id;
};

/* What confines the sender: bits. */
enum frame_sandbox {
	FRAME_SANDBOX_SECCOMP = 1,
	FRAME_SANDBOX_LANDLOCK = 2,
};

struct frame_hello {
	uint16_t version_highest, version_lowest;
	uint32_t capabilities; /* enum frame_capability */
	uint8_t session_id[16];
	uint8_t resume_token[16];
	char software[32];		   /* text, not escaped */
	char user[64];			   /* text, not escaped */
	struct ip_addr gateway4, gateway6; /* version 0: not told */
	bool tells_sandbox;
	uint8_t sandbox;	 /* enum frame_sandbox */
	struct ip_addr resolver; /* near: to be asked; version 0: any */
};

struct frame_open {
	uint32_t window_bytes;
	uint8_t proto, ttl, tos;
	/* Same version; or by name: that of both addresses is 0. */
	struct endpoint dst, src;
	char name[FRAME_NAME_MAX + 1]; /* "": by address */
};

struct frame_refused {
	enum frame_reason reason;
	uint8_t icmp_type, icmp_code; /* 0 0: none */
	uint32_t icmp_info;
	struct ip_addr offender; /* version 0: unknown */
};

struct frame_dgram {
	uint8_t proto, ttl,
		tos; /* proto: enum pkt_proto; version is remote.addr's */
	bool df;
	struct endpoint remote; /* port: sequence number of an echo */
	const uint8_t *payload; /* borrowed */
	size_t payload_len;
};

struct frame_icmp_error {
	uint8_t proto, type, code;
	uint32_t info;
	struct endpoint remote;	 /* destination of the datagram concerned */
	uint16_t payload_len;	 /* of that datagram */
	struct ip_addr offender; /* version 0: the gateway itself */
};

/* A packet of the packet plane.  The first fields are those of a
 * virtio_net_hdr, in host order; not checked against the packet yet. */
struct frame_packet {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	const uint8_t *ip; /* borrowed; not parsed yet */
	size_t ip_len;	   /* 1 to PKT_IP6_MAX */
};

enum frame_network_flag {
	FRAME_NETWORK_NO_NAT = 1,
	FRAME_NETWORK_ALLOW_INBOUND = 2,
	FRAME_NETWORK_SUDO = 4, /* sudo may be tried whoever the account is */
	FRAME_NETWORK_NO_TUNE = 8, /* leave sshd's socket as it is */
};

/* What the near end wants of the far end's packet plane. */
struct frame_network {
	uint8_t flags; /* enum frame_network_flag */
	uint16_t mtu_bytes;
	struct ip_addr near4, near6; /* of the near end; version 0: none */
	struct subnet announced[FRAME_SUBNETS_MAX]; /* behind the near end */
	size_t n_announced;
};

enum frame_network_status {
	FRAME_NETWORK_UP = 1,
	FRAME_NETWORK_LACKING = 2, /* it never came up; text says why */
	FRAME_NETWORK_LOST = 3,	   /* it was up; text says what happened */
};

struct frame_network_state {
	enum frame_network_status status;
	uint16_t mtu_bytes; /* of the far device; 0 unless up */
	/* For a person, not escaped: up: how ("as root", "sudo"); else why
	 * not. */
	char text[FRAME_TEXT_MAX + 1];
};

/* The networks that the far host has routes for. */
struct frame_routes {
	struct subnet nets[FRAME_ROUTES_MAX];
	size_t n;
	uint16_t n_more; /* that did not fit */
};

/* What has arrived. */
struct frame_received {
	uint64_t bytes;
	uint64_t clock_us; /* by the sender's clock now */
	uint32_t delay_us; /* since the last of the bytes came */
};

struct frame_bye_body {
	uint16_t reason; /* enum frame_bye, or one not known here */
	char text[FRAME_TEXT_MAX + 1]; /* not escaped */
};

/* Returns 0, or -EBADMSG if the body would exceed FRAME_BODY_MAX. */
int frame_parse_header(const uint8_t in[FRAME_HEADER_LEN],
		       struct frame_header *ret);
size_t frame_build_header(uint8_t *out, enum frame_type type, size_t body_len,
			  uint32_t id);

size_t frame_build_hello(uint8_t *out, const struct frame_hello *hello);
/* -EPROTO: not our magic; -EBADMSG as always.  A hello of another version
 * parses as far as the version fields. */
int frame_parse_hello(const uint8_t *body, size_t len, struct frame_hello *ret);

size_t frame_build_bye(uint8_t *out, enum frame_bye reason, const char *text);
int frame_parse_bye(const uint8_t *body, size_t len,
		    struct frame_bye_body *ret);

/* type: FRAME_PING or FRAME_PONG. */
size_t frame_build_ping(uint8_t *out, enum frame_type type, uint64_t value);

/* Letters, digits, - _ and dots; no more than FRAME_NAME_MAX, and no - first.
 */
bool frame_name_is_valid(const char *name, size_t len);

size_t frame_build_open(uint8_t *out, uint32_t id, const struct frame_open *o);
int frame_parse_open(const uint8_t *body, size_t len, struct frame_open *ret);

size_t frame_build_opened(uint8_t *out, uint32_t id, uint32_t window_bytes);
int frame_parse_u32(const uint8_t *body, size_t len, uint32_t *ret);

size_t frame_build_refused(uint8_t *out, uint32_t id,
			   const struct frame_refused *r);
int frame_parse_refused(const uint8_t *body, size_t len,
			struct frame_refused *ret);

/* Header and offset of a DATA frame with len bytes that follow elsewhere. */
size_t frame_build_data(uint8_t *out, uint32_t id, uint64_t offset, size_t len);
int frame_parse_data(const uint8_t *body, size_t len, uint64_t *ret_offset,
		     const uint8_t **ret_bytes, size_t *ret_len);

size_t frame_build_fin(uint8_t *out, uint32_t id, uint64_t offset);
int frame_parse_u64(const uint8_t *body, size_t len, uint64_t *ret);

size_t frame_build_ack(uint8_t *out, uint32_t id, uint64_t consumed,
		       uint64_t limit);
int frame_parse_ack(const uint8_t *body, size_t len, uint64_t *ret_consumed,
		    uint64_t *ret_limit);

size_t frame_build_received(uint8_t *out, const struct frame_received *r);
int frame_parse_received(const uint8_t *body, size_t len,
			 struct frame_received *ret);

/* type: FRAME_RESET or FRAME_ASSOC_CLOSE. */
size_t frame_build_reason(uint8_t *out, enum frame_type type, uint32_t id,
			  enum frame_reason reason);
int frame_parse_reason(const uint8_t *body, size_t len, enum frame_reason *ret);

/* Header and fixed part; the payload follows elsewhere. */
size_t frame_build_dgram(uint8_t *out, uint32_t id,
			 const struct frame_dgram *d);
/* Tell the receiver of a DGRAM or PACKET, at frame with its header, that it met
 * congestion; the packet has been parsed.  Returns false if its sender does not
 * understand that. */
bool frame_mark_ce(uint8_t *frame);
int frame_parse_dgram(const uint8_t *body, size_t len, struct frame_dgram *ret);

/* Header and fixed part; the IP packet follows elsewhere. */
size_t frame_build_packet(uint8_t *out, const struct frame_packet *p);
int frame_parse_packet(const uint8_t *body, size_t len,
		       struct frame_packet *ret);

size_t frame_build_network(uint8_t *out, const struct frame_network *n);
int frame_parse_network(const uint8_t *body, size_t len,
			struct frame_network *ret);

size_t frame_build_network_state(uint8_t *out,
				 const struct frame_network_state *state);
int frame_parse_network_state(const uint8_t *body, size_t len,
			      struct frame_network_state *ret);

/* The question has no body. */
size_t frame_build_routes_ask(uint8_t *out);
size_t frame_build_routes(uint8_t *out, const struct frame_routes *routes);
int frame_parse_routes(const uint8_t *body, size_t len,
		       struct frame_routes *ret);

size_t frame_build_icmp_error(uint8_t *out, uint32_t id,
			      const struct frame_icmp_error *e);
int frame_parse_icmp_error(const uint8_t *body, size_t len,
			   struct frame_icmp_error *ret);

/* Those of the counts that are not zero. */
size_t frame_build_drops(uint8_t *out, const uint64_t counts[DROP__N]);
/* Sets the counts named, leaves the others alone. */
int frame_parse_drops(const uint8_t *body, size_t len,
		      uint64_t counts[DROP__N]);

/* Header and status; the answer of answer_len bytes follows elsewhere. */
size_t frame_build_resolved(uint8_t *out, uint32_t id, enum frame_reason status,
			    size_t answer_len);
int frame_parse_resolved(const uint8_t *body, size_t len,
			 enum frame_reason *ret_status,
			 const uint8_t **ret_answer, size_t *ret_len);

#endif
