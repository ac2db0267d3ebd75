/* SPDX-License-Identifier: MIT */
/*
 * resolver: queries of the session for the resolvers of this host.
 *
 * Theory of operation
 *   A query goes to one server after the other by UDP, from a socket of its own
 *   (so the port is random) with an id of its own.  An answer that was cut off
 *   is fetched again from the same server by TCP.  Whatever happens, RESOLVED
 *   is sent exactly once.  Lookups of this engine's own go the same way.
 *
 *   The message is not understood beyond its header and question: it is the
 *   application's.  Servers on the loopback address are allowed, since they
 *   are what this host itself asks.
 *
 * Ownership: a query belongs to the resolver's list; freed when answered.
 *
 * Spec: RFC 1035 section 4; RFC 5452 section 9; resolv.conf(5)
 */
#include "resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "addr.h"
#include "bytes.h"
#include "fd.h"

enum {
	DNS_HEADER_LEN = 12,
	DNS_FLAG_RESPONSE = 0x80, /* in byte 2 */
	DNS_FLAG_TRUNCATED = 0x02,
	DNS_TCP_PREFIX_LEN = 2,
	DNS_ANSWER_MAX = 65535,
};

struct query {
	struct resolver *resolver; /* borrowed */
	struct list link;
	uint32_t id; /* of the session's query */
	/* Set: not the session's, but whoever ctx (borrowed) is. */
	void (*on_done)(void *ctx, enum frame_reason reason,
			const uint8_t *answer, size_t len);
	void *ctx;
	uint8_t near_txid[2]; /* of the message as it came */
	struct sockaddr_storage servers[RESOLVER_SERVERS_MAX];
	int n_servers;
	int tries; /* begun */
	struct timer timer;
	struct loop_io io; /* fd is owned, or -1 */
	uint8_t *answer;   /* owned; by TCP: prefix and message so far */
	size_t answer_len, sent_len; /* by TCP; bytes of prefix and message */
	size_t len;
	uint8_t message[]; /* prefix for TCP, then the query, len in all */
};

static socklen_t sockaddr_len(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET ? sizeof(struct sockaddr_in)
					: sizeof(struct sockaddr_in6);
}

/* ---- which servers ---- */

/* if_nametoindex(3), which would do it by a Unix socket.  0: there is none. */
static uint32_t index_of(const char *name)
{
	struct ifreq request = {.ifr_ifindex = 0};
	CLEANUP_FD int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCGIFINDEX, &request) < 0)
		return 0;
	return (uint32_t)request.ifr_ifindex;
}

/* "nameserver ADDR", where an IPv6 address may have a scope.  True if so. */
static bool parse_line(char *line, uint16_t port, struct sockaddr_storage *ret)
{
	struct endpoint e = {.port = port};
	char *rest = NULL;
	const char *word = strtok_r(line, " \t\r\n", &rest);
	char *addr = strtok_r(NULL, " \t\r\n", &rest);

	if (!word || !addr || strcmp(word, "nameserver") != 0)
		return false;
	char *scope = strchr(addr, '%');
	if (scope)
		*scope++ = '\0';
	if (addr_parse(addr, &e.addr) < 0)
		return false;
	(void)endpoint_to_sockaddr(&e, ret);
	if (scope && e.addr.version == IPV6)
		((struct sockaddr_in6 *)ret)->sin6_scope_id = index_of(scope);
	return true;
}

FILE *resolver_open_file(const struct resolver *r, const char *path)
{
	return r->open_file ? r->open_file(r->open_ctx, path)
			    : fopen(path, "re");
}

static int read_servers(
	const struct resolver *r,
	struct sockaddr_storage ret_servers[RESOLVER_SERVERS_MAX])
{
	char line[512];
	int n = 0;
	FILE *f = resolver_open_file(r, r->conf_path);

	if (!f)
		return 0;
	while (n < RESOLVER_SERVERS_MAX && fgets(line, sizeof(line), f))
		if (parse_line(line, r->port, &ret_servers[n]))
			n++;
	(void)fclose(f);
	return n;
}

int resolver_servers(const struct resolver *r,
		     struct sockaddr_storage ret_servers[RESOLVER_SERVERS_MAX])
{
	struct endpoint only = {r->only, r->port}, e;
	int n = read_servers(r, ret_servers);
	bool may = r->is_only_allowed;

	if (!r->only.version)
		return n;
	for (int i = 0; i < n; i++)
		may |= endpoint_from_sockaddr(
			       (struct sockaddr *)&ret_servers[i], &e) == 0 &&
		       addr_equal(&e.addr, &only.addr);
	if (may)
		(void)endpoint_to_sockaddr(&only, &ret_servers[0]);
	return may ? 1 : 0;
}

void resolver_use_only(struct resolver *r, const struct ip_addr *server,
		       bool is_allowed)
{
	r->only = *server;
	r->is_only_allowed = is_allowed;
}

/* ---- the end of a query ---- */

