/* SPDX-License-Identifier: MIT */
/*
 * server: the far end of all load of the benchmark.
 *
 *   server PORT
 *
 * Serves what load.h says over TCP, and echoes over UDP, until it is killed.
 * Prints "ready", then ten times a second the bytes received so far on each
 * connection of LOAD_WISH_UP, in the order of their acceptance: goodput is what
 * has arrived, whatever queues lie in between.
 */
#include "load.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

struct conn {
	int fd;
	char wish;	     /* 0: not known yet */
	size_t stream;	     /* of LOAD_WISH_UP: its counter */
	uint64_t left_bytes; /* to be sent */
};

struct server {
	int epoll, listener, udp, timer;
	size_t streams;
	uint64_t received[LOAD_STREAMS_MAX];
};

static char chunk[LOAD_CHUNK_BYTES];

static int bound_socket(const char *port, int type)
{
	struct addrinfo *a = load_resolve("::", port, type);
	int fd = socket(a->ai_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0)
		load_die("bind");
	if (type == SOCK_STREAM && listen(fd, 4096) < 0)
		load_die("listen");
	freeaddrinfo(a);
	return fd;
}

static void watch(struct server *s, int fd, uint32_t events, void *data)
{
	struct epoll_event event = {.events = events, .data.ptr = data};

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0 &&
	    epoll_ctl(s->epoll, EPOLL_CTL_MOD, fd, &event) < 0)
		load_die("epoll_ctl");
}

static void accept_one(struct server *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *c;

	if (fd < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		load_die("calloc");
	c->fd = fd;
	watch(s, fd, EPOLLIN, c);
}

static void drop(struct conn *c)
{
	close(c->fd);
	free(c);
}

static void echo_datagram(const struct server *s)
{
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	ssize_t n = recvfrom(s->udp, chunk, sizeof(chunk), 0,
			     (struct sockaddr *)&peer, &peer_len);

	/* What does not fit into the socket is lost, like any datagram. */
	if (n >= 0)
		(void)sendto(s->udp, chunk, (size_t)n, 0,
			     (struct sockaddr *)&peer, peer_len);
}

/* The first byte has come. Returns false where the connection is to end. */
static int begin(struct server *s, struct conn *c, char wish)
{
	c->wish = wish;
	if (wish == LOAD_WISH_UP) {
		if (s->streams == LOAD_STREAMS_MAX)
			return 0;
		c->stream = s->streams++;
	} else if (wish == LOAD_WISH_DOWN) {
		c->left_bytes = UINT64_MAX;
	} else if (wish >= '0' && wish <= '9') {
		c->left_bytes = 1;
		for (char digit = '0'; digit < wish; digit++)
			c->left_bytes *= 10;
	} else if (wish != LOAD_WISH_ECHO) {
		return 0;
	}
	if (c->left_bytes > 0)
		watch(s, c->fd, EPOLLOUT, c);
	return 1;
}

static int on_readable(struct server *s, struct conn *c)
{
	size_t max = c->wish == 0 ? 1 : sizeof(chunk);
	ssize_t n = recv(c->fd, chunk, max, 0);

	if (n < 0)
		return errno == EAGAIN;
	if (n == 0)
		return 0;
	if (c->wish == 0)
		return begin(s, c, chunk[0]);
	if (c->wish == LOAD_WISH_UP)
		s->received[c->stream] += (uint64_t)n;
	else if (send(c->fd, chunk, (size_t)n, MSG_NOSIGNAL) != n)
		return 0;
	return 1;
}

static int on_writable(struct conn *c)
{
	size_t len = sizeof(chunk);
	ssize_t n;

	if (len > c->left_bytes)
		len = (size_t)c->left_bytes;
	n = send(c->fd, chunk, len, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN;
	c->left_bytes -= (uint64_t)n;
	return c->left_bytes > 0;
}

static void on_conn(struct server *s, struct conn *c)
{
	if (!(c->left_bytes > 0 ? on_writable(c) : on_readable(s, c)))
		drop(c);
}

static void on_timer(const struct server *s)
{
	uint64_t expirations;

	if (read(s->timer, &expirations, sizeof(expirations)) > 0)
		load_print_counters(s->received, s->streams);
}

static void dispatch(struct server *s, void *data)
{
	if (data == &s->listener)
		accept_one(s);
	else if (data == &s->udp)
		echo_datagram(s);
	else if (data == &s->timer)
		on_timer(s);
	else
		on_conn(s, data);
}

static void open_all(struct server *s, const char *port)
{
	const struct timespec tick = {.tv_nsec = LOAD_TICK_MS * 1000000L};
	const struct itimerspec ticks = {.it_interval = tick, .it_value = tick};

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->listener = bound_socket(port, SOCK_STREAM);
	s->udp = bound_socket(port, SOCK_DGRAM);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epoll < 0 || s->timer < 0 ||
	    timerfd_settime(s->timer, 0, &ticks, NULL) < 0)
		load_die("timerfd");
	watch(s, s->listener, EPOLLIN, &s->listener);
	watch(s, s->udp, EPOLLIN, &s->udp);
	watch(s, s->timer, EPOLLIN, &s->timer);
}

int main(int argc, char **argv)
{
	struct server s = {0};

	if (argc != 2) {
		fprintf(stderr, "usage: server PORT\n");
		return 2;
	}
	open_all(&s, argv[1]);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(s.epoll, events, 64, -1);

		for (int i = 0; i < n; i++)
			dispatch(&s, events[i].data.ptr);
	}
}
