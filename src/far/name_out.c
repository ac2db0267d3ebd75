/* SPDX-License-Identifier: MIT */
/*
 * name_out: streams to a host by its name.
 *
 * Theory of operation
 *   The addresses of the name are tried one after the other, the next when one
 *   has failed or has not answered for a moment.  The first connection is
 *   tcp_out's from then on, the others are closed.  If all fail the last
 *   failure is told.
 *
 *   Policy is asked for each address: whose name it is may answer with any.
 *
 * Ownership: the table owns its members, which borrow their stream until it is
 * answered or reset.  Freed at once: nobody up the stack holds one.
 *
 * Spec: RFC 8305 sections 4 and 5
 */
#include "name_out.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "fd.h"
#include "lookup.h"
#include "policy.h"

struct name_out;

struct attempt {
	struct name_out *of; /* borrowed */
	struct loop_io io;   /* fd is owned, or -1 */
};

struct name_out {
	struct name_out_table *table; /* borrowed */
	struct list link;
	struct stream *stream; /* borrowed */
	struct frame_open open;
	struct lookup lookup;
	struct ip_addr addrs[LOOKUP_ADDRS_MAX];
	size_t n_addrs, n_tried, n_pending;
	struct attempt attempts[LOOKUP_ADDRS_MAX];
	struct timer stagger;
	struct frame_refused why; /* the last failure */
};

static void close_attempt(struct name_out *o, struct attempt *a)
{
	if (a->io.fd < 0)
		return;
	loop_io_del(o->table->tcp->loop, &a->io);
	fd_close(&a->io.fd);
	o->n_pending--;
}

static void free_name_out(struct name_out *o)
{
	lookup_stop(&o->lookup);
	timer_disarm(o->table->tcp->loop, &o->stagger);
	for (size_t i = 0; i < o->n_tried; i++)
		close_attempt(o, &o->attempts[i]);
	o->stream->owner = NULL;
	list_del(&o->link);
	o->table->n--;
	free(o);
}

static void refuse(struct name_out *o)
{
	struct stream *s = o->stream;
	struct frame_refused why = o->why;

	free_name_out(o);
	session_refuse(s, &why);
}

static void on_attempt(void *ctx, uint32_t events);

/* Begin with one address.  False, with o->why, if that is not possible. */
static bool try_addr(struct name_out *o, struct attempt *a,
		     const struct ip_addr *addr)
{
	int r;

	*a = (struct attempt){
		.of = o,
		.io = {.fd = -1, .on_event = on_attempt, .ctx = a},
	};
	if (!policy_allows(o->table->tcp->policy, addr)) {
		session_count_drop(o->stream->session, DROP_POLICY);
		o->why = (struct frame_refused){
			.reason = FRAME_REASON_PROHIBITED};
		return false;
	}
	o->open.dst.addr = *addr;
	r = tcp_out_dial(&o->open, &a->io.fd);
	if (r == 0)
		r = loop_io_add(o->table->tcp->loop, &a->io, EPOLLOUT);
	if (r == 0) {
		o->n_pending++;
		return true;
	}
	fd_close(&a->io.fd);
	o->why = (struct frame_refused){.reason = frame_reason_from_errno(-r)};
	return false;
}

/* Try the next address, or give up if there is none and none under way. */
static void try_next(struct name_out *o)
{
	while (o->n_tried < o->n_addrs) {
		size_t i = o->n_tried++;

		if (!try_addr(o, &o->attempts[i], &o->addrs[i]))
			continue;
		if (o->n_tried < o->n_addrs)
			timer_arm(o->table->tcp->loop, &o->stagger,
				  NAME_OUT_STAGGER_US);
		return;
	}
	if (o->n_pending == 0)
		refuse(o);
}

static void on_stagger(void *ctx)
{
	try_next(ctx);
}

static void on_attempt(void *ctx, uint32_t events)
{
	struct attempt *a = ctx;
	struct name_out *o = a->of;
	struct tcp_out_table *tcp = o->table->tcp;
	struct stream *s = o->stream;
	enum ip_version version = o->addrs[a - o->attempts].version;
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	(void)events;
	if (getsockopt(a->io.fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
		errnum = errno;
	if (errnum) {
		o->why = (struct frame_refused){
			.reason = frame_reason_from_errno(errnum)};
		tcp_out_add_icmp_detail(a->io.fd, &o->why);
		close_attempt(o, a);
		try_next(o);
		return;
	}
	loop_io_del(tcp->loop, &a->io);
	o->n_pending--;
	int fd = fd_take(&a->io.fd);
	free_name_out(o);
	tcp_out_adopt(tcp, s, version, fd);
}

static void on_looked_up(struct lookup *l, enum frame_reason reason)
{
	struct name_out *o = container_of(l, struct name_out, lookup);

	o->why.reason = reason;
	o->n_addrs = lookup_addrs(l, o->addrs);
	try_next(o);
}

static void on_reset(struct stream *s, enum frame_reason reason)
{
	(void)reason;
	if (s->owner)
		free_name_out(s->owner);
}

/* Until it is accepted nothing else can be told of a stream. */
static const struct stream_ops name_ops = {
	.on_reset = on_reset,
};

void name_out_on_open(struct name_out_table *t, struct stream *s,
		      const struct frame_open *open)
{
	struct frame_refused why = {.reason = FRAME_REASON_NO_RESOURCES};
	struct name_out *o = NULL;

	if (open->proto != IPPROTO_TCP)
		why.reason = FRAME_REASON_OTHER;
	else if (t->n < NAME_OUT_MAX)
		o = calloc(1, sizeof(*o));
	if (!o) {
		session_refuse(s, &why);
		return;
	}
	o->table = t;
	o->stream = s;
	o->open = *open;
	o->stagger = (struct timer){.on_fire = on_stagger, .ctx = o};
	o->lookup.on_done = on_looked_up;
	list_push(&t->live, &o->link);
	t->n++;
	s->owner = o;
	s->ops = &name_ops;
	lookup_start(&o->lookup, t->resolver, t->hosts_path, open->name);
}

void name_out_table_init(struct name_out_table *t, struct tcp_out_table *tcp,
			 struct resolver *resolver, const char *hosts_path)
{
	*t = (struct name_out_table){
		.tcp = tcp, .resolver = resolver, .hosts_path = hosts_path};
	list_init(&t->live);
}

void name_out_table_fini(struct name_out_table *t)
{
	struct list *link;

	while ((link = list_pop(&t->live)))
		free_name_out(container_of(link, struct name_out, link));
}
