/* SPDX-License-Identifier: MIT */
/* test_starter: nothing is started but what was planned, whatever is said to
 * the starter; and all of it ends with the one that asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "starter_msg.h"

#define MARKER "0123456789abcdef0123456789abcdef"
#define HASH   MARKER MARKER
#define HARMLESS                     \
	"abcdefghijklmnopqrstuvwxyz" \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/"

struct bed {
	struct ssh_dest dest;
	struct ssh_config config;
	struct ssh_options options;
	struct ssh_plan plan;
	char dir[64], ssh_path[80];
};

static int setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	(void)snprintf(b->dest.host, sizeof(b->dest.host), "gw");
	(void)snprintf(b->config.user, sizeof(b->config.user), "alice");
	(void)snprintf(b->dir, sizeof(b->dir), "/tmp/ecssh-test-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	(void)snprintf(b->ssh_path, sizeof(b->ssh_path), "%s/ssh", b->dir);
	b->plan = (struct ssh_plan){
		.dest = &b->dest,
		.options = &b->options,
		.config = &b->config,
		.ssh_path = b->ssh_path,
		.dial_path = "/usr/libexec/ecssh/ecssh-dial",
		.helper_hash = HASH,
		.helper_bytes = 1000,
		.protocol = 1,
	};
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	/* Nothing is left behind. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	(void)unlink(b->ssh_path);
	assert_int_equal(rmdir(b->dir), 0);
	free(b);
	return 0;
}

/* What plays ssh. */
static void write_ssh(const struct bed *b, const char *script)
{
	FILE *f = fopen(b->ssh_path, "we");

	assert_non_null(f);
	assert_true(fprintf(f, "#!/bin/sh\n%s\n", script) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(b->ssh_path, 0700), 0);
}

static struct ssh_start helper_start(void)
{
	return (struct ssh_start){.kind = SSH_START_HELPER, .marker = MARKER};
}

static struct ssh_start join_start(void)
{
	return (struct ssh_start){.kind = SSH_START_JOIN,
				  .join_helper = "/home/alice/helper",
				  .join_path = "/tmp/ecssh-abcdef/s"};
}

static struct endpoint pin(void)
{
	struct endpoint e = {.port = 22};

	assert_int_equal(addr_parse("10.1.2.3", &e.addr), 0);
	return e;
}

/* ---- what is a start ---- */

static void sound_starts_are_built(void **state)
{
	struct bed *b = *state;
	struct ssh_start start = helper_start();
	struct ssh_start_cmd c;
	struct err err;

	start.pins.n = 1;
	start.pins.to[0] = pin();
	start.flags = SSH_START_BATCH | SSH_START_IMPATIENT;
	assert_int_equal(
		ssh_start_build(&b->plan, &start, "/tmp/x/m", &c, &err), 0);
	assert_string_equal(c.options.words[1],
			    "ProxyCommand='/usr/libexec/ecssh/ecssh-dial' "
			    "10.1.2.3 22");
	assert_string_equal(c.options.words[3], "ProxyUseFdpass=yes");
	assert_string_equal(c.options.words[5], "BatchMode=yes");
	assert_string_equal(c.options.words[7], "ConnectTimeout=10");
	assert_non_null(strstr(c.remote, "ecssh_marker=" MARKER "; h=" HASH));

	start = join_start();
	assert_int_equal(ssh_start_build(&b->plan, &start, NULL, &c, &err), 0);
	assert_string_equal(c.cmd.argv[c.cmd.argc - 1],
			    "exec /home/alice/helper --join "
			    "/tmp/ecssh-abcdef/s");
	assert_string_equal(c.options.words[1], "BatchMode=yes");

	start = (struct ssh_start){.kind = SSH_START_BARE,
				   .flags = SSH_START_TALKATIVE};
	assert_int_equal(ssh_start_build(&b->plan, &start, NULL, &c, &err), 0);
	assert_string_equal(c.options.words[0], "-v");
	assert_string_equal(c.cmd.argv[c.cmd.argc - 1], "gw");
}

