/* SPDX-License-Identifier: MIT */
/* policy: which destinations the far side refuses to reach. */
#include "policy.h"

#include <string.h>

/* True if a is an IPv4 address in IPv6 clothes (RFC 4291 section 2.5.5), but
 * not :: or ::1, whose last 32 bits mean nothing to IPv4. */
static bool unwrap_ipv4(const struct ip_addr *a, struct ip_addr *ret_inner)
{
	static const uint8_t zero[10];
	const uint8_t *b = a->bytes;
	bool is_mapped = b[10] == 0xff && b[11] == 0xff;
	bool is_compatible = b[10] == 0 && b[11] == 0 &&
			     (b[12] != 0 || b[13] != 0 || b[14] != 0);

	if (a->version != IPV6 || memcmp(b, zero, sizeof(zero)) != 0 ||
	    !(is_mapped || is_compatible))
		return false;
	*ret_inner = addr_make(IPV4, b + 12);
	return true;
}

/* fd00:ec2::254, where one cloud answers what 169.254.169.254 answers. */
static bool is_metadata_service(const struct ip_addr *a)
{
	static const struct ip_addr service = {
		IPV6,
		{0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x54},
	};

	return addr_equal(a, &service);
}

bool policy_allows(unsigned flags, const struct ip_addr *dst)
{
	struct ip_addr inner;

	if (unwrap_ipv4(dst, &inner))
		dst = &inner;
	if (addr_is_multicast(dst))
		return false;
	if (addr_is_loopback(dst))
		return flags & POLICY_ALLOW_LOOPBACK;
	if (addr_is_link_local(dst) || is_metadata_service(dst))
		return flags & POLICY_ALLOW_LINK_LOCAL;
	return true;
}
