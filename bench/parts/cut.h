/* SPDX-License-Identifier: MIT */
/*
 * Ranges taken from the end of a file that the worker and `mappers` other processes map, for the methods that take them
 * in different ways. The file has no name and nothing else in it; its pages are cached and clean before each batch.
 */
#ifndef FAULTLINE_CUT_H
#define FAULTLINE_CUT_H

#include "method.h"

/* Takes a range from the file, which ends with it or with a range that was taken before. -errno. */
typedef int cut_fn(int fd, uint64_t offset, uint64_t bytes);

/* Makes the file and has it mapped by all; -EOPNOTSUPP with text when the file under test is the user's own. */
int cut_begin(struct worker *worker, cut_fn *take, struct err *err);

/* Takes `count` ranges of range_bytes, the last of the file first. */
int cut_run(struct worker *worker, uint64_t count);

/* Writes what a batch of `count` has taken and syncs it; every process then loads from each of its pages. */
int cut_reset(struct worker *worker, uint64_t count, struct err *err);
void cut_end(struct worker *worker);

/* Most ranges of a batch; roughly what one takes, and the reset before so many. */
uint64_t cut_limit(const struct params *params);
uint64_t cut_ns(const struct params *params);
uint64_t cut_reset_ns(const struct params *params, uint64_t count);

#endif