static void expect_unsound(const struct bed *b, const struct ssh_start *start)
{
	struct ssh_start_cmd c;
	struct err err;

	assert_false(ssh_start_is_sound(&b->plan, start));
	assert_int_equal(ssh_start_build(&b->plan, start, NULL, &c, &err),
			 -EPERM);
}

static void other_starts_are_refused(void **state)
{
	static const char *const paths[] = {
		"",	     "relative",	"/with space",
		"/semi;rm",  "/dollar$(id)",	"/quote'",
		"/back`id`", "/new\nline",	"/-o\tProxyCommand=id",
		"/pipe|id",  "/per%cent/back\\"};
	struct bed *b = *state;
	struct ssh_start start = helper_start();

	start.kind = 0;
	expect_unsound(b, &start);
	start.kind = SSH_START_JOIN + 1;
	expect_unsound(b, &start);
	start = helper_start();
	start.flags = SSH_START_FLAGS_KNOWN + 1;
	expect_unsound(b, &start);
	start = helper_start();
	start.marker[31] = '\'';
	expect_unsound(b, &start);
	memset(start.marker, 'a', sizeof(start.marker)); /* without an end */
	expect_unsound(b, &start);
	start.marker[31] = '\0'; /* too short */
	expect_unsound(b, &start);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		start = join_start();
		(void)snprintf(start.join_path, sizeof(start.join_path), "%s",
			       paths[i]);
		expect_unsound(b, &start);
		start = join_start();
		(void)snprintf(start.join_helper, sizeof(start.join_helper),
			       "%s", paths[i]);
		expect_unsound(b, &start);
	}
	start = join_start();
	memset(start.join_path, '/', sizeof(start.join_path));
	expect_unsound(b, &start);
	start = join_start();
	start.place = 1;
	expect_unsound(b, &start);
}

static void other_pins_are_refused(void **state)
{
	struct bed *b = *state;
	struct ssh_start start = helper_start();

	start.pins.n = 1; /* of no version */
	expect_unsound(b, &start);
	start.pins.to[0] = pin();
	assert_true(ssh_start_is_sound(&b->plan, &start));
	start.pins.to[0].port = 0;
	expect_unsound(b, &start);
	start.pins.to[0] = pin();
	start.pins.n = DIALER_ENDPOINTS_MAX + 1;
	expect_unsound(b, &start);
	start.pins.n = UINT32_MAX;
	expect_unsound(b, &start);
	/* Who says himself how to connect is not overruled. */
	start.pins.n = 1;
	(void)snprintf(b->config.proxy_jump, sizeof(b->config.proxy_jump),
		       "jump");
	expect_unsound(b, &start);
}

/* The way by a jump host is the plan's, and its -J is gone; what a start says
 * of it is where to connect. */
static void a_jump_host_may_be_pinned(void **state)
{
	static struct ssh_jump jump = {.dest = {"", "bastion", 0}};
	struct bed *b = *state;
	struct ssh_start start = helper_start();
	struct ssh_start_cmd c;
	struct err err;

	(void)snprintf(b->config.proxy_jump, sizeof(b->config.proxy_jump),
		       "bastion");
	assert_int_equal(ssh_options_add(&b->options, 'v', NULL, &err), 0);
	assert_int_equal(ssh_options_add(&b->options, 'J', "bastion", &err), 0);
	assert_int_equal(ssh_options_add(&b->options, 'l', "-J", &err), 0);
	b->plan.jump = &jump;
	b->plan.ssh_path = NULL;
	assert_int_equal(ssh_start_build(&b->plan, &start, NULL, &c, &err), 0);
	assert_string_equal(c.options.words[1],
			    "ProxyCommand='ssh' -v -o ControlPath=none "
			    "-W '[%h]:%p' bastion");
	assert_string_equal(c.options.words[4], "-v");
	assert_string_equal(c.options.words[5], "-l");
	assert_string_equal(c.options.words[6], "-J");
	assert_int_equal(c.options.n_words, 7);
	start.pins.n = 1;
	start.pins.to[0] = pin();
	assert_int_equal(ssh_start_build(&b->plan, &start, NULL, &c, &err), 0);
	assert_string_equal(
		c.options.words[1],
		"ProxyCommand='ssh' -v -o ControlPath=none -o "
		"ProxyUseFdpass=yes -o \"ProxyCommand='/usr/libexec/ecssh/"
		"ecssh-dial' 10.1.2.3 22\" -W '[%h]:%p' bastion");
	jump.config.has_way_to_connect = true;
	expect_unsound(b, &start);
	jump.config.has_way_to_connect = false;
}

