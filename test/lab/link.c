/* SPDX-License-Identifier: MIT */
/*
 * lab-link: a wide area network between two network namespaces.
 *
 * usage: lab-link --left PID:DEV --right PID:DEV [--up LINE] [--down LINE]
 *                 [--seed N]
 *
 * Makes the TUN device DEV in the network namespace of process PID, twice, and
 * carries packets between: up is from left to right.  LINE is, for example,
 * rate=50,delay_ms=20,queue_ms=200,loss=1,burst=3,jitter_ms=2,reorder=1,
 * duplicate=1, with Mbit/s and percent; what each means is in line.h.  Says
 * "ready", and then answers each line of standard input with one line:
 *
 *    up LINE | down LINE | both LINE     change what is named
 *    blackout on | blackout off          nothing leaves the queues; so SIGUSR1
 *    stats                               counters, as JSON
 *    reset                               counters to zero
 *
 * Ends with its standard input; the devices end with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "line.h"
#include "line_conf.h"

enum {
	BATCH = 64,	       /* packets of one side before the other's turn */
	DEVICE_PACKETS = 8192, /* read at once, so never as many */
	PRIORITY = 10,	       /* among real-time processes */
	LATE_US = 1000,
	NAP_NS = 100000, /* after packets: see nap */
	COMMAND_MAX = 1024,
	USAGE = 2,
};

/* A line, and the devices at its ends. */
struct way {
	struct line line;
	int from_fd, to_fd;   /* owned by struct link */
	uint64_t undelivered; /* refused by the device: it is down */
	uint64_t late;	      /* delivered more than LATE_US late */
	uint64_t late_us_max;
};

struct link {
	struct pool pool;
	struct way up, down;
	int left_fd, right_fd, signal_fd; /* owned */
	bool is_blackout, is_over;
	bool is_busy;		   /* this turn of the loop has moved packets */
	char command[COMMAND_MAX]; /* as far as it has come */
	size_t command_len;
};

/* The command line. */
struct options {
	const char *left, *right; /* "PID:DEV" */
	struct line_conf up, down;
	uint64_t seed;
};

static int64_t mono_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* -- devices ------------------------------------------------------------- */

/* In this process's namespace of the moment. */
static int make_device(const char *name, int *ret_fd, struct err *err)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd CLEANUP_FD =
		open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int sock CLEANUP_FD = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(err, -errno, "cannot open /dev/net/tun: %m");
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return err_set(err, -errno, "cannot make the device \"%s\": %m",
			       name);
	ifr.ifr_qlen = DEVICE_PACKETS;
	if (sock < 0 || ioctl(sock, SIOCSIFTXQLEN, &ifr) < 0)
		return err_set(err, -errno,
			       "cannot set the queue of the device \"%s\": %m",
			       name);
	*ret_fd = fd_take(&fd);
	return 0;
}

/* Parse "PID:DEV" and make DEV over there. */
static int make_device_at(const char *where, int *ret_fd, struct err *err)
{
	char *name, path[64];

	if (!where)
		return err_set(err, -EINVAL,
			       "say --left PID:DEV and --right PID:DEV");
	unsigned long pid = strtoul(where, &name, 10);
	if (pid == 0 || *name != ':' || !name[1] || strlen(name) > IFNAMSIZ)
		return err_set(err, -EINVAL,
			       "\"%s\" is not the number of a process and the "
			       "name of a device, as in 4711:up0",
			       where);
	(void)snprintf(path, sizeof(path), "/proc/%lu/ns/net", pid);
	int home CLEANUP_FD = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC);
	if (home < 0 || there < 0)
		return err_set(err, -EINVAL,
			       "cannot open the network of process %lu: %m",
			       pid);
	if (setns(there, CLONE_NEWNET) < 0)
		return err_set(err, -errno,
			       "cannot enter the network of process %lu: %m",
			       pid);
	int r = make_device(name + 1, ret_fd, err);
	if (setns(home, CLONE_NEWNET) < 0 && r == 0)
		r = err_set(err, -errno,
			    "cannot come back from process %lu: %m", pid);
	return r;
}

