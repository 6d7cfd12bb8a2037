/* SPDX-License-Identifier: MIT */
/* Memory of which some pages have been touched, and /proc/self/pagemap, for the methods that ask which. */
#ifndef FAULTLINE_PAGEMAP_H
#define FAULTLINE_PAGEMAP_H

#include <sys/types.h>

#include "method.h"

struct pagemap {
    uint64_t pages, page_bytes;
    off_t at;          /* of the range's first entry in the file */
    uint64_t *entries; /* [pages] */
};

#define PAGEMAP_USES (FIELD_BIT(range_bytes) | FIELD_BIT(written_share))

/*
 * Maps range_bytes of anonymous memory at worker->base, stores to the leading written_share of its pages and opens
 * /proc/self/pagemap as worker->fd. worker->own is a struct pagemap; release with pagemap_end.
 */
int pagemap_begin(struct worker *worker, struct err *err);
void pagemap_end(struct worker *worker);

#endif
