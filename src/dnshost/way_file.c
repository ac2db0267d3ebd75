/* SPDX-License-Identifier: MIT */
/*
 * way_file: /etc/resolv.conf, where nobody looks after it.
 *
 * Theory of operation
 *   Ours is written beside it and changes places with it in one step
 *   (RENAME_EXCHANGE), so the original keeps its inode with owner, mode and
 *   everything else, be it a file or a symbolic link, and one more rename
 * brings it back.  Where the file system cannot do that ours replaces it, and
 * it is made again from the record.  What cannot be replaced, because something
 * is mounted on it or /etc is read-only, is written into.
 *
 *   What somebody else writes meanwhile is the newer truth: it becomes the
 *   original, and ours takes its place (renew).  Between two steps there is at
 *   any time a record by which theirs stays or comes back.  At the end ours
 * must still be there, byte for byte; else what is there is left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dns_way.h"
#include "fd.h"

static const char conf[] = "resolv.conf";

/* How often, and for how long together, a writer is waited for. */
enum { STILL_TRIES = 50, STILL_MS = 1000 };

/* What is in place of resolv.conf now. */
enum present {
	PRESENT_OURS,
	PRESENT_ORIGINAL,
	PRESENT_FOREIGN,
};

/* Read up to cap bytes of a regular file.  Returns their number, or -errno;
 * -E2BIG: there are more. */
