/* SPDX-License-Identifier: MIT */
/*
 * fuzz_subnet: subnets as people type them, and the taking out of holes.
 *
 * Input: lines.  Each is parsed; what parses goes, by turns, to the list of
 * subnets and to that of holes.  The remainder is compared with the obvious
 * definition at the edges of everything named.
 */
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "err.h"
#include "fuzz.h"

enum {
	LINE_LEN_MAX = 200,
	SUBNETS_MAX = 6,
	REMAINDER_MAX = 1000,
};

struct list {
	struct subnet nets[SUBNETS_MAX];
	size_t n;
};

/* Parse a line; if it is a subnet see that its text means the same. */
static bool parse(const char *line, struct subnet *ret)
{
	char text[SUBNET_TEXT_MAX];
	bool had_host_bits;
	struct subnet again;
	struct err err = {.text = ""};

	if (subnet_parse(line, ret, &had_host_bits, &err) < 0) {
		assert_always(err.text[0] != '\0');
		for (const char *p = err.text; *p; p++)
			assert_always((unsigned char)*p >= 0x20 && *p != 0x7f);
		return false;
	}
	assert_always(ret->addr.version == IPV4 || ret->addr.version == IPV6);
	assert_always(ret->prefix_len <= addr_len_bits(&ret->addr));
	assert_always(subnet_contains(ret, &ret->addr));
	assert_always(subnet_covers(ret, ret));
	assert_always(subnet_parse(subnet_format(ret, text), &again,
				   &had_host_bits, NULL) == 0);
	assert_always(!had_host_bits);
	assert_always(addr_equal(&again.addr, &ret->addr));
	assert_always(again.prefix_len == ret->prefix_len);
	return true;
}

static bool any_contains(const struct subnet *nets, size_t n,
			 const struct ip_addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (subnet_contains(&nets[i], a))
			return true;
	return false;
}

/* The address before (step -1) or behind (step 1) a; wraps. */
static struct ip_addr neighbour(const struct ip_addr *a, int step)
{
	struct ip_addr b = *a;

	for (size_t i = addr_len_bytes(a); i-- > 0;) {
		uint8_t wrap = step > 0 ? 0 : 0xff;

		b.bytes[i] = (uint8_t)(b.bytes[i] + step);
		if (b.bytes[i] != wrap)
			break;
	}
	return b;
}

static struct ip_addr last_of(const struct subnet *s)
{
	struct ip_addr a = s->addr;

	for (size_t bit = s->prefix_len; bit < addr_len_bits(&a); bit++)
		a.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return a;
}

static void check_address(const struct list *wanted, const struct list *holes,
			  const struct subnet *rest, size_t n_rest,
			  const struct ip_addr *a)
{
	bool is_wanted = any_contains(wanted->nets, wanted->n, a) &&
			 !any_contains(holes->nets, holes->n, a);

	assert_always(any_contains(rest, n_rest, a) == is_wanted);
}

/* Check the addresses at and around both ends of each subnet named. */
static void check_edges(const struct list *wanted, const struct list *holes,
			const struct subnet *rest, size_t n_rest,
			const struct list *of)
{
	for (size_t i = 0; i < of->n; i++) {
		struct ip_addr ends[2] = {of->nets[i].addr,
					  last_of(&of->nets[i])};

		for (size_t k = 0; k < 2; k++) {
			struct ip_addr before = neighbour(&ends[k], -1);
			struct ip_addr behind = neighbour(&ends[k], 1);

			check_address(wanted, holes, rest, n_rest, &ends[k]);
			check_address(wanted, holes, rest, n_rest, &before);
			check_address(wanted, holes, rest, n_rest, &behind);
		}
	}
}

/* Check that a subnet of the remainder is wanted and touches no hole. */
static void check_remainder(const struct list *wanted, const struct list *holes,
			    const struct subnet *s)
{
	struct ip_addr last = last_of(s);

	assert_always(any_contains(wanted->nets, wanted->n, &s->addr));
	assert_always(any_contains(wanted->nets, wanted->n, &last));
	for (size_t i = 0; i < holes->n; i++)
		assert_always(!subnet_overlaps(s, &holes->nets[i]));
}

static void check_subtract(const struct list *wanted, const struct list *holes)
{
	size_t size = (wanted->n ? wanted->n : 1) * sizeof(struct subnet);
	struct subnet *rest = malloc(size);
	int n = (int)wanted->n;

	if (!rest)
		return;
	memcpy(rest, wanted->nets, wanted->n * sizeof(struct subnet));
	for (size_t i = 0; i < holes->n && n >= 0; i++)
		n = subnet_subtract(&rest, (size_t)n, REMAINDER_MAX,
				    &holes->nets[i]);
	if (n >= 0) {
		check_edges(wanted, holes, rest, (size_t)n, wanted);
		check_edges(wanted, holes, rest, (size_t)n, holes);
	}
	for (int i = 0; i < n; i++)
		check_remainder(wanted, holes, &rest[i]);
	free(rest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct list lists[2] = {{.n = 0}, {.n = 0}};
	size_t turn = 0;

	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t len = end ? (size_t)(end - data) : size;
		char line[LINE_LEN_MAX];
		struct subnet s;

		size_t kept = len < sizeof(line) - 1 ? len : sizeof(line) - 1;
		memcpy(line, data, kept);
		line[kept] = '\0';
		if (parse(line, &s)) {
			struct list *to = &lists[turn++ % 2];

			if (to->n < SUBNETS_MAX)
				to->nets[to->n++] = s;
		}
		data += end ? len + 1 : len;
		size -= end ? len + 1 : len;
	}
	check_subtract(&lists[0], &lists[1]);
	return 0;
}
