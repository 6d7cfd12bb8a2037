/* SPDX-License-Identifier: MIT */
/* Memory in base pages that is to become huge. */
#ifndef FAULTLINE_COLLAPSE_H
#define FAULTLINE_COLLAPSE_H

#include <sys/mman.h>

#include "method.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Maps range_bytes in base pages at worker->base and fills them; -EOPNOTSUPP unless they make whole huge pages. */
int collapse_begin(struct worker *worker, struct err *err);
void collapse_end(struct worker *worker);

/* The same anew: what has been collapsed does not fall apart again. */
int collapse_reset(struct worker *worker, uint64_t blocks, struct err *err);

/* Collapses memory and proves it by smaps. -EOPNOTSUPP with text where this kernel does not. */
int collapse_try(unsigned char *base, uint64_t bytes, struct err *err);

/* -EOPNOTSUPP with text unless smaps shows `bytes` in huge pages. */
int collapse_check(const unsigned char *base, uint64_t bytes, struct err *err);

/* One range a batch; hints for the plan. */
uint64_t collapse_limit(const struct params *params);
uint64_t collapse_ns(const struct params *params);
uint64_t collapse_reset_ns(const struct params *params, uint64_t blocks);

#endif
