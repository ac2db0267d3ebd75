/* SPDX-License-Identifier: MIT */
/*
 * probe: the latency of small requests.
 *
 *   probe tcp|udp ADDRESS PORT INTERVAL_MS SECONDS
 *
 * tcp: on one kept connection a request of 100 bytes at each interval, or, when
 * the answer to the last one came later than that, at once. udp: a datagram at
 * each interval. One line per request: when it was sent and how long the answer
 * took, in microseconds; "lost" in its place for a datagram without answer. A
 * TCP request that is unanswered at the end has taken as long as it is old.
 */
#include "load.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

enum { REQUESTS_MAX = 1 << 16, LATE_US = 1000000 };

struct probe {
	int fd;
	int64_t interval_us, end_us;
};

static void print_answer(int64_t sent_us, int64_t took_us)
{
	printf("%lld %lld\n", (long long)sent_us, (long long)took_us);
	fflush(stdout);
}

/* Wait until then, or until there is something to read: 1. */
static int wait_readable(int fd, int64_t until_us)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t left_us = until_us - load_now_us();
	const struct timespec t = {.tv_sec = left_us / 1000000,
				   .tv_nsec = left_us % 1000000 * 1000};

	return left_us > 0 && ppoll(&p, 1, &t, NULL) > 0;
}

/* Returns how many bytes of the answer are missing at the end. */
static size_t read_answer(const struct probe *p, char *bytes)
{
	size_t left = LOAD_REQUEST_BYTES;

	while (left > 0 && wait_readable(p->fd, p->end_us)) {
		ssize_t n = recv(p->fd, bytes, left, 0);

		if (n < 0)
			load_die("recv");
		if (n == 0) {
			fprintf(stderr, "the connection has ended\n");
			exit(1);
		}
		left -= (size_t)n;
	}
	return left;
}

static void probe_tcp(const struct probe *p)
{
	char bytes[LOAD_REQUEST_BYTES] = {LOAD_WISH_ECHO};
	int64_t due_us = load_now_us();
	int on = 1;

	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (send(p->fd, bytes, 1, MSG_NOSIGNAL) != 1)
		load_die("send");
	while (due_us < p->end_us) {
		int64_t sent_us = load_now_us();

		if (send(p->fd, bytes, sizeof(bytes), MSG_NOSIGNAL) < 0)
			load_die("send");
		read_answer(p, bytes);
		print_answer(sent_us, load_now_us() - sent_us);
		due_us += p->interval_us;
		if (due_us < load_now_us())
			due_us = load_now_us();
		else
			(void)wait_readable(p->fd, due_us);
	}
}

/*
 * Take the answers until then; a second answer to the same is ignored. Returns
 * how many came.
 */
static uint32_t take_datagrams(int fd, int64_t *sent_us, uint32_t sent,
			       int64_t until_us)
{
	uint32_t taken = 0;

	while (wait_readable(fd, until_us)) {
		char bytes[LOAD_REQUEST_BYTES];
		uint32_t number;

		if (recv(fd, bytes, sizeof(bytes), 0) != sizeof(bytes))
			continue;
		memcpy(&number, bytes, sizeof(number));
		if (number >= sent || sent_us[number] == 0)
			continue;
		print_answer(sent_us[number], load_now_us() - sent_us[number]);
		sent_us[number] = 0;
		taken++;
	}
	return taken;
}

static void probe_udp(const struct probe *p)
{
	int64_t *sent_us = calloc(REQUESTS_MAX, sizeof(*sent_us));
	char bytes[LOAD_REQUEST_BYTES] = {0};
	uint32_t sent = 0, taken = 0;
	int64_t due_us = load_now_us();

	if (sent_us == NULL)
		load_die("calloc");
	while (due_us < p->end_us && sent < REQUESTS_MAX) {
		memcpy(bytes, &sent, sizeof(sent));
		sent_us[sent++] = load_now_us();
		/* Refused or not: what has no answer is lost. */
		(void)send(p->fd, bytes, sizeof(bytes), 0);
		due_us += p->interval_us;
		taken += take_datagrams(p->fd, sent_us, sent, due_us);
	}
	if (taken < sent)
		take_datagrams(p->fd, sent_us, sent, p->end_us + LATE_US);
	for (uint32_t i = 0; i < sent; i++)
		if (sent_us[i] != 0)
			printf("%lld lost\n", (long long)sent_us[i]);
	free(sent_us);
}

int main(int argc, char **argv)
{
	struct probe p;
	struct addrinfo *a;
	int is_tcp;

	if (argc != 6) {
		fprintf(stderr, "usage: probe tcp|udp ADDRESS PORT INTERVAL_MS "
				"SECONDS\n");
		return 2;
	}
	is_tcp = strcmp(argv[1], "tcp") == 0;
	a = load_resolve(argv[2], argv[3], is_tcp ? SOCK_STREAM : SOCK_DGRAM);
	p.fd = load_connect(a);
	freeaddrinfo(a);
	p.interval_us = strtoll(argv[4], NULL, 10) * 1000;
	p.end_us = load_now_us() + (int64_t)(strtod(argv[5], NULL) * 1e6);
	(is_tcp ? probe_tcp : probe_udp)(&p);
	return 0;
}
