/* SPDX-License-Identifier: MIT */
/*
 * door_udp: an association of SOCKS 5: datagrams of one client.
 *
 * Theory of operation
 *   A UDP socket on the address by which the client came, which hears one
 *   endpoint only.  With the first datagram to an address of either family an
 *   association of the session begins, a leg: the far end has one socket for
 *   each, which is of one family.  The far end may close it when it is idle,
 *   and so does this one: the next datagram begins another, with a new id.
 *   What is for a name waits, a little, until that is known.
 */
#include "door_udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "fd.h"
#include "pkt.h"
#include "proxy_internal.h"

enum {
	DGRAMS_A_TURN = 64,
	WAITING_MAX = 16, /* for names, of one association */
	WAITING_BYTES_MAX = 32 << 10,
	IDLE_US = 300 * 1000000,
};

/* What the session has of it for one family. */
struct door_leg {
	struct door_udp *udp; /* borrowed */
	bool has_id;	      /* in proxy->assocs, known to the far end */
	struct htab_node node;
	struct dgram_queue queue;
	mono_us_t used_us;
	struct timer idle; /* armed: has_id */
};

struct door_udp {
	struct door *door;	 /* borrowed */
	struct loop_io io;	 /* fd is owned */
	struct endpoint client;	 /* port 0: the first to be heard */
	struct door_leg legs[2]; /* IPv4, IPv6 */
	struct list waiting;	 /* struct waiting */
	unsigned n_waiting;
	size_t waiting_bytes;
};

/* A datagram whose destination is not known yet. */
struct waiting {
	struct door_udp *udp; /* borrowed */
	struct list link;
	struct name_waiter waiter;
	uint16_t port;
	size_t len;
	uint8_t payload[];
};

static void drop(const struct door_udp *u, enum drop_reason reason)
{
	if (reason != DROP_NONE && u->door->proxy->session)
		session_count_drop(u->door->proxy->session, reason);
}

/* ---- the association of the session ---- */

struct door_leg *door_udp_find(struct proxy *p, uint32_t id)
{
	struct htab_node *node = htab_find(&p->assocs, htab_hash_u32(id));

	return node ? container_of(node, struct door_leg, node) : NULL;
}

static struct proxy *proxy_of(const struct door_leg *l)
{
	return l->udp->door->proxy;
}

/* Let go of the id; the far end knows, or is told by the caller. */
static void forget_id(struct door_leg *l)
{
	if (!l->has_id)
		return;
	l->has_id = false;
	timer_disarm(proxy_of(l)->loop, &l->idle);
	htab_del(&proxy_of(l)->assocs, &l->node);
	dgram_queue_fini(&l->queue);
}

static void close_leg(struct door_leg *l)
{
	struct session *s = proxy_of(l)->session;

	if (!l->has_id)
		return;
	forget_id(l);
	if (s && session_is_up(s))
		session_send_assoc_close(s, l->queue.id, FRAME_REASON_NONE);
}

static void on_idle(void *ctx)
{
	struct door_leg *l = ctx;
	struct loop *loop = proxy_of(l)->loop;
	uint64_t idle_us = loop_now_us(loop) - l->used_us;

	if (idle_us >= IDLE_US)
		close_leg(l);
	else
		timer_arm(loop, &l->idle, IDLE_US - idle_us);
}

void door_udp_on_close(struct door_leg *l)
{
	forget_id(l);
}

static int take_id(struct door_leg *l)
{
	struct proxy *p = proxy_of(l);

	if (l->has_id)
		return 0;
	uint32_t id = p->next_assoc_id;

	l->node.hash = htab_hash_u32(id);
	if (htab_add(&p->assocs, &l->node) < 0)
		return -ENOMEM;
	/* Round and round in the upper half. */
	p->next_assoc_id = (id + 1) | PROXY_ID_FIRST;
	l->has_id = true;
	dgram_queue_init(&l->queue, id);
	timer_arm(p->loop, &l->idle, IDLE_US);
	return 0;
}

/* ---- up ---- */

