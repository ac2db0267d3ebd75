/* SPDX-License-Identifier: MIT */
/*
 * dgram_sock: a socket for UDP or ICMP echo that needs no privilege.
 *
 * Spec: ip(7), ipv6(7), udp(7), icmp(7) (ping_group_range)
 */
#include "dgram_sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bytes.h"
#include "fd.h"
#include "pkt.h"

enum {
	/* What is asked for; the system may give less. */
	SOCKET_BUFFER_BYTES = 1 << 20,
	DATAGRAM_MAX = 1 << 16, /* none is longer on arrival */
	CONTROL_MAX = 128,
	ECHO_HEADER_LEN = 8,
	ICMP_ECHO_REPLY = 0,
	ICMP_ECHO_REQUEST = 8,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
};

struct dgram_batch {
	struct mmsghdr msgs[DGRAM_BATCH_MAX];
	struct iovec iov[DGRAM_BATCH_MAX];
	struct sockaddr_storage from[DGRAM_BATCH_MAX];
	_Alignas(struct cmsghdr) char control[DGRAM_BATCH_MAX][CONTROL_MAX];
	uint8_t bytes[DGRAM_BATCH_MAX][DATAGRAM_MAX];
};

/* ---- opening ---- */

static void set_int(int fd, int level, int name, int value)
{
	/* None of what is set here is worth failing for. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_options(const struct dgram_sock *s)
{
	set_int(s->fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER_BYTES);
	set_int(s->fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER_BYTES);
	(void)errqueue_enable(s->fd, s->version);
	if (s->version == IPV4) {
		set_int(s->fd, IPPROTO_IP, IP_RECVTTL, 1);
		set_int(s->fd, IPPROTO_IP, IP_RECVTOS, 1);
	} else {
		/* Else a v4-mapped destination would get around policy. */
		set_int(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		set_int(s->fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
		set_int(s->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	}
}

int dgram_sock_open(enum ip_version version, uint8_t proto,
		    struct dgram_sock *ret_sock)
{
	uint8_t echo = version == IPV4 ? PKT_PROTO_ICMP : PKT_PROTO_ICMP6;
	struct dgram_sock s = {.version = version, .proto = proto};

	if (proto != PKT_PROTO_UDP && proto != echo)
		return -EPROTONOSUPPORT;
	s.fd = socket(version == IPV4 ? AF_INET : AF_INET6,
		      SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
	if (s.fd < 0) /* a kernel without ping sockets permits none either */
		return errno == EPROTONOSUPPORT ? -EACCES : -errno;
	set_options(&s);
	*ret_sock = s;
	return 0;
}

void dgram_sock_close(struct dgram_sock *s)
{
	fd_close(&s->fd);
}

/* ---- sending ---- */

static void set_df(struct dgram_sock *s, bool df)
{
	enum dgram_df want = df ? DGRAM_DF_SET : DGRAM_DF_CLEAR;

	if (s->df == want)
		return;
	s->df = want;
	if (s->version == IPV4) {
		set_int(s->fd, IPPROTO_IP, IP_MTU_DISCOVER,
			df ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT);
		return;
	}
	set_int(s->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
		df ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT);
	set_int(s->fd, IPPROTO_IPV6, IPV6_DONTFRAG, df);
}

static void put_control(struct msghdr *m, struct cmsghdr **c, int level,
			int type, int value)
{
	*c = *c ? CMSG_NXTHDR(m, *c) : CMSG_FIRSTHDR(m);
	(*c)->cmsg_level = level;
	(*c)->cmsg_type = type;
	(*c)->cmsg_len = CMSG_LEN(sizeof(value));
	memcpy(CMSG_DATA(*c), &value, sizeof(value));
}

int dgram_sock_send(struct dgram_sock *s, const struct frame_dgram *d)
{
	_Alignas(struct cmsghdr) char control[2 * CMSG_SPACE(sizeof(int))] = {
		0};
	uint8_t echo[ECHO_HEADER_LEN] = {
		s->version == IPV4 ? ICMP_ECHO_REQUEST : ICMP6_ECHO_REQUEST};
	bool is_udp = s->proto == PKT_PROTO_UDP;
	struct endpoint to = {d->remote.addr, is_udp ? d->remote.port : 0};
	struct sockaddr_storage ss;
	struct iovec iov[2] = {
		{echo, is_udp ? 0 : sizeof(echo)},
		{(void *)(uintptr_t)d->payload, d->payload_len},
	};
	struct msghdr m = {
		.msg_name = &ss,
		.msg_namelen = endpoint_to_sockaddr(&to, &ss),
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = NULL;

	if (s->version == IPV4) {
		put_control(&m, &c, IPPROTO_IP, IP_TTL, d->ttl);
		put_control(&m, &c, IPPROTO_IP, IP_TOS, d->tos);
	} else {
		put_control(&m, &c, IPPROTO_IPV6, IPV6_HOPLIMIT, d->ttl);
		put_control(&m, &c, IPPROTO_IPV6, IPV6_TCLASS, d->tos);
	}
	bytes_put_u16(echo + 6, d->remote.port);
	set_df(s, d->df);
	return sendmsg(s->fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* ---- receiving ---- */

struct dgram_batch *dgram_batch_new(void)
{
	return calloc(1, sizeof(struct dgram_batch));
}

struct dgram_batch *dgram_batch_free(struct dgram_batch *b)
{
	free(b);
	return NULL;
}

int dgram_sock_receive(const struct dgram_sock *s, struct dgram_batch *b)
{
	for (int i = 0; i < DGRAM_BATCH_MAX; i++) {
		b->iov[i] = (struct iovec){b->bytes[i], DATAGRAM_MAX};
		b->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &b->from[i],
			.msg_namelen = sizeof(b->from[i]),
			.msg_iov = &b->iov[i],
			.msg_iovlen = 1,
			.msg_control = b->control[i],
			.msg_controllen = CONTROL_MAX,
		};
	}
	int n = recvmmsg(s->fd, b->msgs, DGRAM_BATCH_MAX, MSG_DONTWAIT, NULL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

/* TOS comes as one byte, the others as an int. */
static uint8_t control_value(const struct cmsghdr *c)
{
	int value = 0;

	if (c->cmsg_len < CMSG_LEN(sizeof(value)))
		return *CMSG_DATA(c);
	memcpy(&value, CMSG_DATA(c), sizeof(value));
	return (uint8_t)value;
}

static void take_control(const struct cmsghdr *c, struct frame_dgram *d)
{
	int ip = c->cmsg_level == IPPROTO_IP ? c->cmsg_type : -1;
	int ip6 = c->cmsg_level == IPPROTO_IPV6 ? c->cmsg_type : -1;

	if (ip == IP_TTL || ip6 == IPV6_HOPLIMIT)
		d->ttl = control_value(c);
	else if (ip == IP_TOS || ip6 == IPV6_TCLASS)
		d->tos = control_value(c);
}

/* Take the ICMP header off an echo reply. */
static int strip_echo_header(struct frame_dgram *d)
{
	uint8_t reply =
		d->proto == PKT_PROTO_ICMP ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;

	if (d->payload_len < ECHO_HEADER_LEN || d->payload[0] != reply)
		return -EBADMSG;
	d->remote.port = dgram_sock_echo_seq(d->payload);
	d->payload += ECHO_HEADER_LEN;
	d->payload_len -= ECHO_HEADER_LEN;
	return 0;
}

int dgram_batch_get(const struct dgram_batch *b, int i,
		    const struct dgram_sock *s, struct frame_dgram *ret_d)
{
	struct msghdr m = b->msgs[i].msg_hdr;
	struct frame_dgram d = {
		.proto = s->proto,
		.ttl = 64, /* in case the kernel does not tell */
		.payload = b->bytes[i],
		.payload_len = b->msgs[i].msg_len,
	};

	if (endpoint_from_sockaddr((const struct sockaddr *)&b->from[i],
				   &d.remote) < 0 ||
	    d.remote.addr.version != s->version ||
	    d.payload_len > FRAME_DGRAM_MAX)
		return -EBADMSG;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		take_control(c, &d);
	if (s->proto != PKT_PROTO_UDP && strip_echo_header(&d) < 0)
		return -EBADMSG;
	*ret_d = d;
	return 0;
}

uint16_t dgram_sock_echo_seq(const uint8_t head[ERRQUEUE_HEAD_LEN])
{
	return bytes_get_u16(head + 6);
}
