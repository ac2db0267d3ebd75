/* SPDX-License-Identifier: MIT */
/*
 * far_assoc: associations of the session as datagram sockets of this host.
 *
 * Theory of operation
 *   The first datagram with an id opens a socket, which is never connected: all
 *   destinations see the same source port (endpoint-independent mapping), and
 *   peer_set knows who may answer (address and port-dependent filtering).
 *
 *   Errors arrive in two ways.  What ICMP said about an earlier datagram waits
 *   in the socket's error queue; it also makes the next send fail without
 *   sending, which is then tried again.  What this host itself has against a
 *   datagram is the errno of its own send; it is told as the ICMP error that a
 *   router in our place would have sent.
 *
 *   A datagram that cannot go on for lack of room is dropped, as routers do.
 *
 * Ownership: the table owns associations.  They are freed at once: no caller up
 * the stack holds one, and the loop forgets a descriptor that is removed.
 *
 * Spec: doc/PROTOCOL.session section 5; RFC 4787 sections 4 and 5
 */
#include "far_assoc.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "peer_set.h"
#include "pkt.h"
#include "policy.h"

enum {
	/* What one socket may read before others have their turn. */
	BATCHES_PER_TURN = 4,
	ERRORS_PER_TURN = 64,
	SEND_TRIES_MAX = 4,
};

struct far_assoc {
	struct far_assoc_table *table; /* borrowed */
	struct htab_node node;	       /* by id */
	struct list link;	       /* table->by_use */
	uint32_t id;
	mono_us_t used_us;
	struct dgram_sock sock;
	struct loop_io io; /* of sock */
	struct peer_set peers;
	struct dgram_queue queue; /* down */
};

/* ---- ICMP errors of our own making ---- */

/* What a router would have said where our kernel said errnum. */
static enum icmp_meaning meaning_of(int errnum)
{
	switch (errnum) {
	case EMSGSIZE:
		return ICMP_MEANS_TOO_BIG;
	case EACCES:
	case EPERM:
		return ICMP_MEANS_ADMIN_PROHIBITED;
	case ENETUNREACH:
	case ENETDOWN:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		return ICMP_MEANS_NET_UNREACH;
	case ECONNREFUSED:
		return ICMP_MEANS_PORT_UNREACH;
	default:
		return ICMP_MEANS_HOST_UNREACH;
	}
}

static void send_local_error(struct far_assoc_table *t, uint32_t id,
			     const struct frame_dgram *d, int errnum,
			     uint32_t mtu_bytes)
{
	struct icmp_error icmp = icmp_error_make(d->remote.addr.version,
						 meaning_of(errnum), mtu_bytes);
	struct frame_icmp_error e = {
		.proto = d->proto,
		.type = icmp.type,
		.code = icmp.code,
		.info = icmp.info,
		.remote = d->remote,
		.payload_len = (uint16_t)d->payload_len,
	};

	session_send_icmp_error(t->session, id, &e);
}

/* ---- ICMP errors from the network ---- */

static void pass_on_error(struct far_assoc *a, const struct errqueue_entry *q)
{
	struct frame_icmp_error e = {
		.proto = a->sock.proto,
		.type = q->type,
		.code = q->code,
		.info = q->info,
		.remote = q->dst,
		.payload_len = (uint16_t)q->payload_len,
		.offender = q->offender,
	};

	if (q->dst.addr.version != a->sock.version)
		return;
	if (e.offender.version != a->sock.version)
		e.offender = (struct ip_addr){0};
	if (a->sock.proto != PKT_PROTO_UDP) {
		if (q->payload_len < ERRQUEUE_HEAD_LEN)
			return; /* no telling which request it was */
		e.remote.port = dgram_sock_echo_seq(q->head);
		e.payload_len -= ERRQUEUE_HEAD_LEN;
	}
	session_send_icmp_error(a->table->session, a->id, &e);
}

/* Empty the error queue.  Returns the number of errors in it; *ret_mtu_bytes
 * becomes the MTU if our own kernel said that a datagram was too big. */
static int read_errors(struct far_assoc *a, uint32_t *ret_mtu_bytes)
{
	struct errqueue_entry q;
	int n = 0;

	while (n < ERRORS_PER_TURN && errqueue_read(a->sock.fd, &q) == 0) {
		n++;
		if (q.origin == ERRQUEUE_ICMP)
			pass_on_error(a, &q);
		else if (q.origin == ERRQUEUE_LOCAL && q.errnum == EMSGSIZE)
			*ret_mtu_bytes = q.info;
	}
	return n;
}

/* ---- life ---- */

