/* SPDX-License-Identifier: MIT */
/*
 * fuzz_bond: chunks on three links, and offers.
 *
 * Input: pieces, each a byte that says on which link (bits 0-1; 3: an offer)
 * and how long (bits 2-7, times 4), then its bytes.  What a link does not take
 * is given again behind every other piece, as a carrier does.
 */
#include <stdlib.h>
#include <string.h>

#include "bond_rx.h"
#include "err.h"
#include "fuzz.h"

enum { N_LINKS = 3, KEPT_MAX = 4096 };

struct link {
	struct bond_rx_link rx;
	uint8_t kept[KEPT_MAX];
	size_t n_kept;
};

static void on_frame(void *ctx, const struct frame_header *h,
		     const uint8_t *body)
{
	uint32_t *sum = ctx;

	assert_always(h->len <= FRAME_BODY_MAX);
	for (uint32_t i = 0; i < h->len; i++)
		*sum += body[i];
}

static void check_offer(const uint8_t *bytes, size_t len)
{
	struct bond_offer o;
	uint8_t again[BOND_OFFER_MAX];

	if (bond_parse_offer(bytes, len, &o) < 0)
		return;
	assert_always(bond_path_is_valid(o.path));
	assert_always(!o.helper[0] || bond_path_is_valid(o.helper));
	assert_always(bond_build_offer(again, &o) == FRAME_HEADER_LEN + len);
	assert_always(memcmp(again + FRAME_HEADER_LEN, bytes, len) == 0);
}

/* In memory of their own.  Returns false when the peer is found out. */
static bool feed(struct bond_rx *rx, struct link *l, const uint8_t *bytes,
		 size_t len)
{
	uint8_t *copy = malloc(l->n_kept + len + 1);

	if (!copy || l->n_kept + len > KEPT_MAX) {
		free(copy);
		return false;
	}
	memcpy(copy, l->kept, l->n_kept);
	if (len > 0)
		memcpy(copy + l->n_kept, bytes, len);
	len += l->n_kept;
	ssize_t n = bond_rx_feed(rx, &l->rx, copy, len);
	if (n >= 0) {
		assert_always((size_t)n <= len);
		l->n_kept = len - (size_t)n;
		memcpy(l->kept, copy + n, l->n_kept);
		assert_always(l->n_kept == 0 || !bond_rx_is_due(rx, &l->rx));
	}
	free(copy);
	return n >= 0;
}

static bool feed_all(struct bond_rx *rx, struct link *links)
{
	for (int i = 0; i < N_LINKS; i++)
		if (links[i].n_kept > 0 && bond_rx_is_due(rx, &links[i].rx) &&
		    !feed(rx, &links[i], NULL, 0))
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bond_rx rx;
	static struct link links[N_LINKS];
	uint32_t sum = 0;

	bond_rx_init(&rx, on_frame, &sum);
	/* Links have numbers in half of the cases. */
	if (size > 0)
		rx.is_numbered = *data & 1;
	for (int i = 0; i < N_LINKS; i++) {
		bond_rx_link_init(&links[i].rx, i == 0);
		links[i].n_kept = 0;
	}
	while (size > 0) {
		uint8_t how = *data++;
		size_t len = how & 0xfc;

		size--;
		if (len > size)
			len = size;
		if ((how & 3) == N_LINKS)
			check_offer(data, len);
		else if (!feed(&rx, &links[how & 3], data, len) ||
			 !feed_all(&rx, links))
			break;
		data += len;
		size -= len;
	}
	assert_always(rx.stash_bytes <= BOND_STASH_MAX_BYTES);
	for (int i = 0; i < N_LINKS; i++)
		bond_rx_link_fini(&rx, &links[i].rx);
	bond_rx_fini(&rx);
	return 0;
}
