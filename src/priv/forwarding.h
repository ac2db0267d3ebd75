/* SPDX-License-Identifier: MIT */
/*
 * forwarding: the host's settings that make it a router, on and back.
 *
 * Several brokers may share one host: all of them name in their tables (nft.h)
 * that forwarding is on for their sake, and the last one switches it off.
 */
#ifndef ECSSH_FORWARDING_H
#define ECSSH_FORWARDING_H

#include "broker.h"
#include "err.h"

enum {
	BROKER_IFS_MAX = 512, /* devices whose settings are remembered */
};

/* What a device had before forwarding was switched on for all of them. */
enum broker_if_flag {
	BROKER_IF_FORWARDS_4 = 1 << 0,
	BROKER_IF_FORWARDS_6 = 1 << 1,
	BROKER_IF_ACCEPTS_RA = 1 << 2,
};

/* All that is needed to undo a FORWARD. */
struct broker_forward {
	char name[BROKERMSG_NAME_MAX]; /* of the device */
	uint8_t switched;	       /* enum broker_family: on, by us */
	char accept_redirects4;	       /* the digit that was there */
	uint32_t n_ifs;
	struct {
		char name[BROKERMSG_NAME_MAX];
		uint8_t flags; /* enum broker_if_flag */
	} ifs[BROKER_IFS_MAX];
};

/*
 * Keep other brokers from changing anything, for a while at most, since any
 * user of this host might do the same.  Returns a descriptor whose closing ends
 * that, or -1.
 */
int forwarding_lock(void);

/*
 * Find out what forwarding for `families` (enum broker_family) needs, and what
 * is there now.  Fills the plan but its name.  Returns 0 or -errno with err.
 */
int forwarding_plan(uint8_t families, struct broker_forward *plan,
		    struct err *err);

/* Switch on what the plan says.  Returns 0 or -errno with err. */
int forwarding_on(const struct broker_forward *plan, struct err *err);

/* Put back what was there, where nobody has changed it since, and no other
 * device of ours needs it.  Returns 0 or -errno with err. */
int forwarding_off(const struct broker_forward *plan, struct err *err);

#endif
