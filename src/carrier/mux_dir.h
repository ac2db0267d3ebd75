/* SPDX-License-Identifier: MIT */
/*
 * mux_dir: a directory in which an ssh makes its control socket.
 *
 * Here are the files, and in mux_sock.h who waits for them: that is another
 * process.
 */
#ifndef ECSSH_MUX_DIR_H
#define ECSSH_MUX_DIR_H

enum { MUX_SOCK_PATH_MAX = 90 };

/* Zeroed: none.  In order to be removed it has to be closed. */
struct mux_dir {
	int held; /* the socket, O_PATH; -1 until it is there */
	int lock; /* the directory, locked */
	char dir[MUX_SOCK_PATH_MAX];  /* "": there is none any more */
	char path[MUX_SOCK_PATH_MAX]; /* for ssh's ControlPath; needs no
					 quoting */
};

/*
 * Make it, and remove those that were left by who was killed.  Returns an
 * inotify descriptor for the caller, which tells of what happens in it, or
 * -errno.
 */
int mux_dir_open(struct mux_dir *d);

/*
 * Connect to the socket.  The first connection holds the socket, and removes
 * its names as mux_dir_tidy does.  Returns a non-blocking descriptor for the
 * caller, or -errno of connect(2).
 */
int mux_dir_connect(struct mux_dir *d);

/* Remove what names there are, if the socket is held.  Returns 0 if nothing
 * is left to do; -ENOTEMPTY: ssh has another name there; -EBUSY: not held. */
int mux_dir_tidy(struct mux_dir *d);

/* Remove all of it. */
void mux_dir_close(struct mux_dir *d);

#endif
