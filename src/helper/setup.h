/* SPDX-License-Identifier: MIT */
/* setup: the blocking part of getting a device for the packet plane. */
#ifndef ECSSH_HELPER_SETUP_H
#define ECSSH_HELPER_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "frame.h"

enum { SETUP_TUNED_MAX = 240 };

struct setup_result {
	int32_t error; /* 0 or negative errno */
	uint16_t mtu_bytes;
	char text[FRAME_TEXT_MAX + 1]; /* how it was made, or what is missing;
					  escaped */
	char tuned[SETUP_TUNED_MAX];   /* how sshd sends; "": left alone */
	bool may_tune; /* it is of use to ask the broker again */
};

/* Make the device by the best way there is and send the result. */
void setup_run(int sock, const struct frame_network *network);

/* What came of a TUNE, a clause for a person.  r, text: of the broker. */
void setup_tell_tune(int r, const char *text, char out[SETUP_TUNED_MAX]);

/* Receive it on a non-blocking socket.  *ret_broker_fd is -1 if nobody has to
 * undo anything.  Returns 0, -EAGAIN, or -EPIPE: nothing will come. */
int setup_receive(int sock, struct setup_result *ret, int *ret_tun_fd,
		  int *ret_broker_fd);

#endif
