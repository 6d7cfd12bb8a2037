/* SPDX-License-Identifier: MIT */
/* What the methods about syncs share: a writable mapping of the file, and stores to a share of a range's pages. */
#ifndef FAULTLINE_DIRTY_H
#define FAULTLINE_DIRTY_H

#include "method.h"

/*
 * Pages of the leading params->range_bytes that are stored to: dirty_share of them, rounded, and at least one unless
 * the share is 0.
 */
uint64_t dirty_pages(const struct params *params);

/* Which page of the range is the `i`th of them, by params->dirty_order; `i` below dirty_pages. */
uint64_t dirty_page(const struct params *params, uint64_t i);

/*
 * Opens the target for writing, maps its working set shared and writable into worker->base, and loads from each of its
 * pages. End with dirty_unmap, also after a failure. -errno with text.
 */
int dirty_map(struct worker *worker, struct err *err);
void dirty_unmap(struct worker *worker);

/*
 * One 8-byte store to each of those pages, through the mapping: the word at the start of a page is made 1 larger. A
 * shared mapping is how a program leaves pages dirty without a system call that would say so.
 */
void dirty_store(const struct worker *worker);

/*
 * Tries whether a page of the mapping that is stored to is then seen to be dirty, and syncs it. -EOPNOTSUPP with text
 * when it is not: nothing said about dirty pages could be proven here.
 */
int dirty_try(const struct worker *worker, struct err *err);

#endif
