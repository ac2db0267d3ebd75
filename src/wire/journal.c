/* SPDX-License-Identifier: MIT */
/* journal: see journal.h. */
#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

static const char head_magic[8] = "ecsshjnl";
static const char record_magic[4] = "ecjr";

struct head_block {
	char magic[8];	     /* 0 */
	uint32_t version;    /* 8 */
	uint32_t zero;	     /* 12 */
	uint64_t netns;	     /* 16 */
	uint8_t boot_id[16]; /* 24 */
	uint8_t zeros[84];   /* 40 */
	uint32_t crc;	     /* 124: of all before */
};

struct record_block {
	char magic[4];				/* 0 */
	uint32_t kind;				/* 4 */
	uint32_t seq;				/* 8 */
	uint8_t payload[JOURNAL_PAYLOAD_BYTES]; /* 12 */
	uint8_t zeros[16];			/* 108 */
	uint32_t crc;				/* 124 */
};

struct rule_payload {
	uint8_t kind;	      /* 0: enum journal_rule_kind */
	uint8_t version;      /* 1: enum ip_version */
	uint8_t has_local;    /* 2 */
	uint8_t has_uid;      /* 3 */
	uint32_t priority;    /* 4 */
	uint32_t uid;	      /* 8 */
	uint16_t first_port;  /* 12: of local */
	uint16_t remote_port; /* 14 */
	uint8_t local[16];    /* 16 */
	uint8_t remote[16];   /* 32: zeros but for EXEMPT */
	uint16_t last_port;   /* 48 */
	uint8_t zeros[46];    /* 50 */
};

static_assert(sizeof(struct head_block) == JOURNAL_BLOCK_BYTES, "");
static_assert(sizeof(struct record_block) == JOURNAL_BLOCK_BYTES, "");
static_assert(sizeof(struct rule_payload) == JOURNAL_PAYLOAD_BYTES, "");
static_assert(offsetof(struct head_block, crc) ==
		      offsetof(struct record_block, crc),
	      "");

