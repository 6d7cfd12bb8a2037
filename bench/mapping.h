/* SPDX-License-Identifier: MIT */
/* Making and removing the mapping that the mapping methods visit. */
#ifndef FAULTLINE_MAPPING_H
#define FAULTLINE_MAPPING_H

#include "method.h"

/*
 * Maps the working set of the target into worker->base as sharing, populate, advice and vma say. 0 or -errno.
 * worker->fd must be open.
 */
int mapping_make(struct worker *worker);

/*
 * Touches every page of the mapping, so that what is kept over batches has its first touches behind it. Nothing for a
 * cold file: that would read it.
 */
void mapping_settle(const struct worker *worker);

/* Unmaps it. 0 or -errno. */
int mapping_remove(struct worker *worker);

/* Reaches the next `blocks` blocks through worker->base and consumes them where the parameters say. */
void mapping_visit(struct worker *worker, uint64_t blocks);

/* -EINVAL with text when the parameters cannot mean what they say for a mapping. */
int mapping_check(const struct worker *worker, struct err *err);

#endif
