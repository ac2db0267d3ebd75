/* SPDX-License-Identifier: MIT */
/*
 * muxcat: channels through the control socket of a running ssh, from a shell.
 *
 * usage: muxcat SOCKET cat HOST PORT         stdin and stdout are its ends
 *        muxcat SOCKET path PATH             the same to a socket there
 *        muxcat SOCKET exec COMMAND          the same to a command
 *        muxcat SOCKET many HOST PORT N      N echoes at once, each checked
 *        muxcat SOCKET worn HOST PORT CLOSED fail until no more can be opened
 *        muxcat SOCKET up HOST PORT BYTES    send so many; print seconds
 *        muxcat SOCKET down HOST PORT        receive to the end; the same
 *        muxcat SOCKET tun UNIT N            N pings through a tun channel:
 *                                            10.99.0.2 here, 10.99.0.1 there
 *        muxcat start HOST PORT SSHARGS...   cat, through an ssh of its own
 *        muxcat SOCKET -L|-R FORWARDING      have ssh do it; print the port
 *
 * The end of what comes is told on stderr by "eof". A refusal is printed on
 * stderr as "refused REASON TEXT"; exit status 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "mux_forward.h"
#include "mux_link.h"
#include "mux_sock.h"

enum {
	WINDOW = MUX_CHANNEL_WINDOW_MAX_BYTES,
	ECHO_BYTES = 100000,
	PARALLEL_FAILURES = 500,
};

struct muxcat {
	struct loop *loop;
	struct mux_link *link;
	struct starter *starter;
	struct mux_sock *sock; /* start */
	char **argv;	       /* behind the name of the socket */
	int status;
	uint32_t n_left; /* channels that are to end */
	/* cat */
	struct loop_io in;
	struct mux_channel *ch;
	uint8_t buf[128 << 10];
	size_t buf_at, buf_len;
	bool is_eof;
	/* up, down */
	uint64_t bytes, todo;
	mono_us_t start_us;
};

/* One of many. */
struct echo {
	struct muxcat *cat;
	uint32_t seed, sent, seen;
};

static struct muxcat *cat_of(struct mux_channel *ch)
{
	return mux_channel_owner(ch);
}

static void finish(struct muxcat *c, int status)
{
	c->status = status;
	loop_stop(c->loop);
}

static void on_refused(struct mux_channel *ch, uint32_t reason,
		       const char *text)
{
	(void)fprintf(stderr, "refused %u %s\n", reason, text);
	finish(cat_of(ch), 1);
}

/* ---- cat ---- */

static void pump(struct muxcat *c)
{
	while (c->buf_at < c->buf_len) {
		size_t n = mux_channel_send(c->ch, c->buf + c->buf_at,
					    c->buf_len - c->buf_at);
		if (n == 0) {
			loop_io_del(c->loop, &c->in);
			return;
		}
		c->buf_at += n;
	}
	if (c->is_eof) {
		loop_io_del(c->loop, &c->in);
		mux_channel_send_eof(c->ch);
	} else {
		(void)loop_io_add(c->loop, &c->in, EPOLLIN);
	}
}

static void on_stdin(void *ctx, uint32_t events)
{
	struct muxcat *c = ctx;
	ssize_t n;

	(void)events;
	if (c->buf_at < c->buf_len)
		return;
	n = read(STDIN_FILENO, c->buf, sizeof(c->buf));
	c->is_eof = n <= 0;
	c->buf_at = 0;
	c->buf_len = n > 0 ? (size_t)n : 0;
	pump(c);
}

static void cat_on_open(struct mux_channel *ch)
{
	struct muxcat *c = cat_of(ch);

	c->in = (struct loop_io){
		.fd = STDIN_FILENO, .on_event = on_stdin, .ctx = c};
	(void)loop_io_add(c->loop, &c->in, EPOLLIN);
}

static void cat_on_data(struct mux_channel *ch, const uint8_t *bytes,
			size_t len)
{
	if (fd_write_all(STDOUT_FILENO, bytes, len) < 0)
		finish(cat_of(ch), 1);
	mux_channel_consume(ch, len);
}

static void cat_on_eof(struct mux_channel *ch)
{
	(void)ch;
	(void)close(STDOUT_FILENO);
	(void)fprintf(stderr, "eof\n");
}

static void cat_on_writable(struct mux_channel *ch)
{
	pump(cat_of(ch));
}

static void on_closed(struct mux_channel *ch)
{
	finish(cat_of(ch), 0);
}

static const struct mux_channel_ops cat_ops = {
	.on_open = cat_on_open,
	.on_refused = on_refused,
	.on_data = cat_on_data,
	.on_eof = cat_on_eof,
	.on_writable = cat_on_writable,
	.on_closed = on_closed,
};

