/* SPDX-License-Identifier: MIT */
/*
 * loop: one thread waiting for descriptors, deadlines and signals.
 *
 * Theory of operation
 *   A turn is: wait, read the clock once, handle the ready descriptors, fire
 *   the timers that are due, run the posted tasks.  Work that is better done
 * once for many events (acknowledging, writing frames, freeing what died) is
 * posted, so it happens once a turn.
 *
 *   epoll hands out pointers to struct loop_io.  A handler may remove another
 *   descriptor whose event is already in the batch; loop_io_del therefore
 *   strikes it from the rest of the batch.
 *
 *   Deadlines go on while this host sleeps, but epoll's timeouts do not: a
 *   timer of the kernel's, by the clock of the deadlines, ends the longer waits
 *   when the host wakes up.
 */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "err.h"
#include "fd.h"

enum {
	BATCH_MAX = 64,
	/* What is over so soon after waking up needs no timer. */
	SHORT_WAIT_US = 1000000,
};

struct loop {
	int epoll_fd;
	enum loop_time time;
	mono_us_t now_us;
	uint32_t turn; /* counts the times timers were fired */
	bool is_stopping;
	struct epoll_event batch[BATCH_MAX];
	int batch_len, batch_at;
	struct timer **heap; /* owned array of borrowed timers, least first */
	uint32_t heap_len, heap_cap;
	struct list tasks;   /* struct loop_task */
	struct loop_io wake; /* fd owned; -1: virtual time */
	mono_us_t wake_us;   /* when it is due; 0: it is not set */
};

static void on_wake(void *ctx, uint32_t events)
{
	struct loop *loop = ctx;
	uint64_t n;

	(void)events;
	(void)!read(loop->wake.fd, &n, sizeof(n));
	loop->wake_us = 0;
}

static int open_wake(struct loop *loop)
{
	loop->wake.fd =
		timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	return loop->wake.fd < 0 ? -errno
				 : loop_io_add(loop, &loop->wake, EPOLLIN);
}

struct loop *loop_new(enum loop_time time)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->time = time;
	loop->now_us = time == LOOP_TIME_REAL ? clock_mono_us() : US_PER_SEC;
	list_init(&loop->tasks);
	loop->wake =
		(struct loop_io){.fd = -1, .on_event = on_wake, .ctx = loop};
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0 ||
	    (time == LOOP_TIME_REAL && open_wake(loop) < 0))
		return loop_free(loop);
	return loop;
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	fd_close(&loop->wake.fd);
	fd_close(&loop->epoll_fd);
	free(loop->heap);
	free(loop);
	return NULL;
}

mono_us_t loop_now_us(const struct loop *loop)
{
	return loop->now_us;
}

/* ---- deadlines: a binary heap ---- */

static void heap_place(struct loop *loop, uint32_t i, struct timer *t)
{
	loop->heap[i] = t;
	t->index = i + 1;
}

static void heap_up(struct loop *loop, uint32_t i, struct timer *t)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / 2;
		if (loop->heap[parent]->due_us <= t->due_us)
			break;
		heap_place(loop, i, loop->heap[parent]);
		i = parent;
	}
	heap_place(loop, i, t);
}

static void heap_down(struct loop *loop, uint32_t i, struct timer *t)
{
	for (;;) {
		uint32_t child = 2 * i + 1;
		if (child >= loop->heap_len)
			break;
		if (child + 1 < loop->heap_len &&
		    loop->heap[child + 1]->due_us < loop->heap[child]->due_us)
			child++;
		if (t->due_us <= loop->heap[child]->due_us)
			break;
		heap_place(loop, i, loop->heap[child]);
		i = child;
	}
	heap_place(loop, i, t);
}

void timer_disarm(struct loop *loop, struct timer *t)
{
	if (!timer_is_armed(t))
		return;
	uint32_t i = t->index - 1;
	struct timer *last = loop->heap[--loop->heap_len];

	t->index = 0;
	if (last == t)
		return;
	if (i > 0 && last->due_us < loop->heap[(i - 1) / 2]->due_us)
		heap_up(loop, i, last);
	else
		heap_down(loop, i, last);
}

void timer_arm(struct loop *loop, struct timer *t, uint64_t delay_us)
{
	mono_us_t due_us = loop->now_us + delay_us;

	t->turn = loop->turn;

	if (timer_is_armed(t)) {
		bool is_sooner = due_us < t->due_us;

		t->due_us = due_us;
		if (is_sooner)
			heap_up(loop, t->index - 1, t);
		else
			heap_down(loop, t->index - 1, t);
		return;
	}
	if (loop->heap_len == loop->heap_cap) {
		uint32_t cap = loop->heap_cap ? 2 * loop->heap_cap : 64;
		struct timer **heap =
			reallocarray(loop->heap, cap, sizeof(struct timer *));
		assert_always(heap != NULL);
		loop->heap = heap;
		loop->heap_cap = cap;
	}
	t->due_us = due_us;
	heap_up(loop, loop->heap_len++, t);
}