/* CRC-32 of IEEE 802.3, of a block without its last field. */
static uint32_t crc_of(const void *block)
{
	const uint8_t *p = block;
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < offsetof(struct head_block, crc); i++) {
		crc ^= p[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

void journal_build_head(const struct journal_head *head,
			uint8_t out[JOURNAL_BLOCK_BYTES])
{
	struct head_block b = {.version = JOURNAL_VERSION,
			       .netns = head->netns};

	memcpy(b.magic, head_magic, sizeof(b.magic));
	memcpy(b.boot_id, head->boot_id, sizeof(b.boot_id));
	b.crc = crc_of(&b);
	memcpy(out, &b, sizeof(b));
}

int journal_parse_head(const uint8_t block[JOURNAL_BLOCK_BYTES],
		       struct journal_head *ret)
{
	struct head_block b;

	memcpy(&b, block, sizeof(b));
	if (memcmp(b.magic, head_magic, sizeof(b.magic)) != 0 ||
	    b.version != JOURNAL_VERSION || b.crc != crc_of(&b))
		return -EBADMSG;
	ret->netns = b.netns;
	memcpy(ret->boot_id, b.boot_id, sizeof(b.boot_id));
	return 0;
}

void journal_build(const struct journal_record *record,
		   uint8_t out[JOURNAL_BLOCK_BYTES])
{
	struct record_block b = {.kind = record->kind, .seq = record->seq};

	memcpy(b.magic, record_magic, sizeof(b.magic));
	memcpy(b.payload, record->payload, sizeof(b.payload));
	b.crc = crc_of(&b);
	memcpy(out, &b, sizeof(b));
}

int journal_parse(const uint8_t block[JOURNAL_BLOCK_BYTES],
		  struct journal_record *ret)
{
	static const uint8_t none[JOURNAL_BLOCK_BYTES];
	struct record_block b;

	if (memcmp(block, none, sizeof(none)) == 0)
		return -ENOENT;
	memcpy(&b, block, sizeof(b));
	if (memcmp(b.magic, record_magic, sizeof(b.magic)) != 0 ||
	    b.crc != crc_of(&b))
		return -EBADMSG;
	ret->kind = b.kind;
	ret->seq = b.seq;
	memcpy(ret->payload, b.payload, sizeof(b.payload));
	return 0;
}

static void build_rule(const struct journal_rule *rule,
		       uint8_t out[JOURNAL_PAYLOAD_BYTES])
{
	struct rule_payload p = {
		.kind = (uint8_t)rule->kind,
		.version = rule->version,
		.has_local = rule->local.version != 0,
		.has_uid = rule->has_uid,
		.priority = rule->priority,
		.uid = rule->uid,
		.first_port = rule->from.first,
		.remote_port = rule->remote.port,
		.last_port = rule->from.last,
	};

	memcpy(p.local, rule->local.bytes, sizeof(p.local));
	memcpy(p.remote, rule->remote.addr.bytes, sizeof(p.remote));
	memcpy(out, &p, sizeof(p));
}

static int parse_rule(const uint8_t payload[JOURNAL_PAYLOAD_BYTES],
		      struct journal_rule *ret)
{
	struct rule_payload p;

	memcpy(&p, payload, sizeof(p));
	struct port_range from = {p.first_port, p.last_port};
	if (p.kind >= JOURNAL_RULE__N ||
	    (p.version != IPV4 && p.version != IPV6) || p.has_local > 1 ||
	    p.has_uid > 1 || !port_range_is_sound(&from))
		return -EBADMSG;
	*ret = (struct journal_rule){
		.kind = (enum journal_rule_kind)p.kind,
		.version = p.version,
		.priority = p.priority,
		.has_uid = p.has_uid,
		.uid = p.uid,
		.from = from,
		.remote.port = p.remote_port,
	};
	if (p.has_local)
		ret->local = addr_make((enum ip_version)p.version, p.local);
	if (p.kind == JOURNAL_RULE_EXEMPT)
		ret->remote.addr =
			addr_make((enum ip_version)p.version, p.remote);
	return 0;
}

static void build_link(const struct journal_link *link,
		       uint8_t out[JOURNAL_PAYLOAD_BYTES])
{
	memcpy(out, &link->ifindex, sizeof(link->ifindex));
	memcpy(out + sizeof(link->ifindex), link->name, sizeof(link->name));
}

static int parse_link(const uint8_t payload[JOURNAL_PAYLOAD_BYTES],
		      struct journal_link *ret)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";
	struct journal_link link;

	memcpy(&link.ifindex, payload, sizeof(link.ifindex));
	memcpy(link.name, payload + sizeof(link.ifindex), sizeof(link.name));
	if (link.name[0] == '\0' ||
	    !memchr(link.name, '\0', sizeof(link.name)) ||
	    link.name[strspn(link.name, allowed)] != '\0')
		return -EBADMSG;
	*ret = link;
	return 0;
}

bool journal_build_change(const struct journal_change *change,
			  struct journal_record *ret)
{
	*ret = (struct journal_record){.kind = change->kind};
	if (change->kind == CHANGE_RULE)
		build_rule(&change->rule, ret->payload);
	else
		build_link(&change->link, ret->payload);
	return change->kind <= CHANGE_DNS;
}

int journal_parse_change(const struct journal_record *record,
			 struct journal_change *ret)
{
	struct journal_change change = {0};
	int r = -EBADMSG;

	if (record->kind == CHANGE_RULE)
		r = parse_rule(record->payload, &change.rule);
	else if (record->kind == CHANGE_GUARD || record->kind == CHANGE_DNS)
		r = parse_link(record->payload, &change.link);
	if (r < 0)
		return r;
	change.kind = (enum journal_change_kind)record->kind;
	*ret = change;
	return 0;
}

bool journal_rule_equal(const struct journal_rule *a,
			const struct journal_rule *b)
{
	return a->kind == b->kind && a->version == b->version &&
	       a->has_uid == b->has_uid && a->uid == b->uid &&
	       addr_equal(&a->local, &b->local) &&
	       port_range_equal(&a->from, &b->from) &&
	       endpoint_equal(&a->remote, &b->remote);
}

int journal_tell(const struct journal_change *change, struct err *said)
{
	const struct journal_rule *rule = &change->rule;
	char to[ENDPOINT_TEXT_MAX];

	if (change->kind != CHANGE_RULE)
		return err_set(said, 0, "nftables rules for %s of %s",
			       change->kind == CHANGE_GUARD ? "the addresses"
							    : "names",
			       change->link.name);
	if (rule->kind == JOURNAL_RULE_EXEMPT)
		return err_set(said, 0,
			       "rule %u of IPv%u, past the tunnels to %s",
			       rule->priority, rule->version,
			       endpoint_format(&rule->remote, to));
	return err_set(said, 0, "rule %u of IPv%u, %s the tunnels",
		       rule->priority, rule->version,
		       rule->kind == JOURNAL_RULE_TUNNEL ? "into" : "past");
}

/* Returns -1 for what is no digit. */
static int digit_of(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

void journal_parse_boot_id(const char *text, uint8_t ret[16])
{
	memset(ret, 0, 16);
	for (size_t n = 0; *text && n < 32; text++) {
		int digit = digit_of(*text);

		if (digit < 0)
			continue;
		ret[n / 2] = (uint8_t)(ret[n / 2] << 4 | digit);
		n++;
	}
}
