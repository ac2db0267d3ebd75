/* SPDX-License-Identifier: MIT */
/*
 * sandbox: what each profile forbids ends a child of ours with the status of a
 * violation, and what it permits works there.  Before entering, the same calls
 * are shown to be possible: else nothing would be tested.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "sandbox.h"

enum {
	WORKS = 0,
	NOT_ENTERED = 100,
};

/* A status of exit, with what was attempted in a child. */
typedef int attempt(void *ctx);

struct setting {
	const struct sandbox_profile *profile;
	const struct sandbox_path *paths;
	size_t n_paths;
};

/* In a child, within the sandbox or without (setting NULL).  Returns its exit
 * status, or minus the signal that ended it. */
static int run(const struct setting *setting, attempt *what, void *ctx)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		unsigned parts;
		CLEANUP_FD int null = open("/dev/null", O_WRONLY);

		/* The sentence of a violation is no news here. */
		if (dup2(null, STDERR_FILENO) < 0)
			_exit(NOT_ENTERED);
		if (setting &&
		    sandbox_enter(setting->profile, setting->paths,
				  setting->n_paths, &parts, NULL) < 0)
			_exit(NOT_ENTERED);
		_exit(what(ctx));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int result(long r)
{
	return r < 0 ? errno : WORKS;
}

/* ---- what may be attempted ---- */

static int do_execve(void *ctx)
{
	char *const argv[] = {"/bin/true", NULL};

	(void)ctx;
	return result(execv(argv[0], argv));
}

static int do_fork(void *ctx)
{
	(void)ctx;
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int do_open(void *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	return result(fd);
}

static int do_create(void *path)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return result(fd);
}

static int do_remove(void *path)
{
	return result(unlinkat(AT_FDCWD, path, 0));
}

struct kind {
	int domain, type;
};

static int do_socket(void *ctx)
{
	const struct kind *kind = ctx;
	CLEANUP_FD int fd = socket(kind->domain, kind->type | SOCK_CLOEXEC, 0);

	return result(fd);
}

static int do_listen(void *ctx)
{
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)ctx;
	return result(listen(fd, 1));
}

static int do_bind(void *ctx)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)ctx;
	return result(bind(fd, (struct sockaddr *)&any, sizeof(any)));
}