static enum drop_reason send_up(struct door_udp *u, const struct ip_addr *addr,
				uint16_t port, const uint8_t *payload,
				size_t len)
{
	struct proxy *p = u->door->proxy;
	struct door_leg *l = &u->legs[addr->version == IPV6];
	struct frame_dgram d = {.proto = PKT_PROTO_UDP,
				.ttl = PROXY_DEFAULT_TTL,
				.remote = {.addr = *addr, .port = port},
				.payload = payload,
				.payload_len = len};

	if (port == 0 || addr_is_multicast(addr))
		return DROP_BAD_DESTINATION;
	if (!p->session)
		return DROP_NO_SESSION;
	if (len > FRAME_DGRAM_MAX)
		return DROP_BAD_LENGTH;
	if (take_id(l) < 0)
		return DROP_NO_MEMORY;
	l->used_us = loop_now_us(p->loop);
	return session_send_dgram(p->session, &l->queue, &d);
}

static void waiting_free(struct waiting *w)
{
	struct door_udp *u = w->udp;

	list_del(&w->waiter.link);
	list_del(&w->link);
	u->n_waiting--;
	u->waiting_bytes -= w->len;
	free(w);
}

static void on_known(void *ctx, const struct name_addrs *known)
{
	struct waiting *w = ctx;

	if (known->n == 0)
		drop(w->udp, DROP_BAD_DESTINATION);
	else
		drop(w->udp, send_up(w->udp, &known->addrs[0], w->port,
				     w->payload, w->len));
	waiting_free(w);
}

/* Keep a copy until the name is known. */
static enum drop_reason wait_for(struct door_udp *u, const char *name,
				 uint16_t port, const uint8_t *payload,
				 size_t len)
{
	const struct name_addrs *known;

	/* One may be of any length: the name may be known already. */
	if (u->n_waiting >= WAITING_MAX ||
	    (u->n_waiting > 0 && u->waiting_bytes + len > WAITING_BYTES_MAX))
		return DROP_QUEUE_FULL;
	struct waiting *w = malloc(sizeof(*w) + len);

	if (!w)
		return DROP_NO_MEMORY;
	*w = (struct waiting){.udp = u, .port = port, .len = len};
	w->waiter.on_known = on_known;
	w->waiter.ctx = w;
	list_init(&w->waiter.link);
	memcpy(w->payload, payload, len);
	list_push(&u->waiting, &w->link);
	u->n_waiting++;
	u->waiting_bytes += len;
	int r = names_find(&u->door->proxy->names, name, &w->waiter, &known);

	if (r == -EAGAIN)
		return DROP_NONE;
	enum drop_reason reason = DROP_BAD_DESTINATION;

	if (r == 0 && known->n > 0)
		reason = send_up(u, &known->addrs[0], port, payload, len);
	waiting_free(w);
	return reason;
}

/* True if this is the client; the first to come from its address is. */
static bool is_client(struct door_udp *u, const struct endpoint *from)
{
	if (!addr_equal(&from->addr, &u->client.addr))
		return false;
	if (u->client.port == 0)
		u->client.port = from->port;
	return from->port == u->client.port;
}

static enum drop_reason take(struct door_udp *u, const struct endpoint *from,
			     const uint8_t *bytes, size_t len)
{
	struct socks_addr dst;

	if (!is_client(u, from))
		return DROP_UDP_FILTERED;
	int n = socks_parse_udp(bytes, len, &dst);

	if (n == -EOPNOTSUPP)
		return DROP_FRAGMENT_LIMIT;
	if (n < 0)
		return DROP_TRUNCATED;
	bytes += n;
	len -= (size_t)n;
	if (dst.name[0])
		return wait_for(u, dst.name, dst.at.port, bytes, len);
	return send_up(u, &dst.at.addr, dst.at.port, bytes, len);
}

static void on_event(void *ctx, uint32_t events)
{
	struct door_udp *u = ctx;
	uint8_t *buf = u->door->proxy->dgram_buf;

	(void)events;
	for (int i = 0; i < DGRAMS_A_TURN; i++) {
		struct sockaddr_storage ss;
		socklen_t ss_len = sizeof(ss);
		struct endpoint from;
		ssize_t n = recvfrom(u->io.fd, buf, PROXY_DGRAM_BUF, 0,
				     (struct sockaddr *)&ss, &ss_len);

		if (n < 0)
			return;
		if (endpoint_from_sockaddr((const struct sockaddr *)&ss,
					   &from) == 0)
			drop(u, take(u, &from, buf, (size_t)n));
	}
}

