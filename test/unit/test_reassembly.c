/* SPDX-License-Identifier: MIT */
/* test_reassembly: fragments in every order, and those that do not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pkt_check.h"
#include "reassembly.h"
#include "reference.h"

enum {
	FRAME_LEN_MAX = REF_IP6_LEN + 400 + 8 + 65535,
	DATA_MAX = 65535,
};

/* ---- fragments of one known packet ---- */

/* What is to be fragmented: a UDP datagram of data_len bytes in all. */
struct whole {
	int version;
	uint32_t id;
	size_t data_len;
	uint8_t salt;	/* distinguishes the contents of packets */
	size_t ext_len; /* IPv6: destination options before the fragment header
			 */
};

static uint8_t byte_at(const struct whole *w, size_t offset)
{
	return (uint8_t)(w->salt + offset * 31 + (offset >> 8) * 17);
}

/* Data of the datagram at [offset, offset + len); the first 8 bytes are the UDP
 * header, with no checksum for IPv4 and a fixed-up one for IPv6 (see datagram).
 */
static uint8_t datagram[DATA_MAX];
static struct whole datagram_of;

static const uint8_t *datagram_bytes(const struct whole *w)
{
	uint8_t ip[REF_IP6_LEN];

	if (memcmp(&datagram_of, w, sizeof(*w)) == 0)
		return datagram;
	for (size_t i = 0; i < w->data_len; i++)
		datagram[i] = byte_at(w, i);
	if (w->data_len >= 8) {
		ref_put16(datagram, 1000);
		ref_put16(datagram + 2, 2000);
		ref_put16(datagram + 4, w->data_len);
		(void)ref_put_ip(ip, w->version, REF_UDP, 0);
		ref_fix_l4(ip, REF_UDP, datagram, w->data_len);
	}
	memcpy(&datagram_of, w, sizeof(*w));
	return datagram;
}

struct frag {
	size_t offset, len;
	bool more;
};

static uint8_t wire[FRAME_LEN_MAX];

/* Write the fragment to wire[].  Returns the length. */
static size_t make_fragment(const struct whole *w, struct frag f)
{
	const uint8_t *data = datagram_bytes(w);
	size_t at;

	if (w->version == 4) {
		at = ref_put_ip4(wire, REF_UDP, f.len);
		ref_put16(wire + 4, w->id);
		ref_put16(wire + 6, f.offset / 8 | (f.more ? 0x2000 : 0));
		ref_fix_ip4(wire);
	} else {
		at = ref_put_ip6(wire, 44, w->ext_len + 8 + f.len);
		if (w->ext_len > 0) {
			wire[6] = 60;
			memset(wire + at, 0, w->ext_len);
			wire[at] = 44;
			wire[at + 1] = (uint8_t)(w->ext_len / 8 - 1);
			at += w->ext_len;
		}
		wire[at] = REF_UDP;
		wire[at + 1] = 0;
		ref_put16(wire + at + 2, f.offset | f.more);
		ref_put32(wire + at + 4, w->id);
		at += 8;
	}
	for (size_t i = 0; i < f.len; i++)
		wire[at + i] =
			f.offset + i < w->data_len ? data[f.offset + i] : 0;
	return at + f.len;
}

struct result {
	enum drop_reason reason;
	const uint8_t *ip;
	size_t len;
	unsigned timed_out;
};

/* Push len bytes at wire[], from memory of their own. */
static struct result push_wire(struct reassembly *r, size_t len,
			       mono_us_t now_us)
{
	struct result result = {.len = 0};
	uint8_t *copy = malloc(len);
	struct pkt pkt;

	assert_non_null(copy);
	memcpy(copy, wire, len);
	assert_int_equal(pkt_parse_ip(copy, len, &pkt), DROP_NONE);
	pkt_check(&pkt, copy, len);
	assert_true(pkt.is_fragment);
	result.reason = reassembly_push(r, &pkt, now_us, &result.ip,
					&result.len, &result.timed_out);
	free(copy);
	if (result.reason != DROP_NONE)
		assert_null(result.ip);
	return result;
}

static struct result push(struct reassembly *r, const struct whole *w,
			  struct frag f, mono_us_t now_us)
{
	return push_wire(r, make_fragment(w, f), now_us);
}

