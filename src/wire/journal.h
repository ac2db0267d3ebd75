/* SPDX-License-Identifier: MIT */
/*
 * journal: what a broker changes of this host, so that it can be taken back.
 *
 * Only what outlives the tunnel's device is described here.  A journal on disk
 * is a head and up to JOURNAL_SLOTS records, all of one size, in host byte
 * order: it is read on the machine that wrote it.
 *
 * Spec: doc/PROTOCOL.broker section 11
 */
#ifndef ECSSH_JOURNAL_H
#define ECSSH_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "addr.h"
#include "brokermsg.h"
#include "err.h"
#include "port_range.h"

enum {
	JOURNAL_BLOCK_BYTES = 128, /* the head, and each record */
	JOURNAL_SLOTS = 64,
	JOURNAL_FILE_BYTES = (1 + JOURNAL_SLOTS) * JOURNAL_BLOCK_BYTES,
	JOURNAL_PAYLOAD_BYTES = 96,
	JOURNAL_VERSION = 1,
};

enum journal_rule_kind {
	JOURNAL_RULE_TUNNEL, /* everything looks up the tunnels' table */
	JOURNAL_RULE_EXEMPT, /* one connection looks up the main table */
	JOURNAL_RULE_MARK,   /* likewise packets with our mark */
	JOURNAL_RULE__N,
};

/* A rule of policy routing.  What is 0 says nothing. */
struct journal_rule {
	enum journal_rule_kind kind;
	uint8_t version; /* enum ip_version */
	uint32_t priority;
	/* Of a connection, or of those that are to come: */
	struct ip_addr local;
	struct port_range from; /* of local */
	struct endpoint remote;
	bool has_uid;
	uint32_t uid;
};

enum journal_change_kind {
	CHANGE_RULE = 1, /* these are on disk, the numbers, too: */
	CHANGE_GUARD = 2,
	CHANGE_DNS = 3, /* rules, so that names are asked for in the tunnel */
	CHANGE_NAMES,	/* the resolver; ecssh-dns has it on disk */
	CHANGE_FORWARD,
	CHANGE_LINK, /* these go with the device: */
	CHANGE_ADDR,
	CHANGE_ROUTE,
	CHANGE__N,
};

/* A device. */
struct journal_link {
	uint32_t ifindex;
	char name[16]; /* with a zero at the end */
};

/* What a device's guard is made of. */
struct journal_guard {
	uint32_t flags; /* enum brokermsg_guard_flag */
	uint32_t n_addrs;
	struct ip_addr addrs[BROKERMSG_ADDRS_MAX]; /* of the device */
};

/* What a broker changes, and undoes.  On disk is what undoing it takes. */
struct journal_change {
	enum journal_change_kind kind;
	struct journal_link link; /* for whose sake; of RULE not on disk */
	union {
		struct subnet net;	    /* ADDR: a host; ROUTE */
		struct journal_rule rule;   /* RULE */
		struct journal_guard guard; /* GUARD; not on disk */
	};
};

struct journal_head {
	uint8_t boot_id[16]; /* what was the kernel's then has gone if it was
				another boot's */
	uint64_t netns;	     /* whose rules and routes */
};

struct journal_record {
	uint32_t kind; /* enum journal_change_kind, or of a later version */
	uint32_t seq;  /* grows; the greatest is the newest */
	uint8_t payload[JOURNAL_PAYLOAD_BYTES];
};

void journal_build_head(const struct journal_head *head,
			uint8_t out[JOURNAL_BLOCK_BYTES]);

/* Returns 0, or -EBADMSG: it is no head of this version. */
int journal_parse_head(const uint8_t block[JOURNAL_BLOCK_BYTES],
		       struct journal_head *ret);

/* A record that is struck out is zeros. */
void journal_build(const struct journal_record *record,
		   uint8_t out[JOURNAL_BLOCK_BYTES]);

/* Returns 0; -ENOENT: struck out, or never written; -EBADMSG: damaged, as by a
 * loss of power: what it was to say was not done yet. */
int journal_parse(const uint8_t block[JOURNAL_BLOCK_BYTES],
		  struct journal_record *ret);

/* Write down a change.  Returns false if it is none that is on disk. */
bool journal_build_change(const struct journal_change *change,
			  struct journal_record *ret);

/* Returns 0, or -EBADMSG: it is no change that we know. */
int journal_parse_change(const struct journal_record *record,
			 struct journal_change *ret);

/* But for the priority. */
bool journal_rule_equal(const struct journal_rule *a,
			const struct journal_rule *b);

/* Say what was taken back.  Returns 0. */
int journal_tell(const struct journal_change *change, struct err *said);

/* Read /proc/sys/kernel/random/boot_id, with or without its end.  What is no
 * digit is passed over. */
void journal_parse_boot_id(const char *text, uint8_t ret[16]);

#endif
