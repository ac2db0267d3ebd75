/* SPDX-License-Identifier: MIT */
/* test_loop: descriptors, deadlines and tasks of src/loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "reference.h"

/* ---- a record of what happened, in order ---- */

enum { EVENTS_MAX = 256 };

struct record {
	struct loop *loop;
	char events[EVENTS_MAX]; /* one letter each */
	mono_us_t times_us[EVENTS_MAX];
	size_t n;
};

static void note(struct record *rec, char event)
{
	assert_true(rec->n < EVENTS_MAX - 1);
	rec->times_us[rec->n] = loop_now_us(rec->loop);
	rec->events[rec->n++] = event;
	rec->events[rec->n] = '\0';
}

static struct record record_of(enum loop_time time)
{
	struct record rec = {.loop = loop_new(time)};

	assert_non_null(rec.loop);
	return rec;
}

static void clear(struct record *rec)
{
	rec->n = 0;
	rec->events[0] = '\0';
}

/* ---- timers ---- */

struct noting_timer {
	struct timer timer;
	struct record *rec;
	char name;
	/* what to do when it fires */
	uint64_t rearm_us;	/* 0: nothing */
	struct timer *disarm;	/* NULL: nothing */
	struct loop_task *post; /* NULL: nothing */
};

static void on_fire(void *ctx)
{
	struct noting_timer *t = ctx;

	assert_false(timer_is_armed(&t->timer));
	note(t->rec, t->name);
	if (t->rearm_us > 0)
		timer_arm(t->rec->loop, &t->timer, t->rearm_us);
	if (t->disarm)
		timer_disarm(t->rec->loop, t->disarm);
	if (t->post)
		loop_post(t->rec->loop, t->post);
}

static struct noting_timer timer_of(struct record *rec, char name)
{
	return (struct noting_timer){
		.timer = {.on_fire = on_fire}, .rec = rec, .name = name};
}

/* Arm, with ctx set now that the timer has its place. */
static void arm(struct noting_timer *t, uint64_t delay_us)
{
	t->timer.ctx = t;
	timer_arm(t->rec->loop, &t->timer, delay_us);
}

static void loop_fires_timers_in_order_at_their_time(void **state)
{
	struct record rec = record_of(LOOP_TIME_VIRTUAL);
	mono_us_t start_us = loop_now_us(rec.loop);
	struct noting_timer a = timer_of(&rec, 'a'), b = timer_of(&rec, 'b'),
			    c = timer_of(&rec, 'c');

	(void)state;
	assert_int_equal(loop_next_timer_us(rec.loop), UINT64_MAX);
	arm(&c, 300);
	arm(&a, 100);
	arm(&b, 200);
	assert_int_equal(loop_next_timer_us(rec.loop), 100);
	loop_advance_us(rec.loop, 99);
	assert_string_equal(rec.events, "");
	assert_int_equal(loop_next_timer_us(rec.loop), 1);
	loop_advance_us(rec.loop, 1);
	assert_string_equal(rec.events, "a");
	loop_advance_us(rec.loop, 1000);
	assert_string_equal(rec.events, "abc");
	assert_int_equal(rec.times_us[0], start_us + 100);
	assert_int_equal(rec.times_us[1], start_us + 200);
	assert_int_equal(rec.times_us[2], start_us + 300);
	assert_int_equal(loop_now_us(rec.loop), start_us + 1100);
	assert_int_equal(loop_next_timer_us(rec.loop), UINT64_MAX);
	assert_null(loop_free(rec.loop));
}

static void loop_moves_a_deadline_when_armed_again(void **state)
{
	struct record rec = record_of(LOOP_TIME_VIRTUAL);
	struct noting_timer a = timer_of(&rec, 'a'), b = timer_of(&rec, 'b');

	(void)state;
	arm(&a, 100);
	arm(&b, 200);
	arm(&a, 300); /* later */
	loop_advance_us(rec.loop, 250);
	assert_string_equal(rec.events, "b");
	arm(&b, 500);
	arm(&b, 10); /* sooner */
	loop_advance_us(rec.loop, 20);
	assert_string_equal(rec.events, "bb");
	loop_advance_us(rec.loop, 1000);
	assert_string_equal(rec.events, "bba");
	(void)loop_free(rec.loop);
}