static void assert_complete(const struct result *result, const struct whole *w)
{
	struct pkt pkt;

	assert_int_equal(result->reason, DROP_NONE);
	assert_non_null(result->ip);
	assert_int_equal(pkt_parse_ip(result->ip, result->len, &pkt),
			 DROP_NONE);
	pkt_check(&pkt, result->ip, result->len);
	assert_int_equal(pkt.ip_len, result->len);
	assert_false(pkt.is_fragment);
	assert_int_equal(pkt.proto, PKT_PROTO_UDP);
	assert_int_equal(pkt.l4_len, w->data_len);
	assert_memory_equal(pkt.l4, datagram_bytes(w), w->data_len);
	assert_int_equal(pkt.l4 - pkt.ip,
			 w->version == 4 ? 20 : 40 + (long)w->ext_len);
	assert_int_equal(pkt.ttl, 64);
}

static void assert_incomplete(const struct result *result)
{
	assert_int_equal(result->reason, DROP_NONE);
	assert_null(result->ip);
}

/* ---- orders ---- */

/* Cut a packet into pieces of `size` (a multiple of 8).  Returns how many. */
static size_t cut(const struct whole *w, size_t size, struct frag *ret_frags)
{
	size_t n = 0;

	for (size_t at = 0; at < w->data_len; at += size) {
		size_t left = w->data_len - at;

		ret_frags[n++] = (struct frag){at, left < size ? left : size,
					       left > size};
	}
	return n;
}

static void reassembly_rebuilds_in_any_order(void **state)
{
	/* all orders of four pieces */
	struct whole w = {.id = 1, .data_len = 3000};
	struct frag frags[8];

	(void)state;
	for (w.version = 4; w.version <= 6; w.version += 2)
		for (unsigned order = 0; order < 256; order++) {
			size_t turn[4] = {order & 3, order >> 2 & 3,
					  order >> 4 & 3, order >> 6};
			unsigned seen = 0;

			for (size_t i = 0; i < 4; i++)
				seen |= 1U << turn[i];
			if (seen != 15)
				continue;
			struct reassembly *r = reassembly_new();
			assert_int_equal(cut(&w, 800, frags), 4);
			for (size_t i = 0; i < 4; i++) {
				struct result result =
					push(r, &w, frags[turn[i]], 0);

				if (i < 3)
					assert_incomplete(&result);
				else
					assert_complete(&result, &w);
			}
			assert_null(reassembly_free(r));
		}
}

static void reassembly_rebuilds_every_size(void **state)
{
	static const size_t lens[] = {9,    16,	   17,	  1472,	 1473,
				      8192, 40000, 65507, 65514, 65515};
	static struct frag frags[1 << 13];
	struct whole w = {.id = 7};

	(void)state;
	for (w.version = 4; w.version <= 6; w.version += 2)
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			struct reassembly *r = reassembly_new();

			w.data_len = lens[i];
			size_t n = cut(&w, lens[i] > 1000 ? 1232 : 8, frags);
			for (size_t k = 0; k < n; k++) {
				struct result result = push(r, &w, frags[k], 0);

				if (k + 1 < n)
					assert_incomplete(&result);
				else
					assert_complete(&result, &w);
			}
			(void)reassembly_free(r);
		}
}

static void reassembly_keeps_headers_of_the_first_fragment(void **state)
{
	static const size_t ext_lens[] = {8, 16, 216};
	struct whole w = {.version = 6, .id = 9, .data_len = 100};
	struct result result;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct reassembly *r = reassembly_new();

		w.ext_len = ext_lens[i];
		result = push(r, &w, (struct frag){96, 4, false}, 0);
		assert_incomplete(&result);
		result = push(r, &w, (struct frag){0, 96, true}, 0);
		assert_complete(&result, &w);
		assert_int_equal(result.ip[6], 60);
		assert_int_equal(result.ip[40], REF_UDP);
		(void)reassembly_free(r);
	}
	/* IPv4: type of service, time to live, DF and options of the first. */
	struct reassembly *r = reassembly_new();
	w = (struct whole){.version = 4, .id = 9, .data_len = 24};
	result = push(r, &w, (struct frag){16, 8, false}, 0);
	assert_incomplete(&result);
	size_t len = make_fragment(&w, (struct frag){0, 16, true});
	memmove(wire + 24, wire + 20, 16);
	memset(wire + 20, 1, 4);
	wire[0] = 0x46;
	wire[1] = 0xb8;
	ref_put16(wire + 2, len + 4);
	ref_put16(wire + 6, 0x6000);
	wire[8] = 5;
	ref_fix_ip4(wire);
	result = push_wire(r, len + 4, 0);
	struct pkt pkt;
	assert_int_equal(pkt_parse_ip(result.ip, result.len, &pkt), DROP_NONE);
	assert_int_equal(pkt.ip_len, 48);
	assert_int_equal(pkt.tos, 0xb8);
	assert_int_equal(pkt.ttl, 5);
	assert_true(pkt.df);
	assert_int_equal(pkt.payload_len, 16);
	(void)reassembly_free(r);
}

