/* SPDX-License-Identifier: MIT */
/*
 * mate: a program beside the broker's that does what a broker had better not
 * have in itself; its child, with a socket to it as descriptor 0.
 */
#ifndef ECSSH_MATE_H
#define ECSSH_MATE_H

#include <stddef.h>

#include "brokermsg.h"
#include "err.h"

/* Less than the engine waits for us, so that it hears why. */
enum { MATE_TIMEOUT_S = 9 };

struct mate {
	const char *name; /* borrowed */
	int program_fd;	  /* owned; -1: it cannot be started */
	int sock;	  /* owned; -1: it does not run, because: */
	int why_not;	  /* negative errno */
	struct err why;
};

/*
 * Find the program, as root and before root is given up.  -EPERM: root has not
 * started us; -ENOENT: there is none.  *ret is for mate_fini in any case, which
 * accepts one whose descriptors are -1.
 */
void mate_init(struct mate *ret, const char *name);
void mate_fini(struct mate *m);

/* Start it, with our privileges of this moment, or let it end.  That it does
 * not run is told to who asks it; its socket is at its end as soon as it is. */
void mate_start(struct mate *m);
void mate_stop(struct mate *m);

/* Returns the errno, with err, for which it does not run. */
int mate_why_not(const struct mate *m, struct err *err);

/* Ask it.  Returns 0 or -errno with err, that of the reply included.  One that
 * does not answer is let go. */
int mate_ask(struct mate *m, const void *request, size_t len,
	     struct brokermsg_reply *ret_reply, struct err *err);

#endif
