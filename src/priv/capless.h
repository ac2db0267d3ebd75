/* SPDX-License-Identifier: MIT */
/* capless: being without capabilities. */
#ifndef ECSSH_CAPLESS_H
#define ECSSH_CAPLESS_H

/*
 * Lose the capabilities that our own file gave us, for the part of a program
 * that speaks to strangers; a program that we execute gets them anew.  Root
 * stays root.
 */
void capless_drop_of_file(void);

/* Lose all there are.  Root keeps what files give to its id. */
void capless_drop(void);

#endif
