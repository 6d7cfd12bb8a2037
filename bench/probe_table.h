/* SPDX-License-Identifier: MIT */
/* The features that are tried: one function and one row of the table each. */
#ifndef FAULTLINE_PROBE_TABLE_H
#define FAULTLINE_PROBE_TABLE_H

#include <stddef.h>

#include "err.h"

enum {
    FILE_PAGES = 64, /* four windows of fault-around: a mapping that is not populated shows */
    REASON_SIZE = 256,
};

struct probe_ground {
    int fd; /* of the file; -1: there is none */
    char file_reason[REASON_SIZE];
    size_t page;       /* bytes */
    size_t file_bytes; /* FILE_PAGES pages, written */
};

/* Returns 0 when the feature works; otherwise an error whose text says why not. */
typedef int probe_function(const struct probe_ground *ground, struct err *why);

struct probe {
    const char *name;
    probe_function *function; /* called in a process of its own: need not clean up what ends with it */
    enum { NOTHING, FILE_NEEDED } needs;
};

extern const struct probe probe_table[]; /* [probe_count] */
extern const size_t probe_count;

#endif
