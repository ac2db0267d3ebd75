/* SPDX-License-Identifier: MIT */
/*
 * forwards: what -L and -R asked for, and what has become of it.
 *
 * ssh itself listens and carries; here it is only asked to.  As with ssh, one
 * that fails is told and the others go on.  Sockets that -L makes are left
 * behind by ssh; the starter removes them.
 */
#include "forwards.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

struct forwards {
	struct loop *loop;	 /* borrowed, as the next */
	struct starter *starter; /* which has the files */
	size_t n;
	struct mux_forward *requests; /* owned; NULL until asked */
	struct forward_status status[];
};

static char letter(const struct forward_status *s)
{
	return s->spec->kind == MUX_FORWARD_LOCAL ? 'L' : 'R';
}

static bool has_path_here(const struct forward_status *s)
{
	return s->spec->kind == MUX_FORWARD_LOCAL && s->spec->listen.is_path;
}

static void fail(struct forward_status *s, const struct err *why)
{
	s->state = FORWARD_FAILED;
	s->why = *why;
	log_warn("-%c %s does not work: %s", letter(s), s->spec->text,
		 why->text);
}

static void on_result(void *ctx, uint32_t request, uint16_t port,
		      const struct err *why)
{
	struct forwards *f = ctx;

	if (request >= f->n)
		return;
	struct forward_status *s = &f->status[request];
	if (why) {
		fail(s, why);
		return;
	}
	s->state = FORWARD_UP;
	s->port = port;
	if (has_path_here(s))
		starter_listener_note(f->starter, request);
	if (port)
		log_notice("-R %s listens on port %u there", s->spec->text,
			   port);
}

struct forwards *forwards_new(struct loop *loop, struct starter *starter,
			      const struct mux_forward_spec *specs, size_t n)
{
	struct forwards *f = calloc(1, sizeof(*f) + n * sizeof(f->status[0]));

	if (!f)
		return NULL;
	f->loop = loop;
	f->starter = starter;
	f->n = n;
	for (size_t i = 0; i < n; i++)
		f->status[i].spec = &specs[i];
	return f;
}

static void fail_all(struct forwards *f, int r)
{
	struct err why;

	(void)err_set(&why, r, "ssh's control socket cannot be used: %s",
		      strerror(-r));
	for (size_t i = 0; i < f->n; i++)
		fail(&f->status[i], &why);
}

void forwards_ask(struct forwards *f, uint32_t place)
{
	f->requests = mux_forward_free(f->requests);
	int r = starter_forward(f->starter, place);
	if (r >= 0) {
		f->requests = mux_forward_new(f->loop, r, on_result, f);
		r = f->requests ? 0 : -errno;
	}
	if (r < 0) {
		fail_all(f, r);
		return;
	}
	for (size_t i = 0; i < f->n; i++) {
		struct err why;

		f->status[i].state = FORWARD_ASKED;
		r = mux_forward_expect(f->requests, f->status[i].spec);
		if (r < 0) {
			(void)err_set(&why, r, "ssh cannot be asked: %s",
				      strerror(-r));
			fail(&f->status[i], &why);
		}
	}
}

size_t forwards_n(const struct forwards *f)
{
	return f->n;
}

const struct forward_status *forwards_status(const struct forwards *f, size_t i)
{
	return &f->status[i];
}

struct forwards *forwards_free(struct forwards *f)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (has_path_here(&f->status[i]))
			starter_listener_clear(f->starter, (uint32_t)i);
	if (f)
		f->requests = mux_forward_free(f->requests);
	free(f);
	return NULL;
}
