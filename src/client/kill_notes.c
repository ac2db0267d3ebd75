/* SPDX-License-Identifier: MIT */
/* kill_notes: which kill switches are in force here, as their notes say. */
#include "kill_notes.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker_client.h"
#include "fd.h"
#include "log.h"
#include "text.h"

static bool load(int dir_fd, uint64_t netns, const char *file,
		 struct killnote *ret_note)
{
	char text[KILLNOTE_TEXT_MAX];
	int fd CLEANUP_FD = openat(
		dir_fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	return n > 0 &&
	       killnote_parse(netns, file, text, (size_t)n, ret_note) == 0;
}

size_t kill_notes_load(struct killnote *ret_notes, size_t max)
{
	DIR *dir = opendir(KILLNOTE_DIR);
	const struct dirent *e;
	struct stat st;
	size_t n = 0;

	if (!dir)
		return 0;
	if (stat("/proc/self/ns/net", &st) == 0)
		while (n < max && (e = readdir(dir)) != NULL)
			n += load(dirfd(dir), st.st_ino, e->d_name,
				  &ret_notes[n]);
	(void)closedir(dir);
	return n;
}

bool kill_notes_find(const char *tunnel, struct killnote *ret_note)
{
	struct killnote notes[KILL_NOTES_MAX];
	size_t n = kill_notes_load(notes, KILL_NOTES_MAX);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(notes[i].name, tunnel) != 0)
			continue;
		*ret_note = notes[i];
		return true;
	}
	return false;
}

void kill_notes_refresh(struct broker_client *broker)
{
	struct killnote notes[KILL_NOTES_MAX];
	size_t n = kill_notes_load(notes, KILL_NOTES_MAX);
	struct err why;

	for (size_t i = 0; i < n; i++)
		if (broker_client_kill_look(broker, notes[i].name, &why) < 0)
			log_debug("%s", why.text);
}

static const char *format_time(int64_t at_s, char out[32])
{
	time_t at = (time_t)at_s;
	struct tm tm;

	if (!localtime_r(&at, &tm) || strftime(out, 32, "%F %T", &tm) == 0)
		(void)snprintf(out, 32, "?");
	return out;
}

static const char *describe_gone(const struct killnote *note,
				 char out[KILL_NOTES_TEXT_MAX])
{
	char since[32], seen[32];

	(void)snprintf(out, KILL_NOTES_TEXT_MAX,
		       "the kill switch of %s, in force since %s, is not any "
		       "more: somebody else has taken its rules away, as was "
		       "found at %s, and nothing is held back; \"ecssh up "
		       "--kill-switch\" puts it in force again, \"ecssh down "
		       "%s\" forgets it",
		       note->name, format_time(note->since_s, since),
		       format_time(note->gone_s, seen), note->name);
	return out;
}

const char *kill_notes_describe(const struct killnote *note,
				char out[KILL_NOTES_TEXT_MAX])
{
	struct text t = {.out = out, .cap = KILL_NOTES_TEXT_MAX};
	char since[32], gateway[ENDPOINT_TEXT_MAX];

	if (note->gone_s != 0)
		return describe_gone(note, out);
	text_put(&t,
		 "the kill switch of %s is in force since %s: nothing leaves "
		 "this host but through the tunnel and to ",
		 note->name, format_time(note->since_s, since));
	for (size_t i = 0; i < note->n_gateways && i < 4; i++)
		text_put(&t, "%s%s", i > 0 ? ", " : "",
			 endpoint_format(&note->gateways[i], gateway));
	text_put(&t, "%s; \"ecssh down %s\" lifts it",
		 note->n_gateways > 4 ? " and others" : "", note->name);
	return out;
}