/* ---- up and down ---- */

static void push(struct mux_channel *ch)
{
	struct muxcat *c = cat_of(ch);

	while (c->todo > 0) {
		size_t want = c->todo < sizeof(c->buf) ? (size_t)c->todo
						       : sizeof(c->buf);
		size_t n = mux_channel_send(ch, c->buf, want);

		c->todo -= n;
		if (n < want)
			return;
	}
	mux_channel_send_eof(ch);
}

static void speed_on_open(struct mux_channel *ch)
{
	struct muxcat *c = cat_of(ch);

	c->start_us = clock_mono_us();
	if (c->todo > 0)
		push(ch);
}

static void speed_on_data(struct mux_channel *ch, const uint8_t *bytes,
			  size_t len)
{
	(void)bytes;
	cat_of(ch)->bytes += len;
	mux_channel_consume(ch, len);
}

static void speed_on_eof(struct mux_channel *ch)
{
	struct muxcat *c = cat_of(ch);
	double s = (double)(clock_mono_us() - c->start_us) / 1e6;

	(void)printf("%.4f %llu\n", s, (unsigned long long)c->bytes);
	finish(c, 0);
}

static const struct mux_channel_ops speed_ops = {
	.on_open = speed_on_open,
	.on_refused = on_refused,
	.on_data = speed_on_data,
	.on_eof = speed_on_eof,
	.on_writable = push,
};

/* ---- many ---- */

static uint8_t pattern(const struct echo *e, uint32_t at)
{
	return (uint8_t)((at + e->seed) * 2654435761u >> 24);
}

static void echo_push(struct mux_channel *ch)
{
	struct echo *e = mux_channel_owner(ch);
	uint8_t buf[8192];

	while (e->sent < ECHO_BYTES) {
		uint32_t n = ECHO_BYTES - e->sent < sizeof(buf)
				     ? ECHO_BYTES - e->sent
				     : (uint32_t)sizeof(buf);

		for (uint32_t i = 0; i < n; i++)
			buf[i] = pattern(e, e->sent + i);
		uint32_t taken = (uint32_t)mux_channel_send(ch, buf, n);
		e->sent += taken;
		if (taken < n)
			return;
	}
	mux_channel_send_eof(ch);
}

static void echo_on_data(struct mux_channel *ch, const uint8_t *bytes,
			 size_t len)
{
	struct echo *e = mux_channel_owner(ch);

	for (size_t i = 0; i < len; i++)
		if (bytes[i] != pattern(e, e->seen++))
			finish(e->cat, 3);
	mux_channel_consume(ch, len);
}

static void echo_on_refused(struct mux_channel *ch, uint32_t reason,
			    const char *text)
{
	struct echo *e = mux_channel_owner(ch);

	(void)fprintf(stderr, "refused %u %s\n", reason, text);
	finish(e->cat, 1);
	free(e);
}

static void echo_on_closed(struct mux_channel *ch)
{
	struct echo *e = mux_channel_owner(ch);

	if (e->seen != ECHO_BYTES)
		finish(e->cat, 4);
	else if (--e->cat->n_left == 0)
		finish(e->cat, 0);
	free(e);
}

static const struct mux_channel_ops echo_ops = {
	.on_open = echo_push,
	.on_refused = echo_on_refused,
	.on_data = echo_on_data,
	.on_writable = echo_push,
	.on_closed = echo_on_closed,
};

static void open_echo(struct muxcat *c)
{
	struct echo *e = calloc(1, sizeof(*e));
	struct mux_channel_open o = {.kind = MUX_DIRECT_TCPIP,
				     .host = c->argv[1],
				     .port = (uint32_t)atoi(c->argv[2]),
				     .window_bytes = WINDOW};

	if (!e)
		abort();
	e->cat = c;
	e->seed = ++c->n_left;
	if (!mux_channel_open(c->link, &o, &echo_ops, e)) {
		perror("mux_channel_open");
		finish(c, 1);
	}
}

/* ---- worn ---- */

static void fail_once(struct muxcat *c);

static void worn_on_refused(struct mux_channel *ch, uint32_t reason,
			    const char *text)
{
	(void)reason;
	(void)text;
	fail_once(cat_of(ch));
}

static const struct mux_channel_ops worn_ops = {.on_refused = worn_on_refused};

