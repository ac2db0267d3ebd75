/* SPDX-License-Identifier: MIT */
/*
 * test_journal: src/wire/journal.c, and src/priv/journal_file_linux.c on a
 * directory of the test's own.
 */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal_file.h"

static struct journal_record record_of(uint32_t kind, uint8_t byte)
{
	struct journal_record record = {.kind = kind};

	memset(record.payload, byte, sizeof(record.payload));
	return record;
}

static void journal_builds_what_it_parses(void **state)
{
	struct journal_head head = {.boot_id = {1, 2, 3}, .netns = 77}, got;
	struct journal_record record = record_of(9, 0x5a), back;
	uint8_t block[JOURNAL_BLOCK_BYTES];

	(void)state;
	journal_build_head(&head, block);
	assert_int_equal(journal_parse_head(block, &got), 0);
	assert_memory_equal(&got, &head, sizeof(head));
	assert_int_equal(journal_parse(block, &back), -EBADMSG);
	record.seq = 4711;
	journal_build(&record, block);
	assert_int_equal(journal_parse(block, &back), 0);
	assert_memory_equal(&back, &record, sizeof(record));
	assert_int_equal(journal_parse_head(block, &got), -EBADMSG);
	memset(block, 0, sizeof(block));
	assert_int_equal(journal_parse(block, &back), -ENOENT);
}