static void loop_disarms_from_anywhere(void **state)
{
	struct record rec = record_of(LOOP_TIME_VIRTUAL);
	struct noting_timer a = timer_of(&rec, 'a'), b = timer_of(&rec, 'b'),
			    c = timer_of(&rec, 'c');

	(void)state;
	timer_disarm(rec.loop, &a.timer); /* not armed: nothing */
	arm(&a, 100);
	arm(&b, 100); /* due at the same time */
	arm(&c, 50);
	assert_true(timer_is_armed(&c.timer));
	timer_disarm(rec.loop, &c.timer);
	timer_disarm(rec.loop, &c.timer);
	assert_false(timer_is_armed(&c.timer));
	a.disarm = &b.timer;
	b.disarm = &a.timer; /* whoever is first takes the other out */
	loop_advance_us(rec.loop, 1000);
	assert_int_equal(rec.n, 1);
	(void)loop_free(rec.loop);
}

static void loop_lets_a_timer_arm_itself_again(void **state)
{
	struct record rec = record_of(LOOP_TIME_VIRTUAL);
	mono_us_t start_us = loop_now_us(rec.loop);
	struct noting_timer a = timer_of(&rec, 'a');

	(void)state;
	a.rearm_us = 10;
	arm(&a, 10);
	loop_advance_us(rec.loop, 45);
	assert_string_equal(rec.events, "aaaa");
	assert_int_equal(rec.times_us[3], start_us + 40);
	(void)loop_free(rec.loop);
}

static void loop_fires_a_timer_without_delay_at_the_next_turn(void **state)
{
	struct record rec = record_of(LOOP_TIME_VIRTUAL);
	struct noting_timer a = timer_of(&rec, 'a');

	(void)state;
	arm(&a, 0);
	assert_string_equal(rec.events, "");
	assert_int_equal(loop_next_timer_us(rec.loop), 0);
	assert_true(loop_poll(rec.loop));
	assert_string_equal(rec.events, "a");
	assert_false(loop_poll(rec.loop));
	(void)loop_free(rec.loop);
}

/* Hundreds of timers armed, moved and disarmed at random, against a list
 * searched from end to end. */
struct model_timer {
	struct timer timer;
	mono_us_t due_us; /* 0: not armed */
	struct model *model;
};

enum { MODEL_TIMERS = 300 };

struct model {
	struct loop *loop;
	struct model_timer timers[MODEL_TIMERS];
	size_t n_fired;
};

static void on_model_fire(void *ctx)
{
	struct model_timer *t = ctx;
	struct model *m = t->model;

	assert_int_equal(t->due_us, loop_now_us(m->loop));
	for (size_t i = 0; i < MODEL_TIMERS; i++)
		assert_true(m->timers[i].due_us == 0 ||
			    m->timers[i].due_us >= t->due_us);
	t->due_us = 0;
	m->n_fired++;
}

static void loop_keeps_many_random_timers_in_order(void **state)
{
	static struct model m;
	struct rng rng = rng_init("loop timers");
	size_t n_armed = 0;

	(void)state;
	m.loop = loop_new(LOOP_TIME_VIRTUAL);
	for (size_t i = 0; i < MODEL_TIMERS; i++) {
		m.timers[i].model = &m;
		m.timers[i].timer.on_fire = on_model_fire;
		m.timers[i].timer.ctx = &m.timers[i];
	}
	for (int step = 0; step < 20000; step++) {
		struct model_timer *t =
			&m.timers[rng_below(&rng, MODEL_TIMERS)];
		size_t what = rng_below(&rng, 8);

		if (what == 0) {
			loop_advance_us(m.loop, rng_below(&rng, 100));
		} else if (what == 1) {
			timer_disarm(m.loop, &t->timer);
			t->due_us = 0;
		} else {
			uint64_t delay_us = 1 + rng_below(&rng, 1000);

			timer_arm(m.loop, &t->timer, delay_us);
			t->due_us = loop_now_us(m.loop) + delay_us;
		}
	}
	for (size_t i = 0; i < MODEL_TIMERS; i++) {
		assert_int_equal(timer_is_armed(&m.timers[i].timer),
				 m.timers[i].due_us != 0);
		n_armed += m.timers[i].due_us != 0;
	}
	m.n_fired = 0;
	loop_advance_us(m.loop, 2000);
	assert_int_equal(m.n_fired, n_armed);
	(void)loop_free(m.loop);
}