static struct far_assoc *find(const struct far_assoc_table *t, uint32_t id)
{
	struct htab_node *node = htab_find(&t->by_id, htab_hash_u32(id));

	return node ? container_of(node, struct far_assoc, node) : NULL;
}

static void touch(struct far_assoc *a)
{
	a->used_us = loop_now_us(a->table->loop);
	list_del(&a->link);
	list_push(&a->table->by_use, &a->link);
}

static void free_assoc(struct far_assoc *a)
{
	loop_io_del(a->table->loop, &a->io);
	dgram_sock_close(&a->sock);
	dgram_queue_fini(&a->queue);
	peer_set_fini(&a->peers);
	htab_del(&a->table->by_id, &a->node);
	list_del(&a->link);
	free(a);
}

static void on_event(void *ctx, uint32_t events);

/* Enter a new association with an open socket into the table. */
static int add(struct far_assoc_table *t, uint32_t id,
	       const struct dgram_sock *sock, struct far_assoc **ret_assoc)
{
	struct far_assoc *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->table = t;
	a->id = id;
	a->sock = *sock;
	a->node.hash = htab_hash_u32(id);
	a->io = (struct loop_io){
		.fd = sock->fd, .on_event = on_event, .ctx = a};
	int r = htab_add(&t->by_id, &a->node);
	if (r < 0)
		goto no_table;
	r = loop_io_add(t->loop, &a->io, EPOLLIN);
	if (r < 0)
		goto no_loop;
	list_init(&a->link);
	peer_set_init(&a->peers, t->seed);
	dgram_queue_init(&a->queue, id);
	touch(a);
	if (!timer_is_armed(&t->idle))
		timer_arm(t->loop, &t->idle, FAR_ASSOC_IDLE_US);
	*ret_assoc = a;
	return 0;

no_loop:
	htab_del(&t->by_id, &a->node);
no_table:
	free(a);
	return r;
}

/* Make room: the association that has been idle longest ends.  Returns false if
 * there is none. */
static bool evict(struct far_assoc_table *t)
{
	struct list *oldest = list_pop(&t->by_use);

	if (!oldest)
		return false;
	struct far_assoc *a = container_of(oldest, struct far_assoc, link);

	session_send_assoc_close(t->session, a->id, FRAME_REASON_NONE);
	free_assoc(a);
	return true;
}

/* Open the socket that d needs.  Returns 0 or -errno. */
static int create(struct far_assoc_table *t, uint32_t id,
		  const struct frame_dgram *d, struct far_assoc **ret_assoc)
{
	struct dgram_sock sock;

	if (t->by_id.n >= FAR_ASSOC_MAX)
		evict(t);
	int r = dgram_sock_open(d->remote.addr.version, d->proto, &sock);
	if ((r == -EMFILE || r == -ENFILE) && evict(t))
		r = dgram_sock_open(d->remote.addr.version, d->proto, &sock);
	if (r < 0)
		return r;
	r = add(t, id, &sock, ret_assoc);
	if (r < 0)
		dgram_sock_close(&sock);
	return r;
}

/* No association could be made for d. */
static void refuse(struct far_assoc_table *t, uint32_t id,
		   const struct frame_dgram *d, int errnum)
{
	enum frame_reason reason = frame_reason_from_errno(errnum);

	if (errnum == EPROTONOSUPPORT) {
		session_count_drop(t->session, DROP_PROTOCOL);
	} else if (reason == FRAME_REASON_NO_RESOURCES) {
		session_count_drop(t->session, DROP_FLOW_LIMIT);
		session_send_assoc_close(t->session, id, reason);
	} else {
		session_count_drop(t->session, DROP_POLICY);
		send_local_error(t, id, d, errnum, 0);
	}
}

static void on_idle(void *ctx)
{
	struct far_assoc_table *t = ctx;
	mono_us_t now_us = loop_now_us(t->loop);

	list_for_each_safe (link, &t->by_use) {
		struct far_assoc *a =
			container_of(link, struct far_assoc, link);
		uint64_t idle_us = now_us - a->used_us;

		if (idle_us < FAR_ASSOC_IDLE_US) {
			timer_arm(t->loop, &t->idle,
				  FAR_ASSOC_IDLE_US - idle_us);
			return;
		}
		session_send_assoc_close(t->session, a->id, FRAME_REASON_NONE);
		free_assoc(a);
	}
}

int far_assoc_table_init(struct far_assoc_table *t, struct loop *loop,
			 unsigned policy)
{
	struct far_assoc_table table = {.loop = loop, .policy = policy};

	if (getrandom(&table.seed, sizeof(table.seed), 0) < 0)
		return -errno;
	table.batch = dgram_batch_new();
	if (!table.batch)
		return -ENOMEM;
	table.idle = (struct timer){.on_fire = on_idle, .ctx = t};
	*t = table;
	list_init(&t->by_use);
	return 0;
}

