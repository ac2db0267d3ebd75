/* SPDX-License-Identifier: MIT */
/*
 * journal_file: see journal_file.h.
 *
 * A record is written over one that was struck out, so the file does not grow
 * with time.  The file itself is what is known of it: broker and keeper share
 * it, and either may be the one that is left.  Nobody may unlink it once root
 * is given up, so it is made empty; the next broker does that.
 */
#include "journal_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"

/* The slots of a file, parsed. */
struct slots {
	struct journal_head head;
	struct journal_record records[JOURNAL_SLOTS];
	bool is_live[JOURNAL_SLOTS];
	size_t n_live, free_slot; /* JOURNAL_SLOTS: none is free */
	uint32_t last_seq;
};

/* Returns 0; -ENOENT: the file is empty; or -errno. */
static int read_slots(int fd, struct slots *ret)
{
	uint8_t bytes[JOURNAL_FILE_BYTES] = {0};
	ssize_t n = pread(fd, bytes, sizeof(bytes), 0);

	memset(ret, 0, sizeof(*ret));
	ret->free_slot = JOURNAL_SLOTS;
	if (n < 0)
		return -errno;
	for (size_t i = JOURNAL_SLOTS; i-- > 0;) {
		const uint8_t *block = bytes + (1 + i) * JOURNAL_BLOCK_BYTES;
		struct journal_record *record = &ret->records[i];

		ret->is_live[i] = journal_parse(block, record) == 0;
		if (!ret->is_live[i])
			ret->free_slot = i;
		else if (record->seq > ret->last_seq)
			ret->last_seq = record->seq;
		ret->n_live += ret->is_live[i];
	}
	return n == 0 ? -ENOENT : journal_parse_head(bytes, &ret->head);
}

static int write_block(int fd, size_t number,
		       const uint8_t block[JOURNAL_BLOCK_BYTES])
{
	ssize_t n = pwrite(fd, block, JOURNAL_BLOCK_BYTES,
			   (off_t)(number * JOURNAL_BLOCK_BYTES));

	return n < 0 ? -errno : n == JOURNAL_BLOCK_BYTES ? 0 : -ENOSPC;
}

int journal_file_add(const struct journal_file *j,
		     const struct journal_record *record)
{
	uint8_t block[JOURNAL_BLOCK_BYTES];
	struct journal_record it = *record;
	struct slots slots;
	int r = read_slots(j->fd, &slots);

	if (r == -ENOENT) {
		journal_build_head(&j->head, block);
		r = write_block(j->fd, 0, block);
	}
	if (r < 0)
		return r;
	if (slots.free_slot == JOURNAL_SLOTS)
		return -ENOSPC;
	it.seq = slots.last_seq + 1;
	journal_build(&it, block);
	r = write_block(j->fd, 1 + slots.free_slot, block);
	return r == 0 && fdatasync(j->fd) < 0 ? -errno : r;
}

int journal_file_strike(int fd, const struct journal_record *record)
{
	static const uint8_t none[JOURNAL_BLOCK_BYTES];
	struct slots slots;
	int r = read_slots(fd, &slots);

	for (size_t i = 0; i < JOURNAL_SLOTS && r == 0; i++) {
		const struct journal_record *it = &slots.records[i];

		if (slots.is_live[i] && it->kind == record->kind &&
		    memcmp(it->payload, record->payload, sizeof(it->payload)) ==
			    0)
			return slots.n_live == 1 ? ftruncate(fd, 0)
						 : write_block(fd, 1 + i, none);
	}
	return r;
}

/*
 * The dead
 */

/* The newest record below what has been looked at; false: none. */
static bool find_next(struct journal_file_dead *dead, const struct slots *slots,
		      struct journal_record *ret)
{
	const struct journal_record *newest = NULL;

	for (size_t i = 0; i < JOURNAL_SLOTS; i++) {
		const struct journal_record *it = &slots->records[i];

		if (slots->is_live[i] && it->seq < dead->below &&
		    (!newest || it->seq > newest->seq))
			newest = it;
	}
	if (!newest)
		return false;
	*ret = *newest;
	dead->below = newest->seq;
	return true;
}

