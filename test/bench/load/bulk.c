/* SPDX-License-Identifier: MIT */
/*
 * bulk: streams of TCP, as fast as they go, for so many seconds.
 *
 *   bulk ADDRESS PORT SECONDS UP DOWN
 *
 * Prints the time at which it begins, then ten times a second the bytes
 * received so far on each of the DOWN streams; what arrived of the UP streams
 * the server prints. In the end all of them are reset.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

struct bulk {
	size_t ups, downs;
	struct pollfd fds[LOAD_STREAMS_MAX]; /* the ups first */
	uint64_t received[LOAD_STREAMS_MAX]; /* of the downs */
};

static char chunk[LOAD_CHUNK_BYTES];

static struct pollfd open_stream(const struct addrinfo *a, char wish)
{
	const struct linger reset = {.l_onoff = 1};
	int fd = load_connect(a);

	if (send(fd, &wish, 1, MSG_NOSIGNAL) != 1)
		load_die("send");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return (struct pollfd){
		.fd = fd, .events = wish == LOAD_WISH_UP ? POLLOUT : POLLIN};
}

static void send_some(int fd)
{
	if (send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		load_die("send");
}

static void receive_some(int fd, uint64_t *counter)
{
	ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

	if (n == 0) {
		fprintf(stderr, "a stream has ended\n");
		exit(1);
	}
	if (n < 0 && errno != EAGAIN)
		load_die("recv");
	if (n > 0)
		*counter += (uint64_t)n;
}

static void move(struct bulk *b, int timeout_ms)
{
	if (poll(b->fds, b->ups + b->downs, timeout_ms) <= 0)
		return;
	for (size_t i = 0; i < b->ups + b->downs; i++) {
		if (b->fds[i].revents == 0)
			continue;
		if (i < b->ups)
			send_some(b->fds[i].fd);
		else
			receive_some(b->fds[i].fd, &b->received[i - b->ups]);
	}
}

static void run(struct bulk *b, int64_t start_us, int64_t end_us)
{
	int64_t tick_us = start_us;

	for (int64_t now = start_us; now < end_us; now = load_now_us()) {
		if (now >= tick_us) {
			load_print_counters(b->received, b->downs);
			tick_us += LOAD_TICK_MS * 1000;
		}
		move(b, (int)((tick_us - now) / 1000) + 1);
	}
	load_print_counters(b->received, b->downs);
}

int main(int argc, char **argv)
{
	struct bulk b = {0};
	struct addrinfo *a;
	int64_t start_us = load_now_us();

	if (argc == 6) {
		b.ups = strtoul(argv[4], NULL, 10);
		b.downs = strtoul(argv[5], NULL, 10);
	}
	if (b.ups + b.downs == 0 || b.ups + b.downs > LOAD_STREAMS_MAX) {
		fprintf(stderr, "usage: bulk ADDRESS PORT SECONDS UP DOWN\n");
		return 2;
	}
	printf("%lld\n", (long long)start_us);
	a = load_resolve(argv[1], argv[2], SOCK_STREAM);
	for (size_t i = 0; i < b.ups + b.downs; i++)
		b.fds[i] = open_stream(a, i < b.ups ? LOAD_WISH_UP
						    : LOAD_WISH_DOWN);
	freeaddrinfo(a);
	run(&b, start_us, start_us + (int64_t)(strtod(argv[3], NULL) * 1e6));
	return 0;
}
