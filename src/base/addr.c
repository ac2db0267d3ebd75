/* SPDX-License-Identifier: MIT */
/* addr: IP addresses, endpoints and subnets of both families. */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

bool addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && addr_equal(&a->addr, &b->addr);
}

struct ip_addr addr_make(enum ip_version version, const void *bytes)
{
	struct ip_addr a = {.version = (uint8_t)version};

	memcpy(a.bytes, bytes, addr_len_bytes(&a));
	return a;
}

int addr_parse(const char *text, struct ip_addr *ret_addr)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		*ret_addr = addr_make(IPV4, bytes);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*ret_addr = addr_make(IPV6, bytes);
	else
		return -EINVAL;
	return 0;
}

/* The bits that a prefix keeps of the byte which begins with this bit. */
static uint8_t kept_bits(size_t bit, uint8_t prefix_len)
{
	if (bit >= prefix_len)
		return 0;
	if (prefix_len - bit >= 8)
		return 0xff;
	return (uint8_t)(0xff00U >> (prefix_len - bit));
}

/* Clear the bits beyond prefix_len; true if one of them was set. */
static bool clear_host_bits(struct ip_addr *a, uint8_t prefix_len)
{
	bool had = false;

	for (size_t i = 0; i < addr_len_bytes(a); i++) {
		uint8_t keep = kept_bits(i * 8, prefix_len);

		had |= (a->bytes[i] & (uint8_t)~keep) != 0;
		a->bytes[i] &= keep;
	}
	return had;
}

/* Parse a decimal of at most three digits.  Returns it, or -1. */
static int parse_small(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > 3 || strspn(text, "0123456789") != len)
		return -1;
	return atoi(text);
}

/* "10/8", "172.16/12", "0/0": 1 to 3 leading bytes of an IPv4 address. */
static int parse_short_v4(const char *text, struct ip_addr *ret_addr)
{
	char full[64];
	size_t dots = 0;

	if (strlen(text) > 11 || strspn(text, "0123456789.") != strlen(text))
		return -EINVAL;
	for (const char *p = text; *p; p++)
		dots += *p == '.';
	if (dots > 2)
		return -EINVAL;
	(void)snprintf(full, sizeof(full), "%.11s%s", text,
		       dots == 0   ? ".0.0.0"
		       : dots == 1 ? ".0.0"
				   : ".0");
	return addr_parse(full, ret_addr);
}

/* The length of the prefix that a mask such as 255.255.0.0 stands for, or -1.
 */
static int mask_len(const char *text)
{
	struct ip_addr a;

	if (addr_parse(text, &a) < 0 || a.version != IPV4 || a.bytes[0] != 255)
		return -1;
	uint32_t bits = (uint32_t)a.bytes[0] << 24 |
			(uint32_t)a.bytes[1] << 16 | (uint32_t)a.bytes[2] << 8 |
			a.bytes[3];
	/* Ones, and then zeros: what is missing is one less than a power. */
	uint32_t rest = ~bits;
	return (rest & (rest + 1)) == 0 ? __builtin_popcount(bits) : -1;
}

int subnet_parse(const char *text, struct subnet *ret_subnet,
		 bool *ret_had_host_bits, struct err *err)
{
	char addr_text[64], shown[128];
	struct subnet s = {0};
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	escape_text(text, strlen(text), shown, sizeof(shown));
	int bits_of_mask = mask_len(slash ? slash + 1 : text);
	if (bits_of_mask >= 0 && (slash || bits_of_mask < 32))
		return err_set(err, -EINVAL,
			       "\"%s\": instead of a mask write the length of "
			       "the prefix behind the address: ADDRESS/%d",
			       shown, bits_of_mask);
	if (len >= sizeof(addr_text))
		goto malformed;
	memcpy(addr_text, text, len);
	addr_text[len] = '\0';
	if (addr_parse(addr_text, &s.addr) < 0 &&
	    (!slash || parse_short_v4(addr_text, &s.addr) < 0))
		goto malformed;
	s.prefix_len = addr_len_bits(&s.addr);
	if (slash) {
		int bits = parse_small(slash + 1);
		if (bits < 0)
			goto malformed;
		if (bits > addr_len_bits(&s.addr))
			return err_set(err, -EINVAL,
				       "\"%s\": an IPv%d prefix has at most "
				       "%d bits",
				       shown, s.addr.version,
				       addr_len_bits(&s.addr));
		s.prefix_len = (uint8_t)bits;
	}
	bool had = clear_host_bits(&s.addr, s.prefix_len);
	if (ret_had_host_bits)
		*ret_had_host_bits = had;
	*ret_subnet = s;
	return 0;
malformed:
	return err_set(err, -EINVAL,
		       "\"%s\" is not a subnet; write it like 10.0.0.0/8, "
		       "192.168.1.7 or fd00::/8",
		       shown);
}

bool subnet_contains(const struct subnet *net, const struct ip_addr *a)
{
	struct ip_addr masked = *a;

	if (net->addr.version != a->version)
		return false;
	(void)clear_host_bits(&masked, net->prefix_len);
	return addr_equal(&masked, &net->addr);
}

bool subnet_covers(const struct subnet *outer, const struct subnet *inner)
{
	return outer->prefix_len <= inner->prefix_len &&
	       subnet_contains(outer, &inner->addr);
}

