/* SPDX-License-Identifier: MIT */
/*
 * What the programs of the benchmark's load share. They end with a sentence on
 * the first thing that goes wrong: a benchmark has nothing to recover.
 *
 * The first byte of a TCP connection to the server says what is wanted of it:
 * enum load_wish, or a digit D: 10 to the power of D bytes, and the end.
 */
#ifndef LOAD_H
#define LOAD_H

#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum load_wish {
	LOAD_WISH_UP = 'u',   /* read to the end */
	LOAD_WISH_DOWN = 'd', /* send until the peer leaves */
	LOAD_WISH_ECHO = 'e', /* and on */
};

enum {
	LOAD_TICK_MS = 100,    /* between two lines of counters */
	LOAD_STREAMS_MAX = 64, /* bulk streams at once */
	LOAD_CHUNK_BYTES = 1 << 17,
	LOAD_REQUEST_BYTES = 100,
};

static inline void load_die(const char *what)
{
	perror(what);
	exit(1);
}

static inline int64_t load_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The address to connect to, or, of "::", to bind to. */
static inline struct addrinfo *load_resolve(const char *address,
					    const char *port, int type)
{
	struct addrinfo hints = {.ai_socktype = type,
				 .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
	struct addrinfo *found;

	if (getaddrinfo(address, port, &hints, &found) != 0) {
		fprintf(stderr, "bad address %s or port %s\n", address, port);
		exit(2);
	}
	return found;
}

static inline int load_connect(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0)
		load_die("connect");
	return fd;
}

/* One line: the time and the counters so far. */
static inline void load_print_counters(const uint64_t *counters, size_t n)
{
	printf("%lld", (long long)load_now_us());
	for (size_t i = 0; i < n; i++)
		printf(" %llu", (unsigned long long)counters[i]);
	printf("\n");
	fflush(stdout);
}

#endif
