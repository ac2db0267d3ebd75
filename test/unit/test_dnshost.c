/* SPDX-License-Identifier: MIT */
/*
 * test_dnshost: src/dnshost/, on directories of the test's own in place of /etc
 * and /var/lib, and the messages of src/wire/dnshost_msg.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"
#include "dnshost.h"
#include "fd.h"
#include "keep.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* ---- a host ---- */

struct rig {
	char root[64], etc[80], state[80], tool[80];
	const char *tools[2];
	struct dns_host host;
	struct dnshost d;
	struct dnshost_msg_request wish;
};

static char *in_etc(struct rig *rig, const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", rig->etc, name);
	return path;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	fd_close(&fd);
}

static const char *read_file(const char *path)
{
	static char text[DNS_RECORD_ORIGINAL_MAX + 1];
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return "(none)";
	ssize_t n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	fd_close(&fd);
	return text;
}

static const char *conf_text(struct rig *rig)
{
	return read_file(in_etc(rig, "resolv.conf"));
}

static void wish_for(struct dnshost_msg_request *wish, uint32_t mode,
		     const char *domain)
{
	static const uint8_t server[16] = {10, 64, 0, 1};

	memset(wish, 0, sizeof(*wish));
	wish->type = DNSHOST_MSG_SET;
	(void)snprintf(wish->name, sizeof(wish->name), "lo");
	wish->ifindex = if_nametoindex("lo");
	wish->dns.type = BROKERMSG_DNS_SET;
	wish->dns.mode = mode;
	wish->dns.n_servers = 1;
	wish->dns.servers[0].version = 4;
	memcpy(wish->dns.servers[0].bytes, server, 16);
	if (domain) {
		wish->dns.n_domains = 1;
		(void)snprintf(wish->dns.domains[0],
			       sizeof(wish->dns.domains[0]), "%s", domain);
	}
}

static const char ours[] =
	"# Made by ecssh for its tunnel lo, at whose end what was here comes "
	"back.\n"
	"nameserver 10.64.0.1\n"
	"search corp.example\n";

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	(void)snprintf(rig->root, sizeof(rig->root),
		       "/tmp/test_dnshost.XXXXXX");
	assert_non_null(mkdtemp(rig->root));
	(void)snprintf(rig->etc, sizeof(rig->etc), "%s/etc", rig->root);
	(void)snprintf(rig->state, sizeof(rig->state), "%s/state", rig->root);
	(void)snprintf(rig->tool, sizeof(rig->tool), "%s/resolvconf",
		       rig->root);
	assert_int_equal(mkdir(rig->etc, 0755), 0);
	rig->tools[0] = rig->tool;
	rig->host = (struct dns_host){
		.etc = rig->etc, .state = rig->state, .resolvconf = rig->tools};
	assert_int_equal(dnshost_init(&rig->d, &rig->host, NULL), 0);
	wish_for(&rig->wish, BROKERMSG_DNS_ALL, "corp.example");
	write_file(in_etc(rig, "resolv.conf"), "nameserver 192.0.2.1\n", 0640);
	*state = rig;
	return 0;
}

static int count(const char *dir, const char *prefix)
{
	char command[300], text[16] = "";

	(void)snprintf(command, sizeof(command),
		       "ls -A %s 2>/dev/null | grep -c '^%s'", dir, prefix);
	FILE *out = popen(command, "re");
	assert_non_null(out);
	(void)!fgets(text, sizeof(text), out);
	(void)pclose(out);
	return atoi(text);
}

static int tear_down(void **state)
{
	struct rig *rig = *state;
	char command[100];

	dnshost_fini(&rig->d);
	(void)snprintf(command, sizeof(command), "rm -rf %s", rig->root);
	assert_int_equal(system(command), 0);
	free(rig);
	return 0;
}

static int set(struct rig *rig, struct err *err)
{
	char way[BROKERMSG_NAME_MAX];
	int r = dnshost_set(&rig->d, &rig->wish, way, err);

	if (r == 0)
		assert_string_equal(way, "resolv.conf");
	return r;
}

/* As if the process had been killed: locks are gone, the record is not. */
static void die(struct rig *rig)
{
	dnshost_fini(&rig->d);
	assert_int_equal(dnshost_init(&rig->d, &rig->host, NULL), 0);
}

/* ---- the file ---- */

