/* SPDX-License-Identifier: MIT */
/*
 * Measures:         giving the pages of a range of a shared file mapping back with MADV_DONTNEED and loading from its
 *                   first page again: two entries into the kernel that look at the VMA.
 * Does not measure: mapping it.
 * Expect:           1-3 us for a page, 10-100 ns a page more by recipe. See discard_sealed.
 * Source:           mm/madvise.c madvise_dontneed_single_vma (zap_page_range_single), mm/filemap.c filemap_map_pages.
 */
#include "discard.h"

const struct method method_discard = {
    .name = "discard",
    .measures = "giving a range of a file mapping back and loading from it again",
    .version = 1,
    .needs = NEEDS_FILE,
    .uses = FIELD_BIT(range_bytes),
    .op_bytes = method_range_bytes,
    .block_ns = discard_ns,
    .setup = discard_begin,
    .run = discard_each,
    .teardown = discard_end,
};
