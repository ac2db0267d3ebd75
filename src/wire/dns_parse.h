/* SPDX-License-Identifier: MIT */
/*
 * dns_parse: messages of the DNS, checked as a whole before they are used.
 *
 * Spec: RFC 1035 section 4; RFC 6891 section 6; RFC 9460 section 2.2
 */
#ifndef ECSSH_DNS_PARSE_H
#define ECSSH_DNS_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

enum {
	DNS_HEADER_LEN = 12,
	DNS_NAME_MAX = 255, /* on the wire, the empty label included */
	DNS_LABEL_MAX = 63,
	DNS_MESSAGE_MAX = 65535,
	DNS_UDP_MIN = 512,	    /* what everybody takes by UDP */
	DNS_TTL_MAX_S = 0x7fffffff, /* more is none: RFC 2181 section 8 */
};

enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_SIG = 24,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_SVCB = 64,
	DNS_HTTPS = 65,
	DNS_TSIG = 250,
	DNS_ANY = 255,
};

enum { DNS_CLASS_IN = 1 };

enum dns_rcode {
	DNS_NO_ERROR = 0,
	DNS_FORMAT_ERROR = 1,
	DNS_SERVER_FAILURE = 2,
	DNS_NO_NAME = 3,
	DNS_NOT_IMPLEMENTED = 4,
	DNS_REFUSED = 5,
	DNS_BAD_VERSION = 16, /* RFC 6891: with the upper bits of OPT */
};

/* Bits of the header's second word. */
enum dns_flag {
	DNS_FLAG_QR = 0x8000, /* it is a response */
	DNS_FLAG_AA = 0x0400,
	DNS_FLAG_TC = 0x0200, /* cut off */
	DNS_FLAG_RD = 0x0100,
	DNS_FLAG_RA = 0x0080,
	DNS_FLAG_AD = 0x0020,
	DNS_FLAG_CD = 0x0010,
	DNS_FLAGS_OPCODE = 0x7800,
	DNS_FLAGS_RCODE = 0x000f,
};

enum dns_section {
	DNS_ANSWER,
	DNS_AUTHORITY,
	DNS_ADDITIONAL,
	DNS_SECTION__N,
};

/* A message that is sound.  Offsets are from its first byte. */
struct dns_msg {
	const uint8_t *bytes; /* borrowed */
	size_t end; /* behind the last record; more is no part of it */
	uint16_t id, flags;
	uint16_t rcode;	 /* with the upper bits that OPT has */
	size_t name_len; /* of the question's name, which is at DNS_HEADER_LEN
			    and not compressed */
	uint16_t type, class; /* of the question */
	uint16_t n[DNS_SECTION__N];
	/* OPT; 0 where there is none. */
	size_t opt_at;
	uint16_t n_before_opt; /* additional records before it */
	uint16_t edns_udp_bytes;
	uint8_t edns_version;
	bool edns_do;	/* the sender understands DNSSEC */
	bool is_signed; /* a record of a transaction's signature is there */
};

struct dns_record {
	enum dns_section section;
	size_t at; /* of its name */
	size_t ttl_at, data_at;
	uint16_t type, class, data_len;
	uint32_t ttl_s;
};

/* The place in a message that was parsed. */
struct dns_walk {
	const struct dns_msg *msg; /* borrowed */
	size_t at;
	unsigned section;
	uint16_t left; /* of this section */
};

/*
 * Check a message: exactly one question, whose name is not compressed; all
 * records that it says it has, with names that end and point backwards only; at
 * most one OPT, in its place.  What is in records is not looked at.  Returns 0,
 * or -EBADMSG.
 */
int dns_parse(const uint8_t *in, size_t len, struct dns_msg *ret);

/* All records of the message, in their order: false behind the last one. */
void dns_walk_begin(struct dns_walk *w, const struct dns_msg *msg);
bool dns_walk_next(struct dns_walk *w, struct dns_record *ret);

/*
 * Write the name at `at` without compression and in small letters.  Returns its
 * length, with *ret_end the offset behind it, or 0: it does not end, is too
 * long, or points elsewhere than backwards.  Either ret may be NULL.
 */
size_t dns_parse_name(const uint8_t *in, size_t len, size_t at,
		      uint8_t ret_name[DNS_NAME_MAX], size_t *ret_end);

/* The addresses that a record of type SVCB or HTTPS hints at, at most max;
 * returns how many.  Of one that is not sound, those before the fault. */
size_t dns_parse_hints(const struct dns_msg *msg, const struct dns_record *rec,
		       struct ip_addr *ret_addrs, size_t max);

/* Both messages ask the same, maybe in other letters. */
bool dns_parse_is_same_question(const struct dns_msg *a,
				const struct dns_msg *b);

/*
 * For how many seconds an answer may be kept: the least TTL of all its records;
 * where it says that there is nothing, also no longer than the zone wants that
 * to be believed (RFC 2308 section 5).  0: it must not be.
 */
uint32_t dns_parse_ttl_s(const struct dns_msg *answer);

#endif