static void a_file_is_replaced_and_comes_back_itself(void **state)
{
	struct rig *rig = *state;
	struct stat before, after;

	assert_int_equal(stat(in_etc(rig, "resolv.conf"), &before), 0);
	assert_int_equal(set(rig, NULL), 0);
	assert_string_equal(conf_text(rig), ours);
	assert_int_equal(count(rig->state, "dns-"), 1);
	assert_int_equal(set(rig, NULL), -EEXIST);
	assert_int_equal(dnshost_clear(&rig->d, NULL), 0);
	assert_string_equal(conf_text(rig), "nameserver 192.0.2.1\n");
	assert_int_equal(stat(in_etc(rig, "resolv.conf"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_mode, after.st_mode);
	assert_int_equal(count(rig->etc, ""), 1);
	assert_int_equal(count(rig->state, "dns-"), 0);
	assert_int_equal(dnshost_clear(&rig->d, NULL), 0);
}

static void a_symbolic_link_stays_one(void **state)
{
	struct rig *rig = *state;
	char target[64] = "";

	assert_int_equal(unlink(in_etc(rig, "resolv.conf")), 0);
	write_file(in_etc(rig, "target"), "nameserver 192.0.2.2\n", 0644);
	assert_int_equal(symlink("target", in_etc(rig, "resolv.conf")), 0);
	assert_int_equal(set(rig, NULL), 0);
	assert_string_equal(conf_text(rig), ours);
	assert_string_equal(read_file(in_etc(rig, "target")),
			    "nameserver 192.0.2.2\n");
	die(rig);
	assert_int_equal(dnshost_replay(&rig->d, NULL), 0);
	assert_true(readlink(in_etc(rig, "resolv.conf"), target,
			     sizeof(target) - 1) > 0);
	assert_string_equal(target, "target");
	assert_int_equal(count(rig->etc, ""), 2);
}

static void what_was_not_there_goes_again(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(unlink(in_etc(rig, "resolv.conf")), 0);
	assert_int_equal(set(rig, NULL), 0);
	assert_string_equal(conf_text(rig), ours);
	assert_int_equal(dnshost_clear(&rig->d, NULL), 0);
	assert_int_equal(count(rig->etc, ""), 0);
}

static void changed_by_others_is_left_alone(void **state)
{
	struct rig *rig = *state;
	struct err err;

	assert_int_equal(set(rig, NULL), 0);
	write_file(in_etc(rig, "resolv.conf"), "nameserver 198.51.100.7\n",
		   0644);
	assert_int_equal(dnshost_clear(&rig->d, &err), -ESTALE);
	assert_non_null(strstr(err.text, "somebody else"));
	assert_string_equal(conf_text(rig), "nameserver 198.51.100.7\n");
	assert_int_equal(count(rig->etc, ""), 1);
	assert_int_equal(count(rig->state, "dns-"), 0);
}

static void a_killed_one_is_undone_by_the_next(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(set(rig, NULL), 0);
	die(rig);
	assert_string_equal(conf_text(rig), ours);
	assert_int_equal(dnshost_replay(&rig->d, NULL), 0);
	assert_non_null(strstr(rig->d.restored.text, "is restored"));
	assert_string_equal(conf_text(rig), "nameserver 192.0.2.1\n");
	assert_int_equal(count(rig->etc, ""), 1);
	assert_int_equal(count(rig->state, "dns-"), 0);
}

/* Without the other name the record has it all. */
static void the_record_alone_suffices(void **state)
{
	struct rig *rig = *state;
	struct stat st;
	char command[200];

	assert_int_equal(set(rig, NULL), 0);
	die(rig);
	(void)snprintf(command, sizeof(command), "rm %s/.resolv.conf.*",
		       rig->etc);
	assert_int_equal(system(command), 0);
	assert_int_equal(dnshost_replay(&rig->d, NULL), 0);
	assert_string_equal(conf_text(rig), "nameserver 192.0.2.1\n");
	assert_int_equal(stat(in_etc(rig, "resolv.conf"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

/* Recorded, ours written under the other name, and then killed. */
static void killed_before_the_change_leaves_no_litter(void **state)
{
	struct rig *rig = *state;
	char kept[128];

	assert_int_equal(set(rig, NULL), 0);
	(void)snprintf(kept, sizeof(kept), "%s",
		       in_etc(rig, rig->d.record->kept));
	assert_int_equal(renameat2(AT_FDCWD, kept, AT_FDCWD,
				   in_etc(rig, "resolv.conf"), RENAME_EXCHANGE),
			 0);
	die(rig);
	assert_int_equal(dnshost_replay(&rig->d, NULL), 0);
	assert_string_equal(conf_text(rig), "nameserver 192.0.2.1\n");
	assert_int_equal(count(rig->etc, ""), 1);
}

static void one_that_lives_is_not_undone_and_has_the_file(void **state)
{
	struct rig *rig = *state;
	struct dnshost other;
	struct err err;
	char way[BROKERMSG_NAME_MAX];

	assert_int_equal(set(rig, NULL), 0);
	assert_int_equal(dnshost_init(&other, &rig->host, NULL), 0);
	assert_int_equal(dnshost_replay(&other, NULL), 0);
	assert_string_equal(conf_text(rig), ours);
	assert_int_equal(dnshost_set(&other, &rig->wish, way, &err), -EBUSY);
	assert_non_null(strstr(err.text, "(lo)"));
	dnshost_fini(&other);
	assert_int_equal(count(rig->state, "dns-"), 1);
}

static void names_cannot_be_split_by_a_file(void **state)
{
	struct rig *rig = *state;
	struct err err;

	rig->wish.dns.mode = BROKERMSG_DNS_SPLIT;
	assert_int_equal(set(rig, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "systemd-resolved"));
	assert_string_equal(conf_text(rig), "nameserver 192.0.2.1\n");
	assert_int_equal(count(rig->state, "dns-"), 0);
}

static void what_is_no_file_is_refused(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(unlink(in_etc(rig, "resolv.conf")), 0);
	assert_int_equal(mkdir(in_etc(rig, "resolv.conf"), 0755), 0);
	assert_int_equal(set(rig, NULL), -EINVAL);
	assert_int_equal(count(rig->state, "dns-"), 0);
	assert_int_equal(count(rig->etc, ""), 1);
}

static void a_state_directory_of_others_is_not_believed(void **state)
{
	struct rig *rig = *state;
	struct err err;

	assert_int_equal(mkdir(rig->state, 0777), 0);
	assert_int_equal(chmod(rig->state, 0777), 0);
	assert_int_equal(set(rig, &err), -EACCES);
	assert_string_equal(conf_text(rig), "nameserver 192.0.2.1\n");
}

static void damaged_records_are_removed_and_not_followed(void **state)
{
	struct rig *rig = *state;
	char path[128];

	assert_int_equal(mkdir(rig->state, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/dns-1", rig->state);
	write_file(path, "ECDNS", 0600);
	assert_int_equal(dnshost_replay(&rig->d, NULL), 0);
	assert_int_equal(count(rig->state, "dns-"), 0);
	assert_string_equal(rig->d.restored.text, "");
}

static void records_lead_nowhere_else(void **state)
{
	struct dns_record *r = calloc(1, sizeof(*r));

	(void)state;
	assert_non_null(r);
	dns_record_init(r, DNS_WAY_FILE, 1, "ecssh0");
	assert_true(dns_record_is_valid(r, sizeof(*r)));
	assert_false(dns_record_is_valid(r, sizeof(*r) - 1));
	(void)snprintf(r->kept, sizeof(r->kept), ".resolv.conf.../shadow");
	assert_false(dns_record_is_valid(r, sizeof(*r)));
	(void)snprintf(r->kept, sizeof(r->kept), "shadow");
	assert_false(dns_record_is_valid(r, sizeof(*r)));
	r->kept[0] = '\0';
	r->original_len = sizeof(r->original_text);
	assert_false(dns_record_is_valid(r, sizeof(*r)));
	r->original_len = 0;
	r->way = DNS_WAY__N;
	assert_false(dns_record_is_valid(r, sizeof(*r)));
	dns_record_init(r, DNS_WAY_RESOLVCONF, 1, "-d");
	assert_false(dns_record_is_valid(r, sizeof(*r)));
	free(r);
}

/* ---- changed while it is in force ---- */

static const char theirs[] = "nameserver 198.51.100.7\n";

/* The ways in which somebody else does it. */
enum change {
	CHANGE_WRITTEN_INTO,
	CHANGE_RENAMED,
	CHANGE_LINK,
	CHANGE_REMOVED,
	CHANGE__N,
};

static void change(struct rig *rig, enum change how)
{
	char conf[128], other[128];

	(void)snprintf(conf, sizeof(conf), "%s", in_etc(rig, "resolv.conf"));
	(void)snprintf(other, sizeof(other), "%s", in_etc(rig, "other"));
	switch (how) {
	case CHANGE_WRITTEN_INTO:
		write_file(conf, theirs, 0644);
		break;
	case CHANGE_RENAMED:
		write_file(other, theirs, 0604);
		assert_int_equal(rename(other, conf), 0);
		break;
	case CHANGE_LINK:
		write_file(other, theirs, 0644);
		assert_int_equal(unlink(conf), 0);
		assert_int_equal(symlink("other", conf), 0);
		break;
	case CHANGE_REMOVED:
		assert_int_equal(unlink(conf), 0);
		break;
	case CHANGE__N:
		break;
	}
}

/* resolv.conf is what they have made of it, and nothing of ours lies about. */
static void expect_theirs(struct rig *rig, enum change how)
{
	struct stat st;
	bool is_there = lstat(in_etc(rig, "resolv.conf"), &st) == 0;

	assert_int_equal(is_there, how != CHANGE_REMOVED);
	if (is_there) {
		assert_string_equal(conf_text(rig), theirs);
		assert_int_equal(S_ISLNK(st.st_mode), how == CHANGE_LINK);
	}
	if (how == CHANGE_RENAMED)
		assert_int_equal(st.st_mode & 07777, 0604);
	assert_int_equal(count(rig->etc, ""),
			 is_there + S_ISLNK(st.st_mode) * is_there);
	assert_int_equal(count(rig->state, "dns-"), 0);
}

static void changed_by_others_is_kept_for_the_end(void **state)
{
	struct rig *rig = *state;

	for (enum change how = 0; how < CHANGE__N; how++) {
		(void)unlink(in_etc(rig, "resolv.conf"));
		(void)unlink(in_etc(rig, "other"));
		write_file(in_etc(rig, "resolv.conf"), "nameserver 192.0.2.1\n",
			   0640);
		assert_int_equal(set(rig, NULL), 0);
		assert_true(dnshost_can_renew(&rig->d));
		assert_true(dnshost_is_ours(&rig->d));
		change(rig, CHANGE_RENAMED);
		assert_false(dnshost_is_ours(&rig->d));
		assert_int_equal(dnshost_renew(&rig->d, NULL), 0);
		/* And once more. */
		change(rig, how);
		assert_int_equal(dnshost_renew(&rig->d, NULL), 0);
		assert_true(dnshost_is_ours(&rig->d));
		assert_string_equal(conf_text(rig), ours);
		assert_int_equal(count(rig->state, "dns-"), 1);
		assert_int_equal(dnshost_clear(&rig->d, NULL), 0);
		expect_theirs(rig, how);
	}
}

/* A script of the user's that was told of our servers, say: it is no original,
 * and of no use at the end. */
static void what_asks_our_servers_is_ours(void **state)
{
	struct rig *rig = *state;
	char text[2048];

	assert_int_equal(set(rig, NULL), 0);
	(void)snprintf(text, sizeof(text), "#@GENERATED@\n%s%s",
		       strstr(ours, "nameserver"), theirs);
	write_file(in_etc(rig, "resolv.conf"), text, 0644);
	assert_true(dnshost_is_ours(&rig->d));
	assert_int_equal(dnshost_clear(&rig->d, NULL), 0);
	assert_string_equal(conf_text(rig), "nameserver 192.0.2.1\n");
	/* Behind another one it is theirs. */
	assert_int_equal(set(rig, NULL), 0);
	(void)snprintf(text, sizeof(text), "%s%s", theirs,
		       strstr(ours, "nameserver"));
	write_file(in_etc(rig, "resolv.conf"), text, 0644);
	assert_false(dnshost_is_ours(&rig->d));
	assert_int_equal(dnshost_clear(&rig->d, NULL), -ESTALE);
}

/* What cannot be kept stays. */
static void changed_into_what_cannot_be_kept(void **state)
{
	struct rig *rig = *state;
	struct err err;

	assert_int_equal(set(rig, NULL), 0);
	assert_int_equal(unlink(in_etc(rig, "resolv.conf")), 0);
	assert_int_equal(mkdir(in_etc(rig, "resolv.conf"), 0755), 0);
	assert_false(dnshost_is_ours(&rig->d));
	assert_int_equal(dnshost_renew(&rig->d, &err), -EINVAL);
	assert_int_equal(dnshost_clear(&rig->d, &err), -ESTALE);
	assert_int_equal(count(rig->etc, ""), 1);
	assert_int_equal(count(rig->state, "dns-"), 0);
}

/* A child that sets, finds it changed, and is killed after that many stops at
 * system calls of renewing.  Returns whether it was still at it. */
static bool killed_while_renewing(struct rig *rig, enum change how,
				  unsigned n_stops)
{
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (set(rig, NULL) < 0)
			_exit(2);
		change(rig, how);
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(3);
		(void)raise(SIGSTOP);
		_exit(dnshost_renew(&rig->d, NULL) < 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	for (unsigned i = 0; i < n_stops && WIFSTOPPED(status); i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	if (!WIFSTOPPED(status)) {
		assert_int_equal(WEXITSTATUS(status), 0);
		return false;
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

static void killed_at_any_step_theirs_comes_back(void **state)
{
	struct rig *rig = *state;
	unsigned n_stops = 0;

	for (enum change how = 0; how < CHANGE__N; how++)
		for (n_stops = 0;; n_stops++) {
			(void)unlink(in_etc(rig, "resolv.conf"));
			(void)unlink(in_etc(rig, "other"));
			write_file(in_etc(rig, "resolv.conf"),
				   "nameserver 192.0.2.1\n", 0640);
			bool is_killed =
				killed_while_renewing(rig, how, n_stops);
			assert_int_equal(dnshost_replay(&rig->d, NULL), 0);
			expect_theirs(rig, how);
			if (!is_killed)
				break;
		}
	/* Or this shows nothing. */
	assert_true(n_stops > 40);
}

static void changes_are_noticed(void **state)
{
	struct rig *rig = *state;
	struct conf_watch w = {.fd = -1};

	for (enum change how = 0; how < CHANGE__N; how++) {
		(void)unlink(in_etc(rig, "resolv.conf"));
		(void)unlink(in_etc(rig, "other"));
		write_file(in_etc(rig, "resolv.conf"), ours, 0644);
		assert_int_equal(conf_watch_arm(&w, rig->etc), 0);
		assert_false(conf_watch_read(&w));
		write_file(in_etc(rig, "hosts"), "", 0644);
		assert_false(conf_watch_read(&w));
		change(rig, how);
		assert_true(conf_watch_read(&w));
		assert_false(conf_watch_read(&w));
	}
	conf_watch_disarm(&w);
}

/* Where resolv.conf leads is elsewhere. */
static void changes_behind_a_link_are_noticed(void **state)
{
	struct rig *rig = *state;
	struct conf_watch w = {.fd = -1};
	char dir[96], path[128], other[128];

	(void)snprintf(dir, sizeof(dir), "%s/run", rig->root);
	(void)snprintf(path, sizeof(path), "%s/made.conf", dir);
	(void)snprintf(other, sizeof(other), "%s/made.conf.tmp", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	write_file(path, ours, 0644);
	assert_int_equal(unlink(in_etc(rig, "resolv.conf")), 0);
	assert_int_equal(symlink(path, in_etc(rig, "resolv.conf")), 0);
	assert_int_equal(conf_watch_arm(&w, rig->etc), 0);
	write_file(path, theirs, 0644);
	assert_true(conf_watch_read(&w));
	write_file(other, theirs, 0644);
	assert_false(conf_watch_read(&w));
	assert_int_equal(rename(other, path), 0);
	assert_true(conf_watch_read(&w));
	conf_watch_disarm(&w);
}

/* Somebody cuts the file to nothing, and writes into it a moment later. */
static pid_t write_slowly(struct rig *rig, const char *text)
{
	int fd = open(in_etc(rig, "resolv.conf"), O_WRONLY | O_TRUNC);
	pid_t pid = fork();

	assert_true(fd >= 0 && pid >= 0);
	if (pid == 0) {
		(void)poll(NULL, 0, 200);
		_exit(fd_write_all(fd, text, strlen(text)) < 0);
	}
	fd_close(&fd);
	return pid;
}

static void await(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* vpnc-script writes its own over ours, and ours over that. */
static void what_is_half_written_is_waited_for(void **state)
{
	struct rig *rig = *state;
	struct keep k = KEEP_NONE;
	mono_us_t now_us = clock_mono_us();

	assert_int_equal(set(rig, NULL), 0);
	keep_start(&k, &rig->d);
	pid_t pid = write_slowly(rig, ours);
	keep_turn(&k, &rig->d, now_us + US_PER_SEC);
	assert_string_equal(conf_text(rig), ours);
	await(pid);
	pid = write_slowly(rig, ours);
	assert_int_equal(dnshost_clear(&rig->d, NULL), 0);
	await(pid);
	assert_string_equal(conf_text(rig), "nameserver 192.0.2.1\n");
	keep_stop(&k);
}

static void half_of_theirs_is_waited_for(void **state)
{
	struct rig *rig = *state;
	struct keep k = KEEP_NONE;

	assert_int_equal(set(rig, NULL), 0);
	keep_start(&k, &rig->d);
	pid_t pid = write_slowly(rig, theirs);
	keep_turn(&k, &rig->d, clock_mono_us() + US_PER_SEC);
	await(pid);
	assert_string_equal(conf_text(rig), ours);
	keep_stop(&k);
	assert_int_equal(dnshost_clear(&rig->d, NULL), 0);
	assert_string_equal(conf_text(rig), theirs);
}

static void who_does_not_stop_wins_for_a_minute(void **state)
{
	struct rig *rig = *state;
	struct keep k = KEEP_NONE;
	mono_us_t now_us = clock_mono_us();

	assert_int_equal(set(rig, NULL), 0);
	keep_start(&k, &rig->d);
	keep_turn(&k, &rig->d, now_us + US_PER_SEC);
	assert_int_equal(keep_timeout_ms(&k, now_us), -1);
	for (int i = 0; i < KEEP_RENEWED_MAX; i++) {
		change(rig, CHANGE_RENAMED);
		now_us += US_PER_SEC;
		keep_turn(&k, &rig->d, now_us);
		assert_string_equal(conf_text(rig), theirs); /* not settled */
		assert_int_equal(keep_timeout_ms(&k, now_us),
				 KEEP_SETTLE_US / US_PER_MS + 1);
		now_us += KEEP_SETTLE_US;
		keep_turn(&k, &rig->d, now_us);
		assert_string_equal(conf_text(rig), ours);
	}
	for (int i = 0; i < 2; i++) {
		change(rig, CHANGE_RENAMED);
		keep_turn(&k, &rig->d, now_us);
		now_us += KEEP_SETTLE_US;
		keep_turn(&k, &rig->d, now_us);
		assert_string_equal(conf_text(rig), theirs);
	}
	assert_in_range(keep_timeout_ms(&k, now_us), 40000, 60000);
	now_us += KEEP_PERIOD_US;
	keep_turn(&k, &rig->d, now_us);
	assert_string_equal(conf_text(rig), ours);
	keep_stop(&k);
	assert_int_equal(keep_timeout_ms(&k, now_us), -1);
	assert_int_equal(dnshost_clear(&rig->d, NULL), 0);
	assert_string_equal(conf_text(rig), theirs);
}

/* ---- resolvconf ---- */

/* One that makes resolv.conf of what it is told. */
static const char tool[] =
	"#!/bin/sh\n"
	"cd \"${0%/*}\" || exit 1\n"
	"echo \"$*\" >>calls\n"
	"env >environment\n"
	"case $1 in\n"
	"-a) cat >told; { echo '# Generated'; cat told; } >etc/resolv.conf;;\n"
	"-d) echo 'nameserver 192.0.2.1' >etc/resolv.conf;;\n"
	"esac\n";

static void resolvconf_is_told_and_told_to_forget(void **state)
{
	struct rig *rig = *state;
	char way[BROKERMSG_NAME_MAX], path[128];

	write_file(rig->tool, tool, 0755);
	assert_int_equal(dnshost_set(&rig->d, &rig->wish, way, NULL), 0);
	assert_string_equal(way, "resolvconf");
	assert_int_equal(dnshost_clear(&rig->d, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/calls", rig->root);
	assert_string_equal(read_file(path),
			    "-a lo.ecssh -m 0 -x\n-d lo.ecssh\n");
	(void)snprintf(path, sizeof(path), "%s/told", rig->root);
	assert_string_equal(read_file(path), ours);
	(void)snprintf(path, sizeof(path), "%s/environment", rig->root);
	assert_null(strstr(read_file(path), "HOME"));
	assert_int_equal(count(rig->state, "dns-"), 0);
}

static void resolvconf_that_is_bypassed_is_told_again(void **state)
{
	struct rig *rig = *state;
	char way[BROKERMSG_NAME_MAX], path[128];

	write_file(rig->tool, tool, 0755);
	assert_int_equal(dnshost_set(&rig->d, &rig->wish, way, NULL), 0);
	assert_true(dnshost_is_ours(&rig->d));
	change(rig, CHANGE_RENAMED);
	assert_false(dnshost_is_ours(&rig->d));
	assert_int_equal(dnshost_renew(&rig->d, NULL), 0);
	assert_true(dnshost_is_ours(&rig->d));
	assert_int_equal(rig->d.record->way, DNS_WAY_RESOLVCONF);
	/* What it makes of what others tell it is its own business. */
	write_file(in_etc(rig, "resolv.conf"),
		   "# Generated by resolvconf\nnameserver 198.51.100.7\n",
		   0644);
	assert_true(dnshost_is_ours(&rig->d));
	assert_int_equal(dnshost_clear(&rig->d, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/calls", rig->root);
	assert_string_equal(read_file(path), "-a lo.ecssh -m 0 -x\n"
					     "-a lo.ecssh -m 0 -x\n"
					     "-u\n"
					     "-d lo.ecssh\n");
}

/* As Debian's once resolv.conf leads to its own file no more. */
static void resolvconf_that_has_lost_its_charge(void **state)
{
	struct rig *rig = *state;
	char way[BROKERMSG_NAME_MAX], path[128];

	write_file(rig->tool, tool, 0755);
	assert_int_equal(dnshost_set(&rig->d, &rig->wish, way, NULL), 0);
	change(rig, CHANGE_RENAMED);
	write_file(rig->tool, "#!/bin/sh\necho \"$1 $2\" >>\"${0%/*}/calls\"\n",
		   0755);
	assert_int_equal(dnshost_renew(&rig->d, NULL), 0);
	assert_string_equal(conf_text(rig), ours);
	assert_int_equal(count(rig->state, "dns-"), 1);
	die(rig);
	assert_int_equal(dnshost_replay(&rig->d, NULL), 0);
	expect_theirs(rig, CHANGE_RENAMED);
	(void)snprintf(path, sizeof(path), "%s/calls", rig->root);
	assert_string_equal(read_file(path), "-a lo.ecssh -m 0 -x\n"
					     "-a lo.ecssh\n-u \n-d lo.ecssh\n");
}

static void debians_has_an_order(void **state)
{
	struct rig *rig = *state;
	char way[BROKERMSG_NAME_MAX], path[128];

	write_file(rig->tool, tool, 0755);
	assert_int_equal(mkdir(in_etc(rig, "resolvconf"), 0755), 0);
	write_file(in_etc(rig, "resolvconf/interface-order"), "tun*\n", 0644);
	assert_int_equal(dnshost_set(&rig->d, &rig->wish, way, NULL), 0);
	die(rig);
	assert_int_equal(dnshost_replay(&rig->d, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/calls", rig->root);
	assert_string_equal(read_file(path),
			    "-a tun.lo.ecssh -m 0 -x\n-d tun.lo.ecssh\n");
}

static void a_resolvconf_not_in_charge_is_passed_by(void **state)
{
	struct rig *rig = *state;
	char path[128];

	write_file(rig->tool, "#!/bin/sh\necho \"$1 $2\" >>\"${0%/*}/calls\"\n",
		   0755);
	assert_int_equal(set(rig, NULL), 0);
	assert_string_equal(conf_text(rig), ours);
	(void)snprintf(path, sizeof(path), "%s/calls", rig->root);
	assert_non_null(strstr(read_file(path), "-d lo.ecssh\n"));
	assert_int_equal(count(rig->state, "dns-"), 1);
}

static void a_resolvconf_that_fails_is_an_error(void **state)
{
	struct rig *rig = *state;
	struct err err;

	write_file(rig->tool,
		   "#!/bin/sh\nprintf 'no \\033[1m\\n' >&2; exit 3\n", 0755);
	assert_int_equal(set(rig, &err), -EPROTO);
	assert_non_null(strstr(err.text, "no \\x1b[1m"));
	assert_string_equal(conf_text(rig), "nameserver 192.0.2.1\n");
	assert_int_equal(count(rig->state, "dns-"), 0);
}

static void systemds_resolvconf_is_another_program(void **state)
{
	struct rig *rig = *state;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/resolvectl", rig->root);
	write_file(path, tool, 0755);
	assert_int_equal(symlink("resolvectl", rig->tool), 0);
	assert_int_equal(set(rig, NULL), 0);
}

/* ---- what the process may do ---- */

/* Runs in a child, which it leaves changed for good.  Returns its status. */
static int confined(struct rig *rig, bool is_on)
{
	const char *const writable[] = {rig->etc, NULL};
	char outside[128], line[128];
	unsigned long long caps;

	(void)snprintf(outside, sizeof(outside), "%s/outside", rig->root);
	if (is_on && (confine_privilege(NULL) < 0 ||
		      confine_writing(writable, NULL) < 0))
		return 1;
	if (open(in_etc(rig, "inside"), O_WRONLY | O_CREAT, 0600) < 0)
		return 2;
	if (rename(in_etc(rig, "inside"), outside) == 0)
		return 3;
	if (open(outside, O_WRONLY | O_CREAT, 0600) >= 0)
		return 4;
	FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1 && caps != 0)
			return 5;
	return 0;
}

static int status_of(struct rig *rig, bool is_on)
{
	int status = -1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(confined(rig, is_on));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void nothing_is_written_elsewhere(void **state)
{
	struct rig *rig = *state;

	/* Without the confinement it can be seen. */
	assert_int_equal(status_of(rig, false), 3);
	if (geteuid() != 0 || syscall(SYS_landlock_create_ruleset, NULL, 0,
				      LANDLOCK_CREATE_RULESET_VERSION) < 1)
		skip(); /* no Landlock here, or nothing to lose */
	assert_int_equal(status_of(rig, true), 0);
}

/* ---- messages and texts ---- */

static void a_wish_is_checked(void **state)
{
	struct rig *rig = *state;
	struct brokermsg_dns_set *dns = &rig->wish.dns;
	struct brokermsg_dns_set good = *dns;

	assert_int_equal(dnshost_msg_check(dns, NULL), 0);
	dns->mode = 3;
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	*dns = good;
	dns->n_servers = 0;
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	dns->n_servers = BROKERMSG_DNS_SERVERS_MAX + 1;
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	*dns = good;
	dns->n_domains = BROKERMSG_DNS_DOMAINS_MAX + 1;
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	dns->n_domains = 0;
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	memset(dns->domains[0], 0, sizeof(dns->domains[0]));
	assert_int_equal(dnshost_msg_check(dns, NULL), 0);
	dns->mode = BROKERMSG_DNS_SPLIT;
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	*dns = good;
	dns->servers[0].version = 5;
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	*dns = good;
	dns->servers[0].bytes[15] = 1;
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	*dns = good;
	dns->servers[0].bytes[0] = 127;
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	*dns = good;
	memcpy(dns->domains[0], "Corp.example", 12);
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	*dns = good;
	dns->domains[0][200] = 'a';
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	memset(dns->domains[0], 'a', sizeof(dns->domains[0]));
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
	*dns = good;
	memcpy(dns->domains[0], "a\nnameserver", 12);
	assert_int_equal(dnshost_msg_check(dns, NULL), -EINVAL);
}

static void only_devices_that_are_there(void **state)
{
	struct rig *rig = *state;

	rig->wish.ifindex = 4242;
	assert_int_equal(set(rig, NULL), -ENODEV);
	memset(rig->wish.name, 'x', sizeof(rig->wish.name));
	assert_int_equal(set(rig, NULL), -EINVAL);
	(void)snprintf(rig->wish.name, sizeof(rig->wish.name), "../x");
	assert_int_equal(set(rig, NULL), -EINVAL);
}

static void the_longest_text_fits(void **state)
{
	struct dnshost_msg_request wish;
	static char text[RESOLV_TEXT_MAX];

	(void)state;
	wish_for(&wish, BROKERMSG_DNS_ALL, NULL);
	wish.dns.n_servers = BROKERMSG_DNS_SERVERS_MAX;
	for (int i = 0; i < BROKERMSG_DNS_SERVERS_MAX; i++) {
		wish.dns.servers[i].version = 6;
		memset(wish.dns.servers[i].bytes, 0xfd, 16);
	}
	wish.dns.n_domains = BROKERMSG_DNS_DOMAINS_MAX;
	for (int i = 0; i < BROKERMSG_DNS_DOMAINS_MAX; i++)
		memset(wish.dns.domains[i], 'a', 253);
	size_t len = resolv_text_build(&wish.dns, "0123456789abcde", text);
	assert_true(len < sizeof(text));
	assert_int_equal(strlen(text), len);
	assert_int_equal(text[len - 1], '\n');
}

static void servers_are_found_in_a_text(void **state)
{
	static const char text[] = "# nameserver 192.0.2.1\n"
				   "nameserver\t192.0.2.2 # x\r\n"
				   " nameserver fe80::1%eth0\n"
				   "nameservers 192.0.2.3\n"
				   "nameserver\n"
				   "search nameserver\n"
				   "nameserver 2001:db8::1";
	struct ip_addr found[4];
	char shown[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(resolv_text_servers(text, sizeof(text) - 1, found, 4),
			 3);
	assert_string_equal(addr_format(&found[0], shown), "192.0.2.2");
	assert_string_equal(addr_format(&found[1], shown), "fe80::1");
	assert_string_equal(addr_format(&found[2], shown), "2001:db8::1");
	assert_int_equal(resolv_text_servers(text, sizeof(text) - 1, found, 1),
			 1);
}

static void the_stub_of_resolved_is_known(void **state)
{
	static const struct {
		const char *text;
		bool is_stub;
	} cases[] = {
		{"nameserver 127.0.0.53\noptions edns0\n", true},
		{"nameserver 127.0.0.54\n", true},
		{"nameserver 127.0.0.53\nnameserver 192.0.2.1\n", false},
		{"nameserver 127.0.0.1\n", false},
		{"", false},
	};

	(void)state;
	for (size_t i = 0; i < N(cases); i++)
		assert_int_equal(resolv_text_is_resolved(cases[i].text,
							 strlen(cases[i].text)),
				 cases[i].is_stub);
}

#define rig_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_file_is_replaced_and_comes_back_itself),
		rig_test(a_symbolic_link_stays_one),
		rig_test(what_was_not_there_goes_again),
		rig_test(changed_by_others_is_left_alone),
		rig_test(what_asks_our_servers_is_ours),
		rig_test(a_killed_one_is_undone_by_the_next),
		rig_test(the_record_alone_suffices),
		rig_test(killed_before_the_change_leaves_no_litter),
		rig_test(one_that_lives_is_not_undone_and_has_the_file),
		rig_test(names_cannot_be_split_by_a_file),
		rig_test(what_is_no_file_is_refused),
		rig_test(a_state_directory_of_others_is_not_believed),
		rig_test(damaged_records_are_removed_and_not_followed),
		cmocka_unit_test(records_lead_nowhere_else),
		rig_test(changed_by_others_is_kept_for_the_end),
		rig_test(changed_into_what_cannot_be_kept),
		rig_test(killed_at_any_step_theirs_comes_back),
		rig_test(changes_are_noticed),
		rig_test(changes_behind_a_link_are_noticed),
		rig_test(what_is_half_written_is_waited_for),
		rig_test(half_of_theirs_is_waited_for),
		rig_test(who_does_not_stop_wins_for_a_minute),
		rig_test(resolvconf_is_told_and_told_to_forget),
		rig_test(resolvconf_that_is_bypassed_is_told_again),
		rig_test(resolvconf_that_has_lost_its_charge),
		rig_test(debians_has_an_order),
		rig_test(a_resolvconf_not_in_charge_is_passed_by),
		rig_test(a_resolvconf_that_fails_is_an_error),
		rig_test(systemds_resolvconf_is_another_program),
		rig_test(nothing_is_written_elsewhere),
		rig_test(a_wish_is_checked),
		rig_test(only_devices_that_are_there),
		cmocka_unit_test(the_longest_text_fits),
		cmocka_unit_test(servers_are_found_in_a_text),
		cmocka_unit_test(the_stub_of_resolved_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