/* ---- tasks ---- */

struct noting_task {
	struct loop_task task;
	struct record *rec;
	char name;
	struct loop_task *post;	  /* NULL: nothing */
	struct loop_task *unpost; /* NULL: nothing */
};

static void on_run(void *ctx)
{
	struct noting_task *t = ctx;

	note(t->rec, t->name);
	if (t->post)
		loop_post(t->rec->loop, t->post);
	if (t->unpost)
		loop_unpost(t->unpost);
}

static void task_init(struct noting_task *t, struct record *rec, char name)
{
	*t = (struct noting_task){
		.task = {.on_run = on_run, .ctx = t}, .rec = rec, .name = name};
	list_init(&t->task.link);
}

static void loop_runs_a_task_once_however_often_posted(void **state)
{
	struct record rec = record_of(LOOP_TIME_VIRTUAL);
	struct noting_task a, b, c;

	(void)state;
	task_init(&a, &rec, 'a');
	task_init(&b, &rec, 'b');
	task_init(&c, &rec, 'c');
	loop_unpost(&a.task); /* not posted: nothing */
	loop_post(rec.loop, &b.task);
	loop_post(rec.loop, &a.task);
	loop_post(rec.loop, &b.task);
	loop_post(rec.loop, &c.task);
	loop_unpost(&c.task);
	assert_string_equal(rec.events, "");
	assert_true(loop_poll(rec.loop));
	assert_string_equal(rec.events, "ba");
	assert_false(loop_poll(rec.loop));
	loop_post(rec.loop, &a.task); /* and again in a later turn */
	(void)loop_poll(rec.loop);
	assert_string_equal(rec.events, "baa");
	(void)loop_free(rec.loop);
}

static void loop_runs_tasks_posted_by_tasks_in_the_same_turn(void **state)
{
	struct record rec = record_of(LOOP_TIME_VIRTUAL);
	struct noting_task a, b, c;

	(void)state;
	task_init(&a, &rec, 'a');
	task_init(&b, &rec, 'b');
	task_init(&c, &rec, 'c');
	a.post = &b.task;
	a.unpost = &c.task; /* no longer wanted */
	loop_post(rec.loop, &a.task);
	loop_post(rec.loop, &c.task);
	(void)loop_poll(rec.loop);
	assert_string_equal(rec.events, "ab");
	(void)loop_free(rec.loop);
}

static void loop_runs_tasks_after_the_timers_that_posted_them(void **state)
{
	struct record rec = record_of(LOOP_TIME_VIRTUAL);
	struct noting_timer x = timer_of(&rec, 'x'), y = timer_of(&rec, 'y'),
			    z = timer_of(&rec, 'z');
	struct noting_task a;

	(void)state;
	task_init(&a, &rec, 'a');
	x.post = y.post = z.post = &a.task;
	arm(&x, 100);
	arm(&y, 100);
	arm(&z, 101);
	loop_advance_us(rec.loop, 200);
	assert_int_equal(rec.n, 5);
	assert_string_equal(rec.events + 2, "aza"); /* behind x and y */
	(void)loop_free(rec.loop);
}

/* ---- descriptors ---- */

struct noting_io {
	struct loop_io io;
	struct record *rec;
	char name;
	int peer; /* the other end of the pipe, closed by io_fini */
	bool do_read;
	struct loop_io *del; /* to be removed when it happens; NULL: nothing */
	uint32_t seen;	     /* events of the last call */
};