static void journal_finds_each_damaged_bit(void **state)
{
	struct journal_record record = record_of(1, 7), back;
	uint8_t block[JOURNAL_BLOCK_BYTES];

	(void)state;
	journal_build(&record, block);
	for (size_t i = 0; i < 8 * sizeof(block); i++) {
		block[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(journal_parse(block, &back), -EBADMSG);
		block[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(journal_parse(block, &back), 0);
}

static void journal_keeps_rules(void **state)
{
	struct journal_rule rules[3] = {
		{.kind = JOURNAL_RULE_TUNNEL, .version = 6, .priority = 5100},
		{.kind = JOURNAL_RULE_EXEMPT,
		 .version = 4,
		 .priority = 5001,
		 .local = {IPV4, {10, 9, 0, 2}},
		 .from = {40000, 40000},
		 .remote = {{IPV4, {10, 9, 0, 1}}, 22}},
		{.kind = JOURNAL_RULE_EXEMPT,
		 .version = 6,
		 .priority = 5002,
		 .from = {20000, 20511},
		 .remote = {{IPV6, {0xfd, 9, [15] = 1}}, 22},
		 .has_uid = true,
		 .uid = 1000},
	};
	struct journal_record record;
	struct journal_change change;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct journal_rule back;

		change = (struct journal_change){.kind = CHANGE_RULE,
						 .rule = rules[i]};
		assert_true(journal_build_change(&change, &record));
		assert_int_equal(journal_parse_change(&record, &change), 0);
		assert_int_equal(change.kind, CHANGE_RULE);
		back = change.rule;
		assert_int_equal(back.kind, rules[i].kind);
		assert_int_equal(back.version, rules[i].version);
		assert_int_equal(back.priority, rules[i].priority);
		assert_true(addr_equal(&back.local, &rules[i].local));
		assert_true(port_range_equal(&back.from, &rules[i].from));
		assert_true(endpoint_equal(&back.remote, &rules[i].remote));
		assert_int_equal(back.has_uid, rules[i].has_uid);
		assert_int_equal(back.uid, rules[i].uid);
		assert_true(journal_rule_equal(&back, &rules[i]));
		back.from.last++;
		assert_false(journal_rule_equal(&back, &rules[i]));
	}
	record.payload[13] += 2; /* the first port is above the last one */
	assert_int_equal(journal_parse_change(&record, &change), -EBADMSG);
	record.payload[13] -= 2;
	assert_int_equal(journal_parse_change(&record, &change), 0);
	record.payload[0] = JOURNAL_RULE__N;
	assert_int_equal(journal_parse_change(&record, &change), -EBADMSG);
	record.payload[0] = 0;
	record.payload[1] = 5;
	assert_int_equal(journal_parse_change(&record, &change), -EBADMSG);
}

static void journal_keeps_whose_tables_there_are(void **state)
{
	struct journal_change change = {.kind = CHANGE_GUARD,
					.link = {7, "ecssh0"}},
			      back;
	struct journal_record record;
	struct err said;

	(void)state;
	assert_true(journal_build_change(&change, &record));
	assert_int_equal(record.kind, 2);
	assert_int_equal(journal_parse_change(&record, &back), 0);
	assert_int_equal(back.kind, CHANGE_GUARD);
	assert_int_equal(back.link.ifindex, 7);
	assert_string_equal(back.link.name, "ecssh0");
	assert_int_equal(journal_tell(&back, &said), 0);
	assert_string_equal(said.text,
			    "nftables rules for the addresses of ecssh0");
	record.payload[6] = '"';
	assert_int_equal(journal_parse_change(&record, &back), -EBADMSG);
	/* What goes with the device is not written down, nor read. */
	change.kind = CHANGE_ROUTE;
	assert_false(journal_build_change(&change, &record));
	assert_int_equal(journal_parse_change(&record, &back), -EBADMSG);
	record.kind = 0;
	assert_int_equal(journal_parse_change(&record, &back), -EBADMSG);
}

static void journal_reads_the_boot_id(void **state)
{
	static const uint8_t expected[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
					     0xcd, 0xef, 0xf0, 0xe1, 0xd2, 0xc3,
					     0xb4, 0xa5, 0x96, 0x87};
	uint8_t id[16];

	(void)state;
	journal_parse_boot_id("01234567-89ab-cdef-f0e1-d2c3b4a59687\nff", id);
	assert_memory_equal(id, expected, 16);
	journal_parse_boot_id("01", id);
	assert_int_equal(id[0], 1);
	assert_int_equal(id[1], 0);
}

/*
 * On disk
 */

static int setup(void **state)
{
	char *dir = strdup("/tmp/ecssh-journal-XXXXXX");

	*state = dir;
	return dir && mkdtemp(dir) ? 0 : -1;
}

/* The files in the directory, and the bytes in all of them. */
static size_t count_files(const char *dir, size_t *ret_bytes, bool remove_them)
{
	char path[512];
	const struct dirent *e;
	struct stat st;
	size_t n = 0;

	*ret_bytes = 0;
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	DIR *list = opendir(path);
	while (list && (e = readdir(list)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/journal/%s", dir,
			       e->d_name);
		assert_int_equal(lstat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		*ret_bytes += (size_t)st.st_size;
		n++;
		if (remove_them)
			(void)unlink(path);
	}
	if (list)
		(void)closedir(list);
	return n;
}

static int teardown(void **state)
{
	char path[512];
	size_t bytes;

	(void)count_files(*state, &bytes, true);
	(void)snprintf(path, sizeof(path), "%s/journal", (char *)*state);
	(void)rmdir(path);
	(void)rmdir(*state);
	free(*state);
	return 0;
}

static struct journal_file open_in(const char *dir)
{
	struct journal_file j;
	struct err err;

	if (journal_file_open(&j, dir, &err) < 0)
		fail_msg("%s", err.text);
	return j;
}

static void expect_dead(struct journal_file *j, uint8_t byte)
{
	struct journal_record record;
	int fd = journal_file_next_dead(j, &record);

	assert_true(fd >= 0);
	assert_int_equal(record.payload[0], byte);
	assert_int_equal(journal_file_strike(fd, &record), 0);
}

static void journal_file_tells_what_the_dead_left_newest_first(void **state)
{
	struct journal_file one = open_in(*state);
	struct journal_record record;

	for (uint8_t i = 1; i <= 4; i++) {
		record = record_of(CHANGE_RULE, i);
		assert_int_equal(journal_file_add(&one, &record), 0);
	}
	record = record_of(CHANGE_RULE, 3);
	assert_int_equal(journal_file_strike(one.fd, &record), 0);
	/* The slot is used again, and the record in it is the newest. */
	record = record_of(CHANGE_RULE, 5);
	assert_int_equal(journal_file_add(&one, &record), 0);
	journal_file_close(&one); /* its lock goes as with a killed one */

	struct journal_file two = open_in(*state);
	expect_dead(&two, 5);
	expect_dead(&two, 4);
	expect_dead(&two, 2);
	expect_dead(&two, 1);
	assert_int_equal(journal_file_next_dead(&two, &record), -ENOENT);
	journal_file_close(&two);

	struct journal_file three = open_in(*state);
	assert_int_equal(three.n_dead, 0);
	size_t bytes;
	assert_int_equal(count_files(*state, &bytes, false), 1);
	assert_int_equal(bytes, 0);
	journal_file_close(&three);
}

static void journal_file_goes_on_where_it_was_stopped(void **state)
{
	struct journal_file one = open_in(*state);
	struct journal_record record;

	for (uint8_t i = 1; i <= 2; i++) {
		record = record_of(CHANGE_RULE, i);
		assert_int_equal(journal_file_add(&one, &record), 0);
	}
	journal_file_close(&one);
	struct journal_file two = open_in(*state);
	expect_dead(&two, 2);
	/* One that could not be undone stays, and is told once. */
	assert_true(journal_file_next_dead(&two, &record) >= 0);
	assert_int_equal(journal_file_next_dead(&two, &record), -ENOENT);
	journal_file_close(&two);
	struct journal_file three = open_in(*state);
	expect_dead(&three, 1);
	journal_file_close(&three);
}

static void journal_file_leaves_the_living_alone(void **state)
{
	struct journal_file one = open_in(*state);
	struct journal_record record = record_of(CHANGE_RULE, 1);
	int ready[2];

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(journal_file_add(&one, &record), 0);
	/* The keeper: it has the descriptor, and so the lock. */
	pid_t keeper = fork();
	assert_true(keeper >= 0);
	if (keeper == 0) {
		char byte;

		(void)close(ready[1]);
		_exit(read(ready[0], &byte, 1) == 0 ? 0 : 1);
	}
	journal_file_close(&one);
	struct journal_file two = open_in(*state);
	assert_int_equal(two.n_dead, 0);
	assert_int_equal(journal_file_next_dead(&two, &record), -ENOENT);
	(void)close(ready[1]);
	(void)close(ready[0]);
	assert_int_equal(waitpid(keeper, NULL, 0), keeper);
	journal_file_close(&two);
	struct journal_file three = open_in(*state);
	expect_dead(&three, 1);
	journal_file_close(&three);
}

static void journal_file_forgets_another_boot(void **state)
{
	struct journal_file one = open_in(*state);
	struct journal_record record = record_of(CHANGE_RULE, 1);

	one.head.boot_id[0] ^= 1;
	assert_int_equal(journal_file_add(&one, &record), 0);
	journal_file_close(&one);
	struct journal_file two = open_in(*state);
	assert_int_equal(two.n_dead, 1);
	assert_int_equal(journal_file_next_dead(&two, &record), -ENOENT);
	journal_file_close(&two);
	size_t bytes;
	(void)count_files(*state, &bytes, false);
	assert_int_equal(bytes, 0);
}

static void journal_file_leaves_another_namespace_alone(void **state)
{
	struct journal_file one = open_in(*state);
	struct journal_record record = record_of(CHANGE_RULE, 1);
	size_t bytes;

	one.head.netns ^= 1;
	assert_int_equal(journal_file_add(&one, &record), 0);
	journal_file_close(&one);
	struct journal_file two = open_in(*state);
	assert_int_equal(journal_file_next_dead(&two, &record), -ENOENT);
	journal_file_close(&two);
	(void)count_files(*state, &bytes, false);
	assert_true(bytes > 0);
}

static void journal_file_is_bounded(void **state)
{
	struct journal_file one = open_in(*state);
	struct journal_record record;
	size_t bytes;

	for (int i = 0; i <= JOURNAL_SLOTS; i++) {
		record = record_of(CHANGE_RULE, (uint8_t)i);
		assert_int_equal(journal_file_add(&one, &record),
				 i < JOURNAL_SLOTS ? 0 : -ENOSPC);
	}
	for (int i = 0; i < 200; i++) {
		record = record_of(CHANGE_RULE, (uint8_t)(i + 0));
		(void)journal_file_strike(one.fd, &record);
		(void)journal_file_add(&one, &record);
	}
	(void)count_files(*state, &bytes, false);
	assert_int_equal(bytes, JOURNAL_FILE_BYTES);
	journal_file_close(&one);
}

static void journal_file_follows_no_link(void **state)
{
	char path[512], link_path[520];
	struct journal_file j;
	struct err err;

	(void)snprintf(path, sizeof(path), "%s/elsewhere", (char *)*state);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(link_path, sizeof(link_path), "%s/journal",
		       (char *)*state);
	assert_int_equal(symlink(path, link_path), 0);
	assert_true(journal_file_open(&j, *state, &err) < 0);
	assert_int_equal(j.fd, -1);
	journal_file_close(&j);
	assert_int_equal(unlink(link_path), 0);
	assert_int_equal(rmdir(path), 0);
	/* Nor one that others may write to. */
	assert_int_equal(mkdir(link_path, 0700), 0);
	assert_int_equal(chmod(link_path, 0777), 0);
	assert_int_equal(journal_file_open(&j, *state, &err), -EPERM);
	journal_file_close(&j);
}

#define in_dir(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(journal_builds_what_it_parses),
		cmocka_unit_test(journal_finds_each_damaged_bit),
		cmocka_unit_test(journal_keeps_rules),
		cmocka_unit_test(journal_keeps_whose_tables_there_are),
		cmocka_unit_test(journal_reads_the_boot_id),
		in_dir(journal_file_tells_what_the_dead_left_newest_first),
		in_dir(journal_file_goes_on_where_it_was_stopped),
		in_dir(journal_file_leaves_the_living_alone),
		in_dir(journal_file_forgets_another_boot),
		in_dir(journal_file_leaves_another_namespace_alone),
		in_dir(journal_file_is_bounded),
		in_dir(journal_file_follows_no_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