static void without_a_helper_none_is_started(void **state)
{
	struct bed *b = *state;
	struct ssh_start start = helper_start();

	b->plan.helper_hash = NULL;
	expect_unsound(b, &start);
}

/* Whatever bytes it is made of: none of them gets into an argument but as a
 * number, or as a word of harmless letters. */
static void no_start_brings_an_argument(void **state)
{
	struct bed *b = *state;
	unsigned seed = 20261130, n_sound = 0;

	for (int i = 0; i < 200000; i++) {
		struct ssh_start start = i & 1 ? join_start() : helper_start();
		uint8_t *bytes = (uint8_t *)&start;
		struct ssh_start_cmd c;
		struct err err;

		for (int k = rand_r(&seed) % 4; k >= 0; k--)
			bytes[(size_t)rand_r(&seed) % sizeof(start)] =
				(uint8_t)rand_r(&seed);
		if (ssh_start_build(&b->plan, &start, NULL, &c, &err) < 0)
			continue;
		n_sound++;
		if (start.kind == SSH_START_JOIN) {
			char helper[BOND_PATH_MAX + 1], path[BOND_PATH_MAX + 1];
			const char *remote = c.cmd.argv[c.cmd.argc - 1];

			assert_int_equal(sscanf(remote,
						"exec %100s --join %100s",
						helper, path),
					 2);
			assert_int_equal(strlen(helper) + strlen(path) + 13,
					 strlen(remote));
			assert_int_equal(strspn(helper, HARMLESS),
					 strlen(helper));
			assert_int_equal(strspn(path, HARMLESS), strlen(path));
		}
		/* The words behind the options are always the same. */
		size_t n_tail = start.kind == SSH_START_BARE ? 2 : 3;
		assert_string_equal(c.cmd.argv[c.cmd.argc - n_tail], "--");
		assert_string_equal(c.cmd.argv[c.cmd.argc - n_tail + 1], "gw");
	}
	assert_true(n_sound > 1000);
}

/* ---- the process ---- */

static int status_of(const struct starter_ssh *ssh)
{
	struct pollfd p = {.fd = ssh->end_fd, .events = POLLIN};
	int status = -1;

	assert_int_equal(poll(&p, 1, 5000), 1);
	if (read(ssh->end_fd, &status, sizeof(status)) != sizeof(status))
		return -1;
	return status;
}

static void close_all(struct starter_ssh *ssh)
{
	fd_close(&ssh->stdin_fd);
	fd_close(&ssh->stdout_fd);
	fd_close(&ssh->stderr_fd);
	fd_close(&ssh->end_fd);
}

static void wait_for_text(int fd, const char *text)
{
	char got[64] = "";
	size_t n = 0;

	while (!strstr(got, text)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		assert_int_equal(poll(&p, 1, 5000), 1);
		ssize_t r = read(fd, got + n, sizeof(got) - 1 - n);
		assert_true(r > 0);
		n += (size_t)r;
	}
}