static void fail_once(struct muxcat *c)
{
	struct mux_channel_open o = {.kind = MUX_DIRECT_TCPIP,
				     .host = c->argv[1],
				     .port = (uint32_t)atoi(c->argv[3]),
				     .window_bytes = WINDOW};

	if (mux_channel_open(c->link, &o, &worn_ops, c))
		return;
	if (errno != EMFILE)
		finish(c, 5);
	/* The echo has been open all the time. */
	if (mux_link_n_channels(c->link) == 1 && c->ch) {
		(void)printf("%u\n", mux_link_n_failures(c->link));
		echo_push(c->ch);
		c->ch = NULL;
	}
}

static void worn_on_open(struct mux_channel *ch)
{
	struct muxcat *c = ((struct echo *)mux_channel_owner(ch))->cat;

	c->ch = ch;
	for (int i = 0; i < PARALLEL_FAILURES; i++)
		fail_once(c);
}

static const struct mux_channel_ops worn_echo_ops = {
	.on_open = worn_on_open,
	.on_refused = echo_on_refused,
	.on_data = echo_on_data,
	.on_writable = echo_push,
	.on_closed = echo_on_closed,
};

static void start_worn(struct muxcat *c)
{
	struct echo *e = calloc(1, sizeof(*e));
	struct mux_channel_open o = {.kind = MUX_DIRECT_TCPIP,
				     .host = c->argv[1],
				     .port = (uint32_t)atoi(c->argv[2]),
				     .window_bytes = WINDOW};

	if (!e)
		abort();
	e->cat = c;
	c->n_left = 1;
	(void)mux_channel_open(c->link, &o, &worn_echo_ops, e);
}

/* ---- tun ---- */

enum { PING_LEN = 1400 };

static uint32_t sum16(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16)) & 0xffff;
}

static void ping(struct muxcat *c)
{
	uint8_t ip[PING_LEN] = {0x45,
				0,
				PING_LEN >> 8,
				PING_LEN & 0xff,
				0,
				0,
				0,
				0,
				64,
				1,
				0,
				0,
				10,
				99,
				0,
				2,
				10,
				99,
				0,
				1,
				8};
	uint32_t sum = sum16(ip, 20);

	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	sum = sum16(ip + 20, PING_LEN - 20);
	ip[22] = (uint8_t)(sum >> 8);
	ip[23] = (uint8_t)sum;
	if (!mux_channel_send_packet(c->ch, ip, sizeof(ip)))
		finish(c, 3);
}

/* The device has no address until a line comes. */
static void on_tun_ready(void *ctx, uint32_t events)
{
	struct muxcat *c = ctx;
	char line[16];

	(void)events;
	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		finish(c, 3);
	loop_io_del(c->loop, &c->in);
	ping(c);
}

static void tun_on_open(struct mux_channel *ch)
{
	struct muxcat *c = cat_of(ch);

	(void)fprintf(stderr, "open\n");
	c->in = (struct loop_io){
		.fd = STDIN_FILENO, .on_event = on_tun_ready, .ctx = c};
	(void)loop_io_add(c->loop, &c->in, EPOLLIN);
}

static void tun_on_data(struct mux_channel *ch, const uint8_t *ip, size_t len)
{
	struct muxcat *c = cat_of(ch);
	bool is_reply = len == PING_LEN && ip[0] == 0x45 && ip[20] == 0;

	mux_channel_consume(ch, len);
	if (!is_reply) /* what IPv6 says of itself */
		return;
	if (--c->todo == 0)
		finish(c, 0);
	else
		ping(c);
}

static const struct mux_channel_ops tun_ops = {
	.on_open = tun_on_open,
	.on_refused = on_refused,
	.on_data = tun_on_data,
	.on_closed = on_closed,
};

static void start_tun(struct muxcat *c)
{
	struct mux_channel_open o = {.kind = MUX_TUN,
				     .port = (uint32_t)atoi(c->argv[1]),
				     .window_bytes = WINDOW};

	c->todo = strtoull(c->argv[2], NULL, 10);
	c->ch = mux_channel_open(c->link, &o, &tun_ops, c);
}

/* ---- the link ---- */

static void on_ready(void *ctx)
{
	struct muxcat *c = ctx;
	const char *mode = c->argv[0];
	struct mux_channel_open o = {.kind = MUX_DIRECT_TCPIP,
				     .host = c->argv[1],
				     .window_bytes = WINDOW};
	bool is_speed = strcmp(mode, "up") == 0 || strcmp(mode, "down") == 0;

	if (strcmp(mode, "tun") == 0) {
		start_tun(c);
		return;
	}
	if (strcmp(mode, "worn") == 0) {
		start_worn(c);
		return;
	}
	if (strcmp(mode, "many") == 0) {
		for (int n = atoi(c->argv[3]); n > 0; n--)
			open_echo(c);
		return;
	}
	if (strcmp(mode, "path") == 0)
		o.kind = MUX_DIRECT_STREAMLOCAL;
	else if (strcmp(mode, "exec") == 0)
		o.kind = MUX_EXEC;
	else
		o.port = (uint32_t)atoi(c->argv[2]);
	if (strcmp(mode, "up") == 0)
		c->todo = strtoull(c->argv[3], NULL, 10);
	c->ch = mux_channel_open(c->link, &o, is_speed ? &speed_ops : &cat_ops,
				 c);
}

