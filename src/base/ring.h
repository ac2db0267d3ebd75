/* SPDX-License-Identifier: MIT */
/*
 * ring: the bytes of a stream between two absolute offsets.
 *
 * Holds [start, end) of an endless byte sequence, growing as needed.  A byte
 * keeps its offset for life, so what TCP calls a sequence number and what the
 * session calls an offset both name it without translation.
 */
#ifndef ECSSH_RING_H
#define ECSSH_RING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct ring {
	uint8_t *data;	/* owned, cap bytes, or NULL while cap is 0 */
	size_t cap;	/* 0 or a power of two */
	uint64_t start; /* offset of the first byte held */
	uint64_t end;	/* offset behind the last byte held */
};

static inline size_t ring_len(const struct ring *r)
{
	return (size_t)(r->end - r->start);
}

/* Release the storage; offsets stay. */
void ring_fini(struct ring *r);

/*
 * Make room for n more bytes behind end and describe it in one or two parts.
 * Returns the number of parts, or -ENOMEM.  ring_commit makes them part of the
 * ring.  May move the storage: earlier iovecs are void.
 */
int ring_reserve(struct ring *r, size_t n, struct iovec ret_iov[2]);

/* Count the first n bytes of the last reservation as held. */
void ring_commit(struct ring *r, size_t n);

/* Copy n bytes in behind end.  Returns 0 or -ENOMEM. */
int ring_push(struct ring *r, const void *bytes, size_t n);

/* Copy in what n parts hold behind their first `skip` bytes, at most all: what
 * a write did not take.  Returns 0 or -ENOMEM; then some may be in. */
int ring_push_rest(struct ring *r, const struct iovec *iov, int n, size_t skip);

/* Count n bytes that went by an empty ring. */
void ring_skip(struct ring *r, size_t n);

/* Describe [from, from + n), which must be held, in one or two parts.  Returns
 * their number (0 if n is 0). */
int ring_peek(const struct ring *r, uint64_t from, size_t n,
	      struct iovec ret_iov[2]);

/* Let go of all bytes before offset `to`, start <= to <= end.  An emptied
 * ring keeps its storage: see ring_trim. */
void ring_drop(struct ring *r, uint64_t to);

/* Give an empty ring's storage back.  Returns the bytes released. */
size_t ring_trim(struct ring *r);

#endif