static int do_connect(void *ctx)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(9),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)ctx;
	return result(connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

static int do_ptrace(void *ctx)
{
	(void)ctx;
	return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int do_mount(void *ctx)
{
	(void)ctx;
	return result(syscall(SYS_mount, "none", "/", "", 0x1000000, NULL));
}

static int do_unshare(void *ctx)
{
	(void)ctx;
	return result(syscall(SYS_unshare, 0));
}

static int do_bpf(void *ctx)
{
	(void)ctx;
	return result(syscall(SYS_bpf, -1, NULL, 0));
}

static int do_kexec(void *ctx)
{
	(void)ctx;
	return result(syscall(SYS_kexec_load, 0, 0, NULL, ~0UL));
}

static int do_keyctl(void *ctx)
{
	(void)ctx;
	return result(syscall(SYS_keyctl, -1));
}

static int do_io_uring(void *ctx)
{
	(void)ctx;
	return result(syscall(SYS_io_uring_setup, 0, NULL));
}

static int do_setuid(void *ctx)
{
	(void)ctx;
	return result(setuid(getuid()));
}

static int do_executable(void *ctx)
{
	(void)ctx;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? errno
		       : WORKS;
}

static int do_made_executable(void *ctx)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)ctx;
	return result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int do_memory(void *ctx)
{
	(void)ctx;
	for (size_t i = 1; i < 1 << 24; i *= 4) {
		void *p = calloc(1, i);
		void *larger = p ? realloc(p, 2 * i) : NULL;

		if (!larger) {
			free(p);
			return ENOMEM;
		}
		free(larger);
	}
	return WORKS;
}

/* A number that no kernel has yet. */
static int do_future(void *ctx)
{
	(void)ctx;
	return result(syscall(1000));
}

static int do_abort(void *ctx)
{
	(void)ctx;
	abort();
}

static int do_kill(void *ctx)
{
	(void)ctx;
	return result(kill(getppid(), 0));
}

/* The open descriptor goes on being of use. */
static int do_read(void *ctx)
{
	char byte;

	return result(read(*(int *)ctx, &byte, 1));
}

/* ---- the profiles ---- */

static struct kind unix_stream = {AF_UNIX, SOCK_STREAM};
static struct kind netlink = {AF_NETLINK, SOCK_RAW};
static struct kind netlink_dgram = {AF_NETLINK, SOCK_DGRAM};
static struct kind packet = {AF_PACKET, SOCK_RAW};
static struct kind raw = {AF_INET, SOCK_RAW};
static struct kind tcp4 = {AF_INET, SOCK_STREAM | SOCK_NONBLOCK};
static struct kind udp6 = {AF_INET6, SOCK_DGRAM};

static const struct {
	const char *name;
	attempt *what;
	void *ctx;
	bool works_sanitized; /* the sanitizers do it */
} forbidden_everywhere[] = {
	{"ptrace", do_ptrace, NULL, true},
	{"mount", do_mount, NULL, false},
	{"unshare", do_unshare, NULL, false},
	{"bpf", do_bpf, NULL, false},
	{"kexec_load", do_kexec, NULL, false},
	{"keyctl", do_keyctl, NULL, false},
	{"io_uring_setup", do_io_uring, NULL, false},
	{"setuid", do_setuid, NULL, false},
	{"packet socket", do_socket, &packet, false},
	{"executable memory", do_executable, NULL, false},
	{"memory made executable", do_made_executable, NULL, false},
};

static void expect_violation(const struct setting *setting, const char *name,
			     attempt *what, void *ctx)
{
	/* Or the same would come of it anyhow. */
	int without = run(NULL, what, ctx);

	assert_int_not_equal(without, SANDBOX_EXIT);
	int within = run(setting, what, ctx);
	if (within != SANDBOX_EXIT)
		fail_msg("%s: %d instead of a violation", name, within);
}

static void expect_works(const struct setting *setting, const char *name,
			 attempt *what, void *ctx)
{
	int within = run(setting, what, ctx);

	if (within != WORKS)
		fail_msg("%s: %d, %s", name, within, strerror(within));
}

static bool has(unsigned parts)
{
	if ((sandbox_probe() & parts) == parts)
		return true;
	print_message("this kernel lacks it\n");
	return false;
}

static bool is_sanitized(void)
{
#ifdef SANDBOX_SANITIZED
	return true;
#else
	return false;
#endif
}

static void check_everywhere(const struct setting *setting)
{
	size_t n = sizeof(forbidden_everywhere) / sizeof(*forbidden_everywhere);

	for (size_t i = 0; i < n; i++)
		if (!is_sanitized() || !forbidden_everywhere[i].works_sanitized)
			expect_violation(setting, forbidden_everywhere[i].name,
					 forbidden_everywhere[i].what,
					 forbidden_everywhere[i].ctx);
	expect_works(setting, "memory", do_memory, NULL);
	assert_int_equal(run(setting, do_future, NULL), ENOSYS);
	assert_int_equal(run(setting, do_abort, NULL), -SIGABRT);
}

static void helper_has_sockets_of_ip_and_no_files(void **state)
{
	const struct setting helper = {.profile = &sandbox_helper};

	(void)state;
	if (!has(SANDBOX_SECCOMP))
		skip();
	check_everywhere(&helper);
	expect_violation(&helper, "raw socket", do_socket, &raw);
	expect_violation(&helper, "execve", do_execve, NULL);
	expect_violation(&helper, "socket of Unix", do_socket, &unix_stream);
	expect_violation(&helper, "netlink", do_socket, &netlink);
	expect_violation(&helper, "listen", do_listen, NULL);
	expect_violation(&helper, "bind", do_bind, NULL);
	if (!is_sanitized()) {
		expect_violation(&helper, "fork", do_fork, NULL);
		expect_violation(&helper, "open", do_open, "/etc/hosts");
		expect_violation(&helper, "kill", do_kill, NULL);
	}
	expect_works(&helper, "TCP", do_socket, &tcp4);
	expect_works(&helper, "UDP", do_socket, &udp6);
	expect_works(&helper, "connect", do_connect, NULL);
}

static int do_clone_user(void *ctx)
{
	(void)ctx;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL,
				   NULL, NULL, NULL);
	if (pid == 0)
		_exit(0);
	return result(pid);
}