static void reassembly_forgets_a_packet_once_complete(void **state)
{
	struct whole w = {.version = 4, .id = 3, .data_len = 24};
	struct reassembly *r = reassembly_new();

	(void)state;
	for (int i = 0; i < 300; i++) { /* more than it has places for */
		struct result result =
			push(r, &w, (struct frag){0, 16, true}, 0);
		assert_incomplete(&result);
		result = push(r, &w, (struct frag){16, 8, false}, 0);
		assert_complete(&result, &w);
		assert_int_equal(result.timed_out, 0);
	}
	(void)reassembly_free(r);
}

/* ---- what does not fit: scripts of fragments of one packet ---- */

struct step {
	struct frag frag;
	enum drop_reason reason;
	bool is_complete;
};

struct script {
	const char *what;
	size_t data_len;
	struct step steps[6]; /* until a length of 0 */
};

#define OK  DROP_NONE, false
#define END DROP_NONE, true

static const struct script scripts[] = {
	{"duplicate of the first",
	 32,
	 {{{0, 16, true}, OK}, {{0, 16, true}, OK}, {{16, 16, false}, END}}},
	{"duplicate of the last",
	 32,
	 {{{16, 16, false}, OK}, {{16, 16, false}, OK}, {{0, 16, true}, END}}},
	{"overlap of one block at the start",
	 40,
	 {{{0, 16, true}, OK},
	  {{8, 16, true}, DROP_FRAGMENT_OVERLAP, false},
	  {{24, 16, false}, DROP_FRAGMENT_OVERLAP, false}}},
	{"overlap at the end",
	 40,
	 {{{16, 24, false}, OK},
	  {{0, 24, true}, DROP_FRAGMENT_OVERLAP, false}}},
	{"part of another",
	 40,
	 {{{0, 32, true}, OK}, {{8, 8, true}, DROP_FRAGMENT_OVERLAP, false}}},
	{"same start, shorter",
	 40,
	 {{{0, 32, true}, OK}, {{0, 8, true}, DROP_FRAGMENT_OVERLAP, false}}},
	{"same end, shorter",
	 40,
	 {{{0, 32, true}, OK}, {{24, 8, true}, DROP_FRAGMENT_OVERLAP, false}}},
	{"around another",
	 40,
	 {{{8, 8, true}, OK}, {{0, 32, true}, DROP_FRAGMENT_OVERLAP, false}}},
	{"the same but not last",
	 32,
	 {{{16, 16, false}, OK},
	  {{16, 16, true}, DROP_FRAGMENT_OVERLAP, false}}},
	{"the same but last",
	 32,
	 {{{8, 16, true}, OK}, {{8, 16, false}, DROP_FRAGMENT_OVERLAP, false}}},
	{"condemned for good",
	 32,
	 {{{0, 16, true}, OK},
	  {{8, 16, true}, DROP_FRAGMENT_OVERLAP, false},
	  {{0, 16, true}, DROP_FRAGMENT_OVERLAP, false},
	  {{16, 16, false}, DROP_FRAGMENT_OVERLAP, false}}},
	{"last, then beyond it",
	 64,
	 {{{16, 8, false}, OK},
	  {{24, 8, true}, DROP_BAD_LENGTH, false},
	  {{0, 16, true}, DROP_BAD_LENGTH, false}}},
	{"beyond, then last",
	 64,
	 {{{24, 8, true}, OK}, {{8, 8, false}, DROP_BAD_LENGTH, false}}},
	{"just beyond, then last",
	 64,
	 {{{16, 8, true}, OK}, {{8, 8, false}, DROP_BAD_LENGTH, false}}},
	{"two lasts, the second longer",
	 64,
	 {{{16, 8, false}, OK}, {{24, 8, false}, DROP_BAD_LENGTH, false}}},
	{"two lasts, the second shorter",
	 64,
	 {{{16, 8, false}, OK}, {{8, 8, false}, DROP_BAD_LENGTH, false}}},
	{"not last, of 12 bytes",
	 64,
	 {{{0, 12, true}, DROP_BAD_LENGTH, false},
	  {{16, 16, false}, DROP_BAD_LENGTH, false}}},
	{"not last, of 17 bytes",
	 64,
	 {{{8, 17, true}, DROP_BAD_LENGTH, false}}},
	{"last of one byte", 17, {{{16, 1, false}, OK}, {{0, 16, true}, END}}},
	{"data up to 65535",
	 DATA_MAX,
	 {{{65528, 7, false}, OK}, {{65520, 8, true}, OK}}},
	{"data beyond 65535",
	 DATA_MAX,
	 {{{65528, 8, false}, DROP_BAD_LENGTH, false}}},
	{"data far beyond 65535",
	 DATA_MAX,
	 {{{65528, 1400, true}, DROP_BAD_LENGTH, false}}},
	{"first with a header and no more",
	 32,
	 {{{8, 24, false}, OK}, {{0, 8, true}, END}}},
};