static ssize_t read_file(int dir_fd, const char *name, char *out, size_t cap)
{
	int fd CLEANUP_FD = openat(
		dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	size_t len = 0;
	char more;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = len < cap ? read(fd, out + len, cap - len)
				      : read(fd, &more, 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return (ssize_t)len;
		if (len == cap)
			return -E2BIG;
		len += (size_t)n;
	}
}

/*
 * Wait until nobody is writing into it: what has been cut to nothing and is not
 * written yet is nobody's truth.  Nobody begins to as long as what is returned
 * is open, but waits in open(2): close it soon, and before writing ourselves.
 * Without one (-1: a writer that does not end, a file of another user's, a file
 * system that knows no leases) there is no more to be done than to go on.
 */
static int hold_still(int dir_fd)
{
	static const struct timespec a_moment = {
		.tv_nsec = STILL_MS * 1000000L / STILL_TRIES};

	(void)signal(SIGIO, SIG_IGN); /* that somebody waits */
	for (int i = 0; i < STILL_TRIES; i++) {
		int fd = openat(dir_fd, conf,
				O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

		if (fd < 0 || fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
			return fd;
		bool is_written = errno == EAGAIN;
		fd_close(&fd);
		if (!is_written)
			break;
		(void)nanosleep(&a_moment, NULL);
	}
	return -1;
}

/* ---- before: what is there ---- */

static int read_original(int dir_fd, const struct dns_host *host,
			 struct dns_record *r, struct err *err)
{
	struct stat st;
	ssize_t n = 0;

	if (fstatat(dir_fd, conf, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		r->original = DNS_ORIGINAL_ABSENT;
		return errno == ENOENT
			       ? 0
			       : err_set(err, -errno,
					 "cannot look at %s/%s: %s", host->etc,
					 conf, strerror(errno));
	}
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return err_set(err, -EINVAL,
			       "%s/%s is neither a file nor a symbolic link",
			       host->etc, conf);
	r->original =
		S_ISLNK(st.st_mode) ? DNS_ORIGINAL_LINK : DNS_ORIGINAL_FILE;
	r->mode = st.st_mode & 07777;
	r->uid = st.st_uid;
	r->gid = st.st_gid;
	n = S_ISLNK(st.st_mode) ? readlinkat(dir_fd, conf, r->original_text,
					     sizeof(r->original_text) - 1)
				: read_file(dir_fd, conf, r->original_text,
					    sizeof(r->original_text) - 1);
	if (S_ISLNK(st.st_mode) && n < 0)
		n = -errno;
	if (n < 0)
		return err_set(err, (int)n, "cannot read %s/%s: %s", host->etc,
			       conf, strerror((int)-n));
	r->original_len = (uint32_t)n;
	return 0;
}

/* ---- to put something there ---- */

static int sync_directory(int dir_fd)
{
	return fsync(dir_fd) < 0 ? -errno : 0;
}

/* Make a file that was not there.  Returns 0 or -errno. */
static int make_file(int dir_fd, const char *name, const char *text, size_t len,
		     mode_t mode)
{
	int fd CLEANUP_FD = openat(
		dir_fd, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, text, len);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir_fd, name, 0);
	return r;
}

static int write_in_place(int dir_fd, const char *text, size_t len)
{
	int fd CLEANUP_FD = openat(dir_fd, conf,
				   O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, text, len);
	return r == 0 && fsync(fd) < 0 ? -errno : r;
}

/* Ours takes its place; the original keeps the name `kept`, if there is one and
 * it can.  Returns 0 or -errno. */
static int replace(int dir_fd, const struct dns_record *r)
{
	int result =
		make_file(dir_fd, r->kept, r->written, r->written_len, 0644);

	if (result < 0)
		return result;
	if (r->original != DNS_ORIGINAL_ABSENT &&
	    renameat2(dir_fd, r->kept, dir_fd, conf, RENAME_EXCHANGE) == 0)
		return sync_directory(dir_fd);
	if (renameat(dir_fd, r->kept, dir_fd, conf) == 0)
		return sync_directory(dir_fd);
	result = -errno;
	(void)unlinkat(dir_fd, r->kept, 0);
	return result;
}

/* True if the errno says that there can be no other file of that name, but
 * perhaps other bytes in this one. */
static bool is_pinned(int r)
{
	return r == -EBUSY || r == -EROFS || r == -EXDEV || r == -EPERM ||
	       r == -EACCES;
}

static int choose_name(struct dns_record *r)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return -errno;
	(void)snprintf(r->kept, sizeof(r->kept), ".%s.%08x", conf, number);
	return 0;
}

static int cannot(const struct dns_host *host, int r, struct err *err)
{
	return err_set(err, r, "cannot change %s/%s: %s%s", host->etc, conf,
		       strerror(-r),
		       r == -EPERM ? " (chattr -i, if it is immutable)" : "");
}

/* ---- another tunnel ---- */

struct search {
	bool is_taken;
	char device[BROKERMSG_NAME_MAX];
};

static bool on_other(void *ctx, const struct dns_record *record, bool is_live)
{
	struct search *search = ctx;

	if (is_live && record->way == DNS_WAY_FILE) {
		search->is_taken = true;
		memcpy(search->device, record->device.name,
		       sizeof(search->device));
	}
	return false;
}

/* Two at a time would bring back each other's. */
static int check_others(const struct dns_store *store, struct err *err)
{
	struct search search = {0};

	dns_store_each(store, on_other, &search);
	if (!search.is_taken)
		return 0;
	return err_set(err, -EBUSY,
		       "another tunnel (%s) has changed resolv.conf already, "
		       "and there is one only",
		       search.device);
}

/* ---- the way ---- */

/* Put ours in the place of the original, which the record has, and which
 * *still_fd holds. */
static int take_place(int dir_fd, int *still_fd, const struct dns_host *host,
		      const struct dns_store *store,
		      const struct dns_wish *wish, struct dns_record *record,
		      struct dns_record_entry *entry, struct err *err)
{
	record->written_len = (uint32_t)resolv_text_build(
		wish->dns, wish->device, record->written);
	int r = choose_name(record);
	if (r < 0)
		return cannot(host, r, err);
	r = dns_store_save(store, entry, record, err);
	if (r < 0)
		return r;
	r = replace(dir_fd, record);
	if (!is_pinned(r) || record->original != DNS_ORIGINAL_FILE)
		return r < 0 ? cannot(host, r, err) : 0;
	record->is_in_place = 1;
	r = dns_store_save(store, entry, record, err);
	if (r < 0)
		return r;
	fd_close(still_fd);
	r = write_in_place(dir_fd, record->written, record->written_len);
	return r < 0 ? cannot(host, r, err) : 0;
}

static int set(struct dns_host *host, const struct dns_store *store,
	       const struct dns_wish *wish, struct dns_record *record,
	       struct dns_record_entry *entry, struct err *err)
{
	if (wish->dns->mode == BROKERMSG_DNS_SPLIT)
		return err_set(
			err, -EOPNOTSUPP,
			"nothing on this host can send the names of some "
			"domains elsewhere than the rest: --dns split needs "
			"systemd-resolved, and --dns all would have all names "
			"resolved through the tunnel");
	int dir_fd CLEANUP_FD = dns_way_open_etc(host);
	if (dir_fd < 0)
		return cannot(host, dir_fd, err);
	int r = check_others(store, err);
	int still_fd CLEANUP_FD = r < 0 ? -1 : hold_still(dir_fd);
	if (r == 0)
		r = read_original(dir_fd, host, record, err);
	return r < 0 ? r
		     : take_place(dir_fd, &still_fd, host, store, wish, record,
				  entry, err);
}

/* What asks our servers first is of no use without them, whoever has written
 * it: a script of the user's, say, to whom we have told them. */
static bool asks_ours(const struct dns_record *r, const char *text, size_t len)
{
	struct ip_addr first, ours[BROKERMSG_DNS_SERVERS_MAX];
	size_t n = resolv_text_servers(r->written, r->written_len, ours,
				       BROKERMSG_DNS_SERVERS_MAX);

	if (resolv_text_servers(text, len, &first, 1) < 1)
		return false;
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&ours[i], &first))
			return true;
	return false;
}