static void on_event(void *ctx, uint32_t events)
{
	struct noting_io *x = ctx;
	char byte;

	note(x->rec, x->name);
	x->seen = events;
	if (x->do_read)
		assert_in_range(read(x->io.fd, &byte, 1), 0, 1);
	if (x->del)
		loop_io_del(x->rec->loop, x->del);
}

/* Watch the reading end of a new pipe. */
static void io_init(struct noting_io *x, struct record *rec, char name)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	*x = (struct noting_io){
		.io = {.fd = fds[0], .on_event = on_event, .ctx = x},
		.rec = rec,
		.name = name,
		.peer = fds[1],
		.do_read = true,
	};
	assert_int_equal(loop_io_add(rec->loop, &x->io, EPOLLIN), 0);
}

static void io_fini(struct noting_io *x)
{
	loop_io_del(x->rec->loop, &x->io);
	(void)close(x->io.fd);
	if (x->peer >= 0)
		(void)close(x->peer);
}

static void poke(const struct noting_io *x)
{
	assert_int_equal(write(x->peer, "!", 1), 1);
}

static void loop_calls_what_is_ready_and_nothing_else(void **state)
{
	struct record rec = record_of(LOOP_TIME_REAL);
	struct noting_io a, b;

	(void)state;
	io_init(&a, &rec, 'a');
	io_init(&b, &rec, 'b');
	assert_false(loop_poll(rec.loop));
	poke(&b);
	assert_true(loop_poll(rec.loop));
	assert_string_equal(rec.events, "b");
	assert_int_equal(b.seen, EPOLLIN);
	assert_false(loop_poll(rec.loop));
	/* Level-triggered: again until read. */
	a.do_read = false;
	poke(&a);
	(void)loop_poll(rec.loop);
	(void)loop_poll(rec.loop);
	assert_string_equal(rec.events, "baa");
	/* The end of the pipe is an event of its own. */
	a.do_read = true;
	(void)loop_poll(rec.loop);
	(void)close(a.peer);
	a.peer = -1;
	(void)loop_poll(rec.loop);
	assert_true(a.seen & EPOLLHUP);
	io_fini(&a);
	io_fini(&b);
	(void)loop_free(rec.loop);
}

static void loop_watches_only_the_events_asked_for(void **state)
{
	struct record rec = record_of(LOOP_TIME_REAL);
	struct noting_io a;

	(void)state;
	io_init(&a, &rec, 'a');
	poke(&a);
	assert_int_equal(loop_io_mod(rec.loop, &a.io, 0), 0);
	assert_int_equal(a.io.events, 0);
	assert_false(loop_poll(rec.loop));
	assert_int_equal(loop_io_mod(rec.loop, &a.io, EPOLLIN), 0);
	assert_int_equal(loop_io_mod(rec.loop, &a.io, EPOLLIN), 0);
	assert_true(loop_poll(rec.loop));
	loop_io_del(rec.loop, &a.io);
	poke(&a);
	assert_false(loop_poll(rec.loop));
	io_fini(&a); /* removing twice is nothing */
	(void)loop_free(rec.loop);
}

static void loop_reports_errors_of_epoll(void **state)
{
	struct record rec = record_of(LOOP_TIME_REAL);
	struct noting_io a;
	struct loop_io none = {.fd = -1, .on_event = on_event};

	(void)state;
	assert_int_equal(loop_io_add(rec.loop, &none, EPOLLIN), -EBADF);
	io_init(&a, &rec, 'a');
	assert_int_equal(loop_io_add(rec.loop, &a.io, EPOLLIN), -EEXIST);
	loop_io_del(rec.loop, &a.io);
	assert_int_equal(loop_io_mod(rec.loop, &a.io, EPOLLOUT), -ENOENT);
	io_fini(&a);
	(void)loop_free(rec.loop);
}