static void reassembly_plays_the_scripts(void **state)
{
	struct whole w = {.id = 5};

	(void)state;
	for (w.version = 4; w.version <= 6; w.version += 2)
		for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts);
		     i++) {
			const struct script *s = &scripts[i];
			struct reassembly *r = reassembly_new();

			w.data_len = s->data_len;
			for (const struct step *step = s->steps;
			     step->frag.len > 0; step++) {
				struct result result =
					push(r, &w, step->frag, 0);

				if (result.reason != step->reason ||
				    !!result.ip != step->is_complete)
					fail_msg(
						"%s, IPv%d, step %td: %s%s",
						s->what, w.version,
						step - s->steps,
						drop_reason_name(result.reason),
						result.ip ? ", complete" : "");
				if (result.ip)
					assert_complete(&result, &w);
			}
			(void)reassembly_free(r);
		}
}

static void reassembly_refuses_a_packet_longer_than_ip_allows(void **state)
{
	struct whole w = {.version = 4, .id = 5, .data_len = 65516};
	struct reassembly *r = reassembly_new();

	(void)state;
	/* 65516 bytes of data fit 16 bits, but not with an IPv4 header. */
	struct result result = push(r, &w, (struct frag){0, 40000, true}, 0);
	assert_incomplete(&result);
	result = push(r, &w, (struct frag){40000, 25516, false}, 0);
	assert_int_equal(result.reason, DROP_BAD_LENGTH);

	/* For IPv6 the options count, the header does not. */
	w = (struct whole){.version = 6, .id = 6, .data_len = 65535};
	result = push(r, &w, (struct frag){0, 40000, true}, 0);
	assert_incomplete(&result);
	result = push(r, &w, (struct frag){40000, 25535, false}, 0);
	assert_complete(&result, &w);
	w = (struct whole){
		.version = 6, .id = 7, .data_len = 65528, .ext_len = 8};
	result = push(r, &w, (struct frag){0, 40000, true}, 0);
	assert_incomplete(&result);
	result = push(r, &w, (struct frag){40000, 25528, false}, 0);
	assert_int_equal(result.reason, DROP_BAD_LENGTH);
	(void)reassembly_free(r);
}

static void reassembly_refuses_empty_fragments(void **state)
{
	struct whole w = {.version = 4, .id = 5, .data_len = 32};
	struct reassembly *r = reassembly_new();

	(void)state;
	struct result result = push(r, &w, (struct frag){16, 0, true}, 0);
	assert_int_equal(result.reason, DROP_BAD_LENGTH);
	w.id = 6;
	result = push(r, &w, (struct frag){16, 0, false}, 0);
	assert_int_equal(result.reason, DROP_BAD_LENGTH);
	(void)reassembly_free(r);
}

