/* SPDX-License-Identifier: MIT */
/* Which features of the kernel work here, found by trying each. */
#ifndef FAULTLINE_PROBE_H
#define FAULTLINE_PROBE_H

#include <jansson.h>

#include "err.h"

/*
 * {feature: true | "why not"}. Each is tried in a child process on a small nameless file in `directory`, so that a
 * system call filter that kills is an answer as well, and nothing outlives the trial. New reference; NULL with text on
 * failure.
 */
json_t *probe_all(const char *directory, struct err *err);

/* A nameless file in `directory`, open for reading and writing; removed by its closing. -errno with text. */
int probe_file(const char *directory, struct err *err);

#endif
