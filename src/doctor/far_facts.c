/* SPDX-License-Identifier: MIT */
/* far_facts: what the far script says of the gateway. */
#include "far_facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "escape.h"

void far_facts_init(struct far_facts *f, const char *marker)
{
	assert_always(strlen(marker) == BOOT_MARKER_LEN);
	*f = (struct far_facts){0};
	memcpy(f->marker, marker, sizeof(f->marker));
}

/* ---- words ---- */

static void copy(char *out, size_t cap, const char *text)
{
	(void)escape_text(text, strlen(text), out, cap);
}

#define COPY(array, text) copy(array, sizeof(array), text)

/* A decimal number of 32 bits and what follows it.  Returns false if there is
 * none. */
static bool number(const char *text, uint32_t *ret, const char **ret_rest)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	if (errno != 0 || n > UINT32_MAX || (*end != '\0' && *end != ' '))
		return false;
	*ret = (uint32_t)n;
	*ret_rest = end + (*end == ' ');
	return true;
}

/* DEVICE [MTU] */
static void take_device(const char *text, char device[BOOT_WORD_MAX],
			uint32_t *mtu)
{
	size_t len = strcspn(text, " ");
	const char *rest;

	(void)escape_text(text, len, device, BOOT_WORD_MAX);
	if (text[len] != ' ' || !number(text + len + 1, mtu, &rest))
		*mtu = 0;
}

static void take_gids(struct far_facts *f, const char *text)
{
	const char *rest = text;
	uint32_t gid;

	f->n_gids = 0;
	while (f->n_gids < FAR_FACTS_GIDS_MAX && number(rest, &gid, &rest))
		f->gids[f->n_gids++] = gid;
}

static void take_ping(struct far_facts *f, const char *text)
{
	const char *rest;
	uint32_t lo, hi;

	if (!number(text, &lo, &rest) || !number(rest, &hi, &rest))
		return;
	f->has_ping = true;
	f->ping_lo = lo;
	f->ping_hi = hi;
}

static void take_uid(struct far_facts *f, const char *text)
{
	const char *rest;

	f->has_uid = number(text, &f->uid, &rest);
}

/* ORIGIN PATH */
static void take_helper(struct far_facts *f, const char *text)
{
	size_t len = strcspn(text, " ");

	(void)escape_text(text, len, f->origin, sizeof(f->origin));
	COPY(f->helper, text[len] ? text + len + 1 : "");
}

static void take_listed(char list[FAR_FACTS_LISTED_MAX][BOOT_WORD_MAX],
			size_t *n, const char *text)
{
	if (*n < FAR_FACTS_LISTED_MAX)
		copy(list[(*n)++], BOOT_WORD_MAX, text);
}

/* DEVICE STATE */
static void take_owned(struct far_facts *f, const char *text)
{
	size_t len = strcspn(text, " ");

	if (f->n_owned == FAR_FACTS_LISTED_MAX)
		return;
	(void)escape_text(text, len, f->owned[f->n_owned], BOOT_WORD_MAX);
	f->is_up[f->n_owned++] = strcmp(text + len, " up") == 0;
}

/* ---- lines ---- */

static void take_account(struct far_facts *f, const char *key, const char *text)
{
	if (strcmp(key, "os") == 0)
		COPY(f->os, text);
	else if (strcmp(key, "machine") == 0)
		COPY(f->machine, text);
	else if (strcmp(key, "user") == 0)
		COPY(f->user, text);
	else if (strcmp(key, "groups") == 0)
		COPY(f->groups, text);
	else if (strcmp(key, "uid") == 0)
		take_uid(f, text);
	else if (strcmp(key, "gids") == 0)
		take_gids(f, text);
	else if (strcmp(key, "helper") == 0)
		take_helper(f, text);
	else if (strcmp(key, "capability") == 0)
		f->has_capability = true;
	else if (strcmp(key, "place") == 0)
		COPY(f->place, text);
	else if (strcmp(key, "noplace") == 0)
		COPY(f->no_place, text);
}

static void take_network(struct far_facts *f, const char *key, const char *text)
{
	if (strcmp(key, "ping") == 0)
		take_ping(f, text);
	else if (strcmp(key, "ipv4") == 0)
		f->has_ipv4 = true;
	else if (strcmp(key, "ipv6") == 0)
		f->has_ipv6 = true;
	else if (strcmp(key, "default4") == 0)
		take_device(text, f->device4, &f->mtu4);
	else if (strcmp(key, "default6") == 0)
		take_device(text, f->device6, &f->mtu6);
	else if (strcmp(key, "resolver") == 0)
		take_listed(f->resolvers, &f->n_resolvers, text);
	else if (strcmp(key, "sudo") == 0)
		COPY(f->sudo, text);
	else if (strcmp(key, "tun") == 0)
		COPY(f->tun, text);
	else if (strcmp(key, "owned") == 0)
		take_owned(f, text);
	else if (strcmp(key, "nft") == 0)
		COPY(f->nft, text);
	else if (strcmp(key, "socket") == 0)
		COPY(f->socket, text);
}

/* A line of ours, behind the marker and a space. */
static void take_key(struct far_facts *f, char *text)
{
	char *space = strchr(text, ' ');
	const char *rest = "";

	if (space) {
		*space = '\0';
		rest = space + 1;
	}
	/* A helper that a forced command has started says so, and then speaks
	 * another language. */
	if (strcmp(text, "ready") == 0) {
		f->is_forced = f->is_done = true;
		return;
	}
	f->is_answered = true;
	if (strcmp(text, "done") == 0)
		f->is_done = true;
	take_account(f, text, rest);
	take_network(f, text, rest);
}

static void end_line(struct far_facts *f)
{
	size_t len = f->line_len;

	f->line_len = 0;
	if (len == 0)
		return;
	if (len < sizeof(f->line) && len > BOOT_MARKER_LEN &&
	    memcmp(f->line, f->marker, BOOT_MARKER_LEN) == 0 &&
	    f->line[BOOT_MARKER_LEN] == ' ' && !memchr(f->line, '\0', len)) {
		f->line[len] = '\0';
		take_key(f, f->line + BOOT_MARKER_LEN + 1);
		return;
	}
	if (len > sizeof(f->line))
		len = sizeof(f->line);
	while (len > 0 && (f->line[len - 1] == '\r' || f->line[len - 1] == ' '))
		len--;
	if (len > 0)
		(void)escape_text(f->line, len, f->noise, sizeof(f->noise));
}

void far_facts_feed(struct far_facts *f, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len && !f->is_done; i++) {
		if (++f->n_bytes > FAR_FACTS_BYTES_MAX) {
			f->is_too_long = f->is_done = true;
			return;
		}
		if (bytes[i] == '\n') {
			end_line(f);
			continue;
		}
		if (f->line_len < sizeof(f->line))
			f->line[f->line_len] = (char)bytes[i];
		/* One more tells that it was cut off. */
		if (f->line_len <= sizeof(f->line))
			f->line_len++;
	}
}

void far_facts_feed_end(struct far_facts *f)
{
	if (!f->is_done)
		end_line(f);
}

bool far_facts_may_ping(const struct far_facts *f)
{
	for (size_t i = 0; i < f->n_gids; i++)
		if (f->has_ping && f->gids[i] >= f->ping_lo &&
		    f->gids[i] <= f->ping_hi)
			return true;
	return false;
}