/* -- packets ------------------------------------------------------------- */

/* Take what the device has. */
static void take(struct link *l, struct way *w)
{
	for (int i = 0; i < BATCH; i++, l->is_busy = true) {
		struct packet *p = pool_get(&l->pool);
		char nowhere[1];
		ssize_t n = p ? read(w->from_fd, p->bytes, sizeof(p->bytes))
			      : read(w->from_fd, nowhere, sizeof(nowhere));

		if (p && n > 0 && (size_t)n < sizeof(p->bytes)) {
			p->len_bytes = (uint16_t)n;
			line_push(&w->line, p, mono_ns());
			continue;
		}
		if (p)
			pool_put(&l->pool, p);
		if (n > 0) {
			w->line.stats.no_room++;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			fprintf(stderr, "lab-link: a device is gone: %m\n");
			l->is_over = true;
		}
		return;
	}
}

/* Deliver what is due. */
static void give(struct link *l, struct way *w)
{
	for (int i = 0; i < BATCH; i++) {
		int64_t now_ns = mono_ns();
		struct packet *p = line_pop(&w->line, now_ns);

		if (!p)
			return;
		l->is_busy = true;
		uint64_t late_us = (uint64_t)(now_ns - p->due_ns) / 1000;
		if (late_us > w->late_us_max)
			w->late_us_max = late_us;
		w->late += late_us > LATE_US;
		for (int copies = p->has_twin ? 2 : 1; copies > 0; copies--) {
			if (write(w->to_fd, p->bytes, p->len_bytes) < 0)
				w->undelivered++;
		}
		pool_put(&l->pool, p);
	}
}

/* -- commands ------------------------------------------------------------ */

static void set_blackout(struct link *l, bool is_blackout)
{
	int64_t now_ns = mono_ns();

	l->is_blackout = is_blackout;
	line_set_blocked(&l->up.line, is_blackout, now_ns);
	line_set_blocked(&l->down.line, is_blackout, now_ns);
}

static void print_way(struct way *w, const char *name)
{
	double queue_ms = line_queue_ms(&w->line, mono_ns());
	const struct line_stats *s = &w->line.stats;

	printf("\"%s\": {\"packets\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"delivered\": %" PRIu64 ", \"delivered_bytes\": %" PRIu64
	       ", \"dropped\": %" PRIu64 ", \"lost\": %" PRIu64
	       ", \"reordered\": %" PRIu64 ", \"duplicated\": %" PRIu64
	       ", \"no_room\": %" PRIu64 ", \"undelivered\": %" PRIu64
	       ", \"queue_ms\": %.3f, \"queue_ms_max\": %.3f"
	       ", \"late\": %" PRIu64 ", \"late_us_max\": %" PRIu64 "}",
	       name, s->packets, s->bytes, s->delivered, s->delivered_bytes,
	       s->dropped, s->lost, s->reordered, s->duplicated, s->no_room,
	       w->undelivered, queue_ms, s->queue_ms_max, w->late,
	       w->late_us_max);
}

static void print_stats(struct link *l)
{
	putchar('{');
	print_way(&l->up, "up");
	printf(", ");
	print_way(&l->down, "down");
	puts("}");
}

static void reset_stats(struct way *w)
{
	w->line.stats = (struct line_stats){0};
	w->undelivered = w->late = w->late_us_max = 0;
}

static int set_lines(struct link *l, const char *which, const char *text,
		     struct err *err)
{
	bool is_both = strcmp(which, "both") == 0;
	bool is_up = is_both || strcmp(which, "up") == 0;
	bool is_down = is_both || strcmp(which, "down") == 0;
	struct line_conf up = l->up.line.conf, down = l->down.line.conf;
	int64_t now_ns = mono_ns();
	int r = 0;

