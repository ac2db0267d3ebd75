/* SPDX-License-Identifier: MIT */
/*
 * fuzz_reassembly: sequences of fragments.
 *
 * Input: records of
 *     u8   bits 0-1 identification, 2 IPv6, 3 more fragments, 4-5 time that
 *          passes (in steps of 11 s), 6 contents changed, 7 raw packet
 *     u16  offset in units of 8 bytes
 *     u16  length of the data
 * A raw packet's bytes follow, as many as the length says; its IPv4 header
 * checksum is corrected.  Other fragments are of four imagined packets, one for
 * each identification, whose every byte is known: what comes out complete must
 * have all of them at their places.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "pkt_check.h"
#include "reassembly.h"
#include "reference.h"

enum {
	RECORD_LEN = 5,
	RECORDS_MAX = 400,
	DATA_LEN_MAX = 65535,
	IMAGINED_LEN = 65528 + DATA_LEN_MAX, /* offsets go beyond what is legal
					      */
};

enum record_bit {
	RECORD_ID = 0x03,
	RECORD_IP6 = 0x04,
	RECORD_MORE = 0x08,
	RECORD_SECONDS = 0x30,
	RECORD_NONSENSE = 0x40,
	RECORD_RAW = 0x80,
};

struct run {
	struct reassembly *r;
	mono_us_t now_us;
	bool had_nonsense; /* contents can no longer be predicted */
};

/* The packet of an identification: what lies at each offset. */
static const uint8_t *contents_of(uint8_t id)
{
	static uint8_t contents[RECORD_ID + 1][IMAGINED_LEN];
	static bool is_filled;

	for (size_t k = 0; !is_filled && k <= RECORD_ID; k++)
		for (size_t i = 0; i < IMAGINED_LEN; i++)
			contents[k][i] =
				(uint8_t)(k * 59 + i * 31 + (i >> 8) * 17);
	is_filled = true;
	return contents[id];
}

static void push(struct run *run, const uint8_t *ip, size_t len)
{
	const uint8_t *whole;
	struct pkt pkt, again;
	unsigned timed_out = 0;
	size_t whole_len;

	if (pkt_parse_ip(ip, len, &pkt) != DROP_NONE)
		return;
	pkt_check(&pkt, ip, len);
	if (!pkt.is_fragment)
		return;
	uint8_t id = pkt.frag_id & RECORD_ID;
	enum drop_reason reason = reassembly_push(
		run->r, &pkt, run->now_us, &whole, &whole_len, &timed_out);
	assert_always(timed_out <= REASSEMBLY_PACKETS_MAX);
	if (reason != DROP_NONE) {
		assert_always(!whole);
		return;
	}
	if (!whole)
		return;
	assert_always(whole_len <= PKT_IP6_MAX);
	reason = pkt_parse_ip(whole, whole_len, &again);
	/* Its transport header may be wrong, its IP header is not. */
	assert_always(reason != DROP_BAD_VERSION && reason != DROP_BAD_SOURCE);
	if (reason != DROP_NONE)
		return;
	pkt_check(&again, whole, whole_len);
	assert_always(!again.is_fragment);
	assert_always(again.ip_len == whole_len);
	assert_always(addr_equal(&again.src, &pkt.src));
	assert_always(addr_equal(&again.dst, &pkt.dst));
	if (!run->had_nonsense)
		assert_always(memcmp(again.l4, contents_of(id), again.l4_len) ==
			      0);
}

/* A fragment as the record says, of a protocol without header of its own. */
static void push_made(struct run *run, uint8_t bits, size_t offset, size_t len)
{
	static uint8_t ip[REF_IP6_LEN + 8 + DATA_LEN_MAX];
	uint8_t id = bits & RECORD_ID;
	bool more = bits & RECORD_MORE;
	size_t at;

	if (bits & RECORD_IP6) {
		if (len > DATA_LEN_MAX - 8)
			return;
		at = ref_put_ip6(ip, 44, 8 + len);
		ip[at] = 253; /* for experiments, RFC 3692 */
		ip[at + 1] = 0;
		ref_put16(ip + at + 2, (offset * 8 & 0xfff8) | more);
		ref_put32(ip + at + 4, id);
		at += 8;
	} else {
		if (len > DATA_LEN_MAX - REF_IP4_LEN)
			return;
		at = ref_put_ip4(ip, 253, len);
		ref_put16(ip + 4, id);
		ref_put16(ip + 6, (offset & 0x1fff) | (more ? 0x2000 : 0));
		ref_fix_ip4(ip);
	}
	memcpy(ip + at, contents_of(id) + (offset & 0x1fff) * 8, len);
	if ((bits & RECORD_NONSENSE) && len > 0) {
		ip[at] ^= 0xff;
		run->had_nonsense = true;
	}
	push(run, ip, at + len);
}

static void push_raw(struct run *run, const uint8_t *bytes, size_t len)
{
	uint8_t *ip = malloc(len ? len : 1);

	if (!ip)
		return;
	memcpy(ip, bytes, len);
	if (len >= REF_IP4_LEN && ip[0] >> 4 == 4 &&
	    len >= (size_t)(ip[0] & 15) * 4)
		ref_fix_ip4(ip);
	run->had_nonsense = true;
	push(run, ip, len);
	free(ip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = {.r = reassembly_new()};

	for (size_t n = 0; run.r && n < RECORDS_MAX && size >= RECORD_LEN;
	     n++) {
		uint8_t bits = data[0];
		size_t offset = ref_get16(data + 1);
		size_t len = ref_get16(data + 3);

		data += RECORD_LEN;
		size -= RECORD_LEN;
		run.now_us += (bits & RECORD_SECONDS) / 16U * 11 * US_PER_SEC;
		if (bits & RECORD_RAW) {
			if (len > size)
				len = size;
			push_raw(&run, data, len);
			data += len;
			size -= len;
		} else {
			push_made(&run, bits, offset, len);
		}
	}
	run.r = reassembly_free(run.r);
	return 0;
}