static void ssh_is_started_and_its_end_told(void **state)
{
	struct bed *b = *state;
	struct ssh_start start = {.kind = SSH_START_BARE};
	struct starter *s;
	struct starter_ssh ssh;
	struct err err;

	write_ssh(b, "read -r word; echo \"got $word\"; exit 7");
	assert_int_equal(starter_new(&b->plan, &s, &err), 0);
	assert_int_equal(starter_start(s, &start, &ssh, &err), 0);
	assert_int_equal(write(ssh.stdin_fd, "it\n", 3), 3);
	wait_for_text(ssh.stdout_fd, "got it");
	int status = status_of(&ssh);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	close_all(&ssh);
	assert_null(starter_free(s));
}

static void ssh_is_ended_when_asked(void **state)
{
	struct bed *b = *state;
	struct ssh_start start = {.kind = SSH_START_BARE};
	struct starter *s;
	struct starter_ssh ssh;
	struct err err;

	write_ssh(b, "echo here; exec sleep 60");
	assert_int_equal(starter_new(&b->plan, &s, &err), 0);
	for (int kills = 0; kills < 2; kills++) {
		assert_int_equal(starter_start(s, &start, &ssh, &err), 0);
		wait_for_text(ssh.stdout_fd, "here");
		starter_end(s, ssh.pid, kills);
		int status = status_of(&ssh);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), kills ? SIGKILL : SIGTERM);
		close_all(&ssh);
	}
	assert_null(starter_free(s));
}

/* Also one that will not: its descriptors close, nothing is waited for. */
static void each_ssh_ends_with_the_asker(void **state)
{
	static const char *const scripts[] = {
		"echo here; exec sleep 60",
		"trap '' TERM INT HUP; echo here; while :; do sleep 1; done"};
	struct bed *b = *state;
	struct ssh_start start = {.kind = SSH_START_BARE};

	for (size_t i = 0; i < 2; i++) {
		struct starter *s;
		struct starter_ssh ssh;
		struct err err;

		write_ssh(b, scripts[i]);
		assert_int_equal(starter_new(&b->plan, &s, &err), 0);
		assert_int_equal(starter_start(s, &start, &ssh, &err), 0);
		wait_for_text(ssh.stdout_fd, "here");
		pid_t pid = ssh.pid;
		assert_null(starter_free(s));
		close_all(&ssh);
		/* What is not reaped yet has ended all the same. */
		for (int k = 0; k < 500 && kill(pid, 0) == 0; k++)
			(void)poll(NULL, 0, 10);
		assert_int_equal(kill(pid, 0), -1);
	}
}

static void processes_of_others_are_nobodys_business(void **state)
{
	struct bed *b = *state;
	struct ssh_peer peers[4];
	struct starter *s;
	struct err err;

	assert_int_equal(starter_new(&b->plan, &s, &err), 0);
	starter_end(s, getpid(), true);
	starter_end(s, 1, true);
	starter_end(s, -1, true);
	assert_int_equal(starter_connections(s, getpid(), peers, 4), -ESRCH);
	assert_int_equal(starter_lend(s, getpid(), true), -ESRCH);
	assert_int_equal(starter_lend(s, -1, true), -ESRCH);
	assert_int_equal(starter_place_connect(s, 1), -ENOENT);
	assert_int_equal(starter_place_connect(s, UINT32_MAX), -ENOENT);
	assert_null(starter_free(s));
}

static void places_come_and_go(void **state)
{
	struct bed *b = *state;
	struct starter_place places[STARTER_PLACES_MAX + 1];
	struct starter *s;
	struct err err;
	int fd;

	assert_int_equal(starter_new(&b->plan, &s, &err), 0);
	for (int i = 0; i < STARTER_PLACES_MAX; i++) {
		fd = starter_place_new(s, &places[i]);
		assert_true(fd >= 0);
		fd_close(&fd);
	}
	assert_int_equal(starter_place_new(s, &places[STARTER_PLACES_MAX]),
			 -EAGAIN);
	starter_place_free(s, places[3].number);
	fd = starter_place_new(s, &places[3]);
	assert_true(fd >= 0);
	fd_close(&fd);
	assert_int_equal(starter_place_connect(s, places[3].number), -ENOENT);
	assert_null(starter_free(s));
	for (int i = 0; i < STARTER_PLACES_MAX; i++) {
		*strrchr(places[i].path, '/') = '\0';
		assert_int_equal(access(places[i].path, F_OK), -1);
	}
}