/* Both are ready in one batch; whichever comes first removes the other. */
static void loop_never_calls_a_removed_descriptor(void **state)
{
	(void)state;
	for (int round = 0; round < 4; round++) {
		struct record rec = record_of(LOOP_TIME_REAL);
		struct noting_io a, b;

		io_init(&a, &rec, 'a');
		io_init(&b, &rec, 'b');
		a.del = &b.io;
		b.del = &a.io;
		poke(round % 2 ? &a : &b);
		poke(round % 2 ? &b : &a);
		(void)loop_poll(rec.loop);
		assert_int_equal(rec.n, 1);
		(void)loop_poll(rec.loop);
		assert_int_equal(rec.n, 1);
		io_fini(&a);
		io_fini(&b);
		(void)loop_free(rec.loop);
	}
}

static void loop_lets_a_handler_remove_itself(void **state)
{
	struct record rec = record_of(LOOP_TIME_REAL);
	struct noting_io a;

	(void)state;
	io_init(&a, &rec, 'a');
	a.del = &a.io;
	poke(&a);
	poke(&a);
	(void)loop_poll(rec.loop);
	assert_false(loop_poll(rec.loop));
	assert_string_equal(rec.events, "a");
	io_fini(&a);
	(void)loop_free(rec.loop);
}

static void loop_handles_more_descriptors_than_a_batch(void **state)
{
	enum { N = 200 };
	static struct noting_io ios[N];
	struct record rec = record_of(LOOP_TIME_REAL);
	size_t total = 0;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		io_init(&ios[i], &rec, 'x');
		poke(&ios[i]);
	}
	while (clear(&rec), loop_poll(rec.loop))
		total += rec.n;
	assert_int_equal(total, N);
	for (size_t i = 0; i < N; i++)
		io_fini(&ios[i]);
	(void)loop_free(rec.loop);
}

/* ---- running ---- */

static void on_stop(void *ctx)
{
	struct record *rec = ctx;

	note(rec, 's');
	loop_stop(rec->loop);
}

static void loop_run_sleeps_until_the_deadline_and_stops(void **state)
{
	struct record rec = record_of(LOOP_TIME_REAL);
	struct timer stop = {.on_fire = on_stop, .ctx = &rec};
	mono_us_t start_us = clock_mono_us();
	struct noting_task a;

	(void)state;
	task_init(&a, &rec, 'a');
	loop_post(rec.loop, &a.task); /* before the first wait */
	timer_arm(rec.loop, &stop, 20 * US_PER_MS);
	assert_int_equal(loop_run(rec.loop), 0);
	assert_string_equal(rec.events, "as");
	assert_true(clock_mono_us() - start_us >= 20 * US_PER_MS);
	/* It may run again. */
	timer_arm(rec.loop, &stop, 0);
	assert_int_equal(loop_run(rec.loop), 0);
	assert_string_equal(rec.events, "ass");
	(void)loop_free(rec.loop);
}

/* What the kernel says of our only timerfd, as /proc/self/fdinfo has it. */
static void read_timerfd(char ret_info[512])
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *e;
	bool is_found = false;

	assert_non_null(dir);
	while (!is_found && (e = readdir(dir))) {
		char target[64] = "", path[300];
		ssize_t n = readlinkat(dirfd(dir), e->d_name, target,
				       sizeof(target) - 1);

		is_found = n > 0 && strstr(target, "[timerfd]");
		if (!is_found)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%s",
			       e->d_name);
		FILE *f = fopen(path, "re");
		assert_non_null(f);
		ret_info[fread(ret_info, 1, 511, f)] = '\0';
		(void)fclose(f);
	}
	(void)closedir(dir);
	assert_true(is_found);
}

static uint64_t seconds_until_woken(void)
{
	char info[512];

	read_timerfd(info);
	assert_non_null(strstr(info, "clockid: 7\n")); /* CLOCK_BOOTTIME */
	const char *value = strstr(info, "it_value: (");
	assert_non_null(value);
	return strtoull(value + 11, NULL, 10);
}