static void close_socket(struct query *q)
{
	if (q->io.fd < 0)
		return;
	loop_io_del(q->resolver->loop, &q->io);
	fd_close(&q->io.fd);
}

static void free_query(struct query *q)
{
	close_socket(q);
	timer_disarm(q->resolver->loop, &q->timer);
	list_del(&q->link);
	q->resolver->n--;
	free(q->answer);
	free(q);
}

static void done(struct query *q, enum frame_reason reason,
		 const uint8_t *answer, size_t len)
{
	if (q->on_done)
		q->on_done(q->ctx, reason, answer, len);
	else
		session_send_resolved(q->resolver->session, q->id, reason,
				      answer, len);
	free_query(q);
}

static void fail(struct query *q, enum frame_reason reason)
{
	done(q, reason, q->message, 0);
}

/* answer: a message that is ours; its id is changed back. */
static void succeed(struct query *q, uint8_t *answer, size_t len)
{
	memcpy(answer, q->near_txid, sizeof(q->near_txid));
	done(q, FRAME_REASON_NONE, answer, len);
}

static uint8_t *query_bytes(struct query *q)
{
	return q->message + DNS_TCP_PREFIX_LEN;
}

/* Length of the first question behind the header, 0 if there is none. */
static size_t question_len(const uint8_t *message, size_t len)
{
	size_t at = DNS_HEADER_LEN;

	if (bytes_get_u16(message + 4) == 0)
		return 0;
	while (at < len && message[at] != 0 && message[at] < 64)
		at += 1U + message[at];
	return at + 5 <= len && message[at] == 0 ? at + 5 - DNS_HEADER_LEN : 0;
}

/* True if message answers q: same id and, if it repeats one, same question. */
static bool is_answer(struct query *q, const uint8_t *message, size_t len)
{
	size_t query_len = q->len - DNS_TCP_PREFIX_LEN;
	size_t n = question_len(query_bytes(q), query_len);

	if (len < DNS_HEADER_LEN || !(message[2] & DNS_FLAG_RESPONSE) ||
	    memcmp(message, query_bytes(q), 2) != 0)
		return false;
	if (bytes_get_u16(message + 4) == 0)
		return true; /* some errors do not repeat the question */
	return len >= DNS_HEADER_LEN + n &&
	       memcmp(message + DNS_HEADER_LEN, query_bytes(q) + DNS_HEADER_LEN,
		      n) == 0;
}

/* ---- sending ---- */

static void on_udp(void *ctx, uint32_t events);
static void on_tcp(void *ctx, uint32_t events);

static int connect_to_server(struct query *q, int type, uint32_t events)
{
	const struct sockaddr_storage *to =
		&q->servers[(q->tries - 1) % q->n_servers];
	int fd = socket(to->ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	q->io = (struct loop_io){
		.fd = fd,
		.on_event = type == SOCK_DGRAM ? on_udp : on_tcp,
		.ctx = q,
	};
	int r = loop_io_add(q->resolver->loop, &q->io, events);
	if (r == 0 &&
	    connect(fd, (const struct sockaddr *)to, sockaddr_len(to)) < 0 &&
	    errno != EINPROGRESS)
		r = -errno;
	return r;
}

static int try_udp(struct query *q)
{
	uint8_t *message = query_bytes(q);
	int r = connect_to_server(q, SOCK_DGRAM, EPOLLIN);

	if (r < 0)
		return r;
	if (getrandom(message, 2, 0) < 0 ||
	    send(q->io.fd, message, q->len - DNS_TCP_PREFIX_LEN, MSG_NOSIGNAL) <
		    0)
		return -errno;
	timer_arm(q->resolver->loop, &q->timer, RESOLVER_TRY_US);
	return 0;
}

/* Ask the next server.  May end the query. */
static void try_next(struct query *q)
{
	int r = -ETIMEDOUT;

	while (q->tries < RESOLVER_TRIES) {
		close_socket(q);
		q->tries++;
		r = try_udp(q);
		if (r == 0)
			return;
	}
	fail(q, frame_reason_from_errno(-r));
}

static void try_tcp(struct query *q)
{
	int r;

	close_socket(q);
	q->answer = malloc(DNS_TCP_PREFIX_LEN + DNS_ANSWER_MAX);
	r = q->answer ? connect_to_server(q, SOCK_STREAM, EPOLLOUT) : -ENOMEM;
	if (r < 0)
		fail(q, frame_reason_from_errno(-r));
	else
		timer_arm(q->resolver->loop, &q->timer, RESOLVER_TCP_US);
}

static void on_timer(void *ctx)
{
	struct query *q = ctx;

	if (q->answer)
		fail(q, FRAME_REASON_TIMED_OUT);
	else
		try_next(q);
}

/* ---- receiving ---- */

static void on_udp(void *ctx, uint32_t events)
{
	struct query *q = ctx;
	uint8_t message[DNS_ANSWER_MAX];
	ssize_t n = recv(q->io.fd, message, sizeof(message), 0);

	(void)events;
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			try_next(q); /* refused or unreachable */
		return;
	}
	if (!is_answer(q, message, (size_t)n))
		return;
	if (message[2] & DNS_FLAG_TRUNCATED)
		try_tcp(q);
	else
		succeed(q, message, (size_t)n);
}

