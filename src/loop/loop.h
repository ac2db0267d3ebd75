/* SPDX-License-Identifier: MIT */
/* loop: one thread waiting for descriptors, deadlines and signals. */
#ifndef ECSSH_LOOP_H
#define ECSSH_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "clock.h"
#include "list.h"

struct loop;

/*
 * A descriptor being watched.  Storage is the caller's, who also owns the fd;
 * it must stay in place from loop_io_add to loop_io_del.
 */
struct loop_io {
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT; set by loop_io_add/mod */
	void (*on_event)(void *ctx, uint32_t events);
	void *ctx; /* borrowed */
};

/* A deadline.  Storage is the caller's; in place while armed. */
struct timer {
	mono_us_t due_us;
	void (*on_fire)(void *ctx);
	void *ctx;	/* borrowed */
	uint32_t index; /* 1 + place in the heap, 0: not armed */
	uint32_t turn;	/* of the loop, when it was armed */
};

/* Something to be done once, at the end of the current turn of the loop, before
 * it waits again.  Storage is the caller's; in place while posted. */
struct loop_task {
	void (*on_run)(void *ctx);
	void *ctx;	  /* borrowed */
	struct list link; /* private to the loop */
};

enum loop_time {
	LOOP_TIME_REAL,
	LOOP_TIME_VIRTUAL, /* tests: moves only by loop_advance_us */
};

/* Returns a loop for loop_free, or NULL with errno set. */
struct loop *loop_new(enum loop_time time);

/* Accepts NULL; returns NULL.  Watched descriptors are left open. */
struct loop *loop_free(struct loop *loop);

/* The time at which the current turn began. */
mono_us_t loop_now_us(const struct loop *loop);

/* Handle events until loop_stop.  Returns 0, or -errno if waiting failed. */
int loop_run(struct loop *loop);

/* Make loop_run return after the current turn. */
void loop_stop(struct loop *loop);

/* One turn: handle what is ready now without waiting.  Returns true if anything
 * was handled.  For tests. */
bool loop_poll(struct loop *loop);

/* Tests: move virtual time on by us, firing timers in order at their time. */
void loop_advance_us(struct loop *loop, uint64_t us);

/* Tests: time until the next armed timer, or UINT64_MAX. */
uint64_t loop_next_timer_us(const struct loop *loop);

/* Watch io->fd.  Fields fd, on_event and ctx are set by the caller.  Returns 0
 * or -errno of epoll_ctl(2). */
int loop_io_add(struct loop *loop, struct loop_io *io, uint32_t events);
int loop_io_mod(struct loop *loop, struct loop_io *io, uint32_t events);

/* Stop watching; nothing happens if it is not watched.  The handler is not
 * called again, not even for events already collected in this turn. */
void loop_io_del(struct loop *loop, struct loop_io *io);

/* Fire once, delay_us from now; arming again moves the deadline.  Aborts if
 * memory for the heap runs out. */
void timer_arm(struct loop *loop, struct timer *t, uint64_t delay_us);
void timer_disarm(struct loop *loop, struct timer *t);

static inline bool timer_is_armed(const struct timer *t)
{
	return t->index != 0;
}

/* Run a task at the end of this turn; posting twice is posting once.  A task
 * that is running may be posted again, but not without end: the turn lasts
 * until none is left. */
void loop_post(struct loop *loop, struct loop_task *task);

/* Take back a posted task, if it is posted.  task->link must be initialised. */
void loop_unpost(struct loop_task *task);

#endif
