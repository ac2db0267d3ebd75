/* SPDX-License-Identifier: MIT */
/* notify: what a service manager is told, as in sd_notify(3). */
#ifndef ECSSH_NOTIFY_H
#define ECSSH_NOTIFY_H

struct notify {
	int fd; /* connected to the manager's socket; -1: there is none */
};

/*
 * Connect to the socket of NOTIFY_SOCKET, and take the variable out of the
 * environment: no program that we start is to speak for us.  Early, for a
 * sandbox and another user may not get there.  Whatever fails, nobody is told
 * anything then, and that is no error.
 */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* The service has come up; it is about to end; how it is, for a person. */
void notify_ready(struct notify *n);
void notify_stopping(struct notify *n);
void notify_status(struct notify *n, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
