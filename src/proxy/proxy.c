/* SPDX-License-Identifier: MIT */
/*
 * proxy: doors of a tunnel, by which programs get into its session without the
 * TUN.
 *
 * Ownership: the proxy owns doors, connections and what is known of names; a
 * connection borrows its door, which lives as long as the proxy, and its stream
 * until that is over.  Connections are freed at the end of the turn.
 */
#include "proxy.h"

#include <errno.h>
#include <stdlib.h>

#include "door_udp.h"
#include "proxy_internal.h"

static void on_bury(void *ctx)
{
	struct proxy *p = ctx;
	struct list *link;

	while ((link = list_pop(&p->dead)))
		door_conn_free(door_conn_of(link));
}

struct proxy *proxy_new(struct loop *loop)
{
	struct proxy *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->loop = loop;
	p->next_assoc_id = PROXY_ID_FIRST;
	list_init(&p->doors);
	list_init(&p->conns);
	list_init(&p->dead);
	p->bury = (struct loop_task){.on_run = on_bury, .ctx = p};
	list_init(&p->bury.link);
	names_init(&p->names, loop);
	return p;
}

struct proxy *proxy_free(struct proxy *p)
{
	if (!p)
		return NULL;
	while (!list_is_empty(&p->conns))
		door_conn_abort(door_conn_of(p->conns.next));
	loop_unpost(&p->bury);
	on_bury(p);
	while (!list_is_empty(&p->doors))
		(void)door_free(container_of(p->doors.next, struct door, link));
	names_fini(&p->names);
	htab_fini(&p->assocs);
	free(p);
	return NULL;
}

int proxy_open_door(struct proxy *p, const struct door_options *options,
		    struct err *err)
{
	struct door *d;
	size_t n = 0;

	list_for_each (link, &p->doors)
		n++;
	if (n == PROXY_DOORS_MAX)
		return err_set(err, -E2BIG, "more than %d doors",
			       PROXY_DOORS_MAX);
	int r = door_new(p, options, &d, err);

	if (r == 0)
		list_push(&p->doors, &d->link);
	return r;
}

void proxy_session_up(struct proxy *p, struct session *s,
		      uint32_t far_capabilities)
{
	p->session = s;
	p->capabilities = far_capabilities;
	names_set_session(&p->names, s, far_capabilities);
}

void proxy_session_down(struct proxy *p)
{
	list_for_each_safe (link, &p->conns)
		door_conn_on_down(door_conn_of(link));
	names_set_session(&p->names, NULL, 0);
	p->session = NULL;
	p->capabilities = 0;
}

/* ---- callbacks of the session ---- */

void proxy_on_dgram(struct proxy *p, uint32_t id, const struct frame_dgram *d)
{
	struct door_leg *l = door_udp_find(p, id);

	if (l)
		door_udp_on_dgram(l, d);
	else if (p->session) /* else the helper is early, and lies */
		session_count_drop(p->session, DROP_STALE_FRAME);
}

void proxy_on_icmp_error(struct proxy *p, uint32_t id,
			 const struct frame_icmp_error *e)
{
	/* SOCKS has no way to tell. */
	(void)p;
	(void)id;
	(void)e;
}

void proxy_on_assoc_close(struct proxy *p, uint32_t id,
			  enum frame_reason reason)
{
	struct door_leg *l = door_udp_find(p, id);

	(void)reason; /* the next datagram begins another one */
	if (l)
		door_udp_on_close(l);
}

void proxy_on_resolved(struct proxy *p, uint32_t id, enum frame_reason status,
		       const uint8_t *answer, size_t len)
{
	names_on_resolved(&p->names, id, status, answer, len);
}

/* ---- status ---- */

size_t proxy_doors(const struct proxy *p, struct door_status *ret, size_t max)
{
	size_t n = 0;

	list_for_each (link, &p->doors) {
		const struct door *d = container_of(link, struct door, link);

		if (n++ >= max)
			continue;
		ret[n - 1] = (struct door_status){
			.conns = d->conns,
			.assocs = d->assocs,
			.accepted = d->accepted,
			.opened = d->opened,
			.refused = d->refused,
			.is_paused = d->is_full || timer_is_armed(&d->pause),
		};
		door_format(d, ret[n - 1].listen, sizeof(ret[n - 1].listen));
	}
	return n;
}
