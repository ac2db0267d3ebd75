/* SPDX-License-Identifier: MIT */
/* pkt_edit: what a router changes in a packet, and reads of an ICMP error. */
#ifndef ECSSH_PKT_EDIT_H
#define ECSSH_PKT_EDIT_H

#include "pkt.h"

/* Take one off the TTL or hop limit, which is not 0, of the packet at ip, one
 * that has been parsed.  The IPv4 checksum stays right. */
void pkt_edit_take_hop(uint8_t *ip);

/*
 * Tell the receiver that the packet at ip, one that has been parsed, has met
 * congestion (CE).  The IPv4 checksum stays right.  Returns false, and changes
 * nothing, if its sender does not understand that.
 */
bool pkt_edit_mark_ce(uint8_t *ip);

/* The same of a traffic class. */
bool pkt_edit_mark_ce_tos(uint8_t *tos);

/* The packet that an ICMP error is about, as far as it can be told. */
struct pkt_quote {
	struct ip_addr src, dst;
	uint8_t proto;
	bool has_ports;		     /* the two numbers are known */
	uint16_t src_port, dst_port; /* TCP, UDP */
	bool has_echo;		     /* the id is known */
	uint16_t echo_id;
};

/*
 * Read the quote of p, which is an ICMP message of its version.  Returns false
 * if that is none of the errors that may be passed on (icmp_error_is_valid), or
 * quotes nothing that can be understood.
 */
bool pkt_edit_parse_quote(const struct pkt *p, struct pkt_quote *ret);

#endif
