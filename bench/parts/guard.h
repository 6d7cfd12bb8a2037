/* SPDX-License-Identifier: MIT */
/* Populated memory of which every other page becomes a guard page: never two beside each other, which would be one. */
#ifndef FAULTLINE_GUARD_H
#define FAULTLINE_GUARD_H

#include "method.h"

/* Maps range_bytes of anonymous memory at worker->base, all of it touched; worker->buffer_step is a page. */
int guard_begin(struct worker *worker, struct err *err);
void guard_end(struct worker *worker);

/* Guard pages that a batch may make: every other page of the range. */
uint64_t guard_limit(const struct params *params);

/* Bytes that guard_begin maps and fills. */
uint64_t guard_memory(const struct params *params);
uint64_t guard_reset_ns(const struct params *params, uint64_t blocks);

/* The page that is next to become one; the reset before a batch sets the cursor to 0. */
static inline unsigned char *guard_page(struct worker *worker)
{
    return worker->base + (2 * worker->cursor++ + 1) * worker->buffer_step;
}

#endif
