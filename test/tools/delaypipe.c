/* SPDX-License-Identifier: MIT */
/*
 * delaypipe: an ssh ProxyCommand that is a long line.
 *
 * usage: delaypipe HOST PORT MS [MBIT]
 *
 * Every byte takes MS milliseconds in each direction, and at most MBIT million
 * bits pass in a second; a queue holds 50 ms of that.  HOST is an address.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "fd.h"
#include "list.h"

enum { PART = 64 << 10, UNDER_WAY_MAX = 256 << 20, QUEUE_US = 50000 };

struct part {
	struct list link;
	mono_us_t due_us;
	size_t len, at;
	char bytes[PART];
};

struct way {
	int from, to;
	struct list parts;
	size_t bytes;
	mono_us_t free_us; /* when the line has sent all it was given */
	bool is_eof, is_over;
};

static uint64_t delay_us, mbit;

/* When the line may be given more. */
static mono_us_t reads_at(const struct way *w)
{
	if (w->is_eof || w->bytes > UNDER_WAY_MAX)
		return UINT64_MAX;
	return mbit && w->free_us > QUEUE_US ? w->free_us - QUEUE_US : 0;
}

static void take(struct way *w, mono_us_t now)
{
	struct part *p = malloc(sizeof(*p));
	ssize_t n = p ? read(w->from, p->bytes, sizeof(p->bytes)) : -1;

	if (n <= 0) {
		w->is_eof = n == 0 || errno != EAGAIN;
		free(p);
		return;
	}
	if (w->free_us < now)
		w->free_us = now;
	if (mbit)
		w->free_us += (uint64_t)n * 8 / mbit;
	p->due_us = w->free_us + delay_us;
	p->len = (size_t)n;
	p->at = 0;
	w->bytes += (size_t)n;
	list_push(&w->parts, &p->link);
}

static struct part *head_of(const struct way *w)
{
	return list_is_empty(&w->parts)
		       ? NULL
		       : container_of(w->parts.next, struct part, link);
}

/* Returns false if it can take no more now. */
static bool give(struct way *w)
{
	struct part *p = head_of(w);
	ssize_t n = write(w->to, p->bytes + p->at, p->len - p->at);

	if (n < 0) {
		w->is_over = errno != EAGAIN;
		return false;
	}
	p->at += (size_t)n;
	w->bytes -= (size_t)n;
	if (p->at < p->len)
		return false;
	list_del(&p->link);
	free(p);
	return true;
}

static void step(struct way *w, mono_us_t now)
{
	struct part *p;

	if (reads_at(w) <= now)
		take(w, now);
	while ((p = head_of(w)) && p->due_us <= now && give(w))
		continue;
	if (w->is_eof && !head_of(w) && !w->is_over) {
		w->is_over = true;
		(void)shutdown(w->to, SHUT_WR);
		(void)close(w->to);
	}
}

static void wait_for_any(struct way ways[2])
{
	mono_us_t now = clock_mono_us(), until = UINT64_MAX;
	struct pollfd fds[4];

	for (int i = 0; i < 2; i++) {
		struct way *w = &ways[i];
		const struct part *p = head_of(w);
		bool reads = reads_at(w) <= now, gives = p && p->due_us <= now;

		fds[2 * i] = (struct pollfd){reads ? w->from : -1, POLLIN, 0};
		fds[2 * i + 1] =
			(struct pollfd){gives ? w->to : -1, POLLOUT, 0};
		if (!reads && reads_at(w) < until)
			until = reads_at(w);
		if (p && !gives && p->due_us < until)
			until = p->due_us;
	}
	struct timespec ts = {0};
	uint64_t us = until > now ? until - now : 0;
	ts.tv_sec = (time_t)(us / 1000000);
	ts.tv_nsec = (long)(us % 1000000 * 1000);
	(void)ppoll(fds, 4, until == UINT64_MAX ? NULL : &ts, NULL);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	int s = socket(AF_INET, SOCK_STREAM, 0);

	if (argc < 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	delay_us = strtoull(argv[3], NULL, 10) * 1000;
	mbit = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	(void)signal(SIGPIPE, SIG_IGN);
	if (connect(s, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 1;
	struct way ways[2] = {{.from = STDIN_FILENO, .to = s},
			      {.from = s, .to = STDOUT_FILENO}};
	for (int i = 0; i < 2; i++) {
		list_init(&ways[i].parts);
		(void)fd_set_nonblock(ways[i].from);
		(void)fd_set_nonblock(ways[i].to);
	}
	/* The far end's end is the end. */
	while (!ways[1].is_over && !(ways[0].is_over && ways[0].is_eof)) {
		wait_for_any(ways);
		for (int i = 0; i < 2; i++)
			step(&ways[i], clock_mono_us());
	}
	return 0;
}
