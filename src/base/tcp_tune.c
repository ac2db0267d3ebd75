/* SPDX-License-Identifier: MIT */
/* tcp_tune: a TCP connection sends by BBR from when it is seen to lose
 * segments. */
#include "tcp_tune.h"

#include <stdio.h>
#include <string.h>

enum {
	PER_MILLION_OF_PERCENT = 10000,
	PER_MILLION_OF_HUNDREDTH = 100,
};

int tcp_tune_look(struct tcp_tune *t, int fd, mono_us_t now_us)
{
	struct tcp_conn c;
	int r = t->state == TCP_TUNE_WATCHES ? tcp_conn_read(fd, &c) : 1;

	if (r != 0)
		return r < 0 ? r : 0;
	memcpy(t->congestion, c.congestion, sizeof(t->congestion));
	if (!tcp_conn_is_default(c.congestion)) {
		t->state = TCP_TUNE_IS_LEFT;
		return 0;
	}
	struct loss_counts counts = {
		.segments = c.segments,
		.lost = c.retransmits - c.duplicates,
		.rtt_us = c.rtt_us,
		.rtt_min_us = c.rtt_min_us,
	};
	if (loss_look(&t->loss, now_us, &counts))
		t->state = tcp_conn_use_bbr(fd, t->congestion, &t->why) == 0
				   ? TCP_TUNE_IS_BBR
				   : TCP_TUNE_FAILED;
	return 0;
}

static const char *format_loss(const struct loss *l, char out[16])
{
	uint32_t ppm = loss_per_million(l);

	(void)snprintf(out, 16, "%u.%02u %%", ppm / PER_MILLION_OF_PERCENT,
		       ppm % PER_MILLION_OF_PERCENT / PER_MILLION_OF_HUNDREDTH);
	return out;
}

const char *tcp_tune_tell(const struct tcp_tune *t, char out[TCP_TUNE_TEXT_MAX])
{
	char loss[16];

	format_loss(&t->loss, loss);
	switch (t->state) {
	case TCP_TUNE_WATCHES:
		(void)snprintf(out, TCP_TUNE_TEXT_MAX,
			       "%s: no loss by chance seen", t->congestion);
		break;
	case TCP_TUNE_IS_BBR:
		(void)snprintf(out, TCP_TUNE_TEXT_MAX, "%s: loss of %s seen",
			       t->congestion, loss);
		break;
	case TCP_TUNE_IS_LEFT:
		(void)snprintf(out, TCP_TUNE_TEXT_MAX,
			       "%s: left as somebody has chosen it there",
			       t->congestion);
		break;
	case TCP_TUNE_FAILED:
		(void)snprintf(out, TCP_TUNE_TEXT_MAX,
			       "%s, though loss of %s was seen: %.160s",
			       t->congestion, loss, t->why.text);
		break;
	}
	return out;
}
