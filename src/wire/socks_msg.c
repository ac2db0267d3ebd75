/* SPDX-License-Identifier: MIT */
/* socks_msg: the messages of SOCKS 4, 4a and 5, both ends of them. */
#include "socks_msg.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "bytes.h"

enum {
	AUTH_VERSION = 1,
	ATYP_IPV4 = 1,
	ATYP_NAME = 3,
	ATYP_IPV6 = 4,
	PORT_LEN = 2,
	HEADER4_LEN = 8,
	GRANTED4 = 90,
	FAILED4 = 91,
};

static const char *const texts[] = {
	[SOCKS_GRANTED] = "granted",
	[SOCKS_FAILED] = "general failure",
	[SOCKS_PROHIBITED] = "prohibited by a policy",
	[SOCKS_NET_UNREACH] = "network unreachable",
	[SOCKS_HOST_UNREACH] = "host unreachable",
	[SOCKS_REFUSED] = "connection refused",
	[SOCKS_TTL_EXPIRED] = "timed out",
	[SOCKS_BAD_COMMAND] = "command not supported",
	[SOCKS_BAD_ADDRESS] = "address type not supported",
};

static_assert(sizeof(texts) / sizeof(texts[0]) == SOCKS_OUTCOME__N,
	      "one text for each outcome");

const char *socks_outcome_text(enum socks_outcome outcome)
{
	if ((unsigned)outcome >= SOCKS_OUTCOME__N)
		return "unknown failure";
	return texts[outcome];
}

/* ---- addresses ---- */

/* An address of wire form; IPv4 in IPv6's clothes (RFC 4291 section 2.5.5.2)
 * becomes what it is: no host is reached by the other form. */
static struct ip_addr make_addr(enum ip_version version, const uint8_t *bytes)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (version == IPV6 && memcmp(bytes, mapped, sizeof(mapped)) == 0)
		return addr_make(IPV4, bytes + sizeof(mapped));
	return addr_make(version, bytes);
}

/* Returns 0, or -EBADMSG for an empty name and one with a NUL. */
static int set_name(struct socks_addr *a, const uint8_t *name, size_t len)
{
	struct ip_addr numeric;

	if (len == 0 || memchr(name, '\0', len))
		return -EBADMSG;
	memcpy(a->name, name, len);
	a->name[len] = '\0';
	if (addr_parse(a->name, &numeric) == 0) {
		a->at.addr = make_addr(numeric.version, numeric.bytes);
		a->name[0] = '\0';
	}
	return 0;
}

/* Type, address, port: SOCKS 5.  Returns as parsers do. */
static int parse_addr(const uint8_t *in, size_t len, struct socks_addr *ret)
{
	struct socks_addr a = {.at.port = 0};
	size_t at = 1, addr_len;

	if (len < 2)
		return 0;
	if (in[0] == ATYP_IPV4)
		addr_len = 4;
	else if (in[0] == ATYP_IPV6)
		addr_len = 16;
	else if (in[0] == ATYP_NAME)
		addr_len = in[at++];
	else
		return -EAFNOSUPPORT;
	if (len < at + addr_len + PORT_LEN)
		return 0;
	if (in[0] == ATYP_NAME) {
		int r = set_name(&a, in + at, addr_len);

		if (r < 0)
			return r;
	} else {
		a.at.addr =
			make_addr(in[0] == ATYP_IPV4 ? IPV4 : IPV6, in + at);
	}
	at += addr_len;
	a.at.port = bytes_get_u16(in + at);
	*ret = a;
	return (int)(at + PORT_LEN);
}

static size_t build_addr(uint8_t *out, const struct socks_addr *a)
{
	size_t n, at = 1;

	if (a->name[0]) {
		n = strnlen(a->name, SOCKS_NAME_MAX);
		out[0] = ATYP_NAME;
		out[at++] = (uint8_t)n;
		memcpy(out + at, a->name, n);
	} else if (a->at.addr.version == IPV6) {
		n = 16;
		out[0] = ATYP_IPV6;
		memcpy(out + at, a->at.addr.bytes, n);
	} else {
		n = 4; /* also of no address at all: 0.0.0.0 */
		out[0] = ATYP_IPV4;
		memcpy(out + at, a->at.addr.bytes, n);
	}
	at += n;
	bytes_put_u16(out + at, a->at.port);
	return at + PORT_LEN;
}

