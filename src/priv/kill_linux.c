/* SPDX-License-Identifier: MIT */
/*
 * kill: kill switches of this host, their rules and the notes about them.
 *
 * A note is there before its rules and until they are gone: what it says may
 * not be so if a broker was killed between the two, but no switch is in force
 * that nobody knows of.  It also says whose the switch is: only they and root
 * may lift it.
 */
#include "kill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "killnote.h"
#include "nft_kill.h"
#include "nft_run.h"

void kill_open(struct kill_place *ret_place, uint32_t asks_uid)
{
	struct kill_place p = {.asks_uid = asks_uid};
	struct stat st;

	if (stat("/proc/self/ns/net", &st) == 0)
		p.netns = st.st_ino;
	p.dir_fd = open(KILLNOTE_DIR,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p.dir_fd < 0)
		p.why_not = -errno;
	*ret_place = p;
}

void kill_close(struct kill_place *place)
{
	fd_close(&place->dir_fd);
}

/*
 * Notes
 */

/* Returns 0 or -errno. */
static int read_note(const struct kill_place *p, const char *file,
		     struct killnote *ret_note)
{
	char text[KILLNOTE_TEXT_MAX];
	int fd CLEANUP_FD =
		openat(p->dir_fd, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, text, sizeof(text));
	return n < 0 ? -errno
		     : killnote_parse(p->netns, file, text, (size_t)n,
				      ret_note);
}

/* Returns 0 or -errno. */
static int write_note(const struct kill_place *p, const struct killnote *note)
{
	char file[KILLNOTE_FILE_MAX], text[KILLNOTE_TEXT_MAX];
	size_t len = killnote_format(note, text);
	int r = 0;

	(void)unlinkat(p->dir_fd, "new", 0);
	int fd CLEANUP_FD = openat(
		p->dir_fd, "new",
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	killnote_file(p->netns, note->name, file);
	if (fchmod(fd, 0644) < 0)
		r = -errno;
	if (r == 0)
		r = fd_write_all(fd, text, len);
	if (r == 0 && renameat(p->dir_fd, "new", p->dir_fd, file) < 0)
		r = -errno;
	return r;
}

static void remove_note(const struct kill_place *p, const char *name)
{
	char file[KILLNOTE_FILE_MAX];

	killnote_file(p->netns, name, file);
	(void)unlinkat(p->dir_fd, file, 0);
}

/* The first note about another tunnel's switch here.  Returns false if there is
 * none. */
static bool find_other(const struct kill_place *p, const char *name,
		       struct killnote *ret_note)
{
	int fd = openat(p->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;
	bool is_found = false;

	if (!dir) {
		fd_close(&fd);
		return false;
	}
	while (!is_found && (e = readdir(dir)) != NULL)
		is_found = read_note(p, e->d_name, ret_note) == 0 &&
			   strcmp(ret_note->name, name) != 0;
	(void)closedir(dir);
	return is_found;
}

/*
 * Who may
 */

/* True if there is a note about the switch of this name. */
static bool find_note(const struct kill_place *p, const char *name,
		      struct killnote *ret_note)
{
	char file[KILLNOTE_FILE_MAX];

	killnote_file(p->netns, name, file);
	return p->dir_fd >= 0 && read_note(p, file, ret_note) == 0;
}

static int check_owner(const struct kill_place *p, const char *name,
		       const struct killnote *note, struct err *err)
{
	if (p->asks_uid == 0 || (note && note->uid == p->asks_uid))
		return 0;
	if (!note)
		return err_set(err, -EPERM,
			       "there is no note about a kill switch of %s, "
			       "and without one only root may lift it",
			       name);
	return err_set(err, -EPERM,
		       "the kill switch of %s is that of user %u: only they "
		       "and root may change it",
		       name, note->uid);
}

static int check_on(const struct kill_place *p,
		    const struct brokermsg_kill *kill, struct err *err)
{
	struct killnote other;

	if (p->dir_fd < 0)
		return err_set(err, p->why_not,
			       "the kill switch needs %s for its note: %s",
			       KILLNOTE_DIR, strerror(-p->why_not));
	if (p->asks_uid != 0 && p->asks_uid != kill->uid)
		return err_set(err, -EPERM,
			       "user %u asks for a hole in the kill switch for "
			       "user %u",
			       p->asks_uid, kill->uid);
	if (find_other(p, kill->name, &other))
		return err_set(err, -EBUSY,
			       "the kill switch of %s is in force, and there "
			       "can be one at a time; \"ecssh down %s\" lifts "
			       "it",
			       other.name, other.name);
	return 0;
}

/*
 * Rules
 */

static int run_kill(const struct brokermsg_kill *kill, struct err *err)
{
	char out[NFT_KILL_TEXT_MAX];
	struct text rules = {.out = out, .cap = sizeof(out)};

	nft_kill_put(&rules, kill);
	return nft_run_rules(&rules, err);
}

int kill_on(const struct kill_place *p, const struct brokermsg_kill *kill,
	    struct err *err)
{
	struct killnote before = {.uid = UINT32_MAX},
			note = {.uid = kill->uid,
				.since_s = time(NULL),
				.n_gateways = kill->n_gateways,
				.from = kill->from};
	bool was_on = find_note(p, kill->name, &before);
	int r = check_on(p, kill, err);

	if (r == 0 && was_on)
		r = check_owner(p, kill->name, &before, err);
	if (r < 0)
		return r;
	memcpy(note.name, kill->name, sizeof(note.name));
	memcpy(note.gateways, kill->gateways, sizeof(note.gateways));
	if (was_on)
		note.since_s = before.since_s;
	r = write_note(p, &note);
	if (r < 0)
		return err_set(err, r,
			       "cannot write the note about the kill switch in "
			       "%s: %s",
			       KILLNOTE_DIR, strerror(-r));
	r = run_kill(kill, err);
	if (r == 0)
		return 0;
	/* A transaction that failed has changed nothing. */
	if (was_on)
		(void)write_note(p, &before);
	else
		remove_note(p, kill->name);
	return r;
}

int kill_off(const struct kill_place *p, const char *name, struct err *err)
{
	char out[NFT_KILL_TEXT_MAX];
	struct text rules = {.out = out, .cap = sizeof(out)};
	struct killnote note = {.uid = UINT32_MAX};
	bool is_noted = find_note(p, name, &note);
	int r = check_owner(p, name, is_noted ? &note : NULL, err);

	if (r < 0)
		return r;
	nft_kill_put_removal(&rules, name);
	r = nft_run_rules(&rules, err);
	if (r == 0 && p->dir_fd >= 0)
		remove_note(p, name);
	return r;
}

static int find_rules(const char *name, bool *ret_is_there, struct err *err)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "list table inet ecssh-kill-%s\n",
		       name);
	int r = nft_run(text, NULL, 0, err);

	*ret_is_there = r == 0;
	if (r != -EPROTO || !strstr(err->text, "No such file"))
		return r;
	err->text[0] = '\0';
	return 0;
}

int kill_look(const struct kill_place *p, const char *name, struct err *err)
{
	struct killnote note = {.uid = UINT32_MAX};
	bool is_there;

	if (!find_note(p, name, &note))
		return err_set(err, -ENOENT,
			       "there is no note about a kill switch of %s",
			       name);
	int r = find_rules(name, &is_there, err);
	if (r < 0 || is_there == (note.gone_s == 0))
		return r;
	note.gone_s = is_there ? 0 : time(NULL);
	r = write_note(p, &note);
	return r < 0 ? err_set(err, r, "cannot write the note: %s",
			       strerror(-r))
		     : 0;
}
