/* SPDX-License-Identifier: MIT */
/* name_out: streams to a host by its name. */
#ifndef ECSSH_NAME_OUT_H
#define ECSSH_NAME_OUT_H

#include "resolver.h"
#include "session.h"
#include "tcp_out.h"

enum {
	/* Until the next address is tried as well: RFC 8305 section 8. */
	NAME_OUT_STAGGER_US = 250000,
	NAME_OUT_MAX = 1024, /* streams whose name or address is being tried */
};

/* Storage is the caller's. */
struct name_out_table {
	struct tcp_out_table *tcp; /* borrowed */
	struct resolver *resolver; /* borrowed */
	const char *hosts_path;	   /* borrowed */
	struct list live;	   /* struct name_out */
	unsigned n;
};

void name_out_table_init(struct name_out_table *t, struct tcp_out_table *tcp,
			 struct resolver *resolver, const char *hosts_path);
void name_out_table_fini(struct name_out_table *t);

/* Callback of the session, for open->name: find an address that answers, and
 * answer ourselves. */
void name_out_on_open(struct name_out_table *t, struct stream *s,
		      const struct frame_open *open);

#endif
