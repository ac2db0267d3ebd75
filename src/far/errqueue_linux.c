/* SPDX-License-Identifier: MIT */
/*
 * errqueue: ICMP errors that the kernel keeps for a socket.
 *
 * Spec: ip(7) and ipv6(7), IP_RECVERR and IPV6_RECVERR
 */
#include "errqueue.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
	/* No ICMP error quotes more: RFC 1812 section 4.3.2.3, RFC 4443
	 * section 2.4 (c). */
	QUOTE_MAX = 1500,
};

static int set_recverr(int fd, enum ip_version version, int on)
{
	int level = version == IPV4 ? IPPROTO_IP : IPPROTO_IPV6;
	int name = version == IPV4 ? IP_RECVERR : IPV6_RECVERR;

	return setsockopt(fd, level, name, &on, sizeof(on)) < 0 ? -errno : 0;
}

int errqueue_enable(int fd, enum ip_version version)
{
	return set_recverr(fd, version, 1);
}

int errqueue_disable(int fd, enum ip_version version)
{
	return set_recverr(fd, version, 0);
}

static enum errqueue_origin origin_of(uint8_t ee_origin)
{
	switch (ee_origin) {
	case SO_EE_ORIGIN_LOCAL:
		return ERRQUEUE_LOCAL;
	case SO_EE_ORIGIN_ICMP:
	case SO_EE_ORIGIN_ICMP6:
		return ERRQUEUE_ICMP;
	default:
		return ERRQUEUE_OTHER;
	}
}

/* An address the kernel wrote; family AF_UNSPEC if it knew none. */
static struct endpoint endpoint_of(const void *sa)
{
	struct endpoint e = {0};

	if (endpoint_from_sockaddr(sa, &e) < 0)
		e = (struct endpoint){0};
	return e;
}

/* The extended error and, behind it, the offender's address. */
static void take_error(struct errqueue_entry *e, const struct cmsghdr *c)
{
	struct {
		struct sock_extended_err ee;
		struct sockaddr_in6 offender;
	} data = {0};
	size_t len = c->cmsg_len - CMSG_LEN(0);

	memcpy(&data, CMSG_DATA(c), len < sizeof(data) ? len : sizeof(data));
	e->origin = origin_of(data.ee.ee_origin);
	e->errnum = (int)data.ee.ee_errno;
	e->type = data.ee.ee_type;
	e->code = data.ee.ee_code;
	e->info = data.ee.ee_info;
	e->offender = endpoint_of(&data.offender).addr;
}

int errqueue_read(int fd, struct errqueue_entry *ret_entry)
{
	struct errqueue_entry e = {.origin = ERRQUEUE_OTHER};
	_Alignas(struct cmsghdr) char control[512];
	uint8_t quote[QUOTE_MAX];
	struct sockaddr_storage dst = {0};
	struct iovec iov = {quote, sizeof(quote)};
	struct msghdr m = {
		.msg_name = &dst,
		.msg_namelen = sizeof(dst),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if ((c->cmsg_level == IPPROTO_IP &&
		     c->cmsg_type == IP_RECVERR) ||
		    (c->cmsg_level == IPPROTO_IPV6 &&
		     c->cmsg_type == IPV6_RECVERR))
			take_error(&e, c);
	e.dst = endpoint_of(&dst);
	e.payload_len = (size_t)n;
	memcpy(e.head, quote,
	       e.payload_len < sizeof(e.head) ? e.payload_len : sizeof(e.head));
	*ret_entry = e;
	return 0;
}