static void on_stop_reading(void *ctx, uint32_t events)
{
	(void)events;
	on_stop(ctx);
}

/* Or they would be late by the time that this host has slept. */
static void loop_is_woken_for_deadlines_by_a_clock_that_counts_sleep(
	void **state)
{
	struct record rec = record_of(LOOP_TIME_REAL);
	struct noting_timer a = timer_of(&rec, 'a'), b = timer_of(&rec, 'b');
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	struct loop_io io = {
		.fd = fds[0], .on_event = on_stop_reading, .ctx = &rec};
	assert_int_equal(loop_io_add(rec.loop, &io, EPOLLIN), 0);

	arm(&a, 500 * US_PER_MS); /* not for this */
	assert_int_equal(loop_run(rec.loop), 0);
	assert_int_equal(seconds_until_woken(), 0);
	arm(&a, 100 * US_PER_SEC);
	assert_int_equal(loop_run(rec.loop), 0);
	assert_in_range(seconds_until_woken(), 90, 99);
	arm(&b, 50 * US_PER_SEC);
	assert_int_equal(loop_run(rec.loop), 0);
	assert_in_range(seconds_until_woken(), 40, 49);
	/* To be woken too early does no harm. */
	timer_disarm(rec.loop, &b.timer);
	assert_int_equal(loop_run(rec.loop), 0);
	assert_in_range(seconds_until_woken(), 40, 49);
	assert_string_equal(rec.events, "ssss");
	loop_io_del(rec.loop, &io);
	(void)loop_free(rec.loop);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

/* What has woken it is over then. */
static void loop_waits_again_after_it_was_woken(void **state)
{
	struct record rec = record_of(LOOP_TIME_REAL);
	struct timer end = {.on_fire = on_stop, .ctx = &rec};
	struct timespec used;

	(void)state;
	for (int i = 0; i < 2; i++) {
		timer_arm(rec.loop, &end, 1050 * US_PER_MS);
		assert_int_equal(loop_run(rec.loop), 0);
	}
	assert_string_equal(rec.events, "ss");
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
	assert_int_equal(used.tv_sec, 0);
	(void)loop_free(rec.loop);
}

static void loop_free_accepts_null_and_armed_timers(void **state)
{
	struct record rec = record_of(LOOP_TIME_VIRTUAL);
	struct noting_timer a = timer_of(&rec, 'a');

	(void)state;
	arm(&a, 1);
	assert_null(loop_free(rec.loop));
	assert_null(loop_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loop_fires_timers_in_order_at_their_time),
		cmocka_unit_test(loop_moves_a_deadline_when_armed_again),
		cmocka_unit_test(loop_disarms_from_anywhere),
		cmocka_unit_test(loop_lets_a_timer_arm_itself_again),
		cmocka_unit_test(
			loop_fires_a_timer_without_delay_at_the_next_turn),
		cmocka_unit_test(loop_keeps_many_random_timers_in_order),
		cmocka_unit_test(loop_runs_a_task_once_however_often_posted),
		cmocka_unit_test(
			loop_runs_tasks_posted_by_tasks_in_the_same_turn),
		cmocka_unit_test(
			loop_runs_tasks_after_the_timers_that_posted_them),
		cmocka_unit_test(loop_calls_what_is_ready_and_nothing_else),
		cmocka_unit_test(loop_watches_only_the_events_asked_for),
		cmocka_unit_test(loop_reports_errors_of_epoll),
		cmocka_unit_test(loop_never_calls_a_removed_descriptor),
		cmocka_unit_test(loop_lets_a_handler_remove_itself),
		cmocka_unit_test(loop_handles_more_descriptors_than_a_batch),
		cmocka_unit_test(loop_run_sleeps_until_the_deadline_and_stops),
		cmocka_unit_test(
			loop_is_woken_for_deadlines_by_a_clock_that_counts_sleep),
		cmocka_unit_test(loop_waits_again_after_it_was_woken),
		cmocka_unit_test(loop_free_accepts_null_and_armed_timers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
