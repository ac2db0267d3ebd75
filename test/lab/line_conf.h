/* SPDX-License-Identifier: MIT */
/* line_conf: "rate=50,delay_ms=20" as people write it. */
#ifndef LAB_LINE_CONF_H
#define LAB_LINE_CONF_H

#include "err.h"
#include "line.h"

/* What a line is of which nothing is said. */
extern const struct line_conf line_conf_default;

/*
 * Change those values of *conf that the text names: KEY=NUMBER, separated by
 * commas.  Returns 0, or -EINVAL with err and *conf as it was.
 */
int line_conf_parse(const char *text, struct line_conf *conf, struct err *err);

#endif