/* ---- while it is up ---- */

static bool is_ours(struct dns_host *host, const struct dns_wish *wish,
		    const struct dns_record *record)
{
	int dir_fd CLEANUP_FD = dns_way_open_etc(host);
	int still_fd = dir_fd < 0 ? -1 : hold_still(dir_fd);
	char text[RESOLV_TEXT_MAX];
	ssize_t n = dir_fd < 0 ? dir_fd
			       : read_file(dir_fd, conf, text, sizeof(text));

	fd_close(&still_fd);
	(void)wish;
	return n > 0 && asks_ours(record, text, (size_t)n);
}

/*
 * From the first step on theirs is what has to come back.  The older original
 * goes first, for no record knows its name later on; the older record goes when
 * the newer one is there, and until then finds what is not ours and leaves it
 * alone.
 */
static int renew(struct dns_host *host, const struct dns_store *store,
		 const struct dns_wish *wish, struct dns_record *record,
		 struct dns_record_entry *entry, struct err *err)
{
	int dir_fd CLEANUP_FD = dns_way_open_etc(host);
	int still_fd CLEANUP_FD = dir_fd < 0 ? -1 : hold_still(dir_fd);
	struct dns_record *newer = malloc(sizeof(*newer));
	int r = dir_fd < 0 ? dir_fd : newer ? 0 : -ENOMEM;

	if (r < 0) {
		free(newer);
		return cannot(host, r, err);
	}
	dns_record_init(newer, DNS_WAY_FILE, wish->ifindex, wish->device);
	r = read_original(dir_fd, host, newer, err);
	/* Unless it has become ours since it was looked at. */
	if (r == 0 &&
	    (newer->original != DNS_ORIGINAL_FILE ||
	     !asks_ours(record, newer->original_text, newer->original_len))) {
		if (record->kept[0] != '\0')
			(void)unlinkat(dir_fd, record->kept, 0);
		*record = *newer;
		r = take_place(dir_fd, &still_fd, host, store, wish, record,
			       entry, err);
	}
	free(newer);
	return r;
}

/* ---- the end ---- */

static bool is_original(int dir_fd, const struct dns_record *r,
			const struct stat *st, const char *text, ssize_t len)
{
	char target[4096];

	if (r->original == DNS_ORIGINAL_LINK && S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(dir_fd, conf, target, sizeof(target));

		return n == (ssize_t)r->original_len &&
		       memcmp(target, r->original_text, (size_t)n) == 0;
	}
	return r->original == DNS_ORIGINAL_FILE && S_ISREG(st->st_mode) &&
	       len == (ssize_t)r->original_len &&
	       memcmp(text, r->original_text, (size_t)len) == 0;
}

/* len is negative if there is no text. */
static bool is_beginning(const char *text, ssize_t len, const char *whole,
			 size_t whole_len)
{
	return len >= 0 && (size_t)len <= whole_len &&
	       memcmp(text, whole, (size_t)len) == 0;
}