bool subnet_is_special(const struct subnet *net)
{
	static const struct subnet nets[] = {
		{{IPV4, {0}}, 8},	    {{IPV4, {127}}, 8},
		{{IPV4, {224}}, 4},	    {{IPV4, {255, 255, 255, 255}}, 32},
		{{IPV6, {0}}, 127},	    {{IPV6, {[10] = 0xff, 0xff}}, 96},
		{{IPV6, {0xfe, 0x80}}, 10}, {{IPV6, {0xff}}, 8},
	};

	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
		if (subnet_covers(&nets[i], net))
			return true;
	return false;
}

bool subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
	return subnet_covers(a, b) || subnet_covers(b, a);
}

bool subnet_equal(const struct subnet *a, const struct subnet *b)
{
	return a->prefix_len == b->prefix_len && addr_equal(&a->addr, &b->addr);
}

struct subnet subnet_masked(const struct subnet *s)
{
	struct subnet masked = *s;

	(void)clear_host_bits(&masked.addr, masked.prefix_len);
	return masked;
}

struct subnet subnet_of_addr(const struct ip_addr *a)
{
	return (struct subnet){.addr = *a, .prefix_len = addr_len_bits(a)};
}

static int append(struct subnet **nets, size_t *n, size_t max_nets,
		  const struct subnet *s)
{
	if (*n >= max_nets)
		return -E2BIG;
	struct subnet *grown = reallocarray(*nets, *n + 1, sizeof(**nets));
	if (!grown)
		return -ENOMEM;
	grown[(*n)++] = *s;
	*nets = grown;
	return 0;
}

int subnet_subtract(struct subnet **nets, size_t n, size_t max_nets,
		    const struct subnet *hole)
{
	size_t kept = 0, old_n = n;

	for (size_t i = 0; i < old_n; i++) {
		struct subnet outer = (*nets)[i];

		if (subnet_covers(hole, &outer))
			continue; /* gone entirely */
		(*nets)[kept++] = outer;
	}
	n = kept;
	for (size_t i = 0; i < kept; i++) {
		struct subnet outer = (*nets)[i];

		if (!subnet_covers(&outer, hole))
			continue;
		/* Halve until the hole is what is left: keep the other half
		 * each time.  The last half kept takes the slot. */
		struct subnet half = outer;
		for (uint8_t len = outer.prefix_len; len < hole->prefix_len;
		     len++) {
			struct subnet other = {hole->addr, (uint8_t)(len + 1)};
			other.addr.bytes[len / 8] ^= (uint8_t)(0x80 >> len % 8);
			(void)clear_host_bits(&other.addr, other.prefix_len);
			half = other;
			if (len + 1 == hole->prefix_len)
				break;
			int r = append(nets, &n, max_nets, &other);
			if (r < 0)
				return r;
		}
		(*nets)[i] = half;
	}
	return (int)n;
}

bool addr_is_loopback(const struct ip_addr *a)
{
	static const uint8_t zero[15] = {0};

	if (a->version == IPV4)
		return a->bytes[0] == 127 || a->bytes[0] == 0;
	return memcmp(a->bytes, zero, 15) == 0 && a->bytes[15] <= 1;
}

bool addr_is_link_local(const struct ip_addr *a)
{
	if (a->version == IPV4)
		return a->bytes[0] == 169 && a->bytes[1] == 254;
	return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

bool addr_is_multicast(const struct ip_addr *a)
{
	if (a->version == IPV4)
		return (a->bytes[0] & 0xf0) == 0xe0 ||
		       memcmp(a->bytes, "\xff\xff\xff\xff", 4) == 0;
	return a->bytes[0] == 0xff;
}

const char *addr_format(const struct ip_addr *a, char out[ADDR_TEXT_MAX])
{
	if (!inet_ntop(a->version == IPV4 ? AF_INET : AF_INET6, a->bytes, out,
		       ADDR_TEXT_MAX))
		out[0] = '\0';
	return out;
}

const char *subnet_format(const struct subnet *s, char out[SUBNET_TEXT_MAX])
{
	char addr[ADDR_TEXT_MAX];

	(void)snprintf(out, SUBNET_TEXT_MAX, "%s/%u",
		       addr_format(&s->addr, addr), s->prefix_len);
	return out;
}

const char *endpoint_format(const struct endpoint *e,
			    char out[ENDPOINT_TEXT_MAX])
{
	char addr[ADDR_TEXT_MAX];

	(void)snprintf(out, ENDPOINT_TEXT_MAX,
		       e->addr.version == IPV6 ? "[%s]:%u" : "%s:%u",
		       addr_format(&e->addr, addr), e->port);
	return out;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e,
			       struct sockaddr_storage *ret_ss)
{
	memset(ret_ss, 0, sizeof(*ret_ss));
	if (e->addr.version == IPV4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret_ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(e->port);
		memcpy(&in->sin_addr, e->addr.bytes, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_ss;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(e->port);
	memcpy(&in6->sin6_addr, e->addr.bytes, 16);
	return sizeof(*in6);
}

int endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *ret_e)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

		ret_e->addr = addr_make(IPV4, &in->sin_addr);
		ret_e->port = ntohs(in->sin_port);
		return 0;
	}
	if (sa->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

	ret_e->addr = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)
			      ? addr_make(IPV4, &in6->sin6_addr.s6_addr[12])
			      : addr_make(IPV6, &in6->sin6_addr);
	ret_e->port = ntohs(in6->sin6_port);
	return 0;
}
