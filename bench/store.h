/* SPDX-License-Identifier: MIT */
/* The directory of a run: its name, its files, its records. */
#ifndef FAULTLINE_STORE_H
#define FAULTLINE_STORE_H

#include <stdbool.h>

#include <jansson.h>

#include "err.h"

struct store {
    char directory[4096];
    int records_fd; /* trials.jsonl, appending, locked against a second run */
};

/*
 * Makes the directory of a new run: `out` itself when it does not exist or is empty, else a new one inside it; without
 * `out` a new one inside `parent`. Names are UTC time, host and a random part, without colons. -errno with text.
 */
int store_make(struct store *store, const char *out, const char *parent, const char *host, struct err *err);

/* Opens an existing one to go on with it; a torn last line of trials.jsonl is cut off. -EBUSY when somebody else has
 * it. */
int store_open(struct store *store, const char *directory, struct err *err);

void store_close(struct store *store);

/* Calls `visit` with every record in order, with NULL for a damaged one; its non-zero result ends the reading and is
 * returned. */
int store_read(const struct store *store, int (*visit)(void *context, const json_t *record), void *context,
               struct err *err);

/* Appends one line with its newline by one write(2). -ENOSPC and others with text; nothing is left of a failed line. */
int store_append(const struct store *store, const char *line, unsigned long length, struct err *err);

/* Writes JSON under a temporary name, syncs and renames. */
int store_put_json(const struct store *store, const char *name, const json_t *json, struct err *err);

/* New reference, or NULL with text. */
json_t *store_get_json(const struct store *store, const char *name, struct err *err);

#endif
