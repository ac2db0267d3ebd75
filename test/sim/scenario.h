/* SPDX-License-Identifier: MIT */
/* scenario: what the tests over the simulation share. */
#ifndef ECSSH_SIM_SCENARIO_H
#define ECSSH_SIM_SCENARIO_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim.h"

#define SECOND UINT64_C(1000000)

/* Nothing that a host could not forgive has happened. */
static inline void assert_no_violation(const struct sim *s)
{
	if (s->violation[0])
		fail_msg("%s (after %.6f s)", s->violation,
			 (double)sim_now_us(s) / 1e6);
}

/* Say who is not over, and where its connection hangs. */
static inline void print_unfinished(struct sim *s)
{
	list_for_each (link, &s->apps) {
		struct app_tcp *a = container_of(link, struct app_tcp, link);
		const struct flow *f = sim_flow(s, a);

		if (app_tcp_is_over(a))
			continue;
		print_message("# port %u to %u: state %d, sent %llu of %llu, "
			      "received %llu; endpoint %s\n",
			      a->config.near.port, a->config.far.port,
			      (int)a->state, (unsigned long long)a->una_offset,
			      (unsigned long long)a->config.send_total,
			      (unsigned long long)a->received,
			      f ? tcp_probe(f).state : "gone");
	}
}

/* Run until every application is over; fail if that takes longer. */
static inline void run_to_end(struct sim *s, uint64_t most_us)
{
	bool is_done = sim_run(s, sim_apps_are_over, most_us);

	assert_no_violation(s);
	if (!is_done)
		print_unfinished(s);
	assert_true(is_done);
}

/* Run for so long. */
static inline void run_for(struct sim *s, uint64_t us)
{
	(void)sim_run(s, NULL, us);
	assert_no_violation(s);
}

/* When all is over nothing must be left: no flow, no stream. */
static inline void assert_nothing_left(struct sim *s)
{
	run_for(s, 10 * SECOND);
	assert_int_equal(flowplane_stats(s->plane)->tcp_flows, 0);
	assert_int_equal(session_stats(s->far.session)->streams, 0);
	assert_int_equal(session_stats(flowplane_session(s->plane))->streams,
			 0);
	assert_int_equal(sim_ring_bytes(s), 0);
}

/* Both ends got all that the other one sent, in order, to the end. */
static inline void assert_complete(struct sim *s, const struct app_tcp *a)
{
	const struct sim_far_stream *fs =
		sim_far_find(&s->far, a->config.near.port);

	assert_int_equal(a->outcome, APP_FINISHED);
	assert_non_null(fs);
	assert_int_equal(fs->received, a->config.send_total);
	assert_true(fs->has_eof);
	assert_true(fs->is_closed);
	assert_int_equal(a->received, fs->rule.is_echo ? a->config.send_total
						       : fs->rule.send_total);
	assert_true(a->got_eof);
}

#endif
