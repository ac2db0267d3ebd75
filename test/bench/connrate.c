/* SPDX-License-Identifier: MIT */
/*
 * connrate: how fast one connection after another can be made.
 *
 *   connrate serve PORT                 echo one byte per connection, for ever
 *   connrate connect ADDRESS PORT N     connect and close, N times
 *   connrate exchange ADDRESS PORT N    connect, one byte there and back, close
 *
 * The last two print connections per second and the median and 99th percentile
 * of the time until connect(2) returned, in microseconds, as JSON.
 */
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct addrinfo *resolve(const char *address, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
	struct addrinfo *found;

	if (getaddrinfo(address, port, &hints, &found) != 0) {
		fprintf(stderr, "connrate: bad address or port\n");
		exit(2);
	}
	return found;
}

static void serve(const char *port)
{
	struct addrinfo *a = resolve("::", port);
	int listener = socket(a->ai_family, a->ai_socktype, 0);
	int on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, a->ai_addr, a->ai_addrlen) < 0 ||
	    listen(listener, 1024) < 0)
		die("listen");
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		char byte;

		if (fd < 0)
			continue;
		while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
			;
		close(fd);
	}
}

/* One connection; returns the microseconds until it stood. */
static double one(const struct addrinfo *a, bool is_exchange)
{
	double start = now_us(), connected;
	char byte = '?';
	int fd = socket(a->ai_family, a->ai_socktype, 0);

	if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0)
		die("connect");
	connected = now_us();
	if (is_exchange &&
	    (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1))
		die("exchange");
	close(fd);
	return connected - start;
}

static void measure(const struct addrinfo *a, size_t n, bool is_exchange)
{
	double *times_us = calloc(n, sizeof(*times_us));
	double start = now_us(), total_us;

	if (times_us == NULL)
		die("calloc");
	for (size_t i = 0; i < n; i++)
		times_us[i] = one(a, is_exchange);
	total_us = now_us() - start;
	qsort(times_us, n, sizeof(*times_us), by_value);
	printf("{\"per_s\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
	       (double)n * 1e6 / total_us, times_us[n / 2],
	       times_us[n * 99 / 100]);
	free(times_us);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0) {
		serve(argv[2]);
	} else if (argc == 5) {
		struct addrinfo *a = resolve(argv[2], argv[3]);
		unsigned long n = strtoul(argv[4], NULL, 10);

		if (n == 0)
			return 2;
		measure(a, n, strcmp(argv[1], "exchange") == 0);
		freeaddrinfo(a);
	} else {
		fprintf(stderr, "usage: connrate serve PORT | "
				"connect|exchange ADDRESS PORT N\n");
		return 2;
	}
	return 0;
}
