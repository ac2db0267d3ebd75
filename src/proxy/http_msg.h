/* SPDX-License-Identifier: MIT */
/*
 * http_msg: what HTTP clients say to a proxy, and what they are answered.
 *
 * Strict: what two readers could understand in two ways is refused.
 *
 * Spec: RFC 9110, RFC 9112; doc/PROTOCOL.door section 3
 */
#ifndef ECSSH_HTTP_MSG_H
#define ECSSH_HTTP_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "socks_msg.h"

enum {
	HTTP_HEAD_MAX = 32 << 10,
	HTTP_FIELDS_MAX = 256,
	/* A rewritten head grows by no more than this. */
	HTTP_GROWTH_MAX = 64 + HTTP_FIELDS_MAX,
	HTTP_ERROR_MAX = 1024,
};

enum http_status {
	HTTP_OK = 200,
	HTTP_BAD_REQUEST = 400,
	HTTP_FORBIDDEN = 403,
	HTTP_REQUEST_TIMEOUT = 408,
	HTTP_HEAD_TOO_LONG = 431,
	HTTP_NOT_IMPLEMENTED = 501,
	HTTP_BAD_GATEWAY = 502,
	HTTP_UNAVAILABLE = 503,
	HTTP_GATEWAY_TIMEOUT = 504,
	HTTP_BAD_VERSION = 505,
};

struct http_request {
	bool is_connect;
	struct socks_addr dst; /* a name is one that a frame may hold */
	/* Bytes that follow the head as its body; UINT64_MAX: until the client
	 * or the server ends it (always with CONNECT). */
	uint64_t body_len;
};

/*
 * Understand the head of a request.  Returns its length; 0 while it is not
 * whole; or, with a sentence for the client,
 *   -EBADMSG          HTTP_BAD_REQUEST
 *   -EMSGSIZE         HTTP_HEAD_TOO_LONG
 *   -EPROTONOSUPPORT  HTTP_NOT_IMPLEMENTED
 *   -EPROTO           HTTP_BAD_VERSION
 */
int http_parse(const uint8_t *in, size_t len, struct http_request *ret,
	       struct err *err);

/* That number of a failed http_parse. */
enum http_status http_status_of(int r);

/* Write the head of a request that http_parse took, and that is no CONNECT, as
 * the server is to see it.  out has room for head_len + HTTP_GROWTH_MAX bytes.
 * Returns the length. */
size_t http_build_request(uint8_t *out, const uint8_t *head, size_t head_len);

/* Write the answer to a CONNECT that succeeded, or to any request that failed,
 * with a sentence.  out has room for HTTP_ERROR_MAX bytes.  Returns the length.
 */
size_t http_build_connected(uint8_t *out);
size_t http_build_error(uint8_t *out, enum http_status status,
			const char *text);

#endif
