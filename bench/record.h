/* SPDX-License-Identifier: MIT */
/* A trial of one cell as one JSON line (schema faultline.trial/1), written by one write(2). */
#ifndef FAULTLINE_RECORD_H
#define FAULTLINE_RECORD_H

#include <stdbool.h>

#include <jansson.h>

#include "measure.h"

/* What a record says besides the measurement. Strings are borrowed. */
struct record_context {
    const struct plan *plan;
    const struct cell *cell;
    unsigned trial;   /* index of this cell's trial */
    unsigned process; /* number of the trial process in this run */
    uint64_t seed;
    const char *machine, *boot_id, *instance; /* instance may be NULL */
    char started[32];                         /* record_time when the cell began */
    struct clock_quality clock;
    uint64_t empty_batch_ns;
    uint64_t environment_bytes, mapping_pages; /* random padding of this process */
    const json_t *filesystem;                  /* made for the cell, as filesystem_describe tells; NULL or null: none */
};

/* The record of a measured cell. New reference. */
json_t *record_make(const struct record_context *context, const struct cell_result *result);

/*
 * The record of a cell that was not measured: `arm` (or every arm, when it is negative) gets `status` and the reason,
 * the others are skipped. New reference.
 */
json_t *record_unmeasured(const struct record_context *context, int arm, enum arm_status status, const char *reason);

/* The line with its crc32 and newline; free() it. NULL when memory ran out. */
char *record_line(const json_t *record);

/* Parses one line (without newline) and checks its crc32. NULL when it is no whole record. New reference. */
json_t *record_parse(const char *line, size_t length);

/* Now in UTC, "2026-01-31T12:34:56.789Z". */
void record_time(char text[32]);

#endif
