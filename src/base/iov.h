/* SPDX-License-Identifier: MIT */
/* iov: the bytes that an array of struct iovec describes. */
#ifndef ECSSH_IOV_H
#define ECSSH_IOV_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* How many there are. */
static inline size_t iov_total(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/* What is left of them. */
struct iov_cursor {
	const struct iovec *iov; /* borrowed */
	int n;
	size_t at; /* in iov[0] */
};

static inline void iov_cursor_skip_empty(struct iov_cursor *c)
{
	while (c->n > 0 && c->at == c->iov[0].iov_len) {
		c->iov++;
		c->n--;
		c->at = 0;
	}
}

/* Take the next bytes that lie in one piece, at most max.  Returns false if max
 * is 0 or nothing is left; n is 0 as soon as nothing is. */
static inline bool iov_cursor_next(struct iov_cursor *c, size_t max,
				   struct iovec *ret)
{
	iov_cursor_skip_empty(c);
	if (c->n == 0 || max == 0)
		return false;
	size_t len = c->iov[0].iov_len - c->at;

	if (len > max)
		len = max;
	*ret = (struct iovec){(char *)c->iov[0].iov_base + c->at, len};
	c->at += len;
	iov_cursor_skip_empty(c);
	return true;
}

#endif
