/* SPDX-License-Identifier: MIT */
/*
 * killnote: the note that says which kill switch is in force, and why.
 *
 * A file "NETNS-TUNNEL" with lines of a keyword and a value: uid, since, maybe
 * gone and "from PORT PORT", and an "allow ADDR PORT" for each gateway.
 */
#include "killnote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

void killnote_file(uint64_t netns, const char *tunnel,
		   char ret_file[KILLNOTE_FILE_MAX])
{
	(void)snprintf(ret_file, KILLNOTE_FILE_MAX, "%" PRIu64 "-%.*s", netns,
		       BROKERMSG_TUNNEL_MAX - 1, tunnel);
}

size_t killnote_format(const struct killnote *note, char out[KILLNOTE_TEXT_MAX])
{
	struct text t = {.out = out, .cap = KILLNOTE_TEXT_MAX};
	char addr[ADDR_TEXT_MAX];

	text_put(&t, "uid %u\nsince %" PRId64 "\n", note->uid, note->since_s);
	if (note->gone_s != 0)
		text_put(&t, "gone %" PRId64 "\n", note->gone_s);
	if (note->from.first != 0)
		text_put(&t, "from %u %u\n", note->from.first, note->from.last);
	for (size_t i = 0; i < note->n_gateways; i++)
		text_put(&t, "allow %s %u\n",
			 addr_format(&note->gateways[i].addr, addr),
			 note->gateways[i].port);
	return t.len;
}

/* A number and nothing else.  Returns false if it is none, or more than max. */
static bool read_number(const char *text, uint64_t max, uint64_t *ret)
{
	size_t len = strlen(text);

	if (len == 0 || len > 19 || strspn(text, "0123456789") != len)
		return false;
	*ret = strtoull(text, NULL, 10);
	return *ret <= max;
}

/* "ADDR PORT", which is written to. */
static bool read_gateway(char *value, struct killnote *note)
{
	struct endpoint *e = &note->gateways[note->n_gateways];
	char *space = strchr(value, ' ');
	uint64_t port;

	if (!space || note->n_gateways == BROKERMSG_GATEWAYS_MAX)
		return false;
	*space = '\0';
	if (addr_parse(value, &e->addr) < 0 ||
	    !read_number(space + 1, UINT16_MAX, &port))
		return false;
	e->port = (uint16_t)port;
	note->n_gateways++;
	return true;
}

/* "PORT PORT", which is written to. */
static bool read_ports(char *value, struct port_range *ret)
{
	char *space = strchr(value, ' ');
	uint64_t first, last;

	if (!space)
		return false;
	*space = '\0';
	if (!read_number(value, UINT16_MAX, &first) ||
	    !read_number(space + 1, UINT16_MAX, &last))
		return false;
	*ret = (struct port_range){(uint16_t)first, (uint16_t)last};
	return first > 0 && port_range_is_sound(ret);
}

static bool read_line(char *line, struct killnote *note)
{
	char *value = strchr(line, ' ');
	uint64_t number;

	if (!value)
		return false;
	*value++ = '\0';
	if (strcmp(line, "allow") == 0)
		return read_gateway(value, note);
	if (strcmp(line, "from") == 0)
		return read_ports(value, &note->from);
	if (strcmp(line, "uid") == 0) {
		if (!read_number(value, UINT32_MAX, &number))
			return false;
		note->uid = (uint32_t)number;
		return true;
	}
	bool is_since = strcmp(line, "since") == 0;
	if ((!is_since && strcmp(line, "gone") != 0) ||
	    !read_number(value, INT64_MAX, &number))
		return false;
	*(is_since ? &note->since_s : &note->gone_s) = (int64_t)number;
	return true;
}

/* The tunnel's part of a file's name, or NULL. */
static const char *tunnel_of(uint64_t netns, const char *file)
{
	char expected[KILLNOTE_FILE_MAX];
	const char *tunnel = strchr(file, '-');
	size_t len;

	if (!tunnel)
		return NULL;
	tunnel++;
	killnote_file(netns, tunnel, expected);
	len = strlen(tunnel);
	if (strcmp(expected, file) != 0 || len == 0 || tunnel[0] == '.' ||
	    tunnel[0] == '-' ||
	    strspn(tunnel, "abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != len)
		return NULL;
	return tunnel;
}

int killnote_parse(uint64_t netns, const char *file, const char *text,
		   size_t len, struct killnote *ret_note)
{
	const char *tunnel = tunnel_of(netns, file);
	struct killnote note = {.uid = UINT32_MAX};
	char line[128];

	if (!tunnel)
		return -ENOENT;
	(void)snprintf(note.name, sizeof(note.name), "%s", tunnel);
	while (len > 0) {
		const char *newline = memchr(text, '\n', len);
		size_t line_len = newline ? (size_t)(newline - text) : len;

		if (!newline || line_len >= sizeof(line) ||
		    memchr(text, '\0', line_len))
			return -EBADMSG;
		memcpy(line, text, line_len);
		line[line_len] = '\0';
		if (!read_line(line, &note))
			return -EBADMSG;
		text += line_len + 1;
		len -= line_len + 1;
	}
	if (note.uid == UINT32_MAX || note.n_gateways == 0)
		return -EBADMSG;
	*ret_note = note;
	return 0;
}
