/* SPDX-License-Identifier: MIT */
/* kill: kill switches of this host, their rules and the notes about them. */
#ifndef ECSSH_KILL_H
#define ECSSH_KILL_H

#include <stdint.h>

#include "brokermsg_read.h"
#include "err.h"

struct kill_place {
	int dir_fd;	/* owned: of the notes; -1: there is none, because: */
	int why_not;	/* a negative errno */
	uint64_t netns; /* inode of the network namespace */
	uint32_t asks_uid; /* for whom */
};

/* Find the directory of the notes.  Failing is told later, to who asks for a
 * kill switch. */
void kill_open(struct kill_place *ret_place, uint32_t asks_uid);

/* Accepts one that was never opened, if its descriptor is -1. */
void kill_close(struct kill_place *place);

/*
 * Put a kill switch in force, or replace one, by one transaction; the note is
 * there before.  Returns 0 or -errno with err: -EBUSY: another tunnel's is in
 * force; -EPERM: this one is another user's.
 */
int kill_on(const struct kill_place *place, const struct brokermsg_kill *kill,
	    struct err *err);

/* Lift it, whether or not it is in force.  Returns 0 or -errno with err. */
int kill_off(const struct kill_place *place, const char *name, struct err *err);

/*
 * Have its note say since when it is known that somebody else has taken its
 * rules away, or that they are there.  Returns 0; -ENOENT: there is no note; or
 * -errno, with err.
 */
int kill_look(const struct kill_place *place, const char *name,
	      struct err *err);

#endif
