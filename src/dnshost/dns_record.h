/* SPDX-License-Identifier: MIT */
/*
 * dns_record: how to undo what was done to this host's resolver, on disk.
 *
 * Each tunnel has one file, written and fsync'ed before anything is changed,
 * and locked (flock(2)) as long as the process lives that looks after it.  A
 * file that is not locked was left by one that was killed, or by a power cut.
 */
#ifndef ECSSH_DNS_RECORD_H
#define ECSSH_DNS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "brokermsg.h"
#include "err.h"
#include "resolv_text.h"

enum {
	DNS_RECORD_ORIGINAL_MAX = 64 * 1024,
	DNS_RECORD_KEPT_MAX = 40,
	DNS_RECORD_NAME_MAX = 32, /* of the record's own file */
};

enum dns_way_kind {
	DNS_WAY_RESOLVED = 1,
	DNS_WAY_RESOLVCONF = 2,
	DNS_WAY_FILE = 3,
	DNS_WAY__N,
};

enum dns_original {
	DNS_ORIGINAL_ABSENT,
	DNS_ORIGINAL_LINK,
	DNS_ORIGINAL_FILE,
	DNS_ORIGINAL__N,
};

struct dns_record_device {
	uint32_t ifindex;
	char name[BROKERMSG_NAME_MAX];
};

/* As it lies on disk, in host byte order. */
struct dns_record {
	char magic[8];
	uint32_t way; /* enum dns_way_kind */
	struct dns_record_device device;
	/* The rest: DNS_WAY_FILE. */
	uint32_t original;	 /* enum dns_original: what resolv.conf was */
	uint32_t is_in_place;	 /* it was written into, not replaced */
	uint32_t mode, uid, gid; /* DNS_ORIGINAL_FILE */
	uint32_t original_len, written_len;
	/* What it may lie under in /etc while ours has its place. */
	char kept[DNS_RECORD_KEPT_MAX];
	char original_text[DNS_RECORD_ORIGINAL_MAX]; /* or the link's target */
	char written[RESOLV_TEXT_MAX];
};

/* Where records are. */
struct dns_store {
	int dir_fd;  /* owned */
	int lock_fd; /* owned; one process at a time sets or undoes */
};

/* A record of this process. */
struct dns_record_entry {
	char file[DNS_RECORD_NAME_MAX]; /* "": none on disk */
	int fd;				/* owned; locked; -1: none */
};

/* True if the field can be the name of a tunnel device. */
bool dns_record_is_device(const char name[BROKERMSG_NAME_MAX]);

/* Zero a record and give it its magic. */
void dns_record_init(struct dns_record *record, enum dns_way_kind way,
		     uint32_t ifindex, const char *name);

/* True if len bytes are a record that can be relied upon not to lead astray. */
bool dns_record_is_valid(const struct dns_record *record, size_t len);

/*
 * Open the directory, made with mode 0700 if it is not there, and wait until no
 * other process has it.  Returns 0 or -errno with err; -EACCES: it is not ours
 * alone.  On success dns_store_close lets others in.
 */
int dns_store_open(struct dns_store *ret_store, const char *path,
		   struct err *err);
void dns_store_close(struct dns_store *store);

/* Have the record on disk for good, in place of what the entry had before.
 * Returns 0 or -errno with err. */
int dns_store_save(const struct dns_store *store,
		   struct dns_record_entry *entry,
		   const struct dns_record *record, struct err *err);

/* Remove it.  An entry without one is let be. */
void dns_store_remove(const struct dns_store *store,
		      struct dns_record_entry *entry);

/*
 * Call for each record: is_live if a process looks after it.  If it returns
 * true for one that is not, the record is removed.
 */
void dns_store_each(const struct dns_store *store,
		    bool (*on_record)(void *ctx,
				      const struct dns_record *record,
				      bool is_live),
		    void *ctx);

#endif
