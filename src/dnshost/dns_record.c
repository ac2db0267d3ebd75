/* SPDX-License-Identifier: MIT */
/* dns_record: how to undo what was done to this host's resolver, on disk. */
#include "dns_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"

static const char magic[8] = "ECDNS\0\0\1";
static const char prefix[] = "dns-";
static const char lock_file[] = "dns.lock";

void dns_record_init(struct dns_record *record, enum dns_way_kind way,
		     uint32_t ifindex, const char *name)
{
	memset(record, 0, sizeof(*record));
	memcpy(record->magic, magic, sizeof(magic));
	record->way = way;
	record->device.ifindex = ifindex;
	(void)snprintf(record->device.name, sizeof(record->device.name), "%s",
		       name);
}

static bool is_string(const char *field, size_t cap)
{
	return strnlen(field, cap) < cap;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

bool dns_record_is_device(const char name[BROKERMSG_NAME_MAX])
{
	size_t len = strnlen(name, BROKERMSG_NAME_MAX);

	if (len == 0 || len == BROKERMSG_NAME_MAX || !is_alnum(name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(name[i]) && !strchr("_.-", name[i]))
			return false;
	return true;
}

/* A name in /etc that we could have made. */
static bool is_file_name(const char *name)
{
	return name[0] == '\0' ||
	       (strncmp(name, ".resolv.conf.", 13) == 0 && !strchr(name, '/'));
}

bool dns_record_is_valid(const struct dns_record *r, size_t len)
{
	return len == sizeof(*r) &&
	       memcmp(r->magic, magic, sizeof(magic)) == 0 && r->way > 0 &&
	       r->way < DNS_WAY__N && dns_record_is_device(r->device.name) &&
	       r->original < DNS_ORIGINAL__N &&
	       r->original_len < sizeof(r->original_text) &&
	       r->written_len <= sizeof(r->written) &&
	       is_string(r->kept, sizeof(r->kept)) && is_file_name(r->kept) &&
	       (r->original != DNS_ORIGINAL_LINK ||
		strnlen(r->original_text, sizeof(r->original_text)) ==
			r->original_len);
}

/* Nobody else may plant a record. */
static int check_owner(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot look at %s: %s", path,
			       strerror(errno));
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return err_set(err, -EACCES,
			       "%s can be written by others: it has to belong "
			       "to root alone",
			       path);
	return 0;
}

int dns_store_open(struct dns_store *ret_store, const char *path,
		   struct err *err)
{
	struct dns_store store = {.dir_fd = -1, .lock_fd = -1};

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno,
			       "cannot make %s, where changes are recorded: %s",
			       path, strerror(errno));
	store.dir_fd = open(path, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (store.dir_fd < 0)
		return err_set(err, -errno, "cannot open %s: %s", path,
			       strerror(errno));
	int r = check_owner(store.dir_fd, path, err);
	if (r == 0) {
		store.lock_fd =
			openat(store.dir_fd, lock_file,
			       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (store.lock_fd < 0 || flock(store.lock_fd, LOCK_EX) < 0)
			r = err_set(err, -errno, "cannot lock %s/%s: %s", path,
				    lock_file, strerror(errno));
	}
	if (r < 0) {
		dns_store_close(&store);
		return r;
	}
	*ret_store = store;
	return 0;
}

void dns_store_close(struct dns_store *store)
{
	fd_close(&store->lock_fd);
	fd_close(&store->dir_fd);
}

/* A name that no other record has. */
static int make_name(char out[DNS_RECORD_NAME_MAX])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return -errno;
	(void)snprintf(out, DNS_RECORD_NAME_MAX, "%s%016llx", prefix,
		       (unsigned long long)number);
	return 0;
}

/* Write it all to a new file that is locked.  Returns its descriptor, or
 * -errno. */
static int write_new(int dir_fd, const char *file,
		     const struct dns_record *record)
{
	int fd CLEANUP_FD = openat(
		dir_fd, file,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	int r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	if (r == 0)
		r = fd_write_all(fd, record, sizeof(*record));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir_fd, file, 0);
		return r;
	}
	return fd_take(&fd);
}

int dns_store_save(const struct dns_store *store,
		   struct dns_record_entry *entry,
		   const struct dns_record *record, struct err *err)
{
	char file[DNS_RECORD_NAME_MAX];
	int r = make_name(file);
	int fd = r < 0 ? r : write_new(store->dir_fd, file, record);

	if (fd >= 0 && fsync(store->dir_fd) < 0) {
		r = -errno;
		fd_close(&fd);
		(void)unlinkat(store->dir_fd, file, 0);
		fd = r;
	}
	if (fd < 0)
		return err_set(err, fd,
			       "cannot record how to undo the change of the "
			       "resolver: %s",
			       strerror(-fd));
	/* The older one of this entry, if any, says less. */
	dns_store_remove(store, entry);
	memcpy(entry->file, file, sizeof(file));
	entry->fd = fd;
	return 0;
}

void dns_store_remove(const struct dns_store *store,
		      struct dns_record_entry *entry)
{
	if (entry->file[0] != '\0') {
		(void)unlinkat(store->dir_fd, entry->file, 0);
		(void)fsync(store->dir_fd);
	}
	entry->file[0] = '\0';
	fd_close(&entry->fd);
}

/* Show one file, and remove it if it is to go. */
static void show(const struct dns_store *store, const char *file,
		 struct dns_record *record,
		 bool (*on_record)(void *ctx, const struct dns_record *record,
				   bool is_live),
		 void *ctx)
{
	int fd CLEANUP_FD =
		openat(store->dir_fd, file,
		       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	bool is_live = flock(fd, LOCK_EX | LOCK_NB) < 0;
	ssize_t n = pread(fd, record, sizeof(*record), 0);
	bool is_valid = st.st_size == (off_t)sizeof(*record) && n >= 0 &&
			dns_record_is_valid(record, (size_t)n);

	/* One that was not finished was followed by no change. */
	if (is_valid ? on_record(ctx, record, is_live) : !is_live)
		(void)unlinkat(store->dir_fd, file, 0);
}

void dns_store_each(const struct dns_store *store,
		    bool (*on_record)(void *ctx,
				      const struct dns_record *record,
				      bool is_live),
		    void *ctx)
{
	struct dns_record *record = malloc(sizeof(*record));
	int fd = openat(store->dir_fd, ".", O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (record && dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, prefix, sizeof(prefix) - 1) == 0)
			show(store, entry->d_name, record, on_record, ctx);
	if (dir)
		(void)closedir(dir);
	else
		fd_close(&fd);
	free(record);
	(void)fsync(store->dir_fd);
}
