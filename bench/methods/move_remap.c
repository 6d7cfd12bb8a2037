/* SPDX-License-Identifier: MIT */
/*
 * Measures:         moving a range of memory by mremap with MREMAP_DONTUNMAP (Linux 5.7): its page-table entries go
 *                   elsewhere, the old place stays mapped and is empty.
 * Does not measure: mapping the two places.
 * Expect:           some us and 10-50 ns a page; whole page tables at once where both places are aligned to them.
 * Source:           mm/mremap.c move_page_tables, move_ptes and move_pgt_entry.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "move.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static int once(struct worker *worker, unsigned char *to, unsigned char *from, uint64_t bytes)
{
    (void)worker;
    void *at = mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
    return at == MAP_FAILED ? -errno : 0;
}

static int run(struct worker *worker, uint64_t blocks)
{
    return move_each(worker, blocks, once);
}

static int setup(struct worker *worker, struct err *err)
{
    int rc = move_begin(worker, err);
    if (rc == 0)
        rc = move_each(worker, 2, once);
    return rc == -EINVAL ? err_set(err, EOPNOTSUPP, "this kernel does not have MREMAP_DONTUNMAP") : rc;
}

static uint64_t block_ns(const struct params *params)
{
    return 4 * US + params->range_bytes / 200;
}

const struct method method_move_remap = {
    .name = "move_remap",
    .measures = "moving a range of memory by mremap, which leaves the old place mapped and empty",
    .version = 1,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .block_ns = block_ns,
    .setup = setup,
    .run = run,
    .teardown = move_end,
};