	if (is_up)
		r = line_conf_parse(text, &up, err);
	if (is_down && r == 0)
		r = line_conf_parse(text, &down, err);
	if (r < 0)
		return r;
	line_set_conf(&l->up.line, &up, now_ns);
	line_set_conf(&l->down.line, &down, now_ns);
	return 0;
}

/* One that is a word, or a word and how.  Returns false if it is none. */
static bool run_word(struct link *l, const char *command)
{
	if (strcmp(command, "stats") == 0) {
		print_stats(l);
		return true;
	}
	if (strcmp(command, "reset") == 0) {
		reset_stats(&l->up);
		reset_stats(&l->down);
	} else if (strcmp(command, "blackout on") == 0) {
		set_blackout(l, true);
	} else if (strcmp(command, "blackout off") == 0) {
		set_blackout(l, false);
	} else {
		return false;
	}
	puts("ok");
	return true;
}

static int run_command(struct link *l, char *command, struct err *err)
{
	if (run_word(l, command))
		return 0;
	char *text = command;
	const char *which = strsep(&text, " ");
	if (!text || (strcmp(which, "up") != 0 && strcmp(which, "down") != 0 &&
		      strcmp(which, "both") != 0))
		return err_set(err, -EINVAL,
			       "say up LINE, down LINE, both LINE, blackout "
			       "on, blackout off, stats or reset");
	int r = set_lines(l, which, text, err);
	if (r == 0)
		puts("ok");
	return r;
}

/* Read commands; the end of them is the end. */
static void listen_to(struct link *l)
{
	size_t room = sizeof(l->command) - l->command_len;
	ssize_t n = read(STDIN_FILENO, l->command + l->command_len, room);
	char *end;

	if (n <= 0) {
		l->is_over = n == 0 || errno != EINTR;
		return;
	}
	l->command_len += (size_t)n;
	while ((end = memchr(l->command, '\n', l->command_len))) {
		struct err err = {0};
		*end++ = '\0';
		if (run_command(l, l->command, &err) < 0)
			printf("error: %s\n", err.text);
		l->command_len -= (size_t)(end - l->command);
		memmove(l->command, end, l->command_len);
	}
	(void)fflush(stdout);
	if (l->command_len == sizeof(l->command)) {
		fprintf(stderr, "lab-link: a command of more than %d bytes\n",
			COMMAND_MAX);
		l->is_over = true;
	}
}

static void on_signal(struct link *l)
{
	struct signalfd_siginfo info;

	if (read(l->signal_fd, &info, sizeof(info)) == sizeof(info))
		set_blackout(l, !l->is_blackout);
}

/* -- the loop ------------------------------------------------------------ */

static struct timespec wait_time(const struct link *l)
{
	int64_t up_ns = line_next_ns(&l->up.line);
	int64_t down_ns = line_next_ns(&l->down.line);
	int64_t next_ns = up_ns < down_ns ? up_ns : down_ns;
	int64_t now_ns = mono_ns();
	/* LINE_NEVER as well: an hour is as good. */
	int64_t ns = next_ns <= now_ns ? 0 : next_ns - now_ns;
	int64_t seconds = ns / 1000000000;

	return (struct timespec){.tv_sec = seconds > 3600 ? 3600 : seconds,
				 .tv_nsec = ns % 1000000000};
}

/*
 * Where there was one packet, more are on their way.  To be woken for each
 * would take the processor from those who are tested, all of it for a while:
 * the kernel stops who runs in real time for 50 ms then.  A packet is late by
 * no more than two naps, which is far below LATE_US.
 */
static void nap(struct link *l)
{
	struct timespec ts = {.tv_nsec = NAP_NS};

	if (l->is_busy)
		(void)nanosleep(&ts, NULL);
	l->is_busy = false;
}

