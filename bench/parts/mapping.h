/* SPDX-License-Identifier: MIT */
/* Making and removing the mapping that the mapping methods visit. */
#ifndef FAULTLINE_MAPPING_H
#define FAULTLINE_MAPPING_H

#include "method.h"

/*
 * Maps the working set of the target, or as much anonymous memory, into worker->base as sharing, access, pages, locked,
 * populate, advice and vma say. worker->fd must be open unless the memory is anonymous. -errno with text: -EOPNOTSUPP
 * where this kernel, filesystem or machine does not give what is asked for.
 */
int mapping_make(struct worker *worker, struct err *err);

/* Whether a window slides over the working set (params->window_bytes), instead of one mapping that covers it. */
bool mapping_slides(const struct params *params);

/*
 * Maps the window that begins at `offset` of the file, a whole number of windows, into worker->base, as mapping_make
 * does the whole: the last one ends with the working set. Errors as there.
 */
int mapping_make_window(struct worker *worker, uint64_t offset, struct err *err);

/*
 * Touches every page of the mapping, so that what is kept over batches has its first touches behind it: stores where
 * access: store. Nothing for a cold file: that would read it; nor for one that does not fit into the memory limit.
 */
void mapping_settle(const struct worker *worker);

/* Brings the first `bytes` of the mapping into the state of params->prior: a load or a store of each page. */
void mapping_prepare(const struct worker *worker, uint64_t bytes);

/* Unmaps it. 0 or -errno. */
int mapping_remove(struct worker *worker);

/*
 * Reaches the next `blocks` blocks through worker->base: consumes them where the parameters say, or writes them from
 * the buffer where access: store.
 */
void mapping_visit(struct worker *worker, uint64_t blocks);

/* One of the two, whatever access says. */
void mapping_load(struct worker *worker, uint64_t blocks);
void mapping_store(struct worker *worker, uint64_t blocks);

/* Where the bytes at an offset of the file lie in worker->base, a mapping of the whole working set. */
const unsigned char *mapping_at(const struct worker *worker, uint64_t offset);

/* -EINVAL with text when the parameters cannot mean what they say for a mapping. */
int mapping_check(const struct worker *worker, struct err *err);

/* From one visited block to the next: stride_bytes where the pattern has strides, else block_bytes. */
uint64_t mapping_step_bytes(const struct params *params);

/*
 * For methods that come by each page once: -EINVAL with text where steps are no whole pages, -EOPNOTSUPP where they
 * could be on a machine with smaller ones, for what is a page there and none here is not the scenario's mistake.
 */
int mapping_check_steps(const struct params *params, struct err *err);

#endif
