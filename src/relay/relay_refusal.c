/* SPDX-License-Identifier: MIT */
/* relay_refusal: why a server did not open a channel. */
#include "relay_refusal.h"

#include <stdio.h>
#include <string.h>

#include "mux_link.h"

/* Parts of what strerror(3) and gai_strerror(3) say on glibc, musl and the
 * BSDs. The first that occurs counts. */
static const struct {
	const char *part;
	enum frame_reason reason;
} texts[] = {
	{"refused", FRAME_REASON_REFUSED},
	{"etwork is unreachable", FRAME_REASON_NET_UNREACH},
	{"etwork unreachable", FRAME_REASON_NET_UNREACH},
	{"etwork is down", FRAME_REASON_NET_UNREACH},
	{"o route to host", FRAME_REASON_HOST_UNREACH},
	{"ost is unreachable", FRAME_REASON_HOST_UNREACH},
	{"ost is down", FRAME_REASON_HOST_UNREACH},
	{"timed out", FRAME_REASON_TIMED_OUT},
	{"timeout", FRAME_REASON_TIMED_OUT},
	{"ame or service not known", FRAME_REASON_NO_NAME},
	{"ame does not resolve", FRAME_REASON_NO_NAME},
	{"ame resolution", FRAME_REASON_NO_NAME},
	{"nodename nor servname", FRAME_REASON_NO_NAME},
	{"o address associated", FRAME_REASON_NO_NAME},
	{"no such host", FRAME_REASON_NO_NAME},
	{"ddress family", FRAME_REASON_NO_FAMILY},
	{"ermission denied", FRAME_REASON_PROHIBITED},
	{"not permitted", FRAME_REASON_PROHIBITED},
	{"prohibited", FRAME_REASON_PROHIBITED},
	{"oo many open files", FRAME_REASON_NO_RESOURCES},
	{"annot assign requested", FRAME_REASON_NO_RESOURCES},
	{"reset by peer", FRAME_REASON_RESET},
};

enum frame_reason relay_refusal_meaning(uint32_t reason, const char *text)
{
	if (reason == MUX_REFUSED_PROHIBITED ||
	    reason == MUX_REFUSED_UNKNOWN_TYPE)
		return FRAME_REASON_PROHIBITED;
	if (reason == MUX_REFUSED_RESOURCES)
		return FRAME_REASON_NO_RESOURCES;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strstr(text, texts[i].part))
			return texts[i].reason;
	return FRAME_REASON_OTHER;
}

/* FNV-1a: who makes destinations collide makes one be asked for again. */
static uint32_t hash_bytes(uint32_t hash, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ b[i]) * 16777619U;
	return hash;
}

static size_t slot_of(const struct endpoint *dst, const char *name)
{
	uint32_t hash = hash_bytes(2166136261U, &dst->port, sizeof(dst->port));

	if (*name)
		hash = hash_bytes(hash, name, strlen(name));
	else
		hash = hash_bytes(hash, dst->addr.bytes,
				  sizeof(dst->addr.bytes));
	return (hash ^ hash >> 16) % RELAY_REFUSALS_MAX;
}

void relay_refusal_add(struct relay_refusals *t, const struct endpoint *dst,
		       const char *name, enum frame_reason reason,
		       mono_us_t now_us)
{
	struct relay_refusal *slot = &t->slots[slot_of(dst, name)];

	slot->dst = *dst;
	slot->reason = reason;
	slot->until_us = now_us + (reason == FRAME_REASON_PROHIBITED
					   ? RELAY_REFUSAL_PROHIBITED_US
					   : RELAY_REFUSAL_US);
	(void)snprintf(slot->name, sizeof(slot->name), "%s", name);
}

enum frame_reason relay_refusal_find(const struct relay_refusals *t,
				     const struct endpoint *dst,
				     const char *name, mono_us_t now_us)
{
	const struct relay_refusal *slot = &t->slots[slot_of(dst, name)];

	if (slot->until_us <= now_us || slot->dst.port != dst->port ||
	    strcmp(slot->name, name) != 0)
		return FRAME_REASON_NONE;
	if (!*name && !addr_equal(&slot->dst.addr, &dst->addr))
		return FRAME_REASON_NONE;
	return slot->reason;
}
