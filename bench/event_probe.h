/* SPDX-License-Identifier: MIT */
/* Which of the counters that are counted when asked for can be opened here, found by opening each. */
#ifndef FAULTLINE_EVENT_PROBE_H
#define FAULTLINE_EVENT_PROBE_H

#include <stdio.h>

#include <jansson.h>

#include "err.h"

/*
 * {name: {"event": its name in full or null, "encoded", "opened", "user_only": booleans, "counted": time on the CPU's
 * counters ÷ time enabled or null, "reason": why not or null}} of every row of events.def. They are tried in a child
 * process, so that a system call filter that kills is an answer as well. New reference; NULL with text on failure.
 */
json_t *event_probe_all(struct err *err);

/* Prints it as a table for a person. */
void event_probe_print(const json_t *counters, FILE *out);

#endif