int journal_file_next_dead(struct journal_file *j, struct journal_record *ret)
{
	for (size_t i = 0; i < j->n_dead; i++) {
		struct journal_file_dead *dead = &j->dead[i];
		struct slots slots;
		int r = read_slots(dead->fd, &slots);

		/* Of a boot that is over, or not a journal: nothing is left of
		 * it.  Of another namespace: whoever lives there replays it. */
		if (r == -EBADMSG ||
		    (r == 0 && memcmp(slots.head.boot_id, j->head.boot_id,
				      sizeof(j->head.boot_id)) != 0))
			(void)!ftruncate(dead->fd, 0);
		else if (r == 0 && slots.head.netns == j->head.netns &&
			 find_next(dead, &slots, ret))
			return dead->fd;
	}
	return -ENOENT;
}

/* Take a file that nobody has locked; remove it if nothing is in it. */
static void take_dead(struct journal_file *j, int dir_fd, const char *name)
{
	struct stat st;
	int fd CLEANUP_FD = openat(
		dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 ||
	    !S_ISREG(st.st_mode))
		return;
	if (st.st_size == 0)
		(void)unlinkat(dir_fd, name, 0);
	else if (j->n_dead < JOURNAL_FILE_DEAD_MAX)
		j->dead[j->n_dead++] =
			(struct journal_file_dead){fd_take(&fd), UINT32_MAX};
}

/*
 * Opening
 */

static void read_head(struct journal_head *ret)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	struct stat st;
	char text[40] = "";
	int fd CLEANUP_FD =
		open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	int sock CLEANUP_FD = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		journal_parse_boot_id(text, ret->boot_id);
	/* Kernels before 5.14 have numbers that are used again. */
	if (sock >= 0 &&
	    getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0)
		ret->netns = cookie;
	else if (stat("/proc/self/ns/net", &st) == 0)
		ret->netns = st.st_ino;
}

/* Make a file and lock it.  Whoever removes empty ones may have been quicker.
 * Returns its descriptor or -errno. */
static int make_own(int dir_fd)
{
	for (unsigned i = 0;; i++) {
		char name[32];
		struct stat st;

		(void)snprintf(name, sizeof(name), "%d-%u", (int)getpid(), i);
		int fd CLEANUP_FD = openat(dir_fd, name,
					   O_RDWR | O_CREAT | O_EXCL |
						   O_NOFOLLOW | O_CLOEXEC,
					   0600);
		if (fd < 0 && errno == EEXIST) /* of a dead one */
			continue;
		if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
			return -errno;
		if (st.st_nlink > 0)
			return fd_take(&fd);
	}
}

/* A directory of our own that nobody else may write to. */
static int open_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return -errno;
	int fd CLEANUP_FD =
		open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return -EPERM;
	return fd_take(&fd);
}

int journal_file_open(struct journal_file *ret, const char *dir,
		      struct err *err)
{
	char path[128];
	const struct dirent *e;

	*ret = (struct journal_file){.fd = -1};
	read_head(&ret->head);
	int parent CLEANUP_FD = open_dir(dir, 0755);
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	int dir_fd = parent < 0 ? parent : open_dir(path, 0700);
	DIR *list = dir_fd < 0 ? NULL : fdopendir(dir_fd);
	if (!list) {
		int r = dir_fd < 0 ? dir_fd : -errno;

		fd_close(&dir_fd);
		return err_set(err, r, "cannot use %s: %s", path, strerror(-r));
	}
	while ((e = readdir(list)) != NULL)
		if (e->d_name[0] != '.')
			take_dead(ret, dir_fd, e->d_name);
	ret->fd = make_own(dir_fd);
	(void)closedir(list);
	if (ret->fd < 0)
		return err_set(err, ret->fd, "cannot make a file in %s: %s",
			       path, strerror(-ret->fd));
	return 0;
}

void journal_file_forget_dead(struct journal_file *j)
{
	for (size_t i = 0; i < j->n_dead; i++)
		fd_close(&j->dead[i].fd);
	j->n_dead = 0;
}

void journal_file_close(struct journal_file *j)
{
	fd_close(&j->fd);
	journal_file_forget_dead(j);
}