/* Whose is what is there?  text has room for the longest original. */
static enum present look(int dir_fd, const struct dns_record *r, char *text)
{
	struct stat st;
	ssize_t len = -1;

	if (fstatat(dir_fd, conf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return r->original == DNS_ORIGINAL_ABSENT ? PRESENT_ORIGINAL
							  : PRESENT_FOREIGN;
	if (S_ISREG(st.st_mode))
		len = read_file(dir_fd, conf, text, DNS_RECORD_ORIGINAL_MAX);
	if (is_original(dir_fd, r, &st, text, len))
		return PRESENT_ORIGINAL;
	/* Killed while ours was written into it, or the original again. */
	if (r->is_in_place &&
	    (is_beginning(text, len, r->written, r->written_len) ||
	     is_beginning(text, len, r->original_text, r->original_len)))
		return PRESENT_OURS;
	return len > 0 && asks_ours(r, text, (size_t)len) ? PRESENT_OURS
							  : PRESENT_FOREIGN;
}

/* True if the original lies under its other name: what is there is not ours,
 * which lay there for a moment. */
static bool is_kept(int dir_fd, const struct dns_record *r, char *text)
{
	struct stat st;

	if (r->kept[0] == '\0' || r->is_in_place ||
	    fstatat(dir_fd, r->kept, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (!S_ISREG(st.st_mode))
		return true;
	ssize_t n = read_file(dir_fd, r->kept, text, DNS_RECORD_ORIGINAL_MAX);
	return n != (ssize_t)r->written_len ||
	       memcmp(text, r->written, (size_t)n) != 0;
}

/* Make the original again, from the record. */
static int remake(int dir_fd, const struct dns_record *r)
{
	(void)unlinkat(dir_fd, r->kept, 0);
	int result = r->original == DNS_ORIGINAL_LINK
			     ? (symlinkat(r->original_text, dir_fd, r->kept) < 0
					? -errno
					: 0)
			     : make_file(dir_fd, r->kept, r->original_text,
					 r->original_len, r->mode);

	if (result < 0)
		return result;
	/* Root's, as a rule; others' would take a capability. */
	(void)!fchownat(dir_fd, r->kept, r->uid, r->gid, AT_SYMLINK_NOFOLLOW);
	return renameat(dir_fd, r->kept, dir_fd, conf) < 0 ? -errno : 0;
}

static int put_back(int dir_fd, const struct dns_record *r, char *text)
{
	if (r->is_in_place)
		return write_in_place(dir_fd, r->original_text,
				      r->original_len);
	if (r->original == DNS_ORIGINAL_ABSENT)
		return unlinkat(dir_fd, conf, 0) < 0 ? -errno : 0;
	if (is_kept(dir_fd, r, text))
		return renameat(dir_fd, r->kept, dir_fd, conf) < 0 ? -errno : 0;
	return remake(dir_fd, r);
}

static int undo(struct dns_host *host, const struct dns_record *record,
		struct err *err)
{
	int dir_fd CLEANUP_FD = dns_way_open_etc(host);
	char *text = malloc(DNS_RECORD_ORIGINAL_MAX);
	int r = dir_fd < 0 ? dir_fd : !text ? -ENOMEM : 0;
	enum present present = PRESENT_OURS;

	if (r == 0) {
		int still_fd = hold_still(dir_fd);

		present = look(dir_fd, record, text);
		fd_close(&still_fd);
		if (present == PRESENT_OURS)
			r = put_back(dir_fd, record, text);
		if (record->kept[0] != '\0' && r == 0)
			(void)unlinkat(dir_fd, record->kept, 0);
		(void)sync_directory(dir_fd);
	}
	free(text);
	if (r < 0)
		return cannot(host, r, err);
	if (present == PRESENT_FOREIGN)
		return err_set(err, -ESTALE,
			       "%s/%s was changed by somebody else while the "
			       "tunnel was up, and is left as it is now",
			       host->etc, conf);
	return 0;
}

const struct dns_way dns_way_file = {
	.name = "resolv.conf",
	.set = set,
	.undo = undo,
	.is_ours = is_ours,
	.renew = renew,
};
