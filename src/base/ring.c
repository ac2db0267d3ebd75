/* SPDX-License-Identifier: MIT */
/* ring: the bytes of a stream between two absolute offsets. */
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

enum { RING_CAP_MIN = 2048 };

void ring_fini(struct ring *r)
{
	free(r->data);
	r->data = NULL;
	r->cap = 0;
}

/* Describe n bytes of storage from offset `from`, held or not. */
static int describe(const struct ring *r, uint64_t from, size_t n,
		    struct iovec ret_iov[2])
{
	if (n == 0)
		return 0;
	size_t at = (size_t)from & (r->cap - 1);
	size_t first = n < r->cap - at ? n : r->cap - at;

	ret_iov[0] = (struct iovec){r->data + at, first};
	if (first == n)
		return 1;
	ret_iov[1] = (struct iovec){r->data, n - first};
	return 2;
}

static int grow(struct ring *r, size_t need)
{
	size_t cap = r->cap ? r->cap : RING_CAP_MIN;
	struct iovec old[2];

	while (cap < need)
		cap *= 2;
	struct ring bigger = {malloc(cap), cap, r->start, r->start};
	if (!bigger.data)
		return -ENOMEM;
	int parts = describe(r, r->start, ring_len(r), old);
	for (int i = 0; i < parts; i++)
		(void)ring_push(&bigger, old[i].iov_base, old[i].iov_len);
	free(r->data);
	*r = bigger;
	return 0;
}

int ring_reserve(struct ring *r, size_t n, struct iovec ret_iov[2])
{
	if (ring_len(r) + n > r->cap) {
		int err = grow(r, ring_len(r) + n);
		if (err < 0)
			return err;
	}
	return describe(r, r->end, n, ret_iov);
}

void ring_commit(struct ring *r, size_t n)
{
	assert_always(ring_len(r) + n <= r->cap);
	r->end += n;
}

int ring_push(struct ring *r, const void *bytes, size_t n)
{
	struct iovec iov[2];
	const uint8_t *from = bytes;
	int parts = ring_reserve(r, n, iov);

	if (parts < 0)
		return parts;
	for (int i = 0; i < parts; i++) {
		memcpy(iov[i].iov_base, from, iov[i].iov_len);
		from += iov[i].iov_len;
	}
	ring_commit(r, n);
	return 0;
}

int ring_push_rest(struct ring *r, const struct iovec *iov, int n, size_t skip)
{
	for (int i = 0; i < n; i++) {
		size_t len = iov[i].iov_len, here = skip < len ? skip : len;
		int err = ring_push(r, (const uint8_t *)iov[i].iov_base + here,
				    len - here);

		if (err < 0)
			return err;
		skip -= here;
	}
	return 0;
}

int ring_peek(const struct ring *r, uint64_t from, size_t n,
	      struct iovec ret_iov[2])
{
	assert_always(from >= r->start && from + n <= r->end);
	return describe(r, from, n, ret_iov);
}

void ring_drop(struct ring *r, uint64_t to)
{
	assert_always(to >= r->start && to <= r->end);
	r->start = to;
}

void ring_skip(struct ring *r, size_t n)
{
	assert_always(ring_len(r) == 0);
	r->start = r->end += n;
}

size_t ring_trim(struct ring *r)
{
	size_t released = r->cap;

	if (ring_len(r) > 0)
		return 0;
	ring_fini(r);
	return released;
}