/* ---- down ---- */

void door_udp_on_dgram(struct door_leg *l, const struct frame_dgram *d)
{
	const struct door_udp *u = l->udp;
	uint8_t header[SOCKS_UDP_HEADER_MAX];
	struct socks_addr from = {.at = d->remote};
	struct sockaddr_storage ss;
	struct iovec iov[2] = {
		{header, socks_build_udp(header, &from)},
		{(void *)(uintptr_t)d->payload, d->payload_len},
	};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	l->used_us = loop_now_us(u->door->proxy->loop);
	m.msg_name = &ss;
	m.msg_namelen = endpoint_to_sockaddr(&u->client, &ss);
	if (sendmsg(u->io.fd, &m, MSG_NOSIGNAL) < 0)
		drop(u, DROP_QUEUE_FULL);
}

/* ---- life ---- */

/* Of a connected TCP socket. */
static int endpoints_of(int fd, struct endpoint *ret_local,
			struct endpoint *ret_peer)
{
	struct sockaddr_storage local, peer;
	socklen_t local_len = sizeof(local), peer_len = sizeof(peer);

	if (getsockname(fd, (struct sockaddr *)&local, &local_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
		return -errno;
	int r = endpoint_from_sockaddr((const struct sockaddr *)&local,
				       ret_local);

	if (r < 0)
		return r;
	return endpoint_from_sockaddr((const struct sockaddr *)&peer, ret_peer);
}

static int open_socket(struct endpoint *bound)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int r = 0;

	bound->port = 0;
	CLEANUP_FD int fd =
		socket(bound->addr.version == IPV4 ? AF_INET : AF_INET6,
		       SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	len = endpoint_to_sockaddr(bound, &ss);
	if (bind(fd, (const struct sockaddr *)&ss, len) < 0)
		return -errno;
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	r = endpoint_from_sockaddr((const struct sockaddr *)&ss, bound);
	return r < 0 ? r : fd_take(&fd);
}

int door_udp_new(struct door *d, int tcp_fd, uint16_t client_port,
		 struct door_udp **ret_udp, struct endpoint *ret_bound)
{
	struct endpoint bound = {.port = 0}, client = {.port = 0};
	struct proxy *p = d->proxy;
	int r = endpoints_of(tcp_fd, &bound, &client);

	if (r < 0)
		return r;
	if (p->n_assocs >= PROXY_ASSOCS_MAX)
		return -ENOBUFS;
	CLEANUP_FD int fd = open_socket(&bound);
	if (fd < 0)
		return fd;
	struct door_udp *u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	u->door = d;
	u->client = client;
	u->client.port = client_port;
	u->io = (struct loop_io){.fd = fd, .on_event = on_event, .ctx = u};
	for (int i = 0; i < 2; i++) {
		u->legs[i].udp = u;
		u->legs[i].idle =
			(struct timer){.on_fire = on_idle, .ctx = &u->legs[i]};
	}
	list_init(&u->waiting);
	r = loop_io_add(p->loop, &u->io, EPOLLIN);
	if (r < 0) {
		free(u);
		return r;
	}
	(void)fd_take(&fd);
	p->n_assocs++;
	d->assocs++;
	*ret_udp = u;
	*ret_bound = bound;
	return 0;
}

struct door_udp *door_udp_free(struct door_udp *u)
{
	struct list *link;

	if (!u)
		return NULL;
	for (int i = 0; i < 2; i++)
		close_leg(&u->legs[i]);
	while ((link = list_pop(&u->waiting)))
		waiting_free(container_of(link, struct waiting, link));
	loop_io_del(u->door->proxy->loop, &u->io);
	fd_close(&u->io.fd);
	u->door->proxy->n_assocs--;
	u->door->assocs--;
	free(u);
	return NULL;
}