static void reassembly_refuses_a_split_header_chain(void **state)
{
	/* protocol, what the first fragment begins with, outcome */
	static const struct {
		int version;
		uint8_t proto, len, begin[2];
		enum drop_reason reason;
	} cases[] = {
		{4, REF_TCP, 16, {0, 0}, DROP_TRUNCATED},
		{4, REF_TCP, 24, {0, 0}, DROP_NONE},
		{4, REF_UDP, 8, {0, 0}, DROP_NONE},
		{4, REF_ICMP, 8, {0, 0}, DROP_NONE},
		{4, 132, 8, {0, 0}, DROP_NONE},
		{6, REF_TCP, 16, {0, 0}, DROP_TRUNCATED},
		{6, REF_TCP, 24, {0, 0}, DROP_NONE},
		{6, REF_ICMP6, 8, {0, 0}, DROP_NONE},
		{6, 60, 8, {REF_UDP, 0}, DROP_TRUNCATED},
		{6, 60, 16, {REF_UDP, 0}, DROP_NONE},
		{6, 60, 8, {59, 0}, DROP_NONE},
		{6, 60, 16, {REF_UDP, 2}, DROP_BAD_OPTION},
		{6, 60, 24, {REF_TCP, 0}, DROP_TRUNCATED},
		{6, 0, 24, {REF_UDP, 0}, DROP_BAD_OPTION},
		{6, 44, 24, {REF_UDP, 0}, DROP_BAD_OPTION},
		{6, 60, 24, {44, 0}, DROP_BAD_OPTION},
	};
	struct whole w = {.data_len = 64};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reassembly *r = reassembly_new();

		w.version = cases[i].version;
		size_t len =
			make_fragment(&w, (struct frag){0, cases[i].len, true});
		size_t l4 = w.version == 4 ? 20 : 48;
		wire[w.version == 4 ? 9 : 40] = cases[i].proto;
		memset(wire + l4, 0, cases[i].len);
		memcpy(wire + l4, cases[i].begin, 2);
		if (w.version == 4)
			ref_fix_ip4(wire);
		struct result result = push_wire(r, len, 0);
		if (result.reason != cases[i].reason)
			fail_msg("case %zu: %s", i,
				 drop_reason_name(result.reason));
		(void)reassembly_free(r);
	}
}

static void reassembly_refuses_headers_beyond_its_room(void **state)
{
	struct whole w = {.version = 6, .id = 1, .data_len = 32};
	struct reassembly *r = reassembly_new();

	(void)state;
	w.ext_len = 224;
	struct result result = push(r, &w, (struct frag){0, 16, true}, 0);
	assert_int_equal(result.reason, DROP_FRAGMENT_LIMIT);
	(void)reassembly_free(r);
}

/* ---- telling packets apart ---- */

static void reassembly_never_mixes_packets(void **state)
{
	struct whole a = {.version = 4, .id = 1, .data_len = 32, .salt = 1};
	struct whole others[] = {a, a, a};
	struct reassembly *r = reassembly_new();

	(void)state;
	others[0].id = 2;
	others[1].version = 6;
	others[2].version = 6;
	others[2].id = 0x10001; /* IPv6 has 32 bits of it */
	struct result result = push(r, &a, (struct frag){0, 16, true}, 0);
	assert_incomplete(&result);
	for (size_t i = 0; i < 3; i++) {
		others[i].salt = (uint8_t)(100 + i);
		result = push(r, &others[i], (struct frag){16, 16, false}, 0);
		assert_incomplete(&result);
	}
	/* another protocol, another address */
	size_t len = make_fragment(&a, (struct frag){16, 16, false});
	wire[9] = REF_TCP;
	ref_fix_ip4(wire);
	result = push_wire(r, len, 0);
	assert_incomplete(&result);
	len = make_fragment(&a, (struct frag){16, 16, false});
	wire[15] ^= 2;
	ref_fix_ip4(wire);
	result = push_wire(r, len, 0);
	assert_incomplete(&result);
	len = make_fragment(&a, (struct frag){16, 16, false});
	wire[19] ^= 1;
	ref_fix_ip4(wire);
	result = push_wire(r, len, 0);
	assert_incomplete(&result);

	result = push(r, &a, (struct frag){16, 16, false}, 0);
	assert_complete(&result, &a);
	for (size_t i = 0; i < 3; i++) {
		result = push(r, &others[i], (struct frag){0, 16, true}, 0);
		assert_complete(&result, &others[i]);
	}
	(void)reassembly_free(r);
}