/* ---- its control socket ---- */

/* What ssh would have there. */
static int listen_at(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void expect_bytes(int fd, const char *bytes, size_t len)
{
	char got[256];

	assert_true(len < sizeof(got));
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), len);
	assert_memory_equal(got, bytes, len);
}

#define HELLO "\0\0\0\x08\0\0\0\1\0\0\0\4"

/* So that what follows is the server's to take. */
static void connections_are_in_proxy_mode(void **state)
{
	struct bed *b = *state;
	struct starter_place place;
	struct starter *s;
	struct err err;

	assert_int_equal(starter_new(&b->plan, &s, &err), 0);
	int notify = starter_place_new(s, &place);
	assert_true(notify >= 0);
	int listener = listen_at(place.path);
	for (int i = 0; i < 2; i++) {
		int ours = starter_place_connect(s, place.number);
		assert_true(ours >= 0);
		int ssh = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		expect_bytes(ssh, HELLO "\0\0\0\x08\x10\0\0\x0f\0\0\0\1", 24);
		assert_int_equal(write(ours, "x", 1), 1);
		expect_bytes(ssh, "x", 1);
		fd_close(&ours);
		fd_close(&ssh);
	}
	fd_close(&notify);
	fd_close(&listener);
	assert_null(starter_free(s));
}

/* The starter asks, and who started it can only listen. */
static void forwardings_of_the_plan_are_asked_for(void **state)
{
	struct bed *b = *state;
	struct mux_forward_spec specs[2];
	struct starter_place place;
	struct starter *s;
	struct err err;

	assert_int_equal(mux_forward_parse(MUX_FORWARD_LOCAL, "80:h:81",
					   &specs[0], NULL),
			 0);
	assert_int_equal(
		mux_forward_parse(MUX_FORWARD_REMOTE, "0:/s", &specs[1], NULL),
		0);
	b->plan.forwards = specs;
	b->plan.n_forwards = 2;
	assert_int_equal(starter_new(&b->plan, &s, &err), 0);
	int notify = starter_place_new(s, &place);
	int listener = listen_at(place.path);
	int ours = starter_forward(s, place.number);
	assert_true(ours >= 0);
	int ssh = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	expect_bytes(ssh,
		     HELLO "\0\0\0\x1d\x10\0\0\x06\0\0\0\0\0\0\0\1\0\0\0\0"
			   "\0\0\0\x50\0\0\0\1h\0\0\0\x51"
			   "\0\0\0\x1e\x10\0\0\x06\0\0\0\1\0\0\0\2\0\0\0\0"
			   "\0\0\0\0\0\0\0\2/s\xff\xff\xff\xfe",
		     12 + 33 + 34);
	assert_int_equal(write(ours, "x", 1), -1);
	assert_int_equal(write(ssh, "answers", 7), 7);
	wait_for_text(ours, "answers");
	/* The end of one is that of the other, either way. */
	fd_close(&ssh);
	struct pollfd p = {.fd = ours};
	assert_int_equal(poll(&p, 1, 5000), 1);
	fd_close(&ours);
	ours = starter_forward(s, place.number);
	ssh = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	fd_close(&ours);
	p = (struct pollfd){.fd = ssh, .events = POLLRDHUP};
	assert_int_equal(poll(&p, 1, 5000), 1);
	fd_close(&ssh);
	fd_close(&notify);
	fd_close(&listener);
	assert_null(starter_free(s));
}

/* ---- what is no request ---- */

