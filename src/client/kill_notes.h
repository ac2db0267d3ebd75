/* SPDX-License-Identifier: MIT */
/* kill_notes: which kill switches are in force here, as their notes say. */
#ifndef ECSSH_KILL_NOTES_H
#define ECSSH_KILL_NOTES_H

#include <stdbool.h>
#include <stddef.h>

#include "killnote.h"

enum {
	KILL_NOTES_MAX = 16,
	KILL_NOTES_TEXT_MAX = 512,
};

/* Read those of this network namespace.  Returns how many, at most max. */
size_t kill_notes_load(struct killnote *ret_notes, size_t max);

/* The one of a tunnel.  Returns false if its switch is not in force. */
bool kill_notes_find(const char *tunnel, struct killnote *ret_note);

struct broker_client;

/* Have the notes say whether the rules are there, as only the privileged see;
 * before the broker has a device. */
void kill_notes_refresh(struct broker_client *broker);

/* A sentence for a person: since when, what may leave, how to lift it; or that
 * its rules are gone.  Returns out. */
const char *kill_notes_describe(const struct killnote *note,
				char out[KILL_NOTES_TEXT_MAX]);

#endif