/* ---- bounds ---- */

static void reassembly_times_out_after_exactly_its_time(void **state)
{
	const mono_us_t timeout_us = REASSEMBLY_TIMEOUT_S * US_PER_SEC;
	struct whole w = {.version = 4, .id = 1, .data_len = 32};
	struct reassembly *r = reassembly_new();

	(void)state;
	struct result result = push(r, &w, (struct frag){0, 16, true}, 1000);
	result = push(r, &w, (struct frag){16, 16, false},
		      1000 + timeout_us - 1);
	assert_complete(&result, &w);
	assert_int_equal(result.timed_out, 0);

	result = push(r, &w, (struct frag){0, 16, true}, 1000);
	result = push(r, &w, (struct frag){16, 16, false}, 1000 + timeout_us);
	assert_incomplete(&result);
	assert_int_equal(result.timed_out, 1);
	(void)reassembly_free(r);
}

static void reassembly_counts_a_condemned_packet_once(void **state)
{
	const mono_us_t timeout_us = REASSEMBLY_TIMEOUT_S * US_PER_SEC;
	struct whole w = {.version = 6, .id = 1, .data_len = 32};
	struct reassembly *r = reassembly_new();

	(void)state;
	struct result result = push(r, &w, (struct frag){0, 16, true}, 0);
	result = push(r, &w, (struct frag){8, 16, true}, 0);
	assert_int_equal(result.reason, DROP_FRAGMENT_OVERLAP);
	result = push(r, &w, (struct frag){16, 16, false}, timeout_us - 1);
	assert_int_equal(result.reason, DROP_FRAGMENT_OVERLAP);
	/* After its time the same number may be used again. */
	result = push(r, &w, (struct frag){0, 16, true}, timeout_us);
	assert_incomplete(&result);
	assert_int_equal(result.timed_out, 0);
	result = push(r, &w, (struct frag){16, 16, false}, timeout_us);
	assert_complete(&result, &w);
	(void)reassembly_free(r);
}

static void reassembly_lets_the_oldest_yield(void **state)
{
	struct whole w = {.version = 4, .data_len = 32};
	struct reassembly *r = reassembly_new();
	struct result result;

	(void)state;
	for (w.id = 0; w.id < REASSEMBLY_PACKETS_MAX; w.id++) {
		result = push(r, &w, (struct frag){0, 16, true}, 1000 + w.id);
		assert_incomplete(&result);
		assert_int_equal(result.timed_out, 0);
	}
	result = push(r, &w, (struct frag){0, 16, true}, 2000);
	assert_int_equal(result.timed_out, 1);
	/* All but number 0 are still there. */
	for (w.id = 1; w.id <= REASSEMBLY_PACKETS_MAX; w.id++) {
		result = push(r, &w, (struct frag){16, 16, false}, 2000);
		assert_complete(&result, &w);
	}
	w.id = 0;
	result = push(r, &w, (struct frag){16, 16, false}, 2000);
	assert_incomplete(&result);
	(void)reassembly_free(r);
}

static void reassembly_bounds_fragments_of_a_packet(void **state)
{
	struct whole w = {.version = 4, .id = 1, .data_len = 8 * 129};
	struct reassembly *r = reassembly_new();
	struct result result;

	(void)state;
	for (size_t i = 0; i < 128; i++) {
		result = push(r, &w, (struct frag){i * 8, 8, true}, 0);
		assert_incomplete(&result);
	}
	result = push(r, &w, (struct frag){128 * 8, 8, false}, 0);
	assert_int_equal(result.reason, DROP_FRAGMENT_LIMIT);
	(void)reassembly_free(r);
}