static int do_clone3(void *ctx)
{
	(void)ctx;
	return result(syscall(435, NULL, 0));
}

static void broker_runs_programs_that_cannot_do_everything(void **state)
{
	const struct setting broker = {.profile = &sandbox_broker};

	(void)state;
	if (!has(SANDBOX_SECCOMP))
		skip();
	expect_works(&broker, "netlink", do_socket, &netlink);
	expect_works(&broker, "TCP", do_socket, &tcp4);
	expect_works(&broker, "open", do_open, "/etc/passwd");
	expect_works(&broker, "fork", do_fork, NULL);
	expect_works(&broker, "execve", do_execve, NULL);
	expect_works(&broker, "memory", do_memory, NULL);
	assert_int_equal(run(NULL, do_clone3, NULL), EINVAL);
	assert_int_equal(run(&broker, do_clone3, NULL), ENOSYS);
	expect_violation(&broker, "user namespace", do_clone_user, NULL);
	expect_violation(&broker, "packet socket", do_socket, &packet);
	expect_violation(&broker, "mount", do_mount, NULL);
	expect_violation(&broker, "unshare", do_unshare, NULL);
	expect_violation(&broker, "bpf", do_bpf, NULL);
	expect_violation(&broker, "kexec_load", do_kexec, NULL);
	expect_violation(&broker, "keyctl", do_keyctl, NULL);
	expect_violation(&broker, "io_uring_setup", do_io_uring, NULL);
	if (!is_sanitized())
		expect_violation(&broker, "ptrace", do_ptrace, NULL);
}

static int do_rename(void *ctx)
{
	(void)ctx;
	return result(rename("/nonexistent/a", "/nonexistent/b"));
}

static int do_mkdir(void *ctx)
{
	(void)ctx;
	return result(mkdir("/nonexistent/a", 0700));
}

static int do_kill_self(void *ctx)
{
	(void)ctx;
	return result(kill(getpid(), 0));
}

static void engine_has_sockets_of_ip_and_few_files(void **state)
{
	const struct sandbox_path hosts = {"/etc/hosts", SANDBOX_READ};
	const struct setting engine = {&sandbox_engine, &hosts, 1};

	(void)state;
	if (!has(SANDBOX_SECCOMP))
		skip();
	check_everywhere(&engine);
	expect_violation(&engine, "execve", do_execve, NULL);
	expect_violation(&engine, "rename", do_rename, NULL);
	expect_violation(&engine, "mkdir", do_mkdir, NULL);
	if (!is_sanitized()) {
		expect_violation(&engine, "fork", do_fork, NULL);
		expect_violation(&engine, "create", do_create,
				 "/nonexistent/a");
	}
	expect_violation(&engine, "Unix socket", do_socket, &unix_stream);
	expect_violation(&engine, "raw socket", do_socket, &raw);
	if (!is_sanitized())
		expect_violation(&engine, "signals", do_kill_self, NULL);
	expect_works(&engine, "open", do_open, "/etc/hosts");
	expect_works(&engine, "TCP", do_socket, &tcp4);
	expect_works(&engine, "UDP", do_socket, &udp6);
	expect_works(&engine, "netlink", do_socket, &netlink_dgram);
	expect_works(&engine, "bind", do_bind, NULL);
	if (sandbox_probe() & SANDBOX_LANDLOCK)
		assert_int_equal(run(&engine, do_open, "/etc/passwd"), EACCES);
}

/* ---- the mechanisms by themselves ---- */

/* All that a test of Landlock needs of seccomp. */
static const struct sandbox_call of_files[] = {
	{.nr = SYS_openat},
	{.nr = SYS_unlinkat},
	{.nr = SYS_kill},
	{.nr = SYS_getppid},
};
static const struct sandbox_profile files = {
	.calls = of_files,
	.n_calls = sizeof(of_files) / sizeof(*of_files),
};

