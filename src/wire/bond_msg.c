/* SPDX-License-Identifier: MIT */
/* bond_msg: see bond_msg.h. */
#include "bond_msg.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"
#include "err.h"

static bool is_harmless(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c != '\0' && strchr("/._-+", c));
}

bool bond_path_is_valid(const char *path)
{
	size_t len = 0;

	while (len <= BOND_PATH_MAX && is_harmless(path[len]))
		len++;
	return path[0] == '/' && len <= BOND_PATH_MAX && path[len] == '\0';
}

/* A chunk may be longer than other frames. */
size_t bond_build_chunk(uint8_t out[FRAME_HEADER_LEN], enum bond_type type,
			uint32_t seq, size_t len)
{
	assert_always(len <= BOND_CHUNK_MAX);
	bytes_put_u32(out, (uint32_t)type << 24 | (uint32_t)len);
	bytes_put_u32(out + 4, seq);
	return FRAME_HEADER_LEN;
}

bool bond_is_chunk(const uint8_t header[FRAME_HEADER_LEN])
{
	return header[0] == BOND_CHUNK || header[0] == BOND_FREE;
}

int bond_parse_chunk(const uint8_t in[FRAME_HEADER_LEN], uint32_t *ret_seq,
		     uint32_t *ret_len)
{
	uint32_t first = bytes_get_u32(in);

	if (!bond_is_chunk(in) || (first & 0xffffff) > BOND_CHUNK_MAX)
		return -EBADMSG;
	*ret_len = first & 0xffffff;
	*ret_seq = bytes_get_u32(in + 4);
	return 0;
}

static size_t put_header(uint8_t *out, enum bond_type type, size_t len,
			 uint32_t id)
{
	bytes_put_u32(out, (uint32_t)type << 24 | (uint32_t)len);
	bytes_put_u32(out + 4, id);
	return FRAME_HEADER_LEN;
}

size_t bond_build_ask(uint8_t out[FRAME_HEADER_LEN], bool wants_numbers)
{
	return put_header(out, BOND_ASK, 0, wants_numbers ? BOND_NUMBERS : 0);
}

size_t bond_build_got(uint8_t out[BOND_GOT_LEN], const struct bond_got *got)
{
	size_t n = put_header(out, BOND_GOT, BOND_GOT_BODY_LEN, got->number);

	bytes_put_u32(out + n, got->next);
	bytes_put_u64(out + n + 4, got->bytes);
	return n + BOND_GOT_BODY_LEN;
}

int bond_parse_got(const struct frame_header *h, const uint8_t *body,
		   struct bond_got *ret)
{
	if (h->len != BOND_GOT_BODY_LEN)
		return -EBADMSG;
	*ret = (struct bond_got){
		.number = h->id,
		.next = bytes_get_u32(body),
		.bytes = bytes_get_u64(body + 4),
	};
	return 0;
}

size_t bond_build_gone(uint8_t out[FRAME_HEADER_LEN], uint32_t number)
{
	return put_header(out, BOND_GONE, 0, number);
}

uint32_t bond_join_number(const uint8_t in[BOND_JOIN_LEN])
{
	return bytes_get_u32(in + 4);
}

size_t bond_build_join(uint8_t out[BOND_JOIN_LEN], enum bond_type type,
		       uint32_t number, const uint8_t token[BOND_TOKEN_LEN])
{
	size_t n = put_header(out, type, BOND_TOKEN_LEN, number);

	memcpy(out + n, token, BOND_TOKEN_LEN);
	return n + BOND_TOKEN_LEN;
}

static size_t put_path(uint8_t *out, const char *path)
{
	size_t len = strlen(path);

	assert_always(len <= BOND_PATH_MAX);
	out[0] = (uint8_t)len;
	for (size_t i = 0; i < len; i++)
		out[1 + i] = (uint8_t)path[i];
	return 1 + len;
}

size_t bond_build_offer(uint8_t out[BOND_OFFER_MAX], const struct bond_offer *o)
{
	size_t n = FRAME_HEADER_LEN;

	memcpy(out + n, o->token, BOND_TOKEN_LEN);
	n += BOND_TOKEN_LEN;
	n += put_path(out + n, o->path);
	n += put_path(out + n, o->helper);
	if (o->has_numbers)
		out[n++] = BOND_NUMBERS;
	(void)put_header(out, BOND_OFFER, n - FRAME_HEADER_LEN, 0);
	return n;
}

/* Returns the bytes taken, or 0. */
static size_t take_path(const uint8_t *at, size_t left,
			char ret_path[BOND_PATH_MAX + 1])
{
	if (left < 1 || at[0] > BOND_PATH_MAX || left - 1 < at[0])
		return 0;
	memcpy(ret_path, at + 1, at[0]);
	ret_path[at[0]] = '\0';
	if (at[0] > 0 &&
	    (strlen(ret_path) != at[0] || !bond_path_is_valid(ret_path)))
		return 0;
	return 1 + (size_t)at[0];
}

int bond_parse_offer(const uint8_t *body, size_t len, struct bond_offer *ret)
{
	struct bond_offer o;
	size_t at = BOND_TOKEN_LEN, n;

	if (len < BOND_TOKEN_LEN)
		return -EBADMSG;
	memcpy(o.token, body, BOND_TOKEN_LEN);
	n = take_path(body + at, len - at, o.path);
	at += n;
	if (n <= 1)
		return -EBADMSG;
	n = take_path(body + at, len - at, o.helper);
	at += n;
	if (n == 0 || len - at > 1 || (at < len && body[at] != BOND_NUMBERS))
		return -EBADMSG;
	o.has_numbers = at < len;
	*ret = o;
	return 0;
}
