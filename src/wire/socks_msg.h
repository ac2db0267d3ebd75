/* SPDX-License-Identifier: MIT */
/*
 * socks_msg: the messages of SOCKS 4, 4a and 5, both ends of them.
 *
 * Parsers are given what has arrived so far and return the length of the
 * message at its beginning, 0 while that is not whole, or -EBADMSG if it cannot
 * become one.  What follows the message belongs to the next one.  Builders
 * write to out, which has room for SOCKS_MSG_MAX bytes, and return the length.
 *
 * Spec: RFC 1928, RFC 1929; SOCKS 4 and 4a are described in doc/PROTOCOL.door.
 */
#ifndef ECSSH_SOCKS_MSG_H
#define ECSSH_SOCKS_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

enum {
	SOCKS_PORT = 1080,
	SOCKS_NAME_MAX = 255,
	SOCKS_SECRET_MAX = 255, /* a user's name, or a password */
	/* The longest message of all: a SOCKS 4a request. */
	SOCKS_MSG_MAX = 8 + (SOCKS_SECRET_MAX + 1) + (SOCKS_NAME_MAX + 1),
	/* What stands before the payload of a UDP datagram, at most. */
	SOCKS_UDP_HEADER_MAX = 4 + 1 + SOCKS_NAME_MAX + 2,
};

enum socks_version {
	SOCKS_V4 = 4,
	SOCKS_V5 = 5,
};

enum socks_method {
	SOCKS_METHOD_NONE = 0,
	SOCKS_METHOD_PASSWORD = 2,
	SOCKS_METHOD_REFUSED = 0xff, /* none of those offered */
};

enum socks_command {
	SOCKS_CONNECT = 1,
	SOCKS_BIND = 2,
	SOCKS_UDP_ASSOCIATE = 3,
};

/* Outcomes, with the numbers of SOCKS 5. */
enum socks_outcome {
	SOCKS_GRANTED,
	SOCKS_FAILED, /* for a reason not listed here */
	SOCKS_PROHIBITED,
	SOCKS_NET_UNREACH,
	SOCKS_HOST_UNREACH,
	SOCKS_REFUSED,
	SOCKS_TTL_EXPIRED,
	SOCKS_BAD_COMMAND,
	SOCKS_BAD_ADDRESS, /* type not supported */
	SOCKS_OUTCOME__N,
};

/* A few lower-case words.  Never NULL. */
const char *socks_outcome_text(enum socks_outcome outcome);

/*
 * A destination.  By name (not empty; any bytes but NUL: check it before use)
 * the address of `at` has version 0.  A name that is a numeric address, and an
 * IPv4 address in IPv6's clothes, have become an address.
 */
struct socks_addr {
	struct endpoint at;
	char name[SOCKS_NAME_MAX + 1]; /* "": by address */
};

/* What a client offers. */
struct socks_greeting {
	bool has_none, has_password;
};

/* User and password; any bytes. */
struct socks_auth {
	uint8_t user_len, password_len;
	uint8_t user[SOCKS_SECRET_MAX], password[SOCKS_SECRET_MAX];
};

struct socks_request {
	uint8_t command; /* enum socks_command, or one not known here */
	struct socks_addr dst;
};

struct socks_reply {
	uint8_t outcome; /* enum socks_outcome, or one not known here */
	struct socks_addr bound;
};

/* ---- the server's end ---- */

int socks_parse_greeting(const uint8_t *in, size_t len,
			 struct socks_greeting *ret);
size_t socks_build_method(uint8_t *out, enum socks_method method);

int socks_parse_auth(const uint8_t *in, size_t len, struct socks_auth *ret);
size_t socks_build_auth_status(uint8_t *out, bool is_accepted);

/* Of SOCKS 5.  -EAFNOSUPPORT: an address of an unknown type. */
int socks_parse_request(const uint8_t *in, size_t len,
			struct socks_request *ret);
/* Of SOCKS 4 and 4a.  What it says of the user is skipped. */
int socks_parse_request4(const uint8_t *in, size_t len,
			 struct socks_request *ret);

/* bound: NULL, or where the connection comes from. */
size_t socks_build_reply(uint8_t *out, enum socks_outcome outcome,
			 const struct endpoint *bound);
size_t socks_build_reply4(uint8_t *out, enum socks_outcome outcome);

/* ---- the client's end ---- */

size_t socks_build_greeting(uint8_t *out, const struct socks_greeting *offer);
/* -EBADMSG also for a method that is not in enum socks_method. */
int socks_parse_method(const uint8_t *in, size_t len,
		       enum socks_method *ret_method);

size_t socks_build_auth(uint8_t *out, const struct socks_auth *auth);
int socks_parse_auth_status(const uint8_t *in, size_t len,
			    bool *ret_is_accepted);

/* A name longer than SOCKS_NAME_MAX does not fit the struct. */
size_t socks_build_request(uint8_t *out, enum socks_command command,
			   const struct socks_addr *dst);
int socks_parse_reply(const uint8_t *in, size_t len, struct socks_reply *ret);

/* ---- datagrams, both ends ---- */

/*
 * The header of a datagram; what follows is its payload.  The datagram is
 * whole: never returns 0.  -EBADMSG; -EAFNOSUPPORT as above; -EOPNOTSUPP: a
 * fragment, which is not put together.
 */
int socks_parse_udp(const uint8_t *in, size_t len, struct socks_addr *ret);
/* out has room for SOCKS_UDP_HEADER_MAX bytes. */
size_t socks_build_udp(uint8_t *out, const struct socks_addr *addr);

#endif