static pid_t run_raw(const struct bed *b, int *ret_sock)
{
	int socks[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks),
		0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(socks[0]);
		starter_run(socks[1], &b->plan);
		_exit(0);
	}
	fd_close(&socks[1]);
	*ret_sock = socks[0];
	return pid;
}

static void expect_end(pid_t pid, int sock)
{
	int status;

	fd_close(&sock);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The engine's control socket, however the engine ends; but not that of the
 * next one. */
static void the_own_socket_is_removed(void **state)
{
	struct bed *b = *state;
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/gw.sock", b->dir);
	b->plan.own_path = path;
	for (int is_newer = 0; is_newer < 2; is_newer++) {
		int sock, listener = listen_at(path);

		b->plan.own_id = unix_path_identify(path);
		pid_t pid = run_raw(b, &sock);
		if (is_newer) {
			fd_close(&listener);
			assert_int_equal(unlink(path), 0);
			listener = listen_at(path);
		}
		expect_end(pid, sock);
		assert_int_equal(access(path, F_OK), is_newer ? 0 : -1);
		fd_close(&listener);
	}
	assert_int_equal(unlink(path), 0);
}

static void a_message_of_another_size_is_the_last(void **state)
{
	struct bed *b = *state;
	static const size_t sizes[] = {1, 4,
				       sizeof(struct starter_request) - 1};
	struct starter_request request[2] = {{.type = STARTER_LEAVE}};
	struct starter_answer answer;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		int sock;
		pid_t pid = run_raw(b, &sock);

		assert_int_equal(send(sock, request, sizes[i], 0), sizes[i]);
		assert_int_equal(recv(sock, &answer, sizeof(answer), 0), 0);
		expect_end(pid, sock);
	}
}

static void random_requests_start_nothing(void **state)
{
	struct bed *b = *state;
	unsigned seed = 1130;
	struct starter_request request;
	struct starter_answer answer;
	int sock;

	/* Whatever is started says so. */
	write_ssh(b, "touch \"$0.ran\"");
	b->plan.helper_hash = NULL; /* a random BARE would be rightly run */
	pid_t pid = run_raw(b, &sock);
	for (int i = 0; i < 5000; i++) {
		uint8_t *bytes = (uint8_t *)&request;

		for (size_t k = 0; k < sizeof(request); k++)
			bytes[k] = (uint8_t)rand_r(&seed);
		if (i % 2)
			request.type = (uint32_t)rand_r(&seed) % 18;
		if (request.type == STARTER_PLACE_NEW)
			continue;
		assert_int_equal(send(sock, &request, sizeof(request), 0),
				 sizeof(request));
		assert_int_equal(recv(sock, &answer, sizeof(answer), 0),
				 sizeof(answer));
		assert_true(answer.result < 0 ||
			    request.type == STARTER_LEAVE ||
			    request.type == STARTER_NOTE_EXEC ||
			    request.type == STARTER_NOTE_NO_EXEC);
	}
	expect_end(pid, sock);
	char ran[96];
	(void)snprintf(ran, sizeof(ran), "%s.ran", b->ssh_path);
	assert_int_equal(access(ran, F_OK), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sound_starts_are_built),
		TEST(other_starts_are_refused),
		TEST(other_pins_are_refused),
		TEST(a_jump_host_may_be_pinned),
		TEST(without_a_helper_none_is_started),
		TEST(no_start_brings_an_argument),
		TEST(ssh_is_started_and_its_end_told),
		TEST(ssh_is_ended_when_asked),
		TEST(each_ssh_ends_with_the_asker),
		TEST(processes_of_others_are_nobodys_business),
		TEST(places_come_and_go),
		TEST(connections_are_in_proxy_mode),
		TEST(forwardings_of_the_plan_are_asked_for),
		TEST(the_own_socket_is_removed),
		TEST(a_message_of_another_size_is_the_last),
		TEST(random_requests_start_nothing),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