void far_assoc_table_fini(struct far_assoc_table *t)
{
	if (!t->batch)
		return;
	list_for_each_safe (link, &t->by_use)
		free_assoc(container_of(link, struct far_assoc, link));
	timer_disarm(t->loop, &t->idle);
	htab_fini(&t->by_id);
	t->batch = dgram_batch_free(t->batch);
}

/* ---- up ---- */

static void send_up(struct far_assoc *a, const struct frame_dgram *d)
{
	struct far_assoc_table *t = a->table;

	for (int tries = 0; tries < SEND_TRIES_MAX; tries++) {
		uint32_t mtu_bytes = 0;
		int r = dgram_sock_send(&a->sock, d);

		if (r == 0)
			return;
		if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM)
			break;
		int n_errors = read_errors(a, &mtu_bytes);
		if (r == -EMSGSIZE && mtu_bytes) {
			send_local_error(t, a->id, d, EMSGSIZE, mtu_bytes);
			return;
		}
		if (n_errors > 0)
			continue;   /* it was about an earlier datagram */
		if (r == -EMSGSIZE) /* too long for any path */
			session_count_drop(t->session, DROP_BAD_LENGTH);
		else
			send_local_error(t, a->id, d, -r, 0);
		return;
	}
	session_count_drop(t->session, DROP_QUEUE_FULL);
}

/* What a peer is known by: echo has no ports. */
static struct endpoint peer_of(const struct frame_dgram *d)
{
	struct endpoint e = d->remote;

	if (d->proto != PKT_PROTO_UDP)
		e.port = 0;
	return e;
}

/* hop up 11/11 (datagrams): handed to the kernel's socket */
void far_assoc_on_dgram(struct far_assoc_table *t, uint32_t id,
			const struct frame_dgram *d)
{
	struct far_assoc *a = find(t, id);
	struct endpoint peer = peer_of(d);

	if (d->ttl == 0) {
		session_count_drop(t->session, DROP_TTL_EXCEEDED);
		return;
	}
	if (!policy_allows(t->policy, &d->remote.addr)) {
		refuse(t, id, d, EACCES);
		return;
	}
	if (!a) {
		int r = create(t, id, d, &a);
		if (r < 0) {
			refuse(t, id, d, -r);
			return;
		}
	}
	if (a->sock.proto != d->proto ||
	    a->sock.version != d->remote.addr.version) {
		session_count_drop(t->session, DROP_PROTOCOL);
		return;
	}
	touch(a);
	if (peer_set_add(&a->peers, &peer) < 0) {
		session_count_drop(t->session, DROP_NO_MEMORY);
		return;
	}
	send_up(a, d);
}

void far_assoc_on_close(struct far_assoc_table *t, uint32_t id)
{
	struct far_assoc *a = find(t, id);

	if (a)
		free_assoc(a);
}

/* ---- down ---- */

/* hop down 2/9 (datagrams): filtered and queued for the carrier */
static void pass_down(struct far_assoc *a, struct frame_dgram *d)
{
	struct session *s = a->table->session;
	struct endpoint peer = peer_of(d);

	if (!peer_set_has(&a->peers, &peer)) {
		session_count_drop(s, DROP_UDP_FILTERED);
		return;
	}
	/* We are a hop, but the peer has sent to us, not through us: what
	 * arrives is delivered in any case. */
	d->ttl = d->ttl > 1 ? (uint8_t)(d->ttl - 1) : 1;
	touch(a);
	enum drop_reason reason = session_send_dgram(s, &a->queue, d);
	if (reason != DROP_NONE)
		session_count_drop(s, reason);
}

/* hop down 1/9 (datagrams): read in batches */
static void on_event(void *ctx, uint32_t events)
{
	struct far_assoc *a = ctx;
	struct dgram_batch *batch = a->table->batch;
	uint32_t ignored_mtu_bytes = 0;

	if (events & EPOLLERR)
		(void)read_errors(a, &ignored_mtu_bytes);
	for (int i = 0; i < BATCHES_PER_TURN; i++) {
		int n = dgram_sock_receive(&a->sock, batch);

		for (int j = 0; j < n; j++) {
			struct frame_dgram d;

			if (dgram_batch_get(batch, j, &a->sock, &d) == 0)
				pass_down(a, &d);
		}
		if (n < DGRAM_BATCH_MAX)
			return;
	}
}