static void run(struct link *l)
{
	struct pollfd fds[] = {{l->left_fd, POLLIN, 0},
			       {l->right_fd, POLLIN, 0},
			       {STDIN_FILENO, POLLIN, 0},
			       {l->signal_fd, POLLIN, 0}};

	while (!l->is_over) {
		nap(l);
		struct timespec ts = wait_time(l);
		if (ppoll(fds, sizeof(fds) / sizeof(fds[0]), &ts, NULL) < 0)
			continue;
		if (fds[0].revents)
			take(l, &l->up);
		if (fds[1].revents)
			take(l, &l->down);
		/* Before a command: who sent one after a signal, and got an
		 * answer, knows that the signal has been heard. */
		if (fds[3].revents)
			on_signal(l);
		if (fds[2].revents)
			listen_to(l);
		give(l, &l->up);
		give(l, &l->down);
	}
}

/* Be woken in time.  All of it is a wish: without, we are less exact. */
static void ask_for_punctuality(void)
{
	struct sched_param param = {.sched_priority = PRIORITY};

	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	(void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
}

static int open_link(struct link *l, const struct options *o, struct err *err)
{
	sigset_t set;
	int r = make_device_at(o->left, &l->left_fd, err);

	if (r == 0)
		r = make_device_at(o->right, &l->right_fd, err);
	if (r < 0)
		return r;
	if (pool_init(&l->pool) < 0)
		return err_set(err, -ENOMEM, "no memory for packets");
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->signal_fd < 0)
		return err_set(err, -errno, "cannot listen to signals: %m");
	l->up.from_fd = l->down.to_fd = l->left_fd;
	l->up.to_fd = l->down.from_fd = l->right_fd;
	line_init(&l->up.line, &l->pool, &o->up, 2 * o->seed);
	line_init(&l->down.line, &l->pool, &o->down, 2 * o->seed + 1);
	return 0;
}

/* Returns 0, or -EINVAL with err. */
static int parse_options(int argc, char **argv, struct options *o,
			 struct err *err)
{
	static const struct option names[] = {
		{"left", required_argument, NULL, 'l'},
		{"right", required_argument, NULL, 'r'},
		{"up", required_argument, NULL, 'u'},
		{"down", required_argument, NULL, 'd'},
		{"seed", required_argument, NULL, 's'},
		{0}};
	int c, r = 0;
	char *end = NULL;

	opterr = 0;
	while (r == 0 && (c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'l')
			o->left = optarg;
		else if (c == 'r')
			o->right = optarg;
		else if (c == 'u')
			r = line_conf_parse(optarg, &o->up, err);
		else if (c == 'd')
			r = line_conf_parse(optarg, &o->down, err);
		else if (c == 's')
			o->seed = strtoull(optarg, &end, 10);
		else
			r = err_set(err, -EINVAL, "no such option: %s",
				    argv[optind - 1]);
		if (end && *end)
			r = err_set(err, -EINVAL,
				    "--seed %s: give a whole number", optarg);
	}
	if (r == 0 && optind < argc)
		r = err_set(err, -EINVAL, "nothing is known of \"%s\"",
			    argv[optind]);
	return r;
}

int main(int argc, char **argv)
{
	struct options o = {
		.up = line_conf_default, .down = line_conf_default, .seed = 1};
	struct link l = {.left_fd = -1, .right_fd = -1, .signal_fd = -1};
	struct err err;

	int r = parse_options(argc, argv, &o, &err);
	if (r == 0)
		r = open_link(&l, &o, &err);
	if (r < 0) {
		fprintf(stderr, "lab-link: %s\n", err.text);
		return r == -EINVAL ? USAGE : EXIT_FAILURE;
	}
	ask_for_punctuality();
	(void)signal(SIGPIPE, SIG_IGN);
	puts("ready");
	(void)fflush(stdout);
	run(&l);
	return EXIT_SUCCESS;
}
