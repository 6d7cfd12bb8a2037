/* SPDX-License-Identifier: MIT */
/* What the ways of taking a snapshot share: the bytes that it is of, and the pages of it that are then written. */
#ifndef FAULTLINE_SNAPSHOT_H
#define FAULTLINE_SNAPSHOT_H

#include "method.h"

struct snapshot {
    uint64_t *written; /* [written_count] offsets of the pages written, in the order in which they are */
    uint64_t written_count;
    uint64_t bytes; /* of a snapshot: the working set in whole pages */
};

#define SNAPSHOT_USES (USES_WORK | FIELD_BIT(written_share))

/*
 * Opens the file, draws the pages (the same in all methods) and maps the file's working set at worker->base, every page
 * of it touched. worker->own is a struct snapshot from then on; release with snapshot_end.
 */
int snapshot_begin(struct worker *worker, struct err *err);
void snapshot_end(struct worker *worker);

/* Bytes of the pages that are written, of which a private mapping or a child keeps copies. */
uint64_t snapshot_written_bytes(const struct params *params);

/* Stores a word to each page that is to be written of a snapshot at `base`; sums it where the consumer says so. */
uint64_t snapshot_use(const struct worker *worker, unsigned char *base);

/*
 * Takes a snapshot of one page, of which nothing is written. After a fork every page of a process faults once more when
 * it is next written: the stack and what else taking one needs are not to do so within another arm's clock.
 */
int snapshot_rehearse(struct worker *worker, int (*take)(struct worker *), struct err *err);

/* Runs `blocks` as whole snapshots, each of one pass over the working set. */
int snapshot_each(struct worker *worker, uint64_t blocks, int (*take)(struct worker *));

#endif
