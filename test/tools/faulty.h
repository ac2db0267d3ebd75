/* SPDX-License-Identifier: MIT */
/*
 * faulty: when a program is to die that has been linked for that.
 *
 * /run/faulty says which, and at what moment of which of its steps: "broker
 * before 7".  /run/faulty.done says that it was done.
 */
#ifndef ECSSH_FAULTY_H
#define ECSSH_FAULTY_H

/* Die, with the child of that name, if it is this moment of this step that was
 * asked for.  What was is read when this is called for the first time. */
void faulty_moment(const char *program, const char *child, const char *moment,
		   unsigned number);

#endif