static void on_link_closed(void *ctx, const struct err *why)
{
	(void)fprintf(stderr, "%s\n", why->text);
	finish(ctx, 2);
}

static const struct mux_link_ops link_ops = {on_ready, on_link_closed};

static int connect_to(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

/* ---- forwardings ---- */

static void on_forwarded(void *ctx, uint32_t request, uint16_t port,
			 const struct err *why)
{
	(void)request;
	if (why)
		(void)fprintf(stderr, "%s\n", why->text);
	else
		(void)printf("%u\n", port);
	finish(ctx, why ? 1 : 0);
}

static int forward(struct muxcat *c, int fd)
{
	struct mux_forward_spec spec;
	struct err err;

	if (mux_forward_parse(c->argv[0][1] == 'L' ? MUX_FORWARD_LOCAL
						   : MUX_FORWARD_REMOTE,
			      c->argv[1], &spec, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	if (mux_forward_greet(fd) < 0 || mux_forward_send(fd, 0, &spec) < 0)
		return 2;
	struct mux_forward *f = mux_forward_new(c->loop, fd, on_forwarded, c);
	if (!f || mux_forward_expect(f, &spec) < 0 || loop_run(c->loop) < 0)
		return 2;
	(void)mux_forward_free(f);
	return c->status;
}

/* ---- an ssh of our own ---- */

static void on_connected(void *ctx, int fd)
{
	struct muxcat *c = ctx;

	if (fd >= 0)
		c->link = mux_link_new(c->loop, fd, &link_ops, c);
	if (!c->link)
		finish(c, 2);
}

static pid_t start_ssh(struct muxcat *c, int argc, char **args)
{
	char path[128];
	char **argv = calloc((size_t)argc + 3, sizeof(*argv));
	const struct ssh_plan plan = {.dest = NULL}; /* of no ssh */
	struct err err;

	if (starter_new(&plan, &c->starter, &err) < 0)
		abort();
	c->sock = mux_sock_new(c->loop, c->starter, on_connected, c, &err);
	if (!c->sock || !argv)
		abort();
	(void)snprintf(path, sizeof(path), "-oControlPath=%s",
		       mux_sock_path(c->sock));
	argv[0] = "ssh";
	argv[1] = "-oControlMaster=yes";
	argv[2] = path;
	memcpy(argv + 3, args, (size_t)argc * sizeof(*argv) - sizeof(*argv));
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(STDIN_FILENO);
		(void)execvp(argv[0], argv);
		_exit(127);
	}
	free(argv);
	return pid;
}

static int run_start(struct muxcat *c, int argc, char **argv)
{
	static char mode[] = "cat";
	char *cat[] = {mode, argv[2], argv[3]};

	c->argv = cat;
	pid_t pid = start_ssh(c, argc - 3, argv + 4);
	if (pid < 0 || loop_run(c->loop) < 0)
		return 2;
	c->link = mux_link_free(c->link);
	(void)waitpid(pid, NULL, 0);
	c->sock = mux_sock_free(c->sock);
	c->starter = starter_free(c->starter);
	return c->status;
}

static int run_link(struct muxcat *c, int fd)
{
	if (mux_link_greet(fd) == 0)
		c->link = mux_link_new(c->loop, fd, &link_ops, c);
	if (!c->link || loop_run(c->loop) < 0)
		return 2;
	c->link = mux_link_free(c->link);
	return c->status;
}

int main(int argc, char **argv)
{
	struct muxcat *c = calloc(1, sizeof(*c));
	int status;

	if (argc < 4 || !c) {
		(void)fprintf(stderr, "usage: see the top of muxcat.c\n");
		return 2;
	}
	c->argv = argv + 2;
	c->loop = loop_new(LOOP_TIME_REAL);
	if (strcmp(argv[1], "start") == 0)
		status = run_start(c, argc, argv);
	else if (argv[2][0] == '-')
		status = forward(c, connect_to(argv[1]));
	else
		status = run_link(c, connect_to(argv[1]));
	c->loop = loop_free(c->loop);
	free(c);
	return status;
}