uint64_t loop_next_timer_us(const struct loop *loop)
{
	if (loop->heap_len == 0)
		return UINT64_MAX;
	mono_us_t due_us = loop->heap[0]->due_us;
	return due_us > loop->now_us ? due_us - loop->now_us : 0;
}

/* Fire what is due at now_us.  A timer that re-arms itself for now waits for
 * the next turn. */
static bool fire_timers(struct loop *loop)
{
	mono_us_t now_us = loop->now_us;
	bool any = false;

	loop->turn++;
	while (loop->heap_len > 0 && loop->heap[0]->due_us <= now_us) {
		struct timer *t = loop->heap[0];

		if (t->turn == loop->turn)
			break;

		timer_disarm(loop, t);
		t->on_fire(t->ctx);
		any = true;
	}
	return any;
}

/* ---- tasks ---- */

void loop_post(struct loop *loop, struct loop_task *task)
{
	if (list_is_empty(&task->link))
		list_push(&loop->tasks, &task->link);
}

void loop_unpost(struct loop_task *task)
{
	list_del(&task->link);
}

static bool run_tasks(struct loop *loop)
{
	struct list *link;
	bool any = false;

	while ((link = list_pop(&loop->tasks)) != NULL) {
		struct loop_task *task =
			container_of(link, struct loop_task, link);
		task->on_run(task->ctx);
		any = true;
	}
	return any;
}

/* ---- descriptors ---- */

int loop_io_add(struct loop *loop, struct loop_io *io, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, io->fd, &ev) < 0)
		return -errno;
	io->events = events;
	return 0;
}

int loop_io_mod(struct loop *loop, struct loop_io *io, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};

	if (io->events == events)
		return 0;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &ev) < 0)
		return -errno;
	io->events = events;
	return 0;
}

void loop_io_del(struct loop *loop, struct loop_io *io)
{
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
	for (int i = loop->batch_at; i < loop->batch_len; i++)
		if (loop->batch[i].data.ptr == io)
			loop->batch[i].data.ptr = NULL;
}

/* One that is due earlier will do: it is set anew then. */
static void set_wake(struct loop *loop, mono_us_t due_us)
{
	struct itimerspec at = {
		.it_value = {.tv_sec = (time_t)(due_us / US_PER_SEC),
			     .tv_nsec = (long)(due_us % US_PER_SEC * 1000)}};

	if (loop->wake_us > loop->now_us && loop->wake_us <= due_us)
		return;
	/* If it fails we are late by the time that was slept. */
	if (timerfd_settime(loop->wake.fd, TFD_TIMER_ABSTIME, &at, NULL) == 0)
		loop->wake_us = due_us;
}

static int wait_timeout_ms(struct loop *loop)
{
	uint64_t us = loop_next_timer_us(loop);

	if (us == UINT64_MAX)
		return -1;
	if (us > SHORT_WAIT_US && loop->wake.fd >= 0)
		set_wake(loop, loop->now_us + us);
	uint64_t ms = (us + US_PER_MS - 1) / US_PER_MS;
	return ms > 86400000 ? 86400000 : (int)ms;
}

static int turn(struct loop *loop, int timeout_ms, bool *ret_any)
{
	int n = epoll_wait(loop->epoll_fd, loop->batch, BATCH_MAX, timeout_ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	if (loop->time == LOOP_TIME_REAL)
		loop->now_us = clock_mono_us();
	loop->batch_len = n > 0 ? n : 0;
	for (loop->batch_at = 0; loop->batch_at < loop->batch_len;) {
		struct epoll_event *ev = &loop->batch[loop->batch_at++];
		struct loop_io *io = ev->data.ptr;

		if (io)
			io->on_event(io->ctx, ev->events);
	}
	bool any = loop->batch_len > 0;
	any |= fire_timers(loop);
	any |= run_tasks(loop);
	*ret_any = any;
	return 0;
}

int loop_run(struct loop *loop)
{
	bool any;

	loop->is_stopping = false;
	(void)run_tasks(loop);
	while (!loop->is_stopping) {
		int r = turn(loop, wait_timeout_ms(loop), &any);
		if (r < 0)
			return r;
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->is_stopping = true;
}

bool loop_poll(struct loop *loop)
{
	bool any = false;

	return turn(loop, 0, &any) == 0 && any;
}

void loop_advance_us(struct loop *loop, uint64_t us)
{
	mono_us_t target_us = loop->now_us + us;

	assert_always(loop->time == LOOP_TIME_VIRTUAL);
	while (loop->heap_len > 0 && loop->heap[0]->due_us <= target_us) {
		if (loop->heap[0]->due_us > loop->now_us)
			loop->now_us = loop->heap[0]->due_us;
		(void)fire_timers(loop);
		(void)run_tasks(loop);
	}
	loop->now_us = target_us;
}