/* ---- methods and authentication ---- */

int socks_parse_greeting(const uint8_t *in, size_t len,
			 struct socks_greeting *ret)
{
	if (len > 0 && in[0] != SOCKS_V5)
		return -EBADMSG;
	if (len < 2 || len < 2U + in[1])
		return 0;
	*ret = (struct socks_greeting){
		.has_none = memchr(in + 2, SOCKS_METHOD_NONE, in[1]) != NULL,
		.has_password =
			memchr(in + 2, SOCKS_METHOD_PASSWORD, in[1]) != NULL,
	};
	return 2 + in[1];
}

size_t socks_build_greeting(uint8_t *out, const struct socks_greeting *offer)
{
	size_t n = 0;

	if (offer->has_none)
		out[2 + n++] = SOCKS_METHOD_NONE;
	if (offer->has_password)
		out[2 + n++] = SOCKS_METHOD_PASSWORD;
	out[0] = SOCKS_V5;
	out[1] = (uint8_t)n;
	return 2 + n;
}

size_t socks_build_method(uint8_t *out, enum socks_method method)
{
	out[0] = SOCKS_V5;
	out[1] = (uint8_t)method;
	return 2;
}

int socks_parse_method(const uint8_t *in, size_t len,
		       enum socks_method *ret_method)
{
	if (len > 0 && in[0] != SOCKS_V5)
		return -EBADMSG;
	if (len < 2)
		return 0;
	if (in[1] != SOCKS_METHOD_NONE && in[1] != SOCKS_METHOD_PASSWORD &&
	    in[1] != SOCKS_METHOD_REFUSED)
		return -EBADMSG;
	*ret_method = in[1];
	return 2;
}

int socks_parse_auth(const uint8_t *in, size_t len, struct socks_auth *ret)
{
	if (len > 0 && in[0] != AUTH_VERSION)
		return -EBADMSG;
	if (len < 2 || len < 3U + in[1])
		return 0;
	size_t user_len = in[1], password_len = in[2 + user_len];

	if (len < 3 + user_len + password_len)
		return 0;
	*ret = (struct socks_auth){.user_len = (uint8_t)user_len,
				   .password_len = (uint8_t)password_len};
	memcpy(ret->user, in + 2, user_len);
	memcpy(ret->password, in + 3 + user_len, password_len);
	return (int)(3 + user_len + password_len);
}

size_t socks_build_auth(uint8_t *out, const struct socks_auth *auth)
{
	out[0] = AUTH_VERSION;
	out[1] = auth->user_len;
	memcpy(out + 2, auth->user, auth->user_len);
	out[2 + auth->user_len] = auth->password_len;
	memcpy(out + 3 + auth->user_len, auth->password, auth->password_len);
	return 3U + auth->user_len + auth->password_len;
}

size_t socks_build_auth_status(uint8_t *out, bool is_accepted)
{
	out[0] = AUTH_VERSION;
	out[1] = is_accepted ? 0 : 1;
	return 2;
}

int socks_parse_auth_status(const uint8_t *in, size_t len,
			    bool *ret_is_accepted)
{
	/* Some servers send version 5 here; the second byte decides. */
	if (len > 0 && in[0] != AUTH_VERSION && in[0] != SOCKS_V5)
		return -EBADMSG;
	if (len < 2)
		return 0;
	*ret_is_accepted = in[1] == 0;
	return 2;
}

/* ---- requests and replies ---- */

/* Version, a byte, zero, an address. */
static int parse_5(const uint8_t *in, size_t len, uint8_t *ret_byte,
		   struct socks_addr *ret_addr)
{
	if (len > 0 && in[0] != SOCKS_V5)
		return -EBADMSG;
	if (len < 3)
		return 0;
	int n = parse_addr(in + 3, len - 3, ret_addr);

