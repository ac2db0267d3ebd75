/* SPDX-License-Identifier: MIT */
/* tcp_probe: a look inside a TCP endpoint, and what must hold there between
 * turns. */
#ifndef ECSSH_SIM_TCP_PROBE_H
#define ECSSH_SIM_TCP_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow;

struct tcp_probe {
	const char *state; /* as in the RFC, or "OPENING" */
	uint32_t iss, snd_una, snd_nxt, snd_max, snd_wnd;
	uint32_t irs, rcv_nxt, rcv_adv;
	unsigned retries;
	bool has_stream;
	uint64_t timer_us; /* from now on; UINT64_MAX: not armed */
	size_t tx_len, tx_cap, rx_len, rx_cap;
};

struct tcp_probe tcp_probe(const struct flow *f);

/* NULL, or the invariant that does not hold. */
const char *tcp_probe_check(const struct flow *f);

#endif
