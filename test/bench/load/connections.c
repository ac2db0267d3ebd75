/* SPDX-License-Identifier: MIT */
/*
 * connections: what it takes to make them.
 *
 *   connections connect ADDRESS PORT SECONDS    connect, close
 *   connections exchange ADDRESS PORT SECONDS   connect, a byte there and back
 *   connections fetch ADDRESS PORT DIGIT N      10^DIGIT bytes, N times
 *   connections hold ADDRESS PORT N             N at once, 100 bytes over each
 *
 * The first two make one after another and print how many per second and the
 * median time until connect(2) returned. fetch prints, for each, the time to
 * the first byte and to the last, in microseconds. hold prints the seconds it
 * took and keeps all of them open until its standard input ends.
 */
#include "load.h"

#include <stdbool.h>
#include <string.h>

enum { CONNECTIONS_MAX = 4000 }; /* fewer than there are ephemeral ports */

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void exchange(int fd, size_t len)
{
	char bytes[1 + LOAD_REQUEST_BYTES] = {LOAD_WISH_ECHO};

	if (send(fd, bytes, 1 + len, MSG_NOSIGNAL) != (ssize_t)(1 + len) ||
	    recv(fd, bytes, len, MSG_WAITALL) != (ssize_t)len)
		load_die("exchange");
}

static void rate(const struct addrinfo *a, double seconds, bool is_exchange)
{
	static int64_t times_us[CONNECTIONS_MAX];
	int64_t start_us = load_now_us(), now_us = start_us;
	size_t n = 0;

	while (n < CONNECTIONS_MAX &&
	       now_us < start_us + (int64_t)(seconds * 1e6)) {
		int fd = load_connect(a);

		times_us[n++] = load_now_us() - now_us;
		if (is_exchange)
			exchange(fd, 1);
		close(fd);
		now_us = load_now_us();
	}
	qsort(times_us, n, sizeof(*times_us), by_value);
	printf("%.1f %lld\n", (double)n * 1e6 / (double)(now_us - start_us),
	       n > 0 ? (long long)times_us[n / 2] : 0);
}

static void fetch(const struct addrinfo *a, char digit)
{
	static char chunk[LOAD_CHUNK_BYTES];
	int64_t start_us = load_now_us(), first_us = 0;
	uint64_t size = 1, got = 0;
	int fd = load_connect(a);
	ssize_t n;

	for (char i = '0'; i < digit; i++)
		size *= 10;
	if (send(fd, &digit, 1, MSG_NOSIGNAL) != 1)
		load_die("send");
	while (got < size && (n = recv(fd, chunk, sizeof(chunk), 0)) > 0) {
		if (first_us == 0)
			first_us = load_now_us() - start_us;
		got += (uint64_t)n;
	}
	if (got != size)
		load_die("fetch");
	printf("%lld %lld\n", (long long)first_us,
	       (long long)(load_now_us() - start_us));
	close(fd);
}

static void hold(const struct addrinfo *a, unsigned long n)
{
	int64_t start_us = load_now_us();
	char byte;

	for (unsigned long i = 0; i < n; i++)
		exchange(load_connect(a), LOAD_REQUEST_BYTES);
	printf("%.3f\n", (double)(load_now_us() - start_us) / 1e6);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	const char *mode = argc >= 5 ? argv[1] : "";
	struct addrinfo *a;

	if (argc < 5) {
		fprintf(stderr, "usage: connections MODE ADDRESS PORT ...\n");
		return 2;
	}
	a = load_resolve(argv[2], argv[3], SOCK_STREAM);
	if (strcmp(mode, "fetch") == 0 && argc == 6) {
		for (long n = strtol(argv[5], NULL, 10); n > 0; n--)
			fetch(a, argv[4][0]);
	} else if (strcmp(mode, "hold") == 0) {
		hold(a, strtoul(argv[4], NULL, 10));
	} else {
		rate(a, strtod(argv[4], NULL), strcmp(mode, "exchange") == 0);
	}
	freeaddrinfo(a);
	return 0;
}