static void reassembly_bounds_bytes_of_all_packets(void **state)
{
	struct whole w = {.version = 4, .data_len = 65507};
	struct reassembly *r = reassembly_new();
	unsigned n_gone = 0;

	(void)state;
	/* Buffers as large as can be: 64 of them exceed 4 MiB by little. */
	for (w.id = 0; w.id < REASSEMBLY_PACKETS_MAX; w.id++) {
		struct result result =
			push(r, &w, (struct frag){65496, 11, false}, w.id);
		assert_incomplete(&result);
		n_gone += result.timed_out;
	}
	assert_int_equal(n_gone, 1); /* number 0 */
	for (w.id = 1; w.id < REASSEMBLY_PACKETS_MAX; w.id++) {
		struct result result =
			push(r, &w, (struct frag){0, 65496, true}, 100);
		assert_complete(&result, &w);
	}
	(void)reassembly_free(r);
}

static void reassembly_free_accepts_null(void **state)
{
	(void)state;
	assert_null(reassembly_free(NULL));
}

/* ---- anything at all ---- */

/* Packets of both versions cut at random, their pieces shuffled together, some
 * sent twice: all complete, none mixed. */
static void reassembly_rebuilds_many_packets_in_random_order(void **state)
{
	enum { PACKETS = 20, PIECES_MAX = 100 };
	struct rng rng = rng_init("reassembly");

	(void)state;
	for (int round = 0; round < 20; round++) {
		static struct {
			size_t packet;
			struct frag frag;
		} pieces[PACKETS * PIECES_MAX * 2], swap;
		struct whole packets[PACKETS];
		bool is_complete[PACKETS] = {false};
		size_t n = 0;
		struct reassembly *r = reassembly_new();

		memset(packets, 0, sizeof(packets));
		for (size_t i = 0; i < PACKETS; i++) {
			struct whole *w = &packets[i];
			size_t at = 0;

			w->version = rng_below(&rng, 2) ? 4 : 6;
			w->id = (uint32_t)i;
			w->data_len = 17 + rng_below(&rng, 9000);
			w->salt = (uint8_t)rng_next(&rng);
			while (at < w->data_len) {
				size_t len = 8 + 8 * rng_below(&rng, 200);
				size_t left = w->data_len - at;
				bool more = len < left;
				/* never the whole packet at once */
				if (at == 0 && !more)
					len = 8, more = true;
				struct frag f = {at, more ? len : left, more};
				pieces[n].packet = i;
				pieces[n++].frag = f;
				if (rng_below(&rng, 10) == 0) {
					pieces[n].packet = i;
					pieces[n++].frag = f;
				}
				at += f.len;
			}
		}
		for (size_t i = n - 1; i > 0; i--) {
			size_t k = rng_below(&rng, i + 1);

			swap = pieces[i];
			pieces[i] = pieces[k];
			pieces[k] = swap;
		}
		for (size_t i = 0; i < n; i++) {
			const struct whole *w = &packets[pieces[i].packet];
			struct result result = push(r, w, pieces[i].frag, i);

			assert_int_equal(result.reason, DROP_NONE);
			if (result.ip) {
				assert_complete(&result, w);
				is_complete[pieces[i].packet] = true;
			}
		}
		for (size_t i = 0; i < PACKETS; i++)
			assert_true(is_complete[i]);
		(void)reassembly_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reassembly_rebuilds_in_any_order),
		cmocka_unit_test(reassembly_rebuilds_every_size),
		cmocka_unit_test(
			reassembly_keeps_headers_of_the_first_fragment),
		cmocka_unit_test(reassembly_forgets_a_packet_once_complete),
		cmocka_unit_test(reassembly_plays_the_scripts),
		cmocka_unit_test(
			reassembly_refuses_a_packet_longer_than_ip_allows),
		cmocka_unit_test(reassembly_refuses_empty_fragments),
		cmocka_unit_test(reassembly_refuses_a_split_header_chain),
		cmocka_unit_test(reassembly_refuses_headers_beyond_its_room),
		cmocka_unit_test(reassembly_never_mixes_packets),
		cmocka_unit_test(reassembly_times_out_after_exactly_its_time),
		cmocka_unit_test(reassembly_counts_a_condemned_packet_once),
		cmocka_unit_test(reassembly_lets_the_oldest_yield),
		cmocka_unit_test(reassembly_bounds_fragments_of_a_packet),
		cmocka_unit_test(reassembly_bounds_bytes_of_all_packets),
		cmocka_unit_test(reassembly_free_accepts_null),
		cmocka_unit_test(
			reassembly_rebuilds_many_packets_in_random_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
