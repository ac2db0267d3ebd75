/* SPDX-License-Identifier: MIT */
/* brokermsg: fields that several messages have. */
#include "brokermsg.h"

#include <errno.h>

bool brokermsg_is_zero(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		if (p[i] != 0)
			return false;
	return true;
}

int brokermsg_read_addr(uint32_t version, const uint8_t bytes[16],
			struct ip_addr *ret_addr, struct err *err)
{
	if (version != IPV4 && version != IPV6)
		return err_set(err, -EINVAL, "there is no IP version %u",
			       version);
	if (version == IPV4 && !brokermsg_is_zero(bytes + 4, 12))
		return err_set(err, -EINVAL,
			       "an IPv4 address has no more than 4 bytes");
	*ret_addr = addr_make((enum ip_version)version, bytes);
	return 0;
}