static void only_paths_that_were_given_can_be_opened(void **state)
{
	char dir[] = "/tmp/ecssh-sandbox-XXXXXX";
	char inside[64], outside[] = "/tmp/ecssh-sandbox-not";
	const struct sandbox_path paths[] = {
		{dir, SANDBOX_READ | SANDBOX_WRITE},
		{"/etc/hosts", SANDBOX_READ},
		{"/nonexistent/of/course", SANDBOX_READ},
	};
	const struct setting setting = {&files, paths, 3};
	const struct sandbox_path removable = {dir, SANDBOX_REMOVE};
	const struct setting to_remove = {&files, &removable, 1};

	(void)state;
	if (!has(SANDBOX_LANDLOCK))
		skip();
	assert_non_null(mkdtemp(dir));
	(void)snprintf(inside, sizeof(inside), "%s/file", dir);
	assert_int_equal(run(&setting, do_create, inside), WORKS);
	assert_int_equal(run(&setting, do_open, inside), WORKS);
	assert_int_equal(run(&setting, do_open, "/etc/hosts"), WORKS);
	assert_int_equal(run(&setting, do_create, "/etc/hosts"), EACCES);
	assert_int_equal(run(NULL, do_open, "/etc/passwd"), WORKS);
	assert_int_equal(run(&setting, do_open, "/etc/passwd"), EACCES);
	assert_int_equal(run(&setting, do_create, outside), EACCES);
	assert_int_equal(run(&to_remove, do_open, inside), EACCES);
	assert_int_equal(run(&to_remove, do_remove, inside), WORKS);
	assert_int_equal(access(inside, F_OK), -1);
	(void)rmdir(dir);
}

/* A descriptor that is open stays so. */
static void what_is_open_stays_open(void **state)
{
	const struct setting helper = {.profile = &sandbox_helper};
	CLEANUP_FD int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	(void)state;
	expect_works(&helper, "read", do_read, &fd);
}

static int no_new_privs(void *ctx)
{
	(void)ctx;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? WORKS : EPERM;
}

static void no_program_can_give_privilege(void **state)
{
	const struct sandbox_call calls[] = {{.nr = SYS_prctl}};
	const struct sandbox_profile profile = {.calls = calls, .n_calls = 1};
	const struct setting setting = {.profile = &profile};

	(void)state;
	assert_int_equal(run(NULL, no_new_privs, NULL), EPERM);
	assert_int_equal(run(&setting, no_new_privs, NULL), WORKS);
}

static int say_what(void *ctx)
{
	if (dup2(*(int *)ctx, STDERR_FILENO) < 0)
		return NOT_ENTERED;
	unsigned parts;
	if (sandbox_enter(&sandbox_helper, NULL, 0, &parts, NULL) < 0)
		return NOT_ENTERED;
	return (int)syscall(SYS_acct, NULL);
}

static void violation_is_named(void **state)
{
	char text[256] = "", number[64];
	size_t len = 0;
	ssize_t n;
	int pipes[2];

	(void)state;
	if (!has(SANDBOX_SECCOMP))
		skip();
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(run(NULL, say_what, &pipes[1]), SANDBOX_EXIT);
	(void)close(pipes[1]);
	while ((n = read(pipes[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	(void)close(pipes[0]);
	assert_non_null(strstr(text, "test_sandbox: the sandbox does not allow "
				     "system call"));
	(void)snprintf(number, sizeof(number), " %d, so", SYS_acct);
	assert_non_null(strstr(text, number));
}

static void parts_have_names(void **state)
{
	char text[SANDBOX_TEXT_MAX];

	(void)state;
	assert_string_equal(sandbox_text(0, text), "none");
	assert_string_equal(sandbox_text(SANDBOX_SECCOMP, text), "seccomp");
	assert_string_equal(sandbox_text(SANDBOX_LANDLOCK, text), "landlock");
	assert_string_equal(
		sandbox_text(SANDBOX_SECCOMP | SANDBOX_LANDLOCK, text),
		"seccomp, landlock");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(helper_has_sockets_of_ip_and_no_files),
		cmocka_unit_test(
			broker_runs_programs_that_cannot_do_everything),
		cmocka_unit_test(engine_has_sockets_of_ip_and_few_files),
		cmocka_unit_test(only_paths_that_were_given_can_be_opened),
		cmocka_unit_test(what_is_open_stays_open),
		cmocka_unit_test(no_program_can_give_privilege),
		cmocka_unit_test(violation_is_named),
		cmocka_unit_test(parts_have_names),
	};

	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