/* Length of prefix and message, as far as it is known. */
static size_t wanted_len(const struct query *q)
{
	if (q->answer_len < DNS_TCP_PREFIX_LEN)
		return DNS_TCP_PREFIX_LEN;
	return DNS_TCP_PREFIX_LEN + (size_t)bytes_get_u16(q->answer);
}

static ssize_t send_some(struct query *q)
{
	ssize_t n = send(q->io.fd, q->message + q->sent_len,
			 q->len - q->sent_len, MSG_NOSIGNAL);

	if (n > 0)
		q->sent_len += (size_t)n;
	if (q->sent_len == q->len)
		(void)loop_io_mod(q->resolver->loop, &q->io, EPOLLIN);
	return n;
}

static ssize_t recv_some(struct query *q)
{
	ssize_t n = recv(q->io.fd, q->answer + q->answer_len,
			 wanted_len(q) - q->answer_len, 0);

	if (n > 0)
		q->answer_len += (size_t)n;
	return n;
}

static void on_tcp(void *ctx, uint32_t events)
{
	struct query *q = ctx;
	uint8_t *message = q->answer + DNS_TCP_PREFIX_LEN;
	ssize_t n = q->sent_len < q->len ? send_some(q) : recv_some(q);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(q, n < 0 ? frame_reason_from_errno(errno)
			      : FRAME_REASON_RESET);
		return;
	}
	if (q->answer_len < DNS_TCP_PREFIX_LEN || q->answer_len < wanted_len(q))
		return;
	size_t len = q->answer_len - DNS_TCP_PREFIX_LEN;
	if (is_answer(q, message, len))
		succeed(q, message, len);
	else
		fail(q, FRAME_REASON_OTHER);
}

/* ---- the resolver ---- */

/* Enter a query for len bytes into the resolver, unless there are too many. */
static struct query *query_new(struct resolver *r, const uint8_t *message,
			       size_t len)
{
	struct query *q = NULL;

	if (r->n < RESOLVER_QUERIES_MAX)
		q = calloc(1, sizeof(*q) + DNS_TCP_PREFIX_LEN + len);
	if (!q)
		return NULL;
	q->resolver = r;
	q->io.fd = -1;
	q->timer = (struct timer){.on_fire = on_timer, .ctx = q};
	q->len = DNS_TCP_PREFIX_LEN + len;
	bytes_put_u16(q->message, (uint16_t)len);
	memcpy(query_bytes(q), message, len);
	memcpy(q->near_txid, message, sizeof(q->near_txid));
	list_push(&r->queries, &q->link);
	r->n++;
	q->n_servers = resolver_servers(r, q->servers);
	return q;
}

struct query *resolver_ask(struct resolver *r, const uint8_t *message,
			   size_t len,
			   void (*on_done)(void *ctx, enum frame_reason reason,
					   const uint8_t *answer, size_t len),
			   void *ctx, enum frame_reason *ret_reason)
{
	struct query *q = query_new(r, message, len);

	*ret_reason = FRAME_REASON_NO_RESOURCES;
	if (q && q->n_servers == 0) {
		free_query(q);
		*ret_reason = FRAME_REASON_NO_NAME;
		return NULL;
	}
	if (!q)
		return NULL;
	q->on_done = on_done;
	q->ctx = ctx;
	timer_arm(r->loop, &q->timer, 0); /* begins with try_next */
	return q;
}

void resolver_cancel(struct query *q)
{
	if (q)
		free_query(q);
}

void resolver_on_resolve(struct resolver *r, uint32_t id, const uint8_t *query,
			 size_t len)
{
	bool is_sound = len >= DNS_HEADER_LEN && len <= FRAME_QUERY_MAX &&
			!(query[2] & DNS_FLAG_RESPONSE);
	struct query *q = is_sound ? query_new(r, query, len) : NULL;

	if (!q) {
		session_send_resolved(r->session, id,
				      is_sound ? FRAME_REASON_NO_RESOURCES
					       : FRAME_REASON_OTHER,
				      query, 0);
		return;
	}
	q->id = id;
	if (q->n_servers == 0)
		fail(q, FRAME_REASON_NO_FAMILY);
	else
		try_next(q);
}

void resolver_init(struct resolver *r, struct loop *loop, const char *conf_path,
		   uint16_t port)
{
	*r = (struct resolver){
		.loop = loop, .conf_path = conf_path, .port = port};
	list_init(&r->queries);
}

void resolver_fini(struct resolver *r)
{
	struct list *link;

	while ((link = list_pop(&r->queries)))
		free_query(container_of(link, struct query, link));
}
