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
	/* Of a connection: */
	struct endpoint local, remote;
	bool has_uid;
	uint32_t uid;
};

/* What a record's payload is.  The numbers are on disk. */
enum journal_kind {
	JOURNAL_RULE = 1,  /* struct journal_rule */
	JOURNAL_GUARD = 2, /* struct journal_link: rules for its addresses */
	JOURNAL_DNS = 3,   /* struct journal_link: rules for names */
};

/* A device that was there. */
struct journal_link {
	uint32_t ifindex;
	char name[16]; /* with a zero at the end */
};

struct journal_head {
	uint8_t boot_id[16]; /* what was the kernel's then has gone if it was
				another boot's */
	uint64_t netns;	     /* whose rules and routes */
};

struct journal_record {
	uint32_t kind; /* enum journal_kind, or one of a later version */
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

void journal_build_rule(const struct journal_rule *rule,
			uint8_t out[JOURNAL_PAYLOAD_BYTES]);

/* Returns 0, or -EBADMSG. */
int journal_parse_rule(const uint8_t payload[JOURNAL_PAYLOAD_BYTES],
		       struct journal_rule *ret);

void journal_build_link(const struct journal_link *link,
			uint8_t out[JOURNAL_PAYLOAD_BYTES]);

/* Returns 0, or -EBADMSG: it is no name of a device. */
int journal_parse_link(const uint8_t payload[JOURNAL_PAYLOAD_BYTES],
		       struct journal_link *ret);

#endif
