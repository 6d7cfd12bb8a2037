/* SPDX-License-Identifier: MIT */
/* Making what was written durable: the one place that maps params->sync to a system call. */
#ifndef FAULTLINE_SYNC_H
#define FAULTLINE_SYNC_H

#include "method.h"

/*
 * Syncs `bytes` of the target from `offset` as `kind` says: the msync kinds over worker->base + offset (`offset` a
 * whole number of pages, worker->base the mapping of the file's start), sync_file_range over that range of worker->fd,
 * fdatasync and fsync over the whole file of worker->fd. sync_none does nothing. One system call and nothing else, so
 * that it may stand inside the clock. 0 or -errno.
 */
int sync_apply(const struct worker *worker, enum sync kind, uint64_t offset, uint64_t bytes);

/* Whether the kind is an msync: it needs a mapping. */
bool sync_needs_mapping(enum sync kind);

/* Rough ns of the sync of a pass, and of writing back what a batch of `blocks` has dirtied in a cell that is to be
 * clean before the next: for the plan's estimate. */
uint64_t sync_pass_ns(const struct params *params);
uint64_t sync_restore_ns(const struct params *params, uint64_t blocks);

#endif