	if (n <= 0)
		return n;
	*ret_byte = in[1];
	return 3 + n;
}

static size_t build_5(uint8_t *out, uint8_t byte, const struct socks_addr *addr)
{
	out[0] = SOCKS_V5;
	out[1] = byte;
	out[2] = 0;
	return 3 + build_addr(out + 3, addr);
}

int socks_parse_request(const uint8_t *in, size_t len,
			struct socks_request *ret)
{
	return parse_5(in, len, &ret->command, &ret->dst);
}

size_t socks_build_request(uint8_t *out, enum socks_command command,
			   const struct socks_addr *dst)
{
	return build_5(out, (uint8_t)command, dst);
}

int socks_parse_reply(const uint8_t *in, size_t len, struct socks_reply *ret)
{
	/* A server that fails may say so and stop short of the address; and
	 * one that fails needs none. */
	if (len >= 2 && in[0] == SOCKS_V5 && in[1] != SOCKS_GRANTED) {
		*ret = (struct socks_reply){.outcome = in[1]};
		return 2;
	}
	return parse_5(in, len, &ret->outcome, &ret->bound);
}

size_t socks_build_reply(uint8_t *out, enum socks_outcome outcome,
			 const struct endpoint *bound)
{
	struct socks_addr a = {.name = ""};

	if (bound)
		a.at = *bound;
	return build_5(out, (uint8_t)outcome, &a);
}

/* A string with its NUL at in + at.  Returns as parsers do. */
static int parse_string(const uint8_t *in, size_t len, size_t at, size_t max)
{
	size_t left = len - at, look = left < max + 1 ? left : max + 1;
	const uint8_t *nul = look ? memchr(in + at, '\0', look) : NULL;

	if (nul)
		return (int)(nul - (in + at)) + 1;
	return left > max ? -EBADMSG : 0;
}

int socks_parse_request4(const uint8_t *in, size_t len,
			 struct socks_request *ret)
{
	static const uint8_t zero[3];
	struct socks_addr dst = {.name = ""};

	if (len > 0 && in[0] != SOCKS_V4)
		return -EBADMSG;
	if (len < HEADER4_LEN)
		return 0;
	size_t at = HEADER4_LEN;
	int n = parse_string(in, len, at, SOCKS_SECRET_MAX);

	if (n <= 0)
		return n;
	at += (size_t)n;
	/* 4a: 0.0.0.x stands for a name behind the user's. */
	if (memcmp(in + 4, zero, sizeof(zero)) == 0 && in[7] != 0) {
		n = parse_string(in, len, at, SOCKS_NAME_MAX);
		if (n <= 0)
			return n;
		int r = set_name(&dst, in + at, (size_t)n - 1);
		if (r < 0)
			return r;
		at += (size_t)n;
	} else {
		dst.at.addr = addr_make(IPV4, in + 4);
	}
	dst.at.port = bytes_get_u16(in + 2);
	*ret = (struct socks_request){.command = in[1], .dst = dst};
	return (int)at;
}

size_t socks_build_reply4(uint8_t *out, enum socks_outcome outcome)
{
	memset(out, 0, HEADER4_LEN);
	out[1] = outcome == SOCKS_GRANTED ? GRANTED4 : FAILED4;
	return HEADER4_LEN;
}

/* ---- datagrams ---- */

int socks_parse_udp(const uint8_t *in, size_t len, struct socks_addr *ret)
{
	if (len < 4)
		return -EBADMSG;
	if (in[2] != 0)
		return -EOPNOTSUPP;
	int n = parse_addr(in + 3, len - 3, ret);

	if (n == 0)
		return -EBADMSG;
	return n < 0 ? n : 3 + n;
}

size_t socks_build_udp(uint8_t *out, const struct socks_addr *addr)
{
	memset(out, 0, 3);
	return 3 + build_addr(out + 3, addr);
}
